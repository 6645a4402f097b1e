from libc.stdint cimport uint8_t, uint32_t

from croupier.transport.http2.nghttp2 cimport nghttp2_nv
from croupier.transport.http2.wire cimport Wire

cdef enum:
    MAX_PAIRS = 64


cdef class Headers:
    cdef Wire wire
    # Metadata as it came: the entries from `trailing_at` on are trailing.
    cdef char* block
    cdef uint32_t block_size
    cdef uint32_t block_room
    cdef uint32_t trailing_at
    cdef uint32_t header_bytes
    # Held for the call itself and its metadata, for as long as it is known; `is_crowded` without room for
    # that.
    cdef Py_ssize_t own
    cdef bint is_crowded

    cdef bint hold_own(self, Py_ssize_t size)
    cdef int keep(self, const uint8_t* name, size_t namelen, const uint8_t* value, size_t valuelen) except -1
    cdef bint count_header(self, size_t namelen, size_t valuelen, uint32_t limit)

cdef int put_pairs(nghttp2_nv* headers, int at, object pairs) except -1
cdef int check_pairs(list pairs) except -1


cdef inline void set_header(
    nghttp2_nv* header, const char* name, size_t namelen, const char* value, size_t valuelen, uint8_t flags
) noexcept:
    header.name, header.namelen = <uint8_t*>name, namelen
    header.value, header.valuelen = <uint8_t*>value, valuelen
    header.flags = flags
