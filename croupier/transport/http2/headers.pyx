"""Header fields: those that came with a call, kept as its metadata, and those that are sent.

Metadata are kept as they came, in one block: gRPC's own fields are read as they pass by, and most calls have
no others. What is kept is held against the connection's budget.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memcpy

from croupier.transport.http2.nghttp2 cimport NGHTTP2_NV_FLAG_NO_INDEX, NGHTTP2_NV_FLAG_NONE, nghttp2_nv

from croupier.errors import InternalError

cdef struct _Entry:
    uint32_t namelen
    uint32_t valuelen


cdef class Headers:
    """What came with a call beside its messages."""

    def __dealloc__(self):
        free(self.block)

    @property
    def has_metadata(self):
        """Whether any came: nearly no call has some, and `values` is not asked for it then."""
        return self.block_size > 0

    def values(self, bytes name not None):
        """The raw values of the metadata key `name`, in the order that they came."""
        cdef uint32_t at = 0
        cdef _Entry entry
        cdef Py_ssize_t length = PyBytes_GET_SIZE(name)
        cdef list found = []
        while at < self.block_size:
            memcpy(&entry, self.block + at, sizeof(_Entry))
            at += sizeof(_Entry)
            if entry.namelen == <uint32_t>length and not memcmp(
                self.block + at, PyBytes_AS_STRING(name), length
            ):
                found.append(PyBytes_FromStringAndSize(self.block + at + entry.namelen, entry.valuelen))
            at += entry.namelen + entry.valuelen
        return tuple(found)

    def raw_metadata(self, bint trailing=False):
        """The custom metadata as (name, value) bytes: the initial ones, or the trailing ones."""
        cdef uint32_t at = self.trailing_at if trailing else 0
        cdef uint32_t end = self.block_size if trailing else self.trailing_at
        cdef _Entry entry
        cdef list found = []
        while at < end:
            memcpy(&entry, self.block + at, sizeof(_Entry))
            at += sizeof(_Entry)
            name = PyBytes_FromStringAndSize(self.block + at, entry.namelen)
            at += entry.namelen
            found.append((name, PyBytes_FromStringAndSize(self.block + at, entry.valuelen)))
            at += entry.valuelen
        return found

    cdef bint hold_own(self, Py_ssize_t size):
        """Hold for as long as the call is known; without room it is crowded."""
        if self.wire is None or not self.wire.hold(size):
            self.is_crowded = True
            return False
        self.own += size
        return True

    cdef int keep(self, const uint8_t* name, size_t namelen, const uint8_t* value, size_t valuelen) except -1:
        """Keep a header, if there is room to."""
        cdef uint32_t need = self.block_size + sizeof(_Entry) + namelen + valuelen
        cdef _Entry entry
        if need > self.block_room:
            room = max(need, 2 * self.block_room, 192)
            if not self.hold_own(room - self.block_room):
                return 0
            grown = <char*>realloc(self.block, room)
            if grown == NULL:
                raise MemoryError
            self.block, self.block_room = grown, room
        entry.namelen, entry.valuelen = namelen, valuelen
        at = self.block + self.block_size
        memcpy(at, &entry, sizeof(_Entry))
        memcpy(at + sizeof(_Entry), name, namelen)
        memcpy(at + sizeof(_Entry) + namelen, value, valuelen)
        self.block_size = need
        return 0

    cdef bint count_header(self, size_t namelen, size_t valuelen, uint32_t limit):
        """Count a header as HTTP/2 does (RFC 9113, 10.5.1); False once the list is too large."""
        self.header_bytes += namelen + valuelen + 32
        return self.header_bytes <= limit


cdef int put_pairs(nghttp2_nv* headers, int at, object pairs) except -1:
    """Append (name, value) bytes to `headers`, with room for MAX_PAIRS; `pairs` must outlive their use."""
    cdef bytes name, value
    for name, value in pairs:
        if at == MAX_PAIRS:
            raise InternalError("too many metadata")
        set_header(&headers[at], PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name), PyBytes_AS_STRING(value),
                   PyBytes_GET_SIZE(value), _flags_of(name))
        at += 1
    return at


cdef uint8_t _flags_of(bytes name):
    """An id differs every time, and would only push what is worth it out of HPACK's table."""
    if _is(name, b"x-request-id", 12) or _is(name, b"traceparent", 11):
        return NGHTTP2_NV_FLAG_NO_INDEX
    return NGHTTP2_NV_FLAG_NONE


cdef inline bint _is(bytes name, const char* other, Py_ssize_t size):
    return PyBytes_GET_SIZE(name) == size and not memcmp(PyBytes_AS_STRING(name), other, size)


cdef int check_pairs(list pairs) except -1:
    """Raise now what `put_pairs` would raise when nobody can hear of it but the whole connection."""
    cdef bytes _name, _value
    if len(pairs) > MAX_PAIRS - 2:
        raise InternalError("too many metadata")
    for _name, _value in pairs:
        pass
    return 0
