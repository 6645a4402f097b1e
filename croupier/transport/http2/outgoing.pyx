"""The sending half of a call: messages wait in a queue that the peer's window empties.

Above `queue_room` bytes the queue is full, and an event tells when it is worth writing again. The half goes
through these states (RFC 9113, 5.1):

    UNSENT ──headers──▶ OPEN ──no more messages──▶ ENDING ──END_STREAM──▶ SENT
                        │  ▲
         nothing to send▼  │`resume`
                        IDLE
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t
from libc.string cimport memcpy

from collections import deque

from croupier.transport.http2.headers cimport Headers
from croupier.transport.http2.nghttp2 cimport nghttp2_session_resume_data

cdef enum:
    # A DATA frame with so many bytes of a message, or with its end, was worth sending.
    _WORTH_SENDING = 1_024

# What `Wire.tokens` gains: see `Meter`.
cdef double _PER_DATA_FRAME = 2.0
# A peer with small buffers gives a large frame's room back in parts, for the call and the connection each.
cdef double _PER_BYTE = 1 / 2048.0

WRITABLE_EVENT = 2


cdef class Outgoing(Headers):
    """What a call has to send; its connection is `wire`, its stream `stream_id`."""

    @property
    def is_writable(self):
        """Whether there is room in the queue of messages to send."""
        return self.wire is not None and self.queued <= self.wire.queue_room

    cdef void give_back(self, Py_ssize_t size):
        if self.wire is not None and size > 0:
            self.wire.release(size)
            self.held -= size

    cdef bint enqueue(self, bytes message):
        """Queue a message; False, and nothing done, when there is no room to hold it."""
        cdef Py_ssize_t size = PyBytes_GET_SIZE(message) + MESSAGE_BYTES
        if not self.wire.hold_part(size, 0):
            return False
        self.held += size
        self.queued += size
        # Set until it is reported: whoever waits has to hear of room that others use in between.
        if self.is_streaming and self.queued > self.wire.queue_room:
            self.is_full = True
        if self.leaving is None:
            self.load(message)
        else:
            if self.waiting is None:
                self.waiting = deque()
            self.waiting.append(message)
        return True

    cdef void load(self, bytes message):
        cdef Py_ssize_t size = PyBytes_GET_SIZE(message)
        self.leaving = message
        self.sent = 0
        # The flag stays 0: nothing is compressed.
        self.send_prefix[1] = (size >> 24) & 0xFF
        self.send_prefix[2] = (size >> 16) & 0xFF
        self.send_prefix[3] = (size >> 8) & 0xFF
        self.send_prefix[4] = size & 0xFF

    cdef Py_ssize_t fill(self, uint8_t* buffer, Py_ssize_t room):
        """Put as much as there is, and fits, into `buffer`; how many bytes that was."""
        cdef Py_ssize_t at = 0, freed = 0, part, size
        while self.leaving is not None and at < room:
            if self.sent < PREFIX:
                part = min(room - at, PREFIX - self.sent)
                memcpy(buffer + at, self.send_prefix + self.sent, part)
                at += part
                self.sent += part
            size = PyBytes_GET_SIZE(self.leaving)
            part = min(room - at, size + PREFIX - self.sent)
            memcpy(buffer + at, PyBytes_AS_STRING(self.leaving) + self.sent - PREFIX, part)
            at += part
            self.sent += part
            if self.sent == size + PREFIX:
                freed += MESSAGE_BYTES - PREFIX
                if self.waiting:
                    self.load(self.waiting.popleft())
                else:
                    self.leaving = None
        if freed or at >= _WORTH_SENDING:
            self.wire.tokens += _PER_DATA_FRAME + at * _PER_BYTE
        freed += at
        self.queued -= freed
        self.give_back(freed)
        if self.is_full and self.queued <= self.wire.queue_room // 2:
            self.is_full = False
            self.wire.events.append((self, WRITABLE_EVENT))
        return at

    cdef void resume(self):
        if self.sending == Sending.IDLE:
            self.sending = Sending.OPEN
            nghttp2_session_resume_data(self.wire.handle, self.stream_id)
        self.wire.touch()
