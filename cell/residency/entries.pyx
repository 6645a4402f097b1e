"""What a cell keeps of each resident model, and the queues that link them.

One object of 96 bytes a model serves everybody: the residency's books (size, leases, group) and the
policy's (links, hits). The links are fields of the entry itself, so a queue costs no node, no dict
and no allocation; 500,000 models are counted in bytes each.

Python's garbage collector does not know of entries. It would stop the event loop in a storm of loads,
each time that it walked over the entries that had come since the last time.
"""

cimport cython

from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    # S3-FIFO counts in two bits.
    _MOST_USES = 3
    _ONE_USE = 4

cdef uint32_t _LAST_USE = 0xFFFFFFFF - _ONE_USE


@cython.no_gc
cdef class Entry:
    """One model. `newer`, `older` and `queue` belong to the queue that it stands in, and are None outside."""

    cdef readonly bytes digest
    cdef readonly object model
    # Whoever shares a floor with it; None for nobody.
    cdef public object group
    cdef public object queue
    cdef public Entry newer
    cdef public Entry older
    cdef readonly Py_ssize_t size
    # When it was asked for last, or admitted.
    cdef public double used_at
    # How many callers hold it; above 0 it cannot be a victim.
    cdef public int leases
    # Uses since it was admitted, as far as 30 bits go; and in the lowest two, `hits`.
    cdef uint32_t counts
    # Who had it loaded: the number that a router makes of a tenant; 0 for nobody known.
    cdef readonly uint64_t owner

    def __init__(
        self, bytes digest not None, model, Py_ssize_t size, double used_at, group=None, uint64_t owner=0
    ):
        self.digest = digest
        self.model = model
        self.size = size
        self.used_at = used_at
        self.group = group
        self.owner = owner

    @property
    def hits(self):
        """Uses since the policy looked last, as far as the policy counts."""
        return self.counts & _MOST_USES

    @hits.setter
    def hits(self, uint32_t hits):
        self.counts = self.counts & ~<uint32_t>_MOST_USES | min(hits, <uint32_t>_MOST_USES)

    @property
    def uses(self):
        return self.counts // _ONE_USE


def use(Entry entry not None, double when):
    """The model, which is asked for at `when`. Sooner than to reach for the fields from Python."""
    entry.used_at = when
    if entry.counts < _LAST_USE:
        entry.counts += _ONE_USE
    return entry.model


def take_back(Entry entry not None):
    """One of its uses was none."""
    if entry.counts >= _ONE_USE:
        entry.counts -= _ONE_USE


def count_use(Entry entry not None):
    """One use more for the policy, up to `_MOST_USES`."""
    if entry.counts & _MOST_USES < _MOST_USES:
        entry.counts += 1


class Queue:
    """Entries from the newest to the oldest, with their bytes; a circle that closes in `end`.

    `end.older` is the newest entry and `end.newer` the oldest; both are `end` itself when none is there.
    """

    __slots__ = ("bytes", "count", "end")

    def __init__(self):
        self.bytes = 0
        self.count = 0
        self.end = Entry(b"", None, 0, 0.0)
        self.end.newer = self.end.older = self.end

    def __iter__(self):
        """From the oldest on. Whoever gets an entry may remove it, and no other."""
        at = self.end.newer
        while at is not self.end:
            newer = at.newer
            yield at
            at = newer

    def push(self, Entry entry not None):
        """`entry`, which stands in no queue, becomes the newest."""
        entry.queue = self
        _link(self.end, entry)
        self.bytes += entry.size
        self.count += 1

    def remove(self, Entry entry not None):
        """`entry` stands in no queue any more."""
        _unlink(entry)
        # Holds nothing that would outlive the neighbours.
        entry.newer = entry.older = entry.queue = None
        self.bytes -= entry.size
        self.count -= 1

    def renew(self, Entry entry not None):
        """`entry`, which stands here, becomes the newest."""
        _unlink(entry)
        _link(self.end, entry)


cdef void _link(Entry end, Entry entry) noexcept:
    cdef Entry newest = end.older
    entry.newer, entry.older = end, newest
    newest.newer = entry
    end.older = entry


cdef void _unlink(Entry entry) noexcept:
    cdef Entry newer = entry.newer, older = entry.older
    newer.older = older
    older.newer = newer


def move(Entry entry not None, queue):
    """`entry` leaves the queue that it stands in and becomes the newest of `queue`."""
    entry.queue.remove(entry)
    queue.push(entry)
