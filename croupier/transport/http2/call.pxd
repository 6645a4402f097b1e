from libc.stdint cimport int32_t, uint8_t, uint32_t

from croupier.transport.http2.nghttp2 cimport nghttp2_nv
from croupier.transport.http2.wire cimport Wire
from croupier.weight cimport Scale, Weighing


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

cdef enum Receiving:
    # The headers, or informational ones ahead of them, are still to come.
    HEADERS
    # The headers are here, and messages may follow.
    MESSAGES
    # The peer has ended the stream.
    RECEIVED


cdef class Call:
    cdef Wire wire
    cdef readonly int32_t stream_id
    cdef public object tag
    cdef Sending sending
    cdef Receiving receiving
    # Metadata as it came: the entries from `trailing_at` on are trailing.
    cdef char* block
    cdef uint32_t block_size
    cdef uint32_t block_room
    cdef uint32_t trailing_at
    cdef uint32_t header_bytes
    # Held for the call itself and its metadata, for as long as it is known; `is_crowded` without room for that.
    cdef Py_ssize_t own
    cdef bint is_crowded
    cdef readonly str encoding
    # The message that is arriving.
    cdef uint8_t prefix[5]
    cdef uint8_t prefix_size
    cdef void* partial
    cdef Py_ssize_t partial_size
    cdef Py_ssize_t partial_room
    cdef Py_ssize_t declared
    # What inflates it if it is compressed, and by how much it has grown beyond what it may for nothing.
    cdef object inflater
    cdef Py_ssize_t grown
    # Messages that have arrived and were not taken.
    cdef object first
    cdef object others
    cdef bint is_streaming
    # The most bytes of one message.
    cdef Py_ssize_t max_message
    # Weighs messages, which are protobuf, while they arrive; None to take them as they are.
    cdef Scale scale
    cdef Weighing weighing
    cdef Py_ssize_t held
    # Of them, those of messages that were handed over and are still in use; and where they are held for as long
    # as this object lives, once the stream is gone.
    cdef Py_ssize_t kept
    cdef Wire lender
    cdef Py_ssize_t unconsumed
    # The message that is leaving, and those behind it.
    cdef bytes leaving
    cdef uint8_t send_prefix[5]
    cdef Py_ssize_t sent
    cdef object waiting
    cdef Py_ssize_t queued
    cdef bint is_full

    cdef bint hold_own(self, Py_ssize_t size)
    cdef int keep(self, const uint8_t* name, size_t namelen, const uint8_t* value, size_t valuelen) except -1
    cdef bint count_header(self, size_t namelen, size_t valuelen, uint32_t limit)
    cdef int take_in(self, const uint8_t* data, Py_ssize_t size) except -1
    cdef int begin_message(self) except -1
    cdef int complete(self, object message) except -1
    cdef int inflate(self, const uint8_t* data, Py_ssize_t size) except -1
    cdef void give_back(self, Py_ssize_t size)
    cdef void release_kept(self, Py_ssize_t size)
    cdef void consume(self)
    cdef void drop_partial(self)
    cdef void drop_received(self)
    cdef bint enqueue(self, bytes message, bint compressed)
    cdef void load(self, bytes message, bint compressed)
    cdef Py_ssize_t fill(self, uint8_t* buffer, Py_ssize_t room)
    cdef void resume(self)
    cdef void forget(self)
    cdef bytes peek_kept(self, const char* name, Py_ssize_t namelen)


cdef inline void set_header(
    nghttp2_nv* header, const char* name, size_t namelen, const char* value, size_t valuelen, uint8_t flags
) noexcept:
    header.name, header.namelen = <uint8_t*>name, namelen
    header.value, header.valuelen = <uint8_t*>value, valuelen
    header.flags = flags
