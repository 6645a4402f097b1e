"""Items of the prediction API to a model's input arrays, and one row of outputs to a value.

An item has named features in any order or a dense row in the model's order, of floats or of doubles. Either
fills one wide input of shape (-1, n) or n inputs of shape (-1, 1); the artifact format allows no third way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from cell.codec.given import Given
from cell.codec.signature import Array, Arrays, Signature
from cell.codec.values import Scalar, array_of_row, named, problem
from croupier.artifacts.datatypes import DATATYPES
from croupier.artifacts.format import Tensor
from croupier.errors import FailedPrecondition, InvalidRequest
from protos.prediction.v1 import prediction_pb2 as pb


class ValueTooLarge(FailedPrecondition):
    """An output that the prediction API has no type for. The publisher's."""

    reason = "VALUE_TOO_LARGE"


def to_arrays(item: pb.Item, signature: Signature, given: Given | None = None) -> Arrays:
    """The input arrays of one item, each with one row; what it does not send is `given`.

    Raises:
        InvalidRequest: naming what is wrong: missing, unknown or repeated features, a row of
            another length, a value of the wrong kind, NaN or infinity where the model takes none.
    """
    kind = item.WhichOneof("input")
    if kind is None and given is None:
        raise InvalidRequest("the item has neither features nor a row", field="input")
    if not signature.features:
        raise InvalidRequest("this model takes tensors, not features", field=kind or "input")
    datatype = "FP64"
    if kind == "row":
        found = _dense(item.row, signature, given)
        if given is None and item.row.values:
            datatype = "FP32"
    else:
        found, kind = named(item.features, signature), "features"
    if given is not None:
        found = given.fill(found, kind)
    values = [_present(value, place, signature) for place, value in enumerate(found)]
    check = partial(_check, signature=signature, field=kind)
    if len(signature.inputs) == 1:
        (tensor,) = signature.inputs
        dtype = signature.dtype(tensor, datatype)
        check(signature.features, values, dtype)
        return {tensor.name: array_of_row(values, dtype)}
    arrays = {}
    for tensor, name, value in zip(signature.inputs, signature.features, values, strict=True):
        dtype = signature.dtype(tensor, datatype)
        check((name,), (value,), dtype)
        arrays[tensor.name] = array_of_row((value,), dtype)
    return arrays


def to_value(outputs: Sequence[Tensor], arrays: Arrays) -> pb.Value:
    """The outputs of one row: floats as float32, integers and booleans as int64, text as it is.

    Raises:
        ValueTooLarge: a UINT64 that is beyond int64.
    """
    value = pb.Value()
    for output in outputs:
        message = value.outputs.add(name=output.name)
        flat = arrays[output.name].ravel()
        kind = DATATYPES[output.datatype].kind
        if kind == "f":
            message.numbers.values.extend(_saturated(flat).tolist())
        elif kind == "O":
            message.texts.values.extend(map(str, flat.tolist()))
        else:
            message.integers.values.extend(_signed(output, flat).tolist())
    return value


def _dense(row: pb.Row, signature: Signature, given: Given | None) -> list[Scalar | None]:
    """By feature; None for what is left to `given`."""
    if row.values and row.doubles:
        raise InvalidRequest(
            "the row has floats and doubles: it has all its values in one of them", field="row"
        )
    values: list[Scalar | None] = list(row.values or row.doubles)
    if given is not None and (laid := given.lay(values)) is not None:
        return laid
    if len(values) != len(signature.features):
        words = f"the row has {len(values)} values; the model has {len(signature.features)} features"
        if given is not None and given.narrow != len(signature.features):
            words += (
                f", or {given.narrow} without those that are shared, stored, or have a default or a range"
            )
        raise InvalidRequest(words, field="row")
    return values


def _present(value: Scalar | None, place: int, signature: Signature) -> Scalar:
    if value is not None:
        return value
    hint = ""
    kind = DATATYPES[_tensor_of(place, signature).datatype].kind
    if signature.accepts_missing and (kind == "f" or signature.is_native):
        if not signature.complete:
            return math.nan
        hint = ": send NaN for it if its value is not known"
    name = signature.features[place]
    raise InvalidRequest(f"feature {name!r} is missing{hint}", field=f"features.{name}")


def _tensor_of(place: int, signature: Signature) -> Tensor:
    return signature.inputs[place if len(signature.inputs) > 1 else 0]


def _check(
    names: Sequence[str], values: Sequence[Scalar], dtype: np.dtype[Any], *, signature: Signature, field: str
) -> None:
    """That `values`, of the features called `names`, can be elements of `dtype`."""
    for name, value in zip(names, values, strict=True):
        wrong = problem(value, dtype, signature)
        if wrong:
            raise InvalidRequest(f"feature {name!r} {wrong}", field=f"{field}.{name}")


def _signed(output: Tensor, flat: Array) -> Array:
    """As int64; a UINT64 beyond its range would become another number."""
    if output.datatype == "UINT64" and (flat > np.iinfo(np.int64).max).any():
        raise ValueTooLarge(f"output {output.name!r} has a value beyond int64: ask with ModelInfer")
    return flat.astype(np.int64)


def _saturated(flat: Array) -> Array:
    """As float32; a float64 beyond its range becomes infinite, without a warning."""
    with np.errstate(over="ignore"):
        return flat.astype(np.float32)
