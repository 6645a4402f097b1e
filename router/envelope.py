"""The outside of a message: reads what routing needs and appends what a cell needs.

Only a message's top level is read. Tensors, rows and features stay the bytes that they were:
nothing is decoded, nothing encoded again. Two rules of protobuf's encoding carry this
(protobuf.dev/programming-guides/encoding):

- the last value of a field wins, so an appended field overrides whatever the caller wrote there;
- a field of an unexpected wire type is unknown, and passed over.

An appended field is only safe behind a message that is whole: behind a cut one, it would be
swallowed by the last field. So `scan` checks every length up to the end, groups included, and
anything malformed is refused here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from google.protobuf.message import DecodeError

from croupier.errors import InvalidRequest
from croupier.names import parse_version
from protos.inference.v2 import inference_pb2
from router.resolve import Ask, Target

_VARINT, _I64, _LEN, _START, _END, _I32 = 0, 1, 2, 3, 4, 5
_MAX_FIELD_NUMBER = 2**29 - 1
_MAX_GROUP_DEPTH = 100
_ARTIFACT_NUMBER = 1000

# (number, wire type, value, end): the value of a VARINT, else where the field's bytes start.
_Field: TypeAlias = tuple[int, int, int, int]


class MalformedMessage(InvalidRequest):
    """Bytes that are not a protobuf message. The caller's."""

    def __init__(self) -> None:
        super().__init__("the request is not a valid protobuf message", reason="MALFORMED_MESSAGE")


def scan(data: bytes) -> Iterator[_Field]:
    """The top-level fields of `data` in their order; what lies inside groups is passed over.

    Raises:
        MalformedMessage: at the first field that is not whole.
    """
    at, size = 0, len(data)
    groups: list[int] = []
    while at < size:
        tag, at = _varint(data, at)
        number, kind, value = tag >> 3, tag & 7, at
        if not 0 < number <= _MAX_FIELD_NUMBER:
            raise MalformedMessage
        if kind == _LEN:
            length, value = _varint(data, at)
            at = value + length
        elif kind == _VARINT:
            value, at = _varint(data, at)
        elif kind in (_START, _END):
            _nest(groups, number, kind)
        elif kind in (_I32, _I64):
            at += 4 if kind == _I32 else 8
        else:
            raise MalformedMessage
        if at > size:
            raise MalformedMessage
        if not groups:
            yield number, kind, value, at
    if groups:
        raise MalformedMessage


def read_infer(data: bytes) -> Ask:
    """What a ModelInferRequest asks for, its parameters `routing_key`, `label` and `tenant` included.

    Raises:
        InvalidRequest: malformed, text that is not UTF-8, a version that is not a number, or one
            of these parameters with a value that is not a string.
    """
    model = version = ""
    parameters: list[bytes] = []
    for number, kind, value, end in scan(data):
        if kind != _LEN:
            continue
        if number == 1:
            model = _text(data, value, end)
        elif number == 2:
            version = _text(data, value, end)
        elif number == 4:
            parameters.append(_record(b"\x22", data[value:end]))
    named = _parameters(b"".join(parameters)) if parameters else {}
    return Ask(
        model=model,
        version=parse_version(version),
        label=named.get("label", ""),
        key=named.get("routing_key", ""),
        tenant=named.get("tenant", ""),
    )


def read_model(data: bytes) -> Ask:
    """What a ModelReadyRequest or a ModelMetadataRequest asks for.

    Raises:
        InvalidRequest: as `read_infer`.
    """
    texts = {1: "", 2: ""}
    for number, kind, value, end in scan(data):
        if kind == _LEN and number in texts:
            texts[number] = _text(data, value, end)
    return Ask(texts[1], parse_version(texts[2], "version"))


def read_items(data: bytes, most: int) -> list[tuple[bytes, Ask]]:
    """The items of a PredictRequest, each as its bytes and what it asks for.

    Raises:
        InvalidRequest: malformed, no item, or more than `most`.
    """
    items = [data[value:end] for number, kind, value, end in scan(data) if number == 1 and kind == _LEN]
    if not items:
        raise InvalidRequest("the request has no items", field="items")
    if len(items) > most:
        raise InvalidRequest(f"the request has {len(items)} items, the most is {most}", field="items")
    return [(item, _read_item(item)) for item in items]


