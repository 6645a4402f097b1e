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

cdef struct Field:
    uint32_t number
    int kind
    uint64_t number_value  # of a VARINT
    const uint8_t* data  # where the value stands; behind its length for a LEN
    Py_ssize_t size

cdef struct Cursor:
    const uint8_t* at
    const uint8_t* end

cdef struct Ahead:
    # Of a message that is arriving: where the next field begins, in how many groups, and how many were seen.
    Py_ssize_t at
    int depth
    int seen

cdef Cursor cursor_of(bytes data) noexcept
cdef bytes bytes_of(Field* field)
cdef int next_field(Cursor* cursor, Field* field) except -1
cdef int next_of(Cursor* cursor, Field* field, int* left) except -1
cdef int look_ahead(Ahead* ahead, const uint8_t* data, Py_ssize_t here, Py_ssize_t size, int most) except -1
cdef list repeated(bytes data)
cdef Py_ssize_t record_size(Py_ssize_t size) noexcept nogil
cdef Py_ssize_t varint_size(uint64_t value) noexcept nogil
cdef uint8_t* put_varint(uint8_t* out, uint64_t value) noexcept nogil
cdef uint8_t* put_head(uint8_t* out, Py_ssize_t size, int number=*) noexcept nogil
