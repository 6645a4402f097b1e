"""The features of one entity as bytes: its values, when they held, and which features they are.

All numbers are little-endian, and nothing is padded:

    u8 format, 1 │ u8 flags │ u16 count │ u64 fingerprint │ i64 event time, ms since 1970 │ body

    body: a bitmap of ceil(count / 8) bytes, bit i % 8 of byte i // 8 being set if feature i is there; then
    for each that is, in order: a number as f64, a text as u32 length and UTF-8

Flag 1: the body is compressed by zlib. A blob names none of its features: which they are says the schema of
its fingerprint, which lies in the store once (`features.schema_key`), as the JSON
`{"features":[["name","number"],…]}` without spaces, in which `"` is written `\\"` and everything else as
itself. The fingerprint is that JSON's xxh3_64, with the seed 0. docs/feature-store.md has an example for
those who write blobs without us.

A number that is not one (NaN) is as if it were not there. Blobs are written by others too, so every length is
checked before it is believed.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Iterable, Mapping

from xxhash import xxh3_64_intdigest

from croupier.errors import DataLoss, InvalidRequest
from croupier.names import InvalidName, check_name

NUMBER = "number"
TEXT = "text"
Value = float | str

FORMAT = 1
COMPRESSED = 1
MAX_FEATURES = 4096
# Of a body, as it is and as it was before it was compressed.
MAX_BODY_BYTES = 1 << 20
# The end of the year 9999: microseconds and nanoseconds that were taken for milliseconds are later.
MAX_EVENT_MS = 253_402_300_799_999

HEADER = struct.Struct("<BBHQq")
# Of a header what is before the event time.
_HEAD_BYTES = 12
_NUMBER = struct.Struct("<d")
_LENGTH = struct.Struct("<I")


class BadBlob(DataLoss):
    """Bytes that are no blob, or none of this schema. The operator's: its writer has to write another."""

    reason = "BAD_BLOB"


class BadSchema(DataLoss):
    """Bytes that are no schema. The operator's, as a bad blob is."""

    reason = "BAD_SCHEMA"


class BadFeatures(InvalidRequest):
    """Features that no blob can have: of another type, of another name, too many. The writer's."""

    reason = "BAD_FEATURES"


class Schema:
    """Which features a blob has, in their order: names, each of `NUMBER` or `TEXT`. Immutable.

    `json` is how it is kept, `fingerprint` how blobs name it, `positions` where each name stands.
    Blobs that are as `head` and `full` say are read at once by `whole`, as nearly all are: none of their
    features is missing, or a text, and nothing is compressed.
    """

    __slots__ = ("features", "fingerprint", "full", "head", "json", "positions", "whole")

    def __init__(self, features: Iterable[tuple[str, str]]) -> None:
        """Raises BadFeatures: there are none or too many, two of a name, or one of another type."""
        self.features = tuple((name, dtype) for name, dtype in features)
        _check_features(self.features)
        listed = ",".join(f"[{_quoted(name)},{_quoted(dtype)}]" for name, dtype in self.features)
        self.json = f'{{"features":[{listed}]}}'.encode()
        self.fingerprint: int = xxh3_64_intdigest(self.json)
        self.positions = {name: at for at, (name, _) in enumerate(self.features)}
        count = len(self.features)
        is_plain = all(dtype == NUMBER for _, dtype in self.features)
        self.head = HEADER.pack(FORMAT, 0, count, self.fingerprint, 0)[:_HEAD_BYTES]
        self.full = ((1 << count) - 1).to_bytes((count + 7) // 8, "little")
        self.whole = struct.Struct(f"<{_HEAD_BYTES}sq{len(self.full)}s{count}d") if is_plain else None

    @classmethod
    def parse(cls, data: bytes) -> Schema:
        """The schema that was kept as `data`. Raises BadSchema."""
        try:
            schema = cls((name, dtype) for name, dtype in json.loads(data)["features"])
        except (ValueError, TypeError, KeyError, RecursionError, BadFeatures) as error:
            raise BadSchema(f"{len(data)} bytes are no schema of features: {error}") from error
        if schema.json != data:
            raise BadSchema("a schema is written in another way than fingerprints are made of")
        return schema

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.positions)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schema) and self.features == other.features

    def __hash__(self) -> int:
        return self.fingerprint

    def __repr__(self) -> str:
        return f"Schema({self.features!r})"


