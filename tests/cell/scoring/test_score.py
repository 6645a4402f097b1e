"""Requests of one read in one native call: each gets what it gets alone, within the read's bounds."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import numpy as np
import pytest
from support.scoring import (
    MODELS,
    add,
    answer,
    generally,
    natively,
    plain_of,
    scorer_of,
    tensor_request,
)

from cell.engines import Mixed
from cell.engines.packed import PackedEngine
from cell.memory.arena import Arena
from cell.scoring.score import Scoring
from croupier.artifacts.format import view
from protos.prediction.v1 import prediction_pb2 as pb

NAMES = [name for name in MODELS if name != "texts"]


def some_request(random: Random, name: str) -> Any:
    """Of either API, either width, and sometimes one that its model does not take."""
    width = MODELS[name].features
    values = [random.choice([1.0, -2.5, 0.1, 7.0]) for _ in range(width)]
    if random.random() < 0.2:
        values[0] = random.choice([math.nan, math.inf])
    if random.random() < 0.4:
        item = pb.Item(artifact=MODELS[name].digest, version=random.randrange(3))
        getattr(item.row, random.choice(["values", "doubles"])).extend(values)
        return item
    dtype = random.choice([np.float32, np.float64])
    rows = np.array([values] * random.randrange(1, 5), dtype)
    return tensor_request(name, rows, raw=random.random() < 0.5)


@pytest.mark.parametrize("seed", range(30))
def test_everybody_is_answered_as_if_alone(seed: int) -> None:
    random = Random(seed)
    asked = [(name, some_request(random, name)) for name in random.choices(NAMES, k=40)]
    scoring, places = Scoring(), {}
    for number, (name, request) in enumerate(asked):
        place = add(scoring, name, request)
        if place >= 0:
            places[number] = place
    assert [*places.values()] == [*range(len(places))]
    assert len(scoring) == len(places) > 20
    scoring.run()
    for number, (name, request) in enumerate(asked):
        expected = generally(name, request)
        assert (number in places) == (expected is not None)
        if number in places:
            np.testing.assert_equal(answer(scoring, places[number], request), expected)


def test_a_read_takes_as_long_as_it_may() -> None:
    request = plain_of(tensor_request("four", np.ones((3, 4), np.float32)))
    model: Any = scorer_of("four")
    scoring = Scoring()
    assert scoring.add(request, model, 7 * model.row_cost, 1000) == 0
    assert scoring.cost == pytest.approx(3 * model.row_cost)
    scoring.charge(2 * model.row_cost)
    assert scoring.add(request, model, 7 * model.row_cost, 1000) == -1
    assert scoring.cost == pytest.approx(5 * model.row_cost)
    assert scoring.add(request, model, 8.01 * model.row_cost, 1000) == 1


def test_answers_of_a_read_take_as_much_as_they_may() -> None:
    """What they take is said before anything is scored, and is no less than it turns out."""
    request = tensor_request("four", np.ones((3, 4), np.float32), raw=True)
    plain, model = plain_of(request), scorer_of("four")
    size = 3 * (4 * 4 + 8)
    scoring = Scoring()
    assert scoring.add(plain, model, math.inf, size - 1) == -1
    assert (scoring.size, len(scoring)) == (0, 0)
    assert scoring.add(plain, model, math.inf, 2 * size) == 0
    assert scoring.add(plain, model, math.inf, 2 * size) == 1
    assert scoring.add(plain, model, math.inf, 2 * size) == -1
    assert scoring.size == 2 * size
    scoring.run()
    (values,) = answer(scoring, 1, request).raw_output_contents
    assert len(values) <= size


def test_what_names_another_artifact_is_never_scored() -> None:
    request = plain_of(tensor_request("wide", np.ones((1, 3), np.float64)))
    scoring = Scoring()
    with pytest.raises(Mixed):
        scoring.add(request, scorer_of("unnamed"), math.inf, 1000)
    assert len(scoring) == 0
    with pytest.raises(TypeError):
        scoring.add(None, scorer_of("wide"), math.inf, 1000)  # type: ignore[arg-type]
    for other in (None, object(), scorer_of("wide").signature):
        assert scoring.add(request, other, math.inf, 1000) == -1  # type: ignore[arg-type]


def loaded(name: str, arena: Arena) -> Any:
    found = view(MODELS[name].artifact)
    return PackedEngine(found.engine, arena).load(found, MODELS[name].digest)


@pytest.mark.parametrize("name", ["nine", "classes"])
def test_a_model_that_goes_meanwhile_stays_until_it_is_scored(name: str) -> None:
    arena = Arena(1 << 20)
    request = tensor_request(name, np.ones((2, MODELS[name].features), np.float32))
    model, scoring = loaded(name, arena), Scoring()
    assert scoring.add(plain_of(request), model, math.inf, 1000) == 0
    model.close()
    assert model.is_closed
    assert arena.used > 0
    # Pushed out, it takes nobody else.
    scoring.run()
    assert arena.used == 0
    assert answer(scoring, 0, request) == generally(name, request)
    with pytest.raises(ValueError, match="closed"):
        model.score_into(np.ones((2, model.features), np.float32), np.empty((2, model.columns), np.float32))


def test_a_read_that_does_not_come_to_run_lets_its_models_go() -> None:
    arena = Arena(1 << 20)
    model, scoring = loaded("nine", arena), Scoring()
    request = plain_of(tensor_request("nine", np.ones((2, 9), np.float32)))
    for _ in range(3):
        scoring.add(request, model, math.inf, 1000)
    model.close()
    scoring.let_go()
    assert arena.used == 0
    scoring.let_go()


def test_nothing_is_added_to_what_was_scored() -> None:
    request = plain_of(tensor_request("nine", np.ones((2, 9), np.float32)))
    scoring = Scoring()
    scoring.run()
    scoring.add(request, scorer_of("nine"), math.inf, 1000)
    scoring.run()
    scoring.add(request, scorer_of("nine"), math.inf, 1000)
    with pytest.raises(ValueError, match="counts for"):
        scoring.run()


def test_labels_are_the_model_s_own() -> None:
    request = tensor_request("classes", np.array([[-1.0, 1.0, 1.0], [1.0, -1.0, 1.0], [1.0, 1.0, -1.0]]))
    found = natively("classes", request)
    assert found == generally("classes", request)
    (labels,) = [each.contents.int64_contents for each in found.outputs if each.name == "label"]
    assert set(labels) <= {-7, 5, 300}
    assert len(set(labels)) > 1
