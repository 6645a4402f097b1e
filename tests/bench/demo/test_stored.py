"""What is right of models whose features are partly stored, and what is counted of it."""

from dataclasses import astuple
from typing import Any

import numpy as np
import pytest

from bench.demo import stored
from bench.demo.asking import Asking
from bench.planted import Planted
from bench.training import Recipe, Trained, train
from croupier_client.messages import prediction as pb

STORE, STALE = pb.Origin.STORE, pb.Origin.DEFAULT_STALE
MISSING, DOWN = pb.Origin.DEFAULT_MISSING, pb.Origin.DEFAULT_DOWN


@pytest.fixture(scope="module")
def model() -> Trained:
    return train(Recipe("acme", "diabetes-linear", "diabetes", "linear", 9))


def planted(model: Trained) -> Planted:
    found = stored.planted_of(model)
    assert found is not None
    return found


def asked(model: Trained) -> tuple[Asking, int, int]:
    """A request whose row has a missing or stale feature, and the row."""
    asking = Asking([model], [1.0], seed=1, draws=256)
    for number in range(256):
        (item,) = pb.PredictRequest.FromString(asking.message(number)).items
        row = int(item.entity_id.rpartition("-")[2])
        sources = planted(model).sources[row]
        if (sources == STORE).any() and (sources >= MISSING).any():
            return asking, number, row
    raise AssertionError("no row has any")


def answer(model: Trained, row: int, sources: Any, used: Any = None, **fields: Any) -> bytes:
    plan = planted(model)
    (value,) = np.ravel(model.says(plan.used(row, sources if used is None else used)[None]))
    said = {"defaults": int((sources >= MISSING).sum()), "degraded": bool((sources == DOWN).any())} | fields
    origins = [pb.Origin(name=name, source=source) for name, source in zip(plan.names, sources, strict=True)]
    output = pb.Output(name="value", numbers=pb.Numbers(values=[value]))
    result = pb.Result(value=pb.Value(outputs=[output]), version=1, origins=origins, **said)
    return pb.PredictResponse(results=[result]).SerializeToString()


def test_callers_send_four_of_ten_features_and_say_whose_the_others_are(model: Trained) -> None:
    asking, number, row = asked(model)
    (item,) = pb.PredictRequest.FromString(asking.message(number)).items
    sent = {one.name: one.number for one in item.features.features}
    assert sent == dict(zip(("age", "sex", "bmi", "bp"), model.rows[row].tolist(), strict=False))
    assert item.explain
    assert astuple(asking.stored)[:3] == (1, 4, 6)


def test_a_right_answer_is_of_what_it_says_it_used_and_is_counted(model: Trained) -> None:
    asking, number, row = asked(model)
    sources = planted(model).sources[row]
    for _ in range(2):
        assert asking.is_answer(number, answer(model, row, sources))
    found, missing = asking.stored, int((sources == MISSING).sum())
    stale = int((sources == STALE).sum())
    assert (found.answers, found.defaulted, found.degraded, found.values) == (2, 2, 0, 12)
    assert (found.missing, found.stale, found.planted) == (2 * missing, 2 * stale, 2 * (missing + stale))


def test_an_answer_that_says_the_store_was_down_is_right_on_defaults(model: Trained) -> None:
    asking, number, row = asked(model)
    down = np.where(planted(model).sent, pb.Origin.REQUEST, DOWN)
    assert asking.is_answer(number, answer(model, row, down))
    assert (asking.stored.answers, asking.stored.degraded, asking.stored.planted) == (1, 1, 0)
    assert not asking.is_answer(number, answer(model, row, down, degraded=False))


def test_whatever_else_an_answer_says_is_wrong(model: Trained) -> None:
    asking, number, row = asked(model)
    sources = planted(model).sources[row]
    at = int(np.flatnonzero(sources == STORE)[0])
    as_missing = np.where(np.arange(len(sources)) == at, MISSING, sources)
    for wrong in (
        # It used a default, and says that it did not; and the other way round.
        answer(model, row, sources, as_missing, defaults=int((sources >= MISSING).sum())),
        answer(model, row, as_missing),
        answer(model, row, sources, defaults=0),
        answer(model, row, sources, degraded=True),
        answer(model, row, np.append(sources[:-1], pb.Origin.UNSPECIFIED), sources),
    ):
        assert asking.is_answer(number, answer(model, row, sources))
        assert not asking.is_answer(number, wrong)
    assert len(asking.wrong) == 5
    assert asking.stored.answers == 5


def test_models_of_other_data_are_asked_as_ever() -> None:
    wine = Trained(Recipe("acme", "wine", "wine", "", 0), b"", np.eye(2), np.eye(2), ())
    assert stored.planted_of(wine) is None
    assert astuple(Asking([wine], [1.0], seed=1, draws=4).stored)[:3] == (0, 4, 0)
