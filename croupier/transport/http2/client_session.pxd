from libc.stdint cimport uint8_t

from croupier.transport.http2.call cimport Call
from croupier.transport.http2.session cimport Session


cdef enum Ending:
    UNDER_WAY
    # As the peer said, in `code`.
    SAID
    # By whoever made the call, who hears no more of it.
    DROPPED
    # By the connection, by what the peer did, or by us.
    BROKEN
    # The same, and the peer cannot have seen the call.
    UNSEEN


cdef class ClientCall(Call):
    cdef public object done
    cdef readonly int code
    cdef Ending ending
    # What the last headers said.
    cdef int http_status
    cdef int reported
    cdef bint is_grpc
    cdef readonly bytes path
    cdef readonly bytes request
    cdef readonly double timeout
    cdef bint is_renewed
    cdef bytes raw_message
    cdef bytes raw_details
    cdef str own_message

    cdef int settle(self, int code, str message, Ending ending) except -1


cdef class ClientSession(Session):
    cdef list completed
    # Unary calls that have begun to be answered since they were taken. Most of them end in the same read.
    cdef list begun
    cdef bytes scheme
    cdef bytes authority
    cdef bytes user_agent

    cdef int report(self, ClientCall call) except -1
    cdef int _submit(self, ClientCall call, pairs, bytes encoding) except -1
    cdef int _not_grpc(self, ClientCall call) except -1
    cdef int read_status(self, ClientCall call, const uint8_t* value, size_t size) except -1
