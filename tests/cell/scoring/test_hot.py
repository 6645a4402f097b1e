"""What the hot path answers: the same as the general way answers, or left to it."""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from support.cell_server import infer_request, row_item
from support.cells import Clock, SumScorer, digest, signature_of
from support.forests import data

from cell.codec import rows as item_rows
from cell.codec import tensors
from cell.engines import Scorer, ScoringFailed
from cell.engines.packed import PackedEngine
from cell.loading.host import Host
from cell.residency.residency import Residency
from cell.scoring.hot import HotPath
from croupier.artifacts.format import pack, view
from croupier.artifacts.packers.forest import pack_forest
from croupier.artifacts.packers.linear import pack_linear
from protos.inference.v2 import inference_pb2 as oip
from protos.prediction.v1 import prediction_pb2 as pb

INFER, PREDICT = "/inference/ModelInfer", "/prediction/Predict"
X = np.nan_to_num(data(3, rows=60, features=4))
Y = X[:, 0] + X[:, 1] * X[:, 2]
CLASSES = np.digitize(Y, [-0.7, 0.7])
NAMES = ["a", "b", "c", "d"]


@functools.cache
def scorers() -> dict[str, Scorer]:
    """One model for each way of answering, by name."""
    return {name: load(each, name) for name, each in packed().items()}


@functools.cache
def packed() -> dict[str, bytes]:
    forest = functools.partial(RandomForestClassifier, 3, max_depth=3, random_state=1)
    logistic = functools.partial(LogisticRegression, max_iter=500)
    return {
        "forest": pack_forest(forest().fit(X, CLASSES), features=NAMES),
        "numbered": pack_forest(forest().fit(X, np.array([-7, 300, 5])[CLASSES]), features=NAMES),
        "regression": pack_linear(Ridge().fit(X, Y), features=NAMES),
        "pair": pack_linear(logistic().fit(X, CLASSES > 0), features=NAMES),
        "texts": pack_linear(logistic().fit(X, np.array(["x", "y", "z"])[CLASSES]), features=NAMES),
        "unnamed": pack_linear(Ridge().fit(X, Y)),
        "wide": declared_fp64(pack_linear(Ridge().fit(X, Y), features=NAMES)),
        "exact": pack_forest(HistGradientBoostingRegressor(max_iter=3).fit(X, Y), features=NAMES),
    }


def declared_fp64(artifact: bytes) -> bytes:
    """As models are packed whose float64 rows are scored as such."""
    found = view(artifact)
    return pack(
        engine=found.engine,
        features=found.features,
        inputs=[replace(tensor, datatype="FP64") for tensor in found.inputs],
        outputs=found.outputs,
        sections={name: bytes(section) for name, section in found.sections.items()},
    )


def load(artifact: bytes, name: str) -> Scorer:
    found = view(artifact)
    return PackedEngine(found.engine).load(found, digest(name))


@dataclass
class Call:
    """Stands in for a `ServerCall`."""

    path: str
    request: Any
    deadline: float = math.inf
    replies: list[bytes] = field(default_factory=list)
    is_open: bool = True

    @property
    def message(self) -> bytes:
        return self.request if isinstance(self.request, bytes) else self.request.SerializeToString()

    def reply(self, message: bytes) -> None:
        self.replies.append(message)


class Loader:
    """`quick` are the models that load at once."""

    def __init__(self) -> None:
        self.quick: dict[bytes, Scorer] = {}
        self.asked: list[bytes] = []

    def expected_seconds(self, digest: bytes) -> float:
        return 0.0

    def load_now(self, digest: bytes, make_room: Callable[[int], None]) -> Scorer | None:
        self.asked.append(digest)
        scorer = self.quick.get(digest)
        if scorer is not None:
            make_room(scorer.resident_bytes)
        return scorer


