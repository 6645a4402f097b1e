"""For native threads: a lower priority, and short turns of the processor; see priority.pyx."""

cdef void lower(int nice) noexcept nogil
cdef void shorten(int microseconds) noexcept nogil
