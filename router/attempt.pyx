"""Gets answers from cells: deadline, retries inside the hand, and patience with a silent cell.

A `Unit` is one prediction on its way, with the cells that may answer it. Units that go to the same
cell share one call, a *flight*. There are three ways that a flight ends:

1. It lands. A unit's answer, or an error that is not `Unavailable`, is final. A unit that came
   back `Unavailable` flies on to its next cell.
2. It is overdue: silent for an attempt's time. Its units fly on to their next cell **and** the flight
   stays in the air: predictions are idempotent, so the first answer wins. A hung cell therefore costs a
   request an attempt's time and not its deadline, and a slow cold load is not thrown away. A cell that runs
   a model for long says so (it sends its headers): then the units wait, for a model that does not end
   would take the next cell's threads as well.
3. The deadline passes. Whatever is in the air is cancelled.

A flight that is lost with its connection may be why that broke. Its units wait for the cell to come back before
they fly on, as `suspects.py` says, and a unit that was lost twice flies no more.

Every flight after a unit's first costs a token of the retry budget, and no unit flies to a cell twice.
The time of an attempt is at most half of what is left until the deadline, so that a caller in a
hurry gets a second chance too.

Everything happens in callbacks, and nothing here knows a loop: a flight lands when its line says so,
and a run waits in the wheel for the moment at which it has to look again. Native for speed alone: every
request has a run, and its way in and out of the wheel.
"""

cimport cython
from libc.math cimport INFINITY

import logging

from croupier.errors import Cancelled, CroupierError, DeadlineExceeded, InternalError, Unavailable
from croupier.telemetry.metrics import Counter
from router.suspects import QUARANTINED, Suspects
from router.units cimport Unit, by_next_cell, settle, unsettled, untried

_log = logging.getLogger(__name__)
_RETRIES = Counter("croupier_router_retries_total", "Calls to a further cell of the hand")
_OVERDUE = Counter("croupier_router_overdue_total", "Calls that were silent for an attempt's time")
_DENIED = Counter("croupier_router_retries_denied_total", "Retries that the budget did not allow")

_LOST = Counter("croupier_router_lost_total", "Calls whose connection broke while they were in the air")

_RETRY_AFTER = 0.25
# Between two attempts to reach a cell that is waited for; and that many run apart, so that a culprit does not
# take those along once more that it took along before.
_STEP = 0.025
_APART = 0.005
_MOST_APART = 16
_TOO_LATE = "the deadline passed before a cell answered"


class CellUnreachable(Unavailable):
    """A cell could not be reached, or its connection broke. Ours, passing."""

    reason = "CELL_UNREACHABLE"


class CellLost(CellUnreachable):
    """A cell's connection broke while a request was in the air. Ours, passing; or the request's doing."""


class LostTwice(InternalError):
    """Two connections broke with this request in the air. The model's doing, probably."""

    reason = "LOST_TWICE"


class NoCell(Unavailable):
    """No cell of the hand is known. Ours, passing."""

    reason = "NO_CELL"


@cython.final
cdef class Attempts:
    """Runs units against cells. `patience`: seconds that an attempt may be silent."""

    cdef readonly object breakers
    cdef readonly object budget
    cdef readonly object wheel
    cdef readonly object clock
    cdef readonly double patience
    cdef readonly object suspects
    cdef set troubled
    # Of artifacts that are held, and that were not answered since they were lost: empty nearly always.
    cdef dict held
    cdef dict missed
    cdef dict working
    cdef int apart

    def __init__(self, breakers, budget, wheel, *, clock, double patience=1.0, suspects=None):
        self.breakers, self.budget, self.wheel = breakers, budget, wheel
        self.troubled = breakers.troubled
        self.clock, self.patience = clock, patience
        self.suspects = Suspects() if suspects is None else suspects
        self.held, self.missed, self.working = self.suspects.held, self.suspects.missed, self.suspects.working

    def run(self, list units not None, line, double deadline, double now, ended, *args):
        """Give an outcome to every unit that has none; then, once, call `ended` with `args`.

        `line` is how units travel (`Line` in attempt.pyi). `ended` may be called before this returns.
        Nothing is raised: a bug is an outcome too.
        """
        self.budget.deposit()
        cdef Run run = Run.__new__(Run)
        run.attempts, run.line, run.deadline, run.ended, run.args = self, line, deadline, ended, args
        run.begin(untried(units), now)
        return run


@cython.final
@cython.freelist(256)
cdef class Flight:
    """One call to a cell. `due` is the moment at which it is overdue."""

    cdef readonly str cell
    cdef readonly list units
    cdef Run run
    cdef double started
    cdef double due
    cdef bint is_overdue
    # The cell has said that it is at work on it, and for long.
    cdef bint has_begun
    cdef object sent

    def __init__(self):
        raise TypeError("flights are made by runs")

    def begin(self):
        """The cell has begun to answer, or says that it is at work on it, and for long."""
        if not self.has_begun:
            self.has_begun = True
            for artifact in self.artifacts():
                self.run.attempts.suspects.begins(artifact, self.cell)

    cdef set artifacts(self):
        cdef Unit unit
        return {unit.artifact for unit in self.units if unit.artifact is not None}

    cdef int over(self, bint is_answered, double now) except -1:
        """It is in the air no more."""
        if self.has_begun:
            for artifact in self.artifacts():
                self.run.attempts.suspects.ends(artifact, self.cell, now, is_answered=is_answered)
        return 0

    def land(self, bytes response not None):
        """The cell answered."""
        self.run.landed(self, response)

    def fail(self, error):
        """The call as a whole came to this."""
        self.run.failed(self, error)


