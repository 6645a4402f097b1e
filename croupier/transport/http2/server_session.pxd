from libc.stdint cimport uint8_t, uint32_t

from croupier.transport.http2.call cimport Call
from croupier.transport.http2.server_call cimport Route, ServerCall
from croupier.transport.http2.session cimport Session


cdef enum:
    GAPS = 8


cdef class ServerSession(Session):
    cdef public dict routes
    cdef list batch
    # How many calls are open of the routes that bound that.
    cdef dict open_of
    cdef bytes last_path
    cdef Route last_route
    # The lowest stream that the client may open, and where it has left some out: from, and up to without.
    cdef uint32_t next_stream
    cdef uint32_t gaps[GAPS][2]
    cdef int gaps_seen

    cdef int _reset(self, ServerCall call, uint32_t code) except -1
    cdef void read_timeout(self, ServerCall call, const uint8_t* value, size_t size)
    cdef int _refuse_form(self, ServerCall call) except -1
    cdef int _refuse(self, ServerCall call, error, trailing=*) except -1
    cdef object _take_up(self, ServerCall call)
    cdef int _report_cancelled(self, ServerCall call, on_cancel) except -1
    cdef Route find_route(self, const uint8_t* path, Py_ssize_t size)
