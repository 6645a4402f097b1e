"""The cells that are joined to this manager, each with a session of its own (`joined`).

Loads stay in the memory of the managers that the cell tells of them: the one that it joined, and those to
which it only reports (`listen`), since two registrations of one cell would take its record from each other.
So a fleet's reports, one a second and cell, cost etcd nothing and wake no router. Between two streams, as
when a cell that reports here is to join here since its own manager died, its last load is believed for as
long as a silent cell is.

The newest join of an id wins, here and on other managers: a cell that lost its connection is back
before its old stream is known to be dead. Two cells configured with one id take it from each other;
the log tells.

A stopping manager does not end its sessions: their records are left to their leases, which run
for some seconds, and the cells join again elsewhere before those end.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from croupier.errors import NotFound, Unavailable
from croupier.stores.etcd import Etcd
from croupier.telemetry.metrics import Counter, Gauge
from version_manager.cells.joined import JoinedCell, Sleep, Superseded
from version_manager.cells.reporting import ReportingCell
from version_manager.map.keys import Keys
from version_manager.map.mirror import Mirror
from version_manager.map.records import check_cell
from version_manager.model.fleet import Cell, CellState, Load

_log = logging.getLogger(__name__)

_SESSIONS = Gauge("croupier_version_manager_sessions", "Cells joined to this manager")
_JOINS = Counter("croupier_version_manager_joins_total", "Cells that joined")
_MOST_GONE = 10_000


class NotJoined(NotFound):
    """No such cell is joined to this manager; it may be to another one. The operator's."""

    reason = "NOT_JOINED"


class NotQuarantined(NotFound):
    """No cell here refuses the artifact. The operator's."""

    reason = "NOT_QUARANTINED"


