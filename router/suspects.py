"""Which artifacts may have killed a cell: so that a poisonous request does not go from cell to cell.

A cell that dies takes along whatever was in the air to it, and one of that may be why. Which one, a router
cannot know; the cell can, once it is back and has read its journal. So whatever was in the air waits for it:

    lost in the air ──▶ held: asked of that cell alone, and it is tried again and again
                          │
                          ├─ it answers anybody       all go on there; it refuses the culprit as QUARANTINED,
                          │                           which then is refused here too
                          └─ not within `patience`    the next cell of the hand is asked
                                └─ lost again, and nobody answered in between: refused here

One request therefore kills one cell, or two where cells do not come back by themselves. Others pay with the
time that a cell takes to come back, and only those which were in the air when it died or ask for the same
artifact meanwhile. A request that was lost twice is never sent again.

A cell that **runs an artifact for long** says so. Then nobody else is asked for it in that cell's place, and
if the cell ends with it, as by its watchdog, it is refused at once.

What is refused is refused for `refusal` seconds, then asked for anew: a cell may have been told to let it in.
Pure: times are arguments, in seconds on a monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from croupier.errors import CroupierError, FailedPrecondition

QUARANTINED = "QUARANTINED"
_MOST = 10_000
_REMEMBERED_SECONDS = 60.0

T = TypeVar("T")


class Suspected(FailedPrecondition):
    """Cells died with this artifact in the air, and none has answered for it. The publisher's, probably."""

    reason = "SUSPECTED"


@dataclass(frozen=True, slots=True)
class _Hold:
    cell: str
    until: float


@dataclass(frozen=True, slots=True)
class _Refusal:
    error: CroupierError
    until: float


class Suspects:
    """`patience`: seconds to wait for a cell that died; `refusal`: for which a culprit is refused."""

    def __init__(self, *, patience: float = 0.5, refusal: float = 30.0) -> None:
        self.patience = patience
        self._refusal = refusal
        # Empty nearly always, and then all that a request looks at.
        self.held: dict[bytes, _Hold] = {}
        self.refused: dict[bytes, _Refusal] = {}
        # Artifacts that a cell has run for long and not answered since, and until when that counts.
        self.working: dict[bytes, _Hold] = {}
        # Artifacts that were lost and not answered since: the cell that died, and when.
        self.missed: dict[bytes, tuple[str, float]] = {}

    def lost(self, artifact: bytes, cell: str, now: float) -> None:
        """The cell's connection broke while a request for the artifact was in the air."""
        before, since = self.missed.pop(artifact, (cell, now))
        if before != cell and now - since < _REMEMBERED_SECONDS:
            self.suspect(artifact, now)
            return
        _put(self.missed, artifact, (cell, now))
        if artifact not in self.held:
            _put(self.held, artifact, _Hold(cell, now + self.patience))

    def suspect(self, artifact: bytes, now: float) -> CroupierError:
        """Ask no cell for the artifact for a while; returns why."""
        self.held.pop(artifact, None)
        self.missed.pop(artifact, None)
        self.working.pop(artifact, None)
        error = Suspected("cells ended while they worked for this model, and none has answered since")
        _put(self.refused, artifact, _Refusal(error, now + self._refusal))
        return error

    def works(self, artifact: bytes, cell: str, now: float) -> None:
        """The cell says that it has run the artifact for long."""
        _put(self.working, artifact, _Hold(cell, now + _REMEMBERED_SECONDS))

    def is_working(self, artifact: bytes | None, cell: str, now: float) -> bool:
        """Whether the cell runs the artifact for long, so that others need not be asked for it."""
        found = self.working.get(artifact) if artifact is not None else None
        return found is not None and found.cell == cell and now < found.until

    def answered(self, artifact: bytes, cell: str) -> None:
        """The cell answered a request for the artifact, well or not."""
        self.missed.pop(artifact, None)
        self.working.pop(artifact, None)
        for name in [name for name, hold in self.held.items() if hold.cell == cell]:
            del self.held[name]

    def quarantined(self, artifact: bytes, error: CroupierError, now: float) -> None:
        """A cell refuses the artifact, since it ended one."""
        _put(self.refused, artifact, _Refusal(error, now + self._refusal))

    def holder(self, artifact: bytes, now: float) -> str:
        """The cell that alone may be asked for the artifact; empty if any may."""
        hold = self.held.get(artifact)
        if hold is None:
            return ""
        if now >= hold.until:
            del self.held[artifact]
            return ""
        return hold.cell

    def refusal(self, artifact: bytes, now: float) -> CroupierError | None:
        """Why the artifact is not asked for at all now."""
        found = self.refused.get(artifact)
        if found is None:
            return None
        if now >= found.until:
            del self.refused[artifact]
            return None
        return found.error


def _put(table: dict[bytes, T], artifact: bytes, value: T) -> None:
    table[artifact] = value
    if len(table) > _MOST:
        del table[next(iter(table))]
