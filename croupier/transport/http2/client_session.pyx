"""The client's role of a session: calls go out, their ends come in.

    start(…)       a unary call; it stands in `take_completed()` once it has ended
    open(…)        a streaming call: HEADERS, MESSAGE and CLOSED among the events

How a call ended is in its `code`: the peer's grpc-status; without one, what the HTTP status or the reset
stands for. `is_broken` says that it was not gRPC that said so, `is_unprocessed` that the peer cannot have
seen the call: it may be sent again somewhere else without a thought.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.math cimport INFINITY, ceil
from libc.stdint cimport int32_t, uint8_t, uint32_t
from libc.string cimport memcmp

from croupier.codes cimport INTERNAL, OK, RESOURCE_EXHAUSTED, UNAVAILABLE, UNKNOWN
from croupier.transport.http2.allocator cimport memory
from croupier.transport.http2.call cimport Call, Receiving
from croupier.transport.http2.client_call cimport NO_STATUS, ClientCall, Ending
from croupier.transport.http2.headers cimport MAX_PAIRS, put_pairs, set_header
from croupier.transport.http2.nghttp2 cimport *
from croupier.transport.http2.outgoing cimport Sending
from croupier.transport.http2.session cimport Session
from croupier.transport.http2.wire cimport Budget

from croupier.transport.http2.wire import too_much
from croupier.transport.compression import ACCEPTED
from croupier.transport.status import code_of, http_status_code, reset_code

HEADERS, CLOSED = 7, 8

cdef enum:
    # Stream ids end at 2^31 (this is 2^20 less); before they do, a new connection has to take over.
    _LAST_IDS = 2_146_435_072

# What a call allows the peer beside its answer, in tokens: see `Session`.
cdef double _PER_CALL = 5.0

cdef bytes _ACCEPTED = ACCEPTED


cdef size_t _write_timeout(double seconds, char* into):
    """grpc-timeout, never shorter than `seconds`: `metadata.encode_timeout`, natively."""
    cdef double count = ceil(seconds * 1e6)
    cdef char unit = c"u"
    if count > 99_999_999:
        count, unit = ceil(seconds * 1e3), c"m"
    if count > 99_999_999:
        count, unit = min(ceil(seconds), 99_999_999), c"S"
    cdef uint32_t rest = <uint32_t>max(count, 0.0)
    cdef size_t size = 1
    cdef uint32_t above = rest // 10
    while above:
        size += 1
        above //= 10
    cdef size_t at = size
    while at:
        at -= 1
        into[at] = 48 + rest % 10
        rest //= 10
    into[size] = unit
    return size + 1


cdef Py_ssize_t _read_body(
    nghttp2_session* handle, int32_t stream_id, uint8_t* buffer, size_t room, uint32_t* flags,
    nghttp2_data_source* source, void* user
) noexcept:
    cdef ClientCall call = <ClientCall>source.ptr
    cdef Py_ssize_t size = call.fill(buffer, room)
    if call.leaving is not None:
        return size
    if call.sending == Sending.ENDING:
        flags[0] = NGHTTP2_DATA_FLAG_EOF
        call.sending = Sending.SENT
    elif size == 0:
        call.sending = Sending.IDLE
        return NGHTTP2_ERR_DEFERRED
    return size


cdef class ClientSession(Session):
    """`authority` is the peer's host:port as it wants to be called."""

    def __init__(self, limits, double now, Budget budget=None, *, str authority, bint secure=False,
                 str user_agent="croupier"):
        self.scheme = b"https" if secure else b"http"
        self.authority, self.user_agent = authority.encode(), user_agent.encode()
        self.completed, self.begun = [], []
        self.role = "client"
        Session.__init__(self, limits, now, budget)

    @property
    def is_usable(self):
        """Whether new calls may be started here."""
        return (self.handle != NULL and not self.is_going_away and not self.is_broken
                and nghttp2_session_get_next_stream_id(self.handle) < _LAST_IDS)

    def skip_to(self, int32_t stream_id):
        """Give `stream_id` to the next call: ids run out sooner, for those who want to see that."""
        self.check(nghttp2_session_set_next_stream_id(self.handle, stream_id))

    def take_completed(self):
        """The unary calls that have ended since this was asked last, cancelled ones left out."""
        if not self.completed:
            return ()
        completed, self.completed = self.completed, []
        return completed

    def take_begun(self):
        """The unary calls whose answers have begun since this was asked last, and have not ended."""
        cdef ClientCall call
        cdef list begun = self.begun, found = []
        if not begun:
            return ()
        self.begun = []
        for call in begun:
            if call.ending == Ending.UNDER_WAY:
                found.append(call)
        return found

    def start(self, ClientCall call not None):
        """Send a new unary call; False, and nothing done, when no call can be started here."""
        if not self.is_usable:
            return False
        call.wire, call.max_message = self, self.max_message
        if call.enqueue(call.request):
            self._submit(call, call.pairs)
            call.sending = Sending.ENDING
        else:
            call.settle(RESOURCE_EXHAUSTED, too_much().message, Ending.BROKEN)
            self.report(call)
            # There is nothing to send, but an end to report.
            self.touch()
        return True

    def open(self, ClientCall call not None, pairs=()):
        """Send a new streaming call; `pairs` are encoded metadata.

        False, and nothing done, when no call can be started here.
        """
        if not self.is_usable:
            return False
        call.wire, call.max_message = self, self.max_message
        call.is_streaming = True
        self._submit(call, pairs)
        return True

    cdef int _submit(self, ClientCall call, pairs) except -1:
        cdef nghttp2_nv headers[MAX_PAIRS]
        cdef nghttp2_data_provider provider
        cdef int count = 7
        cdef char timeout[16]
        cdef bytes path = call.path
        cdef uint8_t still = NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE
        cdef uint8_t named = NGHTTP2_NV_FLAG_NO_COPY_NAME
        set_header(&headers[0], b":method", 7, b"POST", 4, still)
        set_header(
            &headers[1], b":scheme", 7, PyBytes_AS_STRING(self.scheme), PyBytes_GET_SIZE(self.scheme), named
        )
        set_header(&headers[2], b":path", 5, PyBytes_AS_STRING(path), PyBytes_GET_SIZE(path), named)
        set_header(&headers[3], b":authority", 10, PyBytes_AS_STRING(self.authority),
                   PyBytes_GET_SIZE(self.authority), named)
        set_header(&headers[4], b"te", 2, b"trailers", 8, still)
        set_header(&headers[5], b"content-type", 12, b"application/grpc", 16, still)
        set_header(&headers[6], b"user-agent", 10, PyBytes_AS_STRING(self.user_agent),
                   PyBytes_GET_SIZE(self.user_agent), named)
        if call.is_streaming:
            # On the hot path it would only be one header more: nobody compresses those answers.
            set_header(&headers[count], b"grpc-accept-encoding", 20, PyBytes_AS_STRING(_ACCEPTED),
                       PyBytes_GET_SIZE(_ACCEPTED), named)
            count += 1
        if call.timeout < INFINITY:
            # It differs every time, and would only push what is worth it out of HPACK's table.
            set_header(&headers[count], b"grpc-timeout", 12, timeout, _write_timeout(call.timeout, timeout),
                       named | NGHTTP2_NV_FLAG_NO_INDEX)
            count += 1
        count = put_pairs(headers, count, pairs)
        provider.source.ptr = <void*>call
        provider.read_callback = _read_body
        call.stream_id = self.check(
            nghttp2_submit_request(self.handle, NULL, headers, count, &provider, <void*>call))
        self.calls[call.stream_id] = call
        call.sending = Sending.OPEN
        self.tokens += _PER_CALL
        self.touch()
        return 0

    cdef int report(self, Call call) except -1:
        if call.is_streaming:
            self.events.append((call, CLOSED))
        else:
            self.completed.append(call)
        return 0

    cdef bint has_news(self) noexcept:
        return bool(self.events or self.completed or self.begun)

    cdef int open_handle(self, nghttp2_session_callbacks* callbacks, nghttp2_option* option) except -1:
        # Until the peer says how many: grpcio resets calls above its limit with ENHANCE_YOUR_CALM, for good.
        nghttp2_option_set_peer_max_concurrent_streams(option, 1)
        return self.check(
            nghttp2_session_client_new3(&self.handle, callbacks, <void*>self, option, &memory))

    cdef int on_headers_begin(self, int32_t stream_id, nghttp2_headers_category category) except -1:
        cdef ClientCall call = <ClientCall>self.call_of(stream_id)
        if call is None:
            return 0
        call.header_bytes = 0
        if call.ending == Ending.UNDER_WAY:
            if call.receiving == Receiving.HEADERS:
                # Informational headers came before, any number of them perhaps: they are nobody's metadata.
                call.block_size = call.http_status = 0
                call.reported, call.raw_message, call.raw_details, call.encoding = NO_STATUS, None, None, None
            call.trailing_at = call.block_size
        return 0

    cdef int on_header(
        self, Call call, nghttp2_headers_category category,
        const uint8_t* name, size_t namelen, const uint8_t* value, size_t valuelen
    ) except -1:
        cdef ClientCall it = <ClientCall>call
        if it.ending != Ending.UNDER_WAY:
            return 0
        if name[0] == b":":
            if namelen == 7 and valuelen == 3 and not memcmp(name, b":status", 7):
                it.http_status = (value[0] - 48) * 100 + (value[1] - 48) * 10 + (value[2] - 48)
        elif namelen == 11 and not memcmp(name, b"grpc-status", 11):
            self.read_status(it, value, valuelen)
        elif namelen == 12 and not memcmp(name, b"content-type", 12):
            it.is_grpc = valuelen >= 16 and not memcmp(value, b"application/grpc", 16)
        elif namelen == 12 and not memcmp(name, b"grpc-message", 12):
            it.raw_message = PyBytes_FromStringAndSize(<const char*>value, valuelen)
        elif namelen == 23 and not memcmp(name, b"grpc-status-details-bin", 23):
            it.raw_details = PyBytes_FromStringAndSize(<const char*>value, valuelen)
            it.keep(name, namelen, value, valuelen)
        elif namelen == 13 and not memcmp(name, b"grpc-encoding", 13):
            it.encoding = PyBytes_FromStringAndSize(<const char*>value, valuelen).decode("latin-1")
        else:
            it.keep(name, namelen, value, valuelen)
        return 0

    cdef int read_status(self, ClientCall call, const uint8_t* value, size_t size) except -1:
        if size == 1 and b"0" <= value[0] <= b"9":
            call.reported = value[0] - 48
            return 0
        text = PyBytes_FromStringAndSize(<const char*>value, size)
        # The specification: a status that is not known is UNKNOWN.
        call.reported = int(text) if text.isdigit() and len(text) == 2 and int(text) <= 16 else UNKNOWN
        return 0

    cdef int on_headers_end(self, Call call, nghttp2_headers_category category) except -1:
        cdef ClientCall it = <ClientCall>call
        if it.ending != Ending.UNDER_WAY:
            return 0
        if it.header_bytes > self.max_header_bytes:
            it.abort(RESOURCE_EXHAUSTED, f"the metadata are over the limit of {self.max_header_bytes} bytes")
        elif it.is_crowded:
            it.abort(RESOURCE_EXHAUSTED, too_much().message)
        elif it.http_status >= 200 and it.receiving == Receiving.HEADERS:
            it.receiving = Receiving.MESSAGES
            # Trailers only: the headers are the trailers.
            if it.reported != NO_STATUS:
                it.trailing_at = 0
            else:
                it.trailing_at = it.block_size
                if it.http_status != 200 or not it.is_grpc:
                    self._not_grpc(it)
                elif it.is_streaming:
                    self.events.append((it, HEADERS))
                else:
                    self.begun.append(it)
        return 0

    cdef int _not_grpc(self, ClientCall call) except -1:
        if call.http_status == 200:
            call.abort(UNKNOWN, "the answer is not gRPC")
        else:
            call.abort(http_status_code(call.http_status), f"the answer is HTTP status {call.http_status}")
        return 0

    cdef bint is_wanted(self, Call call):
        return (<ClientCall>call).ending == Ending.UNDER_WAY

    cdef int on_bad_message(self, Call call, object error) except -1:
        # Whatever is wrong with an answer but its size is the server's fault.
        code = code_of(error)
        (<ClientCall>call).abort(code if code == RESOURCE_EXHAUSTED else INTERNAL, error.message)
        return 0

    cdef int on_remote_end(self, Call call) except -1:
        cdef ClientCall it = <ClientCall>call
        if it.ending != Ending.UNDER_WAY:
            return 0
        if it.reported == NO_STATUS:
            it.settle(UNKNOWN if it.http_status == 200 else http_status_code(it.http_status),
                      "the answer has no grpc-status", Ending.BROKEN)
        elif it.reported == OK and it.prefix_size:
            it.settle(INTERNAL, "the answer ends inside a message", Ending.BROKEN)
        elif it.reported == OK and not it.is_streaming and it.first is None:
            it.settle(INTERNAL, "the answer has no message", Ending.BROKEN)
        else:
            it.settle(it.reported, None, Ending.SAID)
        it.give_back(it.held - it.queued if not it.is_streaming else 0)
        if it.sending != Sending.SENT:
            # The peer has said its last word; what we would still send is wanted by nobody.
            nghttp2_submit_rst_stream(self.handle, NGHTTP2_FLAG_NONE, it.stream_id, NGHTTP2_CANCEL)
            self.touch()
        self.report(it)
        return 0

    cdef int on_closed(self, Call call, uint32_t error_code) except -1:
        cdef ClientCall it = <ClientCall>call
        if it.ending != Ending.UNDER_WAY:
            return 0
        if self.handle == NULL:
            it.settle(UNAVAILABLE, "the connection was lost", Ending.BROKEN)
        else:
            # Who has begun to answer has seen the call, whatever it says now.
            is_unseen = error_code == NGHTTP2_REFUSED_STREAM and it.receiving == Receiving.HEADERS
            it.settle(reset_code(error_code), f"the stream was reset with HTTP/2 error {error_code}",
                      Ending.UNSEEN if is_unseen else Ending.BROKEN)
        self.report(it)
        return 0

    cdef int on_going_away(self) except -1:
        """Calls that wait behind the peer's limit are not sent any more, whoever goes: they end now, and not
        when nghttp2 comes to them, for which one that is under way has to end."""
        cdef Call call
        for call in [*self.calls.values()]:
            if self.call_of(call.stream_id) is None:
                nghttp2_session_set_stream_user_data(self.handle, call.stream_id, NULL)
                del self.calls[call.stream_id]
                self.on_closed(call, NGHTTP2_REFUSED_STREAM)
                call.forget()
        return 0