class Registry:
    """The sessions of this manager; `lease_seconds` is how long a silent cell is believed in."""

    def __init__(
        self,
        etcd: Etcd,
        keys: Keys,
        *,
        lease_seconds: float = 10.0,
        sleep: Sleep = asyncio.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lease_seconds = lease_seconds
        self._etcd = etcd
        self._keys = keys
        self._sessions: dict[str, JoinedCell] = {}
        self._listeners: dict[str, ReportingCell] = {}
        # The last load of those whose stream ended, and until when it is believed, the earliest first.
        self._silent: dict[str, tuple[float, Load]] = {}
        # Those that were joined here, were active and said nothing of going.
        self._gone: list[str] = []
        self._sleep = sleep
        self._clock = clock
        self._is_stopping = False

    async def follow(self, mirror: Mirror) -> None:
        """Have every session look at the map whenever that moves, for ever."""
        while True:
            moved = mirror.next_move()
            for session in self._sessions.values():
                session.look(mirror)
            await moved.wait()

    @asynccontextmanager
    async def join(self, cell: Cell) -> AsyncIterator[JoinedCell]:
        """The session of `cell` for the block: registered in it, gone after it.

        Raises:
            InvalidRequest: the cell cannot be registered as it describes itself.
            Unavailable: etcd does not take the record, or this manager is stopping.
        """
        if self._is_stopping:
            raise Unavailable("the version manager is stopping")
        check_cell(cell)
        session = JoinedCell(self._etcd, self._keys, cell, self.lease_seconds, self._sleep)
        try:
            await self._registered(session)
            yield session
        finally:
            if not self._is_left_to_its_lease(session):
                await self._leave(session)

    @asynccontextmanager
    async def listen(self, cell: Cell) -> AsyncIterator[ReportingCell]:
        """What `cell` reports for the block, while another manager has it registered.

        Raises:
            InvalidRequest: the cell cannot be registered as it describes itself.
            Unavailable: this manager is stopping.
        """
        if self._is_stopping:
            raise Unavailable("the version manager is stopping")
        listener = ReportingCell(check_cell(cell), self._clock)
        before = self._listeners.get(cell.id)
        self._listeners[cell.id] = listener
        if before is not None:
            before.end(Superseded(f"cell {cell.id} reports anew"))
        try:
            yield listener
        finally:
            if self._listeners.get(cell.id) is listener:
                del self._listeners[cell.id]
                self._fell_silent(listener.cell)

    def with_load(self, cell: Cell) -> Cell:
        """`cell` with its latest load report, if it joined or reports here, or did so a moment ago."""
        if session := self.find(cell.id):
            is_warming = session.cell.state is CellState.WARMING and cell.state is CellState.DRAINING
            state = CellState.WARMING if is_warming else cell.state
            return replace(cell, load=session.cell.load, state=state)
        until, load = self._silent.get(cell.id, (0.0, cell.load))
        return replace(cell, load=load) if self._clock() < until else cell

    def left(self, cell: str) -> float | None:
        """Seconds since the stream of a cell ended that is not heard any more; None if it is long ago."""
        until, _ = self._silent.get(cell, (0.0, None))
        seconds = self._clock() + self.lease_seconds - until
        return seconds if seconds < self.lease_seconds else None

    def find(self, cell: str) -> ReportingCell | None:
        """What is heard of a cell that joined here or reports here."""
        return self._sessions.get(cell) or self._listeners.get(cell)

    def lift(self, artifact: bytes, cell: str = "") -> list[str]:
        """Have `cell`, or every cell that reports it, take the artifact out of quarantine; returns who will.

        Raises:
            NotJoined: no such cell reports here.
            NotQuarantined: no cell that reports here has it.
        """
        heard = self.heard
        if cell and cell not in heard:
            raise NotJoined(f"cell {cell} does not report to this version manager")
        sessions = [heard[cell]] if cell else list(heard.values())
        told = []
        for session in sessions:
            # A cell reports its latest entries only; one that is named may have more.
            if cell or any(one.artifact == artifact for one in session.cell.load.quarantined):
                session.lift(artifact)
                told.append(session.cell.id)
        if not told:
            raise NotQuarantined("no cell that reports to this version manager refuses this artifact")
        _log.warning("%s is lifted out of quarantine at %s", artifact.hex(), ", ".join(told))
        return told

    def stop(self) -> None:
        """End every stream and let the records stand: they go with their leases."""
        self._is_stopping = True
        heard: list[ReportingCell] = [*self._sessions.values(), *self._listeners.values()]
        for session in heard:
            session.end(Unavailable("the version manager is stopping"))

    async def close(self) -> None:
        """Cancel what is left of the sessions; with etcd's client closed, no lease is revoked."""
        sessions, self._sessions = self._sessions, {}
        await asyncio.gather(*(session.close() for session in sessions.values()))

    @property
    def joined(self) -> list[JoinedCell]:
        """The cells that joined here."""
        return [*self._sessions.values()]

    def take_gone(self) -> list[str]:
        """The cells that were joined here and are not any more, without a word of theirs; each once."""
        gone, self._gone = self._gone, []
        return [cell for cell in gone if cell not in self._sessions]

    @property
    def heard(self) -> dict[str, ReportingCell]:
        """The cells that joined here or report here."""
        return {**self._listeners, **self._sessions}

    async def _registered(self, session: JoinedCell) -> None:
        waits = [asyncio.create_task(event.wait()) for event in (session.joined, session.ended)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        session.check()
        cell = session.cell
        before = self._sessions.get(cell.id)
        self._sessions[cell.id] = session
        _JOINS.inc()
        _SESSIONS.set(len(self._sessions))
        _log.info("cell %s joined from %s", cell.id, cell.address)
        if before is not None:
            _log.warning("cell %s joined twice: %s, then %s", cell.id, before.cell.address, cell.address)
            before.end(Superseded(f"cell {cell.id} has joined again"))

    def _fell_silent(self, cell: Cell) -> None:
        now = self._clock()
        self._silent.pop(cell.id, None)
        self._silent[cell.id] = now + self.lease_seconds, cell.load
        while (first := next(iter(self._silent))) != cell.id and self._silent[first][0] <= now:
            del self._silent[first]

    def _is_left_to_its_lease(self, session: JoinedCell) -> bool:
        return self._is_stopping and self._sessions.get(session.cell.id) is session

    async def _leave(self, session: JoinedCell) -> None:
        if self._sessions.get(session.cell.id) is session:
            del self._sessions[session.cell.id]
            self._fell_silent(session.cell)
            if session.cell.state is CellState.ACTIVE and not session.is_leaving:
                self._gone = [*self._gone[-_MOST_GONE:], session.cell.id]
            _log.info("cell %s left", session.cell.id)
        _SESSIONS.set(len(self._sessions))
        await session.close()
