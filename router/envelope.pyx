"""The outside of a message: reads what routing needs and appends what a cell needs.

Only a message's top level is read. Tensors, rows and features stay the bytes that they were:
nothing is decoded, nothing encoded again. Two rules of protobuf's encoding carry this
(protobuf.dev/programming-guides/encoding):

- the last value of a field wins, so an appended field overrides whatever the caller wrote there;
- a field of an unexpected wire type is unknown, and passed over.

An appended field is only safe behind a message that is whole: behind a cut one, it would be
swallowed by the last field. So every length is checked up to the end, groups included, and
anything malformed is refused here.

Native, because it is done for every request. Nearly all of what it takes is the making of `Ask`, which
remembered routes (`routes.pyx`) do without.

It is long because every reading of a message stands beside what is appended behind it.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_DecodeUTF8
from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcmp, memset

from croupier.errors import InvalidRequest
from croupier.names import parse_version
from croupier.priorities import PRIORITIES
from croupier.fields cimport (
    I64,
    LEN,
    MOST_FIELDS,
    VARINT,
    Cursor,
    Field,
    bytes_of,
    cursor_of,
    next_field,
    next_of,
    repeated,
)
from protos.numbers cimport (
    InferParameter_bool_param,
    InferParameter_double_param,
    InferParameter_int64_param,
    InferParameter_string_param,
    InferParameter_uint64_param,
    Item_entity_id,
    Item_fetched,
    Item_label,
    Item_model,
    Item_routing_key,
    Item_shared,
    Item_version,
    ModelInferRequest_artifact,
    ModelInferRequest_fetched,
    ModelInferRequest_generation,
    ModelInferRequest_model_name,
    ModelInferRequest_model_version,
    ModelInferRequest_owner,
    ModelInferRequest_parameters,
    ModelInferRequest_priority,
    ModelInferRequest_resident_only,
    ModelMetadataResponse_versions,
    ModelReadyRequest_name,
    ModelReadyRequest_version,
    ParametersEntry_key,
    ParametersEntry_value,
    PredictRequest_shared,
    PredictStreamRequest_id,
    PredictStreamRequest_request,
    PredictStreamResponse_id,
    Result_status,
    Result_value,
    Shared_entity_id,
    Shared_features,
    Shared_parameters,
    Status_code,
)
from croupier.fields import MalformedMessage
from version_manager.model.resolve import Ask

cdef enum:
    # The size of a parameter whose value is no string.
    NOT_TEXT = -1
    # More than it has, nine, for those to come and for some that are written twice.
    FIELDS_AN_ITEM = 16
    # Of what items share, for all of them together: it is read for each item, features go to cells with each.
    MOST_SHARED_BYTES = 4_194_304
    MOST_SHARED_FIELDS = 262_144


class ReservedField(InvalidRequest):
    """A field that only routers write. The caller's."""

    reason = "RESERVED_FIELD"

    def __init__(self, number):
        super().__init__(f"field {number} is written by routers alone", field=str(number))


def scan(bytes data not None):
    """The top-level fields of `data` in their order, each as (number, wire type, value, end).

    `value` is that of a VARINT, else where the field's bytes start. A group is one field.

    Raises:
        MalformedMessage: at the first field that is not whole.
    """
    cdef Cursor cursor = cursor_of(data)
    cdef Field field
    cdef int left = MOST_FIELDS
    cdef const uint8_t* begin = cursor.at
    cdef list found = []
    while next_of(&cursor, &field, &left):
        value = field.number_value if field.kind == VARINT else field.data - begin
        found.append((field.number, field.kind, value, cursor.at - begin))
    return found


def read_infer(bytes data not None):
    """What a ModelInferRequest asks for, its parameters `routing_key`, `label` and `tenant` included.

    Raises:
        InvalidRequest: malformed, text that is not UTF-8, a version that is not a number, or one
            of these parameters with a value that is not a string.
    """
    cdef Names names
    read_infer_names(<const uint8_t*>PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), &names)
    return ask_of(&names)


def read_model(bytes data not None):
    """What a ModelReadyRequest or a ModelMetadataRequest asks for.

    Raises:
        InvalidRequest: as `read_infer`.
    """
    cdef Cursor cursor = cursor_of(data)
    cdef Field field
    cdef int left = MOST_FIELDS
    cdef Text name = Text(NULL, 0), version = Text(NULL, 0)
    while next_of(&cursor, &field, &left):
        if field.kind == LEN and field.number == ModelReadyRequest_name:
            name = _text(&field)
        elif field.kind == LEN and field.number == ModelReadyRequest_version:
            version = _text(&field)
    return Ask(decoded(name), parse_version(decoded(version), "version"))


