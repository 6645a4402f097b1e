"""The hands of a whole population at once, as arrays: what plans and blast radii are counted from.

Half a million hands are dealt in about a second (`python -m bench sharding`) and take four bytes a slot. They
are those of `Dealer`: tenants with rules of their own or dedicated seats are dealt by it, one by one; all
others, who are nearly everybody, natively by their keys.

Cells are numbers here: their places in `cells`, which may be of more than one generation, so that hands of
two can be compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sharding.dealer import Dealer
from sharding.generation import Generation
from sharding.pool import name_keys
from sharding.slots import add_up, count_marked, count_shared, mark_new

Counts = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int64]
Marks = npt.NDArray[np.bool_]
Loads = npt.NDArray[np.float64]
Keys = npt.NDArray[np.uint64]

# Of how many something is done at once, while the interpreter's lock is held.
_AT_ONCE = 8192


@dataclass(frozen=True, slots=True)
class Hands:
    """`slots[begins[t]:begins[t + 1]]` are the cells of tenant t, in the order of the deal.

    `slots` is int32, an index of `cells` for each slot; `begins` int64, one more than there are tenants.
    """

    cells: tuple[str, ...]
    begins: Counts
    slots: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.begins) - 1

    @property
    def sizes(self) -> Counts:
        """How many cells each tenant has."""
        return np.diff(self.begins)

    def hand(self, tenant: int) -> tuple[str, ...]:
        """The cells of the tenant with that number."""
        return tuple(self.cells[cell] for cell in self.slots[self.begins[tenant] : self.begins[tenant + 1]])

    def marked(self, cells: Marks) -> Counts:
        """How many of each tenant's cells are marked."""
        return self.totals(cells[self.slots])

    def totals(self, marks: Marks) -> Counts:
        """How many of each tenant's slots are marked."""
        out = np.empty(len(self), np.int64)
        count_marked(self.begins, marks.view(np.uint8), out)
        return out

    def per_cell(self, unmarked: Loads, marked: Loads | None = None, marks: Marks | None = None) -> Loads:
        """What is said of each tenant, added up over the slots of each cell; `marked` of marked slots."""
        if marks is None or marked is None:
            marks, marked = np.zeros(len(self.slots), np.bool_), unmarked
        out = np.zeros(len(self.cells))
        add_up(self.begins, self.slots, marks.view(np.uint8), unmarked, marked, out)
        return out

    def count(self, marks: Marks | None = None) -> Counts:
        """How many slots each cell has, of those that are marked."""
        ones = np.ones(len(self))
        found = self.per_cell(ones) if marks is None else self.per_cell(np.zeros(len(self)), ones, marks)
        return found.astype(np.int64)

    def loads(self, rates: Loads | None = None) -> Loads:
        """What each cell has to carry if each tenant's rate, or 1, is spread evenly over its hand."""
        return self.per_cell((1.0 if rates is None else rates) / np.maximum(self.sizes, 1))

    def shared(self, some: Indices, others: Indices) -> Counts:
        """How many cells each tenant of `some` shares with the one at the same place of `others`."""
        out = np.zeros(len(some), np.int64)
        count_shared(self.begins, self.slots, some, others, len(self.cells), out)
        return out

    def new_since(self, before: Hands) -> Marks:
        """For each slot, whether its cell was not in the hand of the same tenant in `before`."""
        out = np.zeros(len(self.slots), np.uint8)
        mark_new(before.begins, before.slots, self.begins, self.slots, len(self.cells), out)
        return out.view(np.bool_)


def deal(dealer: Dealer, tenants: Sequence[str], cells: tuple[str, ...] = ()) -> Hands:
    """The hands of `tenants`; `cells` are names for the numbers, those of the generation's seats if not said.

    Raises:
        KeyError: a cell that is dealt is none of `cells`.
    """
    generation = dealer.generation
    cells = cells or cells_of(generation)
    number = {cell: index for index, cell in enumerate(cells)}
    ruled = {index: dealer.hand(name) for index, name in _with_rules(generation, tenants)}
    pool, size = dealer.plain
    sizes = np.full(len(tenants), size, np.int64)
    for index, hand in ruled.items():
        sizes[index] = len(hand)
    begins = np.concatenate(([0], np.cumsum(sizes)))
    slots = np.empty(begins[-1], np.int32)
    is_plain = np.ones(len(tenants), np.bool_)
    is_plain[[*ruled]] = False
    keys = keys_of(tenants, generation.seed)
    numbers = np.array([number[cell] for cell in pool.cells], np.int32)
    pool.deal_all(keys[is_plain], size, begins[:-1][is_plain], numbers, slots)
    for index, hand in ruled.items():
        slots[begins[index] : begins[index + 1]] = [number[cell] for cell in hand]
    return Hands(cells, begins, slots)


def merged(active: Hands, previous: Hands, taken: Marks) -> Hands:
    """The hands of `active` for the tenants that it has taken over, those of `previous` for the others.

    Both are of the same tenants, and number their cells alike.
    """
    sizes = np.where(taken, active.sizes, previous.sizes)
    begins = np.concatenate(([0], np.cumsum(sizes)))
    slots = np.empty(begins[-1], np.int32)
    for hands, theirs in ((active, taken), (previous, ~taken)):
        slots[np.repeat(theirs, sizes)] = hands.slots[np.repeat(theirs, hands.sizes)]
    return Hands(active.cells, begins, slots)


def keys_of(names: Sequence[str], seed: int) -> Keys:
    """The key by which each name is dealt."""
    keys = np.empty(len(names), np.uint64)
    for first in range(0, len(names), _AT_ONCE):
        name_keys(names[first : first + _AT_ONCE], seed, keys[first : first + _AT_ONCE])
    return keys


def slices(numbers: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """All of it, in parts for which others need not wait."""
    for first in range(0, len(numbers), _AT_ONCE):
        yield numbers[first : first + _AT_ONCE]


def cells_of(*generations: Generation) -> tuple[str, ...]:
    """Every cell that has a seat in one of them, in the order of names."""
    return tuple(sorted({seat.cell for generation in generations for seat in generation.seats}))


def _with_rules(generation: Generation, tenants: Sequence[str]) -> Iterator[tuple[int, str]]:
    """The tenants that are not dealt by their own name from what is common to all."""
    special = generation.overrides.keys() | generation.owners()
    if special:
        yield from ((index, name) for index, name in enumerate(tenants) if name in special)
