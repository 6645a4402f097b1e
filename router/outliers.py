"""Which cells are ejected: worse than the others of the fleet, for many tenants.

A circuit breaker sees one cell alone, and only what fails wholly. A cell that answers ten times slower than
the others, or fails one request in five, is seen by comparison. So every few seconds all cells are judged:

    slow      the median of what its answers took, over tenants, is three times that of the cells, or more
    failing   the share of tenants that it serves well is 1.9 standard deviations below the mean of the cells

and neither is little (`_SLOW_SECONDS`, `_FAILING`). Only cells count that served enough tenants: **a tenant
is one voice in a period, however often it asks** (`loads.pyx`), so that nobody's own slow or broken model
ejects a cell for others. A cell where a tenant has seats of its own is never judged, for the same reason.

Ejected is for a while that doubles with each time in a row. Then one request probes the cell, and if it is
answered the cell is back, to be judged as the others are. Of a hand at most half is ejected: with more, the
order stays as it was (`pick.py`), for where everything is bad there is nothing to choose.

Pure: times are arguments, in seconds on a monotonic clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, median, pstdev

from croupier.backoff import Backoff
from router.loads import Loads

SLOW, FAILING = "slow", "failing"

PERIOD_SECONDS = 5.0
# Tenants that have to have had an answer, or been refused one, for a cell to be judged; and cells to compare.
_VOICES = 16
_CELLS = 3
_TIMES = 3.0
_SLOW_SECONDS = 0.005
_DEVIATIONS = 1.9
_FAILING = 0.15


@dataclass(frozen=True, slots=True)
class Seen:
    """A cell in a period: tenants well served or not; of how many is `seconds` the median latency."""

    cell: str
    well: int
    failing: int
    timed: int
    seconds: float

    @property
    def share(self) -> float:
        """Of its tenants, those that it served well."""
        return self.well / (self.well + self.failing)


@dataclass(slots=True)
class Ejection:
    """`until` it is passed by, the `times`-th time in a row; back on trial, `is_out` is False."""

    why: str
    since: float
    until: float
    times: int
    is_out: bool = True
    is_probed: bool = False


class Outliers:
    """Judges the cells of `loads`. `first` seconds is a cell ejected, then twice as long, up to `longest`.

    A probe has `probe` seconds.
    """

    def __init__(
        self, loads: Loads, *, first: float = 10.0, longest: float = 300.0, probe: float = 1.0
    ) -> None:
        self._loads = loads
        self._backoff = Backoff(first, longest)
        self._probe = probe
        # Those that are out, and those that are back and were not found well in a whole period since.
        self._ejections: dict[str, Ejection] = {}

    @property
    def ejected(self) -> dict[str, Ejection]:
        """The cells that are out, whether or not a probe is due."""
        return {cell: one for cell, one in self._ejections.items() if one.is_out}

    def look(self, now: float) -> None:
        """A period is over: judge the cells by it."""
        self.judge([Seen(load.cell, *load.turn()) for load in self._loads], now)

    def judge(self, seen: Sequence[Seen], now: float) -> None:
        """Eject those that are outliers among the cells `seen`, and forgive those that were and are not."""
        found = dict.fromkeys(failing(seen), FAILING) | dict.fromkeys(slow(seen), SLOW)
        for one in seen:
            known = self._ejections.get(one.cell)
            if known is not None and known.is_out:
                continue
            if one.cell in found:
                times = 1 if known is None else known.times + 1
                until = now + self._backoff.after(times)
                self._ejections[one.cell] = Ejection(found[one.cell], now, until, times)
            elif known is not None and one.well + one.failing >= _VOICES:
                known.times -= 1
                if not known.times:
                    del self._ejections[one.cell]

    def is_out(self, cell: str, now: float) -> bool:
        """Whether requests pass the cell by; the next one is its probe once the time is over."""
        found = self._ejections.get(cell)
        return found is not None and found.is_out and now < found.until

    def started(self, cell: str, now: float) -> None:
        """A request goes to the cell: its probe, if one is due."""
        found = self._ejections.get(cell)
        if found is not None and found.is_out and now >= found.until:
            found.is_probed, found.until = True, now + self._probe

    def answered(self, cell: str) -> None:
        """The cell answered: it is back, if that was its probe."""
        found = self._ejections.get(cell)
        if found is not None and found.is_probed:
            found.is_out = found.is_probed = False

    def forget(self, cells: Iterable[str]) -> None:
        """They are at other addresses now, or gone."""
        for cell in cells:
            self._ejections.pop(cell, None)


def slow(seen: Sequence[Seen]) -> list[str]:
    """The cells that answer several times slower than the others do."""
    timed = [one for one in seen if one.timed >= _VOICES]
    if len(timed) < _CELLS:
        return []
    limit = max(_SLOW_SECONDS, _TIMES * median(one.seconds for one in timed))
    return [one.cell for one in timed if one.seconds >= limit]


def failing(seen: Sequence[Seen]) -> list[str]:
    """The cells that serve fewer of their tenants well than the others do."""
    voiced = [one for one in seen if one.well + one.failing >= _VOICES]
    if len(voiced) < _CELLS:
        return []
    shares = [one.share for one in voiced]
    limit = min(1.0 - _FAILING, fmean(shares) - _DEVIATIONS * pstdev(shares))
    return [one.cell for one in voiced if one.share < limit]
