"""What managers make of what routers count: it adds up, nothing counts twice, nothing grows without end."""

from random import Random

import numpy as np
import pytest
from support.steps import finished

from croupier.errors import InvalidRequest
from croupier.latencies import BUCKETS, bucket_of, quantile
from protos.versions.v1 import versions_pb2 as pb
from version_manager import rates as module
from version_manager.rates import Rates

Order = pb.GetRatesRequest


class FakeRouter:
    """Counts, and tells a manager. `number` is its incarnation."""

    def __init__(self, world: "World", name: str, number: int = 1) -> None:
        self.world, self.name, self.number, self.began = world, name, number, world.now
        self.total = pb.Counts()
        self.keys: dict[tuple[str, str, int], pb.KeyCounts] = {}

    def answer(
        self,
        tenant: str,
        model: str = "churn",
        version: int = 1,
        *,
        times: int = 1,
        seconds: float = 0.001,
        **also: int,
    ) -> None:
        tenants = self.keys.setdefault((tenant, "", 0), self._key(tenant))
        models = self.keys.setdefault((tenant, model, version), self._key(tenant, model, version))
        for counts in (self.total, tenants.counts, models.counts):
            counts.requests += times
            for name, count in also.items():
                setattr(counts, name, getattr(counts, name) + count)
            counts.buckets.extend([0] * (BUCKETS - len(counts.buckets)))
            counts.buckets[bucket_of(seconds)] += times

    def drop(self, tenant: str, admission: int) -> None:
        """As if it were not among the busiest any more, and then again."""
        self.keys[tenant, "", 0] = self._key(tenant, admission=admission)

    def message(self) -> pb.Rates:
        message = pb.Rates(incarnation=self.number, age=self.world.now - self.began, total=self.total)
        for key, counts in self.keys.items():
            counts.age = self.world.now - self.world.since[id(counts)]
            message.keys.append(self.keys[key])
        return message

    def tell(self) -> pb.Rates:
        message = self.message()
        finished(self.world.rates.take(self.name, message))
        return message

    def _key(self, tenant: str, model: str = "", version: int = 0, admission: int = 1) -> pb.KeyCounts:
        made = pb.KeyCounts(tenant=tenant, model=model, version=version, admission=admission)
        self.world.since[id(made)] = self.world.now
        self.world.kept.append(made)
        return made