def read_frame(data: bytes) -> tuple[int, bytes]:
    """The id of a PredictStreamRequest and the bytes of its PredictRequest.

    Raises:
        MalformedMessage: not a protobuf message.
    """
    name, parts = 0, []
    for number, kind, value, end in scan(data):
        if number == 1 and kind == _VARINT:
            name = value
        elif number == 2 and kind == _LEN:
            # A message field that stands twice is merged, and messages merge by standing in a row.
            parts.append(data[value:end])
    return name, b"".join(parts)


def read_results(data: bytes) -> list[bytes]:
    """The results of a PredictResponse, each as its bytes.

    Raises:
        MalformedMessage: not a protobuf message.
    """
    return [data[value:end] for number, kind, value, end in scan(data) if number == 1 and kind == _LEN]


def status_code(result: bytes) -> int:
    """The gRPC status code of a Result of the prediction API; 0 for one with a value.

    Raises:
        MalformedMessage: not a protobuf message.
    """
    code = 0
    for number, kind, start, end in scan(result):
        if kind == _LEN and number == 1:
            code = 0
        elif kind == _LEN and number == 2:
            code = 0
            for inner, wire_type, value, _ in scan(result[start:end]):
                if inner == 1 and wire_type == _VARINT:
                    code = value
    return code


def append_infer(request: bytes, target: Target) -> bytes:
    """A ModelInferRequest or ModelMetadataRequest with the exact version and the artifact."""
    version = str(target.version).encode()
    return b"".join((request, _record(b"\x12", version), _record(_ARTIFACT_TAG, target.artifact)))


def append_item(item: bytes, target: Target) -> bytes:
    """An Item with the exact version and the artifact."""
    version = b"\x10" + _encoded(target.version)
    return b"".join((item, version, _record(_ARTIFACT_TAG, target.artifact)))


def append_versions(response: bytes, versions: Sequence[int]) -> bytes:
    """A ModelMetadataResponse with the versions that can be asked for."""
    return response + b"".join([_record(b"\x12", str(version).encode()) for version in versions])


def join_first(parts: Sequence[bytes]) -> bytes:
    """A message whose repeated field 1 is `parts`: a PredictRequest's items, a PredictResponse's results."""
    return b"".join([_record(b"\x0a", part) for part in parts])


def frame(name: int, field: int, payload: bytes) -> bytes:
    """A PredictStreamResponse: `field` is 2 for a response, 3 for a status."""
    return b"\x08" + _encoded(name) + _record(_encoded(field << 3 | _LEN), payload)


def _read_item(data: bytes) -> Ask:
    version = 0
    texts = {1: "", 3: "", 4: "", 5: ""}
    for number, kind, value, end in scan(data):
        if kind == _LEN and number in texts:
            texts[number] = _text(data, value, end)
        elif number == 2 and kind == _VARINT:
            version = value
    # Empty strings are as good as absent ones, in protobuf and here.
    return Ask(texts[1], version, label=texts[3], key=texts[5] or texts[4])


def _parameters(encoded: bytes) -> dict[str, str]:
    """Parameters are few, small and rare: protobuf itself reads them, maps and oneofs as it does."""
    try:
        parameters = inference_pb2.ModelInferRequest.FromString(encoded).parameters
    except DecodeError as error:
        raise MalformedMessage from error
    found = {}
    for name in ("routing_key", "label", "tenant"):
        if name in parameters:
            if parameters[name].WhichOneof("parameter_choice") != "string_param":
                raise InvalidRequest(f"the parameter {name} is not a string", field=f"parameters.{name}")
            found[name] = parameters[name].string_param
    return found


def _nest(groups: list[int], number: int, kind: int) -> None:
    if kind == _START:
        groups.append(number)
    elif not groups or groups.pop() != number:
        raise MalformedMessage
    if len(groups) > _MAX_GROUP_DEPTH:
        raise MalformedMessage


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at `at`, and where the next byte stands."""
    try:
        byte = data[at]
        if byte < 0x80:
            return byte, at + 1
        result, shift = byte & 0x7F, 7
        while True:
            at += 1
            byte = data[at]
            result |= (byte & 0x7F) << shift
            if byte < 0x80:
                return result & 0xFFFF_FFFF_FFFF_FFFF, at + 1
            shift += 7
            if shift > 63:
                raise MalformedMessage
    except IndexError:
        raise MalformedMessage from None


def _text(data: bytes, start: int, end: int) -> str:
    try:
        return data[start:end].decode()
    except UnicodeDecodeError as error:
        raise MalformedMessage from error


def _encoded(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _record(tag: bytes, payload: bytes) -> bytes:
    return b"".join((tag, _encoded(len(payload)), payload))


_ARTIFACT_TAG = _encoded(_ARTIFACT_NUMBER << 3 | _LEN)
