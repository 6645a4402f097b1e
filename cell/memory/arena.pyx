"""Where models' bytes lie: a few mappings for all of them, and memory that goes back when a model goes.

500,000 mappings are more than Linux allows, and as many allocations of the C library's leave holes between
them that no eviction gives back. So there are a few mappings of more address space than there is memory, of
which only what is touched costs anything:

    segments   one mapping, of segments of one power of two, each cut into equal slots of one of some 250
               sizes. A block takes the next larger slot
    ranges     for larger ones, in whole pages (`ranges.pyx`)

An emptied segment goes back to the system at once. Segments do not stay half empty: when a class has more
free slots than one segment has, the blocks of its emptiest segment move into the free slots of the others,
some at each `take` and `give`, so that nobody waits for long. What a class can waste is hence about one
segment. A block whose bytes are being read stays in place (`busy`), and its memory goes back when the reader
has left.

`room` is what a block costs, its share of a segment or its pages: the sum is `used`, and `committed - used`
is `slack`, free slots of partly filled segments. The mappings' resident memory is at most `committed`.

Segments of 2 MiB (capacities from 8 GiB on) are huge pages, which spare rows that rotate
over many models some misses of the processor's address cache. Smaller segments cannot be, for a huge page of
which a part is given back stays whole in memory.

Everything here runs under the interpreter lock and calls nothing that might run Python code in between.
"""

cimport cython
from libc.stdint cimport uint32_t, uintptr_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

from cell.memory.ranges cimport (
    MADV_DONTNEED,
    MADV_HUGEPAGE,
    PAGE,
    Ranges,
    in_pages,
    madvise,
    map_memory,
    munmap,
)
from croupier.buffers cimport poison

from cell.memory.ranges import ArenaFull

cdef enum:
    _NONE = 0xFFFFFFFF
    _HUGE = 2 * 1024 * 1024
    _LEAST_SEGMENT = 64 * 1024
    # A capacity has about so many segments: the free slots of 50 classes are 1 % of it.
    _SEGMENTS = 4096
    # Larger blocks lose less to pages than to slots.
    _MOST_SLOT = 64 * 1024
    _LEAST_SLOT = 64
    _ALIGNMENT = 16
    # Steps between sizes in an octave, where a segment has so many slots.
    _STEPS = 32
    # What one `take` or `give` may move beside two blocks.
    _BUDGET = 64 * 1024


