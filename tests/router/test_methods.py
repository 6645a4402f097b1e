"""What each method makes of a request, and of its answers; `test_pipeline` has the way between."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from support.fakes import generation, model, view

from croupier.errors import InternalError, InvalidRequest, NotFound
from croupier.fetched import ENTITY_INPUT
from croupier.request_ids import Known, RequestId
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2 as pb
from router import methods
from router.methods import Method
from router.pipeline import decide
from router.routes import Routes
from version_manager.model.fleet import Cell

VIEW = view([model(versions=(1, 2, 3))], (generation(["a"]),), [Cell("a", "zone-0", "a:1")])
CALLER = Known(RequestId())
CELLS: Any = None


def routes() -> Routes:
    made = Routes(decide, Random(0).random)
    made.follow(VIEW)
    return made


def again(method: Method, request: bytes) -> bytes:
    """The request that the units of one make."""
    return method.joined(method.units("acme", request))


def test_a_request_that_is_asked_anew_is_the_same() -> None:
    infer = inference_pb2.ModelInferRequest(model_name="churn", id="x").SerializeToString()
    assert again(methods.infer(routes(), CELLS, 10), infer) == infer
    two = pb.PredictRequest(items=[pb.Item(model="churn"), pb.Item(model="none")]).SerializeToString()
    assert again(methods.predict(routes(), CELLS, 10), two) == two
    told = pb.PredictRequest(
        items=[pb.Item(model="churn")], shared=pb.Shared(entity_id="7")
    ).SerializeToString()
    assert again(methods.predict(routes(), CELLS, 10), told) == told
    asked = inference_pb2.ModelMetadataRequest(name="churn").SerializeToString()
    assert again(methods.model_metadata(routes(), CELLS), asked) == asked


def test_rows_are_those_of_the_shape_and_items_one_each() -> None:
    tensor = inference_pb2.ModelInferRequest.InferInputTensor(shape=[3, 2])
    infer = inference_pb2.ModelInferRequest(model_name="churn", inputs=[tensor]).SerializeToString()
    method = methods.infer(routes(), CELLS, 10)
    assert method.rows(method.units("acme", infer)) == 3
    method = methods.predict(routes(), CELLS, 10)
    items = pb.PredictRequest(items=[pb.Item(model="churn")] * 7).SerializeToString()
    assert method.rows(method.units("acme", items)) == 7
    method = methods.model_metadata(routes(), CELLS)
    asked = inference_pb2.ModelMetadataRequest(name="churn").SerializeToString()
    assert method.rows(method.units("acme", asked)) == 0


@pytest.mark.parametrize("rows", [None, 1, 2, 3, 4])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_entities_are_one_or_as_many_as_rows(count: int, rows: int | None) -> None:
    tensor = inference_pb2.ModelInferRequest.InferInputTensor
    inputs = [tensor(name=ENTITY_INPUT, datatype="BYTES", shape=[count])]
    inputs[0].contents.bytes_contents.extend([b"e"] * count)
    if rows is not None:
        inputs.append(tensor(name="x", datatype="FP32", shape=[rows, 2]))
    request = inference_pb2.ModelInferRequest(model_name="churn", inputs=inputs).SerializeToString()
    method = methods.infer(routes(), CELLS, 10)
    assert method.facts is not None
    [unit] = method.units("acme", request)
    if count in (1, rows or count):
        assert method.facts(unit) == ((b"e",) * count, {})
    else:
        with pytest.raises(InvalidRequest, match=f"{count} entities for {rows} rows"):
            method.facts(unit)


def test_metadata_are_answered_with_all_versions() -> None:
    method = methods.model_metadata(routes(), CELLS)
    units = method.units("acme", inference_pb2.ModelMetadataRequest(name="churn").SerializeToString())
    assert isinstance(method.answer(VIEW, units, CALLER), InternalError)
    units[0].outcome = error = NotFound("no such version")
    assert method.answer(VIEW, units, CALLER) is error
    units[0].outcome = inference_pb2.ModelMetadataResponse(name="churn").SerializeToString()
    answer = method.answer(VIEW, units, CALLER)
    assert isinstance(answer, bytes)
    assert list(inference_pb2.ModelMetadataResponse.FromString(answer).versions) == ["1", "2", "3"]
