"""Rows that are likely for a trained object: values that its parts keep of what they were trained on.

A graph that came from an object does not say what its inputs mean, and on rows of the wrong size all
answers are alike: a scaler of unix seconds makes the same of 0 and of 1. But what sees the features first has
kept means and spreads, bounds, quantiles, neighbours, or thresholds. Each feature gets values from those.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from croupier.artifacts.tables import Array

_ROWS = 600
_MOST_KEPT = 2_000
_MOST_DEPTH = 8
_MOST_PARTS = 20
_STEPS = np.linspace(-2.5, 2.5, 11)
# A middle and a spread by feature, of all rows or of each class; some spreads are squares.
_SPREADS = (("mean_", "scale_"), ("center_", "scale_"), ("theta_", "var_"), ("means_", "covariances_"))
_SQUARES = {"var_", "covariances_"}
_ROWS_KEPT = ("_fit_X", "cluster_centers_", "quantiles_", "statistics_", "support_vectors_", "X_train_")
# What an estimator of others has trained; they see the same features.
_INNER = ("calibrated_classifiers_", "estimators_", "named_transformers_", "best_estimator_", "regressor_")
_INNER_ONE = ("estimator_", "estimator")


def likely_rows(model: Any, features: int, random: np.random.Generator) -> Array | None:
    """Rows of float64, (n, features); None if nothing in `model` says what its features are like."""
    found: list[list[Array]] = [[] for _ in range(features)]
    for part, places in _parts(model, list(range(features)), _MOST_DEPTH):
        for place, values in zip(places, _kept(part, len(places)), strict=False):
            found[place].append(values)
    if not any(len(values) for each in found for values in each):
        return None
    columns = [_column(np.concatenate(each), random) if each else _unknown(random) for each in found]
    return np.stack(columns, axis=1)


def _parts(part: Any, places: Sequence[int], depth: int) -> Iterator[tuple[Any, Sequence[int]]]:
    """What sees the features themselves, each with the features that are its columns."""
    if depth == 0 or part is None or isinstance(part, str):
        return
    if hasattr(part, "steps"):
        first = next((step for _, step in part.steps if step is not None and step != "passthrough"), None)
        yield from _parts(first, places, depth - 1)
    elif hasattr(part, "_transformer_to_input_indices"):
        for name, inner, _ in part.transformers_:
            own: Sequence[int] = [places[place] for place in part._transformer_to_input_indices[name]]  # noqa: SLF001 (by any way)
            yield from _parts(inner, own, depth - 1)
    elif hasattr(part, "transformer_list"):
        for _, inner in part.transformer_list:
            yield from _parts(inner, places, depth - 1)
    else:
        yield part, places
        chosen = getattr(part, "estimators_features_", None)
        for number, inner in enumerate(_inner(part)):
            own = places if chosen is None else [places[place] for place in chosen[number]]
            yield from _parts(inner, own, depth - 1)


def _inner(part: Any) -> list[Any]:
    for name in _INNER:
        found = getattr(part, name, None)
        if found is not None:
            several = (
                list(found.values()) if hasattr(found, "values") else list(np.ravel(np.array(found, object)))
            )
            return several[:_MOST_PARTS]
    return [
        getattr(part, name) for name in _INNER_ONE if hasattr(getattr(part, name, None), "n_features_in_")
    ]


def _kept(part: Any, width: int) -> list[Array]:
    """By column of `part`, the values that it keeps; a column of which it keeps none has an empty array."""
    found: list[list[Array]] = [[np.empty(0)] for _ in range(width)]
    for rows in (*_spread(part, width), *(_rows(part, name, width) for name in _ROWS_KEPT)):
        for place, values in enumerate(rows.T):
            found[place].append(values)
    for place, values in _bounds(part, width):
        found[place].append(values)
    return [values[np.isfinite(values)] for values in map(np.concatenate, found)]


def _spread(part: Any, width: int) -> Iterator[Array]:
    """Rows from below the middle of each column to above it, or from its least value to its greatest."""
    for middle, spread in _SPREADS:
        for mean, size in zip(_rows(part, middle, width), _rows(part, spread, width), strict=False):
            yield mean + _STEPS[:, None] * (np.sqrt(np.abs(size)) if spread in _SQUARES else size)
    for least, most in zip(_rows(part, "data_min_", width), _rows(part, "data_max_", width), strict=False):
        yield np.linspace(least, most, len(_STEPS))


def _bounds(part: Any, width: int) -> Iterator[tuple[int, Array]]:
    """Bounds of bins, and a tree's thresholds, by column."""
    edges = getattr(part, "bin_edges_", ())
    for place, values in enumerate(edges if len(edges) == width else ()):
        yield place, np.concatenate([values, (values[1:] + values[:-1]) / 2])
    tree = getattr(part, "tree_", None)
    if tree is not None:
        for feature in np.unique(tree.feature[tree.feature >= 0]).tolist():
            yield feature, tree.threshold[tree.feature == feature]


def _rows(part: Any, name: str, width: int) -> Array:
    """An attribute of one number a column, or of rows of these; no rows if it is another thing."""
    value = getattr(part, name, None)
    array: Array = value if isinstance(value, np.ndarray) else np.empty(0)
    if array.dtype.kind not in "fiu" or array.ndim not in (1, 2) or array.shape[-1:] != (width,):
        return np.empty((0, width))
    found: Array = array.reshape(-1, width)[:_MOST_KEPT]
    return found.astype(np.float64, copy=False)


def _column(values: Array, random: np.random.Generator) -> Array:
    """Some of the values, of which half are moved a little."""
    if not len(values):
        return _unknown(random)
    spread = float(values.std()) or max(1e-3, abs(float(values[0])))
    moved = random.normal(size=_ROWS) * spread / 8 * (random.random(_ROWS) < 0.5)
    found: Array = random.choice(values, _ROWS) + moved
    return found


def _unknown(random: np.random.Generator) -> Array:
    found: Array = random.normal(size=_ROWS) * random.choice([0.1, 1.0, 10.0], size=_ROWS)
    return found
