"""Field 1004 of a request to a cell: the features that a router fetched for it, with where each came from.

Little-endian and without padding:

    header   u8 format, 1; u8 flags (1: degraded); u16 features; u32 rows; i64 the router's clock in ms since
             1970; u32 bytes of the spec
    spec     of each feature: u8 dtype (0 a number, 1 a text), f64 low and f64 high (infinite: no such
             bound), u16 bytes of the name, and the name in UTF-8
    rows     of each: u32 bytes of the rest of it; for each feature 8 bytes of value, for each an i64 event
             time in ms since 1970 (0: none), for each a u8 origin; then the heap. A number's value is an
             f64, a text's u32 where it begins in the heap and u32 how many bytes of UTF-8 it has

Either there is one row, which holds for all of the request's, or one for each. A spec is the same bytes in
all requests of a family's config, so that what is made of it is remembered by them.

Texts of a row have no more bytes in all than its heap: else one heap, named by each, would become many.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple, TypeAlias

from croupier.errors import InvalidRequest

FIELD: Final = 1004
FORMAT: Final = 1
DEGRADED: Final = 1
# An input of texts that says whose features each row has, and that no model sees.
ENTITY_INPUT: Final = "croupier.entity_id"
NUMBER: Final = 0
TEXT: Final = 1
MOST_FEATURES: Final = 512
MOST_SPEC_BYTES: Final = 2**18
# Beside its values.
ROW_HEAD_BYTES: Final = 4

# A text's and a number's; None where there is none.
Value: TypeAlias = float | str | None

_TAG = b"\xe2\x3e"
_HEADER = struct.Struct("<BBHIqI")
_FEATURE = struct.Struct("<BddH")
_SIZE = struct.Struct("<I")
_SPAN = struct.Struct("<II")
# Value, event time and origin.
_VALUE_BYTES = 17
_NO_VALUE = bytes(8)


class Origin(IntEnum):
    """Where a value came from. All but STORE, ABSENT and REQUEST are defaults, for this reason."""

    STORE = 0
    MISSING = 1
    STALE = 2
    DOWN = 3
    RANGE = 4
    # No value, and no default: refused unless the caller sent one.
    ABSENT = 5
    # The caller's own. In replies alone, never in the field.
    REQUEST = 6


class BadFetched(InvalidRequest):
    """Field 1004 is not what `pack` makes. The fault of whoever wrote it: a router, for no caller may."""

    reason = "BAD_FETCHED_FEATURES"

    def __init__(self) -> None:
        super().__init__("the fetched features are malformed", field="fetched")


class Feature(NamedTuple):
    name: str
    is_text: bool
    low: float
    high: float


class Row(NamedTuple):
    """By feature; `events` are in ms since 1970, 0 for none."""

    values: tuple[Value, ...]
    events: tuple[int, ...]
    origins: tuple[Origin, ...]


@dataclass(frozen=True, slots=True)
class Fetched:
    """What the field says. `now_ms` is the clock by which values have an age."""

    features: tuple[Feature, ...]
    rows: tuple[Row, ...]
    now_ms: int
    is_degraded: bool


def spec_bytes(features: Iterable[tuple[str, str, float, float]]) -> bytes:
    """The spec of features, each (name, "number" or "text", low, high): infinite where there is no bound."""
    parts = []
    for name, dtype, low, high in features:
        encoded = name.encode()
        parts += [_FEATURE.pack(_DTYPES[dtype], low, high, len(encoded)), encoded]
    return b"".join(parts)


def row_bytes(values: Sequence[Value], events: Sequence[int], origins: Sequence[int]) -> bytes:
    """One row: by feature in the spec's order, a text for a text, and None where there is no value."""
    count = len(values)
    rest = _rest(count).pack(*events, *origins)
    try:
        numbers = _numbers(count).pack(*values)
    except struct.error:
        packed, heap = _mixed(values)
        return b"".join((_SIZE.pack(len(packed) + len(rest) + len(heap)), packed, rest, heap))
    return b"".join((_SIZE.pack(len(numbers) + len(rest)), numbers, rest))


def pack(spec: bytes, count: int, rows: Sequence[bytes], now_ms: int, degraded: bool) -> bytes:
    """The field's value: of a spec with `count` features, and rows as `row_bytes` makes them."""
    header = _HEADER.pack(FORMAT, DEGRADED if degraded else 0, count, len(rows), now_ms, len(spec))
    return b"".join((header, spec, *rows))