class Bench:
    """Every model is resident under the digest of its name."""

    def __init__(self, capacity: int = 10_000_000, **told: Any) -> None:
        self.clock = Clock()
        self.loader = Loader()
        residency: Residency[Scorer] = Residency(capacity)
        models = {**scorers(), "sum": SumScorer(signature=signature_of(features=["a", "b"]))}
        for name, scorer in models.items():
            residency.reserve(digest(name), residency.plan(scorer.resident_bytes))
            residency.admit(digest(name), scorer, scorer.resident_bytes, self.clock())[0].release()
        self.host = Host(residency, self.loader, clock=self.clock, rng=random.Random(1))  # type: ignore[arg-type]
        self.hot_path = HotPath(self.host, infer_path=INFER, max_rows=20, clock=self.clock, **told)

    def answer(self, *calls: Call) -> list[Any]:
        """The calls that are left, with what they have."""
        left, cold, some_wait = self.hot_path.answer(calls)  # type: ignore[arg-type]
        assert not cold
        assert not some_wait
        return left

    def infer(self, request: Any) -> oip.ModelInferResponse | None:
        call = Call(INFER, request)
        left, cold, _ = self.hot_path.answer([call])  # type: ignore[list-item]
        assert len(left) + len(cold) + len(call.replies) == 1
        return None if left or cold else oip.ModelInferResponse.FromString(call.replies[0])


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench()


def generally(name: str, request: oip.ModelInferRequest) -> oip.ModelInferResponse:
    """What the general way answers."""
    scorer = scorers()[name]
    outputs = tensors.requested_outputs(request, scorer.signature)
    inputs = tensors.decode(request, scorer.signature, 20)
    scored = scorer.score(inputs.arrays, [output.name for output in outputs])
    return tensors.encode(request, outputs, scored)


def result_of(name: str, item: pb.Item) -> pb.Result:
    scorer = scorers()[name]
    outputs = scorer.signature.outputs
    scored = scorer.score(item_rows.to_arrays(item, scorer.signature), [output.name for output in outputs])
    return pb.Result(value=item_rows.to_value(outputs, scored), version=item.version)


PLAIN = ["forest", "numbered", "regression", "pair", "unnamed", "wide", "exact"]


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


def double_request(name: str, rows: Any, *, raw: bool = False) -> oip.ModelInferRequest:
    rows = np.asarray(rows, np.float64)
    request = oip.ModelInferRequest(artifact=digest(name))
    tensor = request.inputs.add(name="input", datatype="FP64", shape=rows.shape)
    if raw:
        request.raw_input_contents.append(rows.tobytes())
    else:
        tensor.contents.fp64_contents.extend(rows.ravel().tolist())
    return request


def doubles_item(name: str, row: Any) -> pb.Item:
    return pb.Item(artifact=digest(name), row=pb.Row(doubles=np.asarray(row).tolist()))


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


def test_time_is_told(bench: Bench) -> None:
    call = Call(PREDICT, pb.PredictRequest(items=[row_item(digest("pair"), X[0])]))
    moments = iter([1.0, 1.5])
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


def fresh(name: str) -> Scorer:
    """A model of its own, though equal to that of `name`."""
    return load(packed()[name], name)


def test_a_cold_model_that_loads_at_once_is_no_reason_to_wait() -> None:
    bench = Bench()
    bench.host._residency.drop(digest("pair"))
    bench.loader.quick[digest("pair")] = fresh("pair")
    before = bench.host.report()
    request = infer_request(digest("pair"), X[:2])
    calls = [Call(INFER, request), Call(INFER, request)]
    assert bench.answer(*calls) == []
    assert {oip.ModelInferResponse.FromString(call.replies[0]).SerializeToString() for call in calls} == {
        generally("pair", request).SerializeToString()
    }
    after = bench.host.report()
    assert (after.requests - before.requests, after.hits - before.hits) == (2, 1)
    assert bench.loader.asked == [digest("pair")]


