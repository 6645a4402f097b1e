"""The cells that are joined to this manager, each with a leased record in etcd.

    join ──▶ lease · put cells/<id> ──▶ reports … ──▶ leave: revoke, the record goes
                   ▲                       │
                   └── lease lost ◀────────┤   etcd was away for longer than the lease
                                           └─▶ silent for a lease's time: the same as leave

A session is a task of its own, not the stream that feeds it: a stream that is dropped in any way
whatever ends with the silence.

The record is written when a cell joins, when its lease had to be renewed, and when its state
changes; never for a load report. Loads stay in the memory of the manager that the cell joined:
another manager lists the cell without one. So a fleet's reports, one a second and cell, cost etcd
nothing and wake no router.

The newest join of an id wins, here and on other managers: a cell that lost its connection is back
before its old stream is known to be dead. Two cells configured with one id take it from each other;
the log tells.

A stopping manager does not end its sessions: their records are left to their leases, which run
for some seconds, and the cells join again elsewhere before those end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from croupier.errors import Cancelled, Conflict, DeadlineExceeded, NotFound, Unavailable
from croupier.stores.etcd import Compare, Etcd, Lease, Put
from croupier.telemetry.metrics import Counter, Gauge
from version_manager.fleet import Cell, CellState, Load
from version_manager.keys import Keys
from version_manager.records import Spoken, check_cell, encode

_log = logging.getLogger(__name__)

_SESSIONS = Gauge("croupier_version_manager_sessions", "Cells joined to this manager")
_JOINS = Counter("croupier_version_manager_joins_total", "Cells that joined")
_SILENT = Counter(
    "croupier_version_manager_silent_cells_total", "Cells taken for gone, since they fell silent"
)

_RETRY_SECONDS = 0.5
_ATTEMPTS = 5


class Superseded(Conflict):
    """The cell has joined again, here or at another manager: this stream is an old one."""

    reason = "SUPERSEDED"


class CellSilent(DeadlineExceeded):
    """The cell sent no report for a lease's time."""

    reason = "CELL_SILENT"


class NotJoined(NotFound):
    """No such cell is joined to this manager; it may be to another one. The operator's."""

    reason = "NOT_JOINED"


class NotQuarantined(NotFound):
    """No cell here refuses the artifact. The operator's."""

    reason = "NOT_QUARANTINED"


