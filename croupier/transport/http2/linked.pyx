"""The nghttp2 that this process runs with: its number, what it lacks, and how it behaves. `library.py`
judges.

Functions that came with a mend are looked for by weak references, which are NULL where the library has none:
a distribution backports mends and leaves the number as it was.
"""

from libc.stdint cimport int32_t, uint8_t

from croupier.transport.http2.nghttp2 cimport *

cdef extern from *:
    """
    #pragma weak nghttp2_option_set_stream_reset_rate_limit
    #pragma weak nghttp2_option_set_max_continuations
    static int has_reset_rate(void) { return nghttp2_option_set_stream_reset_rate_limit != NULL; }
    static int has_max_continuations(void) { return nghttp2_option_set_max_continuations != NULL; }
    """
    bint has_reset_rate()
    bint has_max_continuations()

# A client's preface with SETTINGS, the headers of a request, a byte of it, and PING.
cdef bytes _SENT = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
    + bytes((0, 0, 6, 1, 4, 0, 0, 0, 1)) + b"\x83\x86\x84\x41\x01a"
    + bytes((0, 0, 1, 0, 0, 0, 0, 0, 1)) + b"x"
    + bytes((0, 0, 8, 6, 0, 0, 0, 0, 0)) + bytes(8)
)


def number():
    """The version as major, minor, patch."""
    cdef int packed = nghttp2_version(0).version_num
    return packed >> 16, packed >> 8 & 255, packed & 255


def functions():
    """Which of the functions that came with mends are there, by name."""
    return {
        "nghttp2_option_set_stream_reset_rate_limit": has_reset_rate(),
        "nghttp2_option_set_max_continuations": has_max_continuations(),
    }


def reads_on():
    """Whether a session that a callback ended amid a frame looks at the next one.

    One that does ends the whole process when that has the wrong size (CVE-2026-27135); here it has the right
    one.
    """
    cdef nghttp2_session_callbacks* callbacks
    cdef nghttp2_session* session = NULL
    cdef bint went_on = False
    if nghttp2_session_callbacks_new(&callbacks):
        raise MemoryError
    try:
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, _end)
        nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, _note)
        if nghttp2_session_server_new3(&session, callbacks, &went_on, NULL, NULL):
            raise MemoryError
        nghttp2_session_mem_recv(session, <const uint8_t*><char*>_SENT, len(_SENT))
    finally:
        nghttp2_session_del(session)
        nghttp2_session_callbacks_del(callbacks)
    return bool(went_on)


cdef int _end(
    nghttp2_session* session,
    uint8_t flags,
    int32_t stream_id,
    const uint8_t* data,
    size_t size,
    void* went_on,
) noexcept:
    return nghttp2_session_terminate_session(session, NGHTTP2_NO_ERROR)


cdef int _note(nghttp2_session* session, const nghttp2_frame_hd* head, void* went_on) noexcept:
    if head.type == NGHTTP2_PING:
        (<bint*>went_on)[0] = True
    return 0
