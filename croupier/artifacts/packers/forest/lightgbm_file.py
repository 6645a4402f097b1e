"""LightGBM's model file to an ensemble.

The text is read here and not by way of treelite, which loses what a split does with missing values: with
`zero_as_missing` its answers for 0 are others than LightGBM's. A split's `decision_type` has a bit for a
categorical split, a bit for "missing goes left", and two bits for what is missing:

    0  nothing     NaN counts as 0 and is compared
    1  zero        NaN and whatever is within 1e-35 of 0 are missing
    2  NaN         NaN is missing

A feature of the second kind is listed, and a cell turns its zeros into NaN before it walks. Then one
feature cannot be of two kinds; LightGBM makes no such model unless it goes on training another's with other
settings, and it is refused here. A category that a split does not list goes right, and so does NaN.

Before a row is compared at all, LightGBM drops what is within 1e-35 of 0 from it, and what is not there
is 0. Thresholds in that band, of which LightGBM makes its two ends, are moved so that all values of the
band go where 0 goes.

Source: LightGBM, include/LightGBM/tree.h, `NumericalDecision` and `CategoricalDecision`; src/c_api.cpp,
`RowPairFunctionFromDenseMatric`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from croupier.artifacts.format import InvalidArtifact
from croupier.artifacts.packers.forest import lightgbm_categories, lightgbm_text
from croupier.artifacts.packers.forest.ensemble import (
    Array,
    Categories,
    CategoryRule,
    Ensemble,
    Tree,
)
from croupier.artifacts.packers.forest.layout import MAX_SUMS
from croupier.artifacts.packers.transform.encoders import Codes
from croupier.artifacts.packers.transformation import Transformation

_CATEGORICAL, _DEFAULT_LEFT = 1, 2
_NOTHING, _ZERO, _NAN = 0, 1, 2
# LightGBM's kZeroThreshold, a float32, and the float64 below its negative.
_BAND = float(np.float32(1e-35))
_MAX_INTEGER = 2.0**31
_BELOW_BAND = float(np.nextafter(-_BAND, -np.inf))

# By the first word of `objective`. What is not here, and is not told otherwise below, gives the sums.
_TRANSFORMATIONS = {
    "binary": Transformation.SIGMOID,
    "cross_entropy": Transformation.SIGMOID,
    "xentropy": Transformation.SIGMOID,
    "cross_entropy_lambda": Transformation.LOG_ONE_PLUS_EXP,
    "xentlambda": Transformation.LOG_ONE_PLUS_EXP,
    "multiclass": Transformation.SOFTMAX,
    "multiclassova": Transformation.SIGMOID,
    "poisson": Transformation.EXPONENTIAL,
    "gamma": Transformation.EXPONENTIAL,
    "tweedie": Transformation.EXPONENTIAL,
}
_SUMS = {
    "custom",
    "fair",
    "huber",
    "lambdarank",
    "mape",
    "quantile",
    "rank_xendcg",
    "regression",
    "regression_l1",
}


@dataclass(frozen=True, slots=True)
class LightGbm:
    """`objective` is its first word; `names` are the file's names of its features.

    `codes` are those that the trees know in place of categories, by feature.
    """

    ensemble: Ensemble
    objective: str
    names: tuple[str, ...]
    codes: Mapping[int, Codes]


def read(text: str) -> LightGbm:
    """The model of a file.

    Raises:
        InvalidArtifact: it is none, or it has what cannot be packed.
    """
    try:
        return _read(text)
    except KeyError as error:
        raise InvalidArtifact(f"the LightGBM file has no {error.args[0]}") from None
    except (ValueError, IndexError, OverflowError) as error:
        raise InvalidArtifact(f"the LightGBM file cannot be read: {error}") from error


def _read(text: str) -> LightGbm:
    found = lightgbm_text.cut(text)
    fields = found.head
    features = int(fields["max_feature_idx"]) + 1
    sums = int(fields["num_tree_per_iteration"])
    if not 1 <= sums <= MAX_SUMS:
        raise InvalidArtifact(f"the LightGBM file has {sums} outputs: there may be 1 to {MAX_SUMS}")
    names = tuple(fields.get("feature_names", "").split())
    infos = fields.get("feature_infos", "").split()
    objective, *options = fields.get("objective", "custom").split() or ["custom"]
    transformation, parameter = _transformation(objective, options)
    trees = [_tree(each) for each in found.trees]
    if len(trees) % sums:
        raise InvalidArtifact(f"the LightGBM file has {len(trees)} trees for {sums} outputs")
    ensemble = Ensemble(
        features=features,
        groups=[[tree for tree, _ in trees[place::sums]] for place in range(sums)],
        base=np.zeros(sums),
        transformation=transformation,
        parameter=parameter,
        divisor=float(max(1, len(trees) // sums)) if "average_output" in fields else 1.0,
        category_rule=CategoryRule.TRUNCATE,
        zero_is_missing=_zero_is_missing(trees),
        is_wide=True,
        has_seen_missing=any(map(_has_seen_missing, found.trees)),
    )
    codes = lightgbm_categories.read(found.categories, lightgbm_categories.listed(text, infos), infos, names)
    return LightGbm(ensemble, objective, names, codes)


def _transformation(objective: str, options: Sequence[str]) -> tuple[Transformation, float]:
    told = dict(option.partition(":")[::2] for option in options)
    transformation = _TRANSFORMATIONS.get(objective)
    if transformation is None and objective not in _SUMS:
        raise InvalidArtifact(f"LightGBM's objective {objective!r} cannot be packed")
    if "sqrt" in told:
        return Transformation.SIGNED_SQUARE, 1.0
    return transformation or Transformation.IDENTITY, float(told.get("sigmoid", 1.0))


# A tree, and what is missing for each of its features that a number is compared with.
_Read = tuple[Tree, Mapping[int, set[int]]]


def _tree(fields: Mapping[str, str]) -> _Read:
    if fields.get("is_linear", "0").strip() != "0":
        raise InvalidArtifact("LightGBM's linear trees (linear_tree) cannot be packed")
    leaves = int(fields["num_leaves"])
    inner = leaves - 1
    values = _numbers(fields, "leaf_value", leaves)
    if inner < 1:
        nothing = np.full(1, -1)
        return Tree(nothing, nothing, nothing, np.zeros(1), np.zeros(1, bool), values), {}
    threshold = _numbers(fields, "threshold", inner)
    decision = _integers(fields, "decision_type", inner)
    feature = _integers(fields, "split_feature", inner)
    is_categorical = decision & _CATEGORICAL != 0
    kind = decision >> 2 & 3
    missing_right = np.where(kind == _NOTHING, threshold < 0, decision & _DEFAULT_LEFT == 0) | is_categorical
    leaf = np.full(leaves, -1)
    tree = Tree(
        left=np.concatenate([_children(fields, "left_child", inner), leaf]),
        right=np.concatenate([_children(fields, "right_child", inner), leaf]),
        feature=np.concatenate([feature, leaf]),
        threshold=np.concatenate([_outside_band(threshold), np.zeros(leaves)]),
        missing_right=np.concatenate([missing_right, np.zeros(leaves, bool)]),
        value=np.concatenate([np.zeros(inner), values]),
        categories=_categories(fields, np.flatnonzero(is_categorical), threshold),
    )
    kinds: dict[int, set[int]] = {}
    for each, what, categorical in zip(feature.tolist(), kind.tolist(), is_categorical.tolist(), strict=True):
        kinds.setdefault(each, set()).add(_NAN if categorical else what)
    return tree, kinds


def _numbers(fields: Mapping[str, str], name: str, count: int) -> Array:
    numbers = np.array(fields[name].split(), np.float64)
    if len(numbers) != count:
        raise InvalidArtifact(
            f"a tree of the LightGBM file has {len(numbers)} of {name} where {count} are due"
        )
    return numbers


def _integers(fields: Mapping[str, str], name: str, count: int) -> Array:
    numbers = _numbers(fields, name, count)
    if not (np.abs(numbers) <= _MAX_INTEGER).all():
        raise InvalidArtifact(f"a tree of the LightGBM file has a {name} that is no 32-bit integer")
    return numbers.astype(np.int64)


def _outside_band(threshold: Array) -> Array:
    """Thresholds of which none tells values apart that are all 0 to LightGBM."""
    moved = np.where(threshold < 0, _BELOW_BAND, _BAND)
    return np.where(np.abs(threshold) <= _BAND, moved, threshold)


def _children(fields: Mapping[str, str], name: str, inner: int) -> Array:
    """Nodes by number, leaves after the inner nodes; in the file leaf i is -1 - i."""
    numbers = _integers(fields, name, inner)
    return np.where(numbers < 0, inner - 1 - numbers, numbers)


def _categories(fields: Mapping[str, str], nodes: Array, threshold: Array) -> dict[int, Categories]:
    if not len(nodes):
        return {}
    # Nodes may share a list, and a damaged file have all of them share the longest.
    listed: dict[tuple[int, int], Array] = {}
    bounds = list(pairwise(int(bound) for bound in fields["cat_boundaries"].split()))
    words = [int(word) for word in fields["cat_threshold"].split()]
    found = {}
    for node in nodes.tolist():
        begin, end = bounds[int(threshold[node])]
        if (begin, end) not in listed:
            bits = np.array(words[begin:end], np.uint32).astype("<u4").view(np.uint8)
            listed[begin, end] = np.flatnonzero(np.unpackbits(bits, bitorder="little"))
        found[node] = Categories(listed[begin, end], is_right=False)
    return found


def _has_seen_missing(fields: Mapping[str, str]) -> bool:
    """A feature that was never missing in training has nothing that is missing."""
    return any(int(each) >> 2 & 3 != _NOTHING for each in fields.get("decision_type", "").split())


def _zero_is_missing(trees: Sequence[_Read]) -> list[int]:
    kinds: dict[int, set[int]] = {}
    for _, found in trees:
        for feature, kind in found.items():
            kinds.setdefault(feature, set()).update(kind)
    mixed = [feature for feature, kind in kinds.items() if _ZERO in kind and len(kind) > 1]
    if mixed:
        raise InvalidArtifact(
            f"feature {mixed[0]}'s zeros are missing values (zero_as_missing) in some trees only"
        )
    return sorted(feature for feature, kind in kinds.items() if _ZERO in kind)
