"""What replies say that a check needs, read quickly: nearly all of them look as one of ours does.

    read_infer(reply)     ModelInferResponse: name, version, values of its one output
    read_predict(reply)   PredictResponse: the items' versions, and their values of one output each

Values come as the bytes of float32s, versions as numbers: 0 if nothing is said, -1 for what is no number. A
reply that is laid out in another way is read by protobuf's own library (`plain_infer`, `plain_predict`),
which says what is right: where the quick ones know an answer it is the same. None is a reply that cannot be
read, or that has not one output of numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2

Inferred = tuple[bytes, int, bytes]
Predicted = tuple[list[int], bytes]

_VERSION_DIGITS = 19
_DATATYPES: dict[str, np.dtype[Any]] = {"FP32": np.dtype("<f4"), "FP64": np.dtype("<f8")}
# A value that has one float32, called "value": up to the float itself, and how far its end is.
_ONE_VALUE = b"\x0a\x11\x0a\x0f\x0a\x05value\x12\x06\x0a\x04"
_AT = len(_ONE_VALUE)
_END = _AT + 4
# Result.version and .took_us.
_VERSION, _TOOK = 0x18, 0x20
_MOST_TOOK_BYTES = 6

# Tensors that replies had, which are few different ones, and how many float32s they announce.
_known_outputs: dict[bytes, int] = {}
_MOST_OUTPUTS = 1_024


def read_infer(reply: bytes) -> Inferred | None:  # noqa: C901 - a call for each field takes as long as all of it
    """Of a ModelInferResponse in the raw form; others as `plain_infer` does."""
    name = version = output = raw = None
    at, end = 0, len(reply)
    try:
        while at < end:
            tag, size = reply[at], reply[at + 1]
            at += 2
            if size > 0x7F:
                high = reply[at]
                if high > 0x7F:
                    return plain_infer(reply)
                size += (high << 7) - 0x80
                at += 1
            begin, at = at, at + size
            if tag == 0x0A and name is None:
                name = reply[begin:at]
            elif tag == 0x12 and version is None:
                version = reply[begin:at]
            elif tag == 0x2A and output is None:
                output = reply[begin:at]
            elif tag == 0x32 and raw is None:
                raw = reply[begin:at]
            else:
                return plain_infer(reply)
    except IndexError:
        return None
    if at != end:
        return None
    count = _known_outputs.get(output or b"", -1)
    if raw is None or len(raw) != 4 * count or not (name or b"").isascii() or not (version or b"").isascii():
        return plain_infer(reply)
    return name or b"", _number(version or b""), raw


def plain_infer(reply: bytes) -> Inferred | None:
    try:
        response = inference_pb2.ModelInferResponse.FromString(reply)
    except DecodeError:
        return None
    if len(response.outputs) != 1:
        return None
    output = response.outputs[0]
    contents = output.contents
    if output.datatype not in _DATATYPES:
        return None
    dtype = _DATATYPES[output.datatype]
    typed = contents.fp32_contents if output.datatype == "FP32" else contents.fp64_contents
    raws = response.raw_output_contents
    if len(raws) > 1 or bool(raws) == bool(len(typed)):
        return None
    values = raws[0] if raws else np.array(typed, dtype).tobytes()
    if len(values) % dtype.itemsize:
        return None
    if raws and output.datatype == "FP32" and not output.HasField("contents"):
        _remember(output.SerializeToString(), len(values) // 4)
    return response.model_name.encode(), _number(response.model_version.encode()), _float32s(values, dtype)


def read_predict(reply: bytes) -> Predicted | None:
    """Of a PredictResponse of items that have one float each; others as `plain_predict` does."""
    versions, values = [], []
    at, end = 0, len(reply)
    try:
        while at < end:
            tag, size = reply[at], reply[at + 1]
            begin, at = at + 2, at + 2 + size
            if tag != 0x0A or size > 0x7F or at > end or not reply.startswith(_ONE_VALUE, begin):
                return plain_predict(reply)
            tail = reply[begin + _END : at]
            if tail[0] != _VERSION or tail[1] > 0x7F or not _is_took(tail):
                return plain_predict(reply)
            versions.append(tail[1])
            values.append(reply[begin + _AT : begin + _END])
    except IndexError:
        return plain_predict(reply)
    return versions, b"".join(values)


def plain_predict(reply: bytes) -> Predicted | None:
    try:
        response = prediction_pb2.PredictResponse.FromString(reply)
    except DecodeError:
        return None
    versions, values = [], []
    for result in response.results:
        outputs = result.value.outputs
        if len(outputs) != 1 or outputs[0].WhichOneof("values") != "numbers":
            return None
        versions.append(result.version)
        values.append(np.array(outputs[0].numbers.values, "<f4").tobytes())
    return versions, b"".join(values)


def _is_took(tail: bytes) -> bool:
    """Whether nothing follows the version, or one varint that says how long it took."""
    size = len(tail) - 2
    if size == 0:
        return True
    if not 2 <= size <= _MOST_TOOK_BYTES or tail[2] != _TOOK or tail[-1] > 0x7F:
        return False
    return size == 2 or min(tail[3:-1]) > 0x7F


def _number(version: bytes) -> int:
    if not version:
        return 0
    return int(version) if version.isdigit() and len(version) <= _VERSION_DIGITS else -1


def _float32s(values: bytes, dtype: np.dtype[Any]) -> bytes:
    """As float32s, if they are; else as they are, which are no float32s of anybody's."""
    if dtype.itemsize == 4:
        return values
    wide = np.frombuffer(values, dtype)
    with np.errstate(over="ignore"):
        narrow = wide.astype("<f4")
    return narrow.tobytes() if (narrow == wide).all() else values


def _remember(output: bytes, count: int) -> None:
    if len(_known_outputs) >= _MOST_OUTPUTS:
        _known_outputs.clear()
    _known_outputs[output] = count
