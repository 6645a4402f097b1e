"""A row of the log scored again, by the cell's own engines, in this process."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from cell.codec.rows import to_value
from cell.codec.signature import Array, Arrays, Signature
from cell.codec.tensors import decode
from cell.codec.values import array_of_row
from cell.engines import Scorer
from cell.engines.every import engines
from cell.engines.native import Native
from croupier.artifacts.datatypes import DATATYPES
from croupier.artifacts.format import digest_of, view
from croupier.errors import FailedPrecondition
from protos.inference.v2 import inference_pb2

Outputs: TypeAlias = Mapping[str, Mapping[str, Any]]

_MOST_ROWS = 2**20
_PREDICT = "Predict"
# What an output has in the log, and how equal values of it are told.
_KINDS = ("numbers", "integers", "texts")


class NotReproducible(FailedPrecondition):
    """A row that does not have what was scored. The operator's: the family's log hides it, or it failed."""

    reason = "NOT_REPRODUCIBLE"


@dataclass(frozen=True, slots=True)
class Difference:
    """An element of an output that came out otherwise."""

    output: str
    place: int
    logged: Any
    now: Any


def scorer_of(artifact: bytes) -> Scorer:
    """Raises what engines do."""
    found = view(artifact)
    return engines().get(found.engine).load(found, digest_of(artifact))


def score(scorer: Scorer, row: Mapping[str, Any], request: bytes | None) -> dict[str, Any]:
    """Outputs as the log has them, of the features in `row`, or of the tensors in `request`.

    Raises:
        NotReproducible: something is missing.
    """
    outputs = [name for name, _ in row["outputs"]]
    if row["code"] or not outputs:
        raise NotReproducible(
            f"it was answered with an error (code {row['code']}): there is nothing to compare"
        )
    signature, hidden = scorer.signature, set(row["hidden"] or ())
    if secret := hidden & {*signature.features, *signature.input_places}:
        raise NotReproducible(f"the log hides {', '.join(sorted(secret))}, which the model needs")
    if signature.features:
        arrays, at = _of_features(dict(row["features"]), row["datatype"], signature), 0
    elif request is not None:
        asked = inference_pb2.ModelInferRequest.FromString(request)
        arrays, at = decode(asked, signature, _MOST_ROWS).arrays, row["row"]
    else:
        raise NotReproducible("the log has not what was asked: its family hides something")
    if isinstance(scorer, Native):
        arrays = scorer.admitted(arrays, "features")
    found = scorer.score(arrays, [name for name in outputs if name not in hidden])
    one = {name: array[at : at + 1] for name, array in found.items()}
    return _as_items(one, signature) if row["api"] == _PREDICT else _as_tensors(one)


def _of_features(features: Mapping[str, Mapping[str, Any]], datatype: str, signature: Signature) -> Arrays:
    values = [_value(features.get(name)) for name in signature.features]
    said = datatype.split(",") if "," in datatype else [datatype] * len(signature.inputs)
    if len(said) != len(signature.inputs):
        raise NotReproducible("the log has the values of another signature")
    dtypes = [signature.dtype(*pair) for pair in zip(signature.inputs, said, strict=True)]
    if len(signature.inputs) == 1:
        (tensor,) = signature.inputs
        return {tensor.name: array_of_row(values, dtypes[0])}
    return {
        tensor.name: array_of_row([_fitting(value, dtype)], dtype)
        for tensor, value, dtype in zip(signature.inputs, values, dtypes, strict=True)
    }


def _value(feature: Mapping[str, Any] | None) -> Any:
    if feature is None:
        return float("nan")
    if feature["text"] is not None:
        return feature["text"]
    if feature["integer"] is not None:
        return feature["integer"]
    return float("nan") if feature["number"] is None else feature["number"]


def _fitting(value: Any, dtype: np.dtype[Any]) -> Any:
    """One of UINT64 that int64 had no room for has the same bits."""
    return value + 2**64 if isinstance(value, int) and value < 0 and dtype == DATATYPES["UINT64"] else value


def _as_items(arrays: Arrays, signature: Signature) -> dict[str, Any]:
    declared = [output for output in signature.outputs if output.name in arrays]
    found = {}
    for one in to_value(declared, arrays).outputs:
        kind = one.WhichOneof("values") or "numbers"
        found[one.name] = {kind: list(getattr(one, kind).values)}
    return found


def _as_tensors(arrays: Arrays) -> dict[str, Any]:
    return {name: _elements(array) for name, array in arrays.items()}


def _elements(array: Array) -> dict[str, Any]:
    flat = array.ravel()
    if flat.dtype.kind == "O":
        return {"texts": list(map(str, flat.tolist()))}
    if flat.dtype.kind == "f":
        return {"numbers": flat.astype(np.float64).tolist()}
    return {"integers": flat.astype(np.int64).tolist()}


def differences(
    logged: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]
) -> list[Difference]:
    """Element by element, bit for bit; an output that only one has differs as a whole."""
    found = []
    for name in now:
        before, after = _flat(logged.get(name)), _flat(now[name])
        if len(before) != len(after):
            found.append(Difference(name, 0, before, after))
            continue
        pairs = enumerate(zip(before, after, strict=True))
        found += [Difference(name, at, *pair) for at, pair in pairs if _bits(pair[0]) != _bits(pair[1])]
    return found


def _flat(output: Mapping[str, Any] | None) -> Sequence[Any]:
    if output is None:
        return ()
    return next((output[kind] for kind in _KINDS if output.get(kind) is not None), ())


def _bits(value: Any) -> Any:
    return struct.pack("<d", value) if isinstance(value, float) else value
