"""Which artifacts may have killed a cell: so that a poisonous request does not go from cell to cell.

A cell that dies takes along whatever was in flight to it, and one of that may be why. Which one, a router
cannot know; the cell can, once it is back and has read its journal. So whatever was in flight waits for it:

    lost in flight ──▶ held: asked of that cell alone, and it is tried again and again
                          │
                          ├─ it answers anybody       all go on there; it refuses the culprit as QUARANTINED,
                          │                           which then is refused here too
                          └─ not within `hold_seconds`    the next cell of the hand is asked
                                └─ lost there too     held again: asked of these two cells alone, whichever is
                                                      back first, and of no third one for `refusal` seconds

One request therefore kills one cell, or two where cells come back late or not at all. Others pay with the
time that a cell takes to come back, and only those which were in flight when it died or ask for the same
artifact meanwhile.

Having been there when a cell died twice is nobody's fault: where the first one is late, all that it lost may
come to the second one together. So artifacts of requests that were lost twice **go alone** then: a cell
is asked for one of them at a time. Most are answered, and are free of it; a request that is lost a third time
was alone, and ends here, and its artifact is refused.

A cell that **runs an artifact for long** says so. Then, while it does, nobody else is asked for it in that
cell's place, neither for this request nor for others that wait there for their turn; and if the cell ends
with it, as by its watchdog, it is refused at once.

What is refused is refused for `refusal` seconds, then asked for anew: a cell may have been told to let it in.
Pure: times are arguments, in seconds on a monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from croupier.bounded import Bounded
from croupier.errors import CroupierError, FailedPrecondition

QUARANTINED = "QUARANTINED"
_MOST = 10_000
# Of what is over, as many are forgotten in a go.
_AT_ONCE = 64
# Those that try a cell again take so many turns.
_TURNS = 16
_REMEMBERED_SECONDS = 60.0
# Between two long runs of an artifact, neither of which came to an end, its cell says nothing for a moment.
_BETWEEN_SECONDS = 5.0


class Suspected(FailedPrecondition):
    """Cells died with this artifact in flight, again and again. The publisher's, probably."""

    reason = "SUSPECTED"


@dataclass(frozen=True, slots=True)
class _Hold:
    """`cells`: the one that is waited for, or the two which alone may be asked."""

    cells: tuple[str, ...]
    until: float


@dataclass(frozen=True, slots=True)
class _Miss:
    """`cells`: the last two that died, or one, and when the last one did."""

    cells: tuple[str, ...]
    when: float
    goes_alone: bool


@dataclass(slots=True)
class _Work:
    """Calls that a cell says it is at work on; and until when it is taken to be, once there is none.

    `is_long`: for as long as an attempt may be silent, so that it may be the end of the cell.
    """

    calls: int = 0
    until: float = 0.0
    is_long: bool = False


@dataclass(frozen=True, slots=True)
class _Refusal:
    error: CroupierError
    until: float


_Ends = TypeVar("_Ends", _Hold, _Refusal)


