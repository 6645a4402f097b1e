from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef enum:
    VARINT = 0
    I64 = 1
    LEN = 2
    START = 3
    END = 4
    I32 = 5

cdef enum:
    # Of a request that only passes through: a column of an input each for 16,000 features is far less.
    MOST_FIELDS = 65_536
    MAX_GROUP_DEPTH = 100
    # The most bytes of a number that is a value, of one that is a tag or a length, and of a tag and a value.
    MAX_VARINT = 10
    MAX_SHORT_VARINT = 5
    MAX_HEAD = 15

cdef struct Field:
    uint32_t number
    int kind
    uint64_t number_value  # of a VARINT
    const uint8_t* data  # where the value stands; behind its length for a LEN
    Py_ssize_t size

# Bytes inside of a message that is kept elsewhere.
cdef struct Text:
    const uint8_t* data
    Py_ssize_t size

cdef struct Cursor:
    const uint8_t* at
    const uint8_t* end

cdef Cursor cursor_of(bytes data) noexcept
cdef bytes bytes_of(Field* field)
cdef int next_field(Cursor* cursor, Field* field) except -1
cdef int next_of(Cursor* cursor, Field* field, int* left) except -1
cdef list repeated(bytes data)
cdef Py_ssize_t record_size(Py_ssize_t size) noexcept nogil
cdef Py_ssize_t varint_size(uint64_t value) noexcept nogil
cdef uint8_t* put_varint(uint8_t* out, uint64_t value) noexcept nogil
cdef uint8_t* put_head(uint8_t* out, Py_ssize_t size, int number=*) noexcept nogil


# Read a number of at most `most` bytes; of more than 64 bits, the lowest count.
cdef inline bint read_varint(Cursor* cursor, uint64_t* value, int most) noexcept nogil:
    cdef const uint8_t* at = cursor.at
    cdef int shift = 0
    cdef uint8_t byte
    # Nearly every one has a single byte.
    if at < cursor.end and at[0] < 0x80:
        value[0] = at[0]
        cursor.at = at + 1
        return True
    value[0] = 0
    while at < cursor.end and shift < 7 * most:
        byte = at[0]
        at += 1
        value[0] |= <uint64_t>(byte & 0x7F) << shift
        if byte < 0x80:
            cursor.at = at
            return True
        shift += 7
    return False


# Read a field up to where its `size` bytes begin, which need not be there: 1, 0 at the end, -1 if it is not
# whole.
cdef inline int read_head(Cursor* cursor, Field* field) noexcept nogil:
    cdef uint64_t tag, size = 0
    if cursor.at == cursor.end:
        return 0
    if not read_varint(cursor, &tag, MAX_SHORT_VARINT) or tag >> 32:
        return -1
    field.number, field.kind, field.data = tag >> 3, tag & 7, cursor.at
    field.size = 0
    if field.kind == VARINT:
        return 1 if read_varint(cursor, &field.number_value, MAX_VARINT) else -1
    if field.kind == START or field.kind == END:
        return 1
    if field.kind == LEN:
        if not read_varint(cursor, &size, MAX_SHORT_VARINT) or size >> 31:
            return -1
        field.data = cursor.at
    elif field.kind == I32:
        size = 4
    elif field.kind == I64:
        size = 8
    else:
        return -1
    field.size = size
    return 1
