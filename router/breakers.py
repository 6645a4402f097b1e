"""Circuit breakers, one for each cell: what became of the requests to it decides whether it is passed by.

A cell that cannot be reached, or that was silent for a whole attempt, has its breaker open at once; one that
answers UNAVAILABLE several times in a row, then. It stays open for a time that doubles with every failure, up
to a longest one. When that is over, one request probes the cell (half-open) while others still pass it by;
any answer closes the breaker. A cell that answered anybody while a request waited for it is not silent: it is
busy with that one request (a cold load), and its breaker stays as it is.

Pure: the time is an argument, in seconds on a monotonic clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from croupier.backoff import Backoff


@dataclass(slots=True)
class _Breaker:
    refusals: int = 0  # UNAVAILABLE answers, and silences too short to tell, in a row
    trips: int = 0  # times that it opened in a row
    until: float = float("-inf")  # it is open
    probing: bool = False  # a request was let through to see whether the cell is back
    answered: float = float("-inf")  # when the cell last answered anything


class Breakers:
    """`threshold` refusals in a row open one, for `first` seconds, doubling up to `longest`.

    A probe is given `probe` seconds.
    """

    def __init__(
        self, *, threshold: int = 5, first: float = 0.5, longest: float = 10.0, probe: float = 1.0
    ) -> None:
        self._threshold = threshold
        self._backoff = Backoff(first, longest)
        self._probe = probe
        self._breakers: dict[str, _Breaker] = {}
        # Cells that failed and have not answered since: all others stand where the view puts them.
        self.troubled: set[str] = set()

    def is_open(self, cell: str, now: float) -> bool:
        breaker = self._breakers.get(cell)
        return breaker is not None and now < breaker.until

    def state(self, cell: str, now: float) -> str:
        """`closed`, `open`, `half-open` (its probe is under way) or `overdue` (the next request is one)."""
        breaker = self._breakers.get(cell)
        if breaker is None or cell not in self.troubled:
            return "closed"
        if now >= breaker.until:
            return "overdue"
        return "half-open" if breaker.probing else "open"

    def started(self, cell: str, now: float) -> None:
        """A request goes to the cell; after a breaker was open it is the probe."""
        if cell not in self.troubled:
            return
        breaker = self._breakers[cell]
        if now >= breaker.until:
            breaker.probing = True
            breaker.until = now + self._probe

    def answered(self, cell: str, now: float) -> None:
        """The cell answered, well or with a refusal that is the caller's own fault."""
        breaker = self._breakers.get(cell) or self._breaker(cell)
        breaker.answered = now
        if breaker.refusals or breaker.trips:
            breaker.refusals = breaker.trips = 0
            breaker.until = float("-inf")
            breaker.probing = False
            self.troubled.discard(cell)

    def refused(self, cell: str, now: float) -> None:
        """The cell said UNAVAILABLE."""
        breaker = self._breaker(cell)
        breaker.answered = now
        self._count(cell, breaker, now)

    def unreachable(self, cell: str, now: float) -> None:
        """The connection failed or broke."""
        self._trip(cell, self._breaker(cell), now)

    def silent(self, cell: str, since: float, now: float, *, whole: bool) -> None:
        """No answer since `since`; `whole`: for as long as an attempt may take."""
        breaker = self._breaker(cell)
        if breaker.answered >= since:
            return
        if whole:
            self._trip(cell, breaker, now)
        else:
            self._count(cell, breaker, now)

    def forget(self, cells: Iterable[str]) -> None:
        """The cells are at other addresses now, or gone."""
        for cell in cells:
            self._breakers.pop(cell, None)
            self.troubled.discard(cell)

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
