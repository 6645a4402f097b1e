"""The stage that adds features, over a feature store that is told when to answer."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from support.features import BLOB, SCHEMA_KEY, Clock, Store, key

from croupier import fetched
from croupier.errors import Cancelled, CroupierError, InternalError, InvalidRequest
from croupier.fetched import Origin
from croupier.stores.features import StoreDown
from protos.prediction.v1 import prediction_pb2 as pb
from router.entities import item_facts
from router.families import Wanted
from router.feature_plan import FeaturePlan
from router.feature_reads import FeatureReads
from router.features import Features, FeaturesUnavailable, Fetch
from router.remembered import Route
from router.routes import Routes
from router.units import Unit
from router.view import EMPTY
from router.wheel import Wheel
from version_manager.model.encode import write_model
from version_manager.model.family import Family, FeatureSpec
from version_manager.model.release import WHOLE, Model
from version_manager.model.resolve import Target

FEATURES = (
    FeatureSpec("age", source="store", group="person", default=7.0),
    FeatureSpec("word", dtype="text", source="store", group="person", default="none"),
)
STORED, MISSING, DOWN = (Origin.STORE,) * 2, (Origin.MISSING,) * 2, (Origin.DOWN,) * 2


class Front:
    """The stage; `go` has requests for entities begin, `wait` has them end."""

    def __init__(
        self,
        features: Sequence[FeatureSpec] = FEATURES,
        has_store: bool = True,
        most_bytes: int = 2**20,
        **fields: Any,
    ) -> None:
        self.clock, self.store, self.wheel = Clock(), Store(), Wheel()
        self.store.held[key("1")] = self.store.held[key("2")] = BLOB
        reads = FeatureReads(self.store, clock=self.clock, timeout=5.0, known_seconds=1.0, most_bytes=2**20)
        self.stage = Features(
            reads if has_store else None,
            self.wheel,
            clock=self.clock,
            now_ms=lambda: 2000,
            longest=0.1,
            most_bytes=most_bytes,
        )
        family = Family("churn", 1, features=tuple(features), **fields)
        route = Route(
            write_model(Model("acme", "churn", {})),
            ((WHOLE, Target("acme", "churn", 1, bytes(32))),),
            ("a",),
            ("a",),
            family=Wanted(family, FeaturePlan.of(family)),
        )
        self.routes = Routes(lambda view, tenant, ask: route, lambda: 0.0)
        self.routes.follow(EMPTY)
        self.went: list[Fetch] = []
        self.over: list[CroupierError] = []

    def go(self, *entities: str, deadline: float = 10.0) -> tuple[list[Unit], Fetch | None]:
        request = pb.PredictRequest(items=[pb.Item(model="churn", entity_id=one) for one in entities])
        units = self.routes.items("acme", request.SerializeToString(), 1000)
        now = self.clock.now
        fetch = self.stage.begin("acme", units, lambda unit: item_facts(unit.request), now)
        if fetch is not None:
            found = fetch

            def ready() -> None:
                self.went.append(found)

            fetch.then(self.stage.until(now, now + deadline), ready, self.over.append)
        return units, fetch

    async def wait(self, fetch: Fetch | None) -> None:
        assert fetch is not None
        while fetch not in self.went:
            await asyncio.sleep(0)


def said(unit: Unit) -> fetched.Fetched:
    """What a unit tells its cell."""
    item = pb.Item.FromString(unit.payload)
    assert item.model == "churn"
    return fetched.read(item.fetched)


def origins(units: Sequence[Unit]) -> list[tuple[Origin, ...]]:
    return [row.origins for unit in units for row in said(unit).rows]


async def test_a_request_waits_for_what_is_not_known_and_the_next_one_does_not() -> None:
    front = Front()
    units, fetch = front.go("1", "3")
    assert [unit.fetched for unit in units] == [b"", b""]
    await front.wait(fetch)
    assert origins(units) == [STORED, MISSING]
    told = said(units[0])
    assert (told.rows[0].values, told.rows[0].events, told.now_ms) == ((40.0, "yes"), (1000, 1000), 2000)
    assert said(units[1]).rows[0].values == (7.0, "none")
    assert not told.is_degraded
    units, fetch = front.go("1", "3")
    assert fetch is None
    assert origins(units) == [STORED, MISSING]
    assert len(front.store.reads) == 2
    assert len(front.wheel) == 0


async def test_what_a_row_was_made_of_is_asked_for_again_once_it_is_old() -> None:
    front = Front()
    await front.wait(front.go("1")[1])
    del front.store.held[key("1")]
    front.clock.now += 0.9
    assert origins(front.go("1")[0]) == [STORED]
    front.clock.now += 1.2
    units, fetch = front.go("1")
    await front.wait(fetch)
    assert origins(units) == [MISSING]


async def test_a_row_holds_no_longer_than_what_is_in_it() -> None:
    aged = FeatureSpec("age", source="store", group="person", default=7.0, max_age=1.5)
    front = Front([aged])
    now = 2000
    front.stage._now_ms = lambda: now
    await front.wait(front.go("1")[1])
    assert origins(front.go("1")[0]) == [(Origin.STORE,)]
    now, front.clock.now = 2600, front.clock.now + 0.6
    assert origins(front.go("1")[0]) == [(Origin.STALE,)]


async def test_no_tenant_gets_what_was_made_for_another() -> None:
    front = Front()
    await front.wait(front.go("1")[1])
    request = pb.PredictRequest(items=[pb.Item(model="churn", entity_id="1")]).SerializeToString()
    units = front.routes.items("globex", request, 10)
    fetch = front.stage.begin("globex", units, lambda unit: item_facts(unit.request), front.clock.now)
    assert fetch is not None
    fetch.then(1e9, lambda: front.went.append(fetch), front.over.append)  # type: ignore[arg-type, func-returns-value]
    await front.wait(fetch)
    assert origins(units) == [MISSING]


async def test_an_entity_that_no_key_is_made_of_takes_no_more_than_its_share() -> None:
    of_tenant = FeatureSpec("age", source="store", group="person", default=7.0, entity="{tenant}")
    front = Front([of_tenant], most_bytes=100_000)
    for number in range(100):
        units, fetch = front.go(f"{number}" * 10_000)
        if fetch is not None:
            await front.wait(fetch)
        assert origins(units) == [(Origin.MISSING,)]
    names = [name for name, *_ in front.stage._rows._held.items()]
    assert names
    assert sum(len(entity) for _, _, entity, _ in names) < 100_000


async def test_ten_thousand_who_ask_for_one_entity_are_one_read() -> None:
    front = Front()
    front.store.gate.clear()
    found = [front.go("1") for _ in range(10_000)]
    await asyncio.sleep(0)
    front.store.gate.set()
    for _, fetch in found:
        await front.wait(fetch)
    assert [read for read in front.store.reads if SCHEMA_KEY not in read] == [[key("1")]]
    assert origins([unit for units, _ in found for unit in units]) == [STORED] * 10_000


async def test_a_store_that_takes_too_long_leaves_defaults_and_says_so() -> None:
    front = Front()
    front.store.gate.clear()
    units, fetch = front.go("1", deadline=0.1)
    front.wheel.advance(front.clock.now + 0.02)
    assert front.went == []
    front.wheel.advance(front.clock.now + 0.03 + front.wheel.tick)
    assert front.went == [fetch]
    assert origins(units) == [DOWN]
    assert said(units[0]).is_degraded
    # What comes in the end is there for the next one, and does nothing to this one.
    front.store.gate.set()
    while len(front.store.reads) < 2 or front.store.under_way:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert origins(units) == [DOWN]
    assert origins(front.go("1")[0]) == [STORED]


@pytest.mark.parametrize(("deadline", "waits"), [(10.0, 0.1), (0.2, 0.06), (0.0, 0.0), (-1.0, 0.0)])
def test_a_request_waits_for_a_part_of_its_time(deadline: float, waits: float) -> None:
    assert Front().stage.until(5.0, 5.0 + deadline) == pytest.approx(5.0 + waits)


async def test_a_family_may_want_no_answers_without_the_store() -> None:
    front = Front(store_failure="fail")
    front.store.error = StoreDown("gone")
    units, fetch = front.go("1", "2")
    await front.wait(fetch)
    assert [type(unit.outcome) for unit in units] == [FeaturesUnavailable] * 2
    assert front.go("1")[1] is None
    front.store.error = None
    front.clock.now += 0.3
    units, fetch = front.go("1")
    await front.wait(fetch)
    assert units[0].outcome is None
    assert origins(units) == [STORED]


@pytest.mark.parametrize("policy", ["degrade", "fail"])
def test_without_a_store_it_is_down(policy: str) -> None:
    units, fetch = Front(has_store=False, store_failure=policy).go("1")
    assert fetch is None
    if policy == "fail":
        assert isinstance(units[0].outcome, FeaturesUnavailable)
    else:
        assert origins(units) == [DOWN]


def test_what_needs_no_store_is_there_at_once() -> None:
    front = Front([FeatureSpec("age", default=7.0)], has_store=False)
    units, fetch = front.go("", "1")
    assert fetch is None
    assert origins(units) == [(Origin.MISSING,)] * 2
    assert not said(units[0]).is_degraded


async def test_an_item_that_names_nobody_fails_alone() -> None:
    front = Front()
    units, fetch = front.go("", "1", "x" * 600)
    await front.wait(fetch)
    assert [isinstance(unit.outcome, InvalidRequest) for unit in units] == [True, False, True]
    assert origins(units[1:2]) == [STORED]


async def test_who_hangs_up_waits_no_longer() -> None:
    front = Front()
    front.store.gate.clear()
    units, fetch = front.go("1")
    assert fetch is not None
    fetch.cancel()
    fetch.cancel()
    assert [type(error) for error in front.over] == [Cancelled]
    assert len(front.wheel) == 0
    front.store.gate.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert front.went == []
    assert units[0].fetched == b""


async def test_trouble_with_the_store_is_told_and_that_there_is_none() -> None:
    front = Front()
    front.store.error = StoreDown("gone")
    await front.wait(front.go("1")[1])
    assert front.stage.why_down == "gone"
    front = Front(has_store=False)
    assert front.stage.why_down == ""
    front.go("1")
    assert "--features-store" in front.stage.why_down
    front.clock.now += 20.0
    assert front.stage.why_down == ""


@pytest.mark.parametrize("is_late", [False, True])
async def test_a_bug_ends_the_request(
    is_late: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> Any:
        raise RuntimeError("a bug")

    front = Front()
    front.store.gate.clear()
    front.go("1")
    monkeypatch.setattr(front.stage, "finish", broken)
    if is_late:
        front.wheel.advance(1e9)
    else:
        front.store.gate.set()
        for _ in range(100):
            await asyncio.sleep(0)
    assert [type(error) for error in front.over] == [InternalError]
    assert front.went == []
    assert len(front.wheel) == 0
    assert "a bug" in caplog.text
