"""What becomes of units whose call was lost with its connection, or whose artifact was lost by others.

They wait for the cell that may be back and say whose fault it was, as `suspects.py` tells. A unit that was
lost with two cells goes to no third one, one that was lost twice goes alone, and one that was lost three
times goes nowhere any more.

A run has `Losses` from its first loss on, or while something that it asks for was lost by others. It says
which units may go to a cell now, and which wait until when; the run sends them.

Compiled with the types of `losses.pxd`, as `attempt.py` is, which holds one for each run in trouble.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from math import inf
from typing import TypeAlias

from croupier.errors import CroupierError, InternalError, Unavailable
from croupier.telemetry.metrics import Counter
from router.suspects import QUARANTINED, Suspects
from router.units import Unit, unsettled

Outcome: TypeAlias = "bytes | CroupierError"

_LOST = Counter("croupier_router_lost_total", "Calls whose connection broke while they were in the air")

# Between two attempts to reach a cell that is waited for; and how far runs are apart, so that a culprit does
# not take those along once more that it took along before. Slower for those that may wait for long.
_STEP = 0.025
_APART = 0.005
_SLOWER = 4
_MOST_LOSSES = 3


class CellUnreachable(Unavailable):
    """A cell could not be reached, or its connection broke. Ours, passing."""

    reason = "CELL_UNREACHABLE"


class CellLost(CellUnreachable):
    """A cell's connection broke while a request was in flight. Ours, passing; or the request's doing."""


class LostAgain(InternalError):
    """Connections broke with this request in flight, again and again. The model's doing, probably."""

    reason = "LOST_AGAIN"


