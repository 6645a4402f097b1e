"""The types with which Cython compiles traces.py."""

cimport cython


@cython.final
@cython.freelist(64)
cdef class Span:
    cdef readonly str name
    cdef readonly object kind
    cdef readonly object trace_id
    cdef readonly unsigned long long span_id
    cdef readonly unsigned long long parent_id
    cdef readonly bytes state
    cdef public long long began
    cdef readonly Tracer tracer
    cdef readonly long long ended
    cdef readonly int code
    cdef readonly dict attributes

    cpdef object note(self, str key, value)
    cpdef tuple pairs(self)
    cpdef Span child(self, str name, kind=*)
    cpdef object end(self, int code=*)


@cython.final
cdef class Tracer:
    cdef readonly double ratio
    cdef readonly object emit
    cdef readonly object now
    cdef readonly object bits
    cdef object _random
    cdef double _left
    cdef long long _since
    cdef public double until

    cpdef Span span(self, str name, kind, parent)
    cpdef Span root(self, str name)
    @cython.locals(now="long long", most=double)
    cdef bint _may(self) except -1
    cdef Span _new(self, str name, kind, trace_id, unsigned long long parent_id, bytes state)
