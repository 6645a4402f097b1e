"""What a router does when a cell says that it deals by an old shard map: look for a newer one, and ask anew.

    a cell refuses (STALE_MAP)
      ├─ this router has a newer map by now     ──▶ asked again, by that
      └─ it has not: the request waits, for half of its time and no longer than half a second
           ├─ a map comes that deals to its tenant by another generation ──▶ asked again, by that
           └─ none does                                                  ──▶ UNAVAILABLE, STALE_MAP

Most often the map is on its way, for a cell may hear of it a moment before a router does. If it is not there
after that moment, the watch is opened anew, at another version manager if there is one, and so once a second
while nothing newer comes. What was refused was not scored, so that asking again takes no retry from the
budget, and it is no sign of trouble in the cell.

**A router that stays behind** is of no use to anybody: after a while without a newer map it says that it does
not serve, until it has one. But a cell may err too. So it goes by what a single cell says only while it
hears no version manager; if it hears one, half of the fleet has to refuse its map.

Pure but for the wheel. What waits is in flight, and bounded with that (`admission.py`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Protocol

from croupier.errors import Cancelled, CroupierError, Unavailable
from croupier.telemetry.metrics import Counter, Gauge
from router.route import dealt_by
from router.view import EMPTY, View
from router.wheel import Item, Wheel

# Seconds: that a request waits; that a map may be on its way; between two times that one is looked for.
WAIT_SECONDS = 0.5
_ON_ITS_WAY = 0.025
_EVERY = 1.0

_log = logging.getLogger(__name__)
_REFUSED = Counter(
    "croupier_router_stale_requests_total",
    "Requests that were dealt by an old shard map, by their end",
    ["end"],
)
_BEHIND = Gauge(
    "croupier_router_behind", "1 while cells refuse what this router deals, and no newer shard map comes"
)


class StaleMap(Unavailable):
    """A cell refused what an old shard map dealt. Ours, passing: this router is behind."""

    reason = "STALE_MAP"


class OldCell(Unavailable):
    """A cell of a release before does not know features that are not the caller's. Ours, passing."""

    reason = "OLD_CELL"


class Cancellable(Protocol):
    def cancel(self) -> None: ...


class Waiter:
    """One request that waits for a newer map, and then what it is asked anew by; `cancel` gives up either."""

    __slots__ = ("_again", "_over", "_run", "_stale", "number", "slot", "tenant", "until")

    def __init__(
        self,
        stale: Stale,
        tenant: str,
        number: int,
        until: float,
        again: Callable[[float], Cancellable | None],
        over: Callable[[CroupierError | None], None],
    ) -> None:
        self.slot: set[Item] | None = None
        self._stale, self.tenant, self.number, self.until = stale, tenant, number, until
        # None once it waits no longer: the call holds on to this, and nothing may hold on to the call.
        self._again: Callable[[float], Cancellable | None] | None = again
        self._over: Callable[[CroupierError | None], None] | None = over
        self._run: Cancellable | None = None

    def go_on(self) -> None:
        """There is a newer map."""
        again, self._again, self._over = self._again, None, None
        if again is not None:
            _REFUSED.labels("again").inc()
            self._run = again(self.until)

    def give_up(self, error: CroupierError | None = None) -> None:
        """The request ends as it was refused, or with `error`."""
        over, self._again, self._over = self._over, None, None
        if over is not None:
            _REFUSED.labels("late" if error is None else "cancelled").inc()
            over(error)

    def expire(self, now: float) -> None:
        self._stale.forget(self)
        self.give_up()

    def cancel(self) -> None:
        if self._run is not None:
            self._run.cancel()
        elif self._over is not None:
            self._stale.forget(self)
            self.give_up(Cancelled("the caller hung up"))


class Stale:
    """Who waits for a newer map, and whether this router is behind. `clock` is that of `wheel`, in seconds.

    `seconds` after the first refusal it is behind, if no newer map has come.
    """

    def __init__(self, wheel: Wheel, *, clock: Callable[[], float], seconds: float = 5.0) -> None:
        # The wheel's: when to look for a newer map.
        self.slot: set[Item] | None = None
        self.is_behind = False
        self.seconds = seconds
        self._wheel = wheel
        self._clock = clock
        self._view = EMPTY
        # In the order that they came.
        self._waiting: dict[Waiter, None] = {}
        # When the first cell refused what the held map deals, and which ones did; 0: none.
        self._since = 0.0
        self._cells: set[str] = set()
        self._look_again: Callable[[], None] = _nothing
        self._hears: Callable[[], bool] = _always
        self._changed: Callable[[bool], None] = _ignore

    def __len__(self) -> int:
        return len(self._waiting)

    def attend(
        self, look_again: Callable[[], None], hears: Callable[[], bool], changed: Callable[[bool], None]
    ) -> None:
        """How to look for a newer map, whether a version manager is heard, who is told of being behind."""
        self._look_again, self._hears, self._changed = look_again, hears, changed

    def follow(self, view: View) -> None:
        """`view` is what is dealt by: let those go whose tenants are dealt to otherwise now."""
        held, self._view = self._view, view
        if view.generations == held.generations and view.ramp == held.ramp:
            return
        self._since = 0.0
        self._cells.clear()
        self._wheel.remove(self)
        self._say(is_behind=False)
        for waiter in [one for one in self._waiting if dealt_by(view, one.tenant) != one.number]:
            self.forget(waiter)
            waiter.go_on()

    def hold(self, waiter: Waiter, cells: Iterable[str]) -> None:
        """What `waiter` is of was refused by `cells`: it goes on at once, waits, or gives up."""
        if dealt_by(self._view, waiter.tenant) != waiter.number:
            waiter.go_on()
            return
        now = self._clock()
        self._cells.update(cells)
        if not self._since:
            self._since = now
            self._wheel.add(self, now + _ON_ITS_WAY)
        if waiter.until <= now:
            waiter.give_up()
            return
        self._waiting[waiter] = None
        self._wheel.add(waiter, waiter.until)

    def until(self, deadline: float) -> float:
        """Until when a request with `deadline` may wait: there has to be time left to ask anew."""
        now = self._clock()
        return now + min(WAIT_SECONDS, max(0.0, deadline - now) / 2)

    def forget(self, waiter: Waiter) -> None:
        """`waiter` waits no longer."""
        self._waiting.pop(waiter, None)
        self._wheel.remove(waiter)

    def expire(self, now: float) -> None:
        """The wheel's: nothing newer has come."""
        self._look_again()
        if now - self._since >= self.seconds and self._is_sure():
            self._say(is_behind=True)
        self._wheel.add(self, now + _EVERY)

    def _is_sure(self) -> bool:
        """Whether it is this router that is wrong, and not a cell."""
        there = sum(not known.departed for known in self._view.cells.values())
        return not self._hears() or 2 * len(self._cells) >= there

    def _say(self, *, is_behind: bool) -> None:
        if is_behind == self.is_behind:
            return
        self.is_behind = is_behind
        _BEHIND.set(is_behind)
        if is_behind:
            _log.error("cells refuse what is dealt here, and no newer shard map comes: not serving")
        else:
            _log.warning("there is a newer shard map: serving again")
        self._changed(is_behind)


def _nothing() -> None:
    pass


def _always() -> bool:
    return True


def _ignore(_: bool) -> None:
    pass
