"""A call that a server answers, and the route that it came by."""

from libc.stdint cimport int32_t, uint8_t, uint32_t

from base64 import b64encode

from croupier.codes cimport OK, UNKNOWN
from croupier.telemetry.durations cimport Durations, monotonic
from croupier.telemetry.traces cimport Tracer
from croupier.transport.http2.call cimport Call
from croupier.transport.http2.callbacks cimport Callbacks
from croupier.transport.http2.headers cimport MAX_PAIRS, check_pairs, put_pairs, set_header
from croupier.transport.http2.nghttp2 cimport *
from croupier.transport.http2.outgoing cimport Sending

from croupier.request_ids import REQUEST_ID_KEY, RequestId, read
from croupier.transport.metadata import percent_encode
from croupier.transport.status import DETAILS_KEY, from_error, request_info

cdef bytes _DETAILS = DETAILS_KEY.encode()
cdef bytes _REQUEST_ID = REQUEST_ID_KEY


cdef class Route:
    """What serves a path: `handler` is for the session's owner; with `refusal`, an error, it serves nobody.

    `max_message` bounds one message in bytes, where the session's limit does not do that sooner; `max_open`
    the calls that one connection may have open; 0 is no bound. Messages that `scale` weighs are protobuf, and
    those that are too heavy are refused as they arrive. `durations` are told how long each call took, if its
    session's clock is `time.monotonic`.

    `uploads` is called with a call and the length of its message before a large one is taken in, or a
    compressed one that may become large. It returns what to call when the message is whole, or will not be;
    or None, and fails the call, at once or later: then nothing more of it is taken in. It raises nothing, and
    touches no other call.
    """

    def __init__(self, str path, handler=None, *, bint batch=False, bint streaming=False, refusal=None,
                 Py_ssize_t max_message=0, Py_ssize_t max_open=0, Scale scale=None,
                 Durations durations=None, uploads=None):
        self.path, self.handler, self.refusal = path, handler, refusal
        self.is_batch, self.is_streaming = batch, streaming
        self.max_message, self.max_open, self.scale = max_message, max_open, scale
        self.durations, self.uploads = durations, uploads


