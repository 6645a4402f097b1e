"""Which cold model loads next: who is due first, and whom many wait for. Pure.

A load is due when the first of its waiters has to have it, but not later than `PATIENCE` after it was
asked for, so that one with a far deadline does not starve behind a stream of near ones. Each further
waiter brings that forward by `WAITER`. So the order depends on no clock, and a heap keeps it.

Work in the background has its own queue, first come first served, and is taken when no request waits.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass

PATIENCE = 2.0
WAITER = 0.005


@dataclass(slots=True, eq=False)
class Wanted:
    """One load that waits for its turn. `seconds`: how long it will take, as far as is known."""

    digest: bytes
    seconds: float
    due: float = float("inf")
    waiters: int = 0
    is_queued: bool = True


class LoadQueue:
    """The loads that wait. Moments and seconds are on the caller's monotonic clock."""

    def __init__(self) -> None:
        # The same load may stand here several times: the first that comes out counts.
        self._requested: list[tuple[float, int, Wanted]] = []
        self._background: dict[bytes, Wanted] = {}
        self._wanted: dict[bytes, Wanted] = {}
        self._arrivals = itertools.count()

    def __len__(self) -> int:
        """How many loads wait that a request has asked for."""
        return len(self._wanted) - len(self._background)

    @property
    def background(self) -> int:
        """How many wait in the background."""
        return len(self._background)

    def add(self, digest: bytes, seconds: float) -> None:
        """Queue a load in the background; `join` makes it a request's."""
        self._wanted[digest] = self._background[digest] = Wanted(digest, seconds)

    def join(self, digest: bytes, deadline: float, now: float) -> None:
        """One more request waits for `digest`, until `deadline`. Does nothing when that is not queued."""
        wanted = self._wanted.get(digest)
        if wanted is None:
            return
        self._background.pop(digest, None)
        due = min(deadline, now + PATIENCE)
        wanted.due = due if wanted.waiters == 0 else min(wanted.due, due) - WAITER
        wanted.waiters += 1
        heapq.heappush(self._requested, (wanted.due, next(self._arrivals), wanted))

    def remove(self, digest: bytes) -> None:
        """Nobody wants `digest` any more."""
        wanted = self._wanted.pop(digest, None)
        if wanted is not None:
            wanted.is_queued = False
            self._background.pop(digest, None)

    def pop(self, *, background: bool = True) -> bytes | None:
        """Take the next load out; None when there is none. In the background only with `background`."""
        while self._requested:
            _, _, wanted = heapq.heappop(self._requested)
            if wanted.is_queued:
                self.remove(wanted.digest)
                return wanted.digest
        if background and self._background:
            digest = next(iter(self._background))
            self.remove(digest)
            return digest
        return None

    def seconds_ahead(self, deadline: float, now: float) -> float:
        """Work that would be taken before a request that comes now, in seconds of one slot."""
        due = min(deadline, now + PATIENCE)
        return sum(
            wanted.seconds for wanted in self._wanted.values() if wanted.waiters > 0 and wanted.due <= due
        )
