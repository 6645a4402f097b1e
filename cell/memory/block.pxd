"""Bytes in an arena; see block.pyx."""

from cell.memory.arena cimport Arena, Place

cdef class Block:
    cdef Place place
    cdef bint _is_leaving
    cdef Arena _arena

    cdef int take(self, Arena arena, Py_ssize_t size) except -1
    cdef void leave(self) noexcept
