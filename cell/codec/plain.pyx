"""Reads plain requests natively: those that nearly every caller sends, and only those.

A ModelInferRequest is plain when it has one FP32 or FP64 input of two dimensions, in either form, and names
outputs without further wishes, or none; an Item when it has a dense row of floats or of doubles, or named
numbers. All texts are ASCII, and the fields few. Whatever else a message holds, or holds in another way than
an ordinary encoder writes it, makes it not plain: None. Then the general way decodes it with protobuf's own
library, which also says what is wrong with it. So nothing is refused here, and no answer depends on which way
a request goes. A request that is plain, but that the fence keeps out, is STALE.

It is long because both messages are read field by field, with what they share, and from their ends.

What reading takes of a whole request stands in docs/benchmarks.md (`python -m bench cell`, decode).
"""

import cython
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t
from libc.string cimport memcmp, memcpy

from cell.codec.fence cimport Fence
from croupier.fields cimport I64, LEN, VARINT, Cursor, Field, next_field, next_of
from protos.numbers cimport (
    InferInputTensor_contents,
    InferInputTensor_datatype,
    InferInputTensor_name,
    InferInputTensor_parameters,
    InferInputTensor_shape,
    InferRequestedOutputTensor_name,
    InferTensorContents_fp32_contents,
    InferTensorContents_fp64_contents,
    Item_artifact,
    Item_explain,
    Item_features,
    Item_fetched,
    Item_generation,
    Item_label,
    Item_model,
    Item_owner,
    Item_parameters,
    Item_priority,
    Item_resident_only,
    Item_routing_key,
    Item_row,
    Item_version,
    ModelInferRequest_artifact,
    ModelInferRequest_fetched,
    ModelInferRequest_generation,
    ModelInferRequest_id,
    ModelInferRequest_inputs,
    ModelInferRequest_model_name,
    ModelInferRequest_model_version,
    ModelInferRequest_outputs,
    ModelInferRequest_owner,
    ModelInferRequest_parameters,
    ModelInferRequest_priority,
    ModelInferRequest_raw_input_contents,
    ModelInferRequest_resident_only,
    ParametersEntry_key,
    ParametersEntry_value,
    PredictRequest_items,
    Row_doubles,
    Row_values,
)
from croupier.fields import MalformedMessage, TooManyFields
from croupier.priorities import PRIORITIES

cdef enum:
    # An owner or a generation, with its tag.
    _MARK_BYTES = 10
    # A priority or a flag, with its tag.
    _FLAG_BYTES = 3
    _DIGEST_BYTES = 32
    _MOST_PARAMETERS = 64
    # Of one request or item, those of its parameters among them; values and features are one each.
    _MOST_FIELDS = 512

cdef unsigned int _LOWEST = PRIORITIES - 1
cdef bytes _SHARED_MEMORY = b"shared_memory_region"
cdef bytes _EXPLAIN = b"explain"
cdef Fence _OPEN = Fence()

# Stands in for what the fence keeps out.
STALE = Plain.__new__(Plain)


# It holds messages, and numbers of one: nothing of it leads back to it.
@cython.no_gc
@cython.freelist(512)
cdef class Plain:
    """See plain.pxd. `features` and `values` are never both set."""


cdef class _NotPlain(Exception):
    """Ends the reading; never seen outside."""


def read_infer(bytes message not None, Fence fence not None=_OPEN):
    """The ModelInferRequest in `message` as a `Plain`: None if it is not plain, STALE if it is kept out."""
    cdef Plain plain = Plain.__new__(Plain)
    plain.message = message
    try:
        _read_infer(plain)
    except (_NotPlain, MalformedMessage, TooManyFields):
        return None
    return STALE if fence.keeps_out(plain.generation) else plain


def read_items(bytes message not None, Py_ssize_t most, Fence fence not None=_OPEN):
    """The items of a PredictRequest: a `Plain` for each, or its bytes if it is not plain, or kept out.

    None if the message is malformed, has anything but items, none of them, or more than `most`.
    """
    cdef Cursor cursor = _cursor_of(message)
    cdef Field field
    cdef list items = []
    cdef Plain plain
    try:
        while next_field(&cursor, &field):
            if field.number != PredictRequest_items or field.kind != LEN or len(items) == most:
                return None
            plain = Plain.__new__(Plain)
            plain.message = message
            try:
                _read_item(plain, &field, fence)
            except (_NotPlain, MalformedMessage, TooManyFields):
                items.append(PyBytes_FromStringAndSize(<const char*>field.data, field.size))
            else:
                items.append(plain)
    except MalformedMessage:
        return None
    return items or None


