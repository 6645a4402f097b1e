from libc.stdint cimport uint8_t

from croupier.telemetry.durations cimport Durations
from croupier.transport.http2.call cimport Call
from croupier.weight cimport Scale


cdef class Route:
    cdef readonly str path
    cdef readonly bint is_batch
    cdef readonly bint is_streaming
    cdef readonly Py_ssize_t max_message
    cdef readonly Py_ssize_t max_open
    cdef readonly Scale scale
    cdef readonly object handler
    cdef readonly object refusal
    cdef readonly object uploads
    cdef readonly Durations durations


cdef enum Stage:
    # Its headers, or a unary call's message, are still coming: nobody has heard of it.
    ARRIVING
    # Its handler has it.
    AT_WORK
    # It was answered, or ended without.
    OVER


cdef class ServerCall(Call):
    cdef readonly Route route
    cdef readonly double arrived
    cdef readonly double deadline
    # Seconds from its arrival to its end, once there is one.
    cdef readonly double took
    cdef double ended_at
    cdef public object on_cancel
    # What is told when it ends, if it is traced: `end` is called with the code, and raises nothing.
    cdef public object span
    cdef Stage stage
    # Nothing more of it is taken in: it was refused by its length, and is told so in time.
    cdef bint is_refused
    # Whether it stands in `ServerSession.open_of`.
    cdef bint is_counted
    cdef list trailers
    cdef uint8_t seen
    # The caller gave an id, or wants to hear of one.
    cdef readonly bint is_named
    # The caller says which span calls.
    cdef readonly bint has_parent
    # What the caller says of when it is to be shed (`croupier.priorities`): nearly nobody does.
    cdef readonly int priority
    cdef object _request_id
    # Metadata that go with a good answer, encoded.
    cdef public list noted

    cdef void submit(self, object pairs, bint has_body)
    cdef tuple named(self)
    cdef list good_trailers(self, object trailing)
    cdef int fail_full(self) except -1
    cdef bint end(self, int code)
    cdef void conclude(self, object pairs, bint has_body)
