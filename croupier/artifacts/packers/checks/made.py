"""Rows that a model is compared on, made from what its artifact says, and what a sample becomes.

    forest    rows that reach each node, with its threshold and that one's neighbours (`forest_rows`)
    linear    rows on which each coefficient and each category tells (`linear_rows`)
              either behind a pipeline: values of which its steps make such rows (`transform_rows`)
    onnx      values near those that the graph, or the object that it came from, keeps

Some more have holes, zeros and what is very small or large, and infinities where the model accepts these.
Rows are float64; they are asked in float32 too, where a cell takes both. The generator is seeded: one
artifact has one set of rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from croupier.artifacts.datatypes import DATATYPES
from croupier.artifacts.engines import FOREST, LINEAR, NATIVE
from croupier.artifacts.format import Artifact, InvalidArtifact, Tensor
from croupier.artifacts.packers.checks.forest_rows import Forest, categories, path_rows, read_forest
from croupier.artifacts.packers.checks.graph_rows import graph_tables
from croupier.artifacts.packers.checks.linear_rows import centred_rows, read_linear
from croupier.artifacts.packers.checks.transform_rows import has_transform, raw_rows, raw_table, read_block
from croupier.artifacts.tables import Table

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Random: TypeAlias = np.random.Generator

MOST_NODES = 1_000
_MOST_SAMPLE = 10_000
_ROWS = 300
_BASE = 400
# Zeros, and what is near them: LightGBM takes what is within 1e-35 for zero.
_SPECIAL = [0.0, -0.0, 1e-35, -1e-35, 1.1e-35, 1e-36, 1e6, -1e6]
# Names that a library gives to columns without any.
_NUMBERED = re.compile(r"Column_\d+")


def made_tables(artifact: Artifact, base: Array | None = None) -> list[Table]:
    """Tables of rows for the inputs of `artifact`; `base` (rows, features) has values that are likely.

    Raises:
        InvalidArtifact: its section is damaged.
    """
    random = np.random.default_rng(1)
    try:
        if artifact.engine in NATIVE:
            return _native(artifact, base, random)
    except (ValueError, IndexError) as error:
        raise InvalidArtifact(f"the {artifact.engine} is damaged: {error}") from error
    return graph_tables(artifact, base, random)


class WrongSample(InvalidArtifact):
    """The rows to compare on are none of this model. The publisher's."""

    reason = "WRONG_SAMPLE"


def sample_tables(artifact: Artifact, sample: Any) -> list[Table]:
    """The tables of a sample: a matrix in the order of the features, or a data frame with their columns.

    Raises:
        WrongSample: it has other columns than the model has features.
    """
    try:
        if len(artifact.inputs) == 1:
            return _tables(artifact, _some(_matrix(artifact, sample)))
        return [{tensor.name: _some(_column(tensor, sample)) for tensor in artifact.inputs}]
    except (ValueError, TypeError) as error:
        raise WrongSample(f"the sample is no rows of this model: {error}") from error


def _some(rows: Array) -> Array:
    if len(rows) <= _MOST_SAMPLE:
        return rows
    return rows[np.linspace(0, len(rows) - 1, _MOST_SAMPLE).astype(np.int64)]


def _matrix(artifact: Artifact, sample: Any) -> Array:
    if hasattr(sample, "columns"):
        if not all(map(_NUMBERED.fullmatch, artifact.features)):
            sample = _named(sample, artifact.features)
        sample = sample.to_numpy(dtype=np.float64, na_value=np.nan)
    rows = np.asarray(sample, np.float64)
    shape = artifact.inputs[0].shape
    if rows.shape[1:] != shape[1:] or not len(rows):
        raise WrongSample(f"a sample of shape {list(rows.shape)} for a model that takes {list(shape)}")
    return rows


def _column(tensor: Tensor, sample: Any) -> Array:
    if not hasattr(sample, "columns"):
        raise WrongSample("the sample of a model with several inputs is a data frame with their names")
    column = _named(sample, [tensor.name])[tensor.name]
    if not len(column):
        raise WrongSample("the sample has no rows")
    dtype = DATATYPES[tensor.datatype]
    if dtype.kind == "O":
        missing = column.isna().tolist()
        texts = [
            None if is_none else str(text) for text, is_none in zip(column.tolist(), missing, strict=True)
        ]
        return np.array([*texts, None], np.object_)[:-1, None]
    return column.to_numpy(dtype=dtype, na_value=np.nan)[:, None]  # type: ignore[no-any-return]