def who_at_end(bytes message not None):
    """The priority and the owner that a router wrote at the end of the message or of its last item; else 0.

    A generation may stand behind the owner, and marks behind that (`router/envelope.pyx`). For deciding who
    comes first without reading the rest. The priority is one that is known (`croupier/priorities.py`).
    """
    cdef _Tail tail = _tail_of(message)
    return min(tail.priority, _LOWEST), tail.owner


cdef struct _Tail:
    unsigned long long owner
    unsigned int priority


cdef _Tail _tail_of(bytes message) noexcept:
    """What is read from the last bytes: nothing where they end in another way than a router's."""
    cdef const char* begin = PyBytes_AS_STRING(message)
    cdef const char* end = begin + PyBytes_GET_SIZE(message)
    cdef _Tail tail = _Tail(0, 0)
    # An owner may end like a mark: what needs no mark has none.
    if _read_owner(begin, end, &tail.owner):
        return tail
    if end - begin >= _FLAG_BYTES and memcmp(end - _FLAG_BYTES, b"\xf0\x3e", 2) == 0:
        end -= _FLAG_BYTES
    if end - begin >= _FLAG_BYTES and memcmp(end - _FLAG_BYTES, b"\xe8\x3e", 2) == 0:
        tail.priority = <uint8_t>(end - 1)[0]
        end -= _FLAG_BYTES
    if not _read_owner(begin, end, &tail.owner):
        return _Tail(0, 0)
    return tail


cdef bint _read_owner(const char* begin, const char* end, unsigned long long* owner) noexcept:
    """Read the owner that ends at `end`, or before a generation that does; whether there is one."""
    if end - begin >= _MARK_BYTES and memcmp(end - _MARK_BYTES, b"\xd9\x3e", 2) == 0:
        end -= _MARK_BYTES
    if end - begin < _MARK_BYTES or memcmp(end - _MARK_BYTES, b"\xc9\x3e", 2) != 0:
        return False
    memcpy(owner, end - sizeof(owner[0]), sizeof(owner[0]))
    return True


cdef int _read_infer(Plain plain) except -1:
    cdef Cursor cursor = _cursor_of(plain.message)
    cdef Field field
    cdef Text contents = Text(NULL, 0), raw = Text(NULL, 0)
    cdef Py_ssize_t width
    cdef int inputs = 0, raws = 0, left = _MOST_FIELDS
    plain.is_tensor = True
    while next_of(&cursor, &field, &left):
        if field.number == ModelInferRequest_owner and field.kind == I64:
            memcpy(&plain.owner, field.data, sizeof(plain.owner))
            continue
        if field.number == ModelInferRequest_generation and field.kind == I64:
            memcpy(&plain.generation, field.data, sizeof(plain.generation))
            continue
        if field.kind == VARINT and field.number == ModelInferRequest_priority:
            plain.priority = <unsigned int>field.number_value
            continue
        if field.kind == VARINT and field.number == ModelInferRequest_resident_only:
            plain.resident_only = field.number_value != 0
            continue
        if field.kind != LEN:
            raise _NotPlain
        if field.number == ModelInferRequest_model_name:
            plain.name = _text(&field)
        elif field.number == ModelInferRequest_model_version:
            plain.version = _text(&field)
        elif field.number == ModelInferRequest_id:
            plain.id = _text(&field)
        elif field.number == ModelInferRequest_parameters:
            _check_parameter(plain, &field, &left)
        elif field.number == ModelInferRequest_inputs:
            inputs += 1
            _read_input(plain, &field, &contents, &left)
        elif field.number == ModelInferRequest_outputs:
            _read_output(plain, &field)
        elif field.number == ModelInferRequest_raw_input_contents:
            raws += 1
            raw = Text(field.data, field.size)
        elif field.number == ModelInferRequest_artifact:
            _read_artifact(plain, &field)
        elif field.number == ModelInferRequest_fetched:
            _read_fetched(plain, &field)
        else:
            raise _NotPlain
    if inputs != 1 or raws > 1 or (contents.data != NULL) == (raws == 1) or plain.artifact is None:
        raise _NotPlain
    plain.is_raw = raws == 1
    if raws:
        contents = raw
    plain.values, plain.size = contents.data, contents.size
    if plain.rows < 1 or plain.columns < 1 or plain.rows > plain.size or plain.columns > plain.size:
        raise _NotPlain
    width = sizeof(double) if plain.is_double else sizeof(float)
    if plain.size != plain.rows * plain.columns * width:
        raise _NotPlain
    return 0


