"""Gets answers from cells: deadline, retries inside the hand, and how long a cell may be silent.

A `Unit` is one prediction on its way, with the cells that may answer it. Units that go to the same
cell share one call. There are three ways that a call ends:

1. It is answered. A unit's answer, or an error that is not `Unavailable`, is final. A unit that came
   back `Unavailable` goes on to its next cell.
2. It is overdue: silent for an attempt's time. Its units go on to their next cell **and** the call stays in
   flight: predictions are idempotent, so the first answer wins. A hung cell therefore costs a request an
   attempt's time and not its deadline, and a slow cold load is not thrown away. A cell that runs a model for
   long says so (it sends its headers): then the units wait, for a model that does not end would take the next
   cell's threads as well.
3. The deadline passes. Whatever is in flight is cancelled.

A call that is lost with its connection may be why that broke. Its units wait for the cell to come back before
they go on, as `suspects.py` says. A unit that was lost with two cells goes to no third one, one that was lost
twice goes alone, and one that was lost three times goes nowhere any more.

Every call after a unit's first costs a token of the retry budget, and no unit goes twice to a cell, unless
it was lost there.
The time of an attempt is at most half of what is left until the deadline, so that a caller in a
hurry gets a second chance too.

Everything happens in callbacks, and nothing here knows a loop: a call ends when its exchange says so, and a
run waits in the wheel for the moment at which it has to look again.

Cython compiles it with the types of `attempt.pxd`, since every request has a run, and its way in and out of
the wheel; uncompiled it does the same.

It is long because it is one state machine, and how long it may run is said in one place with it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

from croupier.errors import Cancelled, CroupierError, DeadlineExceeded, InternalError, Unavailable
from croupier.telemetry.metrics import Counter, LoopCounter
from router.stale import StaleMap
from router.suspects import QUARANTINED, Suspects
from router.units import Unit, by_next_cell, settle, unsettled, untried

if TYPE_CHECKING:
    from router.breakers import Breakers
    from router.budget import RetryBudget
    from router.stale import Cancellable
    from router.wheel import Item, Wheel

Outcome = bytes | CroupierError

_log = logging.getLogger(__name__)
_RETRIES = LoopCounter("croupier_router_retries_total", "Calls to a further cell of the hand")
_OVERDUE = Counter("croupier_router_overdue_total", "Calls that were silent for an attempt's time")
_DENIED = LoopCounter("croupier_router_retries_denied_total", "Retries that the budget did not allow")

_LOST = Counter("croupier_router_lost_total", "Calls whose connection broke while they were in the air")

_RETRY_AFTER = 0.25
# Between two attempts to reach a cell that is waited for; and that many run apart, so that a culprit does not
# take those along once more that it took along before. Slower for those that may wait for long.
_STEP = 0.025
_APART = 0.005
_MOST_APART = 16
_SLOWER = 4
_MOST_LOSSES = 3
_TOO_LATE = "the deadline passed before a cell answered"


class CellUnreachable(Unavailable):
    """A cell could not be reached, or its connection broke. Ours, passing."""

    reason = "CELL_UNREACHABLE"


class CellLost(CellUnreachable):
    """A cell's connection broke while a request was in flight. Ours, passing; or the request's doing."""


class LostAgain(InternalError):
    """Connections broke with this request in flight, again and again. The model's doing, probably."""

    reason = "LOST_AGAIN"


class NoCell(Unavailable):
    """No cell of the hand is known. Ours, passing."""

    reason = "NO_CELL"


class Started(Protocol):
    """A call that is under way, and what is told of its end if it is traced."""

    span: Any

    def cancel(self) -> None:
        """Give it up: its `CellCall` is told no end."""


class Exchange(Protocol):
    """How units travel to a cell, and what its answer says about each of them."""

    def start(self, call: CellCall, timeout: float | None) -> Started:
        """Call `call.cell` for `call.units`; later, and once, `call.answer` or `call.fail` is called.

        `timeout` in seconds is for the cell to know. Raises CroupierError if there is nobody to call.
        """

    def outcomes(self, call: CellCall, response: bytes) -> list[Outcome]:
        """An outcome for each unit of `call`; raises CroupierError for all of them."""

    def refusal(self, outcome: bytes) -> CroupierError | None:
        """The error that an outcome is, if it is one."""


