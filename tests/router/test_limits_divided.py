"""Limits over several routers, simulated: buckets by the parts that a manager makes of their reports."""

from __future__ import annotations

from random import Random

import pytest
from support.steps import finished

from croupier.errors import QuotaExceeded
from router.admission import Admission
from router.shares import Shares
from version_manager.model.limits import Limits, TenantLimits
from version_manager.shares import Shares as Divided

LIMIT = 60.0
LIMITS = TenantLimits(tenants={"acme": Limits(rate=LIMIT)})


class Router:
    """Reports once a second, at its own moment of it."""

    def __init__(self, fleet: Fleet, at: float) -> None:
        self.fleet = fleet
        self.shares = Shares()
        self.admission = Admission(1000, 1000, clock=lambda: fleet.now)
        self.admission.follow(LIMITS, self.shares.of)
        self.asked = 0
        self.served = self.refused = 0
        self.reported, self.next_report = at, at

    def ask(self) -> None:
        self.asked += 1
        try:
            self.admission.leave(self.admission.enter("acme", 100, self.fleet.now))
        except QuotaExceeded:
            self.refused += 1
            return
        self.served += 1

    def report(self, name: str) -> None:
        divided, routers = self.fleet.divided, self.fleet.routers
        finished(divided.asked(name, {"acme": self.asked}, self.fleet.now - self.reported or 1.0))
        self.asked, self.reported = 0, self.fleet.now
        self.shares.hear(len(routers), dict(divided.of(name, len(routers))))
        self.admission.follow(LIMITS, self.shares.of)


class Fleet:
    """Routers, a manager, and a tenant that asks at random."""

    def __init__(self, parts: list[float], times: float, seed: int) -> None:
        self.now = 0.0
        self.rng = Random(seed)
        self.divided = Divided(lambda: LIMITS)
        self.routers = {f"router-{n}": Router(self, n / len(parts)) for n in range(len(parts))}
        self.parts, self.rate = parts, times * LIMIT

    def run(self, seconds: float) -> float:
        """How many requests a second are served, of all routers together."""
        before, began = self._served(), self.now
        while self.now < began + seconds:
            self.now += self.rng.expovariate(self.rate)
            for name, router in self.routers.items():
                if router.next_report <= self.now:
                    router.report(name)
                    router.next_report += 1.0
            (asked,) = self.rng.choices(list(self.routers.values()), self.parts)
            asked.ask()
        return (self._served() - before) / (self.now - began)

    def restart(self, name: str) -> None:
        """As another process; nobody knows yet that the former is gone."""
        old = self.routers.pop(name)
        self.routers = {f"{name}-again": Router(self, self.now), **self.routers}
        self.routers[f"{name}-again"].served = old.served

    def refused(self) -> int:
        return sum(router.refused for router in self.routers.values())

    def _served(self) -> int:
        return sum(router.served for router in self.routers.values())


SPLITS = [[1.0], [0.5, 0.5], [0.7, 0.2, 0.1], [0.94, 0.02, 0.02, 0.02], [1.0] * 8]


@pytest.mark.parametrize("parts", SPLITS)
@pytest.mark.parametrize("times", [1.5, 5.0])
def test_of_a_tenant_over_its_limit_all_routers_let_through_the_limit(
    parts: list[float], times: float
) -> None:
    fleet = Fleet(parts, times, seed=len(parts))
    fleet.run(15)
    assert fleet.run(40) == pytest.approx(LIMIT, rel=0.1)


@pytest.mark.parametrize("is_told", [True, False])
def test_it_holds_while_one_of_them_restarts(is_told: bool) -> None:
    fleet = Fleet([0.4, 0.3, 0.3], 2.0, seed=7)
    fleet.run(15)
    fleet.restart("router-0")
    if is_told:
        fleet.divided.keep(fleet.routers)
    # Its part is nobody's until it is known that it is gone.
    assert (0.9 if is_told else 0.6) * LIMIT < fleet.run(5) < 1.1 * LIMIT
    fleet.divided.keep(fleet.routers)
    assert fleet.run(30) == pytest.approx(LIMIT, rel=0.1)


def test_a_tenant_far_below_its_limit_is_refused_nothing_wherever_its_requests_move() -> None:
    fleet = Fleet([0.97, 0.01, 0.01, 0.01], 0.07, seed=7)
    fleet.run(60)
    refused, fleet.parts = fleet.refused(), [0.01, 0.97, 0.01, 0.01]
    fleet.run(60)
    assert fleet.refused() == refused