cdef int _read_input(Plain plain, Field* whole, Text* contents, int* left) except -1:
    cdef Cursor cursor = Cursor(whole.data, whole.data + whole.size)
    cdef Field field
    cdef Text datatype
    cdef bint is_known = False, has_shape = False
    cdef int typed = 0
    while next_of(&cursor, &field, left):
        if field.kind != LEN:
            raise _NotPlain
        if field.number == InferInputTensor_name:
            plain.input = _text(&field)
        elif field.number == InferInputTensor_datatype:
            # The last one counts, but one before it that is no text is an error.
            datatype = _text(&field)
            is_known = datatype.size == 4 and memcmp(datatype.data, b"FP32", 4) == 0
            plain.is_double = not is_known and datatype.size == 4 and memcmp(datatype.data, b"FP64", 4) == 0
            is_known |= plain.is_double
        elif field.number == InferInputTensor_shape and not has_shape:
            has_shape = True
            _read_shape(plain, &field)
        elif field.number == InferInputTensor_parameters:
            _check_parameter(plain, &field, left)
        elif field.number == InferInputTensor_contents and contents.data == NULL:
            typed = _read_contents(&field, contents)
        else:
            raise _NotPlain
    if not is_known or not has_shape:
        raise _NotPlain
    if typed and plain.is_double != (typed == InferTensorContents_fp64_contents):
        raise _NotPlain
    return 0


cdef int _read_output(Plain plain, Field* whole) except -1:
    """A name, and nothing else."""
    cdef Cursor cursor = Cursor(whole.data, whole.data + whole.size)
    cdef Field field
    if plain.output_count == MOST_OUTPUTS:
        raise _NotPlain
    if not next_field(&cursor, &field) or field.kind != LEN or cursor.at != cursor.end:
        raise _NotPlain
    if field.number != InferRequestedOutputTensor_name:
        raise _NotPlain
    plain.outputs[plain.output_count] = _text(&field)
    plain.output_count += 1
    return 0


cdef int _read_shape(Plain plain, Field* field) except -1:
    """Two packed numbers."""
    cdef const uint8_t* at = field.data
    cdef const uint8_t* end = at + field.size
    plain.rows = _number(&at, end)
    plain.columns = _number(&at, end)
    if at != end:
        raise _NotPlain
    return 0


cdef Py_ssize_t _number(const uint8_t** at, const uint8_t* end) except -1:
    """A number of up to 28 bits: more is no count of rows or columns."""
    cdef Py_ssize_t value = 0
    cdef int shift
    cdef uint8_t byte
    for shift in range(0, 28, 7):
        if at[0] == end:
            break
        byte = at[0][0]
        at[0] += 1
        value |= <Py_ssize_t>(byte & 0x7F) << shift
        if byte < 0x80:
            return value
    raise _NotPlain


cdef int _read_contents(Field* whole, Text* contents) except -1:
    """Packed floats or doubles, and nothing else: the number of their field."""
    cdef Cursor cursor = Cursor(whole.data, whole.data + whole.size)
    cdef Field field
    if not next_field(&cursor, &field) or field.kind != LEN or cursor.at != cursor.end:
        raise _NotPlain
    if field.number not in (InferTensorContents_fp32_contents, InferTensorContents_fp64_contents):
        raise _NotPlain
    contents[0] = Text(field.data, field.size)
    return field.number


