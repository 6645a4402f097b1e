"""Messages that are weighed as they arrive: refused as soon as it shows that they would be refused whole."""

from __future__ import annotations

import pytest
from fuzz.weights import Search

from croupier.fields import MAX_FIELDS, MalformedMessage, TooManyFields
from croupier.weight import Scale, TooHeavy, scale_of
from protos.inference.v2 import inference_pb2 as oip

MIB = 2**20
INFER = Scale(oip.ModelInferRequest.DESCRIPTOR, MAX_FIELDS)
PREDICT = scale_of("/croupier.prediction.v1.PredictionService/Predict", MAX_FIELDS)
STREAM = scale_of("/croupier.prediction.v1.PredictionService/PredictStream", MAX_FIELDS)
# Where the message around them says that it has 15 MiB.
INPUT = b"\x2a\x80\x80\xc0\x07"
ITEM = b"\x0a\x80\x80\xc0\x07"


def arrive(scale: Scale, data: bytes, size: int = 2**17 + 64, step: int = 16_384) -> None:
    """The first `size` bytes of `data`."""
    scale.check_pieces(data, range(step, size + step, step))


def test_mutants_have_the_end_that_a_plain_twin_gives_them() -> None:
    search = Search(20_261_127)
    search.run(6_000)
    assert search.differences == []
    assert search.ends.keys() == {"taken", "TooHeavy", "TooManyFields", "MalformedMessage"}


@pytest.mark.parametrize("around", [b"", INPUT], ids=["outside", "in an input"])
@pytest.mark.parametrize(
    "first",
    [
        b"\x0a\xff\xff\xff\x7f",  # longer than the message
        b"\x0a\x03abc\x0f",  # a wire type that there is not
        b"\xff" * 6,
        b"\x0a\x00\x0c",  # the end of no group
        b"\x00\x01",
        b"\x03\x04",
        b"\x08" + b"\xff" * 10,
        b"\x0b" * 101,
    ],
)
def test_what_is_no_protobuf_is_refused_by_its_first_bytes(around: bytes, first: bytes) -> None:
    first = around + first
    with pytest.raises(MalformedMessage):
        INFER.check_pieces(first + bytes(15 * MIB), [len(first) + 16])


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (b"\x2a\x03\x0a\x02a\x0a\x01x", "a field that ends behind its input"),
        (b"\x2a\x01\x0a\x01x", "an input that ends inside a tag's field"),
        (b"\x2a\x01\x7b\x7c", "a group that ends behind its input"),
    ],
)
def test_a_part_ends_where_it_says(first: bytes, reason: str) -> None:
    with pytest.raises(MalformedMessage):
        INFER.check_pieces(first + bytes(64), range(len(first) + 20))


@pytest.mark.parametrize("part", [b"\x2a\x00", b"\x0b\x0c", b"\x0b\x2a\x00\x0c"])
def test_very_many_fields_outside_are_refused_by_the_first_of_them(part: bytes) -> None:
    with pytest.raises(TooManyFields):
        arrive(INFER, part * MIB)


# What is not needed more than once or twice, inside of something that has it.
NEEDLESS = {
    "an input": (INFER, INPUT),
    "an input's contents": (INFER, INPUT + b"\x2a\xfb\xff\xbf\x07"),
    "an output": (INFER, b"\x32\x80\x80\xc0\x07"),
    "a parameter": (INFER, b"\x22\x80\x80\xc0\x07"),
    "a parameter's value": (INFER, b"\x22\x80\x80\xc0\x07" + b"\x12\xfb\xff\xbf\x07"),
    "an item": (PREDICT, ITEM),
    "features": (PREDICT, ITEM + b"\x32\xfb\xff\xbf\x07"),
    "a feature": (PREDICT, ITEM + b"\x32\xfb\xff\xbf\x07" + b"\x0a\xf6\xff\xbf\x07"),
    "a row": (PREDICT, ITEM + b"\x3a\xfb\xff\xbf\x07"),
    "a frame's item": (STREAM, b"\x12\x85\x80\xc0\x07" + ITEM),
}


@pytest.mark.parametrize("name", NEEDLESS)
@pytest.mark.parametrize("part", [b"\x78\x01", b"\x7a\x00", b"\x7b\x7c"], ids=["numbers", "texts", "groups"])
def test_very_many_fields_inside_are_refused_by_the_first_of_them(name: str, part: bytes) -> None:
    scale, around = NEEDLESS[name]
    with pytest.raises(TooManyFields):
        arrive(scale, around + part * (15 * MIB // 2))


@pytest.mark.parametrize(
    ("scale", "parts"),
    [
        (INFER, INPUT + b"\x22\x00" * (15 * MIB // 2)),
        (INFER, INPUT + b"\x2a\xfb\xff\xbf\x07" + b"\x42\x00" * (15 * MIB // 2)),
        (PREDICT, ITEM + b"\x32\xfb\xff\xbf\x07" + b"\x0a\x00" * (15 * MIB // 2)),
        (STREAM, b"\x12\x80\x80\xc0\x07" + b"\x0a\x00" * (15 * MIB // 2)),
    ],
    ids=["parameters", "texts", "features", "items of a frame"],
)
def test_very_many_empty_parts_are_refused_before_they_are_half_there(scale: Scale, parts: bytes) -> None:
    with pytest.raises(TooHeavy):
        arrive(scale, parts, 5 * MIB, MIB)


def test_packed_numbers_are_passed_over() -> None:
    """However many they may be; who parses them counts."""
    ones = (
        b"\x2a\x80\x80\xc0\x07" + b"\x2a\xfb\xff\xbf\x07" + b"\x1a\xf6\xff\xbf\x07" + b"\1" * (15 * MIB - 10)
    )
    _, spare, outside = INFER.check_pieces(ones, [16, len(ones)])
    assert (spare, outside) == (MAX_FIELDS, MAX_FIELDS - 1)
    with pytest.raises(TooHeavy):
        INFER.check(ones)
