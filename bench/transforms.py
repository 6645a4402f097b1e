"""A pipeline's steps by themselves, for `python -m bench engines`: nanoseconds a row of 12 features.

Seven numbers are imputed and scaled, five texts imputed and one-hot encoded, with ten categories each, so
that an engine gets 57 columns. What a request pays is the sum of the three:

    look_up_ns     the five texts, each in its dictionary
    check_ns       whether something is missing, infinite or unknown that may not be
    columns_ns     the columns of the raw row
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from time import process_time

import numpy as np

from cell.engines.transform_block import Transform as Block
from croupier.artifacts.packers.transform.description import Feature, Kind, Step, Transform
from croupier.artifacts.packers.transform.layout import encode

_NUMBERS, _TEXTS, _CATEGORIES = 7, 5, 10
_ROWS, _ROUNDS = 5_000, 20


@dataclass(frozen=True, slots=True)
class Measured:
    features: int
    columns: int
    block_bytes: int
    look_up_ns: float
    check_ns: float
    columns_ns: float

    @property
    def row_ns(self) -> float:
        return self.look_up_ns + self.check_ns + self.columns_ns


def measure() -> Measured:
    """CPU time, the least of some rounds."""
    packed = encode(_pipeline())
    block = Block(packed)
    random = np.random.default_rng(1)
    numbers = random.normal(size=(_ROWS, _NUMBERS))
    numbers[random.random(numbers.shape) < 0.1] = math.nan
    codes = random.integers(-1, _CATEGORIES, size=(_ROWS, _TEXTS)).astype(np.float64)
    rows = np.ascontiguousarray(np.hstack([numbers, codes]))
    texts = [_category(int(code)) for code in codes[:, 0]]
    columns, looked = np.empty((_ROWS, block.columns)), np.empty(_ROWS)
    look_up = check = fill = math.inf
    for _ in range(_ROUNDS):
        began = process_time()
        block.codes_of(_NUMBERS, texts, looked)
        looked_up = process_time()
        block.refusal(rows)
        checked = process_time()
        block.apply(rows, columns)
        filled = process_time()
        look_up, check = min(look_up, looked_up - began), min(check, checked - looked_up)
        fill = min(fill, filled - checked)
    ns = 1e9 / _ROWS
    return Measured(block.features, block.columns, len(packed), _TEXTS * look_up * ns, check * ns, fill * ns)


def line(found: Measured) -> str:
    look_up, check, columns = (f"{each:.0f}" for each in (found.look_up_ns, found.check_ns, found.columns_ns))
    parts = f"{look_up} to look up, {check} to check, {columns} the columns"
    return (
        f"a pipeline of {found.features} features and {found.columns} columns: "
        f"{found.row_ns:.0f} ns a row ({parts}), {found.block_bytes} bytes a model"
    )


def _pipeline() -> Transform:
    texts = tuple(sorted(_category(code) for code in range(_CATEGORIES)))
    features = (Feature(),) * _NUMBERS + (Feature(texts=texts),) * _TEXTS
    scaled = [Step(Kind.SHIFT_SCALE, place, place, 0.5, a=1.5, b=3.0) for place in range(_NUMBERS)]
    codes = [float(code) for code in range(_CATEGORIES)]
    encoded = [
        Step(
            Kind.ONE_HOT,
            _NUMBERS + place,
            _NUMBERS + _CATEGORIES * place,
            1.0,
            a=float(_CATEGORIES),
            categories=codes,
            values=codes,
        )
        for place in range(_TEXTS)
    ]
    return Transform(features, (*scaled, *encoded), _NUMBERS + _CATEGORIES * _TEXTS)


def _category(code: int) -> bytes:
    return b"category %d" % code
