"""How many rows a ModelInferRequest asks to have scored, for tenants that have a limit of them."""

from cpython.bytes cimport PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint64_t

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
from protos.numbers cimport InferInputTensor_shape, ModelInferRequest_inputs


def rows_of(bytes request not None):
    """The first number of the first input's shape, which is that of the rows of every input.

    From one to as many as the request has bytes: none has fewer or more, whatever it says.

    Raises:
        MalformedMessage: not a protobuf message up to there.
    """
    cdef Cursor cursor = cursor_of(request), inner, packed
    cdef Field field, dimension
    cdef int left = MOST_FIELDS
    cdef uint64_t number = 0
    cdef int64_t rows = 1
    while next_of(&cursor, &field, &left):
        if field.number != ModelInferRequest_inputs or field.kind != LEN:
            continue
        inner = Cursor(field.data, field.data + field.size)
        while next_of(&inner, &dimension, &left):
            if dimension.number != InferInputTensor_shape:
                continue
            if dimension.kind == VARINT:
                rows = <int64_t>dimension.number_value
                break
            packed = Cursor(dimension.data, dimension.data + dimension.size)
            # Of several parts that stand in a row the first may be empty.
            if dimension.kind == LEN and read_varint(&packed, &number, MAX_VARINT):
                rows = <int64_t>number
                break
        break
    return max(<int64_t>1, min(rows, <int64_t>PyBytes_GET_SIZE(request)))
