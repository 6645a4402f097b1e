from libc.stdint cimport uint8_t, uint32_t

from croupier.transport.http2.wire cimport Wire


cdef class Meter(Wire):
    cdef dict calls
    # Whether the peer has sent its first SETTINGS.
    cdef readonly bint is_settled
    cdef double tokens_most
    cdef double tokens_rate
    cdef double resets
    cdef double resets_most
    cdef double resets_rate
    # Work after which `receive` lets others have their turn, in nanoseconds or so; unlimited unless set.
    cdef public double turn
    # The frame head that is arriving, and what is to come of the payload behind the last one.
    cdef uint8_t head[9]
    cdef uint8_t head_size
    cdef Py_ssize_t payload_left
    # The HTTP/2 error that nghttp2 does not see; 0 as long as there is none.
    cdef int misstep

    cdef int set_tolls(self, limits, double now) except -1
    cdef int pass_time(self, double now) except -1
    cdef Py_ssize_t count_frames(self, const uint8_t* data, Py_ssize_t size)
    cdef int find_misstep(self, int kind, uint32_t stream)
    cdef double _price(self, const uint8_t* head, Py_ssize_t length)
    cdef int spend(self, double tokens)
    cdef int spend_reset(self)
