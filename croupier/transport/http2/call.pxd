from libc.stdint cimport uint8_t

from croupier.transport.http2.outgoing cimport Outgoing
from croupier.transport.http2.wire cimport Wire
from croupier.weight cimport Scale, Weighing


cdef enum Receiving:
    # The headers, or informational ones ahead of them, are still to come.
    HEADERS
    # The headers are here, and messages may follow.
    MESSAGES
    # The peer has ended the stream.
    RECEIVED


cdef class Call(Outgoing):
    cdef public object tag
    cdef Receiving receiving
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
    # The most bytes of one message.
    cdef Py_ssize_t max_message
    # Weighs messages, which are protobuf, while they arrive; None to take them as they are.
    cdef Scale scale
    cdef Weighing weighing
    # Of what is held, the messages that were handed over and are still in use; and where they are held for as
    # long as this object lives, once the stream is gone.
    cdef Py_ssize_t kept
    cdef Wire lender
    # Called when the message that is arriving is whole, or will not be; None where nobody wants to hear.
    cdef object uploaded
    # What has arrived since the stream's window was opened last, and what before that, until it is `is_wide`.
    cdef Py_ssize_t unconsumed
    cdef Py_ssize_t consumed
    cdef bint is_wide

    cdef int take_in(self, const uint8_t* data, Py_ssize_t size) except -1
    cdef bint begin_message(self) except -1
    cdef bint take_up(self) except -1
    cdef int begin_partial(self, Py_ssize_t size) except -1
    cdef int take_part(self, const uint8_t* data, Py_ssize_t size) except -1
    cdef int take_compressed(self, const uint8_t* data, Py_ssize_t size) except -1
    cdef int weigh(self, const uint8_t* message, Py_ssize_t here) except -1
    cdef int complete_partial(self, object message) except -1
    cdef int complete(self, object message) except -1
    cdef int inflate(self, const uint8_t* data, Py_ssize_t size) except -1
    cdef void release_kept(self, Py_ssize_t size)
    cdef void consume(self)
    cdef void drop_partial(self)
    cdef void drop_received(self)
    cdef void forget(self)
