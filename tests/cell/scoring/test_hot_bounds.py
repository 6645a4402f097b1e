"""How much the hot path does at a time: what is late, long or large is left or put off."""

from __future__ import annotations

import pytest
from support.cell_server import row_item
from support.cells import digest
from support.hot import INFER, PREDICT, Bench, Call, X, changed, scorers

from protos.prediction.v1 import prediction_pb2 as pb


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench()


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
