"""Models whose every answer can be computed again, from the seed and their names alone.

A model is linear: what it answers is its intercept and the sum of a row's features, each times its weight.
All of these are whole numbers, drawn by XXH3 and SplitMix64 (Steele, Lea and Flood 2014), and so small that
every sum of some of them is exact in float32 as in float64: below 2 ** 24. So an answer is right to the last
bit or wrong, whatever adds the products up, and in whichever order.

    weights     of (seed, tenant, model)
    intercept   of (seed, tenant, model, version): those of two versions differ, and with them every answer
    rows        of (seed, number modulo so many different ones)
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from croupier.artifacts.datatypes import DATATYPES
from croupier_bench.classes import RequestClass

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]
UInt64 = NDArray[np.uint64]

# Bits of a float32's whole numbers; of these, those of a sum of products.
_EXACT_BITS, _SUM_BITS = 24, 22
_MOST_WEIGHT_BITS, _MOST_ROW_BITS = 10, 7
_MOST_ROWS = 256
# Of the values of requests that are kept prepared, of one class.
_MOST_BYTES = 16 << 20
# Odd, and so of each version another one modulo 2 ** 24.
_BETWEEN_VERSIONS = 0x9E3779B1
# Numbers that are drawn at a time where many models are looked at.
_LOOKED_AT = 1 << 18
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


class Models:
    """Those of one class, whose tensor is called `input`.

    `rows` are float64 (distinct, features), all of them whole numbers.
    """

    def __init__(self, asked: RequestClass, seed: int) -> None:
        self._asked = asked
        self._seed = seed
        self.features = asked.features
        self.input = asked.input
        bits = _SUM_BITS - math.ceil(math.log2(self.features))
        self._row_bits = min(_MOST_ROW_BITS, bits // 2)
        self._weight_bits = min(_MOST_WEIGHT_BITS, bits - self._row_bits)
        self.rows: Floats = np.stack([self._row(number) for number in range(distinct_rows(asked))])

    def weights(self, model_index: int) -> Floats:
        return self._weights(drawn(self._key(model_index), self.features))

    def intercept(self, model_index: int, version: int) -> float:
        return float(self._intercepts(drawn(self._key(model_index), self.features + 1)[-1:], version)[0])

    def answers(self, model_index: int, version: int) -> Float32s:
        """To each of the different rows."""
        mixed = drawn(self._key(model_index), self.features + 1)
        sums = self.rows @ self._weights(mixed[:-1])
        return (sums + self._intercepts(mixed[-1:], version)).astype(np.float32)

    def whose(self, row: Floats, value: float, versions: Sequence[int], most: int) -> list[tuple[int, int]]:
        """Those of the first `most` models that answer `row` with `value`, each with the version of it."""
        found = []
        at_once = max(1, _LOOKED_AT // self.features)
        for first in range(0, min(most, self._asked.all_models), at_once):
            last = min(first + at_once, most, self._asked.all_models)
            keys = np.array([self._key(index) for index in range(first, last)], np.uint64)
            mixed = drawn(keys[:, None], self.features + 1)
            rest = value - self._weights(mixed[:, :-1]) @ row
            for version in versions:
                intercepts = self._intercepts(mixed[:, -1], version)
                found += [(first + at, version) for at in np.flatnonzero(rest == intercepts).tolist()]
        return found

    def _key(self, model_index: int) -> int:
        asked = self._asked
        return key_of(self._seed, asked.tenant(model_index), asked.model(model_index))

    def _row(self, number: int) -> Floats:
        mixed = drawn(key_of(self._seed, "row", str(number)), self.features)
        return (mixed >> np.uint64(64 - self._row_bits)).astype(np.float64)

    def _weights(self, mixed: UInt64) -> Floats:
        shifted = (mixed >> np.uint64(63 - self._weight_bits)).astype(np.float64)
        return shifted - 2.0**self._weight_bits

    def _intercepts(self, mixed: UInt64, version: int) -> Floats:
        moved = (mixed + np.uint64(version * _BETWEEN_VERSIONS % 2**_EXACT_BITS)) % np.uint64(2**_EXACT_BITS)
        return moved.astype(np.float64) - 2.0 ** (_EXACT_BITS - 1)


def distinct_rows(asked: RequestClass) -> int:
    """How many different rows there are: request `number` has `(number + i) % distinct_rows` for its i-th."""
    size = asked.rows_of_each * asked.features * DATATYPES[asked.datatype].itemsize
    return min(_MOST_ROWS, max(2, _MOST_BYTES // size))


def key_of(seed: int, *parts: str) -> int:
    """What all numbers of something are drawn from."""
    return xxh3_64_intdigest("\0".join((str(seed), *parts)).encode())


def drawn(key: int | UInt64, count: int) -> UInt64:
    """The first so many numbers of SplitMix64 that begins with `key`; with each, if it is a column."""
    mixed = np.asarray(key, np.uint64) + _GAMMA * np.arange(1, count + 1, dtype=np.uint64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _FIRST
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
    found: UInt64 = mixed ^ (mixed >> np.uint64(31))
    return found