def test_the_hot_path_loads_only_so_many() -> None:
    bench = Bench(most_nanoseconds=200_000.0)
    for name in ("pair", "regression", "numbered"):
        bench.host._residency.drop(digest(name))
        bench.loader.quick[digest(name)] = fresh(name)
    names = ("pair", "regression", "numbered")
    items = [row_item(digest(name), X[0]) for name in names]
    call = Call(PREDICT, pb.PredictRequest(items=items))
    assert bench.hot_path.answer([call]) == ([], [(call, {digest("numbered"): 0})], False)  # type: ignore[list-item]
    assert bench.loader.asked == [digest("pair"), digest("regression")]


def test_loads_within_hot_path_have_a_part_of_the_time_over_all_hot_path() -> None:
    bench = Bench()
    began, cold = bench.clock.now, 0
    for number in range(200):
        bench.loader.quick[digest(f"{number}")] = load(packed()["pair"], f"{number}")
        call = Call(INFER, infer_request(digest(f"{number}"), X[:1]))
        cold += len(bench.hot_path.answer([call]).cold)  # type: ignore[list-item]
        bench.clock.advance(0.0001)
    seconds = 80e-6 * (200 - cold)
    assert seconds <= 0.1 * (bench.clock.now - began) + 250e-6
    assert seconds > 0.05 * (bench.clock.now - began)


def test_nothing_loads_on_the_hot_path_while_others_wait_for_their_loads() -> None:
    bench = Bench()
    bench.loader.quick[digest("quick")] = load(packed()["pair"], "quick")
    call = Call(INFER, infer_request(digest("quick"), X[:1]))
    loads = bench.host._loads
    loads._add(digest("waiting"))
    assert len(bench.hot_path.answer([call]).cold) == 1  # type: ignore[list-item]
    loads.close()
    assert bench.answer(call) == []


def test_a_cold_call_says_what_it_waits_for_and_whose_that_is(bench: Bench) -> None:
    infer = Call(INFER, infer_request(digest("cold"), X[:1]))
    infer.request.owner = 7
    items = [row_item(digest(name), X[0]) for name in ("pair", "cold", "colder", "cold")]
    several = Call(PREDICT, pb.PredictRequest(items=items))
    left, cold, some_wait = bench.hot_path.answer([infer, several])  # type: ignore[list-item]
    assert (left, some_wait) == ([], False)
    assert [(call, [*wanted]) for call, wanted in cold] == [
        (infer, [digest("cold")]),
        (several, [digest("cold"), digest("colder")]),
    ]
    assert cold[0][1][digest("cold")] == 7
    assert infer.replies == several.replies == []


def test_what_was_waited_for_and_is_not_there_is_left(bench: Bench) -> None:
    call = Call(INFER, infer_request(digest("cold"), X[:1]))
    assert bench.hot_path.answer_again([call]) == ([(call, [])], 1)  # type: ignore[list-item]


def test_a_model_that_a_load_pushes_out_is_scored_all_the_same() -> None:
    bench = Bench()
    residency = bench.host._residency
    first = fresh("pair")
    residency.drop(digest("pair"))
    residency.drop(digest("forest"))
    bench.loader.quick = {digest("pair"): first, digest("forest"): fresh("forest")}
    bench.infer(infer_request(digest("pair"), X[:1]))
    # Whatever is loaded next pushes out everything else.
    residency.capacity = residency.used
    calls = [Call(INFER, infer_request(digest(name), X[:2])) for name in ("pair", "forest")]
    for name in (*PLAIN, "texts", "sum"):
        if name not in ("pair", "forest"):
            residency.drop(digest(name))
    residency.capacity = max(first.resident_bytes, bench.loader.quick[digest("forest")].resident_bytes)
    assert bench.answer(*calls) == []
    for name, call in zip(("pair", "forest"), calls, strict=True):
        expected = generally(name, infer_request(digest(name), X[:2]))
        assert oip.ModelInferResponse.FromString(call.replies[0]) == expected
    assert digest("pair") not in residency
    with pytest.raises(ScoringFailed):
        first.score({"input": X[:1]}, ["label"])


