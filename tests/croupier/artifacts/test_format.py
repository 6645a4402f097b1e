"""The packed artifact: what goes in comes out, and no bytes at all crash its reader."""

import hashlib
import re
import struct

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from croupier.artifacts import format as artifact_format
from croupier.artifacts.datatypes import DATATYPES
from croupier.artifacts.format import (
    HEADER_SIZE,
    InvalidArtifact,
    Tensor,
    check_header,
    digest_of,
    pack,
    view,
)
from croupier.errors import InvalidRequest

WIDE = {
    "engine": "onnx",
    "features": ["age", "größe"],
    "accepts_missing": True,
    "inputs": [Tensor("input", "FP32", (-1, 2))],
    "outputs": [Tensor("label", "INT64", (-1,)), Tensor("probabilities", "FP32", (-1, 3))],
    "sections": {"model": b"m" * 100, "notes": b"", "tail": b"t"},
}
# Written down by hand from the module's table, so that a change of the format cannot pass unseen.
WIDE_BYTES = b"".join(
    [
        b"CROUPIER",
        struct.pack("<HHIQ", 1, 1, 59, 385),
        struct.pack("<HHHH", 2, 1, 2, 3),
        struct.pack("<QQ", 256, 100),
        struct.pack("<QQ", 384, 0),
        struct.pack("<QQ", 384, 1),
        struct.pack("<BBH7i", 10, 2, 0, -1, 2, 0, 0, 0, 0, 0),
        struct.pack("<BBH7i", 8, 1, 0, -1, 0, 0, 0, 0, 0, 0),
        struct.pack("<BBH7i", 10, 2, 0, -1, 3, 0, 0, 0, 0, 0),
        "\0".join(
            ["onnx", "age", "größe", "input", "label", "probabilities", "model", "notes", "tail"]
        ).encode(),
    ]
)


def packed(**changes):
    return pack(**{**WIDE, **changes})


def patched(offset, format, *values):
    """The wide artifact with some bytes overwritten."""
    data = bytearray(packed())
    struct.pack_into(format, data, offset, *values)
    return bytes(data)


def test_what_is_packed_is_viewed():
    artifact = view(packed())
    assert artifact.engine == "onnx"
    assert artifact.features == ("age", "größe")
    assert artifact.accepts_missing
    assert artifact.inputs == tuple(WIDE["inputs"])
    assert artifact.outputs == tuple(WIDE["outputs"])
    assert {name: bytes(content) for name, content in artifact.sections.items()} == WIDE["sections"]


@pytest.mark.parametrize(
    ("flags", "told"), [(0, {}), (1, {"accepts_missing"}), (2, {"finite"}), (4, {"complete"})]
)
def test_each_flag_is_a_bit_of_its_own(flags, told):
    names = ("accepts_missing", "finite", "complete")
    data = packed(**{name: name in told for name in names})
    assert data[10:12] == struct.pack("<H", flags)
    assert {name for name in names if getattr(view(data), name)} == set(told)


def test_the_layout_is_the_documented_one():
    data = packed()
    assert data[: len(WIDE_BYTES)] == WIDE_BYTES
    assert set(data[len(WIDE_BYTES) : 256]) == {0}
    assert data[256:356] == b"m" * 100
    assert set(data[356:384]) == {0}
    assert data[384:] == b"t"


def test_equal_arguments_give_equal_bytes_and_one_digest():
    assert packed() == packed()
    assert digest_of(packed()) == hashlib.sha256(packed()).digest()


def test_sections_are_aligned_read_only_slices_of_the_callers_buffer():
    data = packed()
    for content in view(data).sections.values():
        assert content.obj is data
        assert content.readonly
    offsets = [offset for offset, _ in struct.iter_unpack("<QQ", data[32:80])]
    assert [offset % 64 for offset in offsets] == [0, 0, 0]


def test_a_part_of_a_larger_buffer_can_be_viewed():
    data = packed()
    artifact = view(memoryview(b"xx" + data + b"yy")[2:-2])
    assert bytes(artifact.section("model")) == b"m" * 100


def test_a_missing_section_is_the_artifacts_fault():
    with pytest.raises(InvalidArtifact, match="'trees'"):
        view(packed()).section("trees")


def test_one_input_per_feature():
    inputs = [Tensor("age", "FP64", (-1, 1)), Tensor("größe", "INT64", (-1, 1))]
    assert view(packed(inputs=inputs)).inputs == tuple(inputs)


def test_an_artifact_needs_no_features():
    artifact = view(packed(features=(), inputs=[Tensor("pixels", "UINT8", (-1, 28, 28))]))
    assert artifact.features == ()


