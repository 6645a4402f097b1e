"""Gets answers from cells: deadline, retries inside the hand, and patience with a silent cell.

A `Unit` is one prediction on its way, with the cells that may answer it. Units that go to the same
cell share one call, a *flight*. There are three ways that a flight ends:

1. It lands. A unit's answer, or an error that is not `Unavailable`, is final. A unit that came
   back `Unavailable` flies on to its next cell.
2. It is overdue: silent for an attempt's time. Its units fly on to their next cell **and** the flight
   stays in the air: predictions are idempotent, so the first answer wins. A hung cell therefore costs a
   request an attempt's time and not its deadline, and a slow cold load is not thrown away.
3. The deadline passes. Whatever is in the air is cancelled.

Every flight after a unit's first costs a token of the retry budget, and no unit flies to a cell twice.
The time of an attempt is at most half of what is left until the deadline, so that a caller in a
hurry gets a second chance too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from croupier.deadline import Deadline
from croupier.errors import CroupierError, DeadlineExceeded, InternalError, Unavailable
from croupier.telemetry.metrics import Counter
from router.budget import RetryBudget
from router.pick import Health

_RETRIES = Counter("croupier_router_retries_total", "Calls to a further cell of the hand")
_OVERDUE = Counter("croupier_router_overdue_total", "Calls that were silent for an attempt's time")
_DENIED = Counter("croupier_router_retries_denied_total", "Retries that the budget did not allow")

_RETRY_AFTER = 0.25


class CellUnreachable(Unavailable):
    """A cell could not be reached, or its connection broke. Ours, passing."""

    reason = "CELL_UNREACHABLE"


class NoCell(Unavailable):
    """No cell of the hand is known. Ours, passing."""

    reason = "NO_CELL"


Outcome: TypeAlias = "bytes | CroupierError"

# Calls one cell for some units with a timeout in seconds; an outcome for each, or an error for all.
Send: TypeAlias = "Callable[[str, Sequence[Unit], float | None], Awaitable[Sequence[Outcome]]]"


@dataclass(slots=True, eq=False)
class Unit:
    """One prediction: the bytes for the cell, the cells in the order to try, and what came of it."""

    payload: bytes
    cells: tuple[str, ...]
    tried: int = 0
    outcome: Outcome | None = None

    @property
    def is_settled(self) -> bool:
        return self.outcome is not None and not isinstance(self.outcome, Unavailable)

    def answer(self) -> bytes:
        """The answer; raises the error that stands in its place."""
        if isinstance(self.outcome, bytes):
            return self.outcome
        raise self.outcome or InternalError("a prediction was never tried")

    def next_cell(self) -> str | None:
        """The next cell to try; None when all were tried."""
        if self.tried == len(self.cells):
            return None
        self.tried += 1
        return self.cells[self.tried - 1]


@dataclass(slots=True, eq=False)
class _Flight:
    cell: str
    units: list[Unit]
    started: float
    due: float
    is_overdue: bool = False


_Task: TypeAlias = "asyncio.Task[Sequence[Outcome]]"


class Attempts:
    """Runs units against cells. `patience`: seconds that an attempt may be silent."""

    def __init__(
        self, health: Health, budget: RetryBudget, *, clock: Callable[[], float], patience: float = 1.0
    ) -> None:
        self.health = health
        self.budget = budget
        self.clock = clock
        self.patience = patience

    async def run(self, units: Sequence[Unit], send: Send, deadline: Deadline) -> None:
        """Give every unit an outcome. Raises nothing but what `send` raises by mistake."""
        self.budget.deposit()
        run = _Run(self, send, deadline)
        try:
            await run.fly(units)
        finally:
            await run.abandon()


class _Run:
    """The flights of one request."""

    def __init__(self, attempts: Attempts, send: Send, deadline: Deadline) -> None:
        self._health = attempts.health
        self._budget = attempts.budget
        self._clock = attempts.clock
        self._patience = attempts.patience
        self._send = send
        self._deadline = deadline
        self._air: dict[_Task, _Flight] = {}

    async def fly(self, units: Sequence[Unit]) -> None:
        waiting = [unit for unit in units if unit.outcome is None]
        for unit in waiting:
            unit.outcome = NoCell("no cell of the hand is registered", retry_after=_RETRY_AFTER)
        self._launch(waiting, first=True)
        while self._air and waiting:
            done, _ = await asyncio.wait(
                self._air, timeout=self._until_next(), return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                self._land(task, self._air.pop(task))
            waiting = [unit for unit in waiting if not unit.is_settled]
            if self._clock() >= self._deadline.at:
                self._expire(waiting)
                return
            self._go_on_without_overdue()

    async def abandon(self) -> None:
        """Cancel whatever is in the air and wait until it is gone."""
        for task in self._air:
            task.cancel()
        if self._air:
            await asyncio.gather(*self._air, return_exceptions=True)

    def _launch(self, units: Iterable[Unit], *, first: bool) -> None:
        groups: dict[str, list[Unit]] = {}
        for unit in units:
            cell = unit.next_cell()
            if cell is not None:
                groups.setdefault(cell, []).append(unit)
        for cell, group in groups.items():
            now = self._clock()
            if not first:
                if not self._budget.take(now):
                    _DENIED.inc()
                    continue
                _RETRIES.inc()
            self._health.started(cell, now)
            due = now + min(self._patience, self._deadline.remaining(now) / 2)
            work = self._send(cell, group, self._deadline.timeout(now))
            self._air[asyncio.ensure_future(work)] = _Flight(cell, group, now, due)

    def _land(self, task: _Task, flight: _Flight) -> None:
        outcomes = self._outcomes(task, flight)
        for unit, outcome in zip(flight.units, outcomes, strict=True):
            if not unit.is_settled:
                unit.outcome = outcome
        # The units of an overdue flight have flown on already.
        if not flight.is_overdue:
            self._launch([unit for unit in flight.units if not unit.is_settled], first=False)

    def _outcomes(self, task: _Task, flight: _Flight) -> Sequence[Outcome]:
        now = self._clock()
        try:
            outcomes = task.result()
        except CellUnreachable as error:
            self._health.unreachable(flight.cell, now)
            return [error] * len(flight.units)
        except Unavailable as error:
            self._health.refused(flight.cell, now)
            return [error] * len(flight.units)
        except DeadlineExceeded as error:
            self._note_silence(flight, now)
            return [error] * len(flight.units)
        except CroupierError as error:
            self._health.answered(flight.cell, now)
            return [error] * len(flight.units)
        self._health.answered(flight.cell, now)
        return outcomes

    def _go_on_without_overdue(self) -> None:
        now = self._clock()
        late = [f for f in self._air.values() if not f.is_overdue and now >= f.due]
        for flight in late:
            _OVERDUE.inc()
            flight.is_overdue = True
            self._note_silence(flight, now)
            self._launch([unit for unit in flight.units if not unit.is_settled], first=False)

    def _expire(self, units: Iterable[Unit]) -> None:
        now = self._clock()
        for flight in self._air.values():
            self._note_silence(flight, now)
        for unit in units:
            unit.outcome = DeadlineExceeded("the deadline passed before a cell answered")

    def _note_silence(self, flight: _Flight, now: float) -> None:
        whole = now - flight.started >= self._patience
        self._health.silent(flight.cell, flight.started, now, whole=whole)

    def _until_next(self) -> float | None:
        """Seconds until the next flight is overdue or the deadline passes."""
        moments = [flight.due for flight in self._air.values() if not flight.is_overdue]
        moment = min([*moments, self._deadline.at])
        return None if moment == float("inf") else max(0.0, moment - self._clock())
