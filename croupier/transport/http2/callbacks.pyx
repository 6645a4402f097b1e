"""What nghttp2 tells of: which frame concerns which call, and what of it is the role's to decide.

nghttp2 calls while it reads and writes (`Session.receive` and `drain`). These collect, and never call out;
what one of them raises ends the session, and is raised once nghttp2 has returned.
"""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t

from croupier.transport.http2.call cimport Call, Receiving
from croupier.transport.http2.meter cimport Meter
from croupier.transport.http2.nghttp2 cimport *

from croupier.errors import CroupierError

cdef enum:
    # A list so many times too long is an attack, not a mistake.
    _HEADER_EXCESS = 4
    # HPACK's dynamic and static tables, said once, and the most that Huffman's code makes of a byte.
    _TABLE_BYTES = 4_096 + 2_048
    _MOST_DENSE = 2

# A header list over the limit, or one that HPACK blew up, is read for nothing.
cdef double _PER_EXCESS = 50.0
# What things take, in nanoseconds: estimates, for `turn`.
cdef double _HEADER_WORK = 3.0
cdef double _DATA_WORK = 0.25


cdef class Callbacks(Meter):
    """A connection that nghttp2 reads, and what its role may do about what comes."""

    def terminate(self, uint32_t error_code=0):
        """Say GOAWAY with an HTTP/2 error code and end; calls under way are lost."""
        if self.handle != NULL:
            self.is_going_away = True
            nghttp2_session_terminate_session(self.handle, error_code)
            self.touch()

    # For the roles

    cdef Call call_of(self, int32_t stream_id):
        cdef void* found = nghttp2_session_get_stream_user_data(self.handle, stream_id)
        return <Call>found if found != NULL else None

    cdef int report(self, Call call) except -1:
        """A client's call was settled: report it."""
        return 0

    cdef bint has_news(self) noexcept:
        """Whether something was collected for whoever owns the session."""
        return bool(self.events)

    cdef int on_headers_begin(self, int32_t stream_id, nghttp2_headers_category category) except -1:
        return 0

    cdef int on_header(
        self, Call call, nghttp2_headers_category category,
        const uint8_t* name, size_t namelen, const uint8_t* value, size_t valuelen
    ) except -1:
        return 0

    cdef int on_headers_end(self, Call call, nghttp2_headers_category category) except -1:
        return 0

    cdef int on_reset(self, Call call) except -1:
        """The peer has reset a call that was open. Returns what its callback has to."""
        return 0

    cdef int on_misuse(self) except -1:
        """A call cannot go on for what the peer did."""
        return 0

    cdef bint is_wanted(self, Call call):
        return True

    cdef int on_bad_message(self, Call call, object error) except -1:
        return 0

    cdef int on_remote_end(self, Call call) except -1:
        return 0

    cdef int on_closed(self, Call call, uint32_t error_code) except -1:
        return 0

    cdef int on_going_away(self) except -1:
        return 0

    cdef int _raise_failure(self) except -1:
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        return 0

    cdef int _fail(self, error):
        """A bug in a callback: nghttp2 ends the session, and the owner hears of it."""
        self.failure = error
        return NGHTTP2_ERR_CALLBACK_FAILURE


cdef int set_callbacks(nghttp2_session_callbacks* callbacks, bint with_log) except -1:
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, _on_begin_headers)
    nghttp2_session_callbacks_set_on_header_callback(callbacks, _on_header)
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, _on_invalid_frame)
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, _on_frame_recv)
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, _on_data_chunk)
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, _on_stream_close)
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, _on_frame_send)
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, _on_frame_not_send)
    if with_log:
        nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, _log_begin_frame)
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, _log_frame_recv)
        nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, _log_invalid_frame)
        nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, _log_frame_send)
    return 0


# `user` is the session, which outlives its handle.

cdef int _on_invalid_frame(
    nghttp2_session* handle, const nghttp2_frame* frame, int error, void* user
) noexcept:
    cdef Callbacks session = <Callbacks>user
    # Refused streams are none that would be counted somewhere else. Other errors are seen as they are
    # answered.
    if error != NGHTTP2_ERR_REFUSED_STREAM:
        return 0
    try:
        return session.on_misuse()
    except BaseException as failure:
        return session._fail(failure)


