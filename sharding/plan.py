"""What a new generation will do, counted before it does it: for an operator to read, and to be refused by.

A plan deals the whole population from both generations and compares them slot by slot. Who moves, and from
and to which cells, is therefore not estimated: it is what happens. Loads, in models, are to be *expected*,
since which of a tenant's models stands on which of its cells is a matter of a hash.

**Cold loads.** A model is served from the first cell of its hand in an order of its own (`placement.order`).
Of a tenant that keeps s cells, loses l and gains g, each of the s + l + g is equally often the first, so that

- a gained cell becomes the first of the new hand, and has to load, for 1 / (s + g) of the models;
- a kept cell takes over from a lost one for l / ((s + l + g) (s + g)) of them.

Both add up to (l + g) / (s + l + g). With another seed, nobody's order stays.

**Load** of a cell is what its tenants' rates come to, spread evenly over each hand, over the cell's weight;
"max over mean" compares the heaviest of the active cells with all of them.

Nothing here reads or asks anything: whoever plans brings rates and models along.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sharding.dealer import Dealer
from sharding.generation import Generation
from sharding.population import Counts, Hands, Indices, Loads, Marks, cells_of, deal

# Slots that a change may move beside those of the cells that it names, as a share of all.
ALLOWANCE = 0.02
# Tenants and conflicts that are named; who has more has one cause.
MOST = 20
# Tenants whose zones are looked at together.
_AT_ONCE = 65_536


@dataclass(frozen=True, slots=True)
class Population:
    """The tenants to plan for, each once. What is not known is None: all alike, one model each.

    `rates` are requests a second; `models` how many each has, `model_bytes` what they take together.
    """

    names: Sequence[str]
    rates: Loads | None = None
    models: Counts | None = None
    model_bytes: Counts | None = None


@dataclass(frozen=True, slots=True)
class CellChange:
    """What a cell has before and after. `cold_loads` are to be expected on it; `load` is over its weight."""

    cell: str
    slots_before: int
    slots_after: int
    gained: int
    lost: int
    load_before: float
    load_after: float
    cold_loads: float
    cold_bytes: float | None


@dataclass(frozen=True, slots=True)
class Shortfall:
    """A hand that spans fewer zones than it could."""

    tenant: str
    zones: int
    possible: int


@dataclass(frozen=True, slots=True)
class Plan:
    """`slots_moved` counts for each tenant the cells that it gains or loses, whichever are more.

    `cells` has a line for each cell of either generation. `balance_…` is max over mean. `overlap_…[j]` counts
    those who share j cells, of as many pairs as there are tenants. Of `shortfalls`, `stranded` (who is left
    without a cell) and `conflicts` (what pins do not come to) the first are listed, and `…_total` counts all.
    """

    population: Population
    before: Hands
    after: Hands
    gained: Marks
    lost: Marks
    tenants_moved: int
    slots_moved: int
    cells: tuple[CellChange, ...]
    cold_loads: float
    cold_bytes: float | None
    balance_before: float
    balance_after: float
    overlap_before: tuple[int, ...]
    overlap_after: tuple[int, ...]
    shortfalls: tuple[Shortfall, ...]
    shortfalls_total: int
    stranded: tuple[str, ...]
    stranded_total: int
    conflicts: tuple[str, ...]
    conflicts_total: int

    def warming_seconds(self, loads_per_second: float) -> float:
        """How long the cell that has most to load takes, at so many loads a second on each."""
        return max((cell.cold_loads for cell in self.cells), default=0.0) / loads_per_second

    def slots_of(self, cells: Collection[str]) -> int:
        """The slots that a change of these cells may move: what they lose, and what they come to have.

        Both, since a cell that is dedicated loses all it had, and its owner comes to it.
        """
        return sum(c.lost + c.gained for c in self.cells if c.cell in cells)

    def moves(self, most: int | None = None) -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...]]]:
        """Tenants that move, with the cells that they lose and those that they gain; the heaviest first."""
        moved = np.flatnonzero(self.after.totals(self.gained) + self.before.totals(self.lost))
        if self.population.rates is not None:
            moved = moved[np.argsort(-self.population.rates[moved], kind="stable")]
        for tenant in moved[:most].tolist():
            old, new = self.before.hand(tenant), self.after.hand(tenant)
            lost, gained = (tuple(c for c in a if c not in b) for a, b in ((old, new), (new, old)))
            yield self.population.names[tenant], lost, gained


def plan(before: Generation, after: Generation, population: Population) -> Plan:
    """What it does to `population` when `after` deals instead of `before`."""
    cells = cells_of(before, after)
    old, new = (deal(Dealer(one), population.names, cells) for one in (before, after))
    gained, lost = new.new_since(old), old.new_since(new)
    gains, losses = new.totals(gained), old.totals(lost)
    is_reseeded = before.seed != after.seed
    loads = _cold(old, new, gained, gains, losses, population.models, is_reseeded)
    heavy = population.model_bytes
    sizes = None if heavy is None else _cold(old, new, gained, gains, losses, heavy, is_reseeded)
    was, will = (balance_of(hands, one, population.rates) for hands, one in ((old, before), (new, after)))
    short, shortfalls = _shortfalls(new, after, population.names)
    stranded = np.flatnonzero(new.sizes == 0)
    conflicts = list(_conflicts(after))
    return Plan(
        population=population,
        before=old,
        after=new,
        gained=gained,
        lost=lost,
        tenants_moved=int(np.count_nonzero(gains + losses)),
        slots_moved=int(np.maximum(gains, losses).sum()),
        cells=tuple(_lines(old, new, gained, lost, was.loads, will.loads, loads, sizes)),
        cold_loads=float(loads.sum()),
        cold_bytes=None if sizes is None else float(sizes.sum()),
        balance_before=was.balance,
        balance_after=will.balance,
        overlap_before=_overlap(old),
        overlap_after=_overlap(new),
        shortfalls=tuple(shortfalls),
        shortfalls_total=len(short),
        stranded=tuple(population.names[tenant] for tenant in stranded[:MOST].tolist()),
        stranded_total=len(stranded),
        conflicts=tuple(conflicts[:MOST]),
        conflicts_total=len(conflicts),
    )


def refusals(planned: Plan, named: Collection[str], allowance: float = ALLOWANCE) -> list[str]:
    """Why a change that names these cells is not made without force; nothing: it is made.

    It may move their slots, and a share of all slots beside.
    """
    found = []
    own, every = planned.slots_of(named), len(planned.before.slots)
    allowed = own + int(allowance * every)
    if planned.slots_moved > allowed:
        found.append(
            f"it moves {planned.slots_moved} slots; the cells that it names have {own} of {every}, "
            f"and {allowed} may move"
        )
    if planned.stranded_total:
        some = ", ".join(planned.stranded[:3])
        more = ", …" if planned.stranded_total > 3 else ""
        found.append(f"it leaves {planned.stranded_total} tenants without a cell: {some}{more}")
    return found


@dataclass(frozen=True, slots=True)
class Balance:
    """What each cell carries over its weight (0 where it has no active seat), and max over mean of that."""

    loads: Loads
    balance: float


def balance_of(hands: Hands, generation: Generation, rates: Loads | None) -> Balance:
    """How the load of `rates`, or of one for each tenant, lies on the active cells of `generation`."""
    weight = {seat.cell: seat.weight for seat in generation.seats if not seat.draining}
    weights = np.array([weight.get(cell, 0.0) for cell in hands.cells])
    carried, active = hands.loads(rates), weights > 0
    loads = np.divide(carried, weights, out=np.zeros(len(weights)), where=active)
    mean = carried[active].sum() / weights[active].sum() if active.any() else 0.0
    return Balance(loads, float(loads.max() / mean) if mean else 0.0)


def _cold(
    old: Hands,
    new: Hands,
    gained: Marks,
    gains: Counts,
    losses: Counts,
    models: Counts | None,
    is_reseeded: bool,
) -> Loads:
    """By cell, what of each tenant's models is to be loaded there: see the top."""
    count = np.ones(len(new)) if models is None else models.astype(np.float64)
    after, before = np.maximum(new.sizes, 1), old.sizes
    if is_reseeded:
        kept = count / after * (1 - 1 / np.maximum(before, 1))
    else:
        kept = count * losses / (np.maximum(before + gains, 1) * after)
    return new.per_cell(kept, count / after, gained)


