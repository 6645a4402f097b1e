"""Which cells of the hand now, and in what order: by what is known of their health.

`pick` only orders, and drops no cell that has an address: when everything looks broken, the router
tries all the same (health checks fail open). Nothing outside the hand is ever added.

    active → draining, warming → open, ejected → departed, drained → departed and open

where open is what a cell's circuit breaker is, and ejected are cells that are worse than the others
(`breakers.py`).

Pure: the time is an argument, in seconds on a monotonic clock.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from router.breakers import Breakers
from router.view import KnownCell
from version_manager.model.fleet import CellState

_STANDING = {CellState.ACTIVE: 0, CellState.WARMING: 1, CellState.DRAINING: 1, CellState.DRAINED: 3}
_OPEN = 2
_DEPARTED = 3


def pick(
    order: Sequence[str], cells: Mapping[str, KnownCell], breakers: Breakers, now: float
) -> tuple[str, ...]:
    """The cells of `order` that have an address, the likeliest to answer first; ties keep their order."""
    known = [name for name in order if name in cells]
    ejected = breakers.ejected(known, now)
    ranked = [(standing(cells[name], breakers, now, ejected), name) for name in known]
    ranked.sort(key=lambda pair: pair[0])
    return tuple([name for _, name in ranked])


def speaking(order: Sequence[str], cells: Mapping[str, KnownCell], least: int) -> tuple[str, ...]:
    """The cells of `order` that know what came with the protocol's number `least`.

    None of them does: all, for they are there, and whoever asks one of them is told that it is old.
    """
    found = tuple([name for name in order if name in cells and cells[name].cell.protocol >= least])
    return found or tuple(order)


def nearest(
    order: Sequence[str],
    hand: Collection[str],
    cells: Mapping[str, KnownCell],
    breakers: Breakers,
    now: float,
) -> int:
    """How many cells of `order`, from the first one on, are of `hand`, and none is worse off than another."""
    ejected = breakers.ejected(order, now)
    for place, name in enumerate(order):
        if name not in hand or standing(cells[name], breakers, now, ejected):
            return place
    return len(order)


def standing(known: KnownCell, breakers: Breakers, now: float, ejected: Collection[str] = frozenset()) -> int:
    """How far back a cell stands; below 2, it should answer."""
    behind = _OPEN if known.cell.id in ejected or breakers.is_open(known.cell.id, now) else 0
    if known.departed:
        return _DEPARTED + behind
    return max(_STANDING[known.cell.state], behind)


def is_reachable(known: KnownCell, breakers: Breakers, now: float) -> bool:
    """Whether the cell should answer, from all that is known."""
    return standing(known, breakers, now) < _OPEN


def is_connected(known: KnownCell, breakers: Breakers, now: float) -> bool:
    """Whether requests get to the cell, if it is one that should answer, from all that is known.

    A router is ready with one of them. Cells that are silent, as while they wait for a store that hangs, are
    so to every router; without any that is ready, models that are loaded would not be served either.
    """
    is_standing = not known.departed and _STANDING[known.cell.state] < _OPEN
    return is_standing and not breakers.is_cut_off(known.cell.id, now)
