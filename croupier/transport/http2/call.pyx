"""One call on an HTTP/2 stream: what both sides share.

A call takes in the bytes of a stream's DATA frames and cuts them into gRPC messages (a flag, a length of
four bytes, the message). What it sends is `Outgoing`, its metadata are `Headers`.

A message that lies in one chunk is one copy. A longer one grows as its bytes arrive, to twice of what has
come, never to what its length claims. A stream's window opens again only as messages are taken. Where
messages are weighed, one that breaks protobuf's form or has too many parts is refused by its first bytes;
a large one can be refused as soon as its length is known (`take_up`). Since the window is small until it has
opened once, the others are hardly sent.

Whatever a peer makes us keep is held against the connection's budget (`Wire.hold`), and at what it costs
here: a message of no bytes is an object in a queue all the same, and a header that HPACK says in one byte
is kept in full. A message that was handed over is held until whoever has it lets it go, at the latest when
nobody knows the call any more: a peer that resets its calls while they are worked on has not got its room
back.

`Wire` is what a call knows of its connection; a call whose connection is gone has none.

A stream has two halves (RFC 9113, 5.1), and so has the state of its call. The other one is `Outgoing`'s:

    HEADERS ──headers──▶ MESSAGES ──END_STREAM──▶ RECEIVED

What else there is to say of a call differs by role: `ServerCall` and `ClientCall`.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.ref cimport Py_XDECREF, PyObject
from libc.stdint cimport uint8_t
from libc.string cimport memcpy

from collections import deque

from croupier.buffers cimport filled
from croupier.transport.http2.nghttp2 cimport (
    NGHTTP2_FLAG_NONE,
    nghttp2_session_consume_stream,
    nghttp2_session_set_local_window_size,
)
from croupier.transport.http2.outgoing cimport MESSAGE_BYTES, PREFIX, Outgoing
from croupier.transport.http2.wire cimport Budget

from croupier.errors import InternalError, InvalidRequest, TooLarge
from croupier.transport.compression import Inflater

cdef extern from "Python.h":
    PyObject* _new_bytes "PyBytes_FromStringAndSize"(const char*, Py_ssize_t) except NULL
    int _resize_bytes "_PyBytes_Resize"(PyObject**, Py_ssize_t) except -1

cdef enum:
    # A message of more bytes is asked about before it is taken in.
    _LARGE = 65_536
    # The least memory that a message is given ahead of its bytes.
    _FIRST_ROOM = 256
    # A compressed message may grow so many times without a charge: at this
    # ratio inflating costs us no more for a byte received than the bytes of small requests do.
    _FREE_GROWTH = 16
    _MOST_GROWTH = 1_032
    # Compressed bytes at a time, so that a bomb is found out by few of them; small pieces cost a tenth more.
    _INFLATED_AT_ONCE = 2_048

# What `Wire.tokens` gains: see `Meter`.
cdef double _PER_MESSAGE = 2.0
# And what it loses by a message that had to be refused for its growth: all that a new connection has.
cdef double _PER_GROWTH = 100.0
# Nanoseconds a byte, and a field that is weighed.
cdef double _INFLATING_WORK = 3.0
cdef double _FIELD_WORK = 12.0

MESSAGE_EVENT = 1


# Otherwise the collector could take the lender before the call has given back.
@cython.no_gc_clear
cdef class Call(Outgoing):
    """The base of `ServerCall` and `ClientCall`; `tag` is free for whoever uses the call."""

    def __dealloc__(self):
        self.release_kept(self.kept)
        Py_XDECREF(<PyObject*>self.partial)

    @property
    def has_message(self):
        return self.first is not None

    @property
    def is_remote_ended(self):
        """Whether the peer has sent its last message."""
        return self.receiving == Receiving.RECEIVED

    def take(self, bint keep=False):
        """The next message that has arrived, None when there is none; opens the window for more.

        It is held no longer, unless it is to be kept: then until `let_go`.
        """
        message = self.first
        if message is None:
            return None
        self.first = self.others.popleft() if self.others else None
        if keep:
            self.kept += PyBytes_GET_SIZE(message) + MESSAGE_BYTES
        elif self.is_streaming:
            self.give_back(PyBytes_GET_SIZE(message) + MESSAGE_BYTES)
        else:
            self.give_back(self.held - self.queued)
        if self.first is None:
            self.consume()
        return message

    def let_go(self, Py_ssize_t size):
        """A message of `size` bytes that was taken to be kept is not used any more."""
        self.release_kept(size + MESSAGE_BYTES)

    def let_go_all(self):
        """No message of this call is used any more."""
        self.release_kept(self.kept)

    # Receiving

    cdef int take_in(self, const uint8_t* data, Py_ssize_t size) except -1:
        """Cut `data` into messages. Raises TooLarge, InvalidRequest, or what `Inflater` raises."""
        cdef Py_ssize_t part
        while size > 0:
            if self.prefix_size < PREFIX:
                part = min(size, PREFIX - self.prefix_size)
                memcpy(self.prefix + self.prefix_size, data, part)
                self.prefix_size += part
                data += part
                size -= part
                if self.prefix_size < PREFIX:
                    return 0
                if not self.begin_message():
                    return 0
                if self.inflater is None and self.declared <= size:
                    # The usual case: the whole message lies in this chunk.
                    message = PyBytes_FromStringAndSize(<const char*>data, self.declared)
                    data += self.declared
                    size -= self.declared
                    self.prefix_size = 0
                    self.complete(message)
                    continue
                if self.inflater is None:
                    self.begin_partial(size)
            part = min(size, self.declared - self.partial_size)
            if self.inflater is None:
                self.take_part(data, part)
            else:
                part = min(part, _INFLATED_AT_ONCE)
                self.take_compressed(data, part)
            data += part
            size -= part
        return 0

    cdef int begin_partial(self, Py_ssize_t size) except -1:
        """Of a message, `size` bytes are here, and more will come."""
        self.partial_room = min(self.declared, max(_FIRST_ROOM, 2 * size))
        self.partial = _new_bytes(NULL, self.partial_room)
        if self.scale is not None:
            self.weighing = self.scale.arriving(self.declared)
        return 0

    cdef int take_part(self, const uint8_t* data, Py_ssize_t size) except -1:
        """The next bytes of a message that comes in parts. What it holds grows with what has come."""
        cdef Py_ssize_t room
        cdef char* into
        if self.partial_size + size > self.partial_room:
            room = max(self.partial_room + self.partial_room // 2, self.partial_size + size)
            self.partial_room = min(self.declared, room)
            _resize_bytes(<PyObject**>&self.partial, self.partial_room)
        into = PyBytes_AS_STRING(<object>self.partial)
        memcpy(into + self.partial_size, data, size)
        self.partial_size += size
        if self.weighing is not None and self.weighing.at < self.partial_size:
            self.weigh(<const uint8_t*>into, self.partial_size)
        if self.partial_size == self.declared:
            self.complete_partial(filled(<bytes>self.partial, into + self.partial_size))
        return 0

    cdef int take_compressed(self, const uint8_t* data, Py_ssize_t size) except -1:
        self.inflate(data, size)
        if self.partial_size == self.declared:
            message = self.inflater.finish()
            # Where its fields end showed in no piece of it.
            if self.scale is not None:
                self.weighing = self.scale.arriving(len(message))
            if self.weighing is not None:
                self.weigh(<const uint8_t*>PyBytes_AS_STRING(message), PyBytes_GET_SIZE(message))
            self.complete_partial(message)
        return 0

    cdef int weigh(self, const uint8_t* message, Py_ssize_t here) except -1:
        """Look at what has come of a message since it was weighed last."""
        cdef int before = self.weighing.fields
        try:
            self.weighing.look(message, here)
        finally:
            self.wire.work += (self.weighing.fields - before) * _FIELD_WORK
        return 0

    cdef int complete_partial(self, object message) except -1:
        self.drop_partial()
        self.prefix_size = 0
        return self.complete(message)

    cdef bint begin_message(self) except -1:
        """Its length is known; returns whether it is to be taken in."""
        cdef uint8_t* p = self.prefix
        self.declared = (<Py_ssize_t>p[1] << 24) | (p[2] << 16) | (p[3] << 8) | p[4]
        if self.declared > self.max_message:
            raise TooLarge(f"a message of {self.declared} bytes is over the limit of {self.max_message}")
        if p[0] > 1:
            raise InternalError("a message begins with a flag that gRPC does not know")
        if p[0] == 1 and (self.encoding is None or self.encoding == "identity"):
            raise InternalError("a message is compressed, and grpc-encoding does not say how")
        self.partial_size = self.grown = 0
        self.inflater = Inflater(self.encoding) if p[0] else None
        if self.declared > (_LARGE // _FREE_GROWTH if p[0] else _LARGE):
            return self.take_up()
        return True

    cdef bint take_up(self) except -1:
        """A large message begins; returns whether it is to be taken in."""
        return True

    cdef int complete(self, object message) except -1:
        """A whole message is here. What was held for its bytes is now held for the message."""
        if not self.wire.hold(MESSAGE_BYTES - PREFIX):
            raise self.wire.full()
        self.held += MESSAGE_BYTES - PREFIX
        self.wire.tokens += _PER_MESSAGE
        if self.first is None:
            self.first = message
            # One event for a queue that was empty: whoever hears of it takes all there is.
            if self.is_streaming:
                self.wire.events.append((self, MESSAGE_EVENT))
        elif not self.is_streaming:
            raise InvalidRequest("more than one message where there can be only one")
        else:
            if self.others is None:
                self.others = deque()
            self.others.append(message)
        return 0

    cdef int inflate(self, const uint8_t* data, Py_ssize_t size) except -1:
        """Take in `size` bytes of a compressed message; what was held for them is held for their meaning.

        How long a message is shows as it grows, so it grows with its bytes, and no further than there is
        room for: one that does not keep the bounds is found out by its first bytes.
        """
        cdef Budget budget = self.wire.budget
        cdef Py_ssize_t unpaid = _FREE_GROWTH * (self.partial_size + size)
        cdef Py_ssize_t room = unpaid + self.grown + budget.room_to_grow(self.wire.now)
        cdef Py_ssize_t most = min(self.max_message, room)
        cdef Py_ssize_t before = self.inflater.size
        # Without success nobody knows how far it got, but deflate cannot grow by more (RFC 1951).
        cdef Py_ssize_t after = min(most, before + _MOST_GROWTH * size)
        try:
            self.inflater.feed(PyBytes_FromStringAndSize(<const char*>data, size), most)
            after = self.inflater.size
        except TooLarge:
            if most < self.max_message:
                self.wire.tokens -= _PER_GROWTH
                raise TooLarge("the message grows too much when it is decompressed", reason="GROWTH")
            raise
        finally:
            budget.growth -= max(0, after - unpaid) - self.grown
            self.grown = max(0, after - unpaid)
            self.wire.work += (after - before) * _INFLATING_WORK
        self.partial_size += size
        size = after - before - size
        if size > 0 and not self.wire.hold_part(size, self.held):
            raise self.wire.full()
        if size < 0:
            self.wire.release(-size)
        self.held += size
        return 0

    cdef void release_kept(self, Py_ssize_t size):
        size = min(size, self.kept)
        self.kept -= size
        if self.lender is not None:
            self.lender.release(size)
        else:
            self.give_back(size)

    cdef void consume(self):
        """Open the stream's window by what has arrived since it was opened last."""
        if self.unconsumed and self.wire is not None and self.wire.handle != NULL:
            if not self.is_wide:
                self.consumed += self.unconsumed
                if self.consumed > self.wire.first_lag:
                    self.is_wide, self.consumed = True, 0
                    nghttp2_session_set_local_window_size(
                        self.wire.handle, NGHTTP2_FLAG_NONE, self.stream_id, self.wire.window)
            nghttp2_session_consume_stream(self.wire.handle, self.stream_id, self.unconsumed)
            self.unconsumed = 0
            self.wire.touch()

    cdef void drop_partial(self):
        cdef PyObject* partial = <PyObject*>self.partial
        if self.uploaded is not None:
            uploaded, self.uploaded = self.uploaded, None
            uploaded()
        self.partial = NULL
        self.inflater = None
        self.weighing = None
        Py_XDECREF(partial)

    cdef void drop_received(self):
        """Nobody wants what has come of this call any more."""
        self.drop_partial()
        self.first = None
        self.others = None
        self.give_back(self.held - self.queued - self.kept)

    cdef void forget(self):
        """The stream is gone: give back what it held, and know the connection no more."""
        self.drop_partial()
        self.leaving = None
        self.waiting = None
        if self.wire is not None:
            self.give_back(self.held - self.kept)
            self.wire.release(self.own)
            self.own = 0
            if self.kept:
                self.lender = self.wire
            self.wire = None
