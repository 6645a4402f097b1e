"""An ensemble to the bytes of section `forest`: docs/artifacts.md has them, `cell.engines.forest` reads them.

A threshold is rounded towards minus infinity to the next float32 t. For a float32 value v and any real
threshold x, v <= x and v <= t are then the same, and v < x is v <= t' with t' the float32 below x: so
rounding changes no comparison of a float32 row, and one comparison, `<=`, stands for both.

A library that compares float64 rows tells values apart that float32 cannot. Of its thresholds the remainders
are kept too, what was rounded off, unless all are 0.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import numpy as np

from croupier.artifacts.format import MAX_FEATURES, InvalidArtifact
from croupier.artifacts.packers.forest.ensemble import Array, Categories, Ensemble, Tree

VERSION = 1
_HEADER = struct.Struct("<HBB 9I 2d Q")
_NODE = np.dtype([("value", "<f4"), ("feature", "<u2"), ("left", "<u2")])

_PAIR, _ZERO_IS_MISSING, _CATEGORICAL, _WIDE, _REMAINDERS = 1, 2, 4, 8, 16
_MISSING_RIGHT = 0x8000
_LISTED_RIGHT = 0x8000_0000
_QUIET_NAN = 0x7FC0_0000
_MAX_SPLITS = 0x40_0000
_MAX_STEP = 0xFFFF
_MAX_CATEGORY = 0xFF_FFFF
MAX_SUMS = 0xFFFF


def encode(ensemble: Ensemble) -> bytes:
    """The section's bytes.

    Raises:
        InvalidArtifact: the ensemble is beyond what the layout can hold.
    """
    sums = len(ensemble.base)
    if not 1 <= ensemble.features <= MAX_FEATURES:
        raise InvalidArtifact(f"a forest of {ensemble.features} features: there may be 1 to {MAX_FEATURES}")
    if not 1 <= sums <= MAX_SUMS:
        raise InvalidArtifact(f"a forest of {sums} outputs: there may be 1 to {MAX_SUMS}")
    trees = [tree for group in ensemble.groups for tree in group]
    has_vectors = any(tree.value.ndim == 2 for tree in trees)
    vectors, leaf_values = _vectors(trees) if has_vectors else (np.empty((0, sums), "<f4"), _values(trees))
    categories = _Categories()
    written = [
        _nodes(tree, values, ensemble.features, categories)
        for tree, values in zip(trees, leaf_values, strict=True)
    ]
    nodes = [nodes for nodes, _ in written]
    remainders = _remainders([thresholds for _, thresholds in written] if ensemble.is_wide else [])
    zeros = np.zeros(-(-ensemble.features // 32) if ensemble.zero_is_missing else 0, "<u4")
    for feature in ensemble.zero_is_missing:
        zeros[feature // 32] |= np.uint32(1 << feature % 32)
    flags = (
        _PAIR * ensemble.is_pair
        | _ZERO_IS_MISSING * bool(ensemble.zero_is_missing)
        | _CATEGORICAL * bool(categories.splits)
        | _WIDE * ensemble.is_wide
        | _REMAINDERS * bool(len(remainders))
    )
    roots = np.cumsum([0, *map(len, nodes)])
    header = _HEADER.pack(
        VERSION,
        ensemble.transformation,
        ensemble.category_rule,
        flags,
        ensemble.features,
        sums,
        len(trees),
        roots[-1],
        len(vectors),
        len(categories.splits),
        len(categories.words),
        0,
        ensemble.parameter,
        ensemble.divisor,
        0,
    )
    arrays = [
        np.asarray(ensemble.base, "<f8"),
        np.array(categories.splits, "<u4"),
        roots.astype("<u4"),
        np.cumsum([0, *map(len, ensemble.groups)]).astype("<u4"),
        np.array(categories.words, "<u4"),
        zeros,
        np.concatenate(nodes) if nodes else np.empty(0, _NODE),
        remainders,
        vectors,
    ]
    return _join([header, *(array.tobytes() for array in arrays)])


def _join(parts: Sequence[bytes]) -> bytes:
    """The parts, each beginning at a multiple of 8; nothing follows the last one."""
    joined = bytearray()
    for part in parts:
        joined += bytes(-len(joined) % 8)
        joined += part
    return bytes(joined)


def _values(trees: Sequence[Tree]) -> Iterator[Array]:
    for tree in trees:
        yield _as_float32(tree.value)


def _vectors(trees: Sequence[Tree]) -> tuple[Array, list[Array]]:
    """The different vectors of all leaves, and for each tree the numbers of its nodes' as if floats.

    The leaves of a classifier's full-grown trees are mostly pure, so that few are different.
    """
    rows = np.concatenate([_as_float32(tree.value) for tree in trees])
    is_leaf = np.concatenate([tree.left < 0 for tree in trees])
    vectors, numbers = np.unique(rows[is_leaf], axis=0, return_inverse=True)
    places = np.zeros(len(rows), "<u4")
    places[is_leaf] = numbers.reshape(-1)
    return vectors, np.split(places.view("<f4"), np.cumsum([len(tree.left) for tree in trees])[:-1])


def _as_float32(values: Array) -> Array:
    with np.errstate(over="ignore"):
        rounded: Array = values.astype("<f4")
    if np.isinf(rounded[np.isfinite(values)]).any():
        raise InvalidArtifact("a leaf's value is beyond float32")
    return rounded


def rounded_down(thresholds: Array, is_strict: bool) -> Array:
    """The greatest float32 that is at most each of `thresholds`; below it, if `is_strict`."""
    # To infinity beyond float32 and to 0 below it, and the steps from there, are all meant.
    with np.errstate(over="ignore", under="ignore"):
        nearest: Array = thresholds.astype("<f4")
        wide = nearest.astype("<f8")
        too_high = wide >= thresholds if is_strict else wide > thresholds
        nearest[too_high] = np.nextafter(nearest[too_high], np.float32(-np.inf))
    return nearest


def remainders_of(thresholds: Array) -> Array:
    """What `rounded_down` takes off: uint32, in parts of 2**-29 of the step to the next float32.

    Beyond float32's range there are no values to tell apart, and it is 0.

    Raises:
        InvalidArtifact: one of them has more bits than that, as float64 has below the normal float32 values.
    """
    below = rounded_down(thresholds, is_strict=False)
    found = np.zeros(len(thresholds), "<u4")
    inexact = np.flatnonzero((below != thresholds) & (np.abs(thresholds) <= np.finfo(np.float32).max))
    low = below[inexact]
    # Powers of two: to divide by them is exact, and so is the difference of whole numbers up to 2**53.
    parts = np.ldexp(np.nextafter(low, np.float32(np.inf)).astype("<f8") - low.astype("<f8"), -29)
    wanted = thresholds[inexact] / parts
    if (odd := wanted != np.floor(wanted)).any():
        raise InvalidArtifact(
            f"a threshold of {thresholds[inexact][odd][0]} is nearer to 0 than {np.finfo(np.float32).tiny}, "
            "where a cell cannot tell all values apart: scale the feature"
        )
    found[inexact] = wanted - low / parts
    return found


def _remainders(thresholds: Sequence[Array]) -> Array:
    """Of the trees' inner nodes in their order; none if they are all 0."""
    found = remainders_of(np.concatenate(thresholds)) if thresholds else np.empty(0, "<u4")
    return found if found.any() else found[:0]


