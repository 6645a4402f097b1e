"""Proposes pins for the heaviest tenants, so that their load is spread better than by chance.

Hands are dealt blindly, so a few tenants that are much heavier than the rest may meet on one cell. Pinning
these evens the load out, and costs what pins cost: they do not follow the fleet. So there are few of them.

Greedy and deterministic: the load of all others stays where it is dealt. The heaviest are then placed one
after the other, the heaviest first. One that fits where it is dealt stays there; another is given, in rounds
over the zones as in a deal, the cells of least load. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from sharding.dealer import Dealer
from sharding.generation import NO_OVERRIDE, Generation, Override
from sharding.plan import Population, balance_of
from sharding.population import Loads, deal, slices

# Tenants that get pins at most.
MOST_PINNED = 256
# A cell may come so far above the mean before a tenant is moved from it.
TOLERANCE = 0.02


@dataclass(frozen=True, slots=True)
class Proposal:
    """Overrides to set, and load max over mean before and with them."""

    overrides: Mapping[str, Override]
    balance_before: float
    balance_after: float

    def applied(self, generation: Generation) -> Generation:
        """`generation` with them; its number stays."""
        return replace(generation, overrides={**generation.overrides, **self.overrides})


def optimize(generation: Generation, population: Population, most: int = MOST_PINNED) -> Proposal:
    """Pins for at most `most` tenants. Left alone: who has pins, a group, or dedicated seats.

    Raises:
        ValueError: no rates are known.
    """
    if population.rates is None:
        raise ValueError("pins are proposed from rates, and none are known")
    hands = deal(Dealer(generation), population.names)
    before = balance_of(hands, generation, population.rates)
    fleet = _Fleet(generation, hands.cells, hands.loads(population.rates))
    heavy = [
        (
            float(population.rates[tenant]),
            population.names[tenant],
            hands.slots[hands.begins[tenant] :][:size],
        )
        for tenant, size in _heaviest(generation, population, hands.sizes, most)
    ]
    for rate, _, cells in heavy:
        fleet.carry(cells, -rate)
    pinned: dict[str, Override] = {}
    for rate, name, cells in heavy:
        rule = generation.overrides.get(name, NO_OVERRIDE)
        chosen = cells if fleet.is_room(cells, rate) else fleet.choose(len(cells), rate, rule.excludes)
        fleet.carry(chosen, rate)
        if {*chosen.tolist()} != {*cells.tolist()}:
            pins = tuple(hands.cells[cell] for cell in chosen)
            pinned[name] = replace(rule, pins=pins)
    proposal = Proposal(pinned, before.balance, before.balance)
    with_pins = proposal.applied(generation)
    after = balance_of(deal(Dealer(with_pins), population.names), with_pins, population.rates)
    # What is greedy may fail: then nothing is proposed.
    return (
        replace(proposal, balance_after=after.balance)
        if after.balance < before.balance
        else replace(proposal, overrides={})
    )


def _heaviest(
    generation: Generation, population: Population, sizes: np.ndarray, most: int
) -> list[tuple[int, int]]:
    """Who may be pinned, the heaviest first, with the size of the hand; of equals the lower name."""
    assert population.rates is not None
    owners = generation.owners()

    def is_free(name: str) -> bool:
        rule = generation.overrides.get(name, NO_OVERRIDE)
        return not (rule.pins or rule.isolation_group or name in owners)

    ranked = np.argsort(-population.rates, kind="stable")
    free = (
        tenant
        for some in slices(ranked)
        for tenant in some.tolist()
        if population.rates[tenant] > 0 and sizes[tenant] and is_free(population.names[tenant])
    )
    return [(tenant, int(sizes[tenant])) for tenant, _ in zip(free, range(most), strict=False)]


class _Fleet:
    """What the common cells carry while tenants are taken off and put on."""

    def __init__(self, generation: Generation, cells: tuple[str, ...], loads: Loads) -> None:
        seats = {seat.cell: seat for seat in generation.active()}
        self._cells = cells
        self._loads = loads.copy()
        self._weights = np.array([seats[cell].weight if cell in seats else 1.0 for cell in cells])
        self._zones: dict[str, list[int]] = {}
        for number, cell in enumerate(cells):
            if cell in seats:
                self._zones.setdefault(seats[cell].zone, []).append(number)
        common = [number for zone in self._zones.values() for number in zone]
        self._mean = loads[common].sum() / self._weights[common].sum()

    def carry(self, cells: np.ndarray, rate: float) -> None:
        self._loads[cells] += rate / len(cells)

    def is_room(self, cells: np.ndarray, rate: float) -> bool:
        """Whether none of `cells` comes too far above the mean by it."""
        return bool((self._after(cells, rate / len(cells)) <= self._mean * (1 + TOLERANCE)).all())

    def choose(self, size: int, rate: float, excludes: tuple[str, ...]) -> np.ndarray:
        """The least loaded cells, in rounds over the zones."""
        ranked = []
        for zone in self._zones.values():
            free = np.array([cell for cell in zone if self._cells[cell] not in excludes], np.int64)
            after = self._after(free, rate / size)
            ranked.append([(after[i], free[i]) for i in np.argsort(after, kind="stable")])
        dealt: list[int] = []
        for rank in range(max(map(len, ranked))):
            dealt += [int(cell) for _, cell in sorted(zone[rank] for zone in ranked if rank < len(zone))]
            if len(dealt) >= size:
                break
        return np.array(dealt[:size], np.int64)

    def _after(self, cells: np.ndarray, share: float) -> Loads:
        found: Loads = (self._loads[cells] + share) / self._weights[cells]
        return found
