"""A sans-I/O HTTP/2 session that carries gRPC: bytes in, events out; replies in, bytes out.

    receive(data, now)  ──▶ nghttp2 ──▶ callbacks below ──▶ what `ServerSession` or `ClientSession` makes of them,
                                                             collected in lists for whoever called `receive`
    calls' methods      ──▶ nghttp2 ──▶ drain() ──▶ bytes

There is no asyncio here, and no clock: `now` is passed in, in seconds. Callbacks run inside `receive` and `drain`;
they collect, and never call out. nghttp2 keeps the protocol's rules (RFC 9113), HPACK and flow control, and
sends RST_STREAM or GOAWAY with the right code where a peer breaks them. What is left to bound is here:

1. What a peer does that is of no use, and how long it may keep us at work: `Meter`.
2. Acknowledgements, CONTINUATION and SETTINGS entries: nghttp2's own options, and resets of every kind once more.
3. What is kept: `Wire.hold`; a header list is not kept beyond its limit.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int32_t, uint8_t, uint32_t
from libc.string cimport memcpy

from croupier.transport.http2.call cimport Call, Receiving, set_header
from croupier.transport.http2.meter cimport Meter
from croupier.transport.http2.nghttp2 cimport *
from croupier.transport.http2.wire cimport Budget

from croupier.errors import CroupierError, InternalError

cdef enum:
    _SCRATCH = 262_144
    # No frame that is sent is larger: HTTP/2's least maximum of a frame, its head, and the client's preface.
    _LARGEST_FRAME = 16_384 + 9 + 24
    # A list so many times too long is an attack, not a mistake.
    _HEADER_EXCESS = 4
    # HPACK's dynamic and static tables, said once, and the most that Huffman's code makes of a byte.
    _TABLE_BYTES = 4_096 + 2_048
    _MOST_DENSE = 2
    # The share of a stream's window that may have been read before nghttp2 is told.
    _LAG_SHARE = 4

# A header list over the limit, or one that HPACK blew up, is read for nothing.
cdef double _PER_EXCESS = 50.0
# What things take, in nanoseconds: estimates, for `turn`.
cdef double _HEADER_WORK = 3.0
cdef double _DATA_WORK = 0.25

# `drain` copies frames here: one buffer for the process, since only one thread at a time holds the GIL.
cdef uint8_t _scratch[_SCRATCH]

cdef class Session(Meter):
    """The base of both roles. `budget` is what the sessions of one server share; None makes one of its own."""

    def __init__(self, limits, double now, Budget budget=None):
        self.limits = limits
        self.budget = budget if budget is not None else Budget(
            limits.total_bytes, growth_burst=limits.growth_burst, growth_rate=limits.growth_rate)
        self.floor, self.most = limits.floor_bytes, limits.connection_bytes
        self.max_message, self.queue_room = limits.max_message_bytes, limits.stream_queue
        self.max_header_bytes = limits.max_header_bytes
        self.lag = limits.stream_window // _LAG_SHARE // 4
        self.set_tolls(limits, now)
        self.calls, self.events = {}, []
        self._open()
        self.budget.sessions += 1

    def __dealloc__(self):
        if self.handle != NULL:
            nghttp2_session_del(self.handle)

    cdef int _open(self) except -1:
        cdef nghttp2_session_callbacks* callbacks
        cdef nghttp2_option* option
        limits = self.limits
        if nghttp2_session_callbacks_new(&callbacks) or nghttp2_option_new(&option):
            raise MemoryError
        try:
            nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, _on_begin_headers)
            nghttp2_session_callbacks_set_on_header_callback(callbacks, _on_header)
            nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, _on_invalid_frame)
            nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, _on_frame_recv)
            nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, _on_data_chunk)
            nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, _on_stream_close)
            nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, _on_frame_send)
            nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, _on_frame_not_send)
            nghttp2_option_set_no_auto_window_update(option, 1)
            nghttp2_option_set_no_closed_streams(option, 1)
            nghttp2_option_set_max_outbound_ack(option, limits.control_burst)
            nghttp2_option_set_max_settings(option, limits.max_settings)
            nghttp2_option_set_max_continuations(option, limits.max_continuations)
            # Old calls are left out in our own count: a peer may reset all that it has open.
            nghttp2_option_set_stream_reset_rate_limit(
                option, limits.reset_burst + limits.max_concurrent_streams,
                limits.reset_rate + limits.max_concurrent_streams)
            self.open_handle(callbacks, option)
        finally:
            nghttp2_session_callbacks_del(callbacks)
            nghttp2_option_del(option)
        self._submit_settings()
        return 0

    cdef int _submit_settings(self) except -1:
        cdef nghttp2_settings_entry settings[5]
        settings[0].settings_id = NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS
        settings[0].value = self.limits.max_concurrent_streams
        settings[1].settings_id = NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE
        settings[1].value = self.limits.stream_window
        settings[2].settings_id = NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE
        settings[2].value = self.limits.max_header_bytes
        settings[3].settings_id = NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES
        settings[3].value = 1
        settings[4].settings_id = NGHTTP2_SETTINGS_ENABLE_PUSH
        settings[4].value = 0
        self.check(nghttp2_submit_settings(self.handle, NGHTTP2_FLAG_NONE, settings, 5))
        window = self.limits.connection_window
        self.check(nghttp2_session_set_local_window_size(self.handle, NGHTTP2_FLAG_NONE, 0, window))
        self.touch()
        return 0

    # What the owner of the connection calls

    def receive(self, const uint8_t[::1] data, double now):
        """Take in what the peer sent, at `now` in seconds. Never raises for what a peer does.

        Returns how much was taken. That is everything, unless `turn` is over: then the rest is to be passed
        in the next turn, ahead of what comes after it. A session that was closed takes nothing.
        """
        cdef Py_ssize_t size = data.shape[0], at = 0, upto, taken
        if self.handle == NULL:
            return 0
        self.pass_time(now)
        self.work = 0.0
        while at < size:
            if self.is_broken:
                return size
            if self.work > self.turn:
                break
            upto = at + self.count_frames(&data[at], size - at)
            taken = 0
            if upto > at:
                taken = nghttp2_session_mem_recv(self.handle, &data[at], upto - at)
            if taken < 0 or self.calm < 0:
                self.is_broken = True
                self.terminate(self._reason(taken))
            at = upto
            self.touch()
            self._raise_failure()
        return at

    def _reason(self, int error):
        if self.calm < 0 or error == NGHTTP2_ERR_FLOODED or error == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS:
            return NGHTTP2_ENHANCE_YOUR_CALM
        if error == NGHTTP2_ERR_BAD_CLIENT_MAGIC:
            return NGHTTP2_PROTOCOL_ERROR
        return NGHTTP2_INTERNAL_ERROR

    def drain(self):
        """The bytes to send now, at most 256 KiB; `has_more` tells whether to ask again."""
        cdef Py_ssize_t used = 0, size
        cdef const uint8_t* frame
        if self.handle == NULL:
            return b""
        while used + _LARGEST_FRAME <= _SCRATCH:
            size = nghttp2_session_mem_send(self.handle, &frame)
            if size <= 0:
                self.is_dirty = False
                self.is_broken = self.is_broken or size < 0
                break
            memcpy(_scratch + used, frame, size)
            used += size
        self._raise_failure()
        return PyBytes_FromStringAndSize(<char*>_scratch, used)

    @property
    def has_more(self):
        return self.is_dirty

    @property
    def is_finished(self):
        """Whether nothing is to be read or sent any more: time to close the connection."""
        if self.handle == NULL:
            return True
        if nghttp2_session_want_write(self.handle):
            return False
        return self.is_broken or not nghttp2_session_want_read(self.handle)

    @property
    def open_calls(self):
        return len(self.calls)

    def take_events(self):
        """The (call, kind) that have been collected since this was asked last."""
        if not self.events:
            return ()
        events, self.events = self.events, []
        return events

    def count_unsent(self, Py_ssize_t size):
        """Hold what was drained and could not be sent yet: `size` bytes by now."""
        self.release(self.unsent - size)
        self.unsent = size

    def ping(self, double now):
        """Ask the peer for a sign of life; `ping_at` is 0 again once it has answered."""
        if self.handle != NULL and not self.ping_at:
            self.ping_at = now
            nghttp2_submit_ping(self.handle, NGHTTP2_FLAG_NONE, NULL)
            self.touch()

    def announce_end(self):
        """Tell a client to open no more calls here; those that are on their way are still served."""
        if self.handle != NULL:
            nghttp2_submit_shutdown_notice(self.handle)
            self.touch()

    def go_away(self):
        """Take no new calls; `is_finished` once those under way have ended."""
        if self.handle != NULL and not self.is_going_away:
            self.is_going_away = True
            last = nghttp2_session_get_last_proc_stream_id(self.handle)
            nghttp2_submit_goaway(self.handle, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, NULL, 0)
            self.on_going_away()
            self.touch()

    def terminate(self, uint32_t error_code=0):
        """Say GOAWAY with an HTTP/2 error code and end; calls under way are lost."""
        if self.handle != NULL:
            self.is_going_away = True
            nghttp2_session_terminate_session(self.handle, error_code)
            self.touch()

    def close(self):
        """The connection is gone: end every call."""
        if self.handle == NULL:
            return
        handle, self.handle = self.handle, NULL
        self.is_dirty = False
        nghttp2_session_del(handle)
        self.budget.sessions -= 1
        self.is_broken = True
        calls, self.calls = self.calls, {}
        for call in calls.values():
            self.on_closed(call, NGHTTP2_CANCEL)
            (<Call>call).forget()

    # For the roles

    cdef int open_handle(self, nghttp2_session_callbacks* callbacks, nghttp2_option* option) except -1:
        raise InternalError("a session has a role")

    cdef int check(self, int result) except -1:
        if result < 0:
            raise InternalError(f"nghttp2: {nghttp2_strerror(result).decode()}")
        return result

    cdef Call call_of(self, int32_t stream_id):
        cdef void* found = nghttp2_session_get_stream_user_data(self.handle, stream_id)
        return <Call>found if found != NULL else None

    cdef int on_headers_begin(self, int32_t stream_id, nghttp2_headers_category category) except -1:
        return 0

    cdef int on_header(self, Call call, nghttp2_headers_category category, const uint8_t* name, size_t namelen,
                       const uint8_t* value, size_t valuelen) except -1:
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

cdef int put_pairs(nghttp2_nv* headers, int at, object pairs) except -1:
    """Append (name, value) bytes to `headers`, which has room for MAX_PAIRS; `pairs` must outlive their use."""
    cdef bytes name, value
    for name, value in pairs:
        if at == MAX_PAIRS:
            raise InternalError("too many metadata")
        set_header(&headers[at], PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name), PyBytes_AS_STRING(value),
                   PyBytes_GET_SIZE(value), NGHTTP2_NV_FLAG_NONE)
        at += 1
    return at


cdef int check_pairs(list pairs) except -1:
    """Raise now what `put_pairs` would raise when nobody can hear of it but the whole connection."""
    cdef bytes name, value
    if len(pairs) > MAX_PAIRS - 2:
        raise InternalError("too many metadata")
    for name, value in pairs:
        pass
    return 0


# What nghttp2 calls. `user` is the session, which outlives its handle.

cdef int _on_invalid_frame(
    nghttp2_session* handle, const nghttp2_frame* frame, int error, void* user
) noexcept:
    cdef Session session = <Session>user
    # Refused streams are none that would be counted somewhere else. Other errors are seen as they are answered.
    if error != NGHTTP2_ERR_REFUSED_STREAM:
        return 0
    try:
        return session.on_misuse()
    except BaseException as failure:
        return session._fail(failure)


cdef int _on_begin_headers(nghttp2_session* handle, const nghttp2_frame* frame, void* user) noexcept:
    cdef Session session = <Session>user
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
    cdef Session session = <Session>user
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
            return session.spend(session.calm + 1.0)
        return session.spend(_PER_EXCESS if before <= session.max_header_bytes else 0.0)
    try:
        session.on_header(call, frame.headers.cat, name, namelen, value, valuelen)
    except BaseException as error:
        return session._fail(error)
    return 0


cdef int _on_frame_recv(nghttp2_session* handle, const nghttp2_frame* frame, void* user) noexcept:
    cdef Session session = <Session>user
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
    cdef Session session = <Session>user
    cdef Call call
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
        if call.unconsumed > session.lag and (call.first is None or not call.is_streaming):
            call.consume()
    except BaseException as error:
        return session._fail(error)
    return 0


cdef int _on_stream_close(nghttp2_session* handle, int32_t stream_id, uint32_t error_code, void* user) noexcept:
    cdef Session session = <Session>user
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
    cdef Session session = <Session>user
    cdef int kind = frame.hd.type
    cdef uint32_t code
    if kind != NGHTTP2_RST_STREAM and kind != NGHTTP2_GOAWAY:
        return 0
    try:
        if kind == NGHTTP2_RST_STREAM:
            code = frame.rst_stream.error_code
            if code != NGHTTP2_NO_ERROR and code != NGHTTP2_CANCEL and code != NGHTTP2_REFUSED_STREAM:
                session.on_misuse()
        elif frame.goaway.error_code != NGHTTP2_NO_ERROR and frame.goaway.error_code != NGHTTP2_INTERNAL_ERROR:
            session.is_broken = True
        # nghttp2 has counted too many resets. It would go on to read until all calls have ended.
        if session.calm < 0 or (kind == NGHTTP2_GOAWAY and frame.goaway.error_code == NGHTTP2_INTERNAL_ERROR):
            if not session.is_broken:
                session.is_broken = True
                session.terminate(NGHTTP2_ENHANCE_YOUR_CALM)
    except BaseException as error:
        return session._fail(error)
    return 0


cdef int _on_frame_not_send(
    nghttp2_session* handle, const nghttp2_frame* frame, int error_code, void* user
) noexcept:
    cdef Session session = <Session>user
    if frame.hd.type != NGHTTP2_HEADERS:
        return 0
    nghttp2_session_set_stream_user_data(handle, frame.hd.stream_id, NULL)
    return _on_stream_close(handle, frame.hd.stream_id, NGHTTP2_REFUSED_STREAM, user)