cdef class ServerCall(Call):
    """A call to answer: `reply` or `fail` once, or `send` messages and then `finish`.

    On a call that was answered, or whose peer is gone, these do nothing. The request's id goes with every
    error, and with other answers where the caller gave it or asked for it.

        ARRIVING ──a unary call's message, a stream's headers──▶ AT_WORK ──answered, reset, lost──▶ OVER
            └───────────refused, reset, lost: no handler hears of it──────────────────────────────▶
    """

    @property
    def path(self):
        return self.route.path

    @property
    def is_open(self):
        return self.wire is not None and self.stage != Stage.OVER

    @property
    def message(self):
        """The one message of a unary call."""
        return self.first

    @property
    def request_id(self):
        """What the request is called, a `RequestId`."""
        if self._request_id is None:
            self._request_id = RequestId(read(self.values(_REQUEST_ID)) if self.is_named else "")
        return self._request_id

    def reply(self, bytes message not None):
        """Answer with `message` and OK."""
        if self.stage == Stage.OVER or self.wire is None:
            return
        if not self.enqueue(message):
            self.fail_full()
        elif self.end(OK):
            if self.is_named or self.noted is not None:
                self.trailers = self.good_trailers(())
            self.conclude((), True)

    def fail(self, int code, str message, bytes details=b"", trailing=()):
        """Answer with a gRPC status; `details` is a serialized google.rpc.Status."""
        cdef list trailers = [(b"grpc-status", str(code).encode())]
        if self.stage == Stage.OVER or self.wire is None:
            return
        if message:
            trailers.append((b"grpc-message", percent_encode(message)))
        if details:
            details += request_info(str(self.request_id))
            trailers.append((_DETAILS, b64encode(details).rstrip(b"=")))
        trailers.append(self.named())
        trailers.extend(trailing)
        check_pairs(trailers)
        self.end(code)
        self.trailers = trailers
        self.conclude(trailers, False)

    def begin(self, pairs=()):
        """Send the initial metadata; (name, value) bytes."""
        if self.is_open and self.sending == Sending.UNSENT:
            self.submit([*pairs], True)

    def send(self, bytes message not None):
        """Queue a message; see `is_writable`."""
        if self.stage == Stage.OVER or self.wire is None:
            return
        if not self.enqueue(message):
            self.fail_full()
        else:
            if self.sending == Sending.UNSENT:
                self.submit((), True)
            self.resume()

    def finish(self, trailing=()):
        """End with OK, after what is queued."""
        cdef list trailers = None
        if trailing or self.is_named or self.noted is not None:
            trailers = self.good_trailers(trailing)
            check_pairs(trailers)
        if not self.end(OK):
            return
        self.trailers = trailers
        self.conclude((), True)

    def refuse_http(self, int status):
        """Answer what is not gRPC with an HTTP status."""
        if self.end(UNKNOWN):
            self.trailers = [(b":status", str(status).encode())]
            self.submit(self.trailers, False)

    cdef tuple named(self):
        """The id as metadata."""
        return (_REQUEST_ID, str(self.request_id).encode())

    cdef list good_trailers(self, object trailing):
        cdef list trailers = [(b"grpc-status", b"0"), *trailing]
        if self.noted is not None:
            trailers.extend(self.noted)
        if self.is_named:
            trailers.append(self.named())
        return trailers

    cdef int fail_full(self) except -1:
        status = from_error(self.wire.full())
        self.fail(status.code, status.message, status.details)
        return 0

    cdef bint end(self, int code):
        if self.wire is None or self.stage == Stage.OVER:
            return False
        self.stage = Stage.OVER
        self.took = monotonic() - self.arrived
        if self.route is not None and self.route.durations is not None:
            self.route.durations.took(code, self.took)
        if self.span is not None:
            self.span.end(code)
        self.ended_at = self.wire.now
        self.on_cancel = None
        if not self.is_streaming:
            # Whoever answers is done with the request. Those who handle a stream say so themselves.
            self.kept = 0
            self.drop_received()
        return True

    cdef void conclude(self, object pairs, bint has_body):
        """Send what is queued and the end of it, behind the headers of `submit` if these were not sent."""
        if self.sending == Sending.UNSENT:
            self.submit(pairs, has_body)
        else:
            self.resume()
        if self.sending == Sending.OPEN:
            self.sending = Sending.ENDING

    cdef bint take_up(self) except -1:
        if self.route.uploads is not None:
            self.uploaded = self.route.uploads(self, self.declared)
            self.is_refused = self.uploaded is None
            if self.is_refused:
                self.drop_received()
        return not self.is_refused

    cdef void submit(self, object pairs, bint has_body):
        """Send the response's headers, with a body behind them or as the end of the stream."""
        cdef nghttp2_nv headers[MAX_PAIRS]
        cdef nghttp2_data_provider provider
        cdef int count = 2
        cdef uint8_t still = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE
        set_header(&headers[0], b":status", 7, b"200", 3, still)
        set_header(&headers[1], b"content-type", 12, b"application/grpc", 16, still)
        if pairs:
            if pairs[0][0] == b":status":
                count = 0
            count = put_pairs(headers, count, pairs)
        self.sending = Sending.OPEN if has_body else Sending.SENT
        provider.source.ptr = <void*>self
        provider.read_callback = _read_body
        nghttp2_submit_response(
            self.wire.handle, self.stream_id, headers, count, &provider if has_body else NULL
        )
        self.wire.touch()


def trace(Tracer tracer not None, list calls not None):
    """Begin the spans of those of `calls`, which one read brought, that are traced. It raises nothing.

    Most are not, and for all of them together that takes a look.
    """
    cdef ServerCall call
    cdef Py_ssize_t place
    tracer.until -= len(calls)
    if tracer.until < 0.0:
        for place in tracer.due(len(calls)):
            call = calls[place]
            if not call.has_parent:
                call.span = tracer.root(call.route.path)
    for call in calls:
        if call.has_parent:
            call.span = tracer.begin(call.route.path, call.values)


cdef Py_ssize_t _read_body(
    nghttp2_session* handle, int32_t stream_id, uint8_t* buffer, size_t room, uint32_t* flags,
    nghttp2_data_source* source, void* user
) noexcept:
    cdef ServerCall call = <ServerCall>source.ptr
    cdef nghttp2_nv headers[MAX_PAIRS]
    cdef int count = 1
    cdef Py_ssize_t size = call.fill(buffer, room)
    if call.leaving is not None:
        return size
    if call.sending == Sending.ENDING:
        call.sending = Sending.SENT
        flags[0] = NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM
        if call.trailers is None:
            set_header(&headers[0], b"grpc-status", 11, b"0", 1,
                       NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE)
        else:
            try:
                count = put_pairs(headers, 0, call.trailers)
            except BaseException as error:
                return (<Callbacks>user)._fail(error)
        nghttp2_submit_trailer(handle, stream_id, headers, count)
        return size
    if size == 0:
        call.sending = Sending.IDLE
        return NGHTTP2_ERR_DEFERRED
    return size
