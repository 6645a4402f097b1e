"""What a cell keeps of each resident model, and the queues that link them.

One slotted object a model serves everybody: the residency's books (size, leases, group) and the
policy's (links, hits). The links are fields of the entry itself, so a queue costs no node, no dict
and no allocation; 500,000 models are counted in bytes each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class Entry:
    """One model. `newer`, `older` and `queue` belong to the queue that it stands in."""

    __slots__ = ("digest", "group", "hits", "leases", "model", "newer", "older", "queue", "size", "used_at")

    newer: Entry
    older: Entry
    queue: Queue

    def __init__(self, digest: bytes, model: Any, size: int, used_at: float, group: Any = None) -> None:
        self.digest = digest
        self.model = model
        self.size = size
        # When it was asked for last, or admitted.
        self.used_at = used_at
        # How many callers hold it; above 0 it cannot be a victim.
        self.leases = 0
        # Uses since the policy looked last, as far as the policy counts.
        self.hits = 0
        # Whoever shares a floor with it; None for nobody.
        self.group = group


class Queue:
    """Entries from the newest to the oldest, with their bytes; a circle that closes in `end`.

    `end.older` is the newest entry and `end.newer` the oldest; both are `end` itself when none is there.
    """

    __slots__ = ("bytes", "count", "end")

    def __init__(self) -> None:
        self.bytes = 0
        self.count = 0
        self.end = Entry(b"", None, 0, 0.0)
        self.end.newer = self.end.older = self.end

    def __iter__(self) -> Iterator[Entry]:
        """From the oldest on. Whoever gets an entry may remove it, and no other."""
        at = self.end.newer
        while at is not self.end:
            newer = at.newer
            yield at
            at = newer

    def push(self, entry: Entry) -> None:
        """`entry`, which stands in no queue, becomes the newest."""
        entry.queue = self
        self._link(entry)
        self.bytes += entry.size
        self.count += 1

    def remove(self, entry: Entry) -> None:
        """`entry` stands in no queue any more."""
        self._unlink(entry)
        # Holds nothing that would outlive the neighbours.
        del entry.newer, entry.older, entry.queue
        self.bytes -= entry.size
        self.count -= 1

    def renew(self, entry: Entry) -> None:
        """`entry`, which stands here, becomes the newest."""
        self._unlink(entry)
        self._link(entry)

    def _link(self, entry: Entry) -> None:
        end = self.end
        newest = end.older
        entry.newer, entry.older = end, newest
        newest.newer = end.older = entry

    def _unlink(self, entry: Entry) -> None:
        newer, older = entry.newer, entry.older
        newer.older = older
        older.newer = newer


def move(entry: Entry, queue: Queue) -> None:
    """`entry` leaves the queue that it stands in and becomes the newest of `queue`."""
    entry.queue.remove(entry)
    queue.push(entry)