def _lines(
    old: Hands,
    new: Hands,
    gained: Marks,
    lost: Marks,
    was: Loads,
    will: Loads,
    loads: Loads,
    sizes: Loads | None,
) -> Iterator[CellChange]:
    before, after, gains, losses = old.count(), new.count(), new.count(gained), old.count(lost)
    for number, cell in enumerate(new.cells):
        yield CellChange(
            cell,
            int(before[number]),
            int(after[number]),
            int(gains[number]),
            int(losses[number]),
            float(was[number]),
            float(will[number]),
            float(loads[number]),
            None if sizes is None else float(sizes[number]),
        )


def _overlap(hands: Hands) -> tuple[int, ...]:
    """Each tenant beside the one that is half of all further on: names that follow one another may be kin."""
    some = np.arange(len(hands))
    if len(some) < 2:
        return ()
    shared = hands.shared(some, np.roll(some, len(some) // 2))
    return tuple(np.bincount(shared).tolist())


def _shortfalls(
    hands: Hands, generation: Generation, names: Sequence[str]
) -> tuple[Indices, list[Shortfall]]:
    """Whose hand falls short, and the first of them."""
    zones = sorted({seat.zone for seat in generation.seats if not seat.draining})
    zone_of = {seat.cell: zones.index(seat.zone) for seat in generation.seats if not seat.draining}
    zone = np.array([zone_of.get(cell, 0) for cell in hands.cells], np.int64)
    spans = np.empty(len(hands), np.int64)
    for first in range(0, len(hands), _AT_ONCE):
        begins = hands.begins[first : first + _AT_ONCE + 1]
        seen = np.zeros((len(begins) - 1, len(zones)), np.bool_)
        owners = np.repeat(np.arange(len(seen)), np.diff(begins))
        seen[owners, zone[hands.slots[begins[0] : begins[-1]]]] = True
        spans[first : first + len(seen)] = np.count_nonzero(seen, axis=1)
    possible = np.minimum(hands.sizes, len(zones))
    short = np.flatnonzero(spans < possible)
    named = [
        Shortfall(names[tenant], int(spans[tenant]), int(possible[tenant]))
        for tenant in short[:MOST].tolist()
    ]
    return short, named


def _conflicts(generation: Generation) -> Iterator[str]:
    seats = {seat.cell: seat for seat in generation.seats}
    for tenant, rule in generation.overrides.items():
        for pin in dict.fromkeys(rule.pins):
            seat = seats.get(pin)
            if seat is None:
                yield f"{tenant} pins {pin}, which has no seat"
            elif seat.draining:
                yield f"{tenant} pins {pin}, which drains: its place is dealt"
            elif seat.dedicated not in {"", tenant, rule.isolation_group}:
                yield f"{tenant} pins {pin}, which is dedicated to {seat.dedicated}"
            if pin in rule.excludes:
                yield f"{tenant} pins {pin} and excludes it: the pin holds"
            if rule.pins.count(pin) > 1:
                yield f"{tenant} pins {pin} more than once: it counts once"
