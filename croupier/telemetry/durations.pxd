cimport cython


cdef double monotonic() noexcept

cdef enum:
    # The bounds of one histogram.
    MOST_BOUNDS = 32


@cython.final
cdef class Series:
    cdef double bounds[MOST_BOUNDS]
    cdef Py_ssize_t size
    cdef long long seen[MOST_BOUNDS + 1]
    cdef readonly double sum

    cpdef void observe(self, double value) noexcept


@cython.final
cdef class Durations:
    cdef object labels
    cdef list by_code

    cdef Series of(self, int code)
    cpdef void ended(self, int code, double began)
    cpdef void took(self, int code, double seconds)