cdef int _on_begin_headers(nghttp2_session* handle, const nghttp2_frame* frame, void* user) noexcept:
    cdef Callbacks session = <Callbacks>user
    try:
        session.headers_since, session.headers_of = session.now, frame.hd.stream_id
        session.on_headers_begin(frame.hd.stream_id, frame.headers.cat)
    except BaseException as error:
        return session._fail(error)
    return 0


cdef int _on_header(
    nghttp2_session* handle, const nghttp2_frame* frame, const uint8_t* name, size_t namelen,
    const uint8_t* value, size_t valuelen, uint8_t flags, void* user,
) noexcept:
    cdef Callbacks session = <Callbacks>user
    cdef void* found = nghttp2_session_get_stream_user_data(handle, frame.hd.stream_id)
    cdef Call call
    if found == NULL:
        return 0
    call = <Call>found
    # What can be said in so many bytes by who does not say the same again and again.
    cdef size_t honest = _MOST_DENSE * frame.hd.length + _TABLE_BYTES
    cdef uint32_t before = call.header_bytes
    session.work += (namelen + valuelen) * _HEADER_WORK
    cdef bint is_within = call.count_header(namelen, valuelen, session.max_header_bytes)
    if before <= honest < call.header_bytes and session.spend(_PER_EXCESS):
        return NGHTTP2_ERR_CALLBACK_FAILURE
    if not is_within:
        if call.header_bytes > _HEADER_EXCESS * session.max_header_bytes:
            return session.spend(session.tokens + 1.0)
        return session.spend(_PER_EXCESS if before <= session.max_header_bytes else 0.0)
    try:
        session.on_header(call, frame.headers.cat, name, namelen, value, valuelen)
    except BaseException as error:
        return session._fail(error)
    return 0


cdef int _on_frame_recv(nghttp2_session* handle, const nghttp2_frame* frame, void* user) noexcept:
    cdef Callbacks session = <Callbacks>user
    cdef int kind = frame.hd.type
    cdef Call call
    try:
        if kind == NGHTTP2_HEADERS or kind == NGHTTP2_DATA:
            call = session.call_of(frame.hd.stream_id)
            if kind == NGHTTP2_HEADERS:
                session.headers_since = 0.0
                if call is not None:
                    session.on_headers_end(call, frame.headers.cat)
            if call is not None and frame.hd.flags & NGHTTP2_FLAG_END_STREAM:
                call.receiving = Receiving.RECEIVED
                session.on_remote_end(call)
        elif kind == NGHTTP2_RST_STREAM:
            call = session.call_of(frame.hd.stream_id)
            if call is not None:
                # It has its own kind of token: a peer may reset every call that it has, if they are old.
                session.spend(-1.0)
                return session.on_reset(call)
        elif kind == NGHTTP2_PING:
            if frame.hd.flags & NGHTTP2_FLAG_ACK:
                session.ping_at = 0.0
        elif kind == NGHTTP2_SETTINGS:
            session.is_settled = True
        elif kind == NGHTTP2_GOAWAY:
            session.is_going_away = True
            session.on_going_away()
    except BaseException as error:
        return session._fail(error)
    return 0


cdef int _on_data_chunk(
    nghttp2_session* handle, uint8_t flags, int32_t stream_id, const uint8_t* data, size_t size, void* user
) noexcept:
    cdef Callbacks session = <Callbacks>user
    cdef Call call
    cdef Py_ssize_t most
    session.work += size * _DATA_WORK
    nghttp2_session_consume_connection(handle, size)
    try:
        call = session.call_of(stream_id)
        if call is None:
            nghttp2_session_consume_stream(handle, stream_id, size)
            return 0
        call.unconsumed += size
        if not session.is_wanted(call):
            # The peer may not know yet; a stream's window that stays shut bounds what it can send. No reset:
            # nghttp2 would drop an answer that still waits, and grpcio says INTERNAL in place of one it got.
            return 0
        if not session.hold_part(size, call.held):
            session.on_bad_message(call, session.full())
            return 0
        call.held += size
        try:
            call.take_in(data, size)
        except CroupierError as error:
            session.on_bad_message(call, error)
            return 0
        # A stream whose messages wait to be taken keeps its window shut.
        most = session.lag if call.is_wide else session.first_lag
        if call.consumed + call.unconsumed > most and (call.first is None or not call.is_streaming):
            call.consume()
    except BaseException as error:
        return session._fail(error)
    return 0


