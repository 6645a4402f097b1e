"""Changes to model files that keep their syntax whole: one value of a document, a line or a message.

XGBoost's UBJSON is made of a changed JSON document now and then, for its lengths are binary. A file of it is
changed blindly.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Callable
from random import Random
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from croupier.artifacts.packers.onnx import _walk

Mutate = Callable[[bytes, int], bytes]

_NUMBERS = (
    0,
    -1,
    1,
    2,
    3,
    255,
    32_767,
    32_768,
    65_535,
    65_536,
    2**24,
    2**31 - 1,
    2**31,
    2**32,
    2**63,
    -(2**31),
)
_WORDS = (
    "0",
    "-1",
    "1",
    "2",
    "nan",
    "-nan",
    "inf",
    "-inf",
    "1e400",
    "-1e-400",
    "1e39",
    "99999999999999999999",
    "x",
    "",
)
_WORDS += ("-0", "0.5", "4294967296", "2147483648", "65536", "-2147483649", "1e999", "٣", "\0")


def mutate(data: bytes, most: int, seed: int, blind: Mutate) -> bytes:
    """`data` changed, to at most `most` bytes; `blind` changes bytes without regard for their meaning."""
    rng = Random(seed)
    if rng.random() < 0.1:
        return blind(data, most)
    if data.startswith(b"tree"):
        return _text(data, rng)[:most]
    if data[:1] == b"{":
        document = _document(data)
        if document is not None:
            for _ in range(rng.choice((1, 1, 1, 2, 4))):
                _change(document, rng)
            form = ubjson if rng.random() < 0.3 else lambda value: json.dumps(value).encode()
            return form(document)[:most]
        return blind(data, most)
    return _onnx(data, rng, blind)[:most]


def _onnx(data: bytes, rng: Random, blind: Mutate) -> bytes:
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError:
        return blind(data, len(data) + 16)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        message = rng.choice(list(_walk(proto)))
        field = rng.choice(message.DESCRIPTOR.fields)
        if field.is_repeated:
            values = getattr(message, field.name)
            if len(values) and rng.random() < 0.5:
                del values[rng.randrange(len(values)) :]
            elif field.message_type is not None:
                values.add()
            else:
                values.append(_scalar(field, rng))
        elif field.message_type is not None:
            getattr(message, field.name).SetInParent()
        elif rng.random() < 0.2:
            message.ClearField(field.name)
        else:
            setattr(message, field.name, _scalar(field, rng))
    return proto.SerializeToString()


def _scalar(field: Any, rng: Random) -> Any:
    match field.cpp_type:
        case field.CPPTYPE_STRING:
            text = rng.choice(("", "x", "y", "MatMul", "Loop", "ai.onnx.ml", "/etc/passwd", "x" * 300))
            return text if field.type == field.TYPE_STRING else text.encode()
        case field.CPPTYPE_ENUM:
            return rng.choice(field.enum_type.values).number
        case field.CPPTYPE_INT32:
            return rng.choice((0, 1, 7, 11, -1, 2**31 - 1))
        case field.CPPTYPE_UINT64:
            return rng.choice((0, 1, 2**63))
        case field.CPPTYPE_FLOAT | field.CPPTYPE_DOUBLE:
            return rng.choice((0.0, 1.0, float("nan"), float("inf")))
    return rng.choice((0, 1, 2, 16, -1, 2**31, 2**62, 2**63 - 1, -(2**63)))


def _document(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _change(document: Any, rng: Random) -> None:
    """One thing somewhere; lists as a whole about as often as what is in them."""
    holder, key = document, None
    while True:
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        if not keys:
            return
        key = rng.choice(keys)
        inner = holder[key]
        if not isinstance(inner, dict | list) or not inner or rng.random() < 0.15:
            break
        holder = inner
    match rng.randrange(6):
        case 0:
            del holder[key]
        case 1:
            holder[key] = _resized(inner, rng) if isinstance(inner, list) else _other(inner, rng)
        case 2 if isinstance(holder, list):
            holder.insert(key, inner)
        case _:
            holder[key] = _other(inner, rng)


def _resized(values: list[Any], rng: Random) -> list[Any]:
    return rng.choice(([], values[:-1], values * 2, [*values, 0], [values]))


def _other(value: Any, rng: Random) -> Any:
    number = rng.choice(_NUMBERS)
    if isinstance(value, str):
        # Many of XGBoost's numbers are texts.
        return rng.choice((str(number), rng.choice(_WORDS), value + "0", value[:-1]))
    if isinstance(value, int | float):
        return rng.choice((number, float(number), value + 1, value - 1, -value, 1e39, 1e-46))
    return rng.choice((number, "", [], {}, [number], True, None))


def _text(data: bytes, rng: Random) -> bytes:
    lines = data.split(b"\n")
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(lines))
        key, equals, value = lines[at].partition(b"=")
        words = value.split(b" ")
        place = rng.randrange(len(words))
        match rng.randrange(9):
            case 0:
                del lines[at : at + rng.choice((1, 1, 3, 15))]
                lines = lines or [b""]
                continue
            case 1:
                lines.insert(rng.randrange(len(lines)), lines[at])
                continue
            case 2:
                words.insert(place, words[place])
            case 3:
                del words[place]
            case 4 if re.fullmatch(rb"-?\d{1,9}", words[place]):
                words[place] = b"%d" % (int(words[place]) + rng.choice((-1, 1)))
            case 5:
                words[place] = b"%d" % rng.choice(_NUMBERS)
            case _:
                words[place] = rng.choice(_WORDS).encode()
        lines[at] = key + equals + b" ".join(words)
    return b"\n".join(lines)


def ubjson(value: Any) -> bytes:
    """A JSON value as UBJSON."""
    if isinstance(value, bool) or value is None:
        return {True: b"T", False: b"F", None: b"Z"}[value]
    if isinstance(value, int):
        return b"L" + struct.pack(">q", max(-(2**63), min(2**63 - 1, value)))
    if isinstance(value, float):
        return b"D" + struct.pack(">d", value)
    if isinstance(value, str):
        return b"S" + _length(value)
    if isinstance(value, list):
        return b"[" + b"".join(map(ubjson, value)) + b"]"
    return b"{" + b"".join(_length(key) + ubjson(inner) for key, inner in value.items()) + b"}"


def _length(text: str) -> bytes:
    encoded = text.encode(errors="replace")
    return b"L" + struct.pack(">q", len(encoded)) + encoded
