"""Which cold model loads next: owners take turns, and of an owner's loads the one that is due first. Pure.

What is of a lower priority comes when nothing higher waits, and after some turns of that (`Patience` in
`croupier/fairness.py`).

A load is due when the first of its waiters has to have it, but not later than `DUE_WITHIN` after it was
asked for, so that one with a far deadline does not starve behind a stream of near ones. Each further
waiter brings that forward by `WAITER`. So the order depends on no clock, and a heap keeps it.

Between owners it is start-time fair queueing (Goyal, Vin and Cheng, SIGCOMM 1996): each owner's loads are
dated on a virtual clock by the work that was taken for it before, and the owner with the earliest date is
next. Who comes anew, or again, begins at the clock's time and saves nothing up. So of 1,000 cold models of
one owner at most one, and what had begun, goes before another owner's single one. An owner is an opaque
number; 0 stands for all who are not known, who share one turn.

Work in the background has its own queue, first come first served, and is taken when no request waits.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass, field

from croupier.fairness import Patience, Who
from croupier.priorities import PRIORITIES

DUE_WITHIN = 2.0
WAITER = 0.005

# What a load counts for at the least, in seconds: how long it takes may not be known yet.
_LEAST = 1e-4
# Of the moments at which loads are due, so that the work before one is summed up in a few steps.
_BUCKETS_PER_SECOND = 64
# Callers that give up and come again leave entries behind, which nobody may take out for long.
_LEAST_SWEPT = 64


@dataclass(slots=True, eq=False)
class Wanted:
    """One load that waits for its turn. `seconds`: how long it will take, as far as is known."""

    digest: bytes
    seconds: float
    due: float = float("inf")
    waiters: int = 0
    is_queued: bool = True
    # The owner in whose work it is counted, and the bucket there.
    owner: _Owner | None = None
    bucket: int = 0


@dataclass(slots=True, eq=False)
class _Owner:
    """One owner's loads that requests wait for; `start` is the virtual date of the next."""

    who: Who
    start: float
    # The same load may stand here several times, and in other owners' heaps: the first that comes out counts.
    heap: list[tuple[float, int, Wanted]] = field(default_factory=list)
    # Entries at which the heap is swept of those that cannot count any more.
    most: int = _LEAST_SWEPT
    loads: int = 0
    # Seconds of the loads counted here, and by when they are due.
    seconds: float = 0.0
    buckets: dict[int, float] = field(default_factory=dict)


