"""When a call that is silent for longer than nearly all such calls is sent to the next cell as well.

The first answer wins, and the other call is cancelled. Such a call costs a cell as much as any other, so:

- it is for one prediction whose model answers from the memory of this very cell: one that has to be loaded,
  or that nobody has asked for lately, is slow for a reason that the next cell would have too;
- it waits for as long as 95 of 100 such calls take (the model's own, or where it was hardly asked for, the
  cell's), and never less than `FLOOR_SECONDS`: by then a cell has long said that a model runs on and on, and
  what holds up one cell goes to no other;
- the next cell has to be of the hand, in order and not busy;
- one request in twenty may have one, by a budget like that of retries; and it takes a retry, too, so that
  where retries are over there are no hedges either.

Compiled with the types of `hedges.pxd`, since every request brings a twentieth of a hedge.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from croupier.telemetry.metrics import LoopCounter
from router.loads import CellLoad, after

if TYPE_CHECKING:
    from router.budget import RetryBudget
    from router.remembered import Route

_HEDGES = LoopCounter(
    "croupier_router_hedges_total",
    "Calls to a further cell since the first one was silent for longer than most, by their end",
    ["end"],
    known=[("sent",), ("won",), ("denied",)],
)

# Twice what a cell takes to say that it is at work for long.
FLOOR_SECONDS = 0.1
# A model that a cell has not answered for in so long may have left its memory.
WARM_SECONDS = 60.0
# Calls that a cell may have in flight and still not be busy.
BUSY = 16
# Of the cells of a route, as many are told apart.
_most_cells = 31
# So many answers make an estimate of the model's own.
ENOUGH = 20

# The same as C's, for what every call asks.
_warm, _floor, _never, _enough = WARM_SECONDS, FLOOR_SECONDS, inf, ENOUGH


class Hedges:
    """Of `share` of the requests there may be hedges, and `most` at once."""

    def __init__(self, *, share: float = 0.05, most: float = 20.0) -> None:
        self.share, self.most = share, most
        self.tokens = 0.0

    def deposit(self) -> None:
        """A request came."""
        self.tokens = min(self.most, self.tokens + self.share)

    def take(self, budget: RetryBudget, now: float) -> bool:
        """Whether one hedge may be sent now; it is paid for if so, to `budget` too."""
        if self.tokens < 1.0 or not budget.take(now):
            _HEDGES.values["denied",] += 1
            return False
        self.tokens -= 1.0
        _HEDGES.values["sent",] += 1
        return True


def note_won() -> None:
    """The hedge was answered first."""
    _HEDGES.values["won",] += 1


def note_answer(route: Route | None, cell: str, seconds: float, is_cold: bool, now: float) -> None:
    """The cell answered a request of the route after so many seconds; cold, if it had to load the model."""
    if route is None:
        return
    if now - route.warm_since >= _warm:
        route.warm_before = route.warm if now - route.warm_since < 2 * _warm else 0
        route.warm, route.warm_since = 0, now
    route.warm |= _bit(route, cell)
    if not is_cold:
        route.tail = after(route.tail, seconds)
        route.timed += 1


def patience(route: Route | None, load: CellLoad, cell: str, now: float) -> float:
    """How many seconds a call to the cell may be silent; infinity for one that is not to be hedged."""
    if route is None or now - route.warm_since >= 2 * _warm:
        return _never
    if not (route.warm | route.warm_before) & _bit(route, cell):
        return _never
    tail = route.tail if route.timed >= _enough else max(route.tail, load.tail)
    return max(_floor, tail)


def _bit(route: Route, cell: str) -> int:
    """That of the cell among those of the route; none for one beyond those that are told apart."""
    order = route.order
    count = min(len(order), _most_cells)
    for place in range(count):
        # By identity: whichever of its cells it was, a route has that name itself.
        if order[place] is cell:
            return 1 << place
    return 0
