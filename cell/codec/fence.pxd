cimport cython


@cython.final
cdef class Fence:
    cdef unsigned long long _floor
    cdef dict _told

    cdef bint keeps_out(self, unsigned long long generation) noexcept nogil
