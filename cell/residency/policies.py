"""Which resident model goes first: S3-FIFO unless an operator says LRU, each by bytes.

A policy orders entries; it evicts nobody and knows neither leases nor pins nor floors. Whoever needs
room walks `victims()`, takes who may go, passes over who may not, and then tells the policy by `evict`.

    add        a new model
    add_proven a new model that is in use elsewhere, so that it need not show first what it is worth
    add_first  one that goes before all others until it is used: a bulk load, or one given free again
    touch      it was used; on the way of every request, so the lazy policies only count here
    victims    in the order that they would go; may move entries between queues, lets nobody go
    evict      it went, to make room
    remove     it leaves for another reason: it is parked

`victims` yields lazily, and may yield an entry twice when it went around. Whoever gets an entry may
`remove` that one before going on. After a walk that led to nothing the next one begins at the same entry.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping

from cell.residency.entries import Entry, Queue, count_use, move
from cell.residency.ghosts import Ghosts

# How many a search for room spares for their uses before it takes the next whatever its uses: where all
# of them are in use, it would else go around once or more, and hold up every request.
MOST_SPARED = 256


class Policy(ABC):
    """What all of them have: the entries that go before any others."""

    def __init__(self) -> None:
        self.first = Queue()

    def resize(self, capacity: int) -> None:  # noqa: B027 (most have nothing to do)
        """The whole cell has `capacity` bytes."""

    @abstractmethod
    def add(self, entry: Entry) -> None: ...

    def add_proven(self, entry: Entry) -> None:
        self.add(entry)

    def add_first(self, entry: Entry) -> None:
        self.first.push(entry)

    @abstractmethod
    def touch(self, entry: Entry) -> None: ...

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

    @abstractmethod
    def queues(self) -> tuple[Queue, ...]:
        """All of them, those whose oldest go first in front."""

    @abstractmethod
    def _victims(self) -> Iterator[Entry]:
        """Those behind `first`, as `victims` gives them."""


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

    def add_proven(self, entry: Entry) -> None:
        self._ghosts.take(entry.digest)
        entry.hits = 0
        self._main.push(entry)

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
                if new.hits and spared < MOST_SPARED:
                    spared += 1
                    self._pass(new)
                    old = new if old is main else old
                else:
                    yield new
                new = newer
            elif old.hits and spared < MOST_SPARED:
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


# By the name that an operator chooses it by. `bench/eviction.py` has others, which are compared with these.
POLICIES: Mapping[str, type[Policy]] = {"lru": Lru, "s3-fifo": S3Fifo}
