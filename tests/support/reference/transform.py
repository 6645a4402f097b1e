"""Blocks `transform` as docs/artifacts.md has them: written, read and used in plain Python.

`read` is the reference of the cell's check, `Block.apply`, `code_of` and `refusal` those of its native calls.
Nothing here is fast, and nothing is shared with them. `random_block` makes one that uses all of the layout.
"""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from croupier.artifacts.format import Tensor, pack, view

_HEADER = struct.Struct("<HH9I")
_STEP = struct.Struct("<HH5I3d")
_PAIR = struct.Struct("<II")

COPY, SHIFT_SCALE, SCALE_SHIFT, ONE_HOT, ORDINAL, INDICATOR = range(6)
CLIPPED, ONWARDS = 1, 2
MISSING, INFINITE, TEXT, KNOWN, OVERFLOWS = 1, 2, 4, 8, 16
NO_COLUMN = 0xFFFFFFFF


class Damaged(Exception):
    """Bytes that are no block."""


class Step(NamedTuple):
    kind: int
    flags: int = 0
    source: int = 0
    column: int = 0
    first: int = 0
    count: int = 0
    other: int = 0
    fill: float = math.nan
    a: float = 0.0
    b: float = 0.0

    @property
    def is_table(self) -> bool:
        return self.kind in (ONE_HOT, ORDINAL)

    @property
    def width(self) -> int:
        """Columns that it adds."""
        if self.flags & ONWARDS:
            return 0
        return int(self.a) if self.kind == ONE_HOT else 1

    @property
    def numbers(self) -> int:
        if self.is_table:
            return 2 * self.count
        return 2 if self.kind == SCALE_SHIFT and self.flags & CLIPPED else 0


