"""Circuit breakers, one for each cell: what became of the requests to it decides whether it is passed by.

A cell that cannot be reached, or that was silent for a whole attempt, has its breaker open at once; one that
answers UNAVAILABLE several times in a row, then. It stays open for a time that doubles with every failure, up
to a longest one. When that is over, one request probes the cell (half-open) while others still pass it by;
any answer closes the breaker. A cell that answered anybody while a request waited for it is not silent: it is
busy with that one request (a cold load), and its breaker stays as it is.

Cells that are worse than the others for many tenants are passed by as well, at most half of a hand:
`outliers.py` judges them, and `ejected` says which.

What it was that a cell did is kept for operators (`troubles`), for as long as it matters.

Pure: the time is an argument, in seconds on a monotonic clock.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from heapq import nsmallest

from croupier.backoff import Backoff
from croupier.recent import Noted, Recent
from router.outliers import Ejection, Outliers

# What a cell may do that none should.
SILENT, UNREACHABLE, UNAVAILABLE = "silent", "unreachable", "unavailable"
_NEVER = float("-inf")
_MOST_GIVEN_UP = 256


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a cell did: `why` the last time, at `failed`; it has answered nothing well from `since` on.

    `opened`: how often its breaker did meanwhile. `given_up`: calls that got no answer for a whole attempt
    lately, also of a cell that answers others.
    """

    why: str
    since: float
    failed: float
    opened: int
    given_up: Noted


@dataclass(slots=True)
class _Breaker:
    refusals: int = 0  # UNAVAILABLE answers, and silences too short to tell, in a row
    trips: int = 0  # times that it opened in a row
    until: float = _NEVER  # it is open
    probing: bool = False  # a request was let through to see whether the cell is back
    answered: float = _NEVER  # when the cell last answered anything
    why: str = ""  # what it failed with last
    since: float = _NEVER  # the first failure in a row began
    failed: float = _NEVER  # the last one was noticed


