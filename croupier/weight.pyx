"""What a protobuf message takes in memory once it is parsed, told from its bytes.

Two bytes of an empty submessage become 64, so a message of 16 MiB may become one of half a GiB.
Whatever parses a caller's message weighs it before: it may take so many times its own size, and so much in
all. The weights are those of protobuf's own parser (upb): a submessage takes its struct and a pointer to it,
an element of a repeated text a view and the text, a number its width, packed or not; what is not known stays
the bytes that it was.

Parsing also takes time, for each field: an event loop does nothing else meanwhile. Those that have a weight
are bounded by it. All others are counted: what is not known, and what an encoder writes once in a message, a
text or a number or a run of packed numbers, but stands there over and over. A message may have `MOST_FIELDS`
of these beside one of each kind that it knows.

Bytes are weighed as they arrive, so that a message which is refused is not taken in for nothing: a `Weighing`
goes down into submessages, remembers where they end, and goes on wherever the bytes broke off. Whatever it
lets pass is parsed, so it need not see everything: where a group ends is not compared with where it began.

Small messages are safe without a look, whatever is in them. Weighing takes less than parsing does.
"""

cimport cython
from cpython.bytes cimport PyBytes_AS_STRING
from libc.stdint cimport uint32_t
from libc.stdlib cimport calloc, free

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FieldDescriptor

from croupier.errors import InvalidRequest
from croupier.fields cimport (
    END,
    I32,
    I64,
    LEN,
    MAX_GROUP_DEPTH,
    MAX_HEAD,
    MOST_FIELDS,
    START,
    VARINT,
    Cursor,
    Field,
    read_head,
)
from croupier.fields import MalformedMessage, TooManyFields

cdef enum:
    _SUBMESSAGE = 64
    _MAP_ENTRY = 96
    _TEXT = 32
    # A message takes so much, and so many times its size, and never more than that.
    _FREE = 262_144
    _TIMES = 16
    _MOST = 67_108_864
    # No message of so many bytes takes more than is free: a submessage has two bytes, a map's entry another
    # two.
    _SAFE = 8_192
    _NO_BOUND = 0x7FFFFFFF


class TooHeavy(InvalidRequest):
    """A message that would take far more memory than it has bytes. The caller's."""

    reason = "MESSAGE_TOO_HEAVY"


cdef class Scale:
    """Weighs messages of one type, by its descriptor.

    With `max_fields`, so many may stand outside of submessages, whatever they weigh: for who reads no others.
    """

    def __init__(self, descriptor, int max_fields=0):
        messages = [descriptor]
        tables = []
        # It grows as submessages are found.
        for message in messages:
            tables.append([_kind(field, messages) for field in message.fields])
        self.max_fields = max_fields
        self.begins = <int*>calloc(len(tables) + 1, sizeof(int))
        self.kinds = <Kind*>calloc(sum(map(len, tables)) + 1, sizeof(Kind))
        if self.begins == NULL or self.kinds == NULL:
            raise MemoryError
        cdef int at = 0
        for place, table in enumerate(tables):
            for number, submessage, weight, width, wire in table:
                self.kinds[at] = Kind(number, submessage, weight, width, wire, weight and not width)
                at += 1
            self.begins[place + 1] = at

    def __dealloc__(self):
        free(self.kinds)
        free(self.begins)

    def check(self, bytes data not None):
        """Raises TooHeavy or TooManyFields for what would take too much, MalformedMessage for no message."""
        cdef Weighing weighing
        if len(data) > _SAFE:
            weighing = self.begin(len(data))
            weighing.is_whole = True
            weighing.look(<const uint8_t*>PyBytes_AS_STRING(data), len(data))

    def check_pieces(self, bytes data not None, ends, Py_ssize_t memory=0, int fields=0):
        """As what arrives is checked, of any size and in pieces which end at `ends`: for tests, also of tight
        bounds.

        Returns what may still come.
        """
        cdef Weighing weighing = self.begin(len(data))
        cdef bytes here
        weighing.left, weighing.spare = memory or weighing.left, fields or weighing.spare
        for end in ends:
            # Nothing stands behind it.
            here = data[:end]
            weighing.look(<const uint8_t*>PyBytes_AS_STRING(here), len(here))
        return weighing.left, weighing.spare, weighing.outside

    cdef Weighing arriving(self, Py_ssize_t size):
        """The weighing of a message of `size` bytes that arrives; None for one that may as well arrive
        before.

        No message of `MOST_FIELDS` bytes has more fields than that.
        """
        return self.begin(size) if size > MOST_FIELDS else None

    cdef Weighing begin(self, Py_ssize_t size):
        cdef Weighing it = Weighing.__new__(Weighing)
        it.scale = self
        it.left = min(_FREE + _TIMES * size, _MOST)
        it.spare = MOST_FIELDS
        it.outside = self.max_fields or _NO_BOUND
        it.levels[0] = self.level(0, size)
        return it

    cdef Level level(self, int message, Py_ssize_t end) noexcept nogil:
        return Level(end, message, self.begins[message + 1] - self.begins[message])

    cdef Kind* find(self, int message, uint32_t number) noexcept nogil:
        cdef Kind* kind = self.kinds + self.begins[message]
        cdef Kind* end = self.kinds + self.begins[message + 1]
        while kind < end:
            if kind.number == number:
                return kind
            kind += 1
        return NULL