def test_an_output_may_have_an_unknown_dimension():
    output = Tensor("scores", "FP32", (-1, -1))
    assert view(packed(outputs=[output])).outputs == (output,)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"engine": ""}, "engine"),
        ({"engine": "Onnx"}, "engine"),
        ({"engine": "on\0nx"}, "engine"),
        ({"features": ["age", ""]}, "empty"),
        ({"features": ["age", "age"]}, "the same"),
        ({"features": ["age", "x" * 257]}, "longer than 256"),
        ({"features": ["age", "a\0b"]}, "control character"),
        ({"features": ["age", "a\nb"]}, "control character"),
        ({"features": ["age", "\ud800"]}, "not valid Unicode"),
        ({"features": ["age"]}, "neither"),
        ({"features": ["age", "size", "weight"]}, "neither"),
        ({"features": [f"f{i}" for i in range(32_769)]}, "32769 features"),
        ({"inputs": []}, "0 inputs"),
        ({"outputs": []}, "0 outputs"),
        ({"sections": {}}, "0 sections"),
        ({"sections": {f"s{i}": b"" for i in range(65)}}, "65 sections"),
        ({"outputs": [Tensor("y", "FP32", (-1,)), Tensor("y", "FP32", (-1,))]}, "the same"),
        ({"outputs": [Tensor("y", "FLOAT", (-1,))]}, "unknown datatype"),
        ({"outputs": [Tensor("y", "FP32", ())]}, "rank 0"),
        ({"outputs": [Tensor("y", "FP32", (-1,) * 8)]}, "rank 8"),
        ({"outputs": [Tensor("y", "FP32", (1, 3))]}, "first dimension"),
        ({"outputs": [Tensor("y", "FP32", (-1, 0))]}, "impossible"),
        ({"outputs": [Tensor("y", "FP32", (-1, -2))]}, "impossible"),
        ({"outputs": [Tensor("y", "FP32", (-1, 2**31))]}, "impossible"),
        ({"features": (), "inputs": [Tensor("x", "FP32", (-1, -1))]}, "not fixed"),
        ({"inputs": [Tensor("größe", "FP32", (-1, 1)), Tensor("age", "FP32", (-1, 1))]}, "neither"),
        ({"inputs": [Tensor("age", "FP32", (-1, 1)), Tensor("size", "FP32", (-1, 1))]}, "neither"),
    ],
)
def test_a_description_that_breaks_a_rule_is_not_packed(changes, problem):
    with pytest.raises(InvalidArtifact, match=problem) as caught:
        packed(**changes)
    assert isinstance(caught.value, InvalidRequest)
    assert caught.value.field == "artifact"


def test_names_have_a_limit_together():
    features = [f"{i:0256}" for i in range(20_000)]
    with pytest.raises(InvalidArtifact, match="longer than 4194304 bytes together"):
        packed(features=features, inputs=[Tensor("input", "FP32", (-1, 20_000))])


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "too few"),
        (b"CROUPIER", "too few"),
        (b"\0" * 64, "magic"),
        (patched(8, "<H", 2), "version 2"),
        (patched(10, "<H", 9), "unknown flags"),
        (patched(12, "<I", 2**32 - 1), "do not fit"),
        (patched(12, "<I", 20), "names where"),
        (patched(16, "<Q", 2**64 - 1), "should have 18446744073709551615 bytes"),
        (patched(24, "<H", 65_535), "65535 features"),
        (patched(26, "<H", 0), "0 inputs"),
        (patched(28, "<H", 4_096), "do not fit"),
        (patched(30, "<H", 65), "65 sections"),
        (patched(32, "<Q", 2**64 - 1), "a section lies at"),
        (patched(32, "<Q", 320), "a section lies at 320 where 256 is due"),
        (patched(40, "<Q", 2**64 - 1), "does not fit"),
        (patched(40, "<Q", 99), "not zero"),
        (patched(72, "<Q", 0), "1 bytes follow the last section"),
        (patched(80, "<B", 13), "datatype code 13"),
        (patched(81, "<B", 0), "bytes that should be zero"),
        (patched(81, "<B", 255), "rank 255"),
        (patched(82, "<H", 1), "bytes that should be zero"),
        (patched(84, "<i", 1), "first dimension"),
        (patched(108, "<i", 1), "bytes that should be zero"),
        (patched(176, "<B", 0xFF), "not valid UTF-8"),
        (patched(176, "<B", 0), "names where"),
        (patched(176, "<B", 10), "control character"),
        (patched(255, "<B", 1), "not zero"),
        (packed() + b"\0", "should have"),
        (packed()[:-1], "should have"),
    ],
)
def test_a_broken_file_is_refused(data, problem):
    with pytest.raises(InvalidArtifact, match=problem):
        view(data)


def test_names_of_a_file_have_a_limit_together():
    data = bytearray(WIDE_BYTES[:176] + b"x" * (artifact_format.MAX_NAMES_BYTES + 1))
    struct.pack_into("<IQ", data, 12, len(data) - 176, len(data))
    with pytest.raises(InvalidArtifact, match="together"):
        view(bytes(data))


