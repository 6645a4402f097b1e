"""A model's features one by one: named ones in its order, what a value may be, and a row of them."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from cell.codec.signature import Array, Signature
from croupier.artifacts.datatypes import DATATYPES
from croupier.errors import InvalidRequest
from protos.prediction.v1 import prediction_pb2 as pb

Scalar: TypeAlias = float | str


def named(features: pb.Features, signature: Signature, *, passes_over: bool = False) -> list[Scalar | None]:
    """By feature of the model; None for those that are not there.

    Raises:
        InvalidRequest: one twice, or without a value; or, unless it is passed over, one that the model lacks.
    """
    values: list[Scalar | None] = [None] * len(signature.features)
    for feature in features.features:
        name = feature.name
        place = signature.columns.get(name)
        if place is None:
            if passes_over:
                continue
            raise InvalidRequest(f"the model has no feature {name!r}", field=f"features.{name}")
        if values[place] is not None:
            raise InvalidRequest(f"feature {name!r} is there twice", field=f"features.{name}")
        kind = feature.WhichOneof("value")
        if kind is None:
            raise InvalidRequest(f"feature {name!r} has no value", field=f"features.{name}")
        values[place] = feature.number if kind == "number" else feature.text
    return values


def array_of_row(values: Sequence[Scalar], dtype: np.dtype[Any]) -> Array:
    """One row; what is missing of texts is None."""
    if dtype.kind == "O":
        return np.array([[None if isinstance(value, float) else value for value in values]], dtype)
    return np.array([values], dtype)


def problem(value: Scalar, dtype: np.dtype[Any], signature: Signature) -> str:
    """Why `value` cannot be an element of `dtype`; empty when it can."""
    if isinstance(value, str):
        return "" if dtype.kind == "O" else "is text; the model takes a number"
    if math.isnan(value) and (dtype.kind == "f" or (dtype.kind == "O" and signature.is_native)):
        return "" if signature.accepts_missing else "is NaN, which this model does not take"
    if dtype.kind == "O":
        return "is a number; the model takes text"
    if dtype.kind == "f":
        if math.isinf(value):
            return "is infinite, which this model does not take" if signature.finite else ""
        if signature.bounded:
            dtype = DATATYPES["FP32"]
    elif not value.is_integer():
        return "is not a whole number"
    low, high = _bounds(dtype)
    return "" if low <= value <= high else f"does not fit into {dtype.name}"


@functools.cache
def _bounds(dtype: np.dtype[Any]) -> tuple[float, float]:
    """The least and the greatest element; integers are exact, for Python compares them so."""
    if dtype.kind == "b":
        return 0, 1
    limits = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
    number = float if dtype.kind == "f" else int
    return number(limits.min), number(limits.max)