class Attempts:
    """Runs units against cells. `timeout`: seconds that an attempt may be silent."""

    def __init__(
        self,
        breakers: Breakers,
        budget: RetryBudget,
        wheel: Wheel,
        *,
        clock: Callable[[], float],
        timeout: float = 1.0,
        suspects: Suspects | None = None,
    ) -> None:
        self.breakers, self.budget, self.wheel = breakers, budget, wheel
        self.troubled = breakers.troubled
        self.clock, self.timeout = clock, timeout
        self.suspects = Suspects() if suspects is None else suspects
        # Of artifacts that are held, and that were not answered since they were lost: empty nearly always.
        self.held, self.missed, self.working = self.suspects.held, self.suspects.missed, self.suspects.working
        self.alone = self.suspects.alone
        self.apart = 0

    def run(
        self,
        units: list[Unit],
        exchange: Exchange,
        deadline: float,
        now: float,
        ended: Callable[..., Cancellable | None],
        *args: Any,
    ) -> Run:
        """Give an outcome to every unit that has none; then, once, call `ended` with `args`.

        If that goes on with it, it returns what to cancel. It may be called before this returns. Nothing is
        raised: a bug is an outcome too.
        """
        self.budget.deposit()
        run = Run(self, exchange, deadline, ended, args)
        run.begin(untried(units), now)
        return run


class CellCall:
    """One call to a cell, for the units that go there. `due` is the moment at which it is overdue."""

    def __init__(self, run: Run, cell: str, units: list[Unit], started: float, due: float) -> None:
        self.run, self.cell, self.units, self.started, self.due = run, cell, units, started, due
        self.is_overdue = False
        # The cell has said that it is at work on it, and for long.
        self.has_begun = False
        self.under_way: Started | None = None

    def begin(self) -> None:
        """The cell has begun to answer, or says that it is at work on it, and for long."""
        if not self.has_begun:
            self.has_begun = True
            for artifact in self.artifacts():
                self.run.attempts.suspects.begins(artifact, self.cell)

    def note_cold(self) -> None:
        """The answer that is about to come was waited for, until a model was loaded."""
        for unit in self.units:
            if not unit.is_settled:
                unit.is_cold = True

    def answer(self, response: bytes) -> None:
        """The cell answered."""
        self.run.answered(self, response)

    def fail(self, error: CroupierError) -> None:
        """The call as a whole came to this."""
        self.run.failed(self, error)

    def artifacts(self) -> set[bytes]:
        return {unit.artifact for unit in self.units if unit.artifact is not None}

    def end(self, is_answered: bool, now: float) -> None:
        """It is in flight no more."""
        if self.run.attempts.alone:
            for artifact in self.artifacts():
                self.run.attempts.suspects.leave(artifact, self.cell)
        if self.has_begun:
            for artifact in self.artifacts():
                self.run.attempts.suspects.ends(artifact, self.cell, now, is_answered=is_answered)


