"""Whose features a request is about: the entities that it names, and its parameters.

Read only for families that have stored features. An Item names one entity, and what the items of a request
share stands in for what it does not say itself. A ModelInferRequest names one in the parameter `entity_id`,
or one for each row in an input of texts called `croupier.entity_id`, which no model sees.

Everything stays bytes: an entity is a part of a key. Malformed messages were refused before
(`envelope.pyx`); only what stands inside of tensors is read here for the first time.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcmp, memcpy

from croupier.errors import InvalidRequest
from croupier.fields cimport LEN, MOST_FIELDS, Cursor, Field, bytes_of, next_of
from protos.numbers cimport (
    InferInputTensor_contents,
    InferInputTensor_datatype,
    InferInputTensor_name,
    InferParameter_string_param,
    InferTensorContents_bytes_contents,
    Item_entity_id,
    Item_parameters,
    ModelInferRequest_inputs,
    ModelInferRequest_parameters,
    ModelInferRequest_raw_input_contents,
    ParametersEntry_key,
    ParametersEntry_value,
    Shared_entity_id,
    Shared_parameters,
)

ENTITY_INPUT = "croupier.entity_id"
cdef bytes _INPUT = ENTITY_INPUT.encode()
cdef bytes _PARAMETER = b"entity_id"


def item_facts(bytes item not None, bytes shared=None):
    """The entities of an Item, and its parameters by name: b"" for an entity that is not named.

    `shared` is the request's Shared, which holds where the item says nothing.
    """
    cdef dict parameters = {}
    entity = b""
    if shared is not None:
        entity = _read_told(shared, Shared_entity_id, Shared_parameters, parameters)
    own = _read_told(item, Item_entity_id, Item_parameters, parameters)
    return (own or entity,), parameters


def infer_facts(bytes request not None, Py_ssize_t most):
    """The entities of a ModelInferRequest, one or one for each row, and its parameters that are texts.

    Raises:
        InvalidRequest: the input of entities is none of texts, is cut short, or names more than `most`.
    """
    cdef Cursor cursor = _all_of(request)
    cdef Field field
    cdef int left = MOST_FIELDS, inputs = 0, place = -1
    cdef list raws = []
    cdef list typed = None
    cdef dict parameters = {}
    while next_of(&cursor, &field, &left):
        if field.kind != LEN:
            continue
        if field.number == ModelInferRequest_parameters:
            _read_parameter(&field, parameters, &left, True)
        elif field.number == ModelInferRequest_inputs:
            if _is_entities(&field, &left):
                if place >= 0:
                    raise InvalidRequest(f"the input {ENTITY_INPUT} is there twice", field="inputs")
                place = inputs
                typed = _contents(&field, most, &left)
            inputs += 1
        elif field.number == ModelInferRequest_raw_input_contents:
            raws.append(bytes_of(&field) if len(raws) == place or place < 0 else None)
    if place < 0:
        return (parameters.get(_PARAMETER, b""),), parameters
    if raws and place < len(raws):
        typed = _split(raws[place], most)
    if not typed:
        raise InvalidRequest(f"the input {ENTITY_INPUT} has no elements", field=f"inputs[{place}]")
    return tuple(typed), parameters


cdef bytes _read_told(bytes message, int entity_number, int parameters_number, dict parameters):
    """The entity in a message; its parameters go into `parameters`."""
    cdef Cursor cursor = _all_of(message)
    cdef Field field
    cdef int left = MOST_FIELDS
    cdef bytes entity = b""
    while next_of(&cursor, &field, &left):
        if field.kind != LEN:
            continue
        if field.number == entity_number:
            entity = bytes_of(&field)
        elif field.number == parameters_number:
            _read_parameter(&field, parameters, &left, False)
    return entity


cdef int _read_parameter(Field* entry, dict parameters, int* left, bint is_choice) except -1:
    """An entry of a map to texts, or to InferParameters of which only texts count."""
    cdef Cursor cursor = Cursor(entry.data, entry.data + entry.size), inner
    cdef Field field, choice
    cdef bytes key = b""
    cdef bytes value = None if is_choice else b""
    while next_of(&cursor, &field, left):
        if field.kind != LEN:
            continue
        if field.number == ParametersEntry_key:
            key = bytes_of(&field)
        elif field.number == ParametersEntry_value and not is_choice:
            value = bytes_of(&field)
        elif field.number == ParametersEntry_value:
            inner = Cursor(field.data, field.data + field.size)
            while next_of(&inner, &choice, left):
                value = bytes_of(&choice) if choice.number == InferParameter_string_param else None
    if value is None:
        parameters.pop(key, None)
    else:
        parameters[key] = value
    return 0


cdef bint _is_entities(Field* whole, int* left) except -1:
    """Whether an input is that of the entities. Raises InvalidRequest if it is, and not of texts."""
    cdef Cursor cursor = Cursor(whole.data, whole.data + whole.size)
    cdef Field field
    cdef bint is_it = False, is_texts = False
    while next_of(&cursor, &field, left):
        if field.kind == LEN and field.number == InferInputTensor_name:
            is_it = _is(&field, _INPUT)
        elif field.kind == LEN and field.number == InferInputTensor_datatype:
            is_texts = _is(&field, b"BYTES")
    if is_it and not is_texts:
        raise InvalidRequest(f"the input {ENTITY_INPUT} is of BYTES", field="inputs.datatype")
    return is_it


cdef list _contents(Field* whole, Py_ssize_t most, int* left):
    """The elements of an input that has them in itself."""
    cdef Cursor cursor = Cursor(whole.data, whole.data + whole.size), inner
    cdef Field field, element
    cdef list found = []
    while next_of(&cursor, &field, left):
        if field.kind != LEN or field.number != InferInputTensor_contents:
            continue
        inner = Cursor(field.data, field.data + field.size)
        while next_of(&inner, &element, left):
            if element.kind == LEN and element.number == InferTensorContents_bytes_contents:
                _check_room(found, most)
                found.append(bytes_of(&element))
    return found


cdef list _split(bytes raw, Py_ssize_t most):
    """The elements of raw contents: each behind its length in four bytes."""
    cdef const uint8_t* at = <const uint8_t*>PyBytes_AS_STRING(raw)
    cdef const uint8_t* end = at + PyBytes_GET_SIZE(raw)
    cdef uint32_t size
    cdef list found = []
    while at != end:
        _check_room(found, most)
        if end - at < <Py_ssize_t>sizeof(size):
            raise _cut_short()
        memcpy(&size, at, sizeof(size))
        at += sizeof(size)
        if size > end - at:
            raise _cut_short()
        found.append(PyBytes_FromStringAndSize(<const char*>at, size))
        at += size
    return found


def _cut_short():
    return InvalidRequest(f"the input {ENTITY_INPUT} ends inside an element", field="raw_input_contents")


cdef int _check_room(list found, Py_ssize_t most) except -1:
    if len(found) == most:
        raise InvalidRequest(f"the input {ENTITY_INPUT} has more than {most} elements", field="inputs")
    return 0


cdef bint _is(Field* field, bytes word) noexcept:
    cdef Py_ssize_t size = PyBytes_GET_SIZE(word)
    return field.size == size and memcmp(field.data, PyBytes_AS_STRING(word), size) == 0


cdef Cursor _all_of(bytes message) noexcept:
    cdef const uint8_t* at = <const uint8_t*>PyBytes_AS_STRING(message)
    return Cursor(at, at + PyBytes_GET_SIZE(message))
