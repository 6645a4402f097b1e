"""Blobs of features: what was written is read, what is damaged refused; the layout is the documented one."""

import math
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xxhash import xxh3_64_intdigest

from croupier.errors import DataLoss, InvalidRequest
from croupier.stores.feature_blob import (
    MAX_BODY_BYTES,
    MAX_EVENT_MS,
    MAX_FEATURES,
    BadBlob,
    BadFeatures,
    BadSchema,
    Schema,
    decode,
    encode,
    header,
)

MIXED = Schema([("age", "number"), ("city", "text"), ("score", "number")])
NUMBERS = Schema([("a", "number"), ("b", "number")])
EVENT = 1_700_000_000_000

names = st.text(
    st.characters(exclude_categories=["C", "Z"], exclude_characters="/\\"), min_size=1, max_size=8
)


@st.composite
def schemas(draw):
    found = draw(st.lists(st.tuples(names, st.sampled_from(["number", "text"])), min_size=1, max_size=20))
    try:
        return Schema({name: (name, dtype) for name, dtype in found}.values())
    except BadFeatures:
        # A name that is not in normal form C, or one of dots alone.
        return MIXED


@st.composite
def blobs(draw):
    schema = draw(schemas())
    values = {}
    for name, dtype in schema.features:
        if draw(st.booleans()):
            values[name] = draw(st.floats(allow_nan=False) if dtype == "number" else st.text(max_size=40))
    event = draw(st.integers(1, MAX_EVENT_MS))
    return schema, values, event, encode(schema, values, event, compress=draw(st.booleans()))


@given(blobs())
def test_what_was_encoded_is_decoded(made):
    schema, values, event, blob = made
    assert decode(blob, schema) == (event, values)
    assert header(blob) == (schema.fingerprint, event)


@given(blobs())
def test_every_part_of_a_blob_is_none(made):
    schema, _, _, blob = made
    for length in range(len(blob)):
        with pytest.raises(BadBlob):
            decode(blob[:length], schema)
    with pytest.raises(BadBlob):
        decode(blob + b"\0", schema)


@given(blobs(), st.data())
def test_damage_is_another_value_or_refused(made, data):
    schema, _, _, blob = made
    at = data.draw(st.integers(0, len(blob) - 1))
    damaged = blob[:at] + bytes([blob[at] ^ data.draw(st.integers(1, 255))]) + blob[at + 1 :]
    try:
        _, values = decode(damaged, schema)
    except BadBlob:
        return
    assert values.keys() <= schema.positions.keys()


@given(schemas(), st.binary(max_size=200))
def test_any_bytes_are_values_or_refused(schema, body):
    for flags in (0, 1):
        start = struct.pack("<BBHQq", 1, flags, len(schema.features), schema.fingerprint, EVENT)
        try:
            _, values = decode(start + body, schema)
        except BadBlob:
            continue
        assert all(
            isinstance(values[name], float if kind == "number" else str)
            for name, kind in schema.features
            if name in values
        )


@given(schemas())
def test_a_schema_is_parsed_from_its_json(schema):
    found = Schema.parse(schema.json)
    assert (found, found.fingerprint, hash(found)) == (schema, schema.fingerprint, hash(schema))


def test_the_layout_is_the_documented_one():
    described = b'{"features":[["age","number"],["city","text"],["score","number"]]}'
    assert MIXED.json == described
    assert MIXED.fingerprint == xxh3_64_intdigest(described)
    assert encode(MIXED, {"age": 41, "city": "Köln"}, EVENT) == (
        struct.pack("<BBHQq", 1, 0, 3, MIXED.fingerprint, EVENT)
        + bytes([0b011])
        + struct.pack("<d", 41.0)
        + struct.pack("<I", 5)
        + "Köln".encode()
    )


def test_quotes_of_names_are_escaped_and_nothing_else_is():
    schema = Schema([('q"ü', "number")])
    assert schema.json == '{"features":[["q\\"ü","number"]]}'.encode()
    assert Schema.parse(schema.json) == schema


