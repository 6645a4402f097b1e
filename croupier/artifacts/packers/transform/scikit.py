"""scikit-learn's steps before an estimator, followed column by column.

A matrix that an encoder made may be sparse, and then goes on being: scikit-learn scales it by the inverse of
what it divides other matrices by, and XGBoost takes its zeros for missing values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from croupier.artifacts.format import InvalidArtifact
from croupier.artifacts.packers.transform.columns import (
    Category,
    Column,
    ScaleShift,
    ShiftScale,
    category,
    is_missing,
)
from croupier.artifacts.packers.transform.encoders import one_hot, ordinal
from croupier.artifacts.packers.transform.policies import Policies

# What is added to leave a product as it is, -0.0 too.
_NOTHING = -0.0


@dataclass(frozen=True, slots=True)
class Matrix:
    """What a step takes and gives; each notes in `policies` what it refuses."""

    columns: tuple[Column, ...]
    policies: Policies
    is_sparse: bool = False

    def with_columns(self, columns: Sequence[Column]) -> Matrix:
        """The same with other columns."""
        return replace(self, columns=tuple(columns))


def through(step: Any, matrix: Matrix) -> Matrix:
    """What a fitted step makes of a matrix.

    Raises:
        InvalidArtifact: a step or a setting of one that cannot be packed, by name.
    """
    if step is None or (isinstance(step, str) and step == "passthrough"):
        return matrix
    kind = type(step).__name__
    if kind not in STEPS:
        raise InvalidArtifact(
            f"the step {kind} cannot be packed for a native engine: pack the pipeline for ONNX"
        )
    width = getattr(step, "n_features_in_", None)
    if width is None and kind not in _STATELESS:
        raise InvalidArtifact(f"this {kind} is not fitted")
    if width not in {None, len(matrix.columns)}:
        raise InvalidArtifact(f"{kind} was fitted on {width} columns and gets {len(matrix.columns)}")
    return STEPS[kind](step, matrix)


def _pipeline(step: Any, matrix: Matrix) -> Matrix:
    for _, inner in step.steps:
        matrix = through(inner, matrix)
    return matrix


def _by_column(step: Any, matrix: Matrix) -> Matrix:
    """ColumnTransformer: the blocks side by side in their order."""
    places = step._transformer_to_input_indices  # noqa: SLF001 (columns may be told by name, mask or slice)
    found: list[Column] = []
    for name, inner, _ in step.transformers_:
        if isinstance(inner, str) and inner == "drop":
            continue
        chosen = matrix.with_columns([matrix.columns[place] for place in places[name]])
        block = through(inner, chosen).columns if chosen.columns else ()
        weight = (step.transformer_weights or {}).get(name)
        if weight is not None:
            block = tuple(column.changed(ScaleShift(float(weight), _NOTHING)) for column in block)
        found += block
    return replace(matrix, columns=tuple(found), is_sparse=bool(getattr(step, "sparse_output_", False)))


def _function(step: Any, matrix: Matrix) -> Matrix:
    """A ColumnTransformer's remainder that passes through is one of these, without a function."""
    if step.func is not None:
        raise InvalidArtifact(
            "a FunctionTransformer with a function cannot be packed for a native engine: "
            "pack the pipeline for ONNX"
        )
    return matrix


def _one_hot(step: Any, matrix: Matrix) -> Matrix:
    is_sparse = bool(getattr(step, "sparse_output", getattr(step, "sparse", True)))
    return replace(matrix, columns=tuple(one_hot(step, matrix.columns, matrix.policies)), is_sparse=is_sparse)


def _ordinal(step: Any, matrix: Matrix) -> Matrix:
    return matrix.with_columns(ordinal(step, matrix.columns, matrix.policies))


# Imputers.


def _impute(step: Any, matrix: Matrix) -> Matrix:
    if not is_missing(step.missing_values):
        raise InvalidArtifact(f"SimpleImputer(missing_values={step.missing_values!r}) cannot be packed")
    if matrix.is_sparse and any(column.may_be_missing for column in matrix.columns):
        raise InvalidArtifact("a SimpleImputer of a sparse matrix cannot be packed")
    matrix.policies.refuse_infinite(matrix.columns)
    found = []
    for column, statistic in zip(matrix.columns, step.statistics_, strict=True):
        # Of a column that was never seen there is none, and it is left out.
        if is_missing(statistic) and not step.keep_empty_features:
            continue
        found.append(column.filled(_fill(step, statistic)))
    if step.add_indicator:
        found += [matrix.columns[place].indicator() for place in step.indicator_.features_.tolist()]
    return matrix.with_columns(found)


def _fill(step: Any, statistic: Any) -> Category:
    """As scikit-learn puts it in: in the datatype that the imputer was fitted on."""
    value = np.asarray([statistic], object).astype(step._fill_dtype)[0]  # noqa: SLF001 (its only form)
    found = category(value)
    if found is None or (isinstance(found, float) and math.isnan(found)):
        raise InvalidArtifact(f"a SimpleImputer that fills in {statistic!r} cannot be packed")
    return found


# Scalers: they take missing values as they are, and refuse infinite ones.


def _scale(matrix: Matrix, changes: Sequence[ShiftScale | ScaleShift]) -> Matrix:
    matrix.policies.refuse_infinite(matrix.columns)
    return matrix.with_columns(
        [column.changed(change) for column, change in zip(matrix.columns, changes, strict=True)]
    )


def _shift_scale(matrix: Matrix, shifts: Any, scales: Any) -> Matrix:
    """(x - shift) / scale, where both may be None."""
    width = len(matrix.columns)
    divisors = [1.0] * width if scales is None else [float(scale) for scale in scales]
    if matrix.is_sparse:
        return _scale(matrix, [ScaleShift(1 / divisor, _NOTHING) for divisor in divisors])
    offsets = [0.0] * width if shifts is None else [float(shift) for shift in shifts]
    return _scale(matrix, [ShiftScale(*both) for both in zip(offsets, divisors, strict=True)])


def _standard(step: Any, matrix: Matrix) -> Matrix:
    return _shift_scale(
        matrix, step.mean_ if step.with_mean else None, step.scale_ if step.with_std else None
    )


def _robust(step: Any, matrix: Matrix) -> Matrix:
    return _shift_scale(
        matrix, step.center_ if step.with_centering else None, step.scale_ if step.with_scaling else None
    )


def _max_abs(step: Any, matrix: Matrix) -> Matrix:
    found = _shift_scale(matrix, None, step.scale_)
    if not getattr(step, "clip", False):
        return found
    return _scale(found, [ScaleShift(1.0, _NOTHING, (-1.0, 1.0))] * len(found.columns))


def _min_max(step: Any, matrix: Matrix) -> Matrix:
    low, high = step.feature_range
    clip = (float(low), float(high)) if step.clip else None
    return _scale(
        matrix,
        [
            ScaleShift(float(scale), float(shift), clip)
            for scale, shift in zip(step.scale_, step.min_, strict=True)
        ],
    )


# What knows no width of its own: a pipeline may begin with nothing.
_STATELESS = {"FunctionTransformer", "Pipeline"}

STEPS: Mapping[str, Callable[[Any, Matrix], Matrix]] = {
    "ColumnTransformer": _by_column,
    "FunctionTransformer": _function,
    "MaxAbsScaler": _max_abs,
    "MinMaxScaler": _min_max,
    "OneHotEncoder": _one_hot,
    "OrdinalEncoder": _ordinal,
    "Pipeline": _pipeline,
    "RobustScaler": _robust,
    "SimpleImputer": _impute,
    "StandardScaler": _standard,
}