class _Categories:
    """The table of categorical splits and the words that hold their members."""

    def __init__(self) -> None:
        self.splits: list[tuple[int, int]] = []
        self.words: list[int] = []
        self._known: dict[bytes, int] = {}

    def add(self, categories: Categories) -> int:
        """The number of a split; equal sets share their words."""
        members = np.asarray(categories.members, np.int64)
        if len(self.splits) >= _MAX_SPLITS:
            raise InvalidArtifact(f"a forest of more than {_MAX_SPLITS} categorical splits")
        if len(members) and not 0 <= members.min() <= members.max() <= _MAX_CATEGORY:
            raise InvalidArtifact(f"a category outside 0 to {_MAX_CATEGORY}")
        words = np.zeros(int(members.max()) // 32 + 1 if len(members) else 0, "<u4")
        np.bitwise_or.at(words, members // 32, (1 << members % 32).astype("<u4"))
        begin = self._known.setdefault(words.tobytes(), len(self.words))
        if begin == len(self.words):
            self.words += words.tolist()
        self.splits.append((begin, len(words) | _LISTED_RIGHT * categories.is_right))
        return len(self.splits) - 1


def _nodes(tree: Tree, values: Array, features: int, categories: _Categories) -> tuple[Array, Array]:
    """One tree's nodes level by level, each pair of children side by side; and the inner nodes' thresholds.

    Of a categorical split that is 0.
    """
    inner = tree.left >= 0
    children = np.concatenate([tree.left[inner], tree.right[inner]])
    if len(children) and not 0 < children.min() <= children.max() < len(inner):
        raise InvalidArtifact("a tree has a child that is none of its nodes")
    order, left = _breadth_first(tree)
    is_leaf = tree.left[order] < 0
    asked = tree.feature[inner]
    if len(asked) and not 0 <= asked.min() <= asked.max() < features:
        raise InvalidArtifact(f"a tree asks for a feature beyond the model's {features}")
    steps = np.where(is_leaf, 0, left - np.arange(len(order)))
    if steps.max() > _MAX_STEP:
        raise InvalidArtifact(
            f"a tree of {len(order)} nodes is too wide: children lie {_MAX_STEP} apart at most"
        )
    nodes = np.zeros(len(order), _NODE)
    nodes["left"] = steps
    nodes["feature"] = np.where(is_leaf, 0, tree.feature[order] | _MISSING_RIGHT * tree.missing_right[order])
    thresholds = rounded_down(tree.threshold, tree.is_strict)
    for node, split in tree.categories.items():
        thresholds.view("<u4")[node] = _QUIET_NAN | categories.add(split)
    numeric = np.ones(len(inner), bool)
    numeric[list(tree.categories)] = False
    if np.isnan(thresholds[numeric & inner]).any():
        raise InvalidArtifact("a threshold is not a number")
    # As integers: a NaN's payload need not survive a copy as a float.
    bits = np.where(is_leaf, values.view("<u4")[order], thresholds.view("<u4")[order])
    nodes["value"] = bits.astype("<u4").view("<f4")
    return nodes, np.where(numeric, tree.threshold, 0.0)[order][~is_leaf]


def _breadth_first(tree: Tree) -> tuple[Array, Array]:
    """The nodes in their new order, and by new place where each one's left child comes to lie."""
    levels, lefts = [], []
    level, begin = np.zeros(1, np.int64), 0
    while len(level):
        inner = tree.left[level] >= 0
        begin += len(level)
        levels.append(level)
        lefts.append(begin + 2 * (np.cumsum(inner) - inner))
        parents = level[inner]
        level = np.stack([tree.left[parents], tree.right[parents]], axis=1).reshape(-1).astype(np.int64)
        if begin > len(tree.left):
            raise InvalidArtifact("a tree's nodes have more than one parent")
    return np.concatenate(levels), np.concatenate(lefts)
