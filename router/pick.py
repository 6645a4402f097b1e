"""Which cells of the hand now, and in what order: by what is known of their health.

`pick` only orders, and drops no cell that has an address: when everything looks broken, the router
tries all the same (health checks fail open). Nothing outside the hand is ever added.

    active → draining → cooling → departed, drained → departed and cooling

**Cooling.** A cell that cannot be reached, or that was silent for a whole attempt, cools down at
once; one that answers UNAVAILABLE several times in a row cools down then. The time doubles with
every failure up to a longest one. When it is over, one request probes the cell while the others
still pass it by; any answer heals it completely. A cell that answered anybody while a request waited
for it is not silent: it is busy with that one request (a cold load), and stays where it is.

Pure: the time is an argument, in seconds on a monotonic clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from router.view import KnownCell
from version_manager.model.fleet import CellState

_STANDING = {CellState.ACTIVE: 0, CellState.DRAINING: 1, CellState.DRAINED: 3}
_COOLING = 2
_DEPARTED = 3


def pick(order: Sequence[str], cells: Mapping[str, KnownCell], health: Health, now: float) -> tuple[str, ...]:
    """The cells of `order` that have an address, the likeliest to answer first; ties keep their order."""
    ranked = [(standing(cells[name], health, now), name) for name in order if name in cells]
    ranked.sort(key=lambda pair: pair[0])
    return tuple([name for _, name in ranked])


def standing(known: KnownCell, health: Health, now: float) -> int:
    """How far back a cell stands; below 2, it should answer."""
    cooling = _COOLING if health.is_cooling(known.cell.id, now) else 0
    if known.departed:
        return _DEPARTED + cooling
    return max(_STANDING[known.cell.state], cooling)


def is_reachable(known: KnownCell, health: Health, now: float) -> bool:
    """Whether the cell should answer, from all that is known."""
    return standing(known, health, now) < _COOLING


@dataclass(slots=True)
class _Record:
    refusals: int = 0  # UNAVAILABLE answers, and silences too short to tell, in a row
    trips: int = 0  # cooling periods in a row
    until: float = float("-inf")  # the end of the cooling period
    probing: bool = False  # a request was let through to see whether the cell is back
    answered: float = float("-inf")  # when the cell last answered anything


class Health:
    """What became of the requests to each cell.

    `threshold` refusals in a row start a cooling period; periods last `first` seconds, doubling up
    to `longest`. A probe is given `probe` seconds.
    """

    def __init__(
        self, *, threshold: int = 5, first: float = 0.5, longest: float = 10.0, probe: float = 1.0
    ) -> None:
        self._threshold = threshold
        self._first = first
        self._longest = longest
        self._probe = probe
        self._records: dict[str, _Record] = {}
        # Cells that failed and have not answered since: all others stand where the view puts them.
        self.troubled: set[str] = set()

    def is_cooling(self, cell: str, now: float) -> bool:
        record = self._records.get(cell)
        return record is not None and now < record.until

    def started(self, cell: str, now: float) -> None:
        """A request goes to the cell; after a cooling period it is the probe."""
        if cell not in self.troubled:
            return
        record = self._records[cell]
        if now >= record.until:
            record.probing = True
            record.until = now + self._probe

    def answered(self, cell: str, now: float) -> None:
        """The cell answered, well or with a refusal that is the caller's own fault."""
        record = self._records.get(cell) or self._record(cell)
        record.answered = now
        if record.refusals or record.trips:
            record.refusals = record.trips = 0
            record.until = float("-inf")
            record.probing = False
            self.troubled.discard(cell)

    def refused(self, cell: str, now: float) -> None:
        """The cell said UNAVAILABLE."""
        record = self._record(cell)
        record.answered = now
        self._count(cell, record, now)

    def unreachable(self, cell: str, now: float) -> None:
        """The connection failed or broke."""
        self._trip(cell, self._record(cell), now)

    def silent(self, cell: str, since: float, now: float, *, whole: bool) -> None:
        """No answer since `since`; `whole`: for as long as an attempt may take."""
        record = self._record(cell)
        if record.answered >= since:
            return
        if whole:
            self._trip(cell, record, now)
        else:
            self._count(cell, record, now)

    def forget(self, cells: Iterable[str]) -> None:
        """The cells are at other addresses now, or gone."""
        for cell in cells:
            self._records.pop(cell, None)
            self.troubled.discard(cell)

    def _record(self, cell: str) -> _Record:
        return self._records.setdefault(cell, _Record())

    def _count(self, cell: str, record: _Record, now: float) -> None:
        record.refusals += 1
        if record.probing or record.refusals >= self._threshold:
            self._trip(cell, record, now)

    def _trip(self, cell: str, record: _Record, now: float) -> None:
        # Requests that were under way together fail together: they are one failure.
        if now < record.until and not record.probing:
            return
        record.until = now + min(self._longest, self._first * 2.0 ** min(record.trips, 32))
        record.trips += 1
        record.refusals = 0
        record.probing = False
        self.troubled.add(cell)
