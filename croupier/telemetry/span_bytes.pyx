"""Spans in bytes, as OTLP has them: what the SDK's exporters make in a hundred times as long.

    TracesData
        1 ResourceSpans
            1 Resource               the same each time, as is the scope
            2 ScopeSpans
                1 InstrumentationScope
                2 Span               each by itself, so that one that cannot be made harms no other

`opentelemetry/proto/trace/v1/trace.proto` has the numbers. A message is written from its end to its
beginning: then what is in it is there when its length is put before it. The SDK's encoder is its plain twin.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

from croupier.telemetry.traces cimport Span

cdef enum:
    # Types on the wire.
    VARINT = 0
    FIXED64 = 1
    BYTES = 2
    FIXED32 = 5

cdef enum:
    # Bytes at most: of a span without its texts and attributes, and of an attribute without its texts.
    MOST_SPAN = 160
    MOST_ATTRIBUTE = 48
    # SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK and SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK.
    HAS_REMOTE = 0x100
    IS_REMOTE = 0x200
    # STATUS_CODE_ERROR.
    ERROR = 2


def traces_data(bytes resource not None, bytes scope not None, list spans not None):
    """A TracesData of `spans`, each of `span_field`; `resource` and `scope` are their messages."""
    return _field(1, _field(1, resource) + _field(2, _field(1, scope) + b"".join(spans)))


cdef bytes _field(int number, bytes message):
    cdef uint8_t[16] head
    cdef uint8_t* end = &head[16]
    cdef uint8_t* at = _put_key(_put_varint(end, PyBytes_GET_SIZE(message)), number, BYTES)
    return at[:end - at] + message


def span_field(Span span not None, str message not None):
    """A span as field 2 of a ScopeSpans; `message` is that of its error.

    An attribute is a text, a truth value, an integer of 64 bits, or a float; others raise what Python raises.
    """
    cdef bytes state = span.state
    cdef dict attributes = span.attributes
    cdef Py_ssize_t room = MOST_SPAN + PyBytes_GET_SIZE(state) + _size_of(span.name) + _size_of(message)
    for key, value in attributes.items():
        room += MOST_ATTRIBUTE + _size_of(key) + (_size_of(value) if type(value) is str else 0)
    cdef bytes made = PyBytes_FromStringAndSize(NULL, room)
    cdef uint8_t* start = <uint8_t*>PyBytes_AS_STRING(made)
    cdef uint8_t* end = start + room
    cdef uint8_t* at = end
    cdef uint64_t flags = HAS_REMOTE | (IS_REMOTE if span.parent_id else 0)
    at = _put_key(_put_fixed(at, flags, 4), 16, FIXED32)
    at = _put_status(at, span.code, message)
    for key in reversed(attributes):
        at = _put_attribute(at, key, attributes[key])
    at = _put_key(_put_fixed(at, span.ended, 8), 8, FIXED64)
    at = _put_key(_put_fixed(at, span.began, 8), 7, FIXED64)
    at = _put_key(_put_varint(at, span.kind), 6, VARINT)
    at = _put_text(at, 5, span.name)
    if span.parent_id:
        at = _put_id(at, 4, span.parent_id)
    if state:
        at = _put_bytes(at, 3, state)
    at = _put_id(at, 2, span.span_id)
    at = _put_high_first(_put_high_first(at, span.trace_low), span.trace_high)
    at = _put_key(_put_varint(at, 16), 1, BYTES)
    at = _put_key(_put_varint(at, end - at), 2, BYTES)
    return at[:end - at]


cdef uint8_t* _put_attribute(uint8_t* end, str key, object value) except NULL:
    """A KeyValue, whose value is an AnyValue."""
    cdef uint8_t* at = end
    cdef double number
    cdef uint64_t bits
    if type(value) is str:
        at = _put_text(at, 1, value)
    elif type(value) is bool:
        at = _put_key(_put_varint(at, value is True), 2, VARINT)
    elif type(value) is int:
        at = _put_key(_put_varint(at, <uint64_t><int64_t>value), 3, VARINT)
    else:
        number = value
        memcpy(&bits, &number, sizeof(double))
        at = _put_key(_put_fixed(at, bits, 8), 4, FIXED64)
    at = _put_key(_put_varint(at, end - at), 2, BYTES)
    at = _put_text(at, 1, key)
    return _put_key(_put_varint(at, end - at), 9, BYTES)


cdef uint8_t* _put_status(uint8_t* end, int code, str message) except NULL:
    """A Status: empty where all is well."""
    cdef uint8_t* at = end
    if code:
        at = _put_key(_put_varint(at, ERROR), 3, VARINT)
        if message:
            at = _put_text(at, 2, message)
    return _put_key(_put_varint(at, end - at), 15, BYTES)


cdef Py_ssize_t _size_of(str text) except -1:
    cdef Py_ssize_t size
    PyUnicode_AsUTF8AndSize(text, &size)
    return size


cdef uint8_t* _put_text(uint8_t* at, int number, str text) except NULL:
    cdef Py_ssize_t size
    cdef const char* data = PyUnicode_AsUTF8AndSize(text, &size)
    at -= size
    memcpy(at, data, size)
    return _put_key(_put_varint(at, size), number, BYTES)


cdef uint8_t* _put_bytes(uint8_t* at, int number, bytes data) noexcept:
    at -= PyBytes_GET_SIZE(data)
    memcpy(at, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
    return _put_key(_put_varint(at, PyBytes_GET_SIZE(data)), number, BYTES)


cdef uint8_t* _put_id(uint8_t* at, int number, uint64_t value) noexcept:
    return _put_key(_put_varint(_put_high_first(at, value), 8), number, BYTES)


cdef inline uint8_t* _put_high_first(uint8_t* at, uint64_t value) noexcept:
    """Eight bytes."""
    cdef int place
    at -= 8
    for place in range(8):
        at[7 - place] = value >> 8 * place & 0xFF
    return at


cdef inline uint8_t* _put_key(uint8_t* at, int number, int kind) noexcept:
    return _put_varint(at, number << 3 | kind)


cdef inline uint8_t* _put_fixed(uint8_t* at, uint64_t value, int size) noexcept:
    """Little-endian."""
    cdef int place
    at -= size
    for place in range(size):
        at[place] = value >> 8 * place & 0xFF
    return at


cdef inline uint8_t* _put_varint(uint8_t* at, uint64_t value) noexcept:
    """Seven bits a byte, the lowest first; all but the last have the eighth."""
    cdef uint64_t left = value >> 7
    at -= 1
    while left:
        at -= 1
        left >>= 7
    cdef uint8_t* place = at
    while value >= 0x80:
        place[0] = value & 0x7F | 0x80
        value >>= 7
        place += 1
    place[0] = value
    return at