def test_what_is_asked_for_is_counted(bench: Bench) -> None:
    before = bench.host.report()
    bench.infer(infer_request(digest("pair"), X[:1]))
    again = Call(INFER, infer_request(digest("pair"), X[:1]))
    assert bench.hot_path.answer_again([again]) == ([], 1)  # type: ignore[list-item]
    assert len(again.replies) == 1
    after = bench.host.report()
    assert (after.requests - before.requests, after.hits - before.hits) == (1, 1)


# What is left to the general way.


def changed(**changes: Any) -> oip.ModelInferRequest:
    request = infer_request(digest(changes.pop("name", "pair")), changes.pop("rows", X[:2]))
    for key, value in changes.items():
        setattr(request.inputs[0], key, value)
    return request


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


def test_who_is_late_is_left(bench: Bench) -> None:
    call = Call(INFER, changed(), deadline=bench.clock())
    assert bench.answer(call) == [(call, [])]


def test_what_has_become_much_is_put_off() -> None:
    cost = scorers()["pair"].row_cost  # type: ignore[attr-defined]
    bench = Bench(most_nanoseconds=5 * cost)
    calls = [Call(INFER, changed(rows=X[:count])) for count in (3, 5, 1, 1)]
    assert bench.hot_path.answer(calls) == ([], [], True)  # type: ignore[arg-type]
    assert [len(call.replies) for call in calls] == [1, 1, 0, 0]
    assert bench.hot_path.answer() == ([], [], False)
    assert [len(call.replies) for call in calls] == [1, 1, 1, 1]


def test_what_items_take_beside_their_rows_counts() -> None:
    """A thousand items of the smallest models take milliseconds, and their rows hardly any time."""
    cost = scorers()["pair"].row_cost  # type: ignore[attr-defined]
    bench = Bench(most_nanoseconds=20 * 1_500.0 + cost)
    calls = [Call(PREDICT, pb.PredictRequest(items=[row_item(digest("pair"), X[0])] * 10)) for _ in range(5)]
    assert bench.hot_path.answer(calls).some_wait  # type: ignore[arg-type]
    assert [len(call.replies) for call in calls] == [1, 1, 0, 0, 0]


def test_owners_take_turns_in_what_does_not_fit_one_go() -> None:
    cost = scorers()["pair"].row_cost  # type: ignore[attr-defined]
    bench = Bench(most_nanoseconds=4 * cost)

    def ask(owner: int) -> Call:
        request = changed(rows=X[:4])
        request.owner = owner
        return Call(INFER, request)

    many, late = [ask(1) for _ in range(10)], ask(2)
    bench.hot_path.answer([*many, late])  # type: ignore[list-item]
    gone = many[1]
    gone.is_open = False
    bench.hot_path.answer()
    later = ask(3)
    bench.hot_path.answer([later])  # type: ignore[list-item]
    assert [len(call.replies) for call in (*many, late, later)] == [1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0]
    while bench.hot_path.answer().some_wait:
        pass
    assert [len(call.replies) for call in (*many, late, later)] == [1, 0, *[1] * 8, 1, 1]


def test_answers_that_are_too_large_together_are_left() -> None:
    bench = Bench(max_answer=100)
    fits, large = Call(INFER, changed(rows=X[:1])), Call(INFER, changed(rows=X[:10]))
    many = Call(PREDICT, pb.PredictRequest(items=[row_item(digest("pair"), X[0])] * 7))
    left = bench.answer(fits, large)
    assert left == [(large, [])]
    ((_, results),) = bench.answer(many)
    assert None in results


def test_long_work_by_itself_is_left() -> None:
    cost = scorers()["pair"].row_cost  # type: ignore[attr-defined]
    bench = Bench(most_nanoseconds=5 * cost)
    long, short = Call(INFER, changed(rows=X[:6])), Call(INFER, changed(rows=X[:1]))
    many = Call(PREDICT, pb.PredictRequest(items=[row_item(digest("pair"), X[0])] * 7))
    left = bench.answer(long, short, many)
    assert [(call, [result is None for result in results]) for call, results in left] == [
        (long, []),
        (many, [False] * 5 + [True] * 2),
    ]


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
