"""The block `transform` before it is written down; docs/artifacts.md says what its parts mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum


class Kind(IntEnum):
    """What a step does; the numbers are the file's, only ever append."""

    COPY = 0
    SHIFT_SCALE = 1
    SCALE_SHIFT = 2
    ONE_HOT = 3
    ORDINAL = 4
    INDICATOR = 5


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature as the caller sends it. `texts` are its dictionary if it is text: UTF-8, ascending.

    `may_overflow`: steps make something beyond float32 of values that are no larger than 2**64.
    """

    accepts_missing: bool = True
    accepts_infinite: bool = True
    refuses_unknown: bool = False
    may_overflow: bool = False
    texts: tuple[bytes, ...] | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step. Of `categories` and `values` there are as many; `goes_on`: from the column itself.

    `values` are the columns of ONE_HOT's categories or what ORDINAL puts in their place; `other` is ONE_HOT's
    column of unknown categories. `a` and `b` are what the kind makes of them.
    """

    kind: Kind
    source: int
    column: int
    fill: float = math.nan
    a: float = 0.0
    b: float = 0.0
    categories: Sequence[float] = ()
    values: Sequence[float] = ()
    other: int | None = None
    clip: tuple[float, float] | None = None
    goes_on: bool = False


@dataclass(frozen=True, slots=True)
class Transform:
    """`columns` is how many there are behind it."""

    features: tuple[Feature, ...]
    steps: tuple[Step, ...]
    columns: int

    @property
    def has_texts(self) -> bool:
        """Whether some feature is text, so that a row is no array of numbers."""
        return any(feature.texts is not None for feature in self.features)
