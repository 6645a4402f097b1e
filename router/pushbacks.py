"""Cells that said of a model when to try again: until then, the next cell of its hand is asked first.

A cell that refuses with UNAVAILABLE says how long that will last (RetryInfo, or gRPC's
`grpc-retry-pushback-ms`; below 0, or no number: not at all). It says so of one model, whose load is queued
for long, say, and not of others: so it is remembered for this model and cell alone, and nobody makes a cell
look full to others. That all are refused is for circuit breakers to see.

Pure: times are arguments, in seconds on a monotonic clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from croupier.bounded import Bounded
from router.units import Unit

_MOST = 10_000
# Whatever a cell says, and where it forbids to try again.
LONGEST_SECONDS = 30.0


class Pushbacks:
    """What cells said lately, of so many models; `until` is empty nearly always."""

    def __init__(self, most: int = _MOST) -> None:
        self.until: Bounded[tuple[bytes, str], float] = Bounded(most)

    def note(self, artifact: bytes, cell: str, seconds: float, now: float) -> None:
        """The cell is not to be tried for the artifact for so long; infinity: it may not be tried again."""
        if seconds > 0:
            self.until[artifact, cell] = now + min(seconds, LONGEST_SECONDS)

    def heed(self, units: Iterable[Unit], now: float) -> None:
        """Have `units` ask those cells last that said not to be asked for their model yet."""
        for unit in units:
            if unit.outcome is None and unit.artifact is not None:
                cells = self.behind(unit.artifact, unit.cells, now)
                if cells is not unit.cells:
                    unit.cells, unit.near = cells, 0

    def behind(self, artifact: bytes, cells: tuple[str, ...], now: float) -> tuple[str, ...]:
        """`cells`, with those last that are not to be tried yet: of these, who may be first is first."""
        moments = [self._until(artifact, cell, now) for cell in cells]
        if not any(moments):
            return cells
        return tuple([cell for _, cell in sorted(zip(moments, cells, strict=True), key=lambda one: one[0])])

    def look(self, now: float) -> None:
        """Forget what is over: requests are looked at while there is anything."""
        for key in [key for key, until in self.until.items() if now >= until]:
            del self.until[key]

    def _until(self, artifact: bytes, cell: str, now: float) -> float:
        found = self.until.get((artifact, cell))
        if found is None:
            return 0.0
        if now >= found:
            del self.until[artifact, cell]
            return 0.0
        return found


def seconds_of(pushback: bytes) -> float:
    """Of `grpc-retry-pushback-ms`: how long not to try again, infinity for never (gRFC A6)."""
    return min(int(pushback) / 1e3, LONGEST_SECONDS) if pushback.isdigit() and len(pushback) < 10 else inf
