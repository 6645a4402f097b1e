from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import struct_pb2
from google.protobuf.message import Message

from croupier.fields import MalformedMessage
from croupier.weight import TooHeavy, check_weight
from protos.inference.v2 import inference_pb2 as oip
from protos.prediction.v1 import prediction_pb2 as pb

MIB = 2**20
# No message of so many bytes needs to be weighed.
SAFE = 8_192
INFER, PREDICT = oip.ModelInferRequest, pb.PredictRequest


def _field(number: int, value: bytes) -> bytes:
    size, head = len(value), bytearray([number << 3 | 2])
    while size > 0x7F:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([*head, size]) + value


EMPTY = {
    "inputs": (INFER, _field(5, b"")),
    "outputs": (INFER, _field(6, b"")),
    "parameters": (INFER, _field(4, b"")),
    "items": (PREDICT, _field(1, b"")),
}
INSIDE = {
    "features": (PREDICT, lambda body: _field(1, _field(6, body)), _field(1, b"")),
    "parameters of an input": (INFER, lambda body: _field(5, body), _field(4, b"")),
    "parameters of an output": (INFER, lambda body: _field(6, body), _field(2, b"")),
    "numbers": (INFER, lambda body: _field(5, _field(5, _field(3, body))), b"\1"),
    "a shape": (INFER, lambda body: _field(5, _field(3, body)), b"\1"),
}


@pytest.mark.parametrize("field", EMPTY)
def test_a_great_many_empty_parts(field: str) -> None:
    message_type, one = EMPTY[field]
    for count in (SAFE // 2 + SAFE, 8 * MIB - 1):
        with pytest.raises(TooHeavy):
            check_weight(message_type, one * count)
    # So many are not worth a look.
    check_weight(message_type, one * (SAFE // 2))


@pytest.mark.parametrize("field", INSIDE)
def test_a_great_many_inside_others(field: str) -> None:
    message_type, around, one = INSIDE[field]
    with pytest.raises(TooHeavy):
        check_weight(message_type, around(one * ((16 * MIB - 100) // len(one))))


def _features(items: int, features: int) -> pb.PredictRequest:
    row = pb.Features(features=[pb.Feature(name=f"f{place}", number=place) for place in range(features)])
    return pb.PredictRequest(items=[pb.Item(model="m", features=row)] * items)


def _typed(**contents: Any) -> oip.ModelInferRequest:
    request = oip.ModelInferRequest(model_name="m")
    request.inputs.add(name="x", datatype="FP32", shape=[1, 1], contents=oip.InferTensorContents(**contents))
    return request


@pytest.mark.parametrize(
    "message",
    [
        _features(1_024, 100),
        _features(1, 100_000),
        pb.PredictRequest(items=[pb.Item(model="m", row=pb.Row(values=[0.5] * 1_000))] * 1_024),
        _typed(fp32_contents=[0.5] * MIB),
        _typed(int64_contents=[1] * 4 * MIB),
        _typed(bytes_contents=[b"a"] * 100_000),
        oip.ModelInferRequest(inputs=[{"name": "x"}] * 3, raw_input_contents=[bytes(5 * MIB)] * 3),
    ],
    ids=lambda message: f"{type(message).__name__} of {message.ByteSize():,}",
)
def test_what_callers_send_is_taken(message: Message) -> None:
    check_weight(type(message), message.SerializeToString())


def test_nesting() -> None:
    deep = b""
    for _ in range(5_000):
        deep = _field(6, _field(1, deep))
    with pytest.raises(TooHeavy, match="deep"):
        check_weight(struct_pb2.Value, deep)


def test_what_is_no_message() -> None:
    with pytest.raises(MalformedMessage):
        check_weight(INFER, b"\xff" * (SAFE + 1))


def test_unknown_fields_are_bytes() -> None:
    check_weight(INFER, _field(15, bytes(MIB)) + b"\x78\1" * MIB)
