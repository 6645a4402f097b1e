"""Rows on which every coefficient of a packed linear model tells.

A feature is given such values that each adds about as much to the sums as any other, and the whole is moved
so that the sums stay near 0, where a probability is neither 0 nor 1: else a coefficient that is wrong would
drown beside the others, or in a saturated answer. Some rows move one feature alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Random: TypeAlias = np.random.Generator

_HEADER_BYTES = 32


@dataclass(frozen=True, slots=True)
class Linear:
    """`categories` and `contributions` (categories, sums) by feature."""

    intercept: Array
    coefficients: Array
    categories: Mapping[int, Array]
    contributions: Mapping[int, Array]
    # Where its arrays end in the section.
    end: int


def read_linear(section: memoryview) -> Linear:
    """What a section says that its engine has checked."""
    features, sums, tables, count = (int(number) for number in np.frombuffer(section, "<u4", 4, 8))
    place = _HEADER_BYTES

    def taken(dtype: str, size: int) -> Array:
        nonlocal place
        found = np.frombuffer(section, dtype, size, place)
        place += found.nbytes
        return found

    intercept = taken("<f8", sums)
    coefficients = taken("<f8", features * sums).reshape(features, sums)
    added = taken("<f8", count * sums).reshape(count, sums)
    encoded = taken("<u4", 2 * (tables + 1)).reshape(-1, 2)
    values = taken("<f4", count).astype(np.float64)
    categories, contributions = {}, {}
    for (feature, first), (_, end) in zip(encoded[:-1].tolist(), encoded[1:].tolist(), strict=True):
        categories[feature], contributions[feature] = values[first:end], added[first:end]
    return Linear(intercept, coefficients, categories, contributions, place)


def centred_rows(model: Linear, random: Random, count: int) -> Array:
    """Float64 rows: `count` in which all features move, and one or a few for up to `count` features alone."""
    features, sums = model.coefficients.shape
    weight = np.abs(model.coefficients).max(axis=1)
    scale = np.where(weight > 0, 1 / np.where(weight > 0, weight, 1.0), 1.0)
    rows = random.normal(size=(count, features)) * scale
    base = np.tile(model.intercept, (count, 1))
    for feature, known in model.categories.items():
        chosen = random.integers(len(known) + 1, size=count)
        rows[:, feature] = np.append(known, _unseen(known))[chosen]
        base += np.vstack([model.contributions[feature], np.zeros(sums)])[chosen]
    numeric = [feature for feature in range(features) if feature not in model.categories]
    if numeric:
        _centre(rows, model, base, scale, numeric, random)
    alone = _alone(rows[0], model, scale, random, count)
    return np.concatenate([rows, alone])


def _centre(
    rows: Array, model: Linear, base: Array, scale: Array, numeric: list[int], random: Random
) -> None:
    """Move the numbers of `rows`, each by its scale, so that the sums are within a few units of 0."""
    scaled = model.coefficients[numeric] * scale[numeric, None]
    wanted = random.normal(size=base.shape) * 2 - base - rows @ model.coefficients
    moves = np.linalg.lstsq(scaled.T, wanted.T, rcond=1e-6)[0].T
    rows[:, numeric] += moves * scale[numeric]


def _alone(row: Array, model: Linear, scale: Array, random: Random, most: int) -> Array:
    """`row` with one feature moved, or set to each of its categories and what is near them."""
    found = []
    features = random.permutation(len(row))[:most]
    for feature in features.tolist():
        known = model.categories.get(feature)
        if known is None:
            values = row[feature] + np.array([-1.5, 1.5]) * scale[feature]
        else:
            narrow = known.astype(np.float32)
            near = np.concatenate(
                [known, np.nextafter(narrow, np.float32(np.inf)), np.nextafter(known, np.inf)]
            )
            values = np.append(near[:most], _unseen(known))
        moved = np.tile(row, (len(values), 1))
        moved[:, feature] = values
        found.append(moved)
    return np.concatenate(found)


def _unseen(known: Array) -> float:
    return float(known.max()) + 1.5 if len(known) else 0.5
