"""A lease on the model that a request needs: resident, or loaded once for all who wait for it.

A hit is one look-up. On a miss the first caller starts the load and the others join it; the load
belongs to none of them, so a caller that gives up takes nobody along. There are four cases for it:

    wanted, queued     waits for one of the few loading slots
    wanted, begun      runs; when it lands, each waiter takes its own lease
    unwanted, queued   is given up: nobody would use it
    unwanted, begun    is finished, since most of its cost is spent and the caller often tries again

Between landing and the last waiter's turn the load holds a lease itself, so that another load
cannot evict the model before it was used once. A digest whose load failed for good is refused at
once for a little while, so that a broken model costs no fetch a request.
"""

from __future__ import annotations

import asyncio
import copy
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from cell.engines import Scorer
from cell.loader import Loader
from cell.residency import Lease, Residency
from croupier.deadline import Deadline
from croupier.errors import CroupierError, DeadlineExceeded, Unavailable
from croupier.telemetry.metrics import Counter, Gauge

_LOOKUPS = Counter("croupier_cell_lookups_total", "Requests by whether their model was resident", ["outcome"])
_HIT, _MISS = _LOOKUPS.labels("hit"), _LOOKUPS.labels("miss")
_LOADS = Counter("croupier_cell_loads_total", "Loads by how they ended", ["outcome"])
_EVICTIONS = Counter("croupier_cell_evictions_total", "Models that went to make room")
_RESIDENT = Gauge("croupier_cell_resident_models", "Models in memory")
_USED = Gauge("croupier_cell_used_bytes", "Bytes of the models in memory")

_RETRY_AFTER = 0.2
_MAX_REFUSALS = 10_000


class LoadQueueFull(Unavailable):
    """Too many cold models at once. Ours, passing."""

    reason = "LOAD_QUEUE_FULL"


@dataclass(frozen=True, slots=True)
class HostLoad:
    """What a cell tells the registry; bytes, counts and seconds."""

    capacity_bytes: int
    used_bytes: int
    resident: int
    loading: int
    oldest_seconds: float
    requests: int
    hits: int


class _Flight:
    """One load in progress."""

    __slots__ = ("begun", "digest", "task", "waiters")

    def __init__(self, digest: bytes) -> None:
        self.digest = digest
        self.task: asyncio.Task[Lease[Scorer]]
        # Callers that wait for it.
        self.waiters = 0
        # It has a slot: the object store or the engine is at work.
        self.begun = False