def read_items(bytes data not None, int most):
    """The items of a PredictRequest, each as its bytes and what it asks for.

    Raises:
        InvalidRequest: malformed, no item, or more than `most`.
    """
    cdef Names names
    cdef list items = repeated(data)
    cdef int left = fields_of(len(items))
    cdef Text entity = Text(NULL, 0)
    check_items(len(items), most)
    cdef list found = []
    for item in items:
        read_item_names(
            <const uint8_t*>PyBytes_AS_STRING(item), PyBytes_GET_SIZE(item), &names, &left, entity
        )
        found.append((item, ask_of(&names)))
    return found


def check_items(Py_ssize_t count, Py_ssize_t most):
    """Raises InvalidRequest if a PredictRequest may not have so many items."""
    if not count:
        raise InvalidRequest("the request has no items", field="items")
    if count > most:
        raise InvalidRequest(f"the request has {count} items, the most is {most}", field="items")


def read_frame(bytes data not None):
    """The id of a PredictStreamRequest and the bytes of its PredictRequest.

    Raises:
        MalformedMessage: not a protobuf message.
    """
    cdef Cursor cursor = cursor_of(data)
    cdef Field field
    cdef int left = MOST_FIELDS
    cdef uint64_t name = 0
    cdef list parts = []
    while next_of(&cursor, &field, &left):
        if field.number == PredictStreamRequest_id and field.kind == VARINT:
            name = field.number_value
        elif field.number == PredictStreamRequest_request and field.kind == LEN:
            parts.append(bytes_of(&field))
    if len(parts) == 1:
        return name, parts[0]
    # A message field that stands twice is merged, and messages merge by standing in a row: whole ones, for
    # halves would make one that nobody sent.
    for part in parts:
        scan(part)
    return name, b"".join(parts)


def read_results(bytes data not None):
    """The results of a PredictResponse, each as its bytes.

    Raises:
        MalformedMessage: not a protobuf message.
    """
    return repeated(data)


def failures_of(list results not None):
    """The places of the results that are errors, each with its gRPC status code.

    Raises:
        MalformedMessage: one is not a protobuf message.
    """
    cdef Py_ssize_t place
    cdef uint64_t code
    cdef list found = []
    for place in range(len(results)):
        code = status_code(<bytes>results[place])
        if code:
            found.append((place, code))
    return found


cpdef uint64_t status_code(bytes result) except? 99:
    """The gRPC status code of a Result of the prediction API; 0 for one with a value.

    Raises:
        MalformedMessage: not a protobuf message.
    """
    cdef Cursor cursor = cursor_of(result), inner
    cdef Field field, status
    cdef uint64_t code = 0
    while next_field(&cursor, &field):
        if field.kind != LEN:
            continue
        # Of a oneof, the last one stands; a status behind a status is merged into it.
        if field.number == Result_value:
            code = 0
        elif field.number == Result_status:
            inner = Cursor(field.data, field.data + field.size)
            while next_field(&inner, &status):
                if status.number == Status_code and status.kind == VARINT:
                    code = status.number_value
    return code


def infer_suffix(target):
    """What makes a ModelInferRequest or ModelMetadataRequest one for an exact version and its artifact."""
    version = str(target.version).encode()
    return b"".join((_record(_VERSION_TAG, version), _record(_ARTIFACT_TAG, target.artifact)))


def item_suffix(target):
    """The same for an Item."""
    return b"".join((_ITEM_VERSION_TAG, _encoded(target.version), _record(_ARTIFACT_TAG, target.artifact)))


def owner_field(owner):
    """Whose a request is, an unsigned number of 64 bits, for any message that has an artifact.

    Behind what the caller sent: of several the last one stands, so that no caller can say it. And behind
    everything else of ours but the generation and the marks: a cell looks at a message's last bytes for it
    (`who_at_end` in cell/codec/plain.pyx), and for one that does not know it these are cut off.
    """
    return _OWNER_TAG + owner.to_bytes(8, "little")


def shared_field(bytes message not None):
    """What the items of a PredictRequest share, as a field of it."""
    return _record(_tag(PredictRequest_shared, LEN), message)


def generation_field(number):
    """The shard map that dealt a request, in the same way, behind the owner; empty for 0, which is none."""
    return _GENERATION_TAG + number.to_bytes(8, "little") if number else b""


def marks(int priority, bint resident_only=False):
    """What one request says of itself, behind everything else: fields of any message that has an artifact.

    Empty for a request as any other. `priority` is one of `croupier.priorities.Priority`.
    """
    return _MARKS[2 * priority + resident_only]


