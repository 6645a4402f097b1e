from libc.stdint cimport int32_t, uint8_t

from croupier.transport.http2.nghttp2 cimport nghttp2_session


cdef class Budget:
    cdef readonly Py_ssize_t used
    cdef readonly Py_ssize_t limit
    cdef Py_ssize_t sessions
    # Bytes by which messages may still grow when they are decompressed, and since when that is true.
    cdef double growth
    cdef double growth_burst
    cdef double growth_rate
    cdef double since

    cdef Py_ssize_t room_to_grow(self, double now)


cdef class Wire:
    cdef nghttp2_session* handle
    cdef bint is_dirty
    cdef public object wake
    cdef Budget budget
    cdef readonly Py_ssize_t held
    cdef Py_ssize_t floor
    cdef Py_ssize_t most
    cdef Py_ssize_t max_message
    cdef Py_ssize_t queue_room
    # A stream's window, and what has to be taken of its first one, which is smaller, before it has this.
    cdef int32_t window
    cdef int32_t first_lag
    cdef list events
    cdef readonly double now
    # What the peer may still do that is of no use to anybody, and the work of this turn: see `Meter`.
    cdef double tokens
    cdef double work

    cdef void touch(self)
    cdef bint hold(self, Py_ssize_t size)
    cdef bint hold_part(self, Py_ssize_t size, Py_ssize_t before)
    cdef object full(self)
    cdef void release(self, Py_ssize_t size)
