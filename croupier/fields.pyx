"""The fields of a protobuf message: where each begins and ends, without a look inside.

The format is protobuf's own (protobuf.dev/programming-guides/encoding). Every length is checked up to
the end of the message, groups included: what is not whole is refused, never read past. Nor is what protobuf's
library would refuse: whoever forwards a message must not see fields where a later reader sees none.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from croupier.buffers cimport filled, unfilled
from croupier.errors import InvalidRequest

# For whoever has no C.
MAX_FIELDS = MOST_FIELDS


class TooManyFields(InvalidRequest):
    """A message of very many parts, which nobody needs. The caller's."""

    def __init__(self, most=MOST_FIELDS):
        super().__init__(f"the request has more than {most:,} fields", reason="TOO_MANY_FIELDS")


class MalformedMessage(InvalidRequest):
    """Bytes that are not a protobuf message. The caller's."""

    def __init__(self):
        super().__init__("the request is not a valid protobuf message", reason="MALFORMED_MESSAGE")


cdef Cursor cursor_of(bytes data) noexcept:
    cdef const uint8_t* at = <const uint8_t*>PyBytes_AS_STRING(data)
    return Cursor(at, at + PyBytes_GET_SIZE(data))


cdef bytes bytes_of(Field* field):
    return PyBytes_FromStringAndSize(<const char*>field.data, field.size)


cdef int next_field(Cursor* cursor, Field* field) except -1:
    """Read the next field: 1, or 0 at the end. Raises MalformedMessage for one that is not whole."""
    cdef int left = MOST_FIELDS, found = _step(cursor, field)
    if found > 0 and field.kind == START and field.number and not _pass_group(cursor, field, &left):
        raise MalformedMessage
    return _checked(found, field)


cdef inline int _checked(int found, Field* field) except -1:
    if found < 0 or (found and (field.kind == END or field.number == 0)):
        raise MalformedMessage
    return found


cdef int next_of(Cursor* cursor, Field* field, int* left) except -1:
    """As `next_field`, of a message that may have `left` more, those in groups among them.

    A large message of empty fields takes long to read, and an event loop does nothing else meanwhile.

    Raises:
        TooManyFields
    """
    if cursor.at == cursor.end:
        return 0
    left[0] -= 1
    if left[0] < 0:
        raise TooManyFields
    cdef int found = _step(cursor, field)
    if found > 0 and field.kind == START and field.number and not _pass_group(cursor, field, left):
        if left[0] < 0:
            raise TooManyFields
        raise MalformedMessage
    return _checked(found, field)


cdef bint _pass_group(Cursor* cursor, Field* field, int* left) noexcept nogil:
    """Move behind the group that `field` opens; False if it does not end, nests too deep, or has more than
    `left`.

    A field number 0 in a group is passed over, as protobuf's library does.
    """
    cdef uint32_t groups[MAX_GROUP_DEPTH]
    cdef int depth = 1
    cdef Field inner
    groups[0] = field.number
    while depth:
        left[0] -= 1
        if left[0] < 0 or _step(cursor, &inner) <= 0:
            return False
        if inner.kind == START:
            if depth == MAX_GROUP_DEPTH:
                return False
            groups[depth] = inner.number
            depth += 1
        elif inner.kind == END:
            depth -= 1
            if groups[depth] != inner.number:
                return False
    return True


cdef int _step(Cursor* cursor, Field* field) noexcept nogil:
    """The next field, or the bounds of a group: 1, 0 at the end, -1 for what is not whole."""
    cdef int found = read_head(cursor, field)
    if found > 0:
        if field.size > cursor.end - cursor.at:
            return -1
        cursor.at += field.size
    return found


cdef Py_ssize_t varint_size(uint64_t value) noexcept nogil:
    cdef Py_ssize_t size = 1
    while value > 0x7F:
        value >>= 7
        size += 1
    return size


cdef uint8_t* put_varint(uint8_t* out, uint64_t value) noexcept nogil:
    """Write a number; returns where the next byte goes."""
    while value > 0x7F:
        out[0] = value & 0x7F | 0x80
        value >>= 7
        out += 1
    out[0] = value
    return out + 1


cdef Py_ssize_t record_size(Py_ssize_t size) noexcept nogil:
    """The bytes that `size` bytes take as a value of a field whose number is below 16."""
    return 1 + varint_size(size) + size


cdef uint8_t* put_head(uint8_t* out, Py_ssize_t size, int number=1) noexcept nogil:
    """Write what stands before a value with `size` bytes of field `number`; returns where the value goes."""
    out[0] = number << 3 | LEN
    return put_varint(out + 1, size)


def join_first(parts):
    """A message whose repeated field 1 is `parts`: a PredictRequest's items, a PredictResponse's results."""
    cdef list all_parts = list(parts)
    cdef Py_ssize_t size = 0
    cdef bytes part
    for part in all_parts:
        if part is None:
            # Which Cython takes for any type, and whose size lies beyond its end.
            raise TypeError("a part is None")
        size += record_size(PyBytes_GET_SIZE(part))
    cdef bytes joined = unfilled(size)
    cdef uint8_t* out = <uint8_t*>PyBytes_AS_STRING(joined)
    for part in all_parts:
        size = PyBytes_GET_SIZE(part)
        out = put_head(out, size)
        memcpy(out, PyBytes_AS_STRING(part), size)
        out += size
    return filled(joined, out)


cdef list repeated(bytes data):
    """The values of the repeated field 1 of a message."""
    cdef Cursor cursor = cursor_of(data)
    cdef Field field
    cdef int left = MOST_FIELDS
    cdef list found = []
    while next_of(&cursor, &field, &left):
        if field.number == 1 and field.kind == LEN:
            found.append(bytes_of(&field))
    return found
