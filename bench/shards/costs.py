"""What the shard map costs: one hand, dealt anew and remembered; a population's hands; a plan for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from sharding.dealer import Dealer
from sharding.generation import Generation, Seat
from sharding.plan import Population, plan
from sharding.population import deal

_ZONES = 4
_HAND = 4
_CELLS_OF_A_HAND = 64
_ROUNDS = 5
_HANDS = 20_000


@dataclass(frozen=True, slots=True)
class Result:
    """Processor time; the least of a few rounds. Hands are of 64 cells, population and plan of `cells`."""

    cells: int
    tenants: int
    hand_us: float
    hand_cached_us: float
    population_s: float
    plan_s: float


def run(cells: int, tenants: int) -> Result:
    names = [f"tenant-{number}" for number in range(tenants)]
    fresh, cached = _hands(names[:_HANDS])
    before = _even(cells)
    after = replace(before, number=2, seats=before.seats[1:])
    ones = np.ones(tenants)
    population = Population(names, ones, ones.astype(np.int64), ones.astype(np.int64))
    return Result(
        cells=cells,
        tenants=tenants,
        hand_us=fresh,
        hand_cached_us=cached,
        population_s=_least(lambda: deal(Dealer(before), names)),
        plan_s=_least(lambda: plan(before, after, population)),
    )


def _hands(names: list[str]) -> tuple[float, float]:
    """Microseconds of a hand that is dealt, and of one that is remembered."""
    fresh, cached = Dealer(_even(_CELLS_OF_A_HAND), cached=1), Dealer(_even(_CELLS_OF_A_HAND))

    def each(dealer: Dealer) -> float:
        return _least(lambda: [dealer.hand(name) for name in names]) / len(names) * 1e6

    # The first round of the latter deals, and the least of several counts.
    return each(fresh), each(cached)


def _least(act: Callable[[], object]) -> float:
    """Seconds of processor time."""
    found = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        act()
        found.append(time.process_time() - began)
    return min(found)


def _even(cells: int) -> Generation:
    seats = tuple(Seat(f"cell-{number:04}", f"zone-{number % _ZONES}") for number in range(cells))
    return Generation(number=1, seed=1, hand_size=_HAND, seats=seats)