class World:
    """A manager's rates on a clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.since: dict[int, float] = {}
        self.kept: list[pb.KeyCounts] = []
        self.rates = Rates(lambda: self.now)

    def get(self, *tenants: str, **asked: object) -> pb.GetRatesResponse:
        return self.rates.get(pb.GetRatesRequest(**asked), frozenset(tenants))  # type: ignore[arg-type]

    def totals(self, **asked: object) -> dict[str, int]:
        return {row.tenant: row.total.counts.requests for row in self.get(**asked).rows}

    def pass_seconds(self, seconds: int, *routers: FakeRouter) -> None:
        for _ in range(seconds):
            self.now += 1
            for router in routers:
                router.tell()


@pytest.fixture
def world() -> World:
    return World()


def test_what_two_routers_count_adds_up(world: World) -> None:
    one, other = FakeRouter(world, "one"), FakeRouter(world, "other")
    one.answer("acme", times=30, cold=2)
    other.answer("acme", times=20, seconds=0.1, failed=3)
    other.answer("globex", "fraud", 7)
    world.pass_seconds(4, one, other)
    answer = world.get()
    acme, globex = answer.rows
    counts = acme.windows[0].counts
    assert (acme.tenant, counts.requests, counts.cold, counts.failed, counts.refused) == ("acme", 50, 2, 3, 0)
    assert (globex.tenant, globex.total.counts.requests) == ("globex", 1)
    assert answer.all.windows[0].counts.requests == 51
    assert (answer.rows_total, answer.routers, acme.windows[0].seconds) == (2, 2, 4.0)
    # Thirty took a millisecond, twenty a hundred.
    assert acme.windows[0].p50 == pytest.approx(0.001, rel=1 / 8)
    assert acme.windows[0].p99 == pytest.approx(0.1, rel=1 / 8)
    models = world.get(models=True).rows
    assert [(row.tenant, row.model, row.version) for row in models] == [
        ("acme", "churn", 1),
        ("globex", "fraud", 7),
    ]


def test_a_report_that_comes_twice_or_not_at_all_changes_nothing(world: World) -> None:
    router = FakeRouter(world, "one")
    router.answer("acme", times=5)
    message = router.tell()
    for _ in range(3):
        finished(world.rates.take("one", message))
    assert world.totals() == {"acme": 5}
    # Two reports are lost.
    router.answer("acme", times=6)
    router.message()
    world.now += 9
    router.answer("acme", times=7)
    router.answer("globex")
    router.tell()
    assert world.totals() == {"acme": 18, "globex": 1}
    # And one is late.
    finished(world.rates.take("one", message))
    router.tell()
    assert world.totals() == {"acme": 18, "globex": 1}


def test_a_router_that_restarts_is_not_counted_twice(world: World) -> None:
    router = FakeRouter(world, "one")
    router.answer("acme", times=100)
    world.pass_seconds(30, router)
    late = router.message()
    router = FakeRouter(world, "one", number=2)
    router.answer("acme", times=7)
    router.tell()
    assert world.totals() == {"acme": 107}
    # What its life before said last comes behind it.
    finished(world.rates.take("one", late))
    router.answer("acme")
    router.tell()
    assert world.totals() == {"acme": 108}
    assert world.get().rows[0].windows[0].counts.requests == 8


def test_a_router_whose_clock_went_back_at_its_restart_counts_once_its_old_life_is_forgotten(
    world: World,
) -> None:
    router = FakeRouter(world, "one", number=5)
    router.answer("acme", times=100)
    router.tell()
    router = FakeRouter(world, "one", number=4)
    world.pass_seconds(70, router)
    router.answer("acme", times=7)
    router.tell()
    assert world.totals() == {"acme": 107}


def test_what_was_counted_before_a_router_was_heard_is_no_news(world: World) -> None:
    router = FakeRouter(world, "one")
    router.answer("acme", times=1_000_000)
    world.now += 3600
    router.tell()
    assert world.totals() == {}
    assert world.get().all.total.counts.requests == 0
    router.answer("acme", times=3)
    world.now += 1
    router.tell()
    assert world.totals() == {"acme": 3}
    assert world.get().all.total.counts.requests == 3


def test_a_key_that_was_dropped_and_came_again_counts_from_nothing(world: World) -> None:
    router = FakeRouter(world, "one")
    router.answer("acme", times=100)
    world.pass_seconds(20, router)
    late = router.message()
    router.drop("acme", admission=2)
    router.answer("acme", times=4)
    world.pass_seconds(1, router)
    finished(world.rates.take("one", late))
    world.pass_seconds(1, router)
    assert world.totals() == {"acme": 104}


def test_a_router_that_fell_silent_is_in_no_rate_any_more(world: World) -> None:
    gone, there = FakeRouter(world, "gone"), FakeRouter(world, "there")
    gone.answer("acme", times=10)
    gone.tell()
    for _ in range(11):
        there.answer("acme")
        world.pass_seconds(1, there)
    assert world.get().routers == 1
    for _ in range(10):
        there.answer("acme")
        world.pass_seconds(1, there)
    (row,) = world.get().rows
    assert row.windows[0].counts.requests / row.windows[0].seconds == pytest.approx(1.0, rel=0.1)
    assert row.total.counts.requests == 31


def test_rows_come_in_the_order_that_is_asked_for(world: World) -> None:
    router = FakeRouter(world, "one")
    router.answer("busy", times=100)
    router.answer("broken", times=10, failed=5, refused=1)
    router.answer("wrong", times=12, refused=4)
    router.answer("cold", times=9, cold=9)
    router.answer("slow", times=3, seconds=2.0)
    world.pass_seconds(1, router)

    def first(order: int) -> list[str]:
        return [row.tenant for row in world.get(order=order, top=2).rows]

    assert first(Order.REQUESTS) == ["busy", "wrong"]
    assert first(Order.ERRORS) == ["broken", "wrong"]
    assert first(Order.COLD)[0] == "cold"
    assert first(Order.LATENCY)[0] == "slow"
    assert world.get(top=2).rows_total == 5


def test_what_all_asked_for_and_what_failed_of_it_is_counted_for_good(world: World) -> None:
    router = FakeRouter(world, "one")
    assert world.rates.all_failed() == (0, 0)
    router.answer("acme", times=10, failed=5, refused=1)
    world.pass_seconds(100, router)
    assert world.rates.all_failed() == (10, 5)


def test_who_asks_for_nothing_any_more_is_told_of_by_name_only(world: World) -> None:
    router = FakeRouter(world, "one")
    router.answer("acme")
    world.pass_seconds(70, router)
    assert world.totals() == {}
    assert world.totals(tenant="acme") == {"acme": 1}
    assert world.totals(tenant="globex") == {}
    assert world.get(tenant="acme", models=True).rows[0].model == "churn"


def test_a_caller_for_some_tenants_sees_those_alone(world: World) -> None:
    router = FakeRouter(world, "one")
    for tenant in ("acme", "globex", "initech"):
        router.answer(tenant)
    router.tell()
    for models in (False, True):
        answer = world.get("acme", "initech", models=models)
        assert [row.tenant for row in answer.rows] == ["acme", "initech"]
        assert (answer.rows_total, answer.HasField("all")) == (2, False)
        assert list(world.get("acme", tenant="globex", models=models).rows) == []
    assert world.get().all.total.counts.requests == 3


def test_a_manager_that_has_heard_nobody_says_so(world: World) -> None:
    assert world.get() == pb.GetRatesResponse(all=pb.RateRow())


@pytest.mark.parametrize(
    "asked",
    [{"top": 1001}, {"tenant": "a/b"}, {"order": 9}],
)
def test_what_cannot_be_asked_is_refused(world: World, asked: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest):
        world.get(**asked)


@pytest.mark.parametrize(
    "message",
    [
        pb.Rates(keys=[pb.KeyCounts(tenant="a/b")]),
        pb.Rates(keys=[pb.KeyCounts()]),
        pb.Rates(keys=[pb.KeyCounts(tenant="x" * 129)]),
        pb.Rates(keys=[pb.KeyCounts(tenant="acme", model="\n", version=1)]),
        pb.Rates(keys=[pb.KeyCounts(tenant="acme", model="churn")]),
        pb.Rates(keys=[pb.KeyCounts(tenant="acme", version=1)]),
        pb.Rates(keys=[pb.KeyCounts(tenant="acme", model="churn", version=2**63)]),
        pb.Rates(keys=[pb.KeyCounts(tenant="acme")] * 2),
        pb.Rates(keys=[pb.KeyCounts(tenant="acme", age=-1.0)]),
        pb.Rates(keys=[pb.KeyCounts(tenant="acme", age=float("nan"))]),
        pb.Rates(age=float("inf")),
        pb.Rates(total=pb.Counts(requests=2**60)),
        pb.Rates(total=pb.Counts(buckets=[1] * (BUCKETS + 1))),
        pb.Rates(total=pb.Counts(first_bucket=BUCKETS, buckets=[1])),
        pb.Rates(total=pb.Counts(first_bucket=2**32 - 1)),
        pb.Rates(keys=[pb.KeyCounts(tenant=f"t{at}") for at in range(2001)]),
    ],
    ids=str,
)
def test_of_a_report_that_makes_no_sense_nothing_is_taken(world: World, message: pb.Rates) -> None:
    router = FakeRouter(world, "one")
    router.answer("acme", times=5)
    router.tell()
    message.incarnation = 1
    with pytest.raises(InvalidRequest):
        finished(world.rates.take("one", message))
    assert world.totals() == {"acme": 5}
    router.answer("acme")
    router.tell()
    assert world.totals() == {"acme": 6}


def test_a_rogue_router_takes_no_more_memory_than_there_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_KNOWN", 3000)
    honest = FakeRouter(world, "honest")
    honest.answer("acme")
    for number in range(20):
        keys = [pb.KeyCounts(tenant=f"t{number}-{at}", counts=pb.Counts(requests=1)) for at in range(2000)]
        for name in ("rogue", f"rogue-{number}"):
            finished(world.rates.take(name, pb.Rates(incarnation=number, keys=keys)))
        honest.answer("acme")
        world.pass_seconds(1, honest)
    # Those that were told, 3,000 of them, are known; 2,048 tenants have rows, in fourteen copies.
    assert (
        world.rates.nbytes
        <= (3000 + 2048) * module.COLUMNS * 8 + 2048 * (14 * module.COLUMNS * 4 + 8) + 10**5
    )
    # What finds no room among them is not new with every report.
    assert max(world.totals(top=1000).values()) <= 21


def test_quantiles_are_those_of_latencies() -> None:
    rng = Random(5)
    rows = [[rng.randrange(3) * rng.randrange(50) for _ in range(BUCKETS)] for _ in range(50)]
    rows.append([0] * BUCKETS)
    matrix = np.array([[0] * len(module.FIELDS) + row for row in rows], np.uint64)
    for row, (half, most) in zip(rows, module._quantiles(matrix).T.tolist(), strict=True):
        found = tuple(None if np.isnan(value) else value for value in (half, most))
        assert found == (quantile(row, 0.5), quantile(row, 0.99))


def test_a_row_and_its_message_are_the_same() -> None:
    rng = Random(6)
    for _ in range(50):
        row = [rng.randrange(9) for _ in module.FIELDS]
        row += [rng.randrange(9) * (rng.random() < 0.1) for _ in range(BUCKETS)]
        assert module._row(module.counts_of(row)) == row


def test_a_long_report_is_taken_in_slices(world: World) -> None:
    one = FakeRouter(world, "one")
    for number in range(200):
        one.answer(f"t{number}")
    steps = list(world.rates.take("one", one.message()))
    # Each key is looked at twice: to check it, and to count it.
    assert len(steps) >= 2 * len(one.keys) / 50
    assert world.totals(top=1000) == {f"t{number}": 1 for number in range(200)}


def test_nothing_of_a_long_report_counts_that_makes_no_sense_at_its_end(world: World) -> None:
    one = FakeRouter(world, "one")
    for number in range(200):
        one.answer(f"t{number}")
    message = one.message()
    message.keys[-1].tenant = ""
    with pytest.raises(InvalidRequest):
        finished(world.rates.take("one", message))
    assert not world.totals()


def test_two_reports_that_are_taken_at_once_count_once(world: World) -> None:
    one = FakeRouter(world, "one")
    for number in range(120):
        one.answer(f"t{number}")
    early = pb.Rates.FromString(one.message().SerializeToString())
    for number in range(120):
        one.answer(f"t{number}")
    late = one.message()
    taken = [world.rates.take("one", message) for message in (late, early, late)]
    for _ in range(100):
        for steps in taken:
            next(steps, None)
    assert world.totals(top=1000) == {f"t{number}": 2 for number in range(120)}


def test_a_life_that_ended_while_its_report_was_taken_counts_no_further(world: World) -> None:
    old, new = FakeRouter(world, "one"), FakeRouter(world, "one", 2)
    for number in range(120):
        old.answer(f"t{number}")
    new.answer("t119")
    early = world.rates.take("one", old.message())
    while not world.totals():
        next(early)
    finished(world.rates.take("one", new.message()))
    finished(early)
    assert world.totals(top=1000)["t119"] == 1