@cython.final
cdef class Weighing:
    """How far the weighing of one message got."""

    cdef int look(self, const uint8_t* data, Py_ssize_t here) except -1:
        """Go on with a message at `data` of which `here` bytes are there.

        Raises:
            TooHeavy, TooManyFields, MalformedMessage
        """
        cdef Level* level = &self.levels[self.depth]
        cdef Kind* kind
        cdef Cursor cursor
        cdef Field field
        # For a message of many parts, these are worth a register.
        cdef Py_ssize_t at = self.at, left = self.left
        cdef int spare = self.spare, outside = self.outside, groups = self.groups
        while at < here:
            if not spare:
                raise TooManyFields
            if not outside and level == self.levels:
                raise TooManyFields(self.scale.max_fields)
            cursor = Cursor(data + at, data + min(here, level.end))
            if read_head(&cursor, &field) <= 0:
                # It may be cut.
                if here < level.end and here - at < MAX_HEAD:
                    break
                raise MalformedMessage
            at = cursor.at - data
            if field.size > level.end - at or (field.number == 0 and not groups):
                raise MalformedMessage
            self.fields += 1
            spare -= 1
            outside -= level == self.levels
            if field.kind == START:
                groups += 1
            elif field.kind == END:
                groups -= 1
            elif not groups:
                kind = self.scale.find(level.message, field.number)
                if kind != NULL:
                    if kind.is_part:
                        spare += 1
                    elif level.once:
                        level.once -= 1
                        spare += 1
                    left -= kind.weight
                    if kind.width and field.kind == LEN:
                        left -= kind.width * self.numbers(&field, kind.wire)
                    if left < 0:
                        raise TooHeavy("the message has far too many parts for its size")
                    if kind.message >= 0 and field.kind == LEN and field.size:
                        if level == &self.levels[DEEPEST - 1]:
                            raise TooHeavy("the message is nested too deep")
                        level += 1
                        level[0] = self.scale.level(kind.message, at + field.size)
                        continue
            if not 0 <= groups <= MAX_GROUP_DEPTH:
                raise MalformedMessage
            at += field.size
            while at == level.end:
                if groups:
                    raise MalformedMessage
                if level == self.levels:
                    break
                level -= 1
        self.depth = level - self.levels
        self.at, self.left, self.spare, self.outside, self.groups = at, left, spare, outside, groups
        return 0

    cdef Py_ssize_t numbers(self, Field* packed, int wire) noexcept nogil:
        """How many numbers are packed in a field; each varint ends with a byte below 128.

        Varints that have not come yet are passed over: no more memory than eight times their bytes.
        """
        cdef Py_ssize_t i, count = 0
        if wire == I32:
            return packed.size // 4
        if wire == I64:
            return packed.size // 8
        if self.is_whole:
            for i in range(packed.size):
                count += packed.data[i] < 0x80
        return count


_WIDTHS = {
    FieldDescriptor.CPPTYPE_BOOL: 1,
    FieldDescriptor.CPPTYPE_ENUM: 4,
    FieldDescriptor.CPPTYPE_FLOAT: 4,
    FieldDescriptor.CPPTYPE_INT32: 4,
    FieldDescriptor.CPPTYPE_UINT32: 4,
}
_FIXED = {
    FieldDescriptor.TYPE_DOUBLE: I64,
    FieldDescriptor.TYPE_FIXED32: I32,
    FieldDescriptor.TYPE_FIXED64: I64,
    FieldDescriptor.TYPE_FLOAT: I32,
    FieldDescriptor.TYPE_SFIXED32: I32,
    FieldDescriptor.TYPE_SFIXED64: I64,
}


def _kind(field, messages):
    """The field's `Kind` as a tuple; a submessage that is not among `messages` is appended."""
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


def scale_of(path, max_fields=0):
    """Weighs the requests of the gRPC method at `path`, whose service has to be known to protobuf."""
    method = descriptor_pool.Default().FindMethodByName(path[1:].replace("/", "."))
    return Scale(method.input_type, max_fields)


_scales = {}


def check_weight(message_type, bytes data not None):
    """Raises TooHeavy, TooManyFields or MalformedMessage unless it should be parsed as a `message_type`."""
    scale = _scales.get(message_type)
    if scale is None:
        scale = _scales[message_type] = Scale(message_type.DESCRIPTOR)
    scale.check(data)
