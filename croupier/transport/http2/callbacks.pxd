from libc.stdint cimport int32_t, uint8_t, uint32_t

from croupier.transport.http2.call cimport Call
from croupier.transport.http2.meter cimport Meter
from croupier.transport.http2.nghttp2 cimport nghttp2_headers_category, nghttp2_session_callbacks


cdef class Callbacks(Meter):
    # What is called for each frame; None unless frames are logged.
    cdef readonly object frame_log
    # What a callback raised.
    cdef object failure
    cdef uint32_t max_header_bytes
    # What may have been read of a stream before its window is opened again, once it is wide.
    cdef Py_ssize_t lag
    cdef readonly double ping_at
    cdef readonly bint is_going_away
    cdef readonly bint is_broken
    # Since when the headers of a stream are arriving; 0 while none are.
    cdef readonly double headers_since
    cdef int32_t headers_of

    cdef int _raise_failure(self) except -1
    cdef int _fail(self, error)
    cdef Call call_of(self, int32_t stream_id)

    cdef int report(self, Call call) except -1
    cdef bint has_news(self) noexcept
    cdef int on_headers_begin(self, int32_t stream_id, nghttp2_headers_category category) except -1
    cdef int on_header(
        self, Call call, nghttp2_headers_category category,
        const uint8_t* name, size_t namelen, const uint8_t* value, size_t valuelen
    ) except -1
    cdef int on_headers_end(self, Call call, nghttp2_headers_category category) except -1
    cdef int on_reset(self, Call call) except -1
    cdef int on_misuse(self) except -1
    cdef bint is_wanted(self, Call call)
    cdef int on_bad_message(self, Call call, object error) except -1
    cdef int on_remote_end(self, Call call) except -1
    cdef int on_closed(self, Call call, uint32_t error_code) except -1
    cdef int on_going_away(self) except -1

cdef int set_callbacks(nghttp2_session_callbacks* callbacks, bint with_log) except -1
