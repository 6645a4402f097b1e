"""What every tree library's model becomes before it is written down: one description, no library's own.

Reading a library is one matter and the bytes of the packed file another; this is what they share. Thresholds
are float64, and so are the rows that some libraries compare with them; others narrow a row to float32 first.
`layout` writes down what compares the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, TypeAlias

import numpy as np

from croupier.artifacts.packers.transformation import Transformation

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


class CategoryRule(IntEnum):
    """Which category a value is that is no whole number."""

    # LightGBM: cut towards zero, so that -0.5 is category 0.
    TRUNCATE = 0
    # XGBoost: the same, but nothing below 0 is a category.
    TRUNCATE_POSITIVE = 1
    # scikit-learn: none.
    EXACT = 2


@dataclass(frozen=True, slots=True)
class Categories:
    """A categorical split: `members` go right if `is_right`, else left, and all others the other way."""

    members: Array
    is_right: bool


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree of n nodes in any order, the root first; of a leaf `left` is -1.

    `threshold` (n,) float64: values up to it go left, those below it if `is_strict`. `missing_right`
    (n,) bool. `value` (n,) or (n, sums) float64. `categories` by node, in place of its threshold.
    """

    left: Array
    right: Array
    feature: Array
    threshold: Array
    missing_right: Array
    value: Array
    is_strict: bool = False
    categories: Mapping[int, Categories] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ensemble:
    """`groups[i]` are the trees that add to sum i; of trees with vectors there is one group for all sums.

    A row's sums are divided by `divisor`, then `base` (sums,) is added, then the transformation is applied
    with its `parameter`. `is_pair`: the one sum is a probability p, and the outputs are 1 - p and p.
    """

    features: int
    groups: Sequence[Sequence[Tree]]
    base: Array
    transformation: Transformation = Transformation.IDENTITY
    parameter: float = 1.0
    divisor: float = 1.0
    is_pair: bool = False
    category_rule: CategoryRule = CategoryRule.TRUNCATE
    # Features of which 0 is a missing value.
    zero_is_missing: Sequence[int] = ()
    # The library compares float64 values as they are, with `<=` throughout; else as float32.
    is_wide: bool = False
    # The trees themselves show that values were missing in training.
    has_seen_missing: bool = False
