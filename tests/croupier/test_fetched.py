"""Field 1004 says what was packed, and anything else is refused."""

from __future__ import annotations

import math
import struct
import tracemalloc
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.fetched import (
    FIELD,
    MOST_FEATURES,
    MOST_SPEC_BYTES,
    BadFetched,
    Feature,
    Fetched,
    Origin,
    Row,
    Value,
    field,
    pack,
    read,
    row_bytes,
    spec_bytes,
)
from router.envelope import scan

SENT = [origin for origin in Origin if origin is not Origin.REQUEST]
NUMBER = st.floats(allow_nan=False)
INT64 = st.integers(-(2**63), 2**63 - 1)


class Packed(NamedTuple):
    """What is packed, and what it is to be read as."""

    data: bytes
    fetched: Fetched


@st.composite
def packed(draw: st.DrawFn) -> Packed:
    names = draw(st.lists(st.text(max_size=12), min_size=1, max_size=6, unique=True))
    features = [Feature(name, draw(st.booleans()), draw(NUMBER), draw(NUMBER)) for name in names]
    rows = [draw(row_of(features)) for _ in range(draw(st.integers(1, 4)))]
    now, degraded = draw(INT64), draw(st.booleans())
    spec = spec_bytes((name, "text" if text else "number", low, high) for name, text, low, high in features)
    data = pack(spec, len(features), [row_bytes(*row) for row in rows], now, degraded)
    return Packed(data, Fetched(tuple(features), tuple(rows), now, degraded))


@st.composite
def row_of(draw: st.DrawFn, features: list[Feature]) -> Row:
    origins = tuple(draw(st.sampled_from(SENT)) for _ in features)
    values: list[Value] = []
    for feature, origin in zip(features, origins, strict=True):
        strategy: st.SearchStrategy[Value] = st.text(max_size=9) if feature.is_text else NUMBER
        values.append(None if origin is Origin.ABSENT else draw(strategy))
    return Row(tuple(values), tuple(draw(INT64) for _ in features), origins)


@given(packed())
def test_what_was_packed_is_read(one: Packed) -> None:
    assert read(one.data) == one.fetched


@given(packed(), st.data())
def test_what_is_cut_or_longer_is_refused(one: Packed, data: st.DataObject) -> None:
    size = data.draw(st.integers(0, len(one.data) - 1))
    with pytest.raises(BadFetched):
        read(one.data[:size])
    with pytest.raises(BadFetched):
        read(one.data + b"\0")


@given(packed(), st.data())
def test_whatever_stands_there_is_read_or_refused(one: Packed, data: st.DataObject) -> None:
    mutant = bytearray(one.data)
    for _ in range(data.draw(st.integers(1, 4))):
        mutant[data.draw(st.integers(0, len(mutant) - 1))] = data.draw(st.integers(0, 255))
    try:
        fetched = read(bytes(mutant))
    except BadFetched:
        return
    assert all(len(row.values) == len(fetched.features) for row in fetched.rows)


ONE = spec_bytes([("age", "number", -math.inf, math.inf)])
TEXT = spec_bytes([("city", "text", -math.inf, math.inf)])


def header(form: int = 1, flags: int = 0, count: int = 1, rows: int = 1, size: int = len(ONE)) -> bytes:
    return struct.pack("<BBHIqI", form, flags, count, rows, 0, size)


ROW = row_bytes([1.5], [7], [Origin.STORE])


def test_the_layout_is_the_one_that_is_documented() -> None:
    spec = b"\0" + struct.pack("<ddH", -math.inf, math.inf, 3) + b"age"
    row = struct.pack("<IdqB", 17, 1.5, 7, 0)
    assert pack(ONE, 1, [ROW], 0, False) == header() + spec + row
    text = struct.pack("<IIIqB", 19, 0, 2, 0, 2) + b"ab"
    assert row_bytes(["ab"], [0], [Origin.STALE]) == text


@pytest.mark.parametrize(
    "data",
    [
        header(form=2) + ONE + ROW,
        header(flags=2) + ONE + ROW,
        header(count=0, size=0) + struct.pack("<I", 0),
        header(rows=0) + ONE,
        header(rows=2) + ONE + ROW,
        header(rows=2**32 - 1) + ONE + ROW,
        header(size=2**32 - 1) + ONE + ROW,
        header(size=len(ONE) + 1) + ONE + b"\0" + ROW,
        header(count=2, size=2 * len(ONE)) + ONE + ONE + row_bytes([1.0, 1.0], [0, 0], [0, 0]),
        header() + b"\2" + ONE[1:] + ROW,
        header() + ONE[:1] + struct.pack("<d", math.nan) + ONE[9:] + ROW,
        header() + ONE[:-3] + b"\xff\xff\xff" + ROW,
        header() + ONE + ROW[:-1] + bytes([Origin.REQUEST]),
        header() + ONE + struct.pack("<I", 16) + ROW[4:],
        header(size=len(TEXT)) + TEXT + struct.pack("<IIIqB", 18, 0, 2, 0, 0) + b"a",
        header(size=len(TEXT)) + TEXT + struct.pack("<IIIqB", 18, 0, 1, 0, 0) + b"\xff",
    ],
)
def test_what_nobody_packs_is_refused(data: bytes) -> None:
    with pytest.raises(BadFetched):
        read(data)


def test_a_spec_has_an_end() -> None:
    names = [(f"{place}", "number", -math.inf, math.inf) for place in range(MOST_FEATURES + 1)]
    values = [0.0] * len(names)
    row = row_bytes(values, [0] * len(names), [0] * len(names))
    with pytest.raises(BadFetched):
        read(pack(spec_bytes(names), len(names), [row], 0, False))
    long = spec_bytes(
        [
            ("a" * 65_535, "number", 0.0, 1.0),
            *((f"{place}" + "b" * 65_000, "number", 0.0, 1.0) for place in range(4)),
        ]
    )
    assert len(long) > MOST_SPEC_BYTES
    with pytest.raises(BadFetched):
        read(pack(long, 5, [row_bytes([0.0] * 5, [0] * 5, [0] * 5)], 0, False))


def test_one_heap_does_not_become_many() -> None:
    count = 100
    spec = spec_bytes((f"{place}", "text", -math.inf, math.inf) for place in range(count))
    heap = b"a" * 2**20
    rest = struct.pack("<II", 0, len(heap)) * count + bytes(9 * count)
    data = pack(spec, count, [struct.pack("<I", len(rest) + len(heap)) + rest + heap], 0, False)
    tracemalloc.start()
    try:
        with pytest.raises(BadFetched):
            read(data)
        assert tracemalloc.get_traced_memory()[1] < 8 * len(heap)
    finally:
        tracemalloc.stop()


def test_absent_needs_no_value() -> None:
    values: list[Value] = [None, None]
    spec = spec_bytes([("age", "number", 0.0, 1.0), ("city", "text", 0.0, 1.0)])
    row = row_bytes(values, [0, 0], [Origin.ABSENT, Origin.ABSENT])
    assert read(pack(spec, 2, [row], 0, False)).rows[0].values == (None, None)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 20_000])
def test_the_field_is_one_of_a_message(size: int) -> None:
    whole = field(bytes(size))
    assert scan(whole) == [(FIELD, 2, len(whole) - size, len(whole))]
