"""Which resident model goes first: LRU, SIEVE, S3-FIFO or W-TinyLFU, each by bytes.

A policy orders entries; it evicts nobody and knows neither leases nor pins nor floors. Whoever needs
room walks `victims()`, takes who may go, passes over who may not, and then tells the policy by `evict`.

    add        a new model
    add_first  one that goes before all others until it is used: a bulk load, or one given free again
    touch      it was used; on the way of every request, so the lazy policies only count here
    victims    in the order that they would go; may turn hands and clear marks, moves nobody out
    evict      it went, to make room
    remove     it leaves for another reason: parked, or dropped

`victims` yields lazily, and may yield an entry twice when it went around. Whoever gets an entry may
`remove` that one before going on. After a walk that led to nothing the next one begins at the same entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from cell.residency.entries import Entry, Queue, count_use, move
from cell.residency.sketches import Ghosts, Sketch

# How many a search for room spares for their uses before it takes the next whatever its uses: where all
# of them are in use, it would else go around once or more, and hold up every request.
_MOST_SPARED = 256


class Policy:
    """What all of them have: the entries that go before any others."""

    def __init__(self) -> None:
        self.first = Queue()

    def resize(self, capacity: int) -> None:
        """The whole cell has `capacity` bytes."""

    def add(self, entry: Entry) -> None:
        raise NotImplementedError

    def add_first(self, entry: Entry) -> None:
        self.first.push(entry)

    def touch(self, entry: Entry) -> None:
        raise NotImplementedError

    def remove(self, entry: Entry) -> None:
        entry.queue.remove(entry)

    def evict(self, entry: Entry) -> None:
        self.remove(entry)

    def victims(self) -> Iterator[Entry]:
        for entry in self.first:
            if entry.hits:
                # Used since: as good as new.
                self.remove(entry)
                self.add(entry)
            else:
                yield entry
        yield from self._victims()

    def queues(self) -> tuple[Queue, ...]:
        """All of them, those whose oldest go first in front."""
        raise NotImplementedError

    def _victims(self) -> Iterator[Entry]:
        raise NotImplementedError


class Lru(Policy):
    """The least recently used goes."""

    def __init__(self) -> None:
        super().__init__()
        self._queue = Queue()

    def add(self, entry: Entry) -> None:
        self._queue.push(entry)

    def touch(self, entry: Entry) -> None:
        queue = self._queue
        end = queue.end
        newer = entry.newer
        if newer is end and entry.queue is queue:
            return
        if entry.queue is not queue:
            move(entry, queue)
            return
        # `Queue.renew` without its calls.
        older = entry.older
        newer.older = older
        older.newer = newer
        newest = end.older
        entry.newer = end
        entry.older = newest
        newest.newer = end.older = entry

    def queues(self) -> tuple[Queue, ...]:
        return (self.first, self._queue)

    def _victims(self) -> Iterator[Entry]:
        return iter(self._queue)


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
            if at.hits and spared < _MOST_SPARED:
                at.hits = 0
                spared += 1
            else:
                if is_first:
                    self._hand, is_first = at, False
                yield at
            at = newer


class S3Fifo(Policy):
    """A small queue that new models must pass, a main queue, and ghosts of those that did not.

    Of the small queue's oldest, who was used since it was loaded goes over to the main queue and the
    others go; the main queue's oldest begins anew for each use, up to three. Who comes back while its ghost
    is remembered enters the main queue at once. The small queue has a tenth of the bytes. Source: Yang,
    Zhang, Qiu, Yue and Rashmi, "FIFO Queues are All You Need for Cache Eviction", SOSP 2023.

    Some implementations ask for two uses, which costs hits where popularity drifts and under scans, and gains
    few on Zipf; a small queue of a fifth loses some on Zipf (`python -m bench policies` with either).
    """

    _SMALL_SHARE = 0.1

    def __init__(self) -> None:
        super().__init__()
        self._small = Queue()
        self._main = Queue()
        self._ghosts = Ghosts()
        self._small_bytes = 0

    def resize(self, capacity: int) -> None:
        self._small_bytes = int(capacity * self._SMALL_SHARE)

    def add(self, entry: Entry) -> None:
        entry.hits = 0
        queue = self._main if self._ghosts.take(entry.digest) else self._small
        queue.push(entry)

    # Native, since it is on the way of every request.
    touch = staticmethod(count_use)

    def evict(self, entry: Entry) -> None:
        if entry.queue is self._small:
            self._ghosts.fit(self._small.count + self._main.count)
            self._ghosts.add(entry.digest)
        self.remove(entry)

    def queues(self) -> tuple[Queue, ...]:
        return (self.first, self._small, self._main)

    def _victims(self) -> Iterator[Entry]:
        # Nobody goes while this walks, so it counts for itself what the small queue has too much.
        excess = self._small.bytes - self._small_bytes
        small, main = self._small.end, self._main.end
        new, old = small.newer, main.newer
        spared = 0
        while new is not small or old is not main:
            if new is not small and (excess > 0 or old is main):
                newer = new.newer
                excess -= new.size
                if new.hits and spared < _MOST_SPARED:
                    spared += 1
                    self._pass(new)
                    old = new if old is main else old
                else:
                    yield new
                new = newer
            elif old.hits and spared < _MOST_SPARED:
                spared += 1
                newer = old.newer
                old.hits -= 1
                self._main.renew(old)
                old = old if newer is main else newer
            else:
                newer = old.newer
                yield old
                old = newer

    def _pass(self, entry: Entry) -> None:
        entry.hits = 0
        move(entry, self._main)


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


# By the name that an operator chooses it by.
POLICIES: Mapping[str, Callable[[], Policy]] = {
    "lru": Lru,
    "sieve": Sieve,
    "s3-fifo": S3Fifo,
    "w-tinylfu": WTinyLfu,
}
