# cython: language_level=3, boundscheck=False, wraparound=False
"""One call on an HTTP/2 stream: what both sides share.

A call takes in the bytes of a stream's DATA frames and cuts them into gRPC messages (a flag, a length of
four bytes, the message), and it gives out the bytes of the messages that it was told to send.

    receiving   A message that lies in one chunk is one copy. A longer one grows as its bytes arrive,
                never to what its length claims. Every byte received and not yet taken is held against the
                connection's budget (`Wire.hold`); a stream's window opens again only as messages are taken.
    sending     Messages wait in a queue that the peer's window empties; above `queue_room` bytes `is_full`
                is set, and an event tells when it is worth writing again.

`Wire` is what a call knows of its connection; a call whose connection is gone has none.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.ref cimport Py_XDECREF, PyObject
from libc.stdint cimport int32_t, uint8_t, uint32_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memcpy

from croupier.transport.nghttp2 cimport (
    nghttp2_session,
    nghttp2_session_consume_connection,
    nghttp2_session_consume_stream,
    nghttp2_session_resume_data,
)

from croupier.errors import InternalError, InvalidRequest, TooLarge
from croupier.transport.compression import decompress

cdef extern from "Python.h":
    PyObject* _new_bytes "PyBytes_FromStringAndSize"(const char*, Py_ssize_t) except NULL
    int _resize_bytes "_PyBytes_Resize"(PyObject**, Py_ssize_t) except -1

cdef struct _Entry:
    uint32_t namelen
    uint32_t valuelen

cdef enum:
    # A message is not given more memory ahead of its bytes than this.
    _FIRST_ROOM = 65_536
    _PREFIX = 5

MESSAGE_EVENT = 1
WRITABLE_EVENT = 2


def too_much():
    """The error for bytes that there is no room to hold."""
    return TooLarge("too much is held for this connection already", reason="CONNECTION_FULL")


cdef class Budget:
    """Bytes that all connections of a server may hold together above their floors."""

    def __cinit__(self, Py_ssize_t limit):
        self.limit = limit


cdef class Wire:
    """A connection as its calls see it: `wake` is called once when there is something to send."""

    cdef void touch(self):
        if not self.is_dirty:
            self.is_dirty = True
            if self.wake is not None:
                self.wake()

    cdef bint hold(self, Py_ssize_t size):
        """Count `size` bytes more; False, and nothing counted, when there is no room for them."""
        cdef Py_ssize_t after = self.held + size
        if after > self.floor:
            if after > self.most or self.budget.used + size > self.budget.limit:
                return False
        self.held = after
        self.budget.used += size
        return True

    cdef void release(self, Py_ssize_t size):
        self.held -= size
        self.budget.used -= size


cdef class Call:
    """The base of `ServerCall` and `ClientCall`; `tag` is free for whoever uses the call."""

    def __dealloc__(self):
        free(self.block)
        Py_XDECREF(<PyObject*>self.partial)

    @property
    def is_writable(self):
        """Whether there is room in the queue of messages to send."""
        return self.wire is not None and self.queued <= self.wire.queue_room

    @property
    def has_message(self):
        return self.first is not None

    @property
    def is_remote_ended(self):
        """Whether the peer has sent its last message."""
        return self.is_remote_ended

    def values(self, bytes name not None):
        """The raw values of the metadata key `name`, in the order that they came."""
        cdef uint32_t at = 0
        cdef _Entry entry
        cdef Py_ssize_t length = PyBytes_GET_SIZE(name)
        cdef list found = []
        while at < self.block_size:
            memcpy(&entry, self.block + at, sizeof(_Entry))
            at += sizeof(_Entry)
            if entry.namelen == <uint32_t>length and not memcmp(self.block + at, PyBytes_AS_STRING(name), length):
                found.append(PyBytes_FromStringAndSize(self.block + at + entry.namelen, entry.valuelen))
            at += entry.namelen + entry.valuelen
        return tuple(found)

    def raw_metadata(self, bint trailing=False):
        """The custom metadata as (name, value) bytes: the initial ones, or the trailing ones."""
        cdef uint32_t at = self.trailing_at if trailing else 0
        cdef uint32_t end = self.block_size if trailing else self.trailing_at
        cdef _Entry entry
        cdef list found = []
        while at < end:
            memcpy(&entry, self.block + at, sizeof(_Entry))
            at += sizeof(_Entry)
            name = PyBytes_FromStringAndSize(self.block + at, entry.namelen)
            at += entry.namelen
            found.append((name, PyBytes_FromStringAndSize(self.block + at, entry.valuelen)))
            at += entry.valuelen
        return found

    def take(self):
        """The next message that has arrived, None when there is none; opens the window for more."""
        message = self.first
        if message is None:
            return None
        if self.others:
            self.first = self.others.pop(0)
            self.give_back(min(self.held - self.queued, PyBytes_GET_SIZE(message)))
        else:
            self.first = None
            self.consume()
            # What is queued to be sent, and what has come of the next message, stays held.
            self.give_back(self.held - self.queued - (self.partial_size if self.partial != NULL else 0))
        return message

    cdef int keep(self, const uint8_t* name, size_t namelen, const uint8_t* value, size_t valuelen) except -1:
        cdef uint32_t need = self.block_size + sizeof(_Entry) + namelen + valuelen
        cdef _Entry entry
        if need > self.block_room:
            room = max(need, 2 * self.block_room, 192)
            grown = <char*>realloc(self.block, room)
            if grown == NULL:
                raise MemoryError
            self.block, self.block_room = grown, room
        entry.namelen, entry.valuelen = namelen, valuelen
        at = self.block + self.block_size
        memcpy(at, &entry, sizeof(_Entry))
        memcpy(at + sizeof(_Entry), name, namelen)
        memcpy(at + sizeof(_Entry) + namelen, value, valuelen)
        self.block_size = need
        return 0

    cdef bytes peek_kept(self, const char* name, Py_ssize_t namelen):
        """The first value of a kept header; None without one."""
        cdef uint32_t at = 0
        cdef _Entry entry
        while at < self.block_size:
            memcpy(&entry, self.block + at, sizeof(_Entry))
            at += sizeof(_Entry)
            if entry.namelen == <uint32_t>namelen and not memcmp(self.block + at, name, namelen):
                return PyBytes_FromStringAndSize(self.block + at + namelen, entry.valuelen)
            at += entry.namelen + entry.valuelen
        return None

    cdef bint count_header(self, size_t namelen, size_t valuelen, uint32_t limit):
        """Count a header as HTTP/2 does (RFC 9113, 10.5.1); False once the list is too large."""
        self.header_bytes += namelen + valuelen + 32
        return self.header_bytes <= limit

    # Receiving

    cdef int take_in(self, const uint8_t* data, Py_ssize_t size) except -1:
        """Cut `data` into messages. Raises TooLarge, InvalidRequest, or what `decompress` raises."""
        cdef Py_ssize_t part
        cdef char* into
        while size > 0:
            if self.prefix_size < _PREFIX:
                part = min(size, _PREFIX - self.prefix_size)
                memcpy(self.prefix + self.prefix_size, data, part)
                self.prefix_size += part
                data += part
                size -= part
                if self.prefix_size < _PREFIX:
                    return 0
                self.begin_message()
                if self.declared <= size:
                    # The usual case: the whole message lies in this chunk.
                    message = PyBytes_FromStringAndSize(<const char*>data, self.declared)
                    data += self.declared
                    size -= self.declared
                    self.prefix_size = 0
                    self.complete(message, self.prefix[0])
                    continue
                self.partial_room = min(self.declared, _FIRST_ROOM)
                self.partial = _new_bytes(NULL, self.partial_room)
                self.partial_size = 0
                if size == 0:
                    return 0
            part = min(size, self.declared - self.partial_size)
            if self.partial_size + part > self.partial_room:
                self.partial_room = min(self.declared, max(2 * self.partial_room, self.partial_size + part))
                _resize_bytes(<PyObject**>&self.partial, self.partial_room)
            into = PyBytes_AS_STRING(<object>self.partial)
            memcpy(into + self.partial_size, data, part)
            self.partial_size += part
            data += part
            size -= part
            if self.partial_size == self.declared:
                message = <object>self.partial
                self.drop_partial()
                self.prefix_size = 0
                self.complete(message, self.prefix[0])
        return 0

    cdef int begin_message(self) except -1:
        cdef uint8_t* p = self.prefix
        self.declared = (<Py_ssize_t>p[1] << 24) | (p[2] << 16) | (p[3] << 8) | p[4]
        if self.declared > self.wire.max_message:
            raise TooLarge(f"a message of {self.declared} bytes is over the limit of {self.wire.max_message}")
        if p[0] > 1:
            raise InternalError("a message begins with a flag that gRPC does not know")
        if p[0] == 1 and (self.encoding is None or self.encoding == "identity"):
            raise InternalError("a message is compressed, and grpc-encoding does not say how")
        return 0

    cdef int complete(self, object message, bint compressed) except -1:
        """A whole message is here."""
        if compressed:
            message = decompress(self.encoding, message, self.wire.max_message)
            if not self.wire.hold(PyBytes_GET_SIZE(message)):
                raise too_much()
            self.held += PyBytes_GET_SIZE(message)
        if self.first is None:
            self.first = message
        elif not self.is_streaming:
            raise InvalidRequest("more than one message where there can be only one")
        elif self.others is None:
            self.others = [message]
        else:
            self.others.append(message)
        if self.is_streaming:
            self.wire.events.append((self, MESSAGE_EVENT))
        return 0

    cdef void give_back(self, Py_ssize_t size):
        if self.wire is not None and size > 0:
            self.wire.release(size)
            self.held -= size

    cdef void consume(self):
        """Open the stream's window by what has arrived since it was opened last."""
        if self.unconsumed and self.wire is not None and self.wire.handle != NULL:
            nghttp2_session_consume_stream(self.wire.handle, self.stream_id, self.unconsumed)
            self.unconsumed = 0
            self.wire.touch()

    cdef void drop_partial(self):
        cdef PyObject* partial = <PyObject*>self.partial
        self.partial = NULL
        Py_XDECREF(partial)

    # Sending

    cdef bint enqueue(self, bytes message, bint compressed):
        """Queue a message; False, and nothing done, when there is no room to hold it."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(message) + _PREFIX
        if not self.wire.hold(size):
            return False
        self.held += size
        self.queued += size
        self.is_full = self.is_streaming and self.queued > self.wire.queue_room
        if self.sending is None:
            self.load(message, compressed)
        elif self.waiting is None:
            self.waiting = [(message, compressed)]
        else:
            self.waiting.append((message, compressed))
        return True

    cdef void load(self, bytes message, bint compressed):
        cdef Py_ssize_t size = PyBytes_GET_SIZE(message)
        self.sending = message
        self.sent = 0
        self.send_prefix[0] = compressed
        self.send_prefix[1] = (size >> 24) & 0xFF
        self.send_prefix[2] = (size >> 16) & 0xFF
        self.send_prefix[3] = (size >> 8) & 0xFF
        self.send_prefix[4] = size & 0xFF

    cdef Py_ssize_t fill(self, uint8_t* buffer, Py_ssize_t room):
        """Put as much as there is, and fits, into `buffer`; how many bytes that was."""
        cdef Py_ssize_t at = 0, part, size
        while self.sending is not None and at < room:
            if self.sent < _PREFIX:
                part = min(room - at, _PREFIX - self.sent)
                memcpy(buffer + at, self.send_prefix + self.sent, part)
                at += part
                self.sent += part
            size = PyBytes_GET_SIZE(self.sending)
            part = min(room - at, size + _PREFIX - self.sent)
            memcpy(buffer + at, PyBytes_AS_STRING(self.sending) + self.sent - _PREFIX, part)
            at += part
            self.sent += part
            if self.sent == size + _PREFIX:
                if self.waiting:
                    message, compressed = self.waiting.pop(0)
                    self.load(message, compressed)
                else:
                    self.sending = None
        self.queued -= at
        self.give_back(at)
        if self.is_full and self.queued <= self.wire.queue_room // 2:
            self.is_full = False
            self.wire.events.append((self, WRITABLE_EVENT))
        return at

    cdef void resume(self):
        if self.is_deferred:
            self.is_deferred = False
            nghttp2_session_resume_data(self.wire.handle, self.stream_id)
        self.wire.touch()

    cdef void forget(self):
        """The stream is gone: give back what it held, and know the connection no more."""
        self.drop_partial()
        self.sending = None
        self.waiting = None
        if self.wire is not None:
            self.give_back(self.held)
            self.wire = None
