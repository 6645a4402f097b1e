"""How a large shard map is cut, and what is wrong with chunks that do not fit."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.records import KEYS

from version_manager.map.chunks import CHUNK_BYTES, MAX_BYTES, Chunk, Head, cut, digest, faults, is_head
from version_manager.map.keys import BadRecord, ChunkKey, GenerationKey
from version_manager.map.records import decode, encode

WHOLE = cut(b"abcdefghij", 4)
CHUNKS = {place: Chunk(text) for place, text in enumerate(WHOLE.texts, 1)}


@given(st.text(), st.integers(4, 20))
def test_chunks_are_the_whole_again_and_no_larger(text, most):
    value = text.encode("utf-8")
    whole = cut(value, most)
    assert (whole.text, whole.head.size) == (text, len(value))
    assert [digest(one) for one in whole.texts] == [*whole.head.chunks]
    assert all(0 < len(one.encode()) <= most for one in whole.texts)


def test_as_much_as_may_be_fits_into_a_head_and_into_etcd():
    whole = cut(('"' * MAX_BYTES).encode())
    assert decode(GenerationKey(1), encode(whole.head)) == whole.head
    assert all(len(encode(Chunk(text))) < 1.25 * 2**20 for text in whole.texts)
    assert len(whole.texts) == MAX_BYTES // CHUNK_BYTES


def test_head_and_chunk_are_records_of_the_fourth_schema():
    assert json.loads(encode(WHOLE.head))["schema"] == json.loads(encode(CHUNKS[1]))["schema"] == 4
    assert decode(KEYS.parse(KEYS.generation(7)), encode(WHOLE.head)) == WHOLE.head
    assert decode(KEYS.parse(KEYS.chunk(7, 2)), encode(CHUNKS[2])) == CHUNKS[2]
    assert KEYS.parse(KEYS.chunk(7, 2)) == ChunkKey(7, 2)


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (b'{"schema": 4, "chunks": [], "size": 1}', "chunks"),
        (b'{"schema": 4, "chunks": ["ab"], "size": 1}', "chunks[0]"),
        (b'{"schema": 4, "chunks": 3, "size": 1}', "chunks"),
        (b'{"schema": 4, "chunks": ["%b"], "size": 8388609}' % (b"ab" * 32), "size"),
        (b'{"schema": 4, "chunks": ["%b"], "size": 9, "seed": 7}' % (b"ab" * 32), "seed"),
        (b'{"schema": 4, "chunks": [%b], "size": 9}' % b",".join([b'"%b"' % (b"ab" * 32)] * 33), "chunks"),
    ],
)
def test_a_head_that_is_none_is_named_by_its_field(value, field):
    with pytest.raises(BadRecord) as refused:
        decode(GenerationKey(1), value)
    assert refused.value.field == field


@pytest.mark.parametrize("key", ["1/0", "1/01", "0/1", "1/-1", "1/x", "1/", "1/1/1"])
def test_a_place_is_a_number_from_one_on(key):
    with pytest.raises(BadRecord):
        KEYS.parse(f"croupier/shards/generations/{key}")


@pytest.mark.parametrize("value", [b"", b"?", b"[]", b'{"chunks": null}', b'{"seed": 1}', b"[" * 100_000])
def test_what_is_no_head_is_none(value):
    assert not is_head(value)


def test_all_chunks_that_are_named_and_no_others_are_right():
    assert faults(WHOLE.head, CHUNKS, 7, is_whole=False) == {}
    assert faults(None, {}, 7, is_whole=True) == {}


@pytest.mark.parametrize(
    ("head", "chunks", "place", "words"),
    [
        (WHOLE.head, {1: CHUNKS[1], 3: CHUNKS[3]}, 2, "missing: generation 7 has 3 chunks"),
        (WHOLE.head, {**CHUNKS, 2: Chunk("efg")}, 2, f"its SHA-256 is not {WHOLE.head.chunks[1]}"),
        (WHOLE.head, {**CHUNKS, 2: Chunk("\ud800")}, 2, "is not the chunk"),
        (WHOLE.head, {**CHUNKS, 4: Chunk("k")}, 4, "belongs to nothing: generation 7 has 3 chunks"),
        (None, {1: Chunk("k")}, 1, "belongs to nothing: generation 7 is not there"),
    ],
)
def test_a_chunk_that_is_wrong_is_named(head, chunks, place, words):
    found = faults(head, chunks, 7, is_whole=False)
    assert list(found) == [place]
    assert words in found[place]


def test_chunks_of_what_needs_none_are_wrong_and_those_of_a_writer_at_work_are_not():
    assert "has none" in faults(None, CHUNKS, 7, is_whole=True)[1]
    assert faults(None, {1: Chunk("k", is_loose=True)}, 7, is_whole=False) == {}
    assert Head(("ab",), 1).chunks == ("ab",)
