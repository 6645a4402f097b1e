from libc.stdint cimport int64_t

from cell.engines.kinds cimport Kind

cdef struct Found:
    # NULL if there is none.
    const Kind* kind
    int64_t at
    int64_t size

cdef void find_section(const unsigned char* data, int64_t size, Found* found) noexcept nogil
cdef int64_t size_of_tables(const unsigned char* data, int64_t size) noexcept nogil
