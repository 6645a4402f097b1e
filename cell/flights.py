"""Loads under way: one for all who wait for the same model, the most urgent first, a few at a time.

A load belongs to none of its callers, so one that gives up takes nobody along. There are four cases:

    wanted, queued     waits for one of the few loading slots; `loadqueue.py` says who is next
    wanted, begun      runs; when it lands, each waiter takes its own lease
    unwanted, queued   is given up: nobody would use it
    unwanted, begun    is finished, since most of its cost is spent and the caller often tries again

Between landing and the last waiter's turn the load holds a lease itself, so that another load cannot evict
the model before it was used once.

Admission: a request whose model cannot be here in time, by the measured times of loads and by those that
would come first, is told so at once, and the load is queued behind all requests, so that trying again helps.

What nobody waits for (`warm`) loads when no request does, on half of the slots at most: a store that
hangs cannot take them all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from cell.engines import Scorer
from cell.loadqueue import LoadQueue
from cell.residency import Lease
from croupier.deadline import NEVER, Deadline
from croupier.errors import CroupierError, DeadlineExceeded, Unavailable
from croupier.telemetry.metrics import Counter

_LOADS = Counter("croupier_cell_loads_total", "Loads by how they ended", ["outcome"])
LOADED = _LOADS.labels("loaded")
_TURNED_AWAY = Counter(
    "croupier_cell_loads_turned_away_total", "Requests whose model could not be loaded in time", ["reason"]
)

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


class Flight:
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
        # Requests that wait for it.
        self.waiters = 0
        # It goes on with no request waiting.
        self.is_background = False
        # Whose floor the model counts for, and whether it goes before others unless a request waits for it.
        self.group: str | None = None
        self.is_aged = False


class Flights:
    """The loads of a host.

    `load` does one and returns a lease on its model; `expected` says how many seconds that takes; `ended`
    is told of each end before its waiters are, with the error if it failed. `slots` run at a time, and
    `most` that requests wait for may be under way or queued.
    """

    def __init__(
        self,
        load: Callable[[Flight], Awaitable[Lease[Scorer]]],
        expected: Callable[[bytes], float],
        ended: Callable[[Flight, Exception | None], None],
        *,
        clock: Callable[[], float],
        slots: int,
        most: int,
    ) -> None:
        self._load = load
        self._expected = expected
        self._ended = ended
        self._clock = clock
        self._slots = slots
        self._most = most
        self._queue = LoadQueue()
        self._flights: dict[bytes, Flight] = {}
        # Those that have a slot.
        self._flying: set[Flight] = set()
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._flights)

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._flights

    async def lease(self, digest: bytes, deadline: Deadline, owner: int = 0) -> Lease[Scorer]:
        """A lease on the model of `digest`, once its load has landed; the caller releases it.

        `owner` is who shares the slots with others (`loadqueue.py`).

        Raises:
            DeadlineExceeded: the load took longer; it goes on if it had begun.
            LoadQueueFull: too many loads are under way.
            LoadTooSlow: the load would take longer than the deadline allows.
            And what `load` raises.
        """
        flight = self._join(digest, deadline, owner)
        try:
            await self._landing(flight, deadline)
            return flight.landed.result().share()
        finally:
            flight.waiters -= 1
            self._settle(flight)
            # Its error knows this frame.
            del flight

    async def warm(self, digest: bytes, *, group: str | None, aged: bool) -> None:
        """Load the model of `digest` in the background. Raises what `load` raises."""
        flight = self._flights.get(digest)
        if flight is None:
            flight = self._add(digest)
            flight.group, flight.is_aged = group, aged
        flight.is_background = True
        self._begin()
        await self._landing(flight, NEVER)
        flight.landed.result()

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

    def _join(self, digest: bytes, deadline: Deadline, owner: int) -> Flight:
        """The load that a request for `digest` waits for, begun if there is a slot."""
        now = self._clock()
        flight = self._flights.get(digest)
        if flight is None or flight.task is None:
            self._admit(digest, flight, deadline, now, owner)
            flight = flight or self._add(digest)
            self._queue.join(digest, deadline.at, now, owner)
        flight.waiters += 1
        self._begin()
        return flight

    def _admit(
        self, digest: bytes, flight: Flight | None, deadline: Deadline, now: float, owner: int
    ) -> None:
        """Raises LoadQueueFull or LoadTooSlow when a load that is not begun should not be waited for."""
        ahead = self._queue.seconds_ahead(deadline.at, now, owner) + sum(
            other.seconds for other in self._flying
        )
        is_new = flight is None or flight.waiters == 0
        if is_new and len(self._queue) + len(self._flying) >= self._most:
            _TURNED_AWAY.labels("full").inc()
            raise LoadQueueFull("too many models are loading", retry_after=_retry_after(ahead))
        seconds = self._expected(digest) if flight is None else flight.seconds
        if flight is not None and flight.waiters > 0:
            # It is counted in what is ahead.
            ahead = max(0.0, ahead - flight.seconds)
        expected = ahead / self._slots + seconds
        if now + expected <= deadline.at:
            return
        if flight is None and self._queue.background < _MOST_BACKGROUND:
            self._add(digest).is_background = True
            self._begin()
        _TURNED_AWAY.labels("slow").inc()
        raise LoadTooSlow(
            f"the model is not loaded, and it takes {expected:.3f} s to load it",
            retry_after=_retry_after(expected),
        )

    def _add(self, digest: bytes) -> Flight:
        if self._is_closed:
            raise _stopping()
        flight = self._flights[digest] = Flight(digest, self._expected(digest))
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

    async def _landing(self, flight: Flight, deadline: Deadline) -> None:
        await asyncio.wait((flight.landed,), timeout=deadline.timeout(self._clock()))
        if not flight.landed.done():
            raise DeadlineExceeded("the deadline passed while the model was loading")
        if flight.landed.cancelled():
            raise _stopping()

    async def _fly(self, flight: Flight) -> None:
        """One load from its turn until its waiters may go on. Raises nothing."""
        failure: Exception | None = None
        try:
            lease = await self._load(flight)
        except asyncio.CancelledError:
            _LOADS.labels("given_up").inc()
            flight.landed.cancel()
        except Exception as error:  # noqa: BLE001 (it is raised to whoever waits)
            _LOADS.labels("failed").inc()
            failure = error.without_frames() if isinstance(error, CroupierError) else error
            flight.landed.set_exception(failure)
            # Looked at, so that asyncio does not complain when nobody waits.
            flight.landed.exception()
        else:
            LOADED.inc()
            flight.landed.set_result(lease)
        del self._flights[flight.digest]
        self._flying.discard(flight)
        self._ended(flight, failure)
        del failure
        self._settle(flight)
        self._begin()

    def _settle(self, flight: Flight) -> None:
        """The end of a load that nobody waits for (any more)."""
        if flight.waiters > 0:
            return
        landed = flight.landed
        if not landed.done():
            if flight.task is None and not flight.is_background:
                self._give_up(flight)
        elif not landed.cancelled() and landed.exception() is None:
            landed.result().release()

    def _give_up(self, flight: Flight) -> None:
        """A load that has not begun."""
        _LOADS.labels("given_up").inc()
        del self._flights[flight.digest]
        self._queue.remove(flight.digest)
        flight.landed.cancel()


def _retry_after(seconds: float) -> float:
    return min(max(seconds, _LEAST_RETRY_AFTER), _MOST_RETRY_AFTER)


def _stopping() -> Unavailable:
    return Unavailable("this cell is stopping", reason="STOPPING", retry_after=_LEAST_RETRY_AFTER)