class Host:
    """The models of one cell.

    `slots` loads run at a time and `max_loads` may be under way or queued; a failed digest is
    refused for `refusal_seconds`. `refuse` raises for a digest that must not be loaded at all.
    """

    def __init__(
        self,
        residency: Residency[Scorer],
        loader: Loader,
        *,
        clock: Callable[[], float],
        slots: int = 2,
        max_loads: int = 256,
        refusal_seconds: float = 5.0,
        refuse: Callable[[bytes], None] = lambda digest: None,
    ) -> None:
        self._residency = residency
        self._loader = loader
        self._clock = clock
        self._slots = asyncio.Semaphore(slots)
        self._max_loads = max_loads
        self._refusal_seconds = refusal_seconds
        self._refuse_quarantined = refuse
        self._flights: dict[bytes, _Flight] = {}
        # Failed digests, the oldest failure first: until when, and what to say.
        self._refusals: OrderedDict[bytes, tuple[float, CroupierError]] = OrderedDict()
        self._requests = 0
        self._hits = 0

    async def lease(self, digest: bytes, deadline: Deadline) -> Lease[Scorer]:
        """A lease on the model of `digest`, loaded if need be; the caller releases it.

        Raises:
            DeadlineExceeded: the load took longer; it goes on if it had begun.
            LoadQueueFull: too many loads are under way.
            Quarantined: the model crashed this cell.
            And what `Loader.load` and `Residency.plan` raise.
        """
        self._requests += 1
        lease = self._residency.lease(digest, self._clock())
        if lease is not None:
            self._hits += 1
            _HIT.inc()
            return lease
        _MISS.inc()
        self._refuse_quarantined(digest)
        self._check_refused(digest)
        flight = self._flights.get(digest) or self._start(digest)
        return await self._wait(flight, deadline)

    def load(self) -> HostLoad:
        """How full and how busy this cell is now."""
        residency = self._residency
        return HostLoad(
            residency.capacity,
            residency.used,
            len(residency),
            len(self._flights),
            residency.oldest_seconds(self._clock()),
            self._requests,
            self._hits,
        )

    async def close(self) -> None:
        """Give up all loads; their callers get Unavailable."""
        tasks = [flight.task for flight in self._flights.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _check_refused(self, digest: bytes) -> None:
        until, error = self._refusals.get(digest, (0.0, None))
        if error is None:
            return
        if self._clock() < until:
            raise copy.copy(error)
        del self._refusals[digest]

    def _start(self, digest: bytes) -> _Flight:
        if len(self._flights) >= self._max_loads:
            raise LoadQueueFull("too many models are loading", retry_after=_RETRY_AFTER)
        flight = self._flights[digest] = _Flight(digest)
        flight.task = asyncio.create_task(self._fly(flight), name="load")
        flight.task.add_done_callback(lambda _: self._land(flight))
        return flight

    async def _wait(self, flight: _Flight, deadline: Deadline) -> Lease[Scorer]:
        flight.waiters += 1
        try:
            await asyncio.wait((flight.task,), timeout=deadline.timeout(self._clock()))
            if not flight.task.done():
                raise DeadlineExceeded("the deadline passed while the model was loading")
            if flight.task.cancelled():
                raise Unavailable("this cell is stopping", reason="STOPPING", retry_after=_RETRY_AFTER)
            return flight.task.result().share()
        finally:
            flight.waiters -= 1
            self._settle(flight)

    async def _fly(self, flight: _Flight) -> Lease[Scorer]:
        digest = flight.digest
        async with self._slots:
            flight.begun = True
            try:
                scorer = await self._loader.load(digest, lambda size: self._make_room(digest, size))
                lease, evicted = self._residency.admit(digest, scorer, scorer.resident_bytes, self._clock())
            finally:
                self._residency.abandon(digest)
        _EVICTIONS.inc(len(evicted))
        return lease

    def _make_room(self, digest: bytes, size: int) -> None:
        evicted = self._residency.reserve(digest, self._residency.plan(size))
        _EVICTIONS.inc(len(evicted))

    def _land(self, flight: _Flight) -> None:
        """Runs when a load has ended, before its waiters do."""
        if self._flights.get(flight.digest) is flight:
            del self._flights[flight.digest]
        _RESIDENT.set(len(self._residency))
        _USED.set(self._residency.used)
        if flight.task.cancelled():
            _LOADS.labels("given_up").inc()
        elif (error := flight.task.exception()) is not None:
            _LOADS.labels("failed").inc()
            if isinstance(error, CroupierError) and not isinstance(error, Unavailable):
                self._refuse(flight.digest, error)
        else:
            _LOADS.labels("loaded").inc()
        self._settle(flight)

    def _settle(self, flight: _Flight) -> None:
        """The end of a load that nobody waits for (any more)."""
        if flight.waiters > 0:
            return
        task = flight.task
        if not task.done():
            if not flight.begun:
                self._flights.pop(flight.digest, None)
                task.cancel()
        elif not task.cancelled() and task.exception() is None:
            task.result().release()

    def _refuse(self, digest: bytes, error: CroupierError) -> None:
        self._refusals.pop(digest, None)
        # A copy has neither traceback nor cause, whose frames hold the artifact's bytes.
        self._refusals[digest] = (self._clock() + self._refusal_seconds, copy.copy(error))
        if len(self._refusals) > _MAX_REFUSALS:
            self._refusals.popitem(last=False)
