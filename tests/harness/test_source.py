from __future__ import annotations

import pickle
from itertools import chain, islice

import numpy as np
import pytest
from support.harness import part, scenario

from croupier_bench import arrivals
from croupier_bench.source import PIECE, Ahead, OfScenario, Part


def pieces(count: int) -> list[Part]:
    return [part([float(number)]) for number in range(count)]


@pytest.mark.parametrize("workers", [1, 3])
def test_a_scenario_is_played_as_it_says(workers: int) -> None:
    asked = scenario("127.0.0.1:1", rate=5000.0, seconds=2.0, warm_up=1.0, workers=workers)
    source = pickle.loads(pickle.dumps(OfScenario(asked)))
    for worker in range(workers):
        parts = list(source.parts(worker, workers))
        due = np.concatenate([one.due for one in parts])
        assert due.tolist() == arrivals.due(asked.load, asked.seed, worker, workers).tolist()
        assert {len(one.class_index) == len(one.model_index) == len(one) <= PIECE for one in parts} == {True}
        assert set(chain.from_iterable(one.model_index.tolist() for one in parts)) <= set(range(6))


def test_its_requests_have_bytes() -> None:
    prepared = OfScenario(scenario("127.0.0.1:1", rate=1.0)).prepared()
    assert prepared.path(0) == b"/inference.GRPCInferenceService/ModelInfer"
    assert isinstance(prepared.message(0, 5, 1), bytes)


def test_a_closed_loop_has_no_end() -> None:
    source = OfScenario(scenario("127.0.0.1:1", mode="closed"))
    parts = list(islice(source.parts(0, 1), 5))
    assert [len(one) for one in parts] == [PIECE] * 5


def test_enough_is_drawn_ahead_and_no_more() -> None:
    drawn = []

    def counted():  # type: ignore[no-untyped-def]
        for one in pieces(10):
            drawn.append(one)
            yield one

    ahead = Ahead(counted(), enough=4)
    assert len(drawn) == 4
    taken = [ahead.take() for _ in range(3)]
    assert len(drawn) == 7
    taken += [ahead.take() for _ in range(8)]
    assert [one.due.tolist() for one in taken if one is not None] == [[float(number)] for number in range(10)]
    assert taken[-1] is None
    assert ahead.take() is None


def test_empty_pieces_are_passed_over() -> None:
    ahead = Ahead(iter([part([]), part([1.0]), part([]), part([2.0]), part([])]), enough=1)
    assert [one.due.tolist() for one in iter(ahead.take, None)] == [[1.0], [2.0]]