class Breakers:
    """`threshold` refusals in a row open one, for `first` seconds, doubling up to `longest`.

    A probe is given `probe` seconds.
    """

    def __init__(
        self,
        *,
        threshold: int = 5,
        first: float = 0.5,
        longest: float = 10.0,
        probe: float = 1.0,
        outliers: Outliers | None = None,
    ) -> None:
        self._threshold = threshold
        self._backoff = Backoff(first, longest)
        self._probe = probe
        self._breakers: dict[str, _Breaker] = {}
        self._outliers = outliers
        # Cells that failed and have not answered since, or are ejected: all others stand where the view puts
        # them.
        self.troubled: set[str] = set()
        self._ejected: dict[str, Ejection] = {}
        self._given_up: Recent[str] = Recent(_MOST_GIVEN_UP)

    def look(self, now: float) -> None:
        """A period is over, by which cells are judged beside the others."""
        if self._outliers is not None:
            self._outliers.look(now)
            self._ejected = self._outliers.ejected
            self.troubled.update(self._ejected)

    def ejected(self, hand: Collection[str], now: float) -> frozenset[str]:
        """The cells of `hand` that are passed by as outliers: none if more than half of it is, or is open."""
        if self._outliers is None or not self._ejected:
            return frozenset()
        out = frozenset(cell for cell in hand if self._outliers.is_out(cell, now))
        bad = len(out) + sum(self.is_open(cell, now) for cell in hand if cell not in out)
        return out if 2 * bad <= len(hand) else frozenset()

    @property
    def ejections(self) -> int:
        """How many cells are ejected."""
        return len(self._ejected)

    def ejection(self, cell: str) -> Ejection | None:
        """Why the cell is passed by beside what its breaker is, if it is."""
        return self._ejected.get(cell)

    def is_open(self, cell: str, now: float) -> bool:
        breaker = self._breakers.get(cell)
        return breaker is not None and now < breaker.until

    def is_cut_off(self, cell: str, now: float) -> bool:
        """Whether it is open since there is no connection to the cell."""
        breaker = self._breakers.get(cell)
        return breaker is not None and now < breaker.until and breaker.why == UNREACHABLE

    def state(self, cell: str, now: float) -> str:
        """`closed`, `open`, `half-open` (its probe is under way), `overdue` (the next request is one).

        Or `ejected`, if its breaker is closed.
        """
        breaker = self._breakers.get(cell)
        if breaker is None or not breaker.trips:
            return "ejected" if cell in self._ejected else "closed"
        if now >= breaker.until:
            return "overdue"
        return "half-open" if breaker.probing else "open"

    def started(self, cell: str, now: float) -> None:
        """A request goes to the cell; after a breaker was open it is the probe."""
        if cell not in self.troubled:
            return
        if self._outliers is not None and cell in self._ejected:
            self._outliers.started(cell, now)
        breaker = self._breaker(cell)
        if breaker.trips and now >= breaker.until:
            breaker.probing = True
            breaker.until = now + self._probe

    def answered(self, cell: str, now: float) -> None:
        """The cell answered, well or with a refusal that is the caller's own fault."""
        breaker = self._breakers.get(cell) or self._breaker(cell)
        breaker.answered = now
        if breaker.refusals or breaker.trips:
            breaker.refusals = breaker.trips = 0
            breaker.until = _NEVER
            breaker.probing = False
            if cell not in self._ejected:
                self.troubled.discard(cell)
        if self._ejected and cell in self._ejected:
            self._probed(cell)

    def _probed(self, cell: str) -> None:
        if self._outliers is not None:
            self._outliers.answered(cell)
            if not self._ejected[cell].is_out:
                del self._ejected[cell]
                self.troubled.discard(cell)

    def refused(self, cell: str, now: float) -> None:
        """The cell said UNAVAILABLE."""
        breaker = self._breaker(cell)
        breaker.answered = now
        _fail(breaker, UNAVAILABLE, now, now)
        self._count(cell, breaker, now)

    def unreachable(self, cell: str, now: float) -> None:
        """The connection failed or broke."""
        breaker = self._breaker(cell)
        _fail(breaker, UNREACHABLE, now, now)
        self._trip(cell, breaker, now)

    def silent(self, cell: str, since: float, now: float, *, whole: bool) -> None:
        """No answer since `since`; `whole`: for as long as an attempt may take."""
        breaker = self._breaker(cell)
        if whole:
            self._given_up.note(cell, now)
        if breaker.answered >= since:
            return
        _fail(breaker, SILENT, since, now)
        if whole:
            self._trip(cell, breaker, now)
        else:
            self._count(cell, breaker, now)

    def forget(self, cells: Iterable[str]) -> None:
        """The cells are at other addresses now, or gone."""
        for cell in cells:
            self._breakers.pop(cell, None)
            self._ejected.pop(cell, None)
            self.troubled.discard(cell)
            self._given_up.forget(cell)
        if self._outliers is not None:
            self._outliers.forget(cells)

    def troubles(self, now: float, most: int) -> tuple[dict[str, Trouble], int]:
        """The worst of cells that are `troubled` or had calls given up lately, and how many there are."""
        given_up, none = self._given_up.all(now), Noted()
        cells = [cell for cell in self.troubled | given_up.keys() if cell in self._breakers]

        def badness(cell: str) -> tuple[int, int, int, str]:
            ejected = self._ejected[cell].times if cell in self._ejected else 0
            return -self._breakers[cell].trips, -ejected, -given_up.get(cell, none).count, cell

        def told(cell: str) -> Trouble:
            one, given = self._breakers[cell], given_up.get(cell, none)
            if not one.trips and (out := self._ejected.get(cell)) is not None:
                return Trouble(out.why, out.since, out.since, out.times, given)
            return Trouble(one.why, one.since, one.failed, one.trips, given)

        return {cell: told(cell) for cell in nsmallest(most, cells, key=badness)}, len(cells)

    def _breaker(self, cell: str) -> _Breaker:
        return self._breakers.setdefault(cell, _Breaker())

    def _count(self, cell: str, breaker: _Breaker, now: float) -> None:
        breaker.refusals += 1
        if breaker.probing or breaker.refusals >= self._threshold:
            self._trip(cell, breaker, now)

    def _trip(self, cell: str, breaker: _Breaker, now: float) -> None:
        # Requests that were under way together fail together: they are one failure.
        if now < breaker.until and not breaker.probing:
            return
        breaker.trips += 1
        breaker.until = now + self._backoff.after(breaker.trips)
        breaker.refusals = 0
        breaker.probing = False
        self.troubled.add(cell)


def _fail(breaker: _Breaker, why: str, since: float, now: float) -> None:
    if not breaker.refusals and not breaker.trips:
        breaker.since = since
    breaker.why, breaker.failed = why, now
