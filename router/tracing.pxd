"""The types with which Cython compiles tracing.py."""

cimport cython

from croupier.telemetry.traces cimport Span


@cython.final
@cython.freelist(64)
cdef class Told:
    cdef object _exchange
    cdef tuple _metadata


@cython.final
@cython.freelist(64)
cdef class Traced:
    cdef object _exchange
    cdef Span _span
    cdef tuple _metadata
    cdef int _number

    @cython.locals(span=Span)
    cpdef object start(self, call, timeout)
