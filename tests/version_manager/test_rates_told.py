"""What others hear of rates: what a tenant uses now, and what each router was asked for since before."""

from collections.abc import Iterator

import pytest
from support.steps import finished

from protos.versions.v1 import versions_pb2 as pb
from version_manager.rates import Rates


class World:
    """A manager's rates on a clock that is set by hand, and what its shares hear."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.heard: list[tuple[str, dict[str, int], float]] = []
        self.rates = Rates(lambda: self.now, self)  # type: ignore[arg-type]

    def asked(self, router: str, requests: dict[str, int], seconds: float) -> Iterator[None]:
        self.heard.append((router, requests, seconds))
        yield

    def tell(self, age: float, incarnation: int = 1, *, cold: int = 0, **requests: int) -> None:
        """Cumulative, as a router does; it began `age` seconds ago. Its models are nobody's concern here."""
        keys = [
            pb.KeyCounts(
                tenant=tenant,
                model=model,
                version=int(bool(model)),
                age=age,
                counts=pb.Counts(requests=count, refused=count // 2, cold=cold),
            )
            for tenant, count in requests.items()
            for model in ("", "churn")
        ]
        finished(self.rates.take("router", pb.Rates(incarnation=incarnation, age=age, keys=keys)))


def test_what_is_used_is_that_of_the_last_seconds() -> None:
    world = World()
    assert world.rates.used() == {}
    world.tell(0.5, cold=1, acme=5)
    world.now += 2
    assert world.rates.used()["acme"] == pytest.approx((2.5, 0.5))
    world.now += 30
    assert world.rates.used()["acme"] == (0, 0)


def test_shares_hear_what_is_new_of_each_tenant_and_nothing_twice() -> None:
    world = World()
    world.tell(3, acme=30)
    world.now += 1
    world.tell(4, acme=35, globex=2)
    world.now += 2
    world.tell(6, acme=35, globex=2)
    world.now += 1
    world.tell(0.5, 2, acme=7)
    # Of its life before: nobody hears of that.
    world.tell(7, 1, acme=99)
    assert world.heard == [
        ("router", {"acme": 30}, 3.0),
        ("router", {"acme": 5, "globex": 2}, 1.0),
        ("router", {}, 2.0),
        ("router", {"acme": 7}, 0.5),
    ]


def test_what_a_router_counted_before_this_manager_began_is_of_no_time_now() -> None:
    world = World()
    world.tell(5_000, acme=1_000_000)
    world.now += 1
    world.tell(5_001, acme=1_000_050)
    assert world.heard == [("router", {}, 10.0), ("router", {"acme": 50}, 1.0)]


def test_those_tell_that_were_heard_lately() -> None:
    world = World()
    world.tell(3, acme=30)
    assert world.rates.telling() == {"router"}
    world.now += 11
    assert world.rates.telling() == set()
