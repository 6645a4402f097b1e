"""Memory in whole pages, and how the system is asked for it; see ranges.pyx."""

from libc.stdint cimport uint32_t

cdef extern from "<sys/mman.h>" nogil:
    int munmap(void* address, size_t length)
    int madvise(void* address, size_t length, int advice)
    int MADV_DONTNEED, MADV_HUGEPAGE

cdef enum:
    PAGE = 4096

cdef struct Range:
    # NULL before a place is needed.
    char* base
    # Freed places as a stack, and its room. Places from `fresh` on were never used.
    uint32_t* freed
    uint32_t count
    uint32_t room
    uint32_t fresh

cdef class Ranges:
    # Places of 2**k bytes are in the range `k - _first_power`, of `_stride` bytes.
    cdef Py_ssize_t _stride
    cdef Range* _ranges
    cdef int _count
    cdef int _first_power

    cdef char* take(self, Py_ssize_t size) except NULL
    cdef void give(self, char* at, Py_ssize_t size) noexcept
    cdef Range* _range_of(self, Py_ssize_t size, int* power) except NULL

cdef char* map_memory(Py_ssize_t size) except NULL

cdef inline Py_ssize_t in_pages(Py_ssize_t size) noexcept:
    return (size + PAGE - 1) & ~<Py_ssize_t>(PAGE - 1)
