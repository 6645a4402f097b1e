from libc.stdint cimport int32_t, uint8_t

from croupier.transport.http2.headers cimport Headers

cdef enum:
    # What a message in a queue costs beside its bytes: two objects and their place.
    MESSAGE_BYTES = 96
    # A flag and a length, ahead of each message.
    PREFIX = 5


cdef enum Sending:
    # No headers were sent.
    UNSENT
    # Headers were sent, and messages may follow; nghttp2 asks for them.
    OPEN
    # The same, but nghttp2 waits for `resume`: there was nothing to send.
    IDLE
    # No message follows those that are queued.
    ENDING
    # All of it is with nghttp2.
    SENT


cdef class Outgoing(Headers):
    cdef readonly int32_t stream_id
    cdef bint is_streaming
    # Bytes that are held for messages of this call, in either direction.
    cdef Py_ssize_t held
    cdef Sending sending
    # The message that is leaving, and those behind it.
    cdef bytes leaving
    cdef uint8_t send_prefix[5]
    cdef Py_ssize_t sent
    cdef object waiting
    cdef Py_ssize_t queued
    cdef bint is_full

    cdef void give_back(self, Py_ssize_t size)
    cdef bint enqueue(self, bytes message)
    cdef void load(self, bytes message)
    cdef Py_ssize_t fill(self, uint8_t* buffer, Py_ssize_t room)
    cdef void resume(self)
