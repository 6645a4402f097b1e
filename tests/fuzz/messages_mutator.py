"""Changes to protobuf messages that keep most of their structure whole.

A message is a list of `Part`s, one for each field as it stands in the bytes. A change happens to one part
somewhere in the tree: it goes, stands twice, gets another number or wire type, is written in a way that no
encoder would choose, or gets company that nobody expects. Lengths are written afterwards and fit, unless the
last step, blind changes to bytes, damages them.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import TypeAlias

VARINT, I64, LEN, START, END, I32 = range(6)


@dataclass(slots=True)
class Part:
    """One field: an int behind VARINT, bytes behind I64 and I32, bytes or parts behind LEN, parts in a group.

    Its tag and its number or length are written with so many bytes too many. A group ends with the number
    `end`; with none it does not end.
    """

    number: int
    kind: int
    value: Value
    tag_pad: int = 0
    pad: int = 0
    end: int | None = None


Value: TypeAlias = int | bytes | list[Part]
Parts: TypeAlias = list[Part]

_NUMBERS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 1000, 1001, 1004, 1007, 2**28 - 1, 2**29 - 1, 2**29, 0)
_WHOLE = (0, 1, 2, 4, 127, 128, 2**31 - 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**70 - 1)
_PADS = (1, 1, 2, 4, 5, 8, 9, 10)
_DEPTHS = (1,) * 24 + (2, 3, 31, 98, 99, 100, 101)
BAD_TEXTS = (b"\xff", b"\xc3", b"\xed\xa0\x80", b"FP32\x80", b"\xc0\xaf")
_TEXTS = (b"", b"input", b"tenant", b"routing_key", b"FP32", b"FP64", b"\xc3\xa9", b"\0", *BAD_TEXTS)


def text(number: int, value: bytes | str) -> Part:
    return Part(number, LEN, value.encode() if isinstance(value, str) else value)


def message(number: int, *parts: Part) -> Part:
    return Part(number, LEN, list(parts))


def number(number: int, value: int) -> Part:
    return Part(number, VARINT, value)


def encode(parts: Parts) -> bytes:
    out = bytearray()
    _write(parts, out)
    return bytes(out)


def packed(*values: int) -> bytes:
    """Numbers as the value of a packed field; negative ones as int64."""
    out = bytearray()
    for value in values:
        _write_varint(value & 2**64 - 1, 0, out)
    return bytes(out)


def change(parts: Parts, rng: Random) -> None:
    """Change one part somewhere below `parts`."""
    if not parts:
        parts.append(_strange(rng))
        return
    inside, at = _place(parts, rng)
    _CHANGES[int(rng.random() * len(_CHANGES))](inside, at, rng, parts)


def damage(data: bytes, rng: Random) -> bytes:
    """Change bytes without regard for their meaning."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if not changed:
            return bytes(changed)
        at = int(rng.random() * len(changed))
        match int(rng.random() * 6):
            case 0:
                changed[at] = int(rng.random() * 256)
            case 1:
                changed[at] ^= 1 << int(rng.random() * 8)
            case 2:
                del changed[at : at + rng.choice((1, 1, 2, 4, 8))]
            case 3:
                changed[at:at] = bytes(int(rng.random() * 256) for _ in range(rng.choice((1, 2, 4))))
            case 4:
                end = min(len(changed), at + int(rng.random() * 32))
                to = int(rng.random() * len(changed))
                changed[to:to] = changed[at:end]
            case 5:
                del changed[at:]
    return bytes(changed)


def _write(parts: Parts, out: bytearray) -> None:
    # Most of a search's time goes here: what is written as usual is written without a further call.
    for part in parts:
        tag, value = part.number << 3 | part.kind, part.value
        if tag < 0x80 and not part.tag_pad:
            out.append(tag)
        else:
            _write_varint(tag, part.tag_pad, out)
        if part.kind == LEN:
            if isinstance(value, list):
                inner = bytearray()
                _write(value, inner)
            else:
                assert isinstance(value, bytes)
                inner = value  # type: ignore[assignment]
            if len(inner) < 0x80 and not part.pad:
                out.append(len(inner))
            else:
                _write_varint(len(inner), part.pad, out)
            out += inner
        elif isinstance(value, int):
            _write_varint(value, part.pad, out)
        elif isinstance(value, bytes):
            out += value
        else:
            _write(value, out)
            if part.end is not None:
                _write_varint(part.end << 3 | END, part.tag_pad, out)


def _write_varint(value: int, pad: int, out: bytearray) -> None:
    """`pad` more bytes than it needs, which say nothing."""
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    if not pad:
        out.append(value)
        return
    out.append(value | 0x80)
    out += b"\x80" * (pad - 1) + b"\0"


def _place(parts: Parts, rng: Random) -> tuple[Parts, int]:
    """A part, and the message that it stands in: at any depth."""
    while True:
        at = int(rng.random() * len(parts))
        value = parts[at].value
        if not isinstance(value, list) or not value or rng.random() < 0.3:
            return parts, at
        parts = value


def _any_place(inside: Parts, rng: Random) -> int:
    return int(rng.random() * (len(inside) + 1))


def _delete(inside: Parts, at: int, rng: Random, root: Parts) -> None:
    del inside[at]


def _repeat(inside: Parts, at: int, rng: Random, root: Parts) -> None:
    inside.insert(_any_place(inside, rng), replace(inside[at]))


def _move(inside: Parts, at: int, rng: Random, root: Parts) -> None:
    inside.insert(_any_place(inside, rng), inside.pop(at))


