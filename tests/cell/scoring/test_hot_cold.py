"""Requests for models that are not resident: loaded at once, waited for, or left."""

from __future__ import annotations

import pytest
from support.cell_server import infer_request, row_item
from support.cells import digest
from support.hot import INFER, PLAIN, PREDICT, Bench, Call, X, generally, load, packed
from support.residency import evict

from cell.engines import Scorer, ScoringFailed
from protos.inference.v2 import inference_pb2 as oip
from protos.prediction.v1 import prediction_pb2 as pb


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench()


def fresh(name: str) -> Scorer:
    """A model of its own, though equal to that of `name`."""
    return load(packed()[name], name)


def test_a_cold_model_that_loads_at_once_is_no_reason_to_wait() -> None:
    bench = Bench()
    evict(bench.host._residency, digest("pair"))
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
        evict(bench.host._residency, digest(name))
        bench.loader.quick[digest(name)] = fresh(name)
    names = ("pair", "regression", "numbered")
    items = [row_item(digest(name), X[0]) for name in names]
    call = Call(PREDICT, pb.PredictRequest(items=items))
    assert bench.hot_path.answer([call]) == ([], [(call, {digest("numbered"): (0, 0)})], False)  # type: ignore[list-item]
    assert bench.loader.asked == [digest("pair"), digest("regression")]


def test_loads_on_the_hot_path_have_a_part_of_the_time() -> None:
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
    infer.request.owner, infer.request.priority = 7, 9
    items = [row_item(digest(name), X[0]) for name in ("pair", "cold", "colder", "cold")]
    several = Call(PREDICT, pb.PredictRequest(items=items))
    left, cold, some_wait = bench.hot_path.answer([infer, several])  # type: ignore[list-item]
    assert (left, some_wait) == ([], False)
    assert [(call, [*wanted]) for call, wanted in cold] == [
        (infer, [digest("cold")]),
        (several, [digest("cold"), digest("colder")]),
    ]
    assert cold[0][1][digest("cold")] == (4, 7)
    assert infer.replies == several.replies == []


def test_what_was_waited_for_and_is_not_there_is_left(bench: Bench) -> None:
    call = Call(INFER, infer_request(digest("cold"), X[:1]))
    assert bench.hot_path.answer_again([call]) == ([(call, [])], 1)  # type: ignore[list-item]


def test_a_model_that_a_load_pushes_out_is_scored_all_the_same() -> None:
    bench = Bench()
    residency = bench.host._residency
    first = fresh("pair")
    evict(residency, digest("pair"))
    evict(residency, digest("forest"))
    bench.loader.quick = {digest("pair"): first, digest("forest"): fresh("forest")}
    bench.infer(infer_request(digest("pair"), X[:1]))
    # Whatever is loaded next pushes out everything else.
    residency.capacity = residency.used
    calls = [Call(INFER, infer_request(digest(name), X[:2])) for name in ("pair", "forest")]
    for name in (*PLAIN, "texts", "sum"):
        if name not in ("pair", "forest"):
            evict(residency, digest(name))
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
