"""The arena, for native code; see arena.pyx."""

from libc.stdint cimport uint32_t, uintptr_t

from cell.memory.ranges cimport Ranges

# Where a block's bytes are, NULL before it has some and after they went; they stay there while `busy` counts
# readers, who read without the interpreter lock or through a buffer.
cdef struct Place:
    char* at
    Py_ssize_t size
    uint32_t busy

cdef struct Segment:
    # Of each slot the address of a Place, or `next free slot << 1 | 1`.
    uintptr_t* owners
    uint32_t of_class
    # Slots with a block. Those from `fresh` on were never used since the segment was taken.
    uint32_t live
    uint32_t fresh
    # The first free slot below `fresh`, or NONE.
    uint32_t free
    # Neighbours in the list of its class's segments with free slots, or in that of spare segments.
    uint32_t before
    uint32_t after

cdef struct Class:
    # Bytes of a slot; slots of a segment; a slot's share of the segment.
    uint32_t slot
    uint32_t slots
    uint32_t cost
    # The first of its segments with free slots, or NONE, and the free slots of all.
    uint32_t open
    Py_ssize_t free
    # The segment that is being emptied, or NONE, and the slot to look at next.
    uint32_t victim
    uint32_t cursor

cdef class Arena:
    cdef readonly Py_ssize_t capacity
    cdef readonly Py_ssize_t segment_bytes
    # Room of all blocks; memory taken for them; bytes ever moved.
    cdef readonly Py_ssize_t used
    cdef readonly Py_ssize_t committed
    cdef readonly Py_ssize_t moved
    cdef char* _mapping
    cdef Py_ssize_t _mapped
    cdef char* _base
    cdef Segment* _segments
    cdef uint32_t _segment_count
    cdef uint32_t _fresh
    cdef uint32_t _spare
    # The segment that is taken next, whose pages are there already, or NONE.
    cdef uint32_t _ready
    cdef Class* _classes
    cdef uint32_t _class_count
    cdef Ranges _ranges

    cdef int take(self, Place* place) except -1
    cdef void give(self, Place* place) noexcept
    cdef int _map_segments(self, bint huge) except -1
    cdef int _make_classes(self) except -1
    cdef int _class_of(self, Py_ssize_t size) noexcept
    cdef Py_ssize_t _room(self, Py_ssize_t size) noexcept
    cdef char* _take_slot(self, Class* of, const Place* owner) except NULL
    cdef void _give_slot(self, char* at) noexcept
    cdef uint32_t _take_segment(self, Class* of) except? 0xFFFFFFFF
    cdef uint32_t _next_segment(self) except? 0xFFFFFFFF
    cdef void _give_segment(self, uint32_t number) noexcept
    cdef void _open(self, uint32_t number) noexcept
    cdef void _shut(self, uint32_t number) noexcept
    cdef Py_ssize_t _compact(self, Class* of, Py_ssize_t budget) noexcept
    cdef Place* _next_to_move(self, Class* of) noexcept
