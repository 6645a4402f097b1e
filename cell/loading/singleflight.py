"""Loads under way: one for all who wait for the same model, the most urgent first, a few at a time.

A load belongs to none of its callers, so one that gives up takes nobody along. There are four cases:

    wanted, queued     waits for one of the few loading slots; `loadqueue.py` says who is next
    wanted, begun      runs; when it ends, each waiter is given a lease of its own
    unwanted, queued   is given up: nobody would use it
    unwanted, begun    is finished, since most of its cost is spent and the caller often tries again

A waiter is a function that is told the end, so that a request waits without a task; `lease` waits for it.

Admission is by deadline: a request whose model cannot be here in time, by the measured times of loads and by
those that would come first, is told so at once, and the load is queued behind all requests, so that trying
again helps. How many requests may wait is a bound of memory, and not of load.

What nobody waits for (`warm`) loads when no request does, on half of the slots at most: a store that
hangs cannot take them all.

It is long because who waits, who has a slot and who gives up a place are one set of books.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, ValuesView
from typing import TypeAlias

from cell.engines import Scorer
from cell.loading.loadqueue import LoadQueue
from cell.loading.marks import Marks, log_if_slow, tell
from cell.residency.residency import Lease
from croupier import request_ids
from croupier.deadline import Deadline
from croupier.errors import DeadlineExceeded, Unavailable
from croupier.priorities import PRIORITIES
from croupier.telemetry.metrics import LoopCounter
from croupier.telemetry.traces import current

_log = logging.getLogger(__name__)

LOADED, FAILED, _GIVEN_UP = ("loaded",), ("failed",), ("given_up",)
LOADS = LoopCounter(
    "croupier_cell_loads_total", "Loads by how they ended", ["outcome"], [LOADED, FAILED, _GIVEN_UP]
)
_FULL, _SLOW = ("full",), ("slow",)
TURNED_AWAY = LoopCounter(
    "croupier_cell_loads_turned_away_total",
    "Requests whose model could not be loaded in time",
    ["reason"],
    [_FULL, _SLOW],
)

_LEAST_RETRY_AFTER = 0.05
_MOST_RETRY_AFTER = 5.0
# Refused requests whose models load in the background all the same.
_MOST_BACKGROUND = 256

# What a load comes to: a lease, which whoever is told has to release, or why there is none.
Outcome: TypeAlias = Lease[Scorer] | Exception
Ended: TypeAlias = Callable[[Outcome], None]


class LoadQueueFull(Unavailable):
    """Too many requests wait for cold models at once. Ours, passing."""

    reason = "LOAD_QUEUE_FULL"


class LoadTooSlow(Unavailable):
    """The model is cold, and loads for longer than the caller waits. Ours, passing: it loads meanwhile."""

    reason = "LOAD_TOO_SLOW"


class Load:
    """One load, queued or under way."""

    __slots__ = (
        "cancel",
        "digest",
        "group",
        "is_aged",
        "is_begun",
        "is_proven",
        "mark",
        "owner",
        "seconds",
        "since",
        "waiters",
        "warmers",
    )

    def __init__(self, digest: bytes, seconds: float) -> None:
        self.digest = digest
        # At the end of each of its steps.
        self.mark = Marks()
        # How long it will take, as far as is known.
        self.seconds = seconds
        # When the first of its waiters came, of those that it has now.
        self.since = 0.0
        # It has a slot: the object store or the engine is at work, until `cancel`.
        self.is_begun = False
        self.cancel: Callable[[], None] | None = None
        # Requests that wait for it, in order.
        self.waiters: dict[Waiter, None] = {}
        # Who has it loaded in the background; it goes on with no request waiting.
        self.warmers: list[Ended] | None = None
        # Whose floor the model counts for, and whether it goes before others unless a request waits for it,
        # or stays as one that was used.
        self.group: str | None = None
        self.is_aged = False
        self.is_proven = False
        # The first who waits for it; 0: nobody known.
        self.owner = 0


class Waiter:
    """One request that waits for a load; `cancel` when it does not any more."""

    __slots__ = ("_loads", "ended", "load", "priority", "timer")

    def __init__(self, loads: SingleFlight, load: Load, ended: Ended, priority: int = 0) -> None:
        self.priority = priority
        self._loads = loads
        self.load = load
        self.ended = ended
        self.timer: asyncio.TimerHandle | None = None

    def cancel(self) -> None:
        """`ended` is not called any more. Does nothing when it was."""
        self._loads.leave(self)

    def expire(self) -> None:
        """The deadline has passed; the load goes on if it has begun."""
        if self._loads.leave(self):
            self.ended(DeadlineExceeded("the deadline passed while the model was loading"))


class SingleFlight:
    """The loads of a host.

    `begin` begins one and returns how to cancel it; whoever does it calls `end` once, unless it is cancelled.
    `expected` says how many seconds a load takes; `ended` is told of each end before its waiters are, with
    the error if it failed. `slots` run at a time, and `most` requests may wait.
    """

    def __init__(
        self,
        begin: Callable[[Load], Callable[[], None]],
        expected: Callable[[bytes], float],
        ended: Callable[[Load, Exception | None], None],
        *,
        clock: Callable[[], float],
        slots: int,
        most: int,
    ) -> None:
        self._begin_load = begin
        self._expected = expected
        self._ended = ended
        self._clock = clock
        self._slots = slots
        self._most = most
        self._queue = LoadQueue()
        self._loads: dict[bytes, Load] = {}
        # Those that have a slot, and what they take together.
        self._begun: set[Load] = set()
        self._begun_seconds = 0.0
        # Requests that wait.
        self._waiting = 0
        # By priority, those that may be shed, in the order of their coming: none of the highest.
        self._lower: list[dict[Waiter, None]] = [{} for _ in range(PRIORITIES)]
        self._is_closed = False

    def __len__(self) -> int:
        return len(self._loads)

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._loads

    @property
    def all(self) -> ValuesView[Load]:
        """Those that wait for a slot and those that have one, in the order of their coming."""
        return self._loads.values()

    def join(self, digest: bytes, deadline: Deadline, owner: int, ended: Ended, priority: int = 0) -> Waiter:
        """Wait for the model of `digest`: `ended` is told, once, and never before this returns.

        `owner` is who shares the slots with others (`loadqueue.py`). Where there is no room to wait, the last
        one of a lower priority gives up its place.

        Raises:
            LoadQueueFull: too many requests are waiting.
            LoadTooSlow: the load would take longer than the deadline allows.
        """
        now = self._clock()
        load = self._loads.get(digest)
        if self._waiting >= self._most and not self._shed_below(priority):
            TURNED_AWAY.values[_FULL] += 1
            raise _full(self._work())
        if load is None or not load.is_begun:
            self._admit(digest, load, deadline, now, owner, priority)
            load = load or self._add(digest)
            self._queue.join(digest, deadline.at, now, owner, priority)
        load.owner = load.owner or owner
        waiter = Waiter(self, load, ended, priority)
        if priority:
            self._lower[priority][waiter] = None
        if not load.waiters:
            load.since = now
        load.waiters[waiter] = None
        self._waiting += 1
        seconds = deadline.timeout(now)
        if seconds is not None:
            waiter.timer = asyncio.get_running_loop().call_later(seconds, waiter.expire)
        self._begin()
        return waiter

    async def lease(
        self, digest: bytes, deadline: Deadline, owner: int = 0, priority: int = 0
    ) -> Lease[Scorer]:
        """A lease on the model of `digest`, once its load has ended; the caller releases it.

        Raises:
            DeadlineExceeded: the load took longer; it goes on if it had begun.
            And what `join` and the load raise.
        """
        ending: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        waiter = self.join(digest, deadline, owner, ending.set_result, priority)
        since = time.monotonic()
        try:
            outcome = await ending
            if (span := current.get()) is not None:
                tell(span, waiter.load.mark)
            log_if_slow(waiter.load.mark, digest, since, request_ids.current.get())
        except asyncio.CancelledError:
            waiter.cancel()
            # It may have ended in the same turn.
            if not ending.cancelled() and isinstance(lease := ending.result(), Lease):
                lease.release()
            raise
        if isinstance(outcome, Exception):
            try:
                raise outcome
            finally:
                # The error knows this frame, which must not know the error.
                del outcome, ending, waiter
        return outcome

    async def warm(self, digest: bytes, *, group: str | None, aged: bool, proven: bool = False) -> None:
        """Load the model of `digest` in the background. Raises what the load raises."""
        load = self._loads.get(digest)
        if load is None:
            load = self._add(digest)
            load.group, load.is_aged, load.is_proven = group, aged, proven
        ending: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def ended(outcome: Outcome) -> None:
            if isinstance(outcome, Lease):
                outcome.release()
            if not ending.done():
                ending.set_result(outcome)

        load.warmers = [*(load.warmers or ()), ended]
        self._begin()
        outcome = await ending
        if (span := current.get()) is not None:
            tell(span, load.mark)
        if isinstance(outcome, Exception):
            try:
                raise outcome
            finally:
                del outcome, ending, ended, load

    def longest_wait(self) -> float:
        """For how many seconds a request has waited for a load; 0 if none does."""
        now = self._clock()
        return max((now - load.since for load in self._loads.values() if load.waiters), default=0.0)

    def close(self) -> None:
        """Give up all loads; their callers get Unavailable."""
        self._is_closed = True
        # Who hears of one may leave another.
        while self._loads:
            load = next(iter(self._loads.values()))
            if load.cancel is not None:
                load.cancel()
            self._give_up(load)

    def end(self, load: Load, outcome: Outcome) -> None:
        """What a load that was begun has come to."""
        if load not in self._begun:
            return
        self._drop(load)
        failure = None if isinstance(outcome, Lease) else outcome
        LOADS.values[LOADED if failure is None else FAILED] += 1
        self._ended(load, failure)
        self._tell(load, outcome)
        if isinstance(outcome, Lease):
            outcome.release()
        self._begin()

    def leave(self, waiter: Waiter) -> bool:
        """A request does not wait any more; whether it did."""
        load = waiter.load
        if waiter not in load.waiters:
            return False
        self._forget(waiter)
        del load.waiters[waiter]
        if not load.waiters and not load.is_begun and load.warmers is None:
            self._give_up(load)
        return True

    def _shed_below(self, priority: int) -> bool:
        """Have the newest waiter of the lowest priority give up its place; whether there was one."""
        for waiters in reversed(self._lower[priority + 1 :]):
            if waiters:
                waiter = next(reversed(waiters))
                self.leave(waiter)
                TURNED_AWAY.values[_FULL] += 1
                waiter.ended(_full(self._work()))
                return True
        return False

    def _admit(
        self,
        digest: bytes,
        load: Load | None,
        deadline: Deadline,
        now: float,
        owner: int,
        priority: int,
    ) -> None:
        """Raises LoadTooSlow when a load that is not begun should not be waited for."""
        ahead = self._queue.seconds_ahead(deadline.at, now, owner, priority)
        ahead += self._begun_seconds
        seconds = self._expected(digest) if load is None else load.seconds
        if load is not None and load.waiters:
            # It is counted in what is ahead.
            ahead = max(0.0, ahead - load.seconds)
        expected = ahead / self._slots + seconds
        if now + expected <= deadline.at:
            return
        if load is None and self._queue.background < _MOST_BACKGROUND:
            self._add(digest).warmers = []
            self._begin()
        TURNED_AWAY.values[_SLOW] += 1
        raise LoadTooSlow(
            f"the model is not loaded, and it takes {expected:.3f} s to load it",
            retry_after=_retry_after(expected),
        )

    def _work(self) -> float:
        """Seconds until everything that waits is loaded, about."""
        return self._queue.seconds / self._slots

    def _add(self, digest: bytes) -> Load:
        if self._is_closed:
            raise _stopping()
        load = self._loads[digest] = Load(digest, self._expected(digest))
        self._queue.add(digest, load.seconds)
        return load

    def _begin(self) -> None:
        """Give free slots to the loads that are next."""
        while len(self._begun) < self._slots and not self._is_closed:
            digest = self._queue.pop(
                background=bool(self._queue.background) and self._has_slot_for_background()
            )
            if digest is None:
                return
            load = self._loads[digest]
            load.is_begun = True
            load.mark("queue")
            self._begun.add(load)
            self._begun_seconds += load.seconds
            load.cancel = self._begin_load(load)

    def _has_slot_for_background(self) -> bool:
        return sum(not load.waiters for load in self._begun) < max(1, self._slots // 2)

    def _tell(self, load: Load, outcome: Outcome) -> None:
        waiters, load.waiters = [*load.waiters], {}
        for waiter in waiters:
            self._forget(waiter)
        listeners = [*(waiter.ended for waiter in waiters), *(load.warmers or ())]
        # One that fails is not another's matter, and each gets a lease of its own before any has let go.
        outcomes = [outcome.share() if isinstance(outcome, Lease) else outcome for _ in listeners]
        for ended, its in zip(listeners, outcomes, strict=True):
            try:
                ended(its)
            except Exception:  # noqa: BLE001 (a bug of ours; the others have to hear of it)
                _log.exception("whoever waited for a model failed")

    def _forget(self, waiter: Waiter) -> None:
        self._waiting -= 1
        self._lower[waiter.priority].pop(waiter, None)
        if waiter.timer is not None:
            waiter.timer.cancel()
            waiter.timer = None

    def _drop(self, load: Load) -> None:
        del self._loads[load.digest]
        if load in self._begun:
            self._begun.remove(load)
            # What was rounded off on the way does not stay.
            self._begun_seconds = self._begun_seconds - load.seconds if self._begun else 0.0
        # It knows the load.
        load.cancel = None

    def _give_up(self, load: Load) -> None:
        """Nobody wants it, or the cell stops."""
        LOADS.values[_GIVEN_UP] += 1
        self._drop(load)
        self._queue.remove(load.digest)
        self._tell(load, _stopping())


def _retry_after(seconds: float) -> float:
    return min(max(seconds, _LEAST_RETRY_AFTER), _MOST_RETRY_AFTER)


def _full(work: float) -> LoadQueueFull:
    return LoadQueueFull("too many requests wait for models", retry_after=_retry_after(work))


def _stopping() -> Unavailable:
    return Unavailable("this cell is stopping", reason="STOPPING", retry_after=_LEAST_RETRY_AFTER)