def view_or_refuse(data):
    """Whatever the bytes: a checked artifact or InvalidArtifact."""
    try:
        artifact = view(data)
    except InvalidArtifact:
        return
    assert pack_again(artifact) == data


def pack_again(artifact):
    return pack(
        engine=artifact.engine,
        features=artifact.features,
        inputs=artifact.inputs,
        outputs=artifact.outputs,
        sections={name: bytes(content) for name, content in artifact.sections.items()},
        accepts_missing=artifact.accepts_missing,
        finite=artifact.finite,
        complete=artifact.complete,
    )


NAMES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20)
DIMENSIONS = st.integers(1, 2**31 - 1)


def tensors(dimensions):
    shapes = st.lists(dimensions, max_size=6).map(lambda rest: (-1, *rest))
    one = st.builds(Tensor, NAMES, st.sampled_from(sorted(DATATYPES)), shapes)
    return st.lists(one, min_size=1, max_size=4, unique_by=lambda tensor: tensor.name)


@st.composite
def descriptions(draw):
    features = draw(st.lists(NAMES, max_size=5, unique=True))
    if not features:
        inputs = draw(tensors(DIMENSIONS))
    elif draw(st.booleans()):
        inputs = [Tensor(draw(NAMES), "FP32", (-1, len(features)))]
    else:
        inputs = [Tensor(name, "FP64", (-1, 1)) for name in features]
    return {
        "engine": draw(st.from_regex(r"[a-z][a-z0-9_]{0,31}", fullmatch=True)),
        "features": features,
        "accepts_missing": draw(st.booleans()),
        "finite": draw(st.booleans()),
        "complete": draw(st.booleans()),
        "inputs": inputs,
        "outputs": draw(tensors(DIMENSIONS | st.just(-1))),
        "sections": draw(st.dictionaries(NAMES, st.binary(max_size=200), min_size=1, max_size=4)),
    }


@given(descriptions())
def test_any_legal_description_survives_the_round_trip(description):
    data = pack(**description)
    artifact = view(data)
    assert artifact.features == tuple(description["features"])
    assert artifact.inputs == tuple(description["inputs"])
    assert artifact.outputs == tuple(description["outputs"])
    assert {name: bytes(content) for name, content in artifact.sections.items()} == description["sections"]
    assert pack_again(artifact) == data


@settings(max_examples=300)
@given(st.binary(max_size=400) | st.binary(max_size=400).map(lambda tail: b"CROUPIER\x01\0" + tail))
@example(b"CROUPIER")
def test_random_bytes_are_refused(data):
    view_or_refuse(data)


@settings(max_examples=300)
@given(descriptions(), st.data())
def test_flipped_bits_are_refused_or_still_legal(description, draws):
    data = bytearray(pack(**description))
    for position in draws.draw(st.lists(st.integers(0, 8 * len(data) - 1), min_size=1, max_size=4)):
        data[position // 8] ^= 1 << position % 8
    view_or_refuse(bytes(data))


@settings(max_examples=300)
@given(descriptions(), st.data())
def test_overwritten_fields_are_refused_or_still_legal(description, draws):
    data = bytearray(pack(**description))
    width = draws.draw(st.sampled_from([1, 2, 4, 8]))
    offset = draws.draw(st.integers(0, len(data) - width))
    value = draws.draw(
        st.sampled_from([0, 1, 2 ** (8 * width - 1), 2 ** (8 * width) - 1]) | st.integers(0, 255)
    )
    data[offset : offset + width] = value.to_bytes(width, "little")
    view_or_refuse(bytes(data))


@given(descriptions(), st.integers(0, HEADER_SIZE - 1), st.integers(0, 255))
def test_a_header_is_refused_alone_for_what_the_whole_file_is_refused_for(description, position, value):
    data = bytearray(pack(**description))
    data[position] = value
    try:
        check_header(data[:HEADER_SIZE], len(data))
    except InvalidArtifact as refused:
        with pytest.raises(InvalidArtifact, match=re.escape(refused.message)):
            view(data)


@given(descriptions(), st.data())
def test_a_truncated_file_is_refused(description, draws):
    data = pack(**description)
    with pytest.raises(InvalidArtifact):
        view(data[: draws.draw(st.integers(0, len(data) - 1))])


@given(descriptions(), st.binary(min_size=1, max_size=200))
def test_a_file_with_something_behind_it_is_refused(description, rest):
    with pytest.raises(InvalidArtifact):
        view(pack(**description) + rest)


def test_files_with_equal_tables_share_what_they_say_and_nothing_else() -> None:
    tensors = {"inputs": [Tensor("x", "FP32", (-1, 2))], "outputs": [Tensor("y", "FP32", (-1, 1))]}
    one, two = (
        view(pack(engine="forest", features=["a", "b"], sections={"forest": content}, **tensors))  # type: ignore[arg-type]
        for content in (b"one", b"three")
    )
    assert one.features is two.features
    assert (bytes(one.section("forest")), bytes(two.section("forest"))) == (b"one", b"three")
