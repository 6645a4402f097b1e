"""Requests that a cell's general way answers, as records of the spool."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from support.spooled import record, tensor

from cell.codec.given import given_of
from cell.codec.rows import to_arrays, to_value
from cell.codec.tensors import decode
from cell.engines import Scorer
from cell.engines.native import Native
from croupier.artifacts.format import digest_of
from croupier.stores.spool import Kind, Record
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2 as pb


def _scored(scorer: Scorer, arrays: Any) -> Any:
    names = [output.name for output in scorer.signature.outputs]
    taken = scorer.admitted(arrays, "inputs") if isinstance(scorer, Native) else arrays
    return scorer.score(taken, names)


def item(artifact: bytes, scorer: Scorer, asked: pb.Item, added: bytes = b"", **changes: Any) -> Record:
    """An Item with the answer that a cell gives it."""
    whole = pb.Item.FromString(asked.SerializeToString() + added)
    given = given_of(whole, scorer.signature)
    found = _scored(scorer, to_arrays(whole, scorer.signature, given))
    result = pb.Result(value=to_value(scorer.signature.outputs, found), version=3)
    made = record(Kind.ITEM, asked.SerializeToString(), result.SerializeToString(), added=added)
    return replace(made, artifact=digest_of(artifact), **changes)


def infer(
    artifact: bytes,
    scorer: Scorer,
    asked: inference_pb2.ModelInferRequest,
    added: bytes = b"",
    **changes: Any,
) -> Record:
    """The same of a ModelInferRequest."""
    whole = inference_pb2.ModelInferRequest.FromString(asked.SerializeToString() + added)
    given = given_of(whole, scorer.signature)
    found = _scored(scorer, decode(whole, scorer.signature, 1000, given).arrays)
    response = inference_pb2.ModelInferResponse()
    for output in scorer.signature.outputs:
        array = found[output.name]
        datatype = "BYTES" if array.dtype.kind == "O" else output.datatype
        tensor(response, output.name, datatype, array)
    made = record(Kind.INFER, asked.SerializeToString(), response.SerializeToString(), added=added)
    return replace(made, artifact=digest_of(artifact), **changes)


def tensors(scorer: Scorer, rows: Any, datatype: str) -> inference_pb2.ModelInferRequest:
    """Rows of numbers for a model with one wide input."""
    asked = inference_pb2.ModelInferRequest(model_name="churn")
    (declared,) = scorer.signature.inputs
    dtype = np.float32 if datatype == "FP32" else np.float64
    tensor(asked, declared.name, datatype, np.asarray(rows, dtype))
    return asked