@cython.final
@cython.freelist(256)
cdef class Run:
    """The flights of one request."""

    # The wheel's.
    cdef public object slot
    cdef Attempts attempts
    cdef object line
    cdef double deadline
    cdef object ended
    cdef tuple args
    cdef list units
    # How many units have no final outcome yet; what is in the air.
    cdef Py_ssize_t left
    cdef list flights
    # Units that wait for the cell that lost them, when it is tried again, and until when at most.
    cdef list waiting
    cdef double resume_at
    cdef double patient_until

    def __init__(self):
        raise TypeError("runs are made by `Attempts.run`")

    def cancel(self):
        """Give up: the caller is gone."""
        if self.ended is not None:
            self.end_with(Cancelled("the caller hung up"))

    def expire(self, double now):
        """The wheel's: a flight may be overdue, or the deadline has passed."""
        cdef Flight flight
        if now >= self.deadline:
            for flight in self.flights:
                self.note_silence(flight, now)
            self.end_with(DeadlineExceeded(_TOO_LATE))
            return
        for flight in self.flights.copy():
            if flight.is_overdue or now < flight.due:
                continue
            _OVERDUE.inc()
            self.note_silence(flight, now)
            if self.is_at_work(flight, now):
                # What it waits for, or for what it waits, would only hold up the next cell as well.
                flight.due = INFINITY
            else:
                flight.is_overdue = True
                self.launch(unsettled(flight.units), now, False)
        if self.waiting and now >= self.resume_at:
            waiting, self.waiting = self.waiting, []
            # Not a retry that adds load: whoever waits has been waiting for this cell alone.
            self.launch(unsettled(waiting), now, True)
        self.go_on()

    cdef begin(self, list units, double now):
        self.units, self.left, self.flights, self.waiting = units, len(units), [], []
        self.patient_until = INFINITY
        self.launch(units, now, True)
        self.go_on()

    cdef landed(self, Flight flight, bytes response):
        cdef double now = self.attempts.clock()
        self.attempts.breakers.answered(flight.cell, now)
        try:
            outcomes = self.line.outcomes(flight, response)
            if len(outcomes) != len(flight.units):
                raise ValueError(f"{len(outcomes)} outcomes for {len(flight.units)} units")
        except Exception as error:
            outcomes = [_foreseen(error)] * len(flight.units)
        if self.attempts.held or self.attempts.missed:
            self.note_answers(flight, outcomes, now)
        flight.over(True, now)
        self.land(flight, outcomes, now)

    cdef failed(self, Flight flight, error):
        cdef double now = self.attempts.clock()
        if now >= self.deadline and isinstance(error, Unavailable):
            # The cell knows the deadline too, and gives up a little before the wheel turns.
            error = DeadlineExceeded(_TOO_LATE)
        self.note(flight, error, now)
        outcomes = self.lose(flight, error, now) if isinstance(error, CellLost) else [error] * len(flight.units)
        flight.over(False, now)
        self.land(flight, outcomes, now)

    cdef land(self, Flight flight, list outcomes, double now):
        self.flights.remove(flight)
        self.left -= settle(flight.units, outcomes)
        # The units of an overdue flight have flown on already.
        if self.left and not flight.is_overdue:
            self.launch(self.wait_for(flight.cell, unsettled(flight.units), now), now, False)
        self.go_on()

    cdef list lose(self, Flight flight, error, double now):
        """The outcomes of units whose connection broke."""
        cdef Unit unit
        cdef list outcomes = []
        suspects = self.attempts.suspects
        # Of several artifacts nobody knows which one it was.
        cdef bint is_alone = len({unit.artifact for unit in flight.units}) == 1
        for unit in flight.units:
            _LOST.inc()
            unit.lost += 1
            outcome = error if unit.lost == 1 else LostTwice("two cells ended with it in the air")
            if unit.artifact is not None:
                if is_alone and suspects.is_working_long(unit.artifact, flight.cell, now):
                    # The cell had worked on it for long, and ended.
                    outcome = suspects.suspect(unit.artifact, now)
                else:
                    suspects.lost(unit.artifact, flight.cell, now)
            outcomes.append(outcome)
        return outcomes

    cdef list wait_for(self, str cell, list units, double now):
        """The units that need not wait for `cell`, which has just failed; the others are put aside."""
        cdef Unit unit
        cdef list free = []
        if not self.attempts.held or now >= self.patient_until:
            return units
        for unit in units:
            if unit.artifact is None or self.attempts.suspects.holder(unit.artifact, now) != cell:
                free.append(unit)
                continue
            if self.patient_until == INFINITY:
                # As with an attempt: a caller in a hurry gets a second chance too.
                self.patient_until = now + min(
                    self.attempts.suspects.patience, max(0.0, self.deadline - now) / 2)
            unit.tried -= 1
            self.waiting.append(unit)
            self.attempts.apart = (self.attempts.apart + 1) % _MOST_APART
            self.resume_at = now + _STEP + _APART * self.attempts.apart
        return free

    cdef note_answers(self, Flight flight, list outcomes, double now):
        """A cell is back, or is one of many that answer: what it says of artifacts that were lost."""
        cdef Unit unit
        suspects = self.attempts.suspects
        for unit, outcome in zip(flight.units, outcomes):
            if unit.artifact is None:
                continue
            if unit.artifact in self.attempts.missed:
                error = self.line.refusal(outcome) if type(outcome) is bytes else outcome
                if error is not None and error.reason == QUARANTINED:
                    suspects.quarantined(unit.artifact, error, now)
            suspects.answered(unit.artifact, flight.cell)

    cdef launch(self, list units, double now, bint is_first):
        cdef list back
        while units:
            back = []
            for cell, group in by_next_cell(units).items():
                if is_first or self.may_retry(now):
                    self.fly(cell, group, now, back)
            units, is_first = back, False

    cdef fly(self, str cell, list units, double now, list back):
        """Send one flight; units that have to fly on, because it never took off, go into `back`."""
        cdef Flight flight = Flight.__new__(Flight)
        cdef double left = max(0.0, self.deadline - now)
        flight.run, flight.cell, flight.units, flight.started = self, cell, units, now
        flight.due = now + min(self.attempts.patience, left / 2)
        if self.attempts.troubled:
            self.attempts.breakers.started(cell, now)
        try:
            flight.sent = self.line.send(flight, None if left == INFINITY else left)
        except Exception as error:
            if isinstance(error, CroupierError):
                self.note(flight, error, now)
            self.left -= settle(units, [_foreseen(error)] * len(units))
            back.extend(self.wait_for(cell, unsettled(units), now))
        else:
            self.flights.append(flight)

    cdef bint may_retry(self, double now) except -1:
        if self.attempts.budget.take(now):
            _RETRIES.inc()
            return True
        _DENIED.inc()
        return False

    cdef go_on(self):
        """Wait for what comes next, or end."""
        cdef Flight flight
        cdef double moment = self.deadline
        if not self.left or not (self.flights or self.waiting):
            self.end()
        elif self.slot is None or self.waiting:
            # Flights that start later are due later: the wheel's moment never comes too late for them.
            if self.waiting:
                moment = min(moment, self.resume_at)
            for flight in self.flights:
                if not flight.is_overdue:
                    moment = min(moment, flight.due)
            self.attempts.wheel.add(self, moment)

    cdef end_with(self, error):
        settle(self.units, [error] * len(self.units))
        self.end()

    cdef end(self):
        cdef Flight flight
        cdef Unit unit
        if self.slot is not None:
            self.attempts.wheel.remove(self)
        for flight in self.flights:
            flight.over(False, self.attempts.clock())
            if flight.sent is not None:
                flight.sent.cancel()
                flight.sent = None
        self.flights, self.waiting = [], []
        if self.left:
            for unit in self.units:
                if unit.outcome is None:
                    unit.outcome = NoCell("no cell of the hand is registered", retry_after=_RETRY_AFTER)
        ended, args = self.ended, self.args
        # Whoever holds on to the run (a call that may be cancelled) holds on to nothing else.
        self.ended = self.args = None
        if ended is not None:
            ended(*args)

    cdef note(self, Flight flight, error, double now):
        """What an error says about the cell's health."""
        breakers = self.attempts.breakers
        if isinstance(error, CellUnreachable):
            breakers.unreachable(flight.cell, now)
            return
        if (self.attempts.held or self.attempts.missed) and not isinstance(error, DeadlineExceeded):
            self.note_answers(flight, [error] * len(flight.units), now)
        if isinstance(error, Unavailable):
            breakers.refused(flight.cell, now)
        elif isinstance(error, DeadlineExceeded):
            self.note_silence(flight, now)
        else:
            breakers.answered(flight.cell, now)

    cdef bint is_at_work(self, Flight flight, double now) except -1:
        """Whether the cell has said that it works on this for long, or on one of its artifacts for somebody else."""
        suspects = self.attempts.suspects
        if flight.has_begun:
            for artifact in flight.artifacts():
                suspects.works_long(artifact, flight.cell)
            return True
        if self.attempts.working:
            for artifact in flight.artifacts():
                if suspects.is_working(artifact, flight.cell, now):
                    return True
        return False

    cdef note_silence(self, Flight flight, double now):
        if flight.has_begun:
            self.attempts.breakers.answered(flight.cell, now)
            return
        whole = now - flight.started >= self.attempts.patience
        self.attempts.breakers.silent(flight.cell, flight.started, now, whole=whole)


cdef _foreseen(error):
    if isinstance(error, CroupierError):
        return error.without_frames()
    _log.error("a bug in a call to a cell", exc_info=error)
    return InternalError("internal error")
