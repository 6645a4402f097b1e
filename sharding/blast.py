"""Who is hurt when cells break: counted on the real map, beside the exact chance of it.

A tenant is hurt *wholly* when every cell of its hand is among those that broke, and *partly* when some are:
it is served then, by fewer cells. The cells may be any, those of a zone, or the hands of tenants that break
what serves them.

The chances (`overlap.shared_with`) are of a tenant without rules of its own on cells of one weight. That what
is counted on the map is near them shows that the deal does what it should; where it is not, rules are why.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np

from sharding import overlap
from sharding.generation import Generation, size_of
from sharding.population import Counts, Hands, Indices

# Ways in which a last round may end that are looked at for one question.
_MOST_REACHES = 100_000


@dataclass(frozen=True, slots=True)
class Blast:
    """`whole` and `partial` are numbers of tenants; `left` is the share of cells that a partial one keeps.

    `shared[j]` counts the tenants that have j of `cells`, and `tenants` all that count.
    """

    cells: tuple[str, ...]
    tenants: int
    shared: tuple[int, ...]
    whole: Indices
    partial: Indices
    left: np.ndarray


@dataclass(frozen=True, slots=True)
class Poison:
    """Trials in which some tenants broke all cells of their hands: how many *others* were hurt in each.

    `expected_…` is what the exact chances come to on average over the same trials.
    """

    whole: Counts
    partial: Counts
    expected_whole: float
    expected_partial: float


def blast(hands: Hands, cells: Collection[str], but: Collection[int] = ()) -> Blast:
    """Who is hurt when `cells` break; tenants of the numbers `but` do not count."""
    broken = np.isin(np.array(hands.cells), sorted(cells)) if cells else np.zeros(len(hands.cells), np.bool_)
    hit, sizes = hands.marked(broken), hands.sizes
    hit[[*but]] = 0
    shared = np.bincount(hit)
    if len(hit):
        shared[0] -= len(but)
    partial = np.flatnonzero((hit > 0) & (hit < sizes))
    whole = np.flatnonzero((hit > 0) & (hit == sizes))
    left = 1 - hit[partial] / sizes[partial]
    return Blast(tuple(sorted(cells)), len(hands) - len(but), tuple(shared.tolist()), whole, partial, left)


def zone_cells(generation: Generation, zone: str) -> tuple[str, ...]:
    """The cells that have a seat in a zone."""
    return tuple(seat.cell for seat in generation.seats if seat.zone == zone)


def chances(generation: Generation, cells: Collection[str]) -> tuple[Fraction, ...]:
    """The chances that a tenant without rules has 0, 1, … of `cells` in its hand: one more than its size."""
    seats = generation.active()
    zones: dict[str, list[int]] = {}
    for seat in seats:
        zone = zones.setdefault(seat.zone, [0, 0])
        zone[0] += seat.cell in cells
        zone[1] += 1
    size = min(size_of(generation.hand_size, len(seats)), len(seats))
    # The order of zones makes no difference, and is the same for more sets of cells when they are sorted.
    return _chances(tuple(sorted((held, count) for held, count in zones.values())), size)


@lru_cache(maxsize=4096)
def _chances(zones: tuple[tuple[int, int], ...], size: int) -> tuple[Fraction, ...]:
    found = overlap.shared_with([held for held, _ in zones], [count for _, count in zones], size)
    return (*found, *[Fraction(0)] * (size + 1 - len(found)))


def poison(hands: Hands, generation: Generation, count: int, trials: int, rng: np.random.Generator) -> Poison:
    """Let `count` tenants, drawn anew for each of `trials`, break every cell of their hands.

    Where zones are of many sizes, exact chances take long: what is expected is that of the first trials then.

    Raises:
        ValueError: there are not as many tenants.
    """
    whole, partial = np.zeros(trials, np.int64), np.zeros(trials, np.int64)
    expected = np.zeros(2)
    expecting = max(1, min(trials, _MOST_REACHES // _reaches(generation)))
    for trial in range(trials):
        drawn = rng.choice(len(hands), count, replace=False)
        cells = {cell for tenant in drawn for cell in hands.hand(tenant)}
        hurt = blast(hands, cells, drawn)
        whole[trial], partial[trial] = len(hurt.whole), len(hurt.partial)
        if trial < expecting:
            odds = chances(generation, cells)
            expected += (len(hands) - count) * np.array([float(odds[-1]), float(1 - odds[0] - odds[-1])])
    return Poison(whole, partial, *(expected / expecting).tolist())


def _reaches(generation: Generation) -> int:
    """In how many ways the last round of a deal may end, by the sizes of zones: what exact chances add up."""
    zones = Counter(seat.zone for seat in generation.active())
    return math.prod(alike + 1 for alike in Counter(zones.values()).values())