def append_infer(bytes request not None, target):
    """A ModelInferRequest or ModelMetadataRequest with the exact version and the artifact."""
    return request + infer_suffix(target)


def append_item(bytes item not None, target):
    """An Item with the exact version and the artifact."""
    return item + item_suffix(target)


def append_versions(bytes response not None, versions):
    """A ModelMetadataResponse with the versions that can be asked for."""
    return response + b"".join([_record(_VERSIONS_TAG, str(version).encode()) for version in versions])


def frame(name, int field, bytes payload not None):
    """A PredictStreamResponse: `field` is 2 for a response, 3 for a status."""
    return b"".join((_ID_TAG, _encoded(name), _record(_tag(field, LEN), payload)))


# What a request names


cdef int read_infer_names(const uint8_t* data, Py_ssize_t size, Names* names) except -1:
    """What a ModelInferRequest names; raises as `read_infer`, but for texts, which stay bytes."""
    cdef Cursor cursor = Cursor(data, data + size)
    cdef Field field
    # Of the parameters' entries and their values as well.
    cdef int left = MOST_FIELDS
    memset(names, 0, sizeof(Names))
    while next_of(&cursor, &field, &left):
        if field.kind != LEN:
            continue
        if field.number == ModelInferRequest_model_name:
            names.model = _text(&field)
        elif field.number == ModelInferRequest_model_version:
            names.version = _text(&field)
        elif field.number == ModelInferRequest_parameters:
            _read_parameter(&field, names, &left)
        elif field.number == ModelInferRequest_fetched or field.number == Item_shared:
            raise ReservedField(field.number)
    _check_parameter(names.key, "routing_key")
    _check_parameter(names.label, "label")
    _check_parameter(names.tenant, "tenant")
    return 0


cdef int fields_of(Py_ssize_t items) noexcept:
    """How many fields so many items may have in all: as many as any message, and those that each may have."""
    return MOST_FIELDS + FIELDS_AN_ITEM * <int>min(items, MOST_FIELDS)


cdef int read_item_names(
    const uint8_t* data, Py_ssize_t size, Names* names, int* left, Text entity
) except -1:
    """What an Item names, of at most `left` fields; raises as `read_items`, but texts stay bytes.

    `entity` is what the request's items share, and is text.
    """
    cdef Cursor cursor = Cursor(data, data + size)
    cdef Field field
    cdef Text own = Text(NULL, 0)
    memset(names, 0, sizeof(Names))
    while next_of(&cursor, &field, left):
        if field.kind == LEN:
            if field.number == Item_model:
                names.model = _text(&field)
            elif field.number == Item_label:
                names.label = _text(&field)
            elif field.number == Item_entity_id:
                own = _text(&field)
            elif field.number == Item_routing_key:
                names.key = _text(&field)
            elif field.number == Item_fetched or field.number == Item_shared:
                raise ReservedField(field.number)
        elif field.kind == VARINT and field.number == Item_version:
            names.number = field.number_value
    if not names.key.size:
        names.key = own if own.size else entity
    else:
        check_text(own)
    return 0


cdef class Shared:
    """See envelope.pxd; made by `shared_of`."""


cdef Shared shared_of(list parts, Py_ssize_t items):
    """What `items` items share by the Shared messages in `parts`, which merge.

    Raises:
        InvalidRequest: malformed, text that is not UTF-8, or too much for so many items.
    """
    cdef Shared shared = Shared.__new__(Shared)
    cdef Cursor cursor
    cdef Field field
    cdef int left = MOST_FIELDS
    cdef list features = []
    shared._entity = b""
    for part in parts:
        cursor = cursor_of(part)
        while next_of(&cursor, &field, &left):
            if field.kind != LEN:
                continue
            if field.number == Shared_features:
                features.append(bytes_of(&field))
            elif field.number == Shared_entity_id:
                check_text(_text(&field))
                shared._entity = bytes_of(&field)
            elif field.number == Shared_parameters:
                _check_texts(&field, &left)
    shared.message, shared.features = b"".join(parts), b""
    shared.entity = Text(<const uint8_t*>PyBytes_AS_STRING(shared._entity), PyBytes_GET_SIZE(shared._entity))
    if features:
        if len(features) > 1:
            # As in `read_frame`.
            for part in features:
                scan(part)
        shared.features = _record(_SHARED_TAG, b"".join(features))
    if items * PyBytes_GET_SIZE(shared.message) > MOST_SHARED_BYTES:
        raise InvalidRequest(f"what is shared is too large for {items} items", field="shared")
    if items * (MOST_FIELDS - left) > MOST_SHARED_FIELDS:
        raise InvalidRequest(f"what is shared has too many parts for {items} items", field="shared")
    return shared


