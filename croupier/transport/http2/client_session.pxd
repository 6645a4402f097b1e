from libc.stdint cimport uint8_t

from croupier.transport.http2.call cimport Call
from croupier.transport.http2.client_call cimport ClientCall
from croupier.transport.http2.session cimport Session


cdef class ClientSession(Session):
    cdef list completed
    # Unary calls that have begun to be answered since they were taken. Most of them end in the same read.
    cdef list begun
    cdef bytes scheme
    cdef bytes authority
    cdef bytes user_agent

    cdef int _submit(self, ClientCall call, pairs) except -1
    cdef int _not_grpc(self, ClientCall call) except -1
    cdef int read_status(self, ClientCall call, const uint8_t* value, size_t size) except -1
