"""Who is told what of the routers and of their parts."""

import pytest
from support.records import KEYS, FakeEtcd
from support.steps import finished

from protos.versions.v1 import versions_pb2 as pb
from version_manager.dividing import Dividing
from version_manager.map.mirror import Mirror
from version_manager.map.records import encode
from version_manager.model.limits import Limits
from version_manager.rates import Rates
from version_manager.routers import Routers
from version_manager.shares import Shares


class World:
    """A manager and its routers, on a clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.mirror = Mirror(None, KEYS)  # type: ignore[arg-type]
        self.mirror.take(FakeEtcd({KEYS.limits("acme"): encode(Limits(rate=1000))}).listed())
        shares = Shares(lambda: self.mirror.map.limits)
        clock = lambda: self.now  # noqa: E731
        self.rates, self.routers = Rates(clock, shares), Routers(self.mirror, clock)
        self.dividing = Dividing(self.routers, self.rates, shares, clock)
        self.counted: dict[tuple[str, str], int] = {}

    def report(
        self, name: str, incarnation: int = 1, *, leaving: bool = False, **asked: int
    ) -> pb.ReportRouterResponse:
        """As the service does it. `asked` is what came since the last report, of each tenant."""
        self.routers.report(pb.RouterReport(id=name, leaving=leaving))
        for tenant, count in asked.items():
            self.counted[name, tenant] = self.counted.get((name, tenant), 0) + count
        keys = [
            pb.KeyCounts(tenant=tenant, admission=1, counts=pb.Counts(requests=count, refused=count // 2))
            for (router, tenant), count in self.counted.items()
            if router == name
        ]
        finished(self.rates.take(name, pb.Rates(incarnation=incarnation, age=1.0, keys=keys)))
        return self.answer(name)

    def quiet(self, name: str) -> pb.ReportRouterResponse:
        """Of one that counts for nobody."""
        self.routers.report(pb.RouterReport(id=name))
        return self.answer(name)

    def answer(self, name: str) -> pb.ReportRouterResponse:
        answer = pb.ReportRouterResponse()
        finished(self.dividing.add_to(answer, name))
        return answer


@pytest.fixture
def world() -> World:
    return World()


def told(answer: pb.ReportRouterResponse) -> dict[str, float]:
    return {one.tenant: round(one.share, 2) for one in answer.shares}


def test_a_manager_that_has_just_started_says_nothing(world: World) -> None:
    assert world.report("a", acme=10) == pb.ReportRouterResponse()
    world.now += 6
    assert world.report("a", acme=10).routers == 1


def test_each_is_told_of_the_tenants_that_it_reports_and_that_have_limits(world: World) -> None:
    for _ in range(30):
        world.now += 1
        one = world.report("a", acme=3000, globex=50)
        other = world.report("b", acme=1000)
        third = world.report("c", globex=70)
    assert [one.routers, other.routers, third.routers] == [3, 3, 3]
    assert told(one) == {"acme": pytest.approx(0.75, abs=0.02)}
    assert told(other) == {"acme": pytest.approx(0.25, abs=0.02)}
    assert told(third) == {}


def test_who_leaves_is_counted_no_more_and_who_is_silent_after_a_while(world: World) -> None:
    for _ in range(10):
        world.now += 1
        for name in "abc":
            answer = world.report(name, acme=1000)
    assert (answer.routers, told(answer)) == (3, {"acme": 0.33})
    world.report("b", leaving=True)
    world.now += 1.1
    assert told(world.report("c", acme=1000)) == {"acme": 0.5}
    for _ in range(6):
        world.now += 1
        answer = world.report("c", acme=1000)
    assert (answer.routers, told(answer)) == (1, {"acme": 1.0})


def test_a_router_that_counts_for_nobody_is_one_of_those_that_share(world: World) -> None:
    for _ in range(10):
        world.now += 1
        quiet = world.quiet("quiet")
        answer = world.report("a", acme=1000)
    assert (quiet.routers, told(quiet)) == (2, {})
    assert told(answer) == {"acme": pytest.approx(0.5, abs=0.03)}


def test_no_more_is_told_than_a_router_told_itself(world: World) -> None:
    world.mirror.take(FakeEtcd({KEYS.limits(): encode(Limits(rate=10))}, revision=20).listed())
    for _ in range(8):
        world.now += 1
        world.report("a", acme=10)
        mean = world.report("b", **{f"tenant-{number}": 10 for number in range(50)})
    assert told(mean).keys() == {f"tenant-{number}" for number in range(50)}
