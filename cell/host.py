"""A lease on the model that a request needs: resident, or loaded once for all who wait for it.

A hit is one look-up. On a miss the first caller queues the load and the others join it; the load
belongs to none of them, so a caller that gives up takes nobody along. There are four cases for it:

    wanted, queued     waits for one of the few loading slots; who is due first, and has most waiters, is next
    wanted, begun      runs; when it lands, each waiter takes its own lease
    unwanted, queued   is given up: nobody would use it
    unwanted, begun    is finished, since most of its cost is spent and the caller often tries again

Between landing and the last waiter's turn the load holds a lease itself, so that another load
cannot evict the model before it was used once. A digest whose load failed for good is refused at
once for a while (`refusals.py`).

Admission: a request whose model cannot be here in time, by the measured times of loads and by those that
would come first, is told so at once, and the load is queued behind all requests, so that trying again helps.

What nobody waits for (`warm`) loads when no request does, on half of the slots at most: a store that
hangs cannot take them all.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from cell.engines import Scorer
from cell.loader import MakeRoom
from cell.loadqueue import LoadQueue
from cell.refusals import Refusals
from cell.residency import Lease, Residency
from croupier.deadline import NEVER, Deadline
from croupier.errors import CroupierError, DeadlineExceeded, Unavailable
from croupier.telemetry.metrics import Counter, Gauge

_LOOKUPS = Counter("croupier_cell_lookups_total", "Requests by whether their model was resident", ["outcome"])
_HIT, _MISS = _LOOKUPS.labels("hit"), _LOOKUPS.labels("miss")
_LOADS = Counter("croupier_cell_loads_total", "Loads by how they ended", ["outcome"])
_TURNED_AWAY = Counter(
    "croupier_cell_loads_turned_away_total", "Requests whose model could not be loaded in time", ["reason"]
)
_EVICTIONS = Counter("croupier_cell_evictions_total", "Models that went to make room")
_RESIDENT = Gauge("croupier_cell_resident_models", "Models in memory")
_USED = Gauge("croupier_cell_used_bytes", "Bytes of the models in memory")

_LEAST_RETRY_AFTER = 0.05
_MOST_RETRY_AFTER = 5.0
# Refused requests whose models load in the background all the same.
_MOST_BACKGROUND = 256


class LoadQueueFull(Unavailable):
    """Too many cold models at once. Ours, passing."""

    reason = "LOAD_QUEUE_FULL"


class LoadTooSlow(Unavailable):
    """The model is cold, and loads for longer than the caller waits. Ours, passing: it loads meanwhile."""

    reason = "LOAD_TOO_SLOW"


class Loads(Protocol):
    """The part of `Loader` that a host uses."""

    def expected_seconds(self, digest: bytes) -> float: ...

    async def load(self, digest: bytes, make_room: MakeRoom) -> Scorer: ...


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
    """One load, queued or under way."""

    __slots__ = ("digest", "group", "is_aged", "is_background", "landed", "seconds", "task", "waiters")

    def __init__(self, digest: bytes, seconds: float) -> None:
        self.digest = digest
        # How long it will take, as far as is known.
        self.seconds = seconds
        # The load's own lease, what it raised, or cancelled when it was given up.
        self.landed: asyncio.Future[Lease[Scorer]] = asyncio.get_running_loop().create_future()
        # Set when it has a slot: the object store or the engine is at work.
        self.task: asyncio.Task[None] | None = None
        # Callers that wait for it.
        self.waiters = 0
        # It goes on with no caller waiting.
        self.is_background = False
        # Whose floor the model counts for, and whether it goes before others unless a request waits for it.
        self.group: str | None = None
        self.is_aged = False


class Host:
    """The models of one cell.

    `slots` loads run at a time and `max_loads` that requests wait for may be under way or queued; a failed
    digest is refused for `refusal_seconds` (see `Refusals`). `refuse` raises for a digest that must not be
    loaded at all.
    """

    def __init__(
        self,
        residency: Residency[Scorer],
        loader: Loads,
        *,
        clock: Callable[[], float],
        rng: random.Random,
        slots: int = 8,
        max_loads: int = 256,
        refusal_seconds: float = 900.0,
        refuse: Callable[[bytes], None] = lambda digest: None,
    ) -> None:
        self._residency = residency
        self._loader = loader
        self._clock = clock
        self._slots = slots
        self._max_loads = max_loads
        self._refuse_quarantined = refuse
        self._refusals = Refusals(refusal_seconds, rng.uniform)
        self._queue = LoadQueue()
        self._flights: dict[bytes, _Flight] = {}
        # Those that have a slot.
        self._flying: set[_Flight] = set()
        self._is_closed = False
        self._requests = 0
        self._hits = 0

    def find(self, digest: bytes, now: float) -> Scorer | None:
        """The model of `digest` if it is resident: a hit, counted as a request.

        No lease: what is returned is valid until control goes back to the event loop.
        """
        scorer = self._residency.find(digest, now)
        if scorer is not None:
            self._count_hit()
        return scorer

    async def lease(self, digest: bytes, deadline: Deadline) -> Lease[Scorer]:
        """A lease on the model of `digest`, loaded if need be; the caller releases it.

        Raises:
            DeadlineExceeded: the load took longer; it goes on if it had begun.
            LoadQueueFull: too many loads are under way.
            LoadTooSlow: the load would take longer than the deadline allows.
            Quarantined: the model crashed this cell.
            And what `Loader.load` and `Residency.plan` raise.
        """
        lease = self._residency.lease(digest, self._clock())
        if lease is not None:
            self._count_hit()
            return lease
        self._requests += 1
        _MISS.inc()
        return await self._wait(self._join(digest, deadline), deadline)

    async def warm(self, digest: bytes, *, group: str | None = None, aged: bool = False) -> None:
        """Have the model of `digest` resident, loaded when no request waits.

        `group` is whose floor it counts for; `aged` ones go before all others until they are used. The
        caller bounds how many it asks for at a time.

        Raises:
            What `Loader.load` and `Residency.plan` raise.
        """
        if digest in self._residency:
            return
        self._check(digest, self._clock())
        flight = self._flights.get(digest)
        if flight is None:
            flight = self._queue_flight(digest)
            flight.group, flight.is_aged = group, aged
        flight.is_background = True
        self._begin()
        await self._landing(flight, NEVER)
        flight.landed.result()

    def pin(self, digest: bytes) -> None:
        """As `Residency.pin`."""
        self._residency.pin(digest)

    def unpin(self, digest: bytes) -> None:
        """As `Residency.unpin`."""
        self._residency.unpin(digest)

    def set_floor(self, group: str, floor: int) -> None:
        """As `Residency.set_floor`."""
        self._residency.set_floor(group, floor)

    @property
    def used(self) -> int:
        """Bytes of the resident models by the books."""
        return self._residency.used

    def resize(self, capacity: int) -> int:
        """Have room for `capacity` bytes of models from now on; how many went for it."""
        evicted = self._residency.resize(capacity)
        _evict(evicted)
        return len(evicted)

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
        self._is_closed = True
        for flight in list(self._flights.values()):
            if flight.task is None:
                self._give_up(flight)
        while self._flying:
            tasks = {flight.task: flight for flight in self._flying if flight.task is not None}
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            # A task that was cancelled before its first step has done nothing.
            for task, flight in tasks.items():
                if task.cancelled() and flight in self._flying:
                    self._flying.discard(flight)
                    self._give_up(flight)

    def _check(self, digest: bytes, now: float) -> None:
        """Raises when this model is not to be loaded."""
        self._refuse_quarantined(digest)
        self._refusals.check(digest, now)

    def _count_hit(self) -> None:
        self._requests += 1
        self._hits += 1
        _HIT.inc()

    def _join(self, digest: bytes, deadline: Deadline) -> _Flight:
        """The load that a request for `digest` waits for, begun if there is a slot."""
        now = self._clock()
        self._check(digest, now)
        flight = self._flights.get(digest)
        if flight is None or flight.task is None:
            self._admit(digest, flight, deadline, now)
            flight = flight or self._queue_flight(digest)
            self._queue.join(digest, deadline.at, now)
        flight.waiters += 1
        self._begin()
        return flight

    def _admit(self, digest: bytes, flight: _Flight | None, deadline: Deadline, now: float) -> None:
        """Raises LoadQueueFull or LoadTooSlow when a load that is not begun should not be waited for."""
        ahead = self._queue.seconds_ahead(deadline.at, now) + sum(other.seconds for other in self._flying)
        is_new = flight is None or flight.waiters == 0
        if is_new and len(self._queue) + len(self._flying) >= self._max_loads:
            _TURNED_AWAY.labels("full").inc()
            raise LoadQueueFull("too many models are loading", retry_after=self._retry_after(ahead))
        seconds = self._loader.expected_seconds(digest) if flight is None else flight.seconds
        if flight is not None and flight.waiters > 0:
            # It is counted in what is ahead.
            ahead = max(0.0, ahead - flight.seconds)
        expected = ahead / self._slots + seconds
        if now + expected <= deadline.at:
            return
        if flight is None and self._queue.background < _MOST_BACKGROUND:
            self._queue_flight(digest).is_background = True
            self._begin()
        _TURNED_AWAY.labels("slow").inc()
        raise LoadTooSlow(
            f"the model is not loaded, and it takes {expected:.3f} s to load it",
            retry_after=self._retry_after(expected),
        )

    def _retry_after(self, seconds: float) -> float:
        return min(max(seconds, _LEAST_RETRY_AFTER), _MOST_RETRY_AFTER)

    def _queue_flight(self, digest: bytes) -> _Flight:
        if self._is_closed:
            raise _stopping()
        flight = self._flights[digest] = _Flight(digest, self._loader.expected_seconds(digest))
        self._queue.add(digest, flight.seconds)
        return flight

    def _begin(self) -> None:
        """Give free slots to the loads that are next."""
        while len(self._flying) < self._slots:
            in_background = sum(flight.waiters == 0 for flight in self._flying)
            digest = self._queue.pop(background=in_background < max(1, self._slots // 2))
            if digest is None:
                return
            flight = self._flights[digest]
            self._flying.add(flight)
            flight.task = asyncio.create_task(self._fly(flight), name="load")

    async def _wait(self, flight: _Flight, deadline: Deadline) -> Lease[Scorer]:
        try:
            await self._landing(flight, deadline)
            return flight.landed.result().share()
        finally:
            flight.waiters -= 1
            self._settle(flight)

    async def _landing(self, flight: _Flight, deadline: Deadline) -> None:
        await asyncio.wait((flight.landed,), timeout=deadline.timeout(self._clock()))
        if not flight.landed.done():
            raise DeadlineExceeded("the deadline passed while the model was loading")
        if flight.landed.cancelled():
            raise _stopping()

    async def _fly(self, flight: _Flight) -> None:
        """One load from its turn until its waiters may go on. Raises nothing."""
        try:
            lease = await self._load(flight)
        except asyncio.CancelledError:
            _LOADS.labels("given_up").inc()
            flight.landed.cancel()
        except Exception as error:  # noqa: BLE001 (it is raised to whoever waits)
            _LOADS.labels("failed").inc()
            self._refusals.note(flight.digest, error, self._clock(), was_wanted=flight.waiters > 0)
            flight.landed.set_exception(error)
            # Looked at, so that asyncio does not complain when nobody waits.
            flight.landed.exception()
        else:
            _LOADS.labels("loaded").inc()
            flight.landed.set_result(lease)
        del self._flights[flight.digest]
        self._flying.discard(flight)
        _RESIDENT.set(len(self._residency))
        _USED.set(self._residency.used)
        self._settle(flight)
        self._begin()

    async def _load(self, flight: _Flight) -> Lease[Scorer]:
        digest = flight.digest
        try:
            scorer = await self._loader.load(digest, lambda size: self._make_room(flight, size))
            try:
                lease, evicted = self._residency.admit(
                    digest,
                    scorer,
                    scorer.resident_bytes,
                    self._clock(),
                    aged=flight.is_aged and flight.waiters == 0,
                    group=flight.group,
                )
            except CroupierError:
                scorer.close()
                raise
        finally:
            self._residency.abandon(digest)
        _evict(evicted)
        return lease

    def _make_room(self, flight: _Flight, size: int) -> None:
        # What nobody waits for pushes out nobody who is in use.
        plan = self._residency.plan(
            size, now=self._clock(), load_seconds=flight.seconds, bulk=flight.waiters == 0
        )
        _evict(self._residency.reserve(flight.digest, plan))

    def _settle(self, flight: _Flight) -> None:
        """The end of a load that nobody waits for (any more)."""
        if flight.waiters > 0:
            return
        landed = flight.landed
        if not landed.done():
            if flight.task is None and not flight.is_background:
                self._give_up(flight)
        elif not landed.cancelled() and landed.exception() is None:
            landed.result().release()

    def _give_up(self, flight: _Flight) -> None:
        """A load that has not begun."""
        _LOADS.labels("given_up").inc()
        del self._flights[flight.digest]
        self._queue.remove(flight.digest)
        flight.landed.cancel()


def _evict(scorers: Iterable[Scorer]) -> None:
    for scorer in scorers:
        _EVICTIONS.inc()
        scorer.close()


def _stopping() -> Unavailable:
    return Unavailable("this cell is stopping", reason="STOPPING", retry_after=_LEAST_RETRY_AFTER)
