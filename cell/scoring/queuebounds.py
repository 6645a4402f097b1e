"""How much may wait to be scored, in rows and in bytes, of everybody and of one owner.

An owner may have as much waiting as is left of the whole: alone it gets half, beside another one a third, and
something is always left for whoever comes next (dynamic thresholds, Choudhury and Hahne, 1998). So no figure
has to be told, and none is wrong for a cell with few owners or with many. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from croupier.errors import CroupierError, QuotaExceeded, Unavailable
from croupier.priorities import NAMES
from croupier.telemetry.metrics import LoopCounter

SHED = LoopCounter(
    "croupier_cell_shed_total",
    "Requests refused since too much waited, by priority",
    ["priority"],
    [(name,) for name in NAMES],
)
_RETRY_AFTER = 0.05
# Whose owner nobody said: of everybody, perhaps.
_NOBODY = 0


class Overloaded(Unavailable):
    """Too much waits here. Ours, passing."""

    reason = "OVERLOADED"

    def __init__(self) -> None:
        super().__init__("this cell is overloaded", retry_after=_RETRY_AFTER)


@dataclass(slots=True)
class _Waiting:
    rows: int = 0
    size: int = 0


class QueueBounds:
    """At most `rows` and `size` bytes, of inputs and of the answers that are to come."""

    def __init__(self, rows: int, size: int) -> None:
        self._most = _Waiting(rows, size)
        self._all = _Waiting()
        self._owners: dict[int, _Waiting] = {}

    @property
    def waiting(self) -> tuple[int, int, int]:
        """Rows and bytes that wait, and of how many owners."""
        return self._all.rows, self._all.size, len(self._owners)

    def enter(self, owner: int, rows: int, size: int) -> None:
        """Count a request.

        With nothing before it, it is taken at any size, or it would be told to try again for ever.

        Raises:
            Overloaded: too much is waiting.
            QuotaExceeded: too much of this owner's is: other cells would be right to say so as well.
        """
        refusal = self._refusal(owner, rows, size)
        if refusal is not None:
            raise refusal
        self.put_back(owner, rows, size)

    def has_room(self, owner: int, rows: int, size: int) -> bool:
        """Whether such a request might enter."""
        return self._refusal(owner, rows, size) is None

    def put_back(self, owner: int, rows: int, size: int) -> None:
        """Count one that entered before."""
        own = self._owners.setdefault(owner, _Waiting())
        for waiting in (own, self._all):
            waiting.rows += rows
            waiting.size += size

    def _refusal(self, owner: int, rows: int, size: int) -> CroupierError | None:
        own = self._owners.get(owner) or _Waiting()
        left_rows = self._most.rows - self._all.rows - rows
        left_size = self._most.size - self._all.size - size
        if self._all.rows and (left_rows < 0 or left_size < 0):
            return Overloaded()
        if own.rows and owner != _NOBODY and (own.rows + rows > left_rows or own.size + size > left_size):
            return QuotaExceeded(
                "too many requests of this tenant wait here",
                reason="TOO_MUCH_WAITING",
                retry_after=_RETRY_AFTER,
            )
        return None

    def leave(self, owner: int, rows: int, size: int) -> None:
        """A request that entered is over."""
        own = self._owners[owner]
        for waiting in (own, self._all):
            waiting.rows -= rows
            waiting.size -= size
        if not own.rows:
            del self._owners[owner]