class LoadQueue:
    """The loads that wait. Moments and seconds are on the caller's monotonic clock."""

    def __init__(self) -> None:
        self._wanted: dict[bytes, Wanted] = {}
        self._background: dict[bytes, Wanted] = {}
        self._owners: dict[Who, _Owner] = {}
        # By priority, owners that have loads, by their dates; one that has none any more is met and dropped.
        self._turns: list[list[tuple[float, int, _Owner]]] = [[] for _ in range(PRIORITIES)]
        self._patience = Patience()
        self._arrivals = itertools.count()
        # The virtual clock: the date of the load that was taken last.
        self._now = 0.0
        # By priority.
        self._seconds = [0.0] * PRIORITIES

    def __len__(self) -> int:
        """How many loads wait that a request has asked for."""
        return len(self._wanted) - len(self._background)

    @property
    def background(self) -> int:
        """How many wait in the background."""
        return len(self._background)

    @property
    def seconds(self) -> float:
        """What the loads take that a request has asked for, in seconds of one slot."""
        return sum(self._seconds)

    def add(self, digest: bytes, seconds: float) -> None:
        """Queue a load in the background; `join` makes it a request's."""
        self._wanted[digest] = self._background[digest] = Wanted(digest, max(seconds, _LEAST))

    def join(self, digest: bytes, deadline: float, now: float, owner: int = 0, priority: int = 0) -> None:
        """One more request of `owner` waits for `digest`, until `deadline`. Nothing if that is not queued."""
        wanted = self._wanted.get(digest)
        if wanted is None:
            return
        self._background.pop(digest, None)
        due = min(deadline, now + DUE_WITHIN)
        wanted.due = due if wanted.waiters == 0 else min(wanted.due, due) - WAITER
        wanted.waiters += 1
        who = (priority, owner)
        joined = self._owners.get(who)
        if joined is None:
            joined = self._owners[who] = _Owner(who, self._now)
            heapq.heappush(self._turns[priority], (joined.start, next(self._arrivals), joined))
        heapq.heappush(joined.heap, (wanted.due, next(self._arrivals), wanted))
        if len(joined.heap) > joined.most:
            _sweep(joined)
        counted = wanted.owner or joined
        self._count(wanted, joined if joined.who[0] < counted.who[0] else counted)

    def remove(self, digest: bytes) -> None:
        """Nobody wants `digest` any more."""
        wanted = self._wanted.pop(digest, None)
        if wanted is not None:
            wanted.is_queued = False
            self._background.pop(digest, None)
            self._discount(wanted)

    def pop(self, *, background: bool = True) -> bytes | None:
        """Take the next load out; None when there is none. In the background only with `background`."""
        for priority in self._patience.order(self._turns):
            if (digest := self._pop(priority)) is not None:
                self._patience.turn(priority, self._turns)
                return digest
        if background and self._background:
            digest = next(iter(self._background))
            self.remove(digest)
            return digest
        return None

    def seconds_ahead(self, deadline: float, now: float, owner: int = 0, priority: int = 0) -> float:
        """Work that would be taken before a request of `owner` that comes now, in seconds of one slot.

        All of a higher priority. Of its owner's work what is due sooner; of each other owner's as much, for
        they take turns.
        """
        own = self._owners.get((priority, owner))
        mine = start = 0.0
        if own is not None:
            bucket = _bucket(min(deadline, now + DUE_WITHIN))
            mine = sum(seconds for due, seconds in own.buckets.items() if due <= bucket)
            start = max(0.0, own.start - self._now)
        others = self._seconds[priority] - (0.0 if own is None else own.seconds)
        # Enough in all but a storm of very many owners: then each is looked at.
        turn = start + mine + _LEAST
        if others > turn:
            alike = [other for other in self._owners.values() if other.who[0] == priority]
            others = sum(min(other.seconds, turn) for other in alike if other is not own)
        return mine + max(0.0, others) + sum(self._seconds[:priority])

    def _pop(self, priority: int) -> bytes | None:
        turns = self._turns[priority]
        while turns:
            start, _, owner = heapq.heappop(turns)
            wanted = _first(owner.heap)
            if wanted is None:
                del self._owners[owner.who]
                continue
            self._now = max(self._now, start)
            owner.start = self._now + wanted.seconds
            heapq.heappush(turns, (owner.start, next(self._arrivals), owner))
            self.remove(wanted.digest)
            return wanted.digest
        return None

    def _count(self, wanted: Wanted, owner: _Owner) -> None:
        """Have its work counted with `owner`, by when it is due now."""
        self._discount(wanted)
        wanted.owner, wanted.bucket = owner, _bucket(wanted.due)
        owner.loads += 1
        owner.seconds += wanted.seconds
        owner.buckets[wanted.bucket] = owner.buckets.get(wanted.bucket, 0.0) + wanted.seconds
        self._seconds[owner.who[0]] += wanted.seconds

    def _discount(self, wanted: Wanted) -> None:
        owner, wanted.owner = wanted.owner, None
        if owner is None:
            return
        owner.loads -= 1
        owner.seconds -= wanted.seconds
        self._seconds[owner.who[0]] -= wanted.seconds
        owner.buckets[wanted.bucket] -= wanted.seconds
        if not owner.loads:
            owner.seconds = 0.0
            owner.buckets.clear()
        elif owner.buckets[wanted.bucket] < _LEAST / 2:
            del owner.buckets[wanted.bucket]


def _first(heap: list[tuple[float, int, Wanted]]) -> Wanted | None:
    """The first load of a heap that is still queued, taken out."""
    while heap:
        wanted = heapq.heappop(heap)[2]
        if wanted.is_queued:
            return wanted
    return None


def _sweep(owner: _Owner) -> None:
    """Keep one entry for each load that is queued, the earliest; what is sorted is a heap."""
    kept: dict[Wanted, tuple[float, int, Wanted]] = {}
    for entry in sorted(owner.heap):
        if entry[2].is_queued:
            kept.setdefault(entry[2], entry)
    owner.heap = [*kept.values()]
    owner.most = max(_LEAST_SWEPT, 2 * len(owner.heap))


def _bucket(moment: float) -> int:
    return int(moment * _BUCKETS_PER_SECOND)
