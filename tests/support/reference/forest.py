"""A forest's section scored plainly: the reference of `cell.engines.forest` for float64 rows.

It knows docs/artifacts.md and nothing of how the engine compares: a threshold is the real number that its
node and its remainder stand for, and a value is compared with that. Sums only; what becomes of them is the
same for rows of any kind.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

_ZERO_IS_MISSING, _WIDE, _REMAINDERS = 2, 8, 16
_NEAR_ZERO = float(np.float32(1e-35))


class ForestReference:
    """A section that the engine took."""

    def __init__(self, section: bytes) -> None:
        self._rule = section[3]
        self.flags, self.features, self.sums, trees, nodes, vectors, splits, words = struct.unpack_from(
            "<8I", section, 4
        )
        (self._divisor,) = struct.unpack_from("<d", section, 48)
        at = 64

        def array(kind: str, count: int) -> Any:
            nonlocal at
            begin = -(-at // 8) * 8
            at = begin + count * np.dtype(kind).itemsize
            return np.frombuffer(section, kind, count, begin)

        self._base = array("<f8", self.sums)
        self._splits = array("<u4", 2 * splits)
        self._roots = array("<u4", trees + 1)
        self._groups = array("<u4", (1 if vectors else self.sums) + 1)
        self._words = array("<u4", words)
        self._zeros = array("<u4", -(-self.features // 32) if self.flags & _ZERO_IS_MISSING else 0)
        begin = -(-at // 8) * 8
        self._nodes = list(struct.iter_unpack("<fHH", section[begin : begin + 8 * nodes]))
        self._bits = array("<u8", nodes) & 0xFFFFFFFF
        self._remainders = array("<u4", (nodes - trees) // 2 if self.flags & _REMAINDERS else 0)
        self._vectors = array("<f4", vectors * self.sums).reshape(vectors, self.sums)

    def sums_of(self, row: Array) -> Array:
        """The sums of a float64 row."""
        values = self._seen(row)
        sums = np.zeros(self.sums)
        for group, (begin, end) in enumerate(pairwise(self._groups.tolist())):
            for tree in range(begin, end):
                leaf = self._leaf(tree, values)
                if len(self._vectors):
                    sums += self._vectors[self._bits[leaf]]
                else:
                    sums[group] += self._nodes[leaf][0]
        with np.errstate(all="ignore"):
            return sums / self._divisor + self._base

    def edges(self) -> Iterator[float]:
        """Of each threshold the float64 values around it, and the float32 values."""
        for tree, (begin, end) in enumerate(pairwise(self._roots.tolist())):
            for at in range(begin, end):
                below, _, step = self._nodes[at]
                if not step or math.isnan(below):
                    continue
                exact = float(self._threshold(at + step, tree, below))
                with np.errstate(over="ignore"):
                    above = float(np.nextafter(np.float32(below), np.float32(np.inf)))
                yield from (
                    below,
                    above,
                    exact,
                    math.nextafter(exact, -math.inf),
                    math.nextafter(exact, math.inf),
                )

    def _seen(self, row: Array) -> list[float]:
        if not self.flags & _WIDE:
            with np.errstate(over="ignore", under="ignore"):
                row = row.astype(np.float32).astype(np.float64)
        zero = _NEAR_ZERO if self._rule == 0 else 0.0
        return [
            math.nan if self._is_zero(place) and abs(value) <= zero else value
            for place, value in enumerate(row.tolist())
        ]

    def _is_zero(self, feature: int) -> bool:
        return bool(len(self._zeros) and self._zeros[feature // 32] >> feature % 32 & 1)

    def _leaf(self, tree: int, values: list[float]) -> int:
        at = int(self._roots[tree])
        while True:
            threshold, feature, step = self._nodes[at]
            if not step:
                return at
            value = values[feature & 0x7FFF]
            if math.isnan(value):
                goes_right = bool(feature >> 15)
            elif math.isnan(threshold):
                goes_right = self._is_listed(int(self._bits[at]) & 0x3FFFFF, value)
            else:
                goes_right = not _at_most(value, self._threshold(at + step, tree, threshold))
            at += step + goes_right

    def _threshold(self, left: int, tree: int, below: float) -> float | Fraction:
        if not self.flags & _REMAINDERS or math.isinf(below):
            return below
        with np.errstate(all="ignore"):
            above = float(np.nextafter(np.float32(below), np.float32(np.inf)))
        # As if float32 went on.
        step = Fraction(above) - Fraction(below) if math.isfinite(above) else Fraction(2) ** 104
        return Fraction(below) + step * int(self._remainders[(left - 1 - tree) // 2]) / 2**29

    def _is_listed(self, split: int, value: float) -> bool:
        """Whether it goes right."""
        word, extent = int(self._splits[2 * split]), int(self._splits[2 * split + 1])
        return self._is_member(word, extent & 0x7FFFFFFF, value) == bool(extent >> 31)

    def _is_member(self, word: int, words: int, value: float) -> bool:
        if not -1 < value < 2**24 or (value < 0 and self._rule != 0):
            return False
        category = int(value)
        if self._rule == 2 and category != value:
            return False
        return category // 32 < words and bool(self._words[word + category // 32] >> category % 32 & 1)


def _at_most(value: float, threshold: float | Fraction) -> bool:
    if math.isinf(value) or isinstance(threshold, float):
        return value <= threshold
    return Fraction(value) <= threshold
