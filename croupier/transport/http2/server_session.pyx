"""The server's role of a session: requests come in by route, replies go out.

    batch route        its whole request is there: the call stands in `take_batch()`
    unary route        the same, as (call, READY) among the events
    streaming route    (call, OPENED) at its headers, MESSAGE for each message, ENDED when the peer is done
    every route        CANCELLED when the peer resets the call or goes before it was answered, unless
                       `on_cancel` is set, which is called in its place

What is not a gRPC request is answered here and never seen by a handler: another HTTP method or content
type with that HTTP status, the rest with a gRPC status (`_refusal`).
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.math cimport INFINITY
from libc.stdint cimport int32_t, uint8_t, uint32_t
from libc.string cimport memcmp

from croupier cimport codes
from croupier.codes cimport DEADLINE_EXCEEDED
from croupier.telemetry.durations cimport monotonic
from croupier.transport.http2.allocator cimport memory
from croupier.transport.http2.call cimport Call, Receiving
from croupier.transport.http2.nghttp2 cimport *
from croupier.transport.http2.server_call cimport Route, ServerCall, Stage
from croupier.transport.http2.session cimport Session
from croupier.transport.http2.wire cimport Budget

from croupier.errors import InternalError, InvalidRequest, TooLarge, Unavailable, Unimplemented
from croupier.priorities import UNKNOWN, WORDS
from croupier.transport.compression import ACCEPTED
from croupier.transport.status import from_error

OPENED, READY, ENDED, CANCELLED = 3, 4, 5, 6

cdef enum:
    _POST = 1
    _CONTENT_TYPE = 2
    _TE = 4
    _OVERFLOW = 8
    _BAD_TIMEOUT = 16
    # Resets of calls that are older come from time-outs and from callers who hung up.
    _YOUNG_SECONDS = 1
    # What a call takes here and in nghttp2, its metadata and messages apart. The task
    # of a handler counts for more than it takes: the collector has many objects to walk for it.
    _CALL_BYTES = 1_024
    _TASK_BYTES = 16_384
    _MOST_REFUSALS = 256

# Statuses by the class and the message of their errors.
cdef dict _refusals = {}
cdef double _PER_REQUEST = 5.0
cdef double _PER_REFUSAL = 2.0
# Nanoseconds, with what is done for the call outside.
cdef double _CALL_WORK = 3_000.0
cdef double _TASK_WORK = 20_000.0
cdef double _RETRY_AFTER = 0.1

cdef tuple _ACCEPT = (b"grpc-accept-encoding", ACCEPTED)
cdef dict _ENCODINGS = {b"gzip": "gzip", b"deflate": "deflate", b"identity": "identity"}
cdef double[256] _UNITS
for _unit, _seconds in {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}.items():
    _UNITS[_unit[0]] = _seconds


cdef class ServerSession(Session):
    """`routes` maps paths, as bytes, to their `Route`; it may be shared by many sessions, and is set anew
    before the first byte when it is known who the peer is."""

    def __init__(self, limits, double now, dict routes, Budget budget=None):
        self.routes, self.batch, self.open_of = routes, [], {}
        # The client's preface comes ahead of all frames.
        self.payload_left = NGHTTP2_CLIENT_MAGIC_LEN
        self.next_stream = 1
        self.role = "server"
        Session.__init__(self, limits, now, budget)

    def take_batch(self):
        """The calls of batch routes that have come since this was asked last."""
        if not self.batch:
            return ()
        batch, self.batch = self.batch, []
        return [call for call in batch if call.is_open]

    def expire(self, double arrived, double answered):
        """Refuse unary requests that arrived before `arrived` and are not whole.

        An answer has as long to leave: who has not read it by then is not going to. A peer that has gone on
        sending since its call was answered before `answered` is told to stop (RFC 9113, 8.1). Not at once:
        grpcio then reports INTERNAL in place of the status that it was sent.
        """
        cdef ServerCall call
        for call in self.calls.values():
            if call.stage == Stage.OVER:
                if call.ended_at < arrived:
                    self._reset(call, NGHTTP2_CANCEL)
                # A reset would cut off what is still to be sent of the answer.
                elif call.ended_at < answered and nghttp2_session_get_stream_local_close(
                    self.handle, call.stream_id
                ):
                    self._reset(call, NGHTTP2_NO_ERROR)
            elif call.arrived < arrived and call.receiving != Receiving.RECEIVED and not call.is_streaming:
                call.fail(DEADLINE_EXCEEDED, "the request did not arrive in time")

    cdef int _reset(self, ServerCall call, uint32_t code) except -1:
        nghttp2_submit_rst_stream(self.handle, NGHTTP2_FLAG_NONE, call.stream_id, code)
        self.touch()
        return 0

    cdef bint has_news(self) noexcept:
        return bool(self.events or self.batch)

    cdef int open_handle(self, nghttp2_session_callbacks* callbacks, nghttp2_option* option) except -1:
        return self.check(
            nghttp2_session_server_new3(&self.handle, callbacks, <void*>self, option, &memory))

    cdef int find_misstep(self, int kind, uint32_t stream):
        """Streams are opened in order (RFC 9113, 5.1.1): those that were left out never come any more.

        nghttp2 ignores HEADERS on them, as it has to on a stream that was reset here while they were on their
        way, and the caller would wait for ever. What it opened it has closed, so it cannot tell the two. Of a
        client that leaves out streams again and again the latest are known.
        """
        cdef int i
        if kind != NGHTTP2_HEADERS or not stream & 1:
            return Session.find_misstep(self, kind, stream)
        if stream >= self.next_stream:
            if stream > self.next_stream:
                i = self.gaps_seen % GAPS
                self.gaps[i][0], self.gaps[i][1] = self.next_stream, stream
                self.gaps_seen += 1
            self.next_stream = stream + 2
            return 0
        for i in range(min(self.gaps_seen, GAPS)):
            if self.gaps[i][0] <= stream < self.gaps[i][1]:
                return NGHTTP2_PROTOCOL_ERROR
        return 0

    cdef Route find_route(self, const uint8_t* path, Py_ssize_t size):
        # Peers ask for the same method again and again: comparing is sooner than a dictionary's look-up.
        if self.last_path is not None and PyBytes_GET_SIZE(self.last_path) == size:
            if not memcmp(PyBytes_AS_STRING(self.last_path), path, size):
                return self.last_route
        key = PyBytes_FromStringAndSize(<const char*>path, size)
        route = self.routes.get(key)
        if route is not None:
            self.last_path, self.last_route = key, route
        return route

    cdef int on_headers_begin(self, int32_t stream_id, nghttp2_headers_category category) except -1:
        if category != NGHTTP2_HCAT_REQUEST:
            return 0
        cdef ServerCall call = ServerCall.__new__(ServerCall)
        call.wire, call.stream_id, call.max_message = self, stream_id, self.max_message
        call.arrived, call.deadline = self.now, INFINITY
        self.calls[stream_id] = call
        nghttp2_session_set_stream_user_data(self.handle, stream_id, <void*>call)
        self.work += _CALL_WORK
        # Who is refused for want of room is not cut off for it: it would come again, and find a little.
        self.tokens += _PER_REQUEST if call.hold_own(_CALL_BYTES) else _PER_REFUSAL
        return 0

    cdef int on_header(
        self, Call call, nghttp2_headers_category category,
        const uint8_t* name, size_t namelen, const uint8_t* value, size_t valuelen
    ) except -1:
        cdef ServerCall it = <ServerCall>call
        if category != NGHTTP2_HCAT_REQUEST:
            return 0
        if name[0] == b":":
            if namelen == 5 and name[1] == b"p":
                it.route = self.find_route(value, valuelen)
            elif namelen == 7 and name[1] == b"m" and valuelen == 4 and not memcmp(value, b"POST", 4):
                it.seen |= _POST
            return 0
        if namelen == 12 and not memcmp(name, b"content-type", 12):
            if valuelen >= 16 and not memcmp(value, b"application/grpc", 16):
                if valuelen == 16 or value[16] == b"+" or value[16] == b";":
                    it.seen |= _CONTENT_TYPE
        elif namelen == 12 and not memcmp(name, b"x-request-id", 12):
            it.is_named = True
            it.keep(name, namelen, value, valuelen)
        elif namelen == 11 and not memcmp(name, b"traceparent", 11):
            it.has_parent = True
            it.keep(name, namelen, value, valuelen)
        elif namelen == 2 and not memcmp(name, b"te", 2):
            if valuelen == 8 and not memcmp(value, b"trailers", 8):
                it.seen |= _TE
        elif namelen > 5 and not memcmp(name, b"grpc-", 5):
            if namelen == 12 and not memcmp(name, b"grpc-timeout", 12):
                self.read_timeout(it, value, valuelen)
            elif namelen == 13 and not memcmp(name, b"grpc-encoding", 13):
                encoding = PyBytes_FromStringAndSize(<const char*>value, valuelen)
                it.encoding = _ENCODINGS.get(encoding, "")
            else:
                it.keep(name, namelen, value, valuelen)
        elif namelen == 14 and not memcmp(name, b"croupier-debug", 14):
            if valuelen == 1 and value[0] == b"1":
                it.is_named = True
                it.keep(name, namelen, value, valuelen)
        elif namelen == 17 and not memcmp(name, b"croupier-priority", 17):
            it.priority = WORDS.get(PyBytes_FromStringAndSize(<const char*>value, valuelen), UNKNOWN)
        elif namelen != 14 or memcmp(name, b"content-length", 14):
            it.keep(name, namelen, value, valuelen)
        return 0

    cdef void read_timeout(self, ServerCall call, const uint8_t* value, size_t size):
        cdef double amount = 0
        cdef size_t i
        if not 2 <= size <= 9 or _UNITS[value[size - 1]] == 0.0:
            call.seen |= _BAD_TIMEOUT
            return
        for i in range(size - 1):
            if not b"0" <= value[i] <= b"9":
                call.seen |= _BAD_TIMEOUT
                return
            amount = amount * 10 + (value[i] - 48)
        call.deadline = self.now + amount * _UNITS[value[size - 1]]

    cdef int on_headers_end(self, Call call, nghttp2_headers_category category) except -1:
        cdef ServerCall it = <ServerCall>call
        if category != NGHTTP2_HCAT_REQUEST:
            return 0
        it.receiving = Receiving.MESSAGES
        if it.stage == Stage.OVER:
            # `expire` was sooner.
            return 0
        it.trailing_at = it.block_size
        if it.header_bytes > self.max_header_bytes:
            # Storing ended at the limit, so nothing else can be said of this request.
            self._refuse(it, TooLarge(f"the metadata are over the limit of {self.max_header_bytes} bytes"))
            return 0
        if it.route is not None and not it.route.is_batch:
            it.hold_own(_TASK_BYTES)
            self.work += _TASK_WORK
        if it.is_crowded:
            self._refuse(it, self.full())
            return 0
        if it.seen != (_POST | _CONTENT_TYPE | _TE) or it.route is None or it.encoding == "":
            self._refuse_form(it)
            return 0
        # Before a byte of its message is taken.
        error = it.route.refusal or self._take_up(it)
        if error is not None:
            self._refuse(it, error)
            return 0
        it.is_streaming = it.route.is_streaming
        if it.is_streaming:
            it.stage = Stage.AT_WORK
            self.events.append((it, OPENED))
        return 0

    cdef object _take_up(self, ServerCall call):
        """Hold the call to its route's bounds; returns why it cannot be taken."""
        cdef Route route = call.route
        cdef Py_ssize_t count
        call.scale = route.scale
        if route.max_message:
            call.max_message = min(call.max_message, route.max_message)
        if route.max_open:
            count = self.open_of.get(route, 0)
            if count >= route.max_open:
                return TooLarge(f"this connection has {count} calls of {route.path} open already",
                                reason="TOO_MANY_CALLS")
            self.open_of[route] = count + 1
            call.is_counted = True
        return None

    cdef object full(self):
        """What is full now will not be later, and other servers may not be: unlike a message's own size."""
        return Unavailable("too much is held for this connection already", reason="CONNECTION_FULL",
                           retry_after=_RETRY_AFTER)

    cdef int _refuse_form(self, ServerCall call) except -1:
        if not call.seen & _POST:
            call.refuse_http(405)
        elif not call.seen & _CONTENT_TYPE:
            call.refuse_http(415)
        elif not call.seen & _TE:
            self._refuse(call, InvalidRequest("a gRPC request has the header te: trailers", field="te"))
        elif call.seen & _BAD_TIMEOUT:
            self._refuse(call, InvalidRequest("grpc-timeout is not a timeout", field="grpc-timeout"))
        elif call.route is None:
            self._refuse(call, Unimplemented("there is no such method here"))
        else:
            self._refuse(call, Unimplemented("the grpc-encoding is not supported"), (_ACCEPT,))
        return 0

    cdef int _refuse(self, ServerCall call, error, trailing=()) except -1:
        # Putting a status together takes ten times as long as a good request, and there are few different
        # ones.
        key = (type(error), error.message)
        status = _refusals.get(key)
        if status is None:
            if len(_refusals) == _MOST_REFUSALS:
                _refusals.clear()
            status = _refusals[key] = from_error(error)
        call.fail(status.code, status.message, status.details, trailing)
        return 0

    cdef int on_reset(self, Call call) except -1:
        cdef ServerCall it = <ServerCall>call
        if it.stage == Stage.OVER or self.now - it.arrived >= _YOUNG_SECONDS:
            return 0
        return self.spend_reset()

    cdef int on_misuse(self) except -1:
        return self.spend_reset()

    cdef bint is_wanted(self, Call call):
        return (<ServerCall>call).stage != Stage.OVER and not (<ServerCall>call).is_refused

    cdef int on_bad_message(self, Call call, object error) except -1:
        cdef ServerCall it = <ServerCall>call
        # Whoever waits for the messages of this call is notified, as when the peer had gone.
        on_cancel = it.on_cancel
        is_known = it.stage == Stage.AT_WORK
        self._refuse(it, error)
        it.drop_received()
        if is_known:
            self._report_cancelled(it, on_cancel)
        return 0

    cdef int on_remote_end(self, Call call) except -1:
        cdef ServerCall it = <ServerCall>call
        if it.stage == Stage.OVER or it.is_refused:
            return 0
        if it.prefix_size:
            self.on_bad_message(it, InternalError("the request ends inside a message"))
        elif it.is_streaming:
            self.events.append((it, ENDED))
        elif it.first is None:
            self._refuse(it, InvalidRequest("the request has no message"))
        else:
            it.stage = Stage.AT_WORK
            it.kept = it.held - it.queued
            if it.route.is_batch:
                self.batch.append(it)
            else:
                self.events.append((it, READY))
        return 0

    cdef int on_closed(self, Call call, uint32_t error_code) except -1:
        cdef ServerCall it = <ServerCall>call
        if it.is_counted:
            self.open_of[it.route] -= 1
        stage, it.stage = it.stage, Stage.OVER
        if stage == Stage.AT_WORK:
            it.took = monotonic() - it.arrived
            if it.route.durations is not None:
                it.route.durations.took(codes.CANCELLED, it.took)
            if it.span is not None:
                it.span.end(codes.CANCELLED)
            on_cancel, it.on_cancel = it.on_cancel, None
            self._report_cancelled(it, on_cancel)
        return 0

    cdef int _report_cancelled(self, ServerCall call, on_cancel) except -1:
        if on_cancel is not None or not call.route.is_batch:
            self.events.append((call if on_cancel is None else on_cancel, CANCELLED))
        return 0
