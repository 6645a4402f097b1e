"""One joined cell and its leased record in etcd.

    join ──▶ lease · put cells/<id> ──▶ reports … ──▶ leave: revoke, the record goes
                   ▲                       │
                   ├── lease lost ◀────────┤   etcd was away for longer than the lease
                   └── disturbed ◀─────────┤   somebody wrote over the record, or deleted it
                                           └─▶ silent for a lease's time: the same as leave

A session is a task of its own, not the stream that feeds it: a stream that is dropped in any way
whatever ends with the silence.

The record is written when a cell joins, when its lease had to be renewed, when its state changes, and when
the map says that something else stands there: once a second at most. What stands there under a lease of
another session is another join of the cell, and this one is over.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from croupier.errors import Cancelled, Conflict, DeadlineExceeded, NotFound, Unavailable
from croupier.stores.etcd import Compare, Etcd, Lease, Put
from croupier.telemetry.metrics import Counter
from version_manager.cells.reporting import ReportingCell
from version_manager.map.keys import Keys
from version_manager.map.mirror import Mirror
from version_manager.map.records import Spoken, encode
from version_manager.model.fleet import Cell, CellState, Load

Sleep = Callable[[float], Awaitable[None]]

_log = logging.getLogger(__name__)

_SILENT = Counter(
    "croupier_version_manager_silent_cells_total", "Cells taken for gone, since they fell silent"
)
_DISTURBED = Counter(
    "croupier_version_manager_rewritten_cells_total",
    "Records of cells that were put again, since somebody had written over them or deleted them",
)

_RETRY_SECONDS = 0.5
_ATTEMPTS = 5
# Between two times that a record is put again: whoever writes over it may do so over and over.
_REWRITE_SECONDS = 1.0


class Superseded(Conflict):
    """The cell has joined again, here or at another manager: this stream is an old one."""

    reason = "SUPERSEDED"


class CellSilent(DeadlineExceeded):
    """The cell sent no report for a lease's time."""

    reason = "CELL_SILENT"


class JoinedCell(ReportingCell):
    """`Registry.join` makes it, and has it look at the map whenever that moves."""

    def __init__(
        self, etcd: Etcd, keys: Keys, cell: Cell, lease_seconds: float, sleep: Sleep = asyncio.sleep
    ) -> None:
        super().__init__(cell, asyncio.get_running_loop().time)
        self.joined = asyncio.Event()
        self._etcd = etcd
        self._key = keys.cell(cell.id)
        self._protocol_key = keys.protocol(cell.id)
        self._lease_seconds = lease_seconds
        self._sleep = sleep
        # The lease that holds the record, None while it is being renewed; and all there were, by
        # which a record is known as this session's even if the answer to its writing was lost.
        self._lease: Lease | None = None
        self._lease_ids: set[int] = set()
        # The revision at which this session wrote last, whether the map has had it, and the map.
        self._written = 0
        self._was_seen = False
        self._mirror: Mirror | None = None
        self._disturbed = asyncio.Event()
        self._task = asyncio.create_task(self._run(), name=f"session of {cell.id}")
        self._task.add_done_callback(self._finished)

    async def report(self, state: CellState, load: Load) -> None:
        """Take what the cell says of itself; a new state is in etcd when this returns.

        Raises:
            Superseded: the cell has joined again.
            Unavailable: etcd does not take the new state.
        """
        before = self.cell
        await super().report(state, load)
        if state is not before.state and self._lease is not None:
            # A lease that has just ended is renewed with the new state.
            with suppress(NotFound):
                await self._write(self._lease)

    def look(self, mirror: Mirror) -> None:
        """See whether the record in the map is the one that this session wrote."""
        self._mirror = mirror
        if self._is_disturbed():
            self._disturbed.set()

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
        self._written, self._was_seen = 0, False
        # Before the write: a state that is reported meanwhile is then written after it.
        self._lease = lease
        await self._write(lease, is_first=not self.joined.is_set())
        self.joined.set()
        while not lease.lost.is_set():
            await self._wait(lease)
            if self._disturbed.is_set():
                self._disturbed.clear()
                await self._restore(lease)

    async def _wait(self, lease: Lease) -> None:
        """Until the lease is lost, the record disturbed, or the cell about to be taken for gone."""
        waits = [asyncio.create_task(event.wait()) for event in (lease.lost, self._disturbed)]
        try:
            await asyncio.wait(waits, timeout=self._remaining(), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _is_disturbed(self) -> bool:
        """Whether something else stands in the map than what this session wrote, or nothing does."""
        if self._mirror is None or not self._written:
            return False
        stands = {self._mirror.mod_revision(key) for key in (self._key, self._protocol_key)}
        if stands == {self._written}:
            self._was_seen = True
            return False
        # A map that does not have the record yet is not one that has lost it.
        return self._was_seen or max(*stands, self._mirror.seen_revision) >= self._written

    async def _restore(self, lease: Lease) -> None:
        """Put the record again, unless the map has it by now; then leave it alone for a while.

        Raises:
            Superseded: the cell has joined again.
        """
        if not self._is_disturbed():
            return
        _log.warning("somebody wrote over the record of cell %s, or deleted it: put again", self.cell.id)
        _DISTURBED.inc()
        try:
            await self._write(lease)
        except Unavailable as error:
            _log.warning("the record of cell %s cannot be put again: %s", self.cell.id, error)
            self._disturbed.set()
        await self._sleep(_REWRITE_SECONDS)

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
            outcome = await self._etcd.transact([compare], puts)
            if outcome.succeeded:
                self._written = max(self._written, outcome.revision)
                return
        raise Unavailable(f"the record of cell {self.cell.id} is being changed again and again")

    def _finished(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        self.end(error or Cancelled("the session was closed"))
