from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from google.protobuf import struct_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from croupier.fields import MAX_FIELDS, MalformedMessage, TooManyFields
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


def test_an_unknown_field_is_bytes() -> None:
    check_weight(INFER, _field(15, bytes(15 * MIB)))


# Weighed once more, in plain Python, to compare with.


class _Reading:
    """Protobuf's wire format, byte by byte; ValueError where something is not whole."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def varint(self, most: int) -> int:
        value = 0
        for place, byte in enumerate(self.data[self.at : self.at + most]):
            value |= (byte & 0x7F) << 7 * place
            if byte < 0x80:
                self.at += place + 1
                return value
        raise ValueError

    def take(self, size: int) -> bytes:
        if size >= 2**31 or self.at + size > len(self.data):
            raise ValueError
        self.at += size
        return self.data[self.at - size : self.at]

    def field(self) -> tuple[int, int, bytes]:
        """Number, kind and value."""
        tag = self.varint(5)
        kind = tag & 7
        if tag >= 2**32 or kind > 5:
            raise ValueError
        if kind == 0:
            self.varint(10)
            return tag >> 3, kind, b""
        return tag >> 3, kind, self.take(self.varint(5) if kind == 2 else {1: 8, 5: 4}.get(kind, 0))


class _Spare:
    """Fields that a message may have for nothing."""

    def __init__(self) -> None:
        self.left = MAX_FIELDS

    def take(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise IndexError


def fields(data: bytes, spare: _Spare) -> Iterator[tuple[int, int, bytes]]:
    """The fields outside of groups."""
    reading, groups = _Reading(data), list[int]()
    while reading.at < len(data):
        spare.take()
        number, kind, value = reading.field()
        if kind == 3:
            if number == 0 and not groups:
                raise ValueError
            groups.append(number)
        elif kind == 4:
            if not groups or groups.pop() != number:
                raise ValueError
        elif not groups:
            if number == 0:
                raise ValueError
            yield number, kind, value
    if groups:
        raise ValueError


_BYTES = {"BOOL": 1, "INT32": 4, "UINT32": 4, "FLOAT": 4, "ENUM": 4, "INT64": 8, "UINT64": 8, "DOUBLE": 8}
_OF_CPP = {getattr(FieldDescriptor, f"CPPTYPE_{name}"): size for name, size in _BYTES.items()}
_FIXED = {FieldDescriptor.TYPE_FLOAT: 4, FieldDescriptor.TYPE_DOUBLE: 8}


def weight(field: Any, kind: int, value: bytes) -> int:
    """Of a field alone, without what a submessage holds."""
    if field.message_type is not None:
        return 96 if field.message_type.GetOptions().map_entry else 64
    if not field.is_repeated:
        return 0
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return 32
    step = _FIXED.get(field.type)
    packed = len(value) // step if step else sum(byte < 0x80 for byte in value)
    return _OF_CPP[field.cpp_type] * (1 + packed * (kind == 2))


def weigh(descriptor: Any, data: bytes, left: int, spare: _Spare, depth: int = 100) -> int:
    """What is left of `left`; raises ValueError, OverflowError for too heavy, or IndexError for too many."""
    once = len(descriptor.fields)
    for number, kind, value in fields(data, spare):
        field = descriptor.fields_by_number.get(number)
        if field is None:
            continue
        inner = field.message_type
        if inner is not None or (field.is_repeated and field.cpp_type == FieldDescriptor.CPPTYPE_STRING):
            spare.left += 1
        elif once:
            once -= 1
            spare.left += 1
        left -= weight(field, kind, value)
        if left < 0 or (inner is not None and kind == 2 and not depth):
            raise OverflowError
        if kind == 2 and inner is not None:
            left = weigh(inner, value, left, spare, depth - 1)
    return left


def verdict(message_type: type[Message], data: bytes) -> str:
    try:
        check_weight(message_type, data)
    except (TooHeavy, TooManyFields, MalformedMessage) as error:
        return type(error).__name__
    return "taken"


def told(message_type: type[Message], data: bytes) -> str:
    try:
        if len(data) > SAFE:
            weigh(message_type.DESCRIPTOR, data, min(262_144 + 16 * len(data), 64 * MIB), _Spare())
    except ValueError:
        return "MalformedMessage"
    except OverflowError:
        return "TooHeavy"
    except IndexError:
        return "TooManyFields"
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