@cython.no_gc
cdef class Arena:
    """Room for blocks of `capacity` bytes together.

    `segment_bytes`, a power of two from 4 KiB to 2 MiB, follows from the capacity if it is 0.

    Raises:
        MemoryError: no address space.
    """

    def __cinit__(self, Py_ssize_t capacity, *, Py_ssize_t segment_bytes=0, bint huge=True):
        if not 0 < capacity < 1 << 44 or segment_bytes & (segment_bytes - 1) or segment_bytes > _HUGE:
            raise ValueError("no capacity or segment of an arena")
        if 0 < segment_bytes < PAGE:
            raise ValueError("a segment has at least a page")
        self.capacity = capacity
        self.segment_bytes = segment_bytes
        if not segment_bytes:
            self.segment_bytes = _LEAST_SEGMENT
            while self.segment_bytes < _HUGE and 2 * self.segment_bytes * _SEGMENTS <= capacity:
                self.segment_bytes *= 2
        self._spare = self._ready = _NONE
        self._make_classes()
        self._ranges = Ranges(self._classes[self._class_count - 1].slot, capacity)
        self._map_segments(huge)

    def __dealloc__(self):
        cdef Py_ssize_t i
        if self._mapping != NULL:
            munmap(self._mapping, self._mapped)
        if self._segments != NULL:
            for i in range(self._segment_count):
                free(self._segments[i].owners)
        free(self._segments)
        free(self._classes)

    @property
    def slack(self):
        """Bytes taken beside what the blocks cost: free slots of partly filled segments."""
        return self.committed - self.used

    def room(self, Py_ssize_t size):
        """What a block of `size` bytes costs."""
        if size < 0:
            raise ValueError("a size below 0")
        return self._room(size)

    def tidy(self, Py_ssize_t budget):
        """Move up to about `budget` bytes where a segment can be emptied; how many were moved.

        For a quiet moment: what was busy when its turn came is caught up with here.
        """
        cdef Py_ssize_t moved = 0
        cdef uint32_t i
        for i in range(self._class_count):
            if moved < budget:
                moved += self._compact(self._classes + i, budget - moved)
        return moved

    def make_ready(self):
        """Set the segment aside that is taken next; where it lies, for a thread that has its page made.

        None if one is ready, or needs nothing. A huge page is made, cleared, by whoever touches it first.
        """
        if self._ready != _NONE or self.segment_bytes != _HUGE or self._fresh == self._segment_count:
            return None
        self._ready = self._next_segment()
        return <uintptr_t>(self._base + self._ready * self.segment_bytes), self.segment_bytes

    cdef int take(self, Place* place) except -1:
        """Memory for a place of a size, which must be given back before it goes.

        Raises:
            ArenaFull: there is no address space left.
        """
        cdef int number = self._class_of(place.size)
        if number < 0:
            place.at = self._ranges.take(place.size)
            self.committed += in_pages(place.size)
        else:
            place.at = self._take_slot(self._classes + number, place)
            self._compact(self._classes + number, _BUDGET)
        poison(place.at, place.size)
        self.used += self._room(place.size)
        return 0

    cdef void give(self, Place* place) noexcept:
        """Take a place's memory back."""
        cdef int number = self._class_of(place.size)
        self.used -= self._room(place.size)
        if number < 0:
            self._ranges.give(place.at, place.size)
            self.committed -= in_pages(place.size)
        else:
            self._give_slot(place.at)
            self._compact(self._classes + number, _BUDGET)
        place.at = NULL

    cdef int _make_classes(self) except -1:
        """Slots are a segment's nth parts, so that next to nothing is left at its end."""
        cdef Py_ssize_t segment = self.segment_bytes, most = min(segment // 8, <Py_ssize_t>_MOST_SLOT)
        cdef Py_ssize_t parts = segment // most, step, slot, last = 0, i
        cdef list slots = []
        while segment // parts >= _LEAST_SLOT:
            slot = segment // parts & ~(_ALIGNMENT - 1)
            if slot != last:
                slots.append(slot)
                last = slot
            step = 1
            while 2 * step * _STEPS <= parts:
                step *= 2
            parts += step
        slots.reverse()
        self._classes = <Class*>calloc(len(slots), sizeof(Class))
        if self._classes == NULL:
            raise MemoryError
        for i in range(len(slots)):
            self._classes[i].slot = slots[i]
            self._classes[i].slots = segment // self._classes[i].slot
            self._classes[i].cost = segment // self._classes[i].slots
            self._classes[i].open = self._classes[i].victim = _NONE
        self._class_count = len(slots)
        return 0

    cdef int _map_segments(self, bint huge) except -1:
        """With the capacity free at every moment of a move, and one for each class."""
        cdef Py_ssize_t size
        self._segment_count = 2 * self.capacity // self.segment_bytes + self._class_count
        self._segments = <Segment*>calloc(self._segment_count, sizeof(Segment))
        if self._segments == NULL:
            raise MemoryError
        size = self._segment_count * self.segment_bytes
        self._mapped = size + _HUGE
        self._mapping = map_memory(self._mapped)
        self._base = <char*>((<uintptr_t>self._mapping + _HUGE - 1) & ~<uintptr_t>(_HUGE - 1))
        if huge and self.segment_bytes == _HUGE:
            madvise(self._base, size, MADV_HUGEPAGE)
        return 0

    cdef int _class_of(self, Py_ssize_t size) noexcept:
        """The class of the least slot that holds `size`, or -1: pages."""
        cdef uint32_t low = 0, high = self._class_count, middle
        if size > <Py_ssize_t>self._classes[high - 1].slot:
            return -1
        while low < high:
            middle = (low + high) >> 1
            if <Py_ssize_t>self._classes[middle].slot < size:
                low = middle + 1
            else:
                high = middle
        return low

    cdef Py_ssize_t _room(self, Py_ssize_t size) noexcept:
        cdef int number = self._class_of(size)
        return self._classes[number].cost if number >= 0 else in_pages(size)

    cdef char* _take_slot(self, Class* of, const Place* owner) except NULL:
        cdef uint32_t number = of.open, slot
        cdef Segment* segment
        # The one that is being emptied is filled last.
        if number != _NONE and number == of.victim and self._segments[number].after != _NONE:
            number = self._segments[number].after
        if number == _NONE:
            number = self._take_segment(of)
        segment = self._segments + number
        slot = segment.free
        if slot != _NONE:
            segment.free = <uint32_t>(segment.owners[slot] >> 1)
        else:
            slot = segment.fresh
            segment.fresh += 1
        segment.owners[slot] = <uintptr_t>owner
        segment.live += 1
        of.free -= 1
        if segment.live == of.slots:
            self._shut(number)
        return self._base + number * self.segment_bytes + slot * <Py_ssize_t>of.slot

    cdef void _give_slot(self, char* at) noexcept:
        cdef Py_ssize_t place = at - self._base
        cdef uint32_t number = place // self.segment_bytes
        cdef Segment* segment = self._segments + number
        cdef Class* of = self._classes + segment.of_class
        cdef uint32_t slot = place % self.segment_bytes // of.slot
        poison(at, of.slot)
        if segment.live == of.slots:
            self._open(number)
        segment.owners[slot] = <uintptr_t>segment.free << 1 | 1
        segment.free = slot
        segment.live -= 1
        of.free += 1
        if segment.live == 0:
            self._give_segment(number)

    cdef uint32_t _take_segment(self, Class* of) except? 0xFFFFFFFF:
        """A new segment for a class, open."""
        cdef uint32_t number
        cdef uintptr_t* owners
        cdef Segment* segment
        owners = <uintptr_t*>malloc(of.slots * sizeof(uintptr_t))
        if owners == NULL:
            raise MemoryError
        if self._ready != _NONE:
            number = self._ready
            self._ready = _NONE
        else:
            try:
                number = self._next_segment()
            except ArenaFull:
                free(owners)
                raise
        segment = self._segments + number
        segment.owners = owners
        segment.of_class = of - self._classes
        segment.live = segment.fresh = 0
        segment.free = _NONE
        of.free += of.slots
        self._open(number)
        return number

    cdef uint32_t _next_segment(self) except? 0xFFFFFFFF:
        """One that nobody has, counted as taken."""
        cdef uint32_t number = self._spare
        if number == _NONE:
            if self._fresh == self._segment_count:
                raise ArenaFull("the arena has no segment left")
            number = self._fresh
            self._fresh += 1
        else:
            self._spare = self._segments[number].after
        self.committed += self.segment_bytes
        return number

    cdef void _give_segment(self, uint32_t number) noexcept:
        cdef Segment* segment = self._segments + number
        cdef Class* of = self._classes + segment.of_class
        self._shut(number)
        madvise(self._base + number * self.segment_bytes, self.segment_bytes, MADV_DONTNEED)
        free(segment.owners)
        segment.owners = NULL
        of.free -= of.slots
        self.committed -= self.segment_bytes
        segment.after = self._spare
        self._spare = number

    cdef void _open(self, uint32_t number) noexcept:
        """Into the list of segments with free slots, first: the sparse ones get less and sink."""
        cdef Segment* segment = self._segments + number
        cdef Class* of = self._classes + segment.of_class
        segment.before = _NONE
        segment.after = of.open
        if of.open != _NONE:
            self._segments[of.open].before = number
        of.open = number

    cdef void _shut(self, uint32_t number) noexcept:
        cdef Segment* segment = self._segments + number
        cdef Class* of = self._classes + segment.of_class
        if segment.before == _NONE:
            of.open = segment.after
        else:
            self._segments[segment.before].after = segment.after
        if segment.after != _NONE:
            self._segments[segment.after].before = segment.before
        if of.victim == number:
            of.victim = _NONE

    cdef Py_ssize_t _compact(self, Class* of, Py_ssize_t budget) noexcept:
        """Move blocks out of the emptiest segment while the others have room for all of them.

        Two moves for a freed slot are enough to keep up, even when nearly all slots are taken.
        """
        cdef Py_ssize_t moves = 0
        cdef Place* place
        cdef char* to
        while of.free > <Py_ssize_t>of.slots and (moves < 2 or moves * of.slot < budget):
            place = self._next_to_move(of)
            if place == NULL:
                break
            # There is an open segment beside the victim, so that this takes no new one and cannot fail.
            to = self._take_slot(of, place)
            memcpy(to, place.at, place.size)
            self._give_slot(place.at)
            place.at = to
            self.moved += place.size
            moves += 1
        return moves * of.slot

    cdef Place* _next_to_move(self, Class* of) noexcept:
        """Of the segment that is being emptied; NULL when all that is left there is busy."""
        cdef Segment* segment
        cdef uint32_t number
        cdef uintptr_t owner
        if of.victim == _NONE:
            number = of.open
            of.victim = number
            while number != _NONE:
                if self._segments[number].live < self._segments[of.victim].live:
                    of.victim = number
                number = self._segments[number].after
            of.cursor = 0
        segment = self._segments + of.victim
        while of.cursor < segment.fresh:
            owner = segment.owners[of.cursor]
            of.cursor += 1
            if not owner & 1 and (<Place*>owner).busy == 0:
                return <Place*>owner
        of.victim = _NONE
        return NULL


cdef Arena _default = None


def default_arena():
    """One of 256 MiB for tools and tests, which need not say how much memory there is."""
    global _default
    if _default is None:
        _default = Arena(256 * 1024 * 1024)
    return _default
