"""Packs scikit-learn's linear models, with the scaling and encoding before them, for the `linear` engine.

A pipeline of scalers, encoders and a linear model is a linear model itself: what it computes is a constant,
plus a coefficient times each feature, plus a number for each feature that is one of its categories. So the
steps before the model are followed column by column, and then folded into its coefficients:

    column      factor · source + shift, where the source is a feature, or 1 if a feature is some category
                and else 0; scalers change factor and shift
    folding     a column's coefficient goes to its feature or category, times the factor, and to the
                intercept, times the shift

Everything is float64, and so is a row: a float32 one is widened.
No step may depend on more than its columns, nor on whether a value is missing: what does is refused by name.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from croupier.artifacts.format import MAX_FEATURES, InvalidArtifact
from croupier.artifacts.packers import outcome
from croupier.artifacts.packers.linear_models import Final, read_final

ENGINE = "linear"
VERSION = 1
_HEADER = struct.Struct("<HBB 5I d")
_PAIR, _WIDE_CATEGORIES = 1, 2
_MAX_SUMS = 0xFFFF

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, slots=True)
class Column:
    """`factor` times `source`, a feature or one of its categories, plus `shift`."""

    source: int
    category: float | None = None
    factor: float = 1.0
    shift: float = 0.0


def pack_linear(model: Any, *, features: Sequence[str] = ()) -> bytes:
    """Pack a fitted linear model of scikit-learn, or a pipeline that ends with one.

    A regressor gives `value` (-1, targets). A classifier gives `label`, and `probabilities` (-1, classes) if
    it has `predict_proba`, else `decision`: (-1, classes), or (-1, 1) of two classes.

    Raises:
        InvalidArtifact: a step or a setting of one that cannot be packed, by name.
    """
    *steps, last = [step for _, step in model.steps] if hasattr(model, "steps") else [model]
    # A pipeline that begins with "passthrough" cannot tell; its next step can.
    width = next((step.n_features_in_ for step in (*steps, last) if hasattr(step, "n_features_in_")), None)
    if width is None:
        raise InvalidArtifact(f"this {type(model).__name__} is not fitted")
    if not 1 <= width <= MAX_FEATURES:
        raise InvalidArtifact(f"a model of {width} features: there may be 1 to {MAX_FEATURES}")
    columns = [Column(place) for place in range(width)]
    for step in steps:
        columns = _through(step, columns)
    final = read_final(last)
    if final.coefficients.shape[1] != len(columns):
        raise InvalidArtifact(f"{final.coefficients.shape[1]} coefficients for {len(columns)} columns")
    names = [str(name) for name in features] or [
        str(name) for name in getattr(model, "feature_names_in_", ())
    ]
    outputs, sections = _outputs(final)
    return outcome.pack_numbers(
        ENGINE,
        _encode(_fold(final, columns, width), final),
        features=width,
        names=names,
        accepts_missing=False,
        outputs=outputs,
        sections=sections,
    )


def _outputs(final: Final) -> tuple[list[Any], dict[str, bytes]]:
    width = len(final.intercept) + final.is_pair
    if final.classes is None:
        return outcome.value(width)
    return outcome.classifier(final.scores, width, final.classes)


# The steps before the model.


def _through(step: Any, columns: list[Column]) -> list[Column]:
    if step is None or step == "passthrough":
        return columns
    if hasattr(step, "steps"):
        for _, inner in step.steps:
            columns = _through(inner, columns)
        return columns
    kind = type(step).__name__
    if kind not in _STEPS:
        raise InvalidArtifact(f"the step {kind} cannot be folded into a linear model")
    return _STEPS[kind](step, columns)


def _scaled(columns: Sequence[Column], factors: Array, shifts: Array) -> list[Column]:
    return [
        replace(column, factor=column.factor * factor, shift=column.shift * factor + shift)
        for column, factor, shift in zip(columns, factors.tolist(), shifts.tolist(), strict=True)
    ]


def _standard(step: Any, columns: list[Column]) -> list[Column]:
    mean = np.zeros(len(columns)) if step.mean_ is None or not step.with_mean else step.mean_
    scale = np.ones(len(columns)) if step.scale_ is None else step.scale_
    return _scaled(columns, 1 / scale, -mean / scale)


def _robust(step: Any, columns: list[Column]) -> list[Column]:
    center = np.zeros(len(columns)) if step.center_ is None else step.center_
    scale = np.ones(len(columns)) if step.scale_ is None else step.scale_
    return _scaled(columns, 1 / scale, -center / scale)


def _min_max(step: Any, columns: list[Column]) -> list[Column]:
    _refuse_clipping(step)
    return _scaled(columns, step.scale_, step.min_)


def _max_abs(step: Any, columns: list[Column]) -> list[Column]:
    _refuse_clipping(step)
    return _scaled(columns, 1 / step.scale_, np.zeros(len(columns)))


def _refuse_clipping(step: Any) -> None:
    if getattr(step, "clip", False):
        raise InvalidArtifact(f"{type(step).__name__}(clip=True) cannot be folded into a linear model")


def _one_hot(step: Any, columns: list[Column]) -> list[Column]:
    if step.handle_unknown != "ignore":
        raise InvalidArtifact(
            f"OneHotEncoder(handle_unknown={step.handle_unknown!r}) cannot be packed: "
            "a cell ignores a category that it does not know"
        )
    if step.min_frequency is not None or step.max_categories is not None:
        raise InvalidArtifact("OneHotEncoder with infrequent categories cannot be packed")
    dropped = step.drop_idx_ if step.drop_idx_ is not None else [None] * len(columns)
    found = []
    for column, categories, drop in zip(columns, step.categories_, dropped, strict=True):
        if column != Column(column.source):
            raise InvalidArtifact("OneHotEncoder after another step cannot be packed")
        if categories.dtype.kind not in "biuf" or np.isnan(categories.astype(np.float64)).any():
            raise InvalidArtifact("OneHotEncoder with categories that are no numbers cannot be packed")
        found += [
            Column(column.source, category)
            for place, category in enumerate(categories.astype(np.float64).tolist())
            if place != drop
        ]
    return found


def _function(step: Any, columns: list[Column]) -> list[Column]:
    """A ColumnTransformer's remainder that passes through is one of these, without a function."""
    if step.func is not None:
        raise InvalidArtifact("a FunctionTransformer with a function cannot be folded into a linear model")
    return columns