def test_what_is_no_number_is_missing():
    assert decode(encode(NUMBERS, {"a": math.nan, "b": 1.0}, EVENT), NUMBERS)[1] == {"b": 1.0}
    assert decode(encode(NUMBERS, {"a": None, "b": 1.0}, EVENT), NUMBERS)[1] == {"b": 1.0}
    whole = bytearray(encode(NUMBERS, {"a": 2.0, "b": 1.0}, EVENT))
    whole[21:29] = struct.pack("<d", math.nan)
    assert decode(bytes(whole), NUMBERS)[1] == {"b": 1.0}
    partly = bytearray(encode(MIXED, {"age": 2.0, "city": ""}, EVENT))
    partly[21:29] = struct.pack("<d", math.nan)
    assert decode(bytes(partly), MIXED)[1] == {"city": ""}


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"other": 1.0}, "other"),
        ({"age": "old"}, "age"),
        ({"age": True}, "age"),
        ({"age": 10**400}, "age"),
        ({"city": 1.0}, "city"),
        ({"city": "\ud800"}, "city"),
        ({"city": "x" * MAX_BODY_BYTES}, "values"),
    ],
)
def test_values_that_no_blob_can_have_are_the_writers_fault(values, field):
    with pytest.raises(BadFeatures) as caught:
        encode(MIXED, values, EVENT)
    assert caught.value.field == field
    assert isinstance(caught.value, InvalidRequest)


@pytest.mark.parametrize("event", [0, -1, MAX_EVENT_MS + 1])
def test_a_time_in_other_units_is_refused(event):
    with pytest.raises(BadFeatures, match="event time"):
        encode(MIXED, {}, event)
    with pytest.raises(BadBlob, match="event time"):
        header(struct.pack("<BBHQq", 1, 0, 3, MIXED.fingerprint, event) + b"\0")


@pytest.mark.parametrize(
    "features",
    [
        [],
        [("a", "number")] * 2,
        [("a", "int")],
        [("", "number")],
        [("a/b", "number")],
        [(1, "number")],
        [(f"f{at}", "number") for at in range(MAX_FEATURES + 1)],
    ],
)
def test_features_that_make_no_schema(features):
    with pytest.raises(BadFeatures):
        Schema(features)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"features":[]}',
        b'{"features":[["a"]]}',
        b'{"features":[["a",["number"]]]}',
        b'{"features": [["a", "number"]]}',
        b'{"features":[["a","number"]],"more":1}',
    ],
)
def test_bytes_that_are_no_schema(data):
    with pytest.raises(BadSchema):
        Schema.parse(data)


def blob_of(count=2, flags=0, version=1, fingerprint=NUMBERS.fingerprint, body=b"\x00"):
    return struct.pack("<BBHQq", version, flags, count, fingerprint, EVENT) + body


@pytest.mark.parametrize(
    ("blob", "words"),
    [
        (b"", "too few"),
        (blob_of(version=2), "format 2"),
        (blob_of(flags=2), "flags 0x2"),
        (blob_of(count=3), "not of this one"),
        (blob_of(fingerprint=1), "not of this one"),
        (blob_of(body=b"\x04"), "beyond its last"),
        (blob_of(body=b"\x03" + bytes(15)), "ends within its values"),
        (blob_of(body=b"\x01" + bytes(7)), "within its values"),
        (blob_of(body=b"\x00" * 2), "behind its last"),
        (blob_of(flags=1, body=b"\x99\x99"), "decompressed"),
        (blob_of(flags=1, body=zlib.compress(b"\x00")[:-1]), "not whole"),
        (blob_of(flags=1, body=zlib.compress(b"\x00") + b"x"), "not whole"),
        (blob_of(flags=1, body=zlib.compress(bytes(50 << 20))), "too large"),
        (blob_of(body=bytes(MAX_BODY_BYTES + 1)), "over what"),
    ],
)
def test_bytes_that_are_no_blob(blob, words):
    with pytest.raises(BadBlob, match=words) as caught:
        decode(blob, NUMBERS)
    assert isinstance(caught.value, DataLoss)


def test_a_text_is_read_within_its_blob():
    start = struct.pack("<BBHQq", 1, 0, 3, MIXED.fingerprint, EVENT)
    with pytest.raises(BadBlob, match="within feature 'city'"):
        decode(start + b"\x02" + struct.pack("<I", 2**32 - 1) + b"x", MIXED)
    with pytest.raises(BadBlob, match="not UTF-8"):
        decode(start + b"\x02" + struct.pack("<I", 1) + b"\xff", MIXED)