def field(value: bytes) -> bytes:
    """The field as it stands in a message."""
    size = len(value)
    out = bytearray(_TAG)
    while size > 0x7F:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    out.append(size)
    return bytes(out) + value


def read(data: bytes) -> Fetched:
    """What `pack` packed. Nothing larger than a few times `data` is made of it.

    Raises:
        BadFetched: it is anything else.
    """
    with _all_else_is_bad():
        return _read(data)


@contextmanager
def _all_else_is_bad() -> Iterator[None]:
    try:
        yield
    except (struct.error, UnicodeDecodeError, KeyError):
        raise BadFetched from None


def _read(data: bytes) -> Fetched:
    form, flags, count, row_count, now_ms, spec_size = _HEADER.unpack_from(data)
    at = _HEADER.size + spec_size
    least = ROW_HEAD_BYTES + count * _VALUE_BYTES
    if form != FORMAT or flags & ~DEGRADED or not 1 <= count <= MOST_FEATURES or spec_size > MOST_SPEC_BYTES:
        raise BadFetched
    if not row_count or at + row_count * least > len(data):
        raise BadFetched
    features = read_spec(data[_HEADER.size : at], count)
    rows = []
    for _ in range(row_count):
        (size,) = _SIZE.unpack_from(data, at)
        at += ROW_HEAD_BYTES
        if at + size > len(data) or size < count * _VALUE_BYTES:
            raise BadFetched
        rows.append(_read_row(data[at : at + size], features))
        at += size
    if at != len(data):
        raise BadFetched
    return Fetched(features, tuple(rows), now_ms, bool(flags & DEGRADED))


@functools.lru_cache(maxsize=128)
def read_spec(spec: bytes, count: int) -> tuple[Feature, ...]:
    """The features of a spec, which is remembered. Raises BadFetched."""
    with _all_else_is_bad():
        return _read_spec(spec, count)


def _read_spec(spec: bytes, count: int) -> tuple[Feature, ...]:
    features: dict[str, Feature] = {}
    at = 0
    for _ in range(count):
        dtype, low, high, size = _FEATURE.unpack_from(spec, at)
        at += _FEATURE.size
        name = spec[at : at + size].decode()
        # A bound that is NaN would hold for nothing.
        if dtype > TEXT or at + size > len(spec) or low != low or high != high:
            raise BadFetched
        at += size
        features[name] = Feature(name, dtype == TEXT, low, high)
    if at != len(spec) or len(features) != count:
        raise BadFetched
    return tuple(features.values())


def _read_row(data: bytes, features: tuple[Feature, ...]) -> Row:
    count = len(features)
    rest = _rest(count).unpack_from(data, 8 * count)
    origins = tuple(map(_SENT.__getitem__, rest[count:]))
    heap = data[_VALUE_BYTES * count :]
    left = len(heap)
    values: list[Value] = list(_numbers(count).unpack_from(data))
    for place, feature in enumerate(features):
        if origins[place] is Origin.ABSENT:
            values[place] = None
        elif feature.is_text:
            begin, size = _SPAN.unpack_from(data, 8 * place)
            left -= size
            if left < 0 or begin + size > len(heap):
                raise BadFetched
            values[place] = heap[begin : begin + size].decode()
    return Row(tuple(values), rest[:count], origins)


def _mixed(values: Sequence[Value]) -> tuple[bytes, bytes]:
    """Values of which some are texts, or none at all; and their heap."""
    packed, heap = [], bytearray()
    for value in values:
        if value is None:
            packed.append(_NO_VALUE)
        elif isinstance(value, str):
            encoded = value.encode()
            packed.append(_SPAN.pack(len(heap), len(encoded)))
            heap += encoded
        else:
            packed.append(_NUMBER.pack(value))
    return b"".join(packed), bytes(heap)


@functools.lru_cache(maxsize=MOST_FEATURES + 1)
def _numbers(count: int) -> struct.Struct:
    return struct.Struct(f"<{count}d")


@functools.lru_cache(maxsize=MOST_FEATURES + 1)
def _rest(count: int) -> struct.Struct:
    """Event times, and origins."""
    return struct.Struct(f"<{count}q{count}B")


_NUMBER = struct.Struct("<d")
_DTYPES = {"number": NUMBER, "text": TEXT}
_SENT = {int(origin): origin for origin in Origin if origin is not Origin.REQUEST}
