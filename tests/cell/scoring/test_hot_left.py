"""What the hot path leaves to the general way: whatever is not plain."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.cell_server import infer_request, row_item
from support.cells import digest
from support.hot import (
    INFER,
    NAMES,
    PREDICT,
    Bench,
    Call,
    X,
    Y,
    changed,
    double_request,
    doubles_item,
    generally,
    load,
    packed,
)

from cell.codec.fence import Fence
from croupier.artifacts.packers.forest import pack_forest
from croupier.codes import Code
from protos.inference.v2 import inference_pb2 as oip
from protos.prediction.v1 import prediction_pb2 as pb


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench()


def outputs(*names: str, **parameters: int) -> oip.ModelInferRequest:
    request = changed()
    for name in names:
        output = request.outputs.add(name=name)
        for key, value in parameters.items():
            output.parameters[key].int64_param = value
    return request


def other_input() -> oip.ModelInferRequest:
    request = changed()
    request.inputs[0].name = "other"
    return request


def shaped(*shape: int) -> oip.ModelInferRequest:
    request = changed()
    request.inputs[0].shape[:] = shape
    return request


def without_a_name(*shape: int) -> oip.ModelInferRequest:
    request = infer_request(digest("pair"), X[:1], raw=True)
    request.inputs[0].ClearField("name")
    request.inputs[0].shape[:] = shape
    return request


def datatype_twice(first: bytes) -> bytes:
    """A datatype that is no text before the one that counts."""
    request = infer_request(digest("pair"), X[:1], raw=True)
    tensor = request.inputs[0].SerializeToString()
    request.ClearField("inputs")
    tensor = b"\x12" + bytes([len(first)]) + first + tensor
    return request.SerializeToString() + b"\x2a" + bytes([len(tensor)]) + tensor


def doubled() -> oip.ModelInferRequest:
    request = changed()
    request.inputs.append(request.inputs[0])
    return request


def in_both_forms() -> oip.ModelInferRequest:
    request = changed()
    request.raw_input_contents.append(X[:2].tobytes())
    return request


def in_shared_memory() -> oip.ModelInferRequest:
    request = changed()
    request.inputs[0].parameters["shared_memory_region"].string_param = "region"
    return request


def in_other_contents(datatype: str) -> oip.ModelInferRequest:
    request = changed() if datatype == "FP64" else double_request("pair", X[:2])
    request.inputs[0].datatype = datatype
    return request


NAN_ROW = np.array([[1, np.nan, 1, 1]], np.float32)
LEFT = {
    "no native model": changed(name="sum", rows=X[:2, :2]),
    "labels are texts": changed(name="texts"),
    "an output that is none": outputs("labels"),
    "an output twice": outputs("label", "label"),
    "more outputs than there are": outputs("label", "probabilities", "label"),
    "an output without a name": outputs(""),
    "an output with a wish": outputs("label", classification=1),
    "NaN": changed(rows=NAN_ROW),
    "too many rows": changed(rows=X[:21]),
    "parameters that take far more memory than bytes": changed().SerializeToString() + b"\x22\x00" * 20_000,
    "no rows": shaped(0, 4),
    "negative rows": shaped(-2, 4),
    "another width": shaped(4, 2),
    "one dimension": shaped(8),
    "three dimensions": shaped(1, 2, 4),
    "more rows than values": shaped(3, 4),
    "a product beyond 64 bits": shaped(2**62, 4),
    "another input": other_input(),
    "an input without a name": without_a_name(1, 4),
    "an input without a name, of one column": without_a_name(4, 1),
    "another datatype": changed(datatype="FP64"),
    "two inputs": doubled(),
    "values in shared memory": in_shared_memory(),
    "infinity for a linear model": changed(rows=np.array([[1, np.inf, 1, 1]], np.float32)),
    "a float64 beyond float32 for trees": double_request("forest", [[1, 1, 1, 1e300]]),
    "a float64 beyond float32 for trees that compare float64": double_request("exact", [[1, 1, 1, 1e300]]),
    "doubles where floats are told": in_other_contents("FP32"),
    "floats where doubles are told": in_other_contents("FP64"),
    "both forms": in_both_forms(),
    "empty": oip.ModelInferRequest(),
    "malformed": b"\x0a\x05abc",
    "a datatype that is not UTF-8, and then a good one": datatype_twice(b"\xff"),
    "text that is not UTF-8": changed().SerializeToString() + b"\x1a\x01\xff",
    "an unknown field": changed().SerializeToString() + b"\x48\x01",
}


@pytest.mark.parametrize("case", LEFT)
def test_what_is_not_plain_is_left(bench: Bench, case: str) -> None:
    assert bench.infer(LEFT[case]) is None


def feature(name: str, number: float) -> pb.Feature:
    return pb.Feature(name=name, number=number)


def features(*found: pb.Feature) -> pb.Item:
    return pb.Item(artifact=digest("pair"), features=pb.Features(features=found))


ALL = [feature(name, 1.0) for name in NAMES]
LEFT_ITEMS = {
    "nothing": pb.Item(artifact=digest("pair")),
    "short row": row_item(digest("pair"), X[0, :3]),
    "NaN": row_item(digest("pair"), NAN_ROW[0]),
    "names for a model without names": pb.Item(
        artifact=digest("unnamed"), features=pb.Features(features=ALL)
    ),
    "missing": features(*ALL[:3]),
    "twice": features(*ALL, ALL[0]),
    "unknown": features(*ALL, feature("e", 1)),
    "without a value": features(*ALL[:3], pb.Feature(name="d")),
    "text": features(*ALL[:3], pb.Feature(name="d", text="1")),
    "too large for float32": pb.Item(
        artifact=digest("forest"), features=pb.Features(features=[*ALL[:3], feature("d", 1e300)])
    ),
    "floats and doubles": pb.Item(
        artifact=digest("pair"), row=pb.Row(values=[1, 2, 3, 4], doubles=[1, 2, 3, 4])
    ),
    "NaN among doubles": doubles_item("pair", [1, 2, 3, math.nan]),
    "infinity by name": features(*ALL[:3], feature("d", math.inf)),
    "NaN by name": features(*ALL[:3], feature("d", math.nan)),
    "no artifact": pb.Item(row=pb.Row(values=[1, 2, 3, 4])),
    "half an artifact": pb.Item(artifact=b"half", row=pb.Row(values=[1, 2, 3, 4])),
}


@pytest.mark.parametrize("case", LEFT_ITEMS)
def test_items_that_are_not_plain_are_left(bench: Bench, case: str) -> None:
    call = Call(PREDICT, pb.PredictRequest(items=[LEFT_ITEMS[case]]))
    assert bench.answer(call) == [(call, [None])]


@pytest.mark.parametrize("count", [0, 21])
def test_too_few_and_too_many_items_are_left(bench: Bench, count: int) -> None:
    call = Call(PREDICT, pb.PredictRequest(items=[row_item(digest("pair"), X[0])] * count))
    assert bench.answer(call) == [(call, [])]


def test_missing_features_are_nan_where_the_model_takes_them() -> None:
    import lightgbm

    sets = lightgbm.Dataset(X, Y, feature_name=NAMES, params={"verbose": -1})
    booster = lightgbm.train({"num_leaves": 4, "verbose": -1, "num_threads": 1}, sets, 2)
    scorer = load(pack_forest(booster, complete=False), "missing")
    bench = Bench()
    residency = bench.host._residency
    residency.reserve(digest("missing"), residency.plan(scorer.resident_bytes))
    residency.admit(digest("missing"), scorer, scorer.resident_bytes, 0.0)
    item = pb.Item(artifact=digest("missing"), features=pb.Features(features=ALL[:2]))
    call = Call(PREDICT, pb.PredictRequest(items=[item]))
    assert bench.answer(call) == []
    (found,) = pb.PredictResponse.FromString(call.replies[0]).results
    expected = booster.predict([[1.0, 1.0, math.nan, math.nan]])
    np.testing.assert_allclose(expected, found.value.outputs[0].numbers.values, rtol=1e-6)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    whole = bytearray(
        draw(st.sampled_from([changed(), infer_request(digest("pair"), X[:2], raw=True)])).SerializeToString()
    )
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(whole) - 1))
        whole[place] = draw(st.integers(0, 255))
    return bytes(whole[: draw(st.integers(0, len(whole)))] if draw(st.booleans()) else whole)


@settings(max_examples=400)
@given(mutated())
def test_a_damaged_request_is_left_or_answered_as_the_general_way_does(sent: bytes) -> None:
    answered = shared().infer(sent)
    if answered is not None:
        request = oip.ModelInferRequest.FromString(sent)
        np.testing.assert_equal(answered, generally("pair", request))


@functools.cache
def shared() -> Bench:
    return Bench()


@settings(max_examples=300)
@given(st.binary(max_size=60))
def test_no_bytes_do_harm(sent: bytes) -> None:
    bench = shared()
    assert bench.infer(sent) is None
    call = Call(PREDICT, sent)
    for _, results in bench.answer(call):
        assert set(results) <= {None}


def test_what_an_old_shard_map_dealt_is_refused_at_once() -> None:
    fence = Fence()
    fence.hear("manager", 6, 5)
    bench = Bench(fence=fence)

    def call(generation: int) -> Call:
        request = infer_request(digest("regression"), X[:1])
        request.generation = generation
        return Call(INFER, request)

    calls = [call(generation) for generation in (0, 4, 5, 6)]
    assert bench.answer(*calls) == []
    assert [call.failures for call in calls] == [[], [(Code.UNAVAILABLE, "STALE_MAP")], [], []]
    assert [len(call.replies) for call in calls] == [1, 0, 1, 1]


def test_nothing_is_loaded_for_a_request_that_says_so() -> None:
    """Refused at once, whoever else may have it loaded; what is resident is served."""
    bench = Bench()
    bench.loader.quick[digest("cold")] = load(packed()["regression"], "cold")

    def call(name: str, resident_only: bool) -> Call:
        request = infer_request(digest(name), X[:1])
        request.resident_only = resident_only
        return Call(INFER, request)

    calls = [call("cold", True), call("regression", True), call("cold", False), call("cold", True)]
    assert bench.answer(*calls) == []
    refused = [(Code.RESOURCE_EXHAUSTED, "COLD_LOADS")]
    assert [call.failures for call in calls] == [refused, [], [], []]
    assert [len(call.replies) for call in calls] == [0, 1, 1, 1]
    assert bench.loader.asked == [digest("cold")]


def test_items_for_which_nothing_is_loaded_are_left_with_what_the_others_have() -> None:
    bench = Bench()
    items = [doubles_item("cold", X[0]), doubles_item("wide", X[1])]
    items[0].resident_only = items[1].resident_only = True
    [(_, results)] = bench.answer(Call(PREDICT, pb.PredictRequest(items=items)))
    assert (results[0], results[1] is None) == (None, False)
    assert bench.loader.asked == []


def test_items_of_an_old_shard_map_are_left_with_what_the_others_have() -> None:
    fence = Fence()
    fence.hear("manager", 6, 5)
    items = [doubles_item("wide", X[0]), doubles_item("wide", X[1])]
    items[0].generation, items[1].generation = 4, 5
    [(_, results)] = Bench(fence=fence).answer(Call(PREDICT, pb.PredictRequest(items=items)))
    assert (results[0], results[1] is None) == (None, False)
