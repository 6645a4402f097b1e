"""What a protobuf message takes in memory once it is parsed, told from its bytes.

Two bytes of an empty submessage become 64, so a message of 16 MiB may become one of half a GiB.
Whatever parses a caller's message weighs it before: it may take so many times its own size, and so much in all.
The weights are those of protobuf's own parser (upb): a submessage takes its struct and a pointer to it, an element
of a repeated text a view and the text, a number its width, packed or not; what is not known stays the bytes that
it was.

Parsing also takes time, for each field: an event loop does nothing else meanwhile. Those that have a weight are
bounded by it. All others are counted: what is not known, and what an encoder writes once in a message, a text or a
number or a run of packed numbers, but stands there over and over. A message may have `MOST_FIELDS` of these beside
one of each kind that it knows.

Small messages are safe without a look, whatever is in them. Weighing takes less than parsing does.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport calloc, free

from google.protobuf.descriptor import FieldDescriptor

from croupier.errors import InvalidRequest
from croupier.fields cimport I32, I64, LEN, MOST_FIELDS, VARINT, Cursor, Field, cursor_of, next_of

cdef enum:
    _SUBMESSAGE = 64
    _MAP_ENTRY = 96
    _TEXT = 32
    # A message takes so much, and so many times its size, and never more than that.
    _FREE = 262_144
    _TIMES = 16
    _MOST = 67_108_864
    # No message of so many bytes takes more than is free: a submessage has two bytes, a map's entry another two.
    _SAFE = 8_192
    # As protobuf has it.
    _DEEPEST = 100


class TooHeavy(InvalidRequest):
    """A message that would take far more memory than it has bytes. The caller's."""

    reason = "MESSAGE_TOO_HEAVY"


cdef struct _Kind:
    uint32_t number
    # Of the submessage in the field; -1 for another field.
    int message
    # Added for each time that the field stands there, and for each number of those that are packed in it.
    int weight
    int width
    int wire
    # Stands in a message as often as it likes: a submessage or a text of many.
    bint is_part


cdef class Scale:
    """Weighs messages of one type, by its descriptor."""

    cdef _Kind* _kinds
    cdef int* _begins
    cdef int _most

    def __init__(self, descriptor):
        messages = [descriptor]
        tables = []
        # It grows as submessages are found.
        for message in messages:
            tables.append([_kind(field, messages) for field in message.fields])
        self._begins = <int*>calloc(len(tables) + 1, sizeof(int))
        self._kinds = <_Kind*>calloc(sum(map(len, tables)) + 1, sizeof(_Kind))
        if self._begins == NULL or self._kinds == NULL:
            raise MemoryError
        cdef int at = 0
        for place, table in enumerate(tables):
            for number, submessage, weight, width, wire in table:
                self._kinds[at] = _Kind(number, submessage, weight, width, wire, weight and not width)
                at += 1
            self._begins[place + 1] = at

    def __dealloc__(self):
        free(self._kinds)
        free(self._begins)

    def check(self, bytes data not None):
        """Raises TooHeavy or TooManyFields for a message that would take too much, and MalformedMessage for what is none."""
        cdef Py_ssize_t most = min(_FREE + _TIMES * len(data), _MOST)
        cdef int spare = MOST_FIELDS
        if len(data) <= _SAFE:
            return
        self._weigh(0, cursor_of(data), most, &spare, _DEEPEST)

    cdef Py_ssize_t _weigh(
        self, int message, Cursor cursor, Py_ssize_t left, int* spare, int depth
    ) except -1:
        """What is left of `left` without the fields of one submessage; `spare` loses those that it need not have."""
        cdef Cursor inner
        cdef Field field
        cdef _Kind* kind
        cdef int at, end = self._begins[message + 1]
        cdef int once = end - self._begins[message]
        while next_of(&cursor, &field, spare):
            at = self._begins[message]
            while at < end and self._kinds[at].number != field.number:
                at += 1
            if at == end:
                continue
            kind = &self._kinds[at]
            if kind.is_part:
                spare[0] += 1
            elif once:
                once -= 1
                spare[0] += 1
            left -= kind.weight
            if field.kind == LEN and kind.width:
                left -= kind.width * _numbers(&field, kind.wire)
            if left < 0:
                raise TooHeavy("the message has far too many parts for its size")
            if field.kind == LEN and kind.message >= 0:
                if not depth:
                    raise TooHeavy("the message is nested too deep")
                inner = Cursor(field.data, field.data + field.size)
                left = self._weigh(kind.message, inner, left, spare, depth - 1)
        return left


cdef Py_ssize_t _numbers(Field* packed, int wire) noexcept nogil:
    """How many numbers are packed in a field; each varint ends with a byte below 128."""
    cdef Py_ssize_t i, count = 0
    if wire == I32:
        return packed.size // 4
    if wire == I64:
        return packed.size // 8
    for i in range(packed.size):
        count += packed.data[i] < 0x80
    return count


_WIDTHS = {FieldDescriptor.CPPTYPE_BOOL: 1, FieldDescriptor.CPPTYPE_INT32: 4, FieldDescriptor.CPPTYPE_UINT32: 4,
           FieldDescriptor.CPPTYPE_FLOAT: 4, FieldDescriptor.CPPTYPE_ENUM: 4}
_FIXED = {FieldDescriptor.TYPE_FLOAT: I32, FieldDescriptor.TYPE_FIXED32: I32, FieldDescriptor.TYPE_SFIXED32: I32,
          FieldDescriptor.TYPE_DOUBLE: I64, FieldDescriptor.TYPE_FIXED64: I64, FieldDescriptor.TYPE_SFIXED64: I64}


def _kind(field, messages):
    """The field's `_Kind` as a tuple; a submessage that is not among `messages` is appended."""
    if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
        submessage = field.message_type
        if submessage not in messages:
            messages.append(submessage)
        # A map's entry has an option. To read which would import another module in the midst of requests.
        weight = _MAP_ENTRY if submessage.has_options else _SUBMESSAGE
        return field.number, messages.index(submessage), weight, 0, LEN
    # protobuf 7 knows no label any more, and 5 does not know `is_repeated`.
    if not (field.is_repeated if hasattr(field, "is_repeated") else field.label == field.LABEL_REPEATED):
        return field.number, -1, 0, 0, VARINT
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return field.number, -1, _TEXT, 0, LEN
    # One that is not packed stands alone, and one that is packed counts once more: as well.
    width = _WIDTHS.get(field.cpp_type, 8)
    return field.number, -1, width, width, _FIXED.get(field.type, VARINT)


_scales = {}


def check_weight(message_type, bytes data not None):
    """Raises TooHeavy, TooManyFields or MalformedMessage for bytes that should not be parsed as a `message_type`."""
    scale = _scales.get(message_type)
    if scale is None:
        scale = _scales[message_type] = Scale(message_type.DESCRIPTOR)
    scale.check(data)
