"""When cells load what others hold hot: before a map deals or a cell goes, when one comes back or is lost.

    a ramp at 0        the cells of the next map, of those of the map that deals; it does not rise before
    a cell leaves      the next cells of the hands that it is in; then it drains
    a cell comes back  it loads what the others hold hot that it will be asked for; then it is active
    a cell is lost     as one that leaves, but it cannot be asked: by what the busiest tenants have released

Who is asked is decided by the map, its ramp and the states of cells alone, and by nothing of what is done
here. A ramp is seen to by every manager, and whoever is first raises it; a cell by the one that it has
joined, so that another takes over with the cell's next join.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial

from sharding.dealer import Dealer
from version_manager.cells.handover import Handover, Progress
from version_manager.cells.moves import Hot, Move, Standing, by_rates
from version_manager.cells.registry import Registry
from version_manager.cells.reporting import Handing, ReportingCell
from version_manager.map.mirror import Mirror
from version_manager.map.records import Active
from version_manager.model.fleet import CellState
from version_manager.rates import Rates

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.1
# After its stream ended a cell may be joined elsewhere for so long before it counts as lost.
_LOST_SECONDS = 0.2
_FORGOTTEN_SECONDS = 3.0


class Handovers:
    """Begins what `handover` then does; `rates` say which tenants are busy."""

    def __init__(
        self,
        mirror: Mirror,
        registry: Registry,
        handover: Handover,
        rates: Rates,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._mirror = mirror
        self._registry = registry
        self._handover = handover
        self._rates = rates
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()
        # Which ramp was seen to last, and how far that is.
        self._ramp = (0, 0)
        self._progress = Progress(is_done=True)
        # Cells whose stream ended here, and when that was seen; and what is done about those that are lost.
        self._gone: dict[str, float] = {}
        self._losing: asyncio.Task[None] | None = None

    @property
    def seconds(self) -> float:
        """How long a handover may take; 0: nothing waits for any."""
        return self._handover.seconds

    async def run(self) -> None:
        """Look what is to be done, until cancelled."""
        try:
            while True:
                self.turn()
                await asyncio.sleep(_LOOK_SECONDS)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def turn(self) -> None:
        """Begin what is to be begun now."""
        for session in self._registry.joined:
            if session.handing is Handing.WANTED:
                session.handing = Handing.RUNNING if self.seconds else Handing.DONE
                if self.seconds:
                    self._spawn(self._see_to(session))
        if self.seconds:
            self._look_for_lost()

    def of_ramp(self, pointer: Active) -> Progress:
        """How far cells have loaded what they will be asked for once the ramp of `pointer` rises."""
        ramp = pointer.active, pointer.previous
        if ramp != self._ramp:
            self._ramp, self._progress = ramp, Progress(is_done=not self.seconds)
            generations = {one.number: Dealer(one, cached=1) for one in self._mirror.map.generations}
            if self.seconds and ramp[0] in generations and ramp[1] in generations:
                before, after = (Standing(generations[number], self._awake()) for number in reversed(ramp))
                self._spawn(self._handover.load(before, after, self._progress))
            else:
                self._progress.is_done = True
        return self._progress

    def progress(self, pointer: Active) -> Progress | None:
        """The same, if this manager sees to that ramp."""
        return self._progress if (pointer.active, pointer.previous) == self._ramp else None

    async def _see_to(self, session: ReportingCell) -> None:
        cell = session.cell.id
        awake = self._awake()
        without, having = self._standing(awake - {cell}), self._standing(awake | {cell})
        if without is not None and having is not None:
            if session.is_leaving:
                await self._handover.load(having, without, Progress())
            else:
                await self._handover.load(without, having, Progress(), only=cell)
        if session.handing is Handing.RUNNING:
            session.handing = Handing.DONE

    def _look_for_lost(self) -> None:
        now, cells = self._clock(), self._mirror.map.cells
        self._gone |= dict.fromkeys(self._registry.take_gone(), now)
        self._gone = {cell: at for cell, at in self._gone.items() if now - at < _FORGOTTEN_SECONDS}
        if self._losing is not None and not self._losing.done():
            return
        lost = {cell for cell, at in self._gone.items() if now - at >= _LOST_SECONDS and cell not in cells}
        if lost:
            self._gone = {cell: at for cell, at in self._gone.items() if cell not in lost}
            self._losing = self._spawn(self._lose(lost))

    async def _lose(self, lost: set[str]) -> None:
        awake = self._awake()
        before, after = self._standing(awake | lost), self._standing(awake)
        if before is not None and after is not None:
            _log.warning("%s is lost: others load what was asked for there", ", ".join(sorted(lost)))
            await self._handover.load(before, after, Progress(), hot=partial(self._were_hot, lost))

    def _were_hot(self, lost: set[str], moves: Mapping[bytes, Sequence[Move]]) -> Mapping[str, Sequence[Hot]]:
        rates = self._rates.asked().tenants
        return {cell: by_rates(moves, rates, cell) for cell in sorted(lost)}

    def _awake(self) -> frozenset[str]:
        """The cells that are asked first, and go on being so."""
        heard = self._registry.heard
        return frozenset(
            cell.id
            for cell in self._mirror.map.cells.values()
            if cell.state is CellState.ACTIVE and not (cell.id in heard and heard[cell.id].is_leaving)
        )

    def _standing(self, awake: frozenset[str] | set[str]) -> Standing | None:
        served = self._mirror.map
        dealers = [Dealer(generation, cached=1) for generation in served.dealing]
        if not dealers:
            return None
        previous = dealers[1] if len(dealers) > 1 else None
        return Standing(dealers[0], frozenset(awake), previous, served.ramp)

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name="handover")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