def _copy_elsewhere(inside: Parts, at: int, rng: Random, root: Parts) -> None:
    """Into another message: not the part itself, or a tree could come to hold itself."""
    other, _ = _place(root, rng)
    value = inside[at].value
    copied = encode(value) if isinstance(value, list) and inside[at].kind == LEN else value
    if not isinstance(copied, list):
        other.insert(_any_place(other, rng), replace(inside[at], value=copied))


def _renumber(inside: Parts, at: int, rng: Random, root: Parts) -> None:
    inside[at].number = rng.choice(_NUMBERS)


def _retype(inside: Parts, at: int, rng: Random, root: Parts) -> None:
    part = inside[at]
    kind = rng.choice((VARINT, I64, LEN, START, I32))
    if kind == START:
        part.value = part.value if isinstance(part.value, list) else []
        part.end = part.number
    elif kind == VARINT:
        part.value = rng.choice(_WHOLE)
    elif kind == LEN:
        part.value = part.value if isinstance(part.value, (list, bytes)) else packed(part.value)
    else:
        part.value = rng.randbytes(8 if kind == I64 else 4)
    part.kind = kind


def _wrap(inside: Parts, at: int, rng: Random, root: Parts) -> None:
    part = inside[at]
    name = rng.choice((part.number, rng.choice(_NUMBERS)))
    inside[at] = Part(name, START, [part], end=rng.choice((name, name, name, part.number, None)))


def _add_strange(inside: Parts, at: int, rng: Random, root: Parts) -> None:
    inside.insert(_any_place(inside, rng), _strange(rng))


def _add_bad_text(inside: Parts, at: int, rng: Random, root: Parts) -> None:
    """A text like the one here, in front of it or behind it, that is none."""
    inside.insert(at + (rng.random() < 0.3), Part(inside[at].number, LEN, rng.choice(BAD_TEXTS)))


def _write_it_longer(inside: Parts, at: int, rng: Random, root: Parts) -> None:
    if rng.random() < 0.4:
        inside[at].tag_pad = rng.choice(_PADS)
    else:
        inside[at].pad = rng.choice(_PADS)


def _resize(inside: Parts, at: int, rng: Random, root: Parts) -> None:
    value = inside[at].value
    if isinstance(value, bytes):
        by = rng.choice((1, 2, 3, 4, 8, 16))
        inside[at].value = value[:-by] if rng.random() < 0.5 else value + value[:by].ljust(by, b"\0")


def _retext(inside: Parts, at: int, rng: Random, root: Parts) -> None:
    inside[at].value, inside[at].kind = rng.choice(_TEXTS), LEN


def _unpack(inside: Parts, at: int, rng: Random, root: Parts) -> None:
    """A packed field as one part for each number, or as two packed ones."""
    part = inside[at]
    value = part.value
    if not isinstance(value, bytes) or part.kind != LEN:
        return
    if rng.random() < 0.4:
        cut = int(rng.random() * (len(value) // 4 + 1)) * 4
        inside[at : at + 1] = [replace(part, value=value[:cut]), replace(part, value=value[cut:])]
    elif len(value) >= 8 and len(value) % 8 == 0 and rng.random() < 0.5:
        inside[at : at + 1] = [
            Part(part.number, I64, value[place : place + 8]) for place in range(0, min(len(value), 256), 8)
        ]
    elif len(value) >= 4 and len(value) % 4 == 0:
        inside[at : at + 1] = [
            Part(part.number, I32, value[place : place + 4]) for place in range(0, min(len(value), 256), 4)
        ]
    else:
        inside[at : at + 1] = [Part(part.number, VARINT, byte & 0x7F) for byte in value[:64]]


def _split(inside: Parts, at: int, rng: Random, root: Parts) -> None:
    """A message as two: protobuf joins them where there is one, and has two where there may be more."""
    part = inside[at]
    if isinstance(part.value, list) and part.kind == LEN:
        cut = _any_place(part.value, rng)
        inside[at : at + 1] = [
            Part(part.number, LEN, part.value[:cut]),
            Part(part.number, LEN, part.value[cut:]),
        ]


def _flatten(inside: Parts, at: int, rng: Random, root: Parts) -> None:
    """A message's bytes, blindly changed, as its value."""
    part = inside[at]
    if isinstance(part.value, list):
        part.value, part.kind = damage(encode(part.value), rng), LEN


def _strange(rng: Random) -> Part:
    """A field that nobody expects, or a group in a group in a group."""
    name = rng.choice(_NUMBERS)
    match int(rng.random() * 5):
        case 0:
            return Part(name, VARINT, rng.choice(_WHOLE))
        case 1:
            return Part(name, I64, struct.pack("<d", rng.choice((0.0, 1.5, float("nan"), 1e300))))
        case 2:
            return Part(name, I32, rng.randbytes(4))
        case 3:
            return Part(name, LEN, rng.choice(_TEXTS))
    part = Part(name, START, [], end=rng.choice((name, name, name, name, 1, None)))
    for _ in range(rng.choice(_DEPTHS) - 1):
        part = Part(name, START, [part], end=name)
    return part


_CHANGES: tuple[Callable[[Parts, int, Random, Parts], None], ...] = (
    _delete,
    _delete,
    _repeat,
    _move,
    _copy_elsewhere,
    _renumber,
    _retype,
    _wrap,
    _add_strange,
    _add_bad_text,
    _write_it_longer,
    _resize,
    _retext,
    _unpack,
    _split,
    _flatten,
)