@dataclass
class Block:
    """`bits` of each raw feature, and the entries of each text feature by its place."""

    bits: Sequence[int]
    steps: Sequence[Step]
    numbers: Sequence[float] = ()
    dictionaries: dict[int, list[bytes]] = field(default_factory=dict)

    @property
    def columns(self) -> int:
        return sum(step.width for step in self.steps)

    def pack(self) -> bytes:
        texts = [text for entries in self.dictionaries.values() for text in entries]
        header = _HEADER.pack(
            1,
            0,
            0,
            len(self.bits),
            self.columns,
            len(self.steps),
            len(self.dictionaries),
            len(self.numbers),
            len(texts),
            sum(map(len, texts)),
            0,
        )
        dictionaries, first = b"", 0
        for feature, entries in self.dictionaries.items():
            dictionaries += _PAIR.pack(feature, first)
            first += len(entries)
        offsets = [0, *itertools.accumulate(map(len, texts))]
        return b"".join(
            [
                header,
                bytes(self.bits).ljust(-(-len(self.bits) // 8) * 8, b"\0"),
                *(_STEP.pack(*step) for step in self.steps),
                struct.pack(f"<{len(self.numbers)}d", *self.numbers),
                dictionaries + _PAIR.pack(0, first),
                *(_PAIR.pack(offset, len(text)) for offset, text in zip(offsets, texts, strict=False)),
                *texts,
            ]
        )

    def code_of(self, feature: int, text: bytes) -> float:
        entries = self.dictionaries.get(feature, [])
        return entries.index(text) if text in entries else -1.0

    def apply(self, raw: Sequence[float]) -> list[float]:
        columns = [0.0] * self.columns
        for step in self.steps:
            source = columns[step.column] if step.flags & ONWARDS else raw[step.source]
            x = step.fill if math.isnan(source) else source
            if step.kind == COPY:
                columns[step.column] = x
            elif step.kind == SHIFT_SCALE:
                columns[step.column] = _quotient(x - step.a, step.b)
            elif step.kind == SCALE_SHIFT:
                columns[step.column] = self._scaled(step, x)
            elif step.kind == ONE_HOT:
                place = self._place(step, x)
                column = step.other if place is None else self.numbers[step.first + step.count + place]
                if 0 <= column < step.a:
                    columns[step.column + int(column)] = 1.0
            elif step.kind == ORDINAL:
                place = self._place(step, x)
                found = step.a if place is None else self.numbers[step.first + step.count + place]
                columns[step.column] = step.b if math.isnan(x) else found
            else:
                columns[step.column] = float(math.isnan(source))
        return columns

    def refusal(self, raw: Sequence[float], limit: float = math.inf) -> tuple[int, str] | None:
        """The feature for which a row is refused, and why; a column may be no larger than `limit`."""
        for feature, (bits, x) in enumerate(zip(self.bits, raw, strict=True)):
            if math.isnan(x):
                if not bits & MISSING:
                    return feature, "missing"
            elif bits & TEXT:
                if bits & KNOWN and x < 0:
                    return feature, "unknown"
            elif math.isinf(x) and not bits & INFINITE:
                return feature, "infinite"
        for step in self.steps:
            if step.is_table and self.bits[step.source] & KNOWN:
                x = step.fill if math.isnan(raw[step.source]) else raw[step.source]
                if self._place(step, x) is None and not (step.kind == ORDINAL and math.isnan(x)):
                    return step.source, "unknown"
        return self._overflow(raw, limit)

    def _overflow(self, raw: Sequence[float], limit: float) -> tuple[int, str] | None:
        numbers = [x for x, bits in zip(raw, self.bits, strict=True) if math.isfinite(x) and not bits & TEXT]
        if not any(bits & OVERFLOWS for bits in self.bits) and all(abs(x) <= 2.0**64 for x in numbers):
            return None
        columns = self.apply(raw)
        for step in self.steps:
            begins = step.kind in (COPY, SHIFT_SCALE, SCALE_SHIFT) and not step.flags & ONWARDS
            if begins and not math.isinf(raw[step.source]) and abs(columns[step.column]) > limit:
                return step.source, "too large"
        return None

    def _scaled(self, step: Step, x: float) -> float:
        x = x * step.a + step.b
        if step.flags & CLIPPED and not math.isnan(x):
            low, high = self.numbers[step.first : step.first + 2]
            x = min(max(x, low), high)
        return x

    def _place(self, step: Step, x: float) -> int | None:
        for place, category in enumerate(self.numbers[step.first : step.first + step.count]):
            if category == x or (math.isnan(category) and math.isnan(x)):
                return place
        return None


def with_transform(artifact: bytes, block: Block, names: Sequence[str] = ()) -> bytes:
    """A packed forest or linear model behind `block`; its features have `names`, or are numbered."""
    whole = view(artifact)
    section = bytearray(whole.section(whole.engine))
    (flags,) = struct.unpack_from("<I", section, 4)
    struct.pack_into("<I", section, 4, flags | (32 if whole.engine == "forest" else 4))
    section += bytes(-len(section) % 64) + block.pack()
    names = names or [str(place) for place in range(len(block.bits))]
    inputs = [Tensor("input", "FP64", (-1, len(names)))]
    if block.dictionaries:
        kinds = ["BYTES" if place in block.dictionaries else "FP64" for place in range(len(names))]
        inputs = [Tensor(name, kind, (-1, 1)) for name, kind in zip(names, kinds, strict=True)]
    sections = {name: bytes(content) for name, content in whole.sections.items()}
    return pack(
        engine=whole.engine,
        inputs=inputs,
        outputs=whole.outputs,
        sections={**sections, whole.engine: bytes(section)},
        features=names,
        accepts_missing=any(bits & MISSING for bits in block.bits),
    )


def read(data: bytes) -> Block:
    """The block in `data`.

    Raises:
        Damaged: it breaks a rule of the layout.
    """
    try:
        return _read(data)
    except (struct.error, UnicodeDecodeError) as error:
        raise Damaged(str(error)) from error


def _read(data: bytes) -> Block:
    version, zero, flags, features, columns, steps, dictionaries, numbers, entries, texts, reserved = (
        _HEADER.unpack_from(data)
    )
    _demand(version == 1 and not (zero or flags or reserved))
    _demand(1 <= features <= 32_768 and 1 <= columns <= 32_768 and 1 <= steps <= 65_536)
    sizes = [-(-features // 8) * 8, 48 * steps, 8 * numbers, 8 * (dictionaries + 1), 8 * entries, texts]
    _demand(len(data) == _HEADER.size + sum(sizes))
    parts, at = [], _HEADER.size
    for size in sizes:
        parts.append(data[at : at + size])
        at += size
    bits = parts[0][:features]
    _demand(max(bits) < 32)
    block = Block(
        list(bits),
        [Step(*step) for step in _STEP.iter_unpack(parts[1])],
        [number for (number,) in struct.iter_unpack("<d", parts[2])],
        _dictionaries(list(_PAIR.iter_unpack(parts[3])), list(_PAIR.iter_unpack(parts[4])), parts[5]),
    )
    _demand(list(block.dictionaries) == [place for place, bit in enumerate(bits) if bit & TEXT])
    _check_steps(block, columns)
    return block


def _dictionaries(
    firsts: list[tuple[int, int]], entries: list[tuple[int, int]], texts: bytes
) -> dict[int, list[bytes]]:
    found, at = [], 0
    for offset, size in entries:
        _demand(offset == at and at + size <= len(texts))
        texts[at : at + size].decode()
        found.append(texts[at : at + size])
        at += size
    _demand(at == len(texts) and firsts[0][1] == 0 and firsts[-1][1] == len(entries))
    dictionaries: dict[int, list[bytes]] = {}
    for (feature, first), (_, end) in itertools.pairwise(firsts):
        _demand(first <= end and feature not in dictionaries)
        dictionaries[feature] = found[first:end]
        _demand(dictionaries[feature] == sorted(set(found[first:end])))
    return dictionaries


def _check_steps(block: Block, columns: int) -> None:
    column = number = 0
    allowed = {COPY: ONWARDS, SHIFT_SCALE: ONWARDS, SCALE_SHIFT: CLIPPED | ONWARDS}
    for step in block.steps:
        _demand(step.kind <= INDICATOR and not step.flags & ~allowed.get(step.kind, 0))
        _demand(step.source < len(block.bits))
        _demand(step.column < column if step.flags & ONWARDS else step.column == column)
        _demand(step.first <= len(block.numbers))
        if step.numbers:
            _demand(step.first == number and number + step.numbers <= len(block.numbers))
        if step.kind == ONE_HOT:
            _demand(0 <= step.a <= columns and step.a.is_integer())
            _demand(step.other == NO_COLUMN or step.other < step.a)
        if step.kind == SCALE_SHIFT and step.numbers:
            _demand(block.numbers[number] <= block.numbers[number + 1])
        if step.is_table:
            _check_table(step, block.numbers[step.first : step.first + 2 * step.count])
        number += step.numbers
        column += step.width
        _demand(column <= columns)
    _demand(column == columns and number == len(block.numbers))


def _check_table(step: Step, table: Sequence[float]) -> None:
    categories, places = table[: step.count], table[step.count :]
    if step.kind == ONE_HOT:
        _demand(all(-1 <= place < step.a and place.is_integer() for place in places))
        if categories and math.isnan(categories[-1]):
            categories = categories[:-1]
    _demand(not any(map(math.isnan, categories)))
    _demand(all(a < b for a, b in itertools.pairwise(categories)))


def _demand(is_so: bool) -> None:
    if not is_so:
        raise Damaged


def _quotient(x: float, divisor: float) -> float:
    """As IEEE 754 has it."""
    if divisor:
        return x / divisor
    if x == 0 or math.isnan(x):
        return math.nan
    return math.copysign(math.inf, x) * math.copysign(1.0, divisor)


_TEXTS = ("", "a", "ab", "abc", "b", "blue", "red", "green", "Köln", "ß", "東京", "🚀", "x" * 300)


def random_block(random: Random, features: int = 12, texts: float = 0.5) -> Block:
    """Of `features` raw features, a share of which is text, each read by a step or two."""
    bits, dictionaries = [], {}
    for place in range(features):
        bits.append(random.choice([0, MISSING, INFINITE, MISSING | INFINITE, KNOWN, MISSING | KNOWN]))
        if random.random() < texts:
            bits[place] = (bits[place] | TEXT) & ~INFINITE
            entries = random.sample(_TEXTS, random.randrange(len(_TEXTS) + 1))
            dictionaries[place] = sorted(text.encode() for text in entries)
    steps: list[Step] = []
    numbers: list[float] = []
    columns = 0
    for _ in range(random.randrange(1, 2 * features + 1)):
        source = random.randrange(features)
        categories = _categories(random, len(dictionaries[source]) if source in dictionaries else None)
        step = _random_step(random, source, columns, categories, numbers)
        steps.append(step)
        columns += step.width
    if not columns:
        steps.append(Step(INDICATOR, source=0, column=0))
    return Block(bits, steps, numbers, dictionaries)


def random_raw(random: Random, block: Block) -> list[float]:
    """A raw row, most of its values known."""
    raw = []
    for place in range(len(block.bits)):
        if place in block.dictionaries:
            raw.append(float(random.randrange(-1, max(1, len(block.dictionaries[place])))))
        else:
            raw.append(random.choice([random.gauss(0, 3), float(random.randrange(-3, 9))]))
        if random.random() < 0.1:
            raw[place] = math.nan
        if random.random() < 0.03 and place not in block.dictionaries:
            raw[place] = random.choice([math.inf, -math.inf])
    return raw


def _categories(random: Random, entries: int | None) -> list[float]:
    if entries is not None:
        return [float(place) for place in range(entries) if random.random() < 0.9]
    return sorted(random.sample([-2.5, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, 205.0, 1e9 + 0.5], random.randrange(9)))


def _random_step(
    random: Random, source: int, column: int, categories: list[float], numbers: list[float]
) -> Step:
    """One more, whose numbers are added to `numbers`."""
    kind = random.randrange(6)
    flags = ONWARDS if column and kind in (COPY, SHIFT_SCALE, SCALE_SHIFT) and random.random() < 0.3 else 0
    if flags:
        source, column = 0, random.randrange(column)
    first = 0
    a, b = random.gauss(0, 2), random.choice([random.gauss(0, 2), 0.0])
    if kind in (ONE_HOT, ORDINAL):
        first = len(numbers)
        if kind == ONE_HOT and random.random() < 0.3:
            categories = [*categories, math.nan]
        width = random.randrange(len(categories) + 2)
        places = [float(random.randrange(-1, width)) for _ in categories]
        numbers += categories + (places if kind == ONE_HOT else [random.gauss(0, 2) for _ in categories])
        a = float(width) if kind == ONE_HOT else a
    elif kind == SCALE_SHIFT and random.random() < 0.5:
        flags |= CLIPPED
        first = len(numbers)
        numbers += sorted([random.gauss(0, 1), random.gauss(0, 1)])
    other = NO_COLUMN
    if kind == ONE_HOT and a and random.random() < 0.5:
        other = random.randrange(int(a))
    fill = random.choice([math.nan, random.gauss(0, 2), 0.0, *categories[:1]])
    return Step(kind, flags, source, column, first, len(categories), other, fill, a, b)


def identity_behind(block: Block, names: Sequence[str]) -> bytes:
    """A linear model that answers with the columns that `block` makes."""
    count = block.columns
    header = struct.pack("<HBB5Id", 1, 0, 0, 0, count, count, 0, 0, 1.0)
    weights = [1.0 if place % (count + 1) == 0 else 0.0 for place in range(count * count)]
    section = header + bytes(8 * count) + struct.pack(f"<{count * count}d", *weights) + bytes(8)
    artifact = pack(
        engine="linear",
        inputs=[Tensor("input", "FP64", (-1, count))],
        outputs=[Tensor("value", "FP32", (-1, count))],
        sections={"linear": section},
    )
    return with_transform(artifact, block, names)
