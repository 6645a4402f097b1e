"""The types with which Cython compiles traces.py."""

cimport cython

from croupier.telemetry.trace_parent cimport trace_parent

cdef unsigned long long _GAMMA, _FIRST, _SECOND, _ALL


cdef class Tracer


# What leads in a circle, from a tracer over what it emits to, is there as long as the process.
@cython.final
@cython.no_gc
@cython.freelist(64)
cdef class Span:
    cdef readonly str name
    cdef readonly int kind
    cdef readonly unsigned long long trace_high
    cdef readonly unsigned long long trace_low
    cdef readonly unsigned long long span_id
    cdef readonly unsigned long long parent_id
    cdef readonly bytes state
    cdef public long long began
    cdef readonly Tracer tracer
    cdef readonly long long ended
    cdef readonly int code
    cdef readonly dict attributes

    cdef object fill(
        self, str name, int kind, unsigned long long trace_high, unsigned long long trace_low,
        unsigned long long span_id, unsigned long long parent_id, bytes state, long long began, Tracer tracer
    )
    cpdef object note(self, str key, value)
    cpdef tuple pairs(self)
    @cython.locals(tracer=Tracer, high="unsigned long long", low="unsigned long long")
    cpdef Span child(self, str name, int kind=*)
    cpdef object end(self, int code=*)


@cython.final
cdef class Tracer:
    cdef readonly double ratio
    cdef readonly object emit
    cdef readonly object now
    cdef object _random
    cdef unsigned long long _state
    cdef double _left
    cdef long long _since
    cdef public double until

    cpdef list due(self, Py_ssize_t count)
    cpdef Span span(self, str name, int kind, parent)
    cpdef Span root(self, str name)
    @cython.locals(now="long long", most=double)
    cdef bint _may(self) except -1
    @cython.locals(high="unsigned long long", low="unsigned long long")
    cdef Span _begun(self, str name, int kind)
    @cython.locals(span=Span)
    cdef Span new(
        self, str name, int kind, unsigned long long trace_high, unsigned long long trace_low,
        unsigned long long parent_id, bytes state, long long began
    )
    @cython.locals(mixed="unsigned long long")
    cdef unsigned long long _id(self) noexcept
