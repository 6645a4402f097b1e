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

And a call that is silent for longer than nearly all such calls is sent to the next cell as well, if that can
be afforded (`hedges.py`): whichever of the two is answered first ends the other. If one of them fails, the
units wait for the other one; only when it fails too, or is overdue, they go on.

A call that is lost with its connection may be why that broke. Its units wait for the cell to come back before
they go on: `losses.py` says for how long, and where they may go then.

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
from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

from croupier.errors import Cancelled, CroupierError, DeadlineExceeded, InternalError, Unavailable
from croupier.priorities import OVERLOADED, Priority
from croupier.stores.feature_store import StoreDown
from croupier.telemetry.metrics import Counter, LoopCounter
from router.hedges import BUSY, Hedges, note_answer, note_won, patience
from router.loads import CellLoad, Loads
from router.losses import CellLost, CellUnreachable, Losses, note_answers
from router.outliers import PERIOD_SECONDS
from router.pushbacks import Pushbacks
from router.stale import OldCell, StaleMap
from router.suspects import Suspects
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

# The same as C's, for what every call asks.
_never = inf
_RETRY_AFTER = 0.25
_TOO_LATE = "the deadline passed before a cell answered"


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
        loads: Loads | None = None,
        hedges: Hedges | None = None,
    ) -> None:
        self.breakers, self.budget, self.wheel = breakers, budget, wheel
        self.troubled = breakers.troubled
        self.clock, self.timeout = clock, timeout
        self.suspects = Suspects() if suspects is None else suspects
        self.loads = Loads() if loads is None else loads
        self.hedges = Hedges() if hedges is None else hedges
        # Of artifacts that are held, and that were not answered since they were lost: empty nearly always.
        self.held, self.missed, self.working = self.suspects.held, self.suspects.missed, self.suspects.working
        self.alone = self.suspects.alone
        self.pushbacks = Pushbacks()
        # When cells are judged next, one beside the other.
        self.look_at = 0.0

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
        self.hedges.deposit()
        if now >= self.look_at:
            self.look_at = now + PERIOD_SECONDS
            self.breakers.look(now)
            self.pushbacks.look(now)
        run = Run(self, exchange, deadline, ended, args)
        run.begin(untried(units), now)
        return run