class Losses:
    """The units of one run that wait for cells; its deadline is `deadline`."""

    def __init__(self, suspects: Suspects, deadline: float) -> None:
        self.suspects, self.deadline = suspects, deadline
        # Those that wait for the cell that lost them, when it is tried again, and until when at most.
        self.waiting: list[Unit] = []
        self.resume_at = 0.0
        self.wait_until = inf

    def resume(self) -> list[Unit]:
        """Those that have waited, to be sent."""
        waiting, self.waiting = self.waiting, []
        return unsettled(waiting)

    def lose(self, cell: str, units: list[Unit], error: CellLost, now: float) -> list[Outcome]:
        """The outcomes of units whose connection broke."""
        outcomes: list[Outcome] = []
        # Of several artifacts nobody knows which one it was.
        is_alone = len({unit.artifact for unit in units}) == 1
        self.wait_until = inf
        for unit in units:
            _LOST.inc()
            unit.lost_with = (*unit.lost_with, cell)
            outcome: CroupierError = error
            is_culprit = len(unit.lost_with) == _MOST_LOSSES
            if is_culprit:
                outcome = LostAgain(f"cells ended {_MOST_LOSSES} times with it in flight")
            if unit.artifact is not None:
                if is_alone and self.suspects.is_working_long(unit.artifact, cell, now):
                    # The cell had worked on it for long, and ended.
                    outcome = self.suspects.suspect(unit.artifact, now)
                elif is_culprit:
                    self.suspects.suspect(unit.artifact, now)
                else:
                    self.suspects.lost(unit.artifact, cell, now, is_again=len(unit.lost_with) > 1)
            outcomes.append(outcome)
        return outcomes

    def wait_for(self, cell: str, units: list[Unit], in_flight: Collection[str], now: float) -> list[Unit]:
        """The units that need not wait for `cell`, which has just failed; the others are put aside.

        Or end as they are, where neither of the two cells that they were lost with is back in time.
        `in_flight` are the cells that the run has calls to.
        """
        free: list[Unit] = []
        for unit in units:
            cells = self.waited_for(unit, now)
            if cell not in cells:
                free.append(unit)
                continue
            is_last = len(cells) > 1
            if self.wait_until == inf:
                self.wait_until = now + self.patience(is_last, now)
            if now >= self.wait_until:
                if not is_last:
                    free.append(unit)
                continue
            # Either of two cells may be back first. What was lost counts as tried.
            other = cells[0] if cell != cells[0] else cells[len(cells) - 1]
            if other not in unit.cells or other in in_flight:
                other = cell
            if not is_last or not isinstance(unit.outcome, CellLost):
                unit.tried -= 1
            behind = [name for name in unit.cells[unit.tried :] if name != other]
            unit.cells = (*unit.cells[: unit.tried], other, *behind)
            self.put_aside(unit, now, is_last)
        return free

    def let_in(self, cell: str, units: list[Unit], now: float) -> list[Unit]:
        """The units that may go to `cell` now.

        Others are put aside, since each has to go alone; or stay where they are: it would be a third cell.
        """
        # A cell that has just come back may be slow: longer than for an attempt.
        until = now + self.suspects.verdict_seconds
        let: list[Unit] = []
        for unit in units:
            artifact, cells = unit.artifact, self.waited_for(unit, now)
            if artifact is None:
                let.append(unit)
                continue
            if len(cells) > 1 and cell not in cells and not {*cells}.isdisjoint(unit.cells):
                continue
            goes_alone = len(unit.lost_with) > 1 or self.suspects.goes_alone(artifact)
            if not goes_alone or self.suspects.enter(artifact, cell, now, until):
                let.append(unit)
            else:
                unit.tried -= 1
                self.put_aside(unit, now, False)
        return let

    def put_aside(self, unit: Unit, now: float, is_slow: bool) -> None:
        """Send the unit a little later."""
        self.waiting.append(unit)
        pause = _STEP + _APART * self.suspects.next_turn()
        self.resume_at = now + (pause * _SLOWER if is_slow else pause)

    def waited_for(self, unit: Unit, now: float) -> tuple[str, ...]:
        """The cell or the two that alone the unit may go to; empty if there are none."""
        if unit.artifact is None:
            return ()
        if len(unit.lost_with) > 1 and unit.lost_with[0] != unit.lost_with[1]:
            # Whatever others of the artifact were answered: it may be the request.
            return unit.lost_with
        return self.suspects.holders(unit.artifact, now)

    def patience(self, is_last: bool, now: float) -> float:
        """How many seconds to wait for a cell that died, or for one of the last two."""
        left = max(0.0, self.deadline - now)
        # As with an attempt: a caller in a hurry gets a second chance too, where there is one.
        if is_last:
            return min(self.suspects.verdict_seconds, left)
        return min(self.suspects.hold_seconds, left / 2)


def look_at(suspects: Suspects, units: list[Unit], now: float) -> None:
    """Refuse what has ended cells; for what cells lost, ask those first, and alone, that may be back."""
    for unit in units:
        artifact = unit.artifact
        if unit.outcome is not None or artifact is None:
            continue
        unit.outcome = suspects.refusal(artifact, now)
        holders = suspects.holders(artifact, now)
        if holders and not {*holders}.isdisjoint(unit.cells):
            first = [cell for cell in holders if cell in unit.cells]
            unit.cells = (*first, *[cell for cell in unit.cells if cell not in first])
            unit.near = 0


def note_answers(
    suspects: Suspects,
    refusal: Callable[[bytes], CroupierError | None],
    cell: str,
    units: list[Unit],
    outcomes: Sequence[Outcome],
    now: float,
) -> None:
    """A cell is back, or is one of many that answer: what it says of artifacts that were lost.

    `refusal` is the error that an answer is, if it is one.
    """
    for unit, outcome in zip(units, outcomes, strict=True):
        if unit.artifact is None:
            continue
        if unit.artifact in suspects.missed:
            error = refusal(outcome) if isinstance(outcome, bytes) else outcome
            if error is not None and error.reason == QUARANTINED:
                suspects.quarantined(unit.artifact, error, now)
        suspects.answered(unit.artifact, cell)
