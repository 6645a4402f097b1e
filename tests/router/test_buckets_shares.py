"""Several routers with the shares that a manager gives them let through together what the limit says."""

from __future__ import annotations

from collections import deque
from random import Random

import pytest

from router.buckets import Account, Buckets
from router.shares import Shares
from version_manager.model.limits import Limits, TenantLimits
from version_manager.shares import Shares as Divided

RATE = 100.0
LIMITS = TenantLimits(Limits(rate=RATE))
STEP = 0.01


class Refused(Exception):
    def __init__(self, account: Account, kind: str, wait: float | None) -> None:
        super().__init__(kind)


class Router:
    def __init__(self, name: str, now: float) -> None:
        self.name, self.shares, self.asked = name, Shares(), 0
        self.buckets = Buckets(1000, 1000, Refused, began=now)
        self.follow()

    def follow(self) -> None:
        self.buckets.follow(LIMITS, self.shares.of)

    def ask(self, now: float) -> int:
        self.asked += 1
        try:
            self.buckets.leave(self.buckets.enter("acme", 0, now))
        except Refused:
            return 0
        return 1


class Fleet:
    """Requests come at twice the limit, and to each router its part of them."""

    def __init__(self, split: list[float]) -> None:
        self.now, self.random, self.split = 1000.0, Random(7), split
        self.divided = Divided(lambda: LIMITS)
        self.routers = [Router(f"r-{number}", self.now) for number in range(len(split))]

    def restart(self, place: int) -> None:
        self.routers[place] = Router(f"{self.routers[place].name}-again", self.now)

    def seconds(self, count: int) -> int:
        """How many were let through in so many seconds, at the end of each of which routers report."""
        let_through = 0
        for _ in range(count):
            for _ in range(round(1 / STEP)):
                self.now += STEP
                for _ in range(round(2 * RATE * STEP)):
                    (router,) = self.random.choices(self.routers, self.split)
                    let_through += router.ask(self.now)
            self.divided.keep({router.name for router in self.routers})
            for router in self.routers:
                deque(self.divided.asked(router.name, {"acme": router.asked}, 1.0), 0)
                router.asked = 0
            for router in self.routers:
                told = dict(self.divided.of(router.name, len(self.routers)))
                if router.shares.hear(len(self.routers), told):
                    router.follow()
        return let_through


@pytest.mark.parametrize("split", [[1.0], [0.5, 0.5], [0.9, 0.1], [1.0, 0.0], [0.4, 0.3, 0.2, 0.1]])
def test_over_ten_seconds_routers_let_through_the_limit_within_a_tenth(split: list[float]) -> None:
    fleet = Fleet(split)
    fleet.seconds(15)
    assert fleet.seconds(10) == pytest.approx(10 * RATE, rel=0.1)


@pytest.mark.parametrize("split", [[0.5, 0.5], [0.9, 0.1], [1.0, 0.0]])
def test_and_so_they_do_while_one_of_them_restarts(split: list[float]) -> None:
    fleet = Fleet(split)
    fleet.seconds(15)
    fleet.restart(0)
    assert fleet.seconds(10) == pytest.approx(10 * RATE, rel=0.1)
