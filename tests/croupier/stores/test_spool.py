"""Records come back as they were, and bytes that are damaged are never taken for one."""

from contextlib import suppress
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.spool_twin import SEGMENT, PlainAppender, record

from croupier.stores.spool import HEADER, BadRecord, Record, pack, read_header, records_from, unpack


def filled(seed: int, most_bytes: int = 100) -> tuple[bytearray, list[Record]]:
    """A segment, and what is in it."""
    rng = Random(seed)
    appender = PlainAppender(SEGMENT)
    appender.give()
    written = []
    while appender.append(one := record(rng, most_bytes)):
        written.append(one)
    return appender.segments[0], written


def read(data: bytes | bytearray) -> list[Record]:
    view = memoryview(bytes(data))
    return [unpack(view[one.begin : one.end]) for one in records_from(view, HEADER.size)]


@pytest.mark.parametrize("seed", range(20))
def test_a_record_comes_back(seed: int) -> None:
    one = record(Random(seed))
    assert unpack(pack(one)) == one


def test_a_segment_says_what_it_is() -> None:
    segment, written = filled(1)
    header = read_header(segment)
    assert header is not None
    assert (header.size, header.number, header.first, header.dropped) == (SEGMENT, 0, 0, 1)
    assert not header.is_closed
    assert read(segment) == written


@pytest.mark.parametrize("data", [b"", bytes(63), bytes(64), b"CRSPOOL1" + bytes(56)])
def test_what_is_no_segment_says_nothing(data: bytes) -> None:
    assert read_header(data) is None


def test_a_damaged_record_is_passed_over() -> None:
    segment, written = filled(2)
    third = list(records_from(memoryview(bytes(segment)), HEADER.size))[2]
    segment[third.begin + 3] ^= 1
    assert read(segment) == written[:2] + written[3:]


def test_a_damaged_size_ends_the_segment() -> None:
    segment, written = filled(3)
    third = list(records_from(memoryview(bytes(segment)), HEADER.size))[2]
    segment[third.begin - 14] ^= 1
    assert read(segment) == written[:2]


@given(st.integers(0, 3), st.integers(0, SEGMENT - 1), st.integers(0, 7))
def test_whatever_bit_is_flipped_no_record_is_another(seed: int, byte: int, bit: int) -> None:
    segment, written = filled(seed)
    segment[byte] ^= 1 << bit
    left = read(segment)
    assert all(one in written for one in left)
    assert byte >= HEADER.size or left == written


@given(st.integers(0, 3), st.integers(0, SEGMENT))
def test_a_segment_that_was_cut_off_has_what_is_whole(seed: int, size: int) -> None:
    segment, written = filled(seed)
    left = read(segment[:size])
    assert left == written[: len(left)]


@given(st.binary(max_size=300))
def test_any_bytes_are_a_record_or_refused(data: bytes) -> None:
    with suppress(BadRecord):
        assert pack(unpack(data)) == data


@given(st.integers(0, 5), st.integers(0, 71), st.integers(0, 255))
def test_so_are_those_whose_head_lies(seed: int, place: int, value: int) -> None:
    data = bytearray(pack(record(Random(seed))))
    data[place] = value
    with suppress(BadRecord):
        unpack(bytes(data))
