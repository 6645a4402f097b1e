"""Rows of float64 on the hot path: answered as the general way does, beside those of float32."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from support.cell_server import infer_request
from support.cells import digest
from support.hot import (
    INFER,
    NAMES,
    PLAIN,
    PREDICT,
    Bench,
    Call,
    X,
    Y,
    double_request,
    doubles_item,
    generally,
    load,
)

from croupier.artifacts.packers.forest import pack_forest
from protos.inference.v2 import inference_pb2 as oip
from protos.prediction.v1 import prediction_pb2 as pb


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench()


# No float32 is near enough.
DOUBLES = X.astype(np.float64) + 1e-9


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("name", PLAIN)
def test_float64_tensors_are_answered_as_the_general_way_does(bench: Bench, name: str, raw: bool) -> None:
    request = double_request(name, DOUBLES[:3], raw=raw)
    assert bench.infer(request) == generally(name, request)


def test_float64_rows_are_scored_as_such_where_the_model_takes_them(bench: Bench) -> None:
    far = np.array([[123_456_789.25, 0.1, -1e20, 3.0]])
    model = Ridge().fit(X, Y)
    for name in ("regression", "wide"):
        call = Call(PREDICT, pb.PredictRequest(items=[doubles_item(name, far[0])]))
        assert bench.answer(call) == []
        (result,) = pb.PredictResponse.FromString(call.replies[0]).results
        (value,) = result.value.outputs[0].numbers.values
        assert value == pytest.approx(model.predict(far)[0], rel=1e-6)


def test_training_rows_that_equal_thresholds_are_answered_as_the_library_does(bench: Bench) -> None:
    rng = np.random.default_rng(3)
    rows = np.round(rng.normal(size=(150, 4)), 2)
    model = HistGradientBoostingRegressor(max_iter=20, min_samples_leaf=2).fit(rows, rows[:, 0] * rows[:, 1])
    residency = bench.host._residency
    scorer = load(pack_forest(model, features=NAMES), "near")
    residency.reserve(digest("near"), residency.plan(scorer.resident_bytes))
    residency.admit(digest("near"), scorer, scorer.resident_bytes, 0.0)[0].release()
    found = []
    for begin in range(0, len(rows), 10):
        answer = bench.infer(double_request("near", rows[begin : begin + 10]))
        assert answer is not None
        found += answer.outputs[0].contents.fp32_contents
    np.testing.assert_allclose(found, model.predict(rows), rtol=1e-6, atol=1e-6)


def test_rows_of_float32_and_of_float64_share_a_call(bench: Bench) -> None:
    rng = np.random.default_rng(7)
    calls: list[Call] = []
    expected: list[oip.ModelInferResponse | None] = []
    for number in range(80):
        name = PLAIN[number % len(PLAIN)]
        begin = int(rng.integers(40))
        count = int(rng.integers(1, 4))
        match rng.integers(5):
            case 0 | 1:
                request: Any = infer_request(digest(name), X[begin : begin + count], raw=True)
            case 2 | 3:
                request = double_request(name, DOUBLES[begin : begin + count], raw=True)
            case _:
                # Left to the general way, and its place is another's.
                request = double_request(name, [[math.inf, math.nan, 1e300, 0.0]])
        call = Call(INFER, request)
        calls.append(call)
        expected.append(None if not np.isfinite(first_of(request)) else generally(name, request))
    left = {id(call) for call, _ in bench.answer(*calls)}
    for call, answer in zip(calls, expected, strict=True):
        assert (id(call) in left) == (answer is None)
        if answer is not None:
            assert oip.ModelInferResponse.FromString(call.replies[0]) == answer


def first_of(request: oip.ModelInferRequest) -> float:
    """Its first value, which tells what it is."""
    if request.raw_input_contents:
        return 0.0
    return float(request.inputs[0].contents.fp64_contents[0])
