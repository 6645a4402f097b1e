"""What the hot path answers: the same as the general way."""

from __future__ import annotations

import pytest
from support.cell_server import infer_request, row_item
from support.cells import digest
from support.hot import INFER, NAMES, PLAIN, PREDICT, Bench, Call, X, generally, result_of

from cell.scoring.hot import HotPath
from protos.inference.v2 import inference_pb2 as oip
from protos.prediction.v1 import prediction_pb2 as pb


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("count", [1, 20])
def test_tensors_are_answered_as_the_general_way_does(bench: Bench, name: str, raw: bool, count: int) -> None:
    request = infer_request(digest(name), X[:count], raw=raw)
    request.parameters["routing_key"].string_param = "k"
    request.inputs[0].parameters["binary_data_size"].int64_param = 16
    assert bench.infer(request) == generally(name, request)


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("names", [["label"], ["probabilities"], ["probabilities", "label"]])
def test_outputs_may_be_named(bench: Bench, names: list[str], raw: bool) -> None:
    request = infer_request(digest("numbered"), X[:3], raw=raw)
    for name in names:
        request.outputs.add(name=name)
    assert bench.infer(request) == generally("numbered", request)


def test_what_is_echoed_may_be_absent(bench: Bench) -> None:
    request = infer_request(digest("pair"), X[:1])
    for field_name in ("model_name", "model_version", "id"):
        request.ClearField(field_name)
    assert bench.infer(request) == generally("pair", request)


@pytest.mark.parametrize("name", PLAIN)
def test_items_are_answered_as_the_general_way_does(bench: Bench, name: str) -> None:
    named = pb.Item(artifact=digest(name), version=9, entity_id="e", routing_key="k")
    for place in (2, 0, 3, 1):
        called = str(place) if name == "unnamed" else NAMES[place]
        named.features.features.add(name=called, number=float(X[5, place]))
    items = [row_item(digest(name), X[4]), named, row_item(digest(name), X[5], version=0)]
    call = Call(PREDICT, pb.PredictRequest(items=items))
    assert bench.answer(call) == []
    (reply,) = call.replies
    assert list(pb.PredictResponse.FromString(reply).results) == [result_of(name, item) for item in items]


def test_time_is_told(bench: Bench) -> None:
    call = Call(PREDICT, pb.PredictRequest(items=[row_item(digest("pair"), X[0])]))
    moments = iter([1.0, 1.0, 1.0, 1.5])
    hot_path = HotPath(bench.host, infer_path=INFER, max_rows=20, clock=lambda: next(moments))
    assert hot_path.answer([call]) == ([], [], False)  # type: ignore[list-item]
    assert pb.PredictResponse.FromString(call.replies[0]).results[0].took_us == 500_000


def test_calls_of_one_read_get_their_own_answers(bench: Bench) -> None:
    requests = [
        (PLAIN[n % len(PLAIN)], infer_request(digest(PLAIN[n % len(PLAIN)]), X[n : n + 1 + n % 3]))
        for n in range(40)
    ]
    calls = [Call(INFER, request) for _, request in requests]
    assert bench.answer(*calls) == []
    for (name, request), call in zip(requests, calls, strict=True):
        assert oip.ModelInferResponse.FromString(call.replies[0]) == generally(name, request)


def test_of_many_items_each_goes_its_own_way(bench: Bench) -> None:
    items = [
        row_item(digest("texts"), X[0]),
        row_item(digest("pair"), X[1]),
        row_item(digest("sum"), X[2]),
        row_item(digest("pair"), X[3]),
    ]
    call = Call(PREDICT, pb.PredictRequest(items=items))
    ((left, results),) = bench.answer(call)
    assert left is call
    assert call.replies == []
    found = [result and pb.Result.FromString(result) for result in results]
    assert found == [None, result_of("pair", items[1]), None, result_of("pair", items[3])]


def test_a_request_is_counted_where_it_is_answered() -> None:
    bench = Bench()
    answered = Call(INFER, infer_request(digest("pair"), X[:1]))
    items = [row_item(digest("pair"), X[1]), row_item(digest("texts"), X[2])]
    bench.answer(
        answered,
        Call(INFER, infer_request(digest("texts"), X[:1])),
        Call(PREDICT, pb.PredictRequest(items=items)),
    )
    load = bench.host.report()
    # Two of texts go the general way, which counts them when it leases their model.
    assert (load.requests, load.hits) == (2, 2)
