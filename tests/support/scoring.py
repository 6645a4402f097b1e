"""Single requests scored natively with nothing of a cell around, and what the general way says of them."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from fuzz import messages_seeds as seeds

from cell.codec import rows as item_rows
from cell.codec import tensors
from cell.codec.plain import Plain, read_infer, read_items
from cell.engines import Scorer
from cell.engines.packed import PackedEngine
from cell.scoring.encode import infer_answer, item_answer
from cell.scoring.score import Scoring
from croupier.artifacts.format import view
from croupier.errors import InvalidRequest
from protos.inference.v2 import inference_pb2 as oip
from protos.prediction.v1 import prediction_pb2 as pb

MOST_ROWS = 1 << 20
MODELS = {model.name: model for model in seeds.models()}


@functools.cache
def scorer_of(name: str) -> Scorer:
    """An identity model or a small forest; they differ in what they take."""
    model = MODELS[name]
    found = view(model.artifact)
    return PackedEngine(found.engine).load(found, model.digest)


def tensor_request(
    name: str, rows: Any, *, raw: bool = False, outputs: Sequence[str] = (), **told: str
) -> oip.ModelInferRequest:
    """`rows`, float32 or float64, for a model, and what is `told` of the request beside them."""
    request = oip.ModelInferRequest(artifact=MODELS[name].digest, **told)
    is_double = rows.dtype == np.float64
    tensor = request.inputs.add(name="input", datatype="FP64" if is_double else "FP32", shape=rows.shape)
    if raw:
        request.raw_input_contents.append(rows.tobytes())
    else:
        contents = tensor.contents.fp64_contents if is_double else tensor.contents.fp32_contents
        contents.extend(rows.ravel().tolist())
    for output in outputs:
        request.outputs.add(name=output)
    return request


def plain_of(asked: oip.ModelInferRequest | pb.Item) -> Plain:
    """As it is read from the wire."""
    if isinstance(asked, oip.ModelInferRequest):
        plain: Plain | bytes | None = read_infer(asked.SerializeToString())
    else:
        (plain,) = read_items(pb.PredictRequest(items=[asked]).SerializeToString(), 1) or [None]
    assert isinstance(plain, Plain)
    return plain


def add(scoring: Scoring, name: str, asked: oip.ModelInferRequest | pb.Item) -> int:
    """Its place in a read without bounds."""
    return scoring.add(plain_of(asked), scorer_of(name), math.inf, 1 << 40)


def answer(
    scoring: Scoring, place: int, asked: oip.ModelInferRequest | pb.Item, took_us: int = 0
) -> oip.ModelInferResponse | pb.Result:
    """What was scored, read again."""
    if isinstance(asked, oip.ModelInferRequest):
        return oip.ModelInferResponse.FromString(infer_answer(scoring, place))
    return pb.Result.FromString(item_answer(scoring, place, took_us))


def natively(name: str, asked: oip.ModelInferRequest | pb.Item) -> oip.ModelInferResponse | pb.Result | None:
    """The native answer; None if the request is left to the general way."""
    scoring = Scoring()
    place = add(scoring, name, asked)
    if place < 0:
        return None
    scoring.run()
    return answer(scoring, place, asked)


def generally(name: str, asked: oip.ModelInferRequest | pb.Item) -> oip.ModelInferResponse | pb.Result | None:
    """The answer of the general readers; None if they refuse the request."""
    scorer = scorer_of(name)
    signature = scorer.signature
    try:
        if isinstance(asked, oip.ModelInferRequest):
            outputs = tensors.requested_outputs(asked, signature)
            arrays = tensors.decode(asked, signature, MOST_ROWS).arrays
        else:
            outputs, arrays = signature.outputs, item_rows.to_arrays(asked, signature)
        scored = scorer.score(scorer.admitted(arrays, "inputs"), [output.name for output in outputs])
    except InvalidRequest:
        return None
    if isinstance(asked, oip.ModelInferRequest):
        return tensors.encode(asked, outputs, scored)
    return pb.Result(value=item_rows.to_value(outputs, scored), version=asked.version)