def _by_column(step: Any, columns: list[Column]) -> list[Column]:
    """ColumnTransformer: the blocks side by side in their order."""
    places = step._transformer_to_input_indices  # noqa: SLF001 (columns may be told by name, mask or slice)
    found = []
    for name, inner, _ in step.transformers_:
        if inner == "drop":
            continue
        chosen = [columns[place] for place in places[name]]
        weight = (step.transformer_weights or {}).get(name, 1.0)
        block = _through(inner, chosen)
        found += _scaled(block, np.full(len(block), weight), np.zeros(len(block)))
    return found


_STEPS: Mapping[str, Callable[[Any, list[Column]], list[Column]]] = {
    "ColumnTransformer": _by_column,
    "FunctionTransformer": _function,
    "MaxAbsScaler": _max_abs,
    "MinMaxScaler": _min_max,
    "OneHotEncoder": _one_hot,
    "RobustScaler": _robust,
    "StandardScaler": _standard,
}


# Folding, and the section's bytes.


@dataclass(frozen=True, slots=True)
class _Folded:
    """`coefficients` (features, sums); `contributions` by feature and category, each (sums,)."""

    intercept: Array
    coefficients: Array
    contributions: dict[int, dict[float, Array]]


def _fold(final: Final, columns: Sequence[Column], width: int) -> _Folded:
    intercept = final.intercept.astype(np.float64)
    coefficients = np.zeros((width, len(intercept)))
    contributions: dict[int, dict[float, Array]] = {}
    for column, weights in zip(columns, final.coefficients.T, strict=True):
        intercept = intercept + weights * column.shift
        if column.category is None:
            coefficients[column.source] += weights * column.factor
        else:
            known = contributions.setdefault(column.source, {})
            known[column.category] = known.get(column.category, 0.0) + weights * column.factor
    return _Folded(intercept, coefficients, contributions)


def _encode(folded: _Folded, final: Final) -> bytes:
    sums = len(folded.intercept)
    if not 1 <= sums <= _MAX_SUMS:
        raise InvalidArtifact(f"a linear model of {sums} outputs: there may be 1 to {_MAX_SUMS}")
    tables = [(feature, sorted(known.items())) for feature, known in sorted(folded.contributions.items())]
    categories = [category for _, table in tables for category, _ in table]
    contributions = [weights for _, table in tables for _, weights in table]
    begins = np.cumsum([0, *(len(table) for _, table in tables)]).tolist()
    encoded = list(zip([*(feature for feature, _ in tables), 0], begins, strict=True))
    is_wide = not all(_is_float32(category) for category in categories)
    header = _HEADER.pack(
        VERSION,
        final.transformation,
        0,
        _PAIR * final.is_pair | _WIDE_CATEGORIES * is_wide,
        len(folded.coefficients),
        sums,
        len(tables),
        len(categories),
        final.parameter,
    )
    arrays = [
        np.asarray(folded.intercept, "<f8"),
        np.asarray(folded.coefficients, "<f8"),
        np.array(contributions, "<f8"),
        np.array(encoded, "<u4"),
        np.array(categories, "<f8" if is_wide else "<f4"),
    ]
    return b"".join([header, *(array.tobytes() for array in arrays)])


def _is_float32(value: float) -> bool:
    with np.errstate(over="ignore"):
        return float(np.float32(value)) == value
