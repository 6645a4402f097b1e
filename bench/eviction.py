"""Eviction policies to compare the cell's with, behind the same protocol (`cell/residency/policies.py`).

A cell has LRU and S3-FIFO; decision 9 says why, and `python -m bench policies` repeats the comparison.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

from cell.residency.entries import Entry, Queue, move
from cell.residency.policies import MOST_SPARED, Policy
from cell.residency.policies import POLICIES as _OURS

_FOUR = struct.Struct("<4I")
_MOST = 15
_HALVED = bytes(count >> 1 for count in range(256))


class Sieve(Policy):
    """A hand goes from the oldest to the newest: who was used since it came by stays where it is.

    New entries come in as the newest, so one that is used once is met and goes before those behind the
    hand, which have been used. Source: Zhang, Yang, Yue, Vigfusson and Rashmi, "SIEVE is Simpler than
    LRU", NSDI 2024.
    """

    def __init__(self) -> None:
        super().__init__()
        self._queue = Queue()
        # The next to be looked at; the end of the queue stands for its oldest entry.
        self._hand = self._queue.end

    def add(self, entry: Entry) -> None:
        entry.hits = 0
        self._queue.push(entry)

    def touch(self, entry: Entry) -> None:
        entry.hits = 1

    def remove(self, entry: Entry) -> None:
        if entry is self._hand:
            self._hand = entry.newer
        super().remove(entry)

    def evict(self, entry: Entry) -> None:
        if entry.queue is self._queue:
            # Those between the last victim and this one have had their second chance.
            self._hand = entry
        self.remove(entry)

    def queues(self) -> tuple[Queue, ...]:
        return (self.first, self._queue)

    def _victims(self) -> Iterator[Entry]:
        end, at = self._queue.end, self._hand
        is_first, spared = True, 0
        # Twice around: the first time may do no more than clear marks.
        for _ in range(2 * self._queue.count):
            if at is end:
                at = end.newer
                if at is end:
                    return
            newer = at.newer
            if at.hits and spared < MOST_SPARED:
                at.hits = 0
                spared += 1
            else:
                if is_first:
                    self._hand, is_first = at, False
                yield at
            at = newer


class Sketch:
    """About how often each model was asked for lately: a count-min sketch with ageing.

    Four counters a model, up to 15, of which the smallest counts and alone is raised (conservative
    update). All are halved after ten requests for each counted model, so old fame fades. Eight counters,
    a byte each, for every resident model. Source: Einziger, Friedman and Manes, "TinyLFU: A Highly
    Efficient Cache Admission Policy", 2017.
    """

    __slots__ = ("_counters", "_left", "_mask")

    def __init__(self) -> None:
        self._counters = bytearray(64)
        self._mask = len(self._counters) - 1
        self._left = self._period()

    def __len__(self) -> int:
        return len(self._counters)

    def fit(self, models: int) -> None:
        """Grow for so many resident models."""
        while len(self._counters) < models * 8:
            # Each counter twice: a digest finds the same value at its new place.
            self._counters *= 2
            self._mask = len(self._counters) - 1
            self._left = self._period()

    def add(self, digest: bytes) -> None:
        """One more request for a model."""
        counters, mask = self._counters, self._mask
        a, b, c, d = _FOUR.unpack_from(digest)
        places = (a & mask, b & mask, c & mask, d & mask)
        least = min([counters[place] for place in places])
        if least < _MOST:
            for place in places:
                if counters[place] == least:
                    counters[place] = least + 1
        self._left -= 1
        if self._left <= 0:
            self._age()

    def count(self, digest: bytes) -> int:
        """About how often it was asked for, never too little but for ageing."""
        counters, mask = self._counters, self._mask
        places: tuple[int, ...] = _FOUR.unpack_from(digest)
        return min([counters[place & mask] for place in places])

    def _age(self) -> None:
        self._counters = self._counters.translate(_HALVED)
        self._left = self._period()

    def _period(self) -> int:
        return 10 * len(self._counters) // 8


class WTinyLfu(Policy):
    """A small window by recency, and beyond it only who is wanted more than whom it would push out.

    The window's oldest meets the main part's next victim: who was asked for more often, as a sketch
    counts it, stays, and the newcomer that loses is the next to go. The main part is LRU in two segments: who
    is used there once more is protected, up to four fifths of it. Source: Einziger, Friedman and Manes,
    "TinyLFU", 2017, and the design notes of Caffeine.
    """

    _WINDOW_SHARE = 0.01
    _PROTECTED_SHARE = 0.8

    def __init__(self) -> None:
        super().__init__()
        self._window = Queue()
        self._lost = Queue()
        self._probation = Queue()
        self._protected = Queue()
        self._sketch = Sketch()
        self._window_bytes = 0
        self._protected_bytes = 0

    def resize(self, capacity: int) -> None:
        self._window_bytes = int(capacity * self._WINDOW_SHARE)
        self._protected_bytes = int((capacity - self._window_bytes) * self._PROTECTED_SHARE)

    def add(self, entry: Entry) -> None:
        self._sketch.fit(self._window.count + self._probation.count + self._protected.count)
        self._sketch.add(entry.digest)
        self._window.push(entry)
        while self._window.bytes > self._window_bytes:
            self._contest(self._window.end.newer)

    def touch(self, entry: Entry) -> None:
        self._sketch.add(entry.digest)
        queue = entry.queue
        if queue is self._protected or queue is self._window:
            queue.renew(entry)
        elif queue is self._probation:
            self._protect(entry)
        else:
            move(entry, self._probation)

    def queues(self) -> tuple[Queue, ...]:
        return (self.first, self._lost, self._probation, self._protected, self._window)

    def _victims(self) -> Iterator[Entry]:
        yield from self._lost
        yield from self._probation
        yield from self._protected
        yield from self._window

    def _contest(self, candidate: Entry) -> None:
        victim = self._probation.end.newer
        wins = victim is self._probation.end or (
            self._sketch.count(candidate.digest) > self._sketch.count(victim.digest)
        )
        move(candidate, self._probation if wins else self._lost)

    def _protect(self, entry: Entry) -> None:
        move(entry, self._protected)
        while self._protected.bytes > self._protected_bytes and self._protected.count > 1:
            move(self._protected.end.newer, self._probation)


POLICIES: Mapping[str, type[Policy]] = {**_OURS, "sieve": Sieve, "w-tinylfu": WTinyLfu}