class Session:
    """One joined cell; `Registry.join` makes it.

    `ended` is set once the session is over without the cell's doing; `check` then says why.
    """

    def __init__(self, etcd: Etcd, keys: Keys, cell: Cell, lease_seconds: float) -> None:
        self.cell = cell
        self.joined = asyncio.Event()
        self.ended = asyncio.Event()
        self._error: BaseException | None = None
        self._etcd = etcd
        self._key = keys.cell(cell.id)
        self._protocol_key = keys.protocol(cell.id)
        self._lease_seconds = lease_seconds
        self._clock = asyncio.get_running_loop().time
        self._heard_at = self._clock()
        # The lease that holds the record, None while it is being renewed; and all there were, by
        # which a record is known as this session's even if the answer to its writing was lost.
        self._lease: Lease | None = None
        self._lease_ids: set[int] = set()
        # Artifacts that the cell is to serve again, and has not been told of.
        self._lifts: list[bytes] = []
        self._task = asyncio.create_task(self._run(), name=f"session of {cell.id}")
        self._task.add_done_callback(self._finished)

    def check(self) -> None:
        """Raises the error that ended this session, if it has ended."""
        if self._error is not None:
            raise self._error

    async def report(self, state: CellState, load: Load) -> None:
        """Take what the cell says of itself; a new state is in etcd when this returns.

        Raises:
            Superseded: the cell has joined again.
            Unavailable: etcd does not take the new state.
        """
        self.check()
        self._heard_at = self._clock()
        before, self.cell = self.cell, replace(self.cell, state=state, load=load)
        if state is not before.state and self._lease is not None:
            # A lease that has just ended is renewed with the new state.
            with suppress(NotFound):
                await self._write(self._lease)

    def lift(self, artifact: bytes) -> None:
        """Tell the cell, with the next answer, to serve a quarantined artifact again."""
        if artifact not in self._lifts:
            self._lifts.append(artifact)

    def take_lifts(self) -> list[bytes]:
        """What the cell is to be told; it is told once."""
        lifts, self._lifts = self._lifts, []
        return lifts

    def end(self, error: BaseException) -> None:
        """Be over because of `error`, for whoever feeds this session."""
        if self._error is None:
            self._error = error
        self.ended.set()

    async def close(self) -> None:
        """Give up the lease, and the record with it."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                async with self._etcd.lease(self._lease_seconds) as lease:
                    await self._hold(lease)
            except (NotFound, Unavailable) as error:
                if not self.joined.is_set():
                    raise
                _log.warning("the record of cell %s cannot be renewed: %s", self.cell.id, error)
                self._remaining()
                await asyncio.sleep(_RETRY_SECONDS)
            finally:
                self._lease = None

    async def _hold(self, lease: Lease) -> None:
        """Write the record under `lease`; return once the lease is lost."""
        self._lease_ids.add(lease.id)
        # Before the write: a state that is reported meanwhile is then written after it.
        self._lease = lease
        await self._write(lease, is_first=not self.joined.is_set())
        self.joined.set()
        while not lease.lost.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._remaining()):
                    await lease.lost.wait()

    def _remaining(self) -> float:
        """Seconds until the cell is taken for gone. Raises CellSilent once it is."""
        remaining = self._heard_at + self._lease_seconds - self._clock()
        if remaining <= 0:
            _SILENT.inc()
            raise CellSilent(f"cell {self.cell.id} has not reported for {self._lease_seconds:g} s")
        return remaining

    async def _write(self, lease: Lease, *, is_first: bool = False) -> None:
        for _ in range(_ATTEMPTS):
            found = await self._etcd.get(self._key)
            # A record without a lease is no cell's: somebody wrote it by hand.
            taken = found is not None and found.lease and found.lease not in self._lease_ids
            if taken and not is_first:
                raise Superseded(f"cell {self.cell.id} has joined again elsewhere")
            compare = Compare(self._key, found.mod_revision if found else 0)
            puts = [
                Put(self._key, encode(self.cell), lease.id),
                Put(self._protocol_key, encode(Spoken(self.cell.protocol)), lease.id),
            ]
            if (await self._etcd.transact([compare], puts)).succeeded:
                return
        raise Unavailable(f"the record of cell {self.cell.id} is being changed again and again")

    def _finished(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        self.end(error or Cancelled("the session was closed"))


class Registry:
    """The sessions of this manager; `lease_seconds` is how long a silent cell is believed in."""

    def __init__(self, etcd: Etcd, keys: Keys, *, lease_seconds: float = 10.0) -> None:
        self.lease_seconds = lease_seconds
        self._etcd = etcd
        self._keys = keys
        self._sessions: dict[str, Session] = {}
        self._is_stopping = False

    @asynccontextmanager
    async def join(self, cell: Cell) -> AsyncIterator[Session]:
        """The session of `cell` for the block: registered in it, gone after it.

        Raises:
            InvalidRequest: the cell cannot be registered as it describes itself.
            Unavailable: etcd does not take the record, or this manager is stopping.
        """
        if self._is_stopping:
            raise Unavailable("the version manager is stopping")
        check_cell(cell)
        session = Session(self._etcd, self._keys, cell, self.lease_seconds)
        try:
            await self._registered(session)
            yield session
        finally:
            if not self._is_left_to_its_lease(session):
                await self._leave(session)

    def with_load(self, cell: Cell) -> Cell:
        """`cell` with its latest load report, if it is joined here."""
        session = self._sessions.get(cell.id)
        return replace(cell, load=session.cell.load) if session else cell

    def lift(self, artifact: bytes, cell: str = "") -> list[str]:
        """Have `cell`, or every cell that reports it, take the artifact out of quarantine; returns who will.

        Raises:
            NotJoined: no such cell is joined here.
            NotQuarantined: no cell that is joined here reports it.
        """
        if cell and cell not in self._sessions:
            raise NotJoined(f"cell {cell} is not joined to this version manager")
        sessions = [self._sessions[cell]] if cell else list(self._sessions.values())
        told = []
        for session in sessions:
            # A cell reports its latest entries only; one that is named may have more.
            if cell or any(one.artifact == artifact for one in session.cell.load.quarantined):
                session.lift(artifact)
                told.append(session.cell.id)
        if not told:
            raise NotQuarantined("no cell that is joined to this version manager reports this artifact")
        _log.warning("%s is lifted out of quarantine at %s", artifact.hex(), ", ".join(told))
        return told

    def stop(self) -> None:
        """End every stream and let the records stand: they go with their leases."""
        self._is_stopping = True
        for session in self._sessions.values():
            session.end(Unavailable("the version manager is stopping"))

    async def close(self) -> None:
        """Cancel what is left of the sessions; with etcd's client closed, no lease is revoked."""
        sessions, self._sessions = self._sessions, {}
        await asyncio.gather(*(session.close() for session in sessions.values()))

    async def _registered(self, session: Session) -> None:
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

    def _is_left_to_its_lease(self, session: Session) -> bool:
        return self._is_stopping and self._sessions.get(session.cell.id) is session

    async def _leave(self, session: Session) -> None:
        if self._sessions.get(session.cell.id) is session:
            del self._sessions[session.cell.id]
            _log.info("cell %s left", session.cell.id)
        _SESSIONS.set(len(self._sessions))
        await session.close()