cdef int _on_stream_close(
    nghttp2_session* handle, int32_t stream_id, uint32_t error_code, void* user
) noexcept:
    cdef Callbacks session = <Callbacks>user
    cdef Call call
    if stream_id == session.headers_of:
        # nghttp2 has reset it for what they say, and tells of no end of them.
        session.headers_since = 0.0
    try:
        call = session.calls.pop(stream_id, None)
        if call is not None:
            session.on_closed(call, error_code)
            call.forget()
    except BaseException as error:
        return session._fail(error)
    return 0


cdef int _on_frame_send(nghttp2_session* handle, const nghttp2_frame* frame, void* user) noexcept:
    cdef Callbacks session = <Callbacks>user
    cdef int kind = frame.hd.type
    cdef uint32_t code
    cdef bint is_ours
    if kind != NGHTTP2_RST_STREAM and kind != NGHTTP2_GOAWAY:
        return 0
    try:
        if kind == NGHTTP2_RST_STREAM:
            code = frame.rst_stream.error_code
            if code != NGHTTP2_NO_ERROR and code != NGHTTP2_CANCEL and code != NGHTTP2_REFUSED_STREAM:
                session.on_misuse()
        elif frame.goaway.error_code not in (NGHTTP2_NO_ERROR, NGHTTP2_INTERNAL_ERROR):
            session.is_broken = True
        # nghttp2 has counted too many resets. It would go on to read until all calls have ended.
        is_ours = kind == NGHTTP2_GOAWAY and frame.goaway.error_code == NGHTTP2_INTERNAL_ERROR
        if session.tokens < 0 or is_ours:
            if not session.is_broken:
                session.is_broken = True
                session.terminate(NGHTTP2_ENHANCE_YOUR_CALM)
    except BaseException as error:
        return session._fail(error)
    return 0


cdef int _on_frame_not_send(
    nghttp2_session* handle, const nghttp2_frame* frame, int error_code, void* user
) noexcept:
    if frame.hd.type != NGHTTP2_HEADERS:
        return 0
    nghttp2_session_set_stream_user_data(handle, frame.hd.stream_id, NULL)
    return _on_stream_close(handle, frame.hd.stream_id, NGHTTP2_REFUSED_STREAM, user)


# The same, of a session whose frames are logged.

cdef bint _says_number(int kind):
    """Whether a line about the frame has to wait for what it says."""
    return kind == NGHTTP2_RST_STREAM or kind == NGHTTP2_GOAWAY or kind == NGHTTP2_WINDOW_UPDATE


cdef int _log(Callbacks session, str way, const nghttp2_frame* frame, str why) except -1:
    cdef int64_t number = -1
    cdef int kind = frame.hd.type
    if kind == NGHTTP2_RST_STREAM:
        number = frame.rst_stream.error_code
    elif kind == NGHTTP2_GOAWAY:
        number = frame.goaway.error_code
    elif kind == NGHTTP2_WINDOW_UPDATE:
        number = frame.window_update.window_size_increment
    session.frame_log(way, kind, frame.hd.flags, frame.hd.stream_id, frame.hd.length, number, why)
    return 0


cdef int _log_begin_frame(nghttp2_session* handle, const nghttp2_frame_hd* head, void* user) noexcept:
    cdef Callbacks session = <Callbacks>user
    try:
        if not _says_number(head.type):
            session.frame_log("<", head.type, head.flags, head.stream_id, head.length)
    except BaseException as error:
        return session._fail(error)
    return 0


cdef int _log_frame_recv(nghttp2_session* handle, const nghttp2_frame* frame, void* user) noexcept:
    cdef Callbacks session = <Callbacks>user
    try:
        if _says_number(frame.hd.type):
            _log(session, "<", frame, "")
    except BaseException as error:
        return session._fail(error)
    return _on_frame_recv(handle, frame, user)


cdef int _log_invalid_frame(
    nghttp2_session* handle, const nghttp2_frame* frame, int error_code, void* user
) noexcept:
    cdef Callbacks session = <Callbacks>user
    try:
        _log(session, "<", frame, nghttp2_strerror(error_code).decode())
    except BaseException as error:
        return session._fail(error)
    return _on_invalid_frame(handle, frame, error_code, user)


cdef int _log_frame_send(nghttp2_session* handle, const nghttp2_frame* frame, void* user) noexcept:
    cdef Callbacks session = <Callbacks>user
    try:
        _log(session, ">", frame, "")
    except BaseException as error:
        return session._fail(error)
    return _on_frame_send(handle, frame, user)
