"""A linear model's section scored plainly: the reference of `cell.engines.linear`.

It reads docs/artifacts.md. Sums only, as exact fractions; what becomes of them is the same for every engine.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise
from random import Random

_HEAD = struct.Struct("<HBB5Id")


@dataclass
class LinearReference:
    """`coefficients` by feature and `categories` by encoded feature, each with what it adds to every sum."""

    intercept: list[float]
    coefficients: list[list[float]]
    categories: dict[int, list[tuple[float, list[float]]]]

    @classmethod
    def read(cls, section: bytes) -> LinearReference:
        _, _, _, _, features, sums, encoded, count, _ = _HEAD.unpack_from(section)
        at = _HEAD.size

        def array(kind: str, size: int) -> list[float]:
            nonlocal at
            found = struct.unpack_from(f"<{size}{kind}", section, at)
            at += struct.calcsize(f"<{size}{kind}")
            return [*found]

        def table(rows: int) -> list[list[float]]:
            return [array("d", sums) for _ in range(rows)]

        intercept, coefficients, added = array("d", sums), table(features), table(count)
        places = [array("I", 2) for _ in range(encoded + 1)]
        values = array("f", count)
        return cls(
            intercept,
            coefficients,
            {
                int(feature): [*zip(values, added, strict=True)][int(first) : int(end)]
                for (feature, first), (_, end) in pairwise(places)
            },
        )

    def pack(self) -> bytes:
        tables = [*self.categories.values()]
        firsts = [*accumulate(map(len, tables), initial=0)]
        every = [each for table in tables for each in table]
        counts = len(self.coefficients), len(self.intercept), len(tables), len(every)
        rows = [self.intercept, *self.coefficients, *(added for _, added in every)]
        places = [*zip([*self.categories, 0], firsts, strict=True)]
        return b"".join(
            [
                _HEAD.pack(1, 0, 0, 0, *counts, 1.0),
                *(struct.pack(f"<{len(row)}d", *row) for row in rows),
                *(struct.pack("<2I", *place) for place in places),
                *(struct.pack("<f", value) for value, _ in every),
            ]
        )

    def sums_of(self, row: list[float]) -> list[Fraction]:
        """The sums of a row of finite numbers."""
        found = []
        for place, start in enumerate(self.intercept):
            total = Fraction(start)
            for value, by_sum in zip(row, self.coefficients, strict=True):
                total += Fraction(value) * Fraction(by_sum[place])
            for feature, table in self.categories.items():
                total += sum(Fraction(added[place]) for value, added in table if value == row[feature])
            found.append(total)
        return found


def random_linear(random: Random) -> LinearReference:
    """Up to nine features and four sums; numbers of very different sizes."""
    features, sums = random.randrange(1, 10), random.choice((1, 1, 2, 3, 4))

    def numbers() -> list[float]:
        return [math.ldexp(random.uniform(-1, 1), random.randrange(-20, 20)) for _ in range(sums)]

    encoded = random.sample(range(features), random.randrange(features + 1))
    return LinearReference(
        numbers(),
        [numbers() for _ in range(features)],
        {
            feature: [
                (value / 8, numbers()) for value in sorted(random.sample(range(-16, 16), random.randrange(6)))
            ]
            for feature in encoded
        },
    )