cdef int _read_item(Plain plain, Field* whole, Fence fence) except -1:
    cdef Cursor cursor = Cursor(whole.data, whole.data + whole.size)
    cdef Field field
    cdef int left = _MOST_FIELDS
    while next_of(&cursor, &field, &left):
        if field.number == Item_version and field.kind == VARINT:
            plain.number = field.number_value
            continue
        if field.number == Item_owner and field.kind == I64:
            memcpy(&plain.owner, field.data, sizeof(plain.owner))
            continue
        if field.number == Item_generation and field.kind == I64:
            memcpy(&plain.generation, field.data, sizeof(plain.generation))
            continue
        if field.kind == VARINT and field.number == Item_priority:
            plain.priority = <unsigned int>field.number_value
            continue
        if field.kind == VARINT and field.number == Item_resident_only:
            plain.resident_only = field.number_value != 0
            continue
        if field.kind == VARINT and field.number == Item_explain:
            plain.is_explained = field.number_value != 0
            continue
        if field.kind != LEN:
            raise _NotPlain
        if field.number == Item_model or Item_label <= field.number <= Item_routing_key:
            _text(&field)
        elif field.number == Item_features and plain.values == NULL and plain.features == NULL:
            plain.features, plain.size = field.data, field.size
        elif field.number == Item_row and plain.values == NULL and plain.features == NULL:
            _read_row(plain, &field)
        elif field.number == Item_artifact:
            _read_artifact(plain, &field)
        elif field.number == Item_fetched:
            _read_fetched(plain, &field)
        elif field.number == Item_parameters:
            _check_texts(plain, &field, &left)
        else:
            raise _NotPlain
    if plain.values == NULL and plain.features == NULL and plain.fetched.data != NULL:
        # No features are named ones.
        plain.features, plain.size = whole.data, 0
    if plain.artifact is None or (plain.values == NULL and plain.features == NULL):
        raise _NotPlain
    if fence.keeps_out(plain.generation):
        raise _NotPlain
    plain.rows = 1
    return 0


cdef int _read_row(Plain plain, Field* whole) except -1:
    """One of its two lists, packed, and nothing else."""
    cdef Cursor cursor = Cursor(whole.data, whole.data + whole.size)
    cdef Field field
    if not next_field(&cursor, &field) or field.kind != LEN or cursor.at != cursor.end:
        raise _NotPlain
    if field.number != Row_values and field.number != Row_doubles:
        raise _NotPlain
    plain.values, plain.size, plain.is_double = field.data, field.size, field.number == Row_doubles
    return 0


cdef int _read_artifact(Plain plain, Field* field) except -1:
    if field.size != _DIGEST_BYTES:
        raise _NotPlain
    plain.artifact = PyBytes_FromStringAndSize(<const char*>field.data, field.size)
    return 0


cdef int _read_fetched(Plain plain, Field* field) except -1:
    """The last one counts, and an empty one is none."""
    plain.fetched = Text(field.data, field.size)
    if not field.size:
        plain.fetched.data = NULL
    return 0


cdef int _check_texts(Plain plain, Field* entry, int* left) except -1:
    """An entry of a map from text to text."""
    cdef Cursor cursor = Cursor(entry.data, entry.data + entry.size)
    cdef Field field
    plain.parameter_count += 1
    if plain.parameter_count > _MOST_PARAMETERS:
        raise _NotPlain
    while next_of(&cursor, &field, left):
        if field.kind != LEN or field.number > ParametersEntry_value:
            raise _NotPlain
        _text(&field)
    return 0


cdef int _check_parameter(Plain plain, Field* entry, int* left) except -1:
    """An entry of a map from text to InferParameter is whole, down to its last field.

    Of very many the general way says that they take too much memory once they are parsed.
    """
    cdef Cursor cursor = Cursor(entry.data, entry.data + entry.size), inner
    cdef Field field, choice
    cdef Text name
    plain.parameter_count += 1
    if plain.parameter_count > _MOST_PARAMETERS:
        raise _NotPlain
    while next_of(&cursor, &field, left):
        if field.kind != LEN:
            raise _NotPlain
        if field.number == ParametersEntry_key:
            name = _text(&field)
            # Values that lie elsewhere: the general way says that they are not read.
            if name.size == len(_SHARED_MEMORY) and not memcmp(
                name.data, <const char*>_SHARED_MEMORY, name.size
            ):
                raise _NotPlain
            # Whatever its value is.
            if name.size == len(_EXPLAIN) and not memcmp(name.data, <const char*>_EXPLAIN, name.size):
                plain.is_explained = True
            continue
        inner = Cursor(field.data, field.data + field.size)
        while next_of(&inner, &choice, left):
            if choice.kind == LEN:
                _text(&choice)
            elif choice.kind != VARINT and choice.kind != I64:
                raise _NotPlain
    return 0


cdef Text _text(Field* field) except *:
    """ASCII, which is valid UTF-8 for certain."""
    cdef Py_ssize_t i
    cdef uint8_t seen = 0
    for i in range(field.size):
        seen |= field.data[i]
    if seen & 0x80:
        raise _NotPlain
    return Text(field.data, field.size)


cdef Cursor _cursor_of(bytes message) noexcept:
    cdef const uint8_t* at = <const uint8_t*>PyBytes_AS_STRING(message)
    return Cursor(at, at + PyBytes_GET_SIZE(message))