class Run:
    """The calls of one request."""

    def __init__(
        self,
        attempts: Attempts,
        exchange: Exchange,
        deadline: float,
        ended: Callable[..., Cancellable | None],
        args: tuple[Any, ...],
    ) -> None:
        # The wheel's.
        self.slot: set[Item] | None = None
        self.attempts, self.exchange, self.deadline = attempts, exchange, deadline
        self.ended: Callable[..., Cancellable | None] | None = ended
        self.args: tuple[Any, ...] | None = args
        self.units: list[Unit] = []
        # How many units have no final outcome yet; what is in flight.
        self.left = 0
        self.calls: list[CellCall] = []
        # Units that wait for the cell that lost them, when it is tried again, and until when at most.
        self.waiting: list[Unit] = []
        self.resume_at = 0.0
        self.wait_until = inf
        # Whether any unit was lost.
        self.has_lost = False
        # What goes on in its place once it has ended.
        self.after: Cancellable | None = None

    def cancel(self) -> None:
        """Give up: the caller is gone."""
        if self.ended is not None:
            self.end_with(Cancelled("the caller hung up"))
        elif self.after is not None:
            self.after.cancel()

    def expire(self, now: float) -> None:
        """The wheel's: a call may be overdue, or the deadline has passed."""
        if now >= self.deadline:
            for call in self.calls:
                self.note_silence(call, now)
            self.end_with(DeadlineExceeded(_TOO_LATE))
            return
        for call in self.calls.copy():
            if call.is_overdue or now < call.due:
                continue
            _OVERDUE.inc()
            self.note_silence(call, now)
            if self.is_at_work(call, now):
                # What it waits for, or for what it waits, would only hold up the next cell as well.
                call.due = inf
            else:
                call.is_overdue = True
                self.send(unsettled(call.units), now, False)
        if self.waiting and now >= self.resume_at:
            waiting, self.waiting = self.waiting, []
            # Not a retry that adds load: whoever waits has been waiting for this cell alone.
            self.send(unsettled(waiting), now, True)
        self.go_on()

    def begin(self, units: list[Unit], now: float) -> None:
        self.units, self.left = units, len(units)
        self.send(units, now, True)
        self.go_on()

    def answered(self, call: CellCall, response: bytes) -> None:
        now = self.attempts.clock()
        self.attempts.breakers.answered(call.cell, now)
        try:
            outcomes = self.exchange.outcomes(call, response)
            if len(outcomes) != len(call.units):
                _log.error("a bug: %d outcomes for %d units", len(outcomes), len(call.units))
                raise InternalError("internal error")
        except Exception as error:  # noqa: BLE001 - a bug is an outcome too
            outcomes = [_foreseen(error)] * len(call.units)
        if self.attempts.held or self.attempts.missed:
            self.note_answers(call, outcomes, now)
        call.end(True, now)
        self.settle(call, outcomes, now)

    def failed(self, call: CellCall, error: CroupierError) -> None:
        now = self.attempts.clock()
        if now >= self.deadline and isinstance(error, Unavailable):
            # The cell knows the deadline too, and gives up a little before the wheel turns.
            error = DeadlineExceeded(_TOO_LATE)
        self.note(call, error, now)
        outcomes: list[Outcome] = [error] * len(call.units)
        if isinstance(error, CellLost):
            outcomes = self.lose(call, error, now)
        call.end(False, now)
        self.settle(call, outcomes, now)

    def settle(self, call: CellCall, outcomes: list[Outcome], now: float) -> None:
        self.calls.remove(call)
        self.left -= settle(call.units, outcomes)
        # The units of an overdue call have gone on already.
        if self.left and not call.is_overdue:
            self.send(self.wait_for(call.cell, unsettled(call.units), now), now, False)
        self.go_on()

    def lose(self, call: CellCall, error: CellLost, now: float) -> list[Outcome]:
        """The outcomes of units whose connection broke."""
        outcomes: list[Outcome] = []
        suspects = self.attempts.suspects
        # Of several artifacts nobody knows which one it was.
        is_alone = len({unit.artifact for unit in call.units}) == 1
        for unit in call.units:
            _LOST.inc()
            unit.lost_with = (*unit.lost_with, call.cell)
            self.has_lost, self.wait_until = True, inf
            outcome: CroupierError = error
            is_culprit = len(unit.lost_with) == _MOST_LOSSES
            if is_culprit:
                outcome = LostAgain(f"cells ended {_MOST_LOSSES} times with it in flight")
            if unit.artifact is not None:
                if is_alone and suspects.is_working_long(unit.artifact, call.cell, now):
                    # The cell had worked on it for long, and ended.
                    outcome = suspects.suspect(unit.artifact, now)
                elif is_culprit:
                    suspects.suspect(unit.artifact, now)
                else:
                    suspects.lost(unit.artifact, call.cell, now, is_again=len(unit.lost_with) > 1)
            outcomes.append(outcome)
        return outcomes

    def wait_for(self, cell: str, units: list[Unit], now: float) -> list[Unit]:
        """The units that need not wait for `cell`, which has just failed; the others are put aside.

        Or end as they are, where neither of the two cells that they were lost with is back in time.
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
            if other not in unit.cells or self.is_in_flight_to(other):
                other = cell
            if not is_last or not isinstance(unit.outcome, CellLost):
                unit.tried -= 1
            behind = [name for name in unit.cells[unit.tried :] if name != other]
            unit.cells = (*unit.cells[: unit.tried], other, *behind)
            self.put_aside(unit, now, is_last)
        return free

    def is_in_flight_to(self, cell: str) -> bool:
        return cell in [call.cell for call in self.calls]

    def put_aside(self, unit: Unit, now: float, is_slow: bool) -> None:
        """Send the unit a little later."""
        self.waiting.append(unit)
        self.attempts.apart = (self.attempts.apart + 1) % _MOST_APART
        pause = _STEP + _APART * self.attempts.apart
        self.resume_at = now + (pause * _SLOWER if is_slow else pause)

    def let_in(self, cell: str, units: list[Unit], now: float) -> list[Unit]:
        """The units that may go to `cell` now.

        Others are put aside, since each has to go alone; or stay where they are: it would be a third cell.
        """
        suspects = self.attempts.suspects
        # A cell that has just come back may be slow: longer than for an attempt.
        until = now + suspects.verdict_seconds
        let: list[Unit] = []
        for unit in units:
            artifact, cells = unit.artifact, self.waited_for(unit, now)
            if artifact is None:
                let.append(unit)
                continue
            if len(cells) > 1 and cell not in cells and not {*cells}.isdisjoint(unit.cells):
                continue
            goes_alone = len(unit.lost_with) > 1 or suspects.goes_alone(artifact)
            if not goes_alone or suspects.enter(artifact, cell, now, until):
                let.append(unit)
            else:
                unit.tried -= 1
                self.put_aside(unit, now, False)
        return let

    def waited_for(self, unit: Unit, now: float) -> tuple[str, ...]:
        """The cell or the two that alone the unit may go to; empty if there are none."""
        if unit.artifact is None:
            return ()
        if len(unit.lost_with) > 1 and unit.lost_with[0] != unit.lost_with[1]:
            # Whatever others of the artifact were answered: it may be the request.
            return unit.lost_with
        return self.attempts.suspects.holders(unit.artifact, now)

    def patience(self, is_last: bool, now: float) -> float:
        """How many seconds to wait for a cell that died, or for one of the last two."""
        left, suspects = max(0.0, self.deadline - now), self.attempts.suspects
        # As with an attempt: a caller in a hurry gets a second chance too, where there is one.
        return min(suspects.verdict_seconds, left) if is_last else min(suspects.hold_seconds, left / 2)

    def note_answers(self, call: CellCall, outcomes: list[Outcome], now: float) -> None:
        """A cell is back, or is one of many that answer: what it says of artifacts that were lost."""
        suspects = self.attempts.suspects
        for unit, outcome in zip(call.units, outcomes, strict=True):
            if unit.artifact is None:
                continue
            if unit.artifact in self.attempts.missed:
                error = self.exchange.refusal(outcome) if isinstance(outcome, bytes) else outcome
                if error is not None and error.reason == QUARANTINED:
                    suspects.quarantined(unit.artifact, error, now)
            suspects.answered(unit.artifact, call.cell)

    def send(self, units: list[Unit], now: float, is_first: bool) -> None:
        while units:
            back: list[Unit] = []
            for cell, group in by_next_cell(units).items():
                if is_first or self.may_retry(now):
                    self.call(cell, group, now, back)
            units, is_first = back, False

    def call(self, cell: str, units: list[Unit], now: float, back: list[Unit]) -> None:
        """Make one call; units that have to go on, because it was never made, go into `back`."""
        if self.attempts.missed or self.has_lost:
            units = self.let_in(cell, units, now)
            if not units:
                return
        left = max(0.0, self.deadline - now)
        call = CellCall(self, cell, units, now, now + min(self.attempts.timeout, left / 2))
        if self.attempts.troubled:
            self.attempts.breakers.started(cell, now)
        try:
            call.under_way = self.exchange.start(call, None if left == inf else left)
        except Exception as error:  # noqa: BLE001 - a bug is an outcome too
            if isinstance(error, CroupierError):
                self.note(call, error, now)
            call.end(False, now)
            self.left -= settle(units, [_foreseen(error)] * len(units))
            back.extend(self.wait_for(cell, unsettled(units), now))
        else:
            self.calls.append(call)

    def may_retry(self, now: float) -> bool:
        if self.attempts.budget.take(now):
            _RETRIES.values[()] += 1
            return True
        _DENIED.values[()] += 1
        return False

    def go_on(self) -> None:
        """Wait for what comes next, or end."""
        if not self.left or not (self.calls or self.waiting):
            self.end()
        elif self.slot is None or self.waiting:
            # Calls that start later are due later: the wheel's moment never comes too late for them.
            moment = self.deadline
            if self.waiting:
                moment = min(moment, self.resume_at)
            for call in self.calls:
                if not call.is_overdue:
                    moment = min(moment, call.due)
            self.attempts.wheel.add(self, moment)

    def end_with(self, error: CroupierError) -> None:
        settle(self.units, [error] * len(self.units))
        self.end()

    def end(self) -> None:
        if self.slot is not None:
            self.attempts.wheel.remove(self)
        for call in self.calls:
            call.end(False, self.attempts.clock())
            if call.under_way is not None:
                call.under_way.cancel()
                call.under_way = None
        self.calls, self.waiting = [], []
        if self.left:
            for unit in self.units:
                if unit.outcome is None:
                    unit.outcome = NoCell("no cell of the hand is registered", retry_after=_RETRY_AFTER)
        ended, args = self.ended, self.args
        # Whoever holds on to the run (a call that may be cancelled) holds on to nothing else.
        self.ended = self.args = None
        if ended is not None and args is not None:
            self.after = ended(*args)

    def note(self, call: CellCall, error: CroupierError, now: float) -> None:
        """What an error says about the cell."""
        breakers = self.attempts.breakers
        if isinstance(error, CellUnreachable):
            breakers.unreachable(call.cell, now)
            return
        if (self.attempts.held or self.attempts.missed) and not isinstance(error, DeadlineExceeded):
            self.note_answers(call, [error] * len(call.units), now)
        if isinstance(error, Unavailable) and not isinstance(error, StaleMap):
            breakers.refused(call.cell, now)
        elif isinstance(error, DeadlineExceeded):
            self.note_silence(call, now)
        else:
            breakers.answered(call.cell, now)

    def is_at_work(self, call: CellCall, now: float) -> bool:
        """Whether the cell has said that it works on this for long, or on one of its artifacts for others."""
        suspects = self.attempts.suspects
        if call.has_begun:
            for artifact in call.artifacts():
                suspects.works_long(artifact, call.cell)
            return True
        if not self.attempts.working:
            return False
        return any(suspects.is_working(artifact, call.cell, now) for artifact in call.artifacts())

    def note_silence(self, call: CellCall, now: float) -> None:
        if call.has_begun:
            self.attempts.breakers.answered(call.cell, now)
            return
        whole = now - call.started >= self.attempts.timeout
        self.attempts.breakers.silent(call.cell, call.started, now, whole=whole)


def retries() -> tuple[int, int]:
    """Those that this process has made so far, and those that the budget did not allow."""
    return _RETRIES.values[()], _DENIED.values[()]


def _foreseen(error: Exception) -> CroupierError:
    if isinstance(error, CroupierError):
        return error.without_frames()
    _log.error("a bug in a call to a cell", exc_info=error)
    return InternalError("internal error")
