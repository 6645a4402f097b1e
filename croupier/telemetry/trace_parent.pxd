from libc.stdint cimport uint64_t


cpdef bytes trace_parent(uint64_t trace_high, uint64_t trace_low, uint64_t span_id)