def _named(frame: Any, names: Sequence[str]) -> Any:
    """The columns called `names`, in this order."""
    known = [str(name) for name in frame.columns]
    missing = [name for name in names if name not in known]
    if missing:
        raise WrongSample(f"the sample has no column {', '.join(missing[:5])}")
    return frame.set_axis(known, axis=1)[list(names)]


def _tables(artifact: Artifact, rows: Array) -> list[Table]:
    """Rows as the artifact takes them; native engines take both kinds of floats."""
    tensor = artifact.inputs[0]
    dtypes = {DATATYPES[tensor.datatype]}
    if artifact.engine in NATIVE:
        dtypes |= {DATATYPES["FP32"], DATATYPES["FP64"]}
    with np.errstate(over="ignore", invalid="ignore"):
        return [{tensor.name: rows.astype(dtype)} for dtype in sorted(dtypes, key=lambda each: each.itemsize)]


def _native(artifact: Artifact, base: Array | None, random: Random) -> list[Table]:
    is_behind = has_transform(artifact)
    made = _MADE[artifact.engine](artifact, None if is_behind else base, random)
    if not is_behind:
        return _tables(artifact, made.rows)
    block = read_block(artifact, made.end)
    return raw_table(artifact, block, raw_rows(block, made.rows, made.categorical, random), random)


@dataclass(frozen=True, slots=True)
class _Made:
    """Rows as a native engine takes them; `end` is where its section's own bytes end, and `categorical` the
    features that are categories.
    """

    rows: Array
    end: int
    categorical: Collection[int] = ()


def _linear(artifact: Artifact, base: Array | None, random: Random) -> _Made:
    linear = read_linear(artifact.section(artifact.engine))
    rows = centred_rows(linear, random, _ROWS)
    return _Made(rows if base is None else np.concatenate([rows, base[:_ROWS]]), linear.end)


def _forest(artifact: Artifact, base: Array | None, random: Random) -> _Made:
    forest = read_forest(artifact.section(artifact.engine))
    return _Made(_forest_rows(artifact, forest, base, random), forest.end, set(categories(forest)))


# How rows are made for each native engine.
_MADE: Mapping[str, Callable[[Artifact, Array | None, Random], _Made]] = {FOREST: _forest, LINEAR: _linear}
assert _MADE.keys() == NATIVE.keys(), "each native engine has rows"


def _forest_rows(artifact: Artifact, forest: Forest, base: Array | None, random: Random) -> Array:
    inner = forest.inner
    likely = _likely_values(forest.features, forest.feature[inner], forest.threshold[inner], random)
    for feature, values in categories(forest).items():
        likely[:, feature] = random.choice(values, len(likely))
    if base is not None:
        likely = np.concatenate([likely[: len(likely) // 4], base])
    rows = path_rows(forest, likely, random, MOST_NODES)
    return np.concatenate([rows, _irregular(artifact, forest, likely, random)])


def _likely_values(features: int, feature: Array, threshold: Array, random: Random) -> Array:
    """Rows of values at and between the thresholds of each feature."""
    rows = random.normal(size=(_BASE, features))
    order = np.argsort(feature, kind="stable")
    starts = np.searchsorted(feature[order], np.arange(features + 1))
    for place in range(features):
        found = np.unique(threshold[order[starts[place] : starts[place + 1]]])
        found = found[np.isfinite(found)]
        if len(found):
            between = (found[:-1] + found[1:]) / 2
            span = found[-1] - found[0] or max(1.0, abs(found[0]))
            rows[:, place] = random.choice(
                [found[0] - span / 8, *found, *between, found[-1] + span / 8], _BASE
            )
    return rows


def _irregular(artifact: Artifact, forest: Forest, likely: Array, random: Random) -> Array:
    """Likely rows in which some numbers are special; of a model that takes holes, some values of any kind."""
    rows = likely[random.integers(len(likely), size=_ROWS)]
    # Libraries that narrow to float32 refuse what is infinite.
    special = [*_SPECIAL, *([np.inf, -np.inf] if forest.is_wide and not artifact.finite else [])]
    where = random.random(rows.shape) < 0.15
    where[:, list(categories(forest))] = False
    rows[where] = random.choice(special, int(where.sum()))
    if artifact.accepts_missing:
        rows[random.random(rows.shape) < 0.15] = np.nan
    return rows