class Suspects:
    """`hold_seconds`: seconds to wait for a cell that died, and `verdict_seconds` for one of two that did;
    `refusal`: for which no third one is asked, or a culprit is refused."""

    def __init__(
        self, *, hold_seconds: float = 0.5, verdict_seconds: float = 10.0, refusal: float = 30.0
    ) -> None:
        self.hold_seconds, self.verdict_seconds = hold_seconds, verdict_seconds
        self._refusal = refusal
        # Empty nearly always, and then all that a request looks at.
        self.held: Bounded[bytes, _Hold] = Bounded(_MOST)
        self.refused: Bounded[bytes, _Refusal] = Bounded(_MOST)
        # Artifacts that cells run for long, by cell.
        self.working: Bounded[bytes, dict[str, _Work]] = Bounded(_MOST)
        # Artifacts that were lost and not answered since.
        self.missed: Bounded[bytes, _Miss] = Bounded(_MOST)
        # The artifact that goes alone to a cell now, and until when none but it may.
        self.alone: dict[str, tuple[bytes, float]] = {}
        self._turn = 0

    def lost(self, artifact: bytes, cell: str, now: float, *, is_again: bool = False) -> None:
        """The cell's connection broke with a request for the artifact in flight, perhaps not its first."""
        before = self.missed.get(artifact)
        if before is None or now - before.when >= _REMEMBERED_SECONDS:
            before = _Miss((), now, False)
        cells = before.cells
        if cell not in cells:
            cells = (*cells[-1:], cell)
            self.held.pop(artifact, None)
        self.missed[artifact] = _Miss(cells, now, before.goes_alone or is_again or len(cells) > 1)
        if artifact not in self.held:
            seconds = self.hold_seconds if len(cells) == 1 else self._refusal
            self.held[artifact] = _Hold(cells, now + seconds)

    def suspect(self, artifact: bytes, now: float) -> CroupierError:
        """Ask no cell for the artifact for a while; returns why."""
        self.held.pop(artifact, None)
        self.missed.pop(artifact, None)
        self.working.pop(artifact, None)
        error = Suspected("cells ended while they worked for this model, and none has answered since")
        self.refused[artifact] = _Refusal(error, now + self._refusal)
        return error

    def begins(self, artifact: bytes, cell: str) -> None:
        """The cell says of a call that it is at work on the artifact."""
        if artifact not in self.working:
            self.working[artifact] = {}
        self.working[artifact].setdefault(cell, _Work()).calls += 1

    def works_long(self, artifact: bytes, cell: str) -> None:
        """Such a call has taken as long as an attempt may."""
        work = self.working.get(artifact, {}).get(cell)
        if work is not None:
            work.is_long = True

    def ends(self, artifact: bytes, cell: str, now: float, *, is_answered: bool) -> None:
        """A call of which it said so is over: answered, or failed or given up."""
        cells = self.working.get(artifact, {})
        work = cells.get(cell)
        if work is None:
            return
        work.calls -= 1
        work.until = now + _BETWEEN_SECONDS
        if is_answered and not work.calls:
            del cells[cell]
            if not cells:
                del self.working[artifact]

    def is_working(self, artifact: bytes | None, cell: str, now: float) -> bool:
        """Whether the cell is at work on the artifact, so that others need not be asked for it."""
        return self._work(artifact, cell, now) is not None

    def is_working_long(self, artifact: bytes, cell: str, now: float) -> bool:
        """The same, and for so long that it is probably why, should the cell end."""
        work = self._work(artifact, cell, now)
        return work is not None and work.is_long

    def _work(self, artifact: bytes | None, cell: str, now: float) -> _Work | None:
        if not self.working or artifact is None:
            return None
        work = self.working.get(artifact, {}).get(cell)
        return work if work is not None and (work.calls or now < work.until) else None

    def answered(self, artifact: bytes, cell: str) -> None:
        """The cell answered a request for the artifact, well or not."""
        self.missed.pop(artifact, None)
        for name, hold in [*self.held.items()]:
            # What two cells were lost with is free once it is answered itself.
            if hold.cells == (cell,) or (name == artifact and len(hold.cells) > 1):
                del self.held[name]

    def next_turn(self) -> int:
        """Which turn the next one has that tries a cell again, so that not all do at once."""
        self._turn = (self._turn + 1) % _TURNS
        return self._turn

    def goes_alone(self, artifact: bytes) -> bool:
        """Whether no cell may be asked for it together with another such artifact."""
        missed = self.missed.get(artifact)
        return missed is not None and missed.goes_alone

    def enter(self, artifact: bytes, cell: str, now: float, until: float) -> bool:
        """Have it go alone to the cell until it `leaves`, or until then at most; whether that may be now."""
        other, end = self.alone.get(cell, (artifact, now))
        if other != artifact and now < end:
            return False
        self.alone[cell] = (artifact, until)
        return True

    def leave(self, artifact: bytes, cell: str) -> None:
        """It is not in flight to the cell any more."""
        if self.alone.get(cell, (b"", 0.0))[0] == artifact:
            del self.alone[cell]

    def quarantined(self, artifact: bytes, error: CroupierError, now: float) -> None:
        """A cell refuses the artifact, since it ended one."""
        self.refused[artifact] = _Refusal(error, now + self._refusal)

    def holders(self, artifact: bytes, now: float) -> tuple[str, ...]:
        """The cell or the two that alone may be asked for the artifact; empty if any may."""
        hold = self.held.get(artifact)
        if hold is None:
            return ()
        if now >= hold.until:
            del self.held[artifact]
            return ()
        return hold.cells

    def let_go(self, now: float) -> None:
        """Forget what is over, also of artifacts that nobody asks for: the oldest first, some at a time.

        While there is any, every request looks.
        """
        _drop(self.held, now)
        _drop(self.refused, now)

    def refusal(self, artifact: bytes, now: float) -> CroupierError | None:
        """Why the artifact is not asked for at all now."""
        found = self.refused.get(artifact)
        if found is None:
            return None
        if now >= found.until:
            del self.refused[artifact]
            return None
        return found.error


def _drop(kept: Bounded[bytes, _Ends], now: float) -> None:
    """The first of `kept`, as far as they are over."""
    for _ in range(min(_AT_ONCE, len(kept))):
        artifact, first = next(iter(kept.items()))
        if now < first.until:
            break
        del kept[artifact]
