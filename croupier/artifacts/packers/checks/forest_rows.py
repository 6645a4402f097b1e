"""Rows that reach every node of a packed forest, with its threshold from both sides.

A row is made for a node: a base row whose values are moved, where they must be, so that it goes from the root
to the node; there it gets the threshold itself, and its neighbours in float32 and in float64 to both sides.
So every leaf is reached too, and a threshold, a leaf or a category that is not the library's shows in an
answer.

It reads the artifact and not the library's model: a threshold that was packed wrongly is tried where it lies,
and the library goes the other way on one side of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Random: TypeAlias = np.random.Generator

_HEADER_BYTES = 64
_ZERO_IS_MISSING, _WIDE, _REMAINDERS = 2, 8, 16
_NODE = np.dtype([("value", "<f4"), ("feature", "<u2"), ("left", "<u2")])
_SPLIT_NUMBER = 0x3F_FFFF
_LISTED_RIGHT = 0x8000_0000
_MOST_MEMBERS = 6
_PART = 2.0**-29
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class Forest:
    """What a section `forest` says of where rows go. `parent` is -1 of a root; `members` by node."""

    features: int
    is_wide: bool
    # Where its arrays end in the section.
    end: int
    feature: Array
    threshold: Array
    parent: Array
    is_right: Array
    inner: Array
    members: Mapping[int, frozenset[int]]
    listed_right: Mapping[int, bool]


def read_forest(section: memoryview) -> Forest:
    """The nodes of a section that its engine has checked."""
    place = 0

    def taken(dtype: Any, count: int) -> Array:
        nonlocal place
        place = -(-place // 8) * 8
        found = np.frombuffer(section, dtype, count, place)
        place += found.nbytes
        return found

    flags = int(np.frombuffer(section, "<u4", 1, 4)[0])
    features, sums, trees, nodes, _, splits, words = (
        int(number) for number in np.frombuffer(section, "<u4", 7, 8)
    )
    place = _HEADER_BYTES
    vectors = int(np.frombuffer(section, "<u4", 1, 24)[0])
    taken("<f8", sums)
    table = taken("<u4", 2 * splits).reshape(-1, 2)
    taken("<u4", trees + 1)
    taken("<u4", (1 if vectors else sums) + 1)
    listed = taken("<u4", words)
    taken("<u4", -(-features // 32) if flags & _ZERO_IS_MISSING else 0)
    found = taken(_NODE, nodes)
    remainders = taken("<u4", (nodes - trees) // 2 if flags & _REMAINDERS else 0)
    taken("<f4", vectors * sums)

    left = found["left"].astype(np.int64)
    inner = np.flatnonzero(left)
    children = inner + left[inner]
    parent, is_right = np.full(nodes, -1), np.zeros(nodes, bool)
    parent[children], parent[children + 1] = inner, inner
    is_right[children + 1] = True
    bits = found["value"].view("<u4")
    categorical = inner[np.isnan(found["value"][inner])]
    members, listed_right = {}, {}
    for node in categorical.tolist():
        first, count = table[int(bits[node]) & _SPLIT_NUMBER].tolist()
        size, listed_right[node] = count & ~_LISTED_RIGHT, bool(count & _LISTED_RIGHT)
        octets = listed[first : first + size].view(np.uint8)
        members[node] = frozenset(np.flatnonzero(np.unpackbits(octets, bitorder="little")).tolist())
    return Forest(
        features,
        bool(flags & _WIDE),
        place,
        (found["feature"] & 0x7FFF).astype(np.int64),
        _thresholds(found["value"], inner, children, remainders),
        parent,
        is_right,
        inner,
        members,
        listed_right,
    )


def _thresholds(values: Array, inner: Array, children: Array, remainders: Array) -> Array:
    """As float64, with what was cut when they were rounded down: parts of a step to the next float32."""
    wide = values.astype(np.float64)
    if not len(remainders):
        return wide
    order = np.argsort(children)
    parts = np.zeros(len(inner))
    parts[order] = remainders
    some = inner[parts > 0]
    steps = np.nextafter(values[some], np.float32(np.inf)).astype(np.float64) - wide[some]
    wide[some] += parts[parts > 0] * steps * _PART
    return wide


def path_rows(forest: Forest, base: Array, random: Random, most_nodes: int) -> Array:
    """Float64 rows for `most_nodes` inner nodes, or all: ten or so for each, from rows of `base`."""
    nodes = forest.inner
    if len(nodes) > most_nodes:
        nodes = np.sort(random.choice(nodes, most_nodes, replace=False))
    known = categories(forest)
    found = []
    for node in nodes.tolist():
        row = base[random.integers(len(base))].copy()
        _lead(row, forest, node, known, random)
        feature = int(forest.feature[node])
        values = _around(forest, node, random)
        rows = np.repeat(row[None], len(values), axis=0)
        rows[:, feature] = values
        found.append(rows)
    return np.concatenate(found) if found else np.empty((0, forest.features))


def categories(forest: Forest) -> dict[int, list[int]]:
    """By feature: the categories that some split names, one that none does, and one far off."""
    found: dict[int, set[int]] = {}
    for node, members in forest.members.items():
        found.setdefault(int(forest.feature[node]), set()).update(members)
    return {
        feature: [*sorted(members), *_unseen(sorted(members))] for feature, members in sorted(found.items())
    }


def _unseen(members: Sequence[int]) -> list[int]:
    highest = members[-1] if members else 0
    return [highest + 1, 2 * highest + 37]


def _lead(row: Array, forest: Forest, node: int, known: Mapping[int, list[int]], random: Random) -> None:
    """Move values of `row` so that it comes to `node`, but for missing ones on the way."""
    bounds: dict[int, tuple[float, float]] = {}
    allowed: dict[int, list[int]] = {}
    child, parent = node, int(forest.parent[node])
    while parent >= 0:
        feature, goes_right = int(forest.feature[parent]), bool(forest.is_right[child])
        if parent in forest.members:
            wants_member = goes_right == forest.listed_right[parent]
            members = forest.members[parent]
            allowed[feature] = [
                each for each in allowed.get(feature, known[feature]) if (each in members) == wants_member
            ]
        else:
            low, high = bounds.get(feature, (-np.inf, np.inf))
            limit = float(forest.threshold[parent])
            bounds[feature] = (max(low, limit), high) if goes_right else (low, min(high, limit))
        child, parent = parent, int(forest.parent[parent])
    for feature, choices in allowed.items():
        if choices and row[feature] not in choices:
            row[feature] = choices[random.integers(len(choices))]
    for feature, (low, high) in bounds.items():
        if not low < row[feature] <= high:
            row[feature] = _between(low, high)


def _between(low: float, high: float) -> float:
    """A float32 above `low` and up to `high`, if there is one; not a threshold if there is room.

    A split of what is missing from all numbers has infinity for a threshold: beyond it is NaN alone.
    """
    if low == np.inf:
        return np.nan
    if np.isfinite(low) and np.isfinite(high):
        middle = float(np.float32(low + (high - low) / 2))
        return middle if low < middle <= high else high
    if np.isfinite(high):
        return max(high - max(1.0, abs(high)) / 8, -_LARGEST)
    return min(low + max(1.0, abs(low)) / 8, _LARGEST) if np.isfinite(low) else 0.0


def _around(forest: Forest, node: int, random: Random) -> Array:
    if node in forest.members:
        members = sorted(forest.members[node])
        some = random.permutation(members)[:_MOST_MEMBERS].tolist() if members else []
        others = [each for each in range(_MOST_MEMBERS) if each not in forest.members[node]]
        return np.array([*some, *others, *_unseen(members), 0.5, -1.0])
    return neighbours(float(forest.threshold[node]))


def neighbours(threshold: float) -> Array:
    """A threshold with what lies a step of float32, or of float64, below and above it, as float64.

    A library may have rounded the threshold to float32, or compare with `<`: so the float32 above it has its
    neighbours here too, and the middle between both, where a double is rounded down or up.
    """
    with np.errstate(over="ignore"):
        nearest = np.float32(threshold)
    below = nearest if float(nearest) <= threshold else np.nextafter(nearest, np.float32(-np.inf))
    steps = [below, np.nextafter(below, np.float32(np.inf))]
    steps = [np.nextafter(below, np.float32(-np.inf)), *steps, np.nextafter(steps[1], np.float32(np.inf))]
    single = np.array(steps, np.float64)
    around = np.array([threshold, single[2], (single[1] + single[2]) / 2])
    found = np.concatenate([single, around, np.nextafter(around, -np.inf), np.nextafter(around, np.inf)])
    # No model takes what is beyond.
    return np.unique(found[np.abs(found) <= _LARGEST])