class CellCall:
    """One call to a cell, for the units that go there. `due` is the moment at which it is overdue."""

    def __init__(self, run: Run, cell: str, units: list[Unit], started: float, due: float) -> None:
        self.run, self.cell, self.units, self.started, self.due = run, cell, units, started, due
        self.is_overdue = False
        # The cell has said that it is at work on it, and for long; that it had to load a model for it.
        self.has_begun = self.is_cold = False
        # When it is sent to the next cell as well; and the other call of the two, while both are in flight.
        self.hedge_at = inf
        self.partner: CellCall | None = None
        self.is_hedge = self.is_hedged = False
        # Whether the cell has its model in memory, as far as that is known.
        self.is_warm = False
        # While it is in flight, where it counts.
        self.load: CellLoad | None = None
        self.slot = 0
        self.under_way: Started | None = None

    def start(self, left: float) -> None:
        """Send it, with `left` seconds to go. Raises what the exchange does."""
        unit = self.units[0]
        self.slot = unit.slot
        self.load = self.run.attempts.loads.of(self.cell)
        self.load.begin(self.slot)
        if len(self.units) == 1 and unit.near:
            self.hedge_at = self.started + patience(unit.route, self.load, self.cell, self.started)
            self.is_warm = self.hedge_at < _never
        self.under_way = self.run.exchange.start(self, None if left == inf else left)

    def begin(self) -> None:
        """The cell has begun to answer, or says that it is at work on it, and for long."""
        if not self.has_begun:
            self.has_begun = True
            for artifact in self.artifacts():
                self.run.attempts.suspects.begins(artifact, self.cell)

    def note_cold(self, places: list[int] | None = None) -> None:
        """The answer that is about to come was waited for, until a model was loaded: those of the units at
        `places`, or of all.
        """
        self.is_cold = True
        loaded = None
        if places is not None:
            count = len(self.units)
            loaded = {self.units[place].artifact for place in places if 0 <= place < count}
        for unit in self.units:
            if not unit.is_settled and (loaded is None or unit.artifact in loaded):
                unit.is_cold = True

    def answer(self, response: bytes) -> None:
        """The cell answered."""
        self.run.answered(self, response)

    def fail(self, error: CroupierError) -> None:
        """The call as a whole came to this."""
        self.run.failed(self, error)

    def note_answer(self, now: float) -> None:
        """The cell answered it."""
        unit, seconds = self.units[0], now - self.started
        if self.load is None:
            return
        if self.is_cold:
            self.load.note_well(self.slot)
        else:
            self.load.note_answer(self.slot, seconds)
            if not self.has_begun:
                self.load.note_delay(self.slot, seconds)
        if len(self.units) == 1:
            note_answer(unit.route, self.cell, seconds, self.is_cold, now)
        if self.is_hedge:
            note_won()

    def give_way(self, now: float) -> None:
        """Its run ends without it: if that is since its hedge was answered, it takes longer still."""
        if self.is_hedged and self.load is not None:
            self.load.note_answer(self.slot, now - self.started)
        self.note_late(now)
        self.part()

    def note_late(self, now: float) -> None:
        """There is no answer so far, of a model that need not be loaded: too much may wait there."""
        if self.load is not None and self.is_warm and not self.has_begun:
            self.load.note_late(self.slot, now - self.started)

    def note_lost(self, now: float) -> None:
        """The same, and nobody waits for it any more."""
        if self.load is not None and self.is_warm and not self.has_begun:
            self.load.note_late(self.slot, now - self.started, True)

    def part(self) -> bool:
        """Whether another call in flight is for the same; from now on, each goes its own way."""
        if self.partner is None:
            return False
        self.partner.partner = None
        self.partner = None
        return True

    def note_overload(self) -> None:
        """The cell refused it, since it has too much to do."""
        if self.load is not None:
            self.load.note_overload(self.slot)

    def note_error(self, is_cells: bool) -> None:
        """It failed, by its cell or by who asks."""
        if self.load is None:
            return
        if is_cells:
            self.load.note_failure(self.slot)
        else:
            self.load.note_well(self.slot)

    def artifacts(self) -> set[bytes]:
        return {unit.artifact for unit in self.units if unit.artifact is not None}

    def end(self, is_answered: bool, now: float) -> None:
        """It is in flight no more."""
        if self.load is not None:
            self.load.end(self.slot)
            self.load = None
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
        # Units that wait for a cell that is gone; None nearly always.
        self.losses: Losses | None = None
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
                call.note_lost(now)
            self.end_with(DeadlineExceeded(_TOO_LATE))
            return
        for call in self.calls.copy():
            if call.is_overdue:
                continue
            if now < call.due:
                if now >= call.hedge_at:
                    self.hedge(call, now)
                continue
            _OVERDUE.inc()
            self.note_silence(call, now)
            if self.is_at_work(call, now):
                # What it waits for, or for what it waits, would only hold up the next cell as well.
                call.due = inf
            else:
                call.is_overdue = True
                if not call.part():
                    self.send(unsettled(call.units), now, False)
        if self.losses is not None and now >= self.losses.resume_at:
            # Not a retry that adds load: whoever waits has been waiting for this cell alone.
            self.send(self.losses.resume(), now, True)
        self.go_on()

    def begin(self, units: list[Unit], now: float) -> None:
        self.units, self.left = units, len(units)
        self.send(units, now, True)
        self.go_on()

    def answered(self, call: CellCall, response: bytes) -> None:
        now = self.attempts.clock()
        self.attempts.breakers.answered(call.cell, now)
        call.note_answer(now)
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
        # What a hedge is lost with may be lost for the other call as well, and is no second loss.
        if isinstance(error, CellLost) and not call.is_hedge:
            outcomes = self.with_losses().lose(call.cell, call.units, error, now)
        call.end(False, now)
        self.settle(call, outcomes, now)

    def settle(self, call: CellCall, outcomes: list[Outcome], now: float) -> None:
        self.calls.remove(call)
        self.left -= settle(call.units, outcomes)
        has_other = call.part()
        # The units of an overdue call have gone on already.
        if self.left and not call.is_overdue and not has_other:
            self.send(self.wait_for(call.cell, unsettled(call.units), now), now, False)
        self.go_on()

    def wait_for(self, cell: str, units: list[Unit], now: float) -> list[Unit]:
        """The units that go on, since they need not wait for `cell`, which has just failed."""
        if self.losses is None and not self.attempts.held:
            return units
        return self.with_losses().wait_for(cell, units, [call.cell for call in self.calls], now)

    def with_losses(self) -> Losses:
        if self.losses is None:
            self.losses = Losses(self.attempts.suspects, self.deadline)
        return self.losses

    def is_waiting(self) -> bool:
        return self.losses is not None and bool(self.losses.waiting)

    def send(self, units: list[Unit], now: float, is_first: bool) -> None:
        while units:
            back: list[Unit] = []
            for cell, group in by_next_cell(units).items():
                if is_first or self.may_retry(cell, group[0], now):
                    self.call(cell, group, now, back)
            units, is_first = back, False

    def call(self, cell: str, units: list[Unit], now: float, back: list[Unit]) -> None:
        """Make one call; units that have to go on, because it was never made, go into `back`."""
        if self.attempts.missed or self.losses is not None:
            units = self.with_losses().let_in(cell, units, now)
            if not units:
                return
        left = max(0.0, self.deadline - now)
        call = CellCall(self, cell, units, now, now + min(self.attempts.timeout, left / 2))
        if self.attempts.troubled:
            self.attempts.breakers.started(cell, now)
        try:
            call.start(left)
        except Exception as error:  # noqa: BLE001 - a bug is an outcome too
            if isinstance(error, CroupierError):
                self.note(call, error, now)
            call.end(False, now)
            self.left -= settle(units, [_foreseen(error)] * len(units))
            back.extend(self.wait_for(cell, unsettled(units), now))
        else:
            self.calls.append(call)

    def hedge(self, call: CellCall, now: float) -> None:
        """Send what `call` is silent about to the next cell as well, unless there is a reason not to."""
        call.hedge_at = inf
        call.note_late(now)
        unit, attempts = call.units[0], self.attempts
        if call.has_begun or self.losses is not None or attempts.held or attempts.missed:
            return
        if unit.tried >= unit.near or (attempts.working and self.is_at_work(call, now)):
            return
        cell = unit.cells[unit.tried]
        load = attempts.loads.of(cell)
        if load.weigh(unit.slot) > BUSY or load.limit or not attempts.hedges.take(attempts.budget, now):
            return
        unit.tried += 1
        before = len(self.calls)
        self.call(cell, call.units, now, [])
        if len(self.calls) > before:
            other = self.calls[before]
            other.is_hedge = call.is_hedged = True
            other.partner, call.partner = call, other

    def may_retry(self, cell: str, unit: Unit, now: float) -> bool:
        has_room = self.attempts.loads.of(cell).has_room(unit.slot, Priority.LIVE)
        if has_room and self.attempts.budget.take(now):
            _RETRIES.values[()] += 1
            return True
        _DENIED.values[()] += 1
        return False

    def go_on(self) -> None:
        """Wait for what comes next, or end."""
        if not self.left or not (self.calls or self.is_waiting()):
            self.end()
        elif self.slot is None or self.is_waiting():
            # Calls that start later are due later: the wheel's moment never comes too late for them.
            moment = self.deadline
            if self.losses is not None and self.losses.waiting:
                moment = min(moment, self.losses.resume_at)
            for call in self.calls:
                if not call.is_overdue:
                    moment = min(moment, call.due, call.hedge_at)
            self.attempts.wheel.add(self, moment)

    def end_with(self, error: CroupierError) -> None:
        settle(self.units, [error] * len(self.units))
        self.end()

    def end(self) -> None:
        if self.slot is not None:
            self.attempts.wheel.remove(self)
        for call in self.calls:
            now = self.attempts.clock()
            call.give_way(now)
            call.end(False, now)
            if call.under_way is not None:
                call.under_way.cancel()
                call.under_way = None
        self.calls, self.losses = [], None
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
        if isinstance(error, OldCell):
            # It was not asked.
            return
        breakers = self.attempts.breakers
        if isinstance(error, CellUnreachable):
            breakers.unreachable(call.cell, now)
            call.note_error(True)
            return
        if (self.attempts.held or self.attempts.missed) and not isinstance(error, DeadlineExceeded):
            self.note_answers(call, [error] * len(call.units), now)
        if isinstance(error, Unavailable) and not isinstance(error, (StaleMap, StoreDown)):
            if error.reason == OVERLOADED:
                # Whoever asks too much of it: a breaker would keep out those as well whom it lets in.
                breakers.answered(call.cell, now)
                call.note_overload()
            else:
                breakers.refused(call.cell, now)
            call.note_error(True)
            for artifact in call.artifacts():
                self.attempts.pushbacks.note(artifact, call.cell, error.retry_after, now)
        elif isinstance(error, DeadlineExceeded):
            self.note_silence(call, now)
            call.note_lost(now)
        else:
            breakers.answered(call.cell, now)
            call.note_error(isinstance(error, InternalError))

    def note_answers(self, call: CellCall, outcomes: Sequence[Outcome], now: float) -> None:
        note_answers(self.attempts.suspects, self.exchange.refusal, call.cell, call.units, outcomes, now)

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
            call.note_error(False)
            return
        whole = now - call.started >= self.attempts.timeout
        self.attempts.breakers.silent(call.cell, call.started, now, whole=whole)
        call.note_error(True)


def retries() -> tuple[int, int]:
    """Those that this process has made so far, and those that the budget did not allow."""
    return _RETRIES.values[()], _DENIED.values[()]


def _foreseen(error: Exception) -> CroupierError:
    if isinstance(error, CroupierError):
        return error.without_frames()
    _log.error("a bug in a call to a cell", exc_info=error)
    return InternalError("internal error")