cdef int _check_texts(Field* entry, int* left) except -1:
    """Of an entry of a map from text to text."""
    cdef Cursor cursor = Cursor(entry.data, entry.data + entry.size)
    cdef Field field
    while next_of(&cursor, &field, left):
        if field.kind == LEN and field.number <= ParametersEntry_value:
            check_text(_text(&field))
    return 0


cdef object ask_of(Names* names):
    """The whole of `names` as text; raises InvalidRequest for what is not."""
    version = parse_version(decoded(names.version)) if names.version.size else names.number
    return Ask(
        decoded(names.model), version, decoded(names.label), decoded(names.key), decoded(names.tenant)
    )


cdef int _read_parameter(Field* entry, Names* names, int* left) except -1:
    """One entry of the map `parameters`: of two with the same key, the later one stands.

    An entry that holds anything but a key and a value is none: protobuf's library passes over it.
    """
    cdef Cursor cursor = Cursor(entry.data, entry.data + entry.size), inner
    cdef Field field, choice
    cdef Text key = Text(NULL, 0), value = Text(NULL, NOT_TEXT)
    while next_of(&cursor, &field, left):
        if field.kind != LEN or field.number > ParametersEntry_value:
            return 0
        if field.number == ParametersEntry_key:
            key = _text(&field)
        else:
            inner = Cursor(field.data, field.data + field.size)
            while next_of(&inner, &choice, left):
                if choice.number == InferParameter_string_param and choice.kind == LEN:
                    value = _text(&choice)
                elif _is_other_choice(&choice):
                    value.size = NOT_TEXT
    if _is(key, b"routing_key", 11):
        names.key = value
    elif _is(key, b"label", 5):
        names.label = value
    elif _is(key, b"tenant", 6):
        names.tenant = value
    return 0


cdef bint _is_other_choice(Field* field) noexcept nogil:
    """Whether the field is one of InferParameter's oneof that is not a string."""
    if field.kind == VARINT:
        return (
            field.number == InferParameter_bool_param
            or field.number == InferParameter_int64_param
            or field.number == InferParameter_uint64_param
        )
    return field.kind == I64 and field.number == InferParameter_double_param


cdef int _check_parameter(Text value, str name) except -1:
    if value.size == NOT_TEXT:
        raise InvalidRequest(f"the parameter {name} is not a string", field=f"parameters.{name}")
    return 0


cdef bint _is(Text text, const char* word, Py_ssize_t size) noexcept nogil:
    return text.size == size and memcmp(text.data, word, size) == 0


cdef Text _text(Field* field) noexcept nogil:
    return Text(field.data, field.size)


cdef str decoded(Text text):
    if not text.size:
        return ""
    try:
        return PyUnicode_DecodeUTF8(<const char*>text.data, text.size, NULL)
    except UnicodeDecodeError as error:
        raise MalformedMessage from error


cdef int check_text(Text text) except -1:
    """Raises MalformedMessage unless the text is UTF-8; nearly every one is plain ASCII."""
    cdef Py_ssize_t i
    cdef uint8_t seen = 0
    for i in range(text.size):
        seen |= text.data[i]
    if seen & 0x80:
        decoded(text)
    return 0


def _encoded(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _record(bytes tag, bytes payload):
    return b"".join((tag, _encoded(len(payload)), payload))


def _tag(int number, int kind):
    return _encoded(number << 3 | kind)


# The numbers are the same in every message that a cell is sent.
_ARTIFACT_TAG = _tag(ModelInferRequest_artifact, LEN)
_OWNER_TAG = _tag(ModelInferRequest_owner, I64)
_GENERATION_TAG = _tag(ModelInferRequest_generation, I64)
_PRIORITY_TAG = _tag(ModelInferRequest_priority, VARINT)
_RESIDENT_ONLY = _tag(ModelInferRequest_resident_only, VARINT) + b"\1"
# Each of two lengths in one byte, so that a cell knows them by a message's last bytes.
_MARKS = [
    (_PRIORITY_TAG + _encoded(priority) if priority else b"") + resident_only
    for priority in range(PRIORITIES)
    for resident_only in (b"", _RESIDENT_ONLY)
]
_SHARED_TAG = _tag(Item_shared, LEN)
_VERSION_TAG = _tag(ModelInferRequest_model_version, LEN)
_ITEM_VERSION_TAG = _tag(Item_version, VARINT)
_VERSIONS_TAG = _tag(ModelMetadataResponse_versions, LEN)
_ID_TAG = _tag(PredictStreamResponse_id, VARINT)