def encode(schema: Schema, values: Mapping[str, Value], event_ms: int, *, compress: bool = False) -> bytes:
    """The blob of `values`, which held at `event_ms`; the schema's other features are missing.

    Raises:
        BadFeatures: a value of a feature that the schema lacks or of another type, a time before 1970 or
            after 9999, or too much text.
    """
    if unknown := values.keys() - schema.positions.keys():
        raise BadFeatures(f"feature {min(unknown)!r} is not in the schema", field=min(unknown))
    if not 0 < event_ms <= MAX_EVENT_MS:
        raise BadFeatures(f"event time {event_ms} is none in milliseconds since 1970", field="event_ms")
    bitmap = bytearray((len(schema.features) + 7) // 8)
    parts: list[bytes] = []
    for at, (name, dtype) in enumerate(schema.features):
        value = values.get(name)
        if value is None or value != value:
            continue
        bitmap[at // 8] |= 1 << at % 8
        parts.append(_encoded(name, dtype, value))
    body = bytes(bitmap) + b"".join(parts)
    if len(body) > MAX_BODY_BYTES:
        raise BadFeatures(f"{len(body)} bytes of features are over {MAX_BODY_BYTES}", field="values")
    if compress:
        body = zlib.compress(body)
    header = HEADER.pack(
        FORMAT, COMPRESSED if compress else 0, len(schema.features), schema.fingerprint, event_ms
    )
    return header + body


def header(blob: bytes) -> tuple[int, int]:
    """The fingerprint and the event time of a blob. Raises BadBlob."""
    _, _, fingerprint, event_ms = _header(blob)
    return fingerprint, event_ms


def decode(blob: bytes, schema: Schema) -> tuple[int, dict[str, Value]]:
    """The event time of a blob, and those values that it has. Raises BadBlob, of another schema too."""
    if schema.whole is not None and len(blob) == schema.whole.size:
        head, event_ms, present, *numbers = schema.whole.unpack(blob)
        total = sum(numbers)
        # It is NaN if any of them is.
        if head == schema.head and present == schema.full and 0 < event_ms <= MAX_EVENT_MS and total == total:
            return event_ms, dict(zip(schema.positions, numbers, strict=True))
    return _decoded(blob, schema)


def _decoded(blob: bytes, schema: Schema) -> tuple[int, dict[str, Value]]:
    flags, count, fingerprint, event_ms = _header(blob)
    features = schema.features
    if fingerprint != schema.fingerprint or count != len(features):
        raise BadBlob(f"a blob of {count} features by schema {fingerprint:016x} is not of this one")
    body = _inflated(blob[HEADER.size :]) if flags & COMPRESSED else blob[HEADER.size :]
    start = (count + 7) // 8
    if len(body) < start:
        raise BadBlob("a blob ends within its bitmap")
    present = int.from_bytes(body[:start], "little")
    if present >> count:
        raise BadBlob("a blob has features beyond its last one")
    return event_ms, _values(body, start, present, features)


def _values(body: bytes, at: int, present: int, features: tuple[tuple[str, str], ...]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    try:
        for number, (name, dtype) in enumerate(features):
            if not present >> number & 1:
                continue
            if dtype == NUMBER:
                (value,) = _NUMBER.unpack_from(body, at)
                at += _NUMBER.size
                if not math.isnan(value):
                    found[name] = value
            else:
                (length,) = _LENGTH.unpack_from(body, at)
                at += _LENGTH.size + length
                if at > len(body):
                    raise BadBlob(f"a blob ends within feature {name!r}")
                found[name] = body[at - length : at].decode()
    except struct.error as error:
        raise BadBlob("a blob ends within its values") from error
    except UnicodeDecodeError as error:
        raise BadBlob("a text of a blob is not UTF-8") from error
    if at != len(body):
        raise BadBlob(f"a blob has {len(body) - at} bytes behind its last value")
    return found


def _header(blob: bytes) -> tuple[int, int, int, int]:
    if len(blob) < HEADER.size:
        raise BadBlob(f"{len(blob)} bytes are too few for a blob")
    version, flags, count, fingerprint, event_ms = HEADER.unpack_from(blob)
    if version != FORMAT:
        raise BadBlob(f"a blob of format {version} is none that this release knows")
    if flags & ~COMPRESSED:
        raise BadBlob(f"a blob has flags {flags:#x} that this release does not know")
    if not 0 < event_ms <= MAX_EVENT_MS:
        raise BadBlob(f"event time {event_ms} is none in milliseconds since 1970")
    if len(blob) - HEADER.size > MAX_BODY_BYTES:
        raise BadBlob(f"{len(blob)} bytes are over what a blob may have")
    return flags, count, fingerprint, event_ms


def _inflated(data: bytes) -> bytes:
    inflating = zlib.decompressobj()
    try:
        body = inflating.decompress(data, MAX_BODY_BYTES + 1)
    except zlib.error as error:
        raise BadBlob(f"a blob cannot be decompressed: {error}") from error
    if len(body) > MAX_BODY_BYTES or not inflating.eof or inflating.unused_data:
        raise BadBlob("a blob is compressed, and too large, or not whole")
    return body


def _encoded(name: str, dtype: str, value: Value) -> bytes:
    if dtype == NUMBER and isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            return _NUMBER.pack(value)
        except (OverflowError, struct.error) as error:
            raise BadFeatures(f"feature {name!r} is too large a number", field=name) from error
    if dtype == TEXT and isinstance(value, str):
        try:
            text = value.encode()
        except UnicodeEncodeError as error:
            raise BadFeatures(f"feature {name!r} is not valid UTF-8", field=name) from error
        return _LENGTH.pack(len(text)) + text
    raise BadFeatures(f"feature {name!r} is a {dtype}, not {type(value).__name__}", field=name)


def _check_features(features: tuple[tuple[str, str], ...]) -> None:
    if not 0 < len(features) <= MAX_FEATURES:
        raise BadFeatures(f"a schema has 1 to {MAX_FEATURES} features, not {len(features)}", field="features")
    seen = set()
    for name, dtype in features:
        if dtype not in (NUMBER, TEXT):
            raise BadFeatures(f"feature {name!r} is of type {dtype!r}: say number or text", field="features")
        try:
            check_name(name, "feature")
        except (InvalidName, AttributeError) as error:
            raise BadFeatures(f"feature {name!r} cannot be called so: {error}", field="features") from error
        if name in seen:
            raise BadFeatures(f"feature {name!r} is there twice", field="features")
        seen.add(name)


def _quoted(text: str) -> str:
    """As JSON: names are printable and without backslashes."""
    return '"' + text.replace('"', '\\"') + '"'
