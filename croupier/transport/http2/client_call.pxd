from croupier.telemetry.durations cimport Durations
from croupier.transport.http2.call cimport Call


cdef enum:
    NO_STATUS = -1

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
    # What is told when it ends, if it is traced: `end` is called with the code, and raises nothing.
    cdef public object span
    cdef readonly int code
    cdef Ending ending
    # What the last headers said.
    cdef int http_status
    cdef int reported
    cdef bint is_grpc
    cdef readonly bytes path
    cdef readonly bytes request
    cdef readonly double timeout
    cdef Durations durations
    cdef double began
    # A unary call's metadata, encoded.
    cdef tuple pairs
    cdef bint is_renewed
    cdef bytes raw_message
    cdef bytes raw_details
    cdef str own_message

    cdef int settle(self, int code, str message, Ending ending) except -1
