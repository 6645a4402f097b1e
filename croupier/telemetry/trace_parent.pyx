"""The value of a `traceparent` that is sampled, written natively: https://www.w3.org/TR/trace-context/."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint64_t

cdef enum:
    # 00-<32 digits>-<16 digits>-01
    SIZE = 55

cdef const char* DIGITS = b"0123456789abcdef"


cpdef bytes trace_parent(uint64_t trace_high, uint64_t trace_low, uint64_t span_id):
    """Of the span `span_id` in the trace whose id has these halves."""
    cdef bytes made = PyBytes_FromStringAndSize(NULL, SIZE)
    cdef char* at = PyBytes_AS_STRING(made)
    at[0] = at[1] = at[53] = c"0"
    at[2] = at[35] = at[52] = c"-"
    at[54] = c"1"
    _put(at + 3, trace_high)
    _put(at + 19, trace_low)
    _put(at + 36, span_id)
    return made


cdef inline void _put(char* at, uint64_t value) noexcept:
    """Sixteen digits."""
    cdef int place
    for place in range(16):
        at[15 - place] = DIGITS[value >> 4 * place & 15]
