"""How many rows a ModelInferRequest asks to have scored, for tenants that have a limit of them."""

from cpython.bytes cimport PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcmp

from croupier.fields cimport (
    LEN,
    MAX_VARINT,
    MOST_FIELDS,
    VARINT,
    Cursor,
    Field,
    cursor_of,
    next_of,
    read_varint,
)
from protos.numbers cimport InferInputTensor_name, InferInputTensor_shape, ModelInferRequest_inputs

from croupier.fetched import ENTITY_INPUT

cdef bytes _NAME = ENTITY_INPUT.encode()
cdef const char* _ENTITIES = _NAME
cdef Py_ssize_t _ENTITIES_SIZE = len(_NAME)


def rows_of(bytes request not None):
    """The first number of the first input's shape, which is that of the rows of every input.

    But for that of entities, which no model sees, so that cells do not look at its shape: it counts where
    there is no other. From one to as many as the request has bytes: none has fewer or more, whatever it says.

    Raises:
        MalformedMessage: not a protobuf message up to there.
    """
    cdef Cursor cursor = cursor_of(request)
    cdef Field field
    cdef int left = MOST_FIELDS
    cdef int64_t rows = 1
    while next_of(&cursor, &field, &left):
        if field.number == ModelInferRequest_inputs and field.kind == LEN and _read(&field, &rows, &left):
            break
    return max(<int64_t>1, min(rows, <int64_t>PyBytes_GET_SIZE(request)))


cdef bint _read(Field* whole, int64_t* rows, int* left) except -1:
    """The rows of one input; whether it is one that a model sees."""
    cdef Cursor cursor = Cursor(whole.data, whole.data + whole.size), packed
    cdef Field field
    cdef uint64_t number = 0
    cdef bint is_entities = False, is_known = False
    rows[0] = 1
    while next_of(&cursor, &field, left):
        if field.number == InferInputTensor_name and field.kind == LEN:
            is_entities = field.size == _ENTITIES_SIZE and not memcmp(field.data, _ENTITIES, _ENTITIES_SIZE)
        if field.number != InferInputTensor_shape or is_known:
            continue
        if field.kind == VARINT:
            rows[0], is_known = <int64_t>field.number_value, True
            continue
        packed = Cursor(field.data, field.data + field.size)
        # Of several parts that stand in a row the first may be empty.
        if field.kind == LEN and read_varint(&packed, &number, MAX_VARINT):
            rows[0], is_known = <int64_t>number, True
    return not is_entities
