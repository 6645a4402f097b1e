from __future__ import annotations

from random import Random
from typing import Any

import pytest
from google.protobuf import struct_pb2
from google.protobuf.message import Message
from support.weight_twin import DEEPEST, Refused, Twin

from croupier.fields import MAX_FIELDS, MalformedMessage, TooManyFields
from croupier.weight import TooHeavy, check_weight
from protos.cell.v1 import cell_pb2
from protos.inference.v2 import inference_pb2 as oip
from protos.prediction.v1 import prediction_pb2 as pb
from protos.versions.v1 import versions_pb2

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
    "texts": (INFER, lambda body: _field(5, _field(5, body)), _field(8, b"")),
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


# What nobody needs more than once or twice.
NEEDLESS = {
    "numbers that are not known": b"\x78\1",
    "texts that are not known": _field(15, b""),
    "names": _field(1, b""),
    "shapes of a number each": b"\x18\1",
    "shapes of one packed number each": _field(3, b"\1"),
    "groups": b"\x7b\x7c",
}


@pytest.mark.parametrize("name", NEEDLESS)
def test_fields_over_and_over(name: str) -> None:
    one = NEEDLESS[name]
    check_weight(INFER, _field(5, one * (MAX_FIELDS // 2)))
    with pytest.raises(TooManyFields):
        check_weight(INFER, _field(5, one * ((16 * MIB - 100) // len(one))))
    # Wherever they stand: so many inputs of that kind are no better than one.
    with pytest.raises(TooManyFields):
        check_weight(INFER, _field(5, one * 1_000) * 1_000)


def test_fields_inside_a_group() -> None:
    with pytest.raises(TooManyFields):
        check_weight(INFER, _field(5, (b"\x7b" + b"\x78\1" * 1_000 + b"\x7c") * 100))


def test_a_few_fields_of_the_next_release_in_each_part() -> None:
    row = pb.Features(features=[pb.Feature(name=f"f{place}", number=place) for place in range(20)])
    item = pb.Item(model="m", features=row).SerializeToString() + b"\x78\1" * 8
    check_weight(PREDICT, _field(1, item) * 1_024)


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
    # A group that the message around it ends.
    with pytest.raises(MalformedMessage):
        check_weight(INFER, _field(5, b"\x7b" + b"\x78\1" * SAFE))


@pytest.mark.parametrize("module", [oip, pb, cell_pb2, versions_pb2])
def test_our_messages_are_not_too_deep(module: Any) -> None:
    def depth(descriptor: Any) -> int:
        return 1 + max(
            (depth(field.message_type) for field in descriptor.fields if field.message_type), default=0
        )

    assert max(map(depth, module.DESCRIPTOR.message_types_by_name.values())) <= DEEPEST - 2


def test_an_unknown_field_is_bytes() -> None:
    check_weight(INFER, _field(15, bytes(15 * MIB)))


def verdict(message_type: type[Message], data: bytes) -> str:
    try:
        check_weight(message_type, data)
    except (TooHeavy, TooManyFields, MalformedMessage) as error:
        return type(error).__name__
    return "taken"


def told(message_type: type[Message], data: bytes) -> str:
    try:
        if len(data) > SAFE:
            Twin(len(data)).check(message_type.DESCRIPTOR, data)
    except Refused as error:
        return str(error)
    return "taken"


def _mutated(data: bytes, rng: Random) -> bytes:
    """Of 8 KiB to 200: bytes changed, cut and put in, and empty parts in a row."""
    changed = bytearray(data)
    for _ in range(rng.choice((0, 0, 1, 1, 2, 8))):
        at = rng.randrange(len(changed))
        if rng.random() < 0.5:
            changed[at] = rng.choice((0, 1, 2, 0x0A, 0x32, 0x7F, 0x80, 0xFF, rng.randrange(256)))
        else:
            end = at + rng.randrange(4)
            changed[at:end] = rng.randbytes(rng.randrange(4))
    empty = rng.choice((b"\x0a\0", b"\x22\0", b"\x2a\0", b"\x32\0", b"\x78\1", b"\x2a\x02\x22\0", b""))
    changed += empty * rng.choice((0,) * 6 + (100, 100, 100, 9_000, 9_000, 70_000))
    return bytes(changed)


def _with_parameters(count: int) -> oip.ModelInferRequest:
    request = oip.ModelInferRequest()
    for number in range(count):
        request.parameters[str(number)].string_param = "s"
        request.inputs.add(name="x", shape=[1, -1]).parameters["p"].int64_param = 7
    return request


def test_it_weighs_as_plain_python_does() -> None:
    seeds = [
        _features(20, 40),
        _features(2, 700),
        _typed(fp32_contents=[0.5] * 3_000),
        _typed(int64_contents=[300] * 5_000, bool_contents=[True] * 300),
        _typed(bytes_contents=[b"a"] * 4_000),
        _with_parameters(300),
    ]
    rng = Random(12)
    seen = set()
    for number in range(150):
        seed = seeds[number % len(seeds)]
        data = _mutated(seed.SerializeToString(deterministic=True), rng)
        expected = told(type(seed), data)
        assert verdict(type(seed), data) == expected
        seen.add((len(data) > SAFE, expected))
    assert seen >= {(True, "taken"), (True, "TooHeavy"), (True, "MalformedMessage"), (True, "TooManyFields")}
