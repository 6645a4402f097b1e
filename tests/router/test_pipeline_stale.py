"""Requests that a cell refuses since an old shard map dealt them; cells, clock and wheel are a script."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from random import Random
from typing import Any

import pytest
from support.fakes import generation, model, view
from support.features import no_store

from croupier.errors import Cancelled, DeadlineExceeded, NotFound, Unavailable
from croupier.items import item_status
from croupier.protocol import CURRENT
from croupier.request_ids import Known, RequestId
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2 as pb
from router.admission import Admission
from router.attempt import Attempts
from router.breakers import Breakers
from router.budget import RetryBudget
from router.pipeline import Pipeline
from router.stale import WAIT_SECONDS, Stale, StaleMap
from router.view import View
from router.wheel import Wheel
from sharding.dealer import Dealer
from version_manager.model.fleet import Cell

NAMES = ["a", "b", "c", "d"]
MAPS = [generation(NAMES, number=number) for number in range(6)]


def at(number: int, names: tuple[str, ...] = ("churn", "price"), **parts: Any) -> View:
    """The view once generation `number` deals."""
    found = view(
        [model(name=name) for name in names],
        (MAPS[number], MAPS[number - 1]),
        [Cell(name, "zone-0", f"{name}:1") for name in NAMES],
    )
    return replace(found, **parts)


class Fleet:
    """Cells that let in what `floor` does, and a router that knows of `map`."""

    def __init__(self, floor: int = 3) -> None:
        self.floor, self.now = floor, 1000.0
        self.sent: list[tuple[str, bytes]] = []
        self.numbers: list[int] = []
        self.under_way: list[Any] = []
        self.outcomes: list[Any] = []
        self.looked = 0
        wheel, clock = Wheel(), lambda: self.now
        self.wheel, self.breakers = wheel, Breakers()
        budget = RetryBudget(now=self.now, share=0.0, per_second=0.0)
        budget._tokens = 0.0
        attempts = Attempts(self.breakers, budget, wheel, clock=clock)
        self.stale = Stale(wheel, clock=clock)
        self.stale.attend(self.look_again, lambda: True, lambda _: None)
        self.admission = Admission(10, 10)
        told: Any = {"rng": Random(0), "max_items": 10, "stale": self.stale}
        cells: Any = self
        self.pipeline = Pipeline(self.admission, no_store(), attempts, cells, **told)
        self.pipeline.follow(at(1))
        self.caller = Known(RequestId(), is_named=False)

    def look_again(self) -> None:
        self.looked += 1

    # The router's cells

    def protocol(self, cell: str) -> int:
        return CURRENT

    def start(self, path: bytes, call: Any, request: bytes, timeout: float | None, metadata: Any) -> Any:
        self.sent.append((call.cell, request))
        self.under_way.append((path, call, request))
        return self

    def cancel(self) -> None:
        self.under_way.clear()

    def deliver(self) -> None:
        while self.under_way:
            path, call, request = self.under_way.pop(0)
            if path.endswith(b"/Predict"):
                items = pb.PredictRequest.FromString(request).items
                results = [self.result(item) for item in items]
                call.answer(pb.PredictResponse(results=results).SerializeToString())
            else:
                number = inference_pb2.ModelInferRequest.FromString(request).generation
                self.numbers.append(number)
                call.answer(request) if number >= self.floor else call.fail(StaleMap("old"))

    def result(self, item: pb.Item) -> pb.Result:
        self.numbers.append(item.generation)
        if item.generation >= self.floor:
            return pb.Result(version=item.generation)
        return pb.Result(status=item_status(Unavailable("old", reason="STALE_MAP")))

    # What tests do

    def ask(self, method: str = "infer", *names: str, seconds: float = inf) -> Any:
        items = [pb.Item(model=name) for name in names or ("churn",)]
        request = {
            "infer": inference_pb2.ModelInferRequest(model_name="churn").SerializeToString(),
            "model_metadata": inference_pb2.ModelMetadataRequest(name="churn").SerializeToString(),
            "predict": pb.PredictRequest(items=items).SerializeToString(),
        }[method]
        start = getattr(self.pipeline, method)
        done = self.outcomes.append
        run = start(
            "acme", request, self.now + seconds, self.now, lambda outcome, _: done(outcome), self.caller
        )
        self.deliver()
        return run

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.wheel.advance(self.now)
        self.deliver()

    def follow(self, found: View) -> None:
        self.pipeline.follow(found)
        self.deliver()


METHODS = ["infer", "predict", "model_metadata"]


@pytest.mark.parametrize("method", METHODS)
def test_what_an_old_map_dealt_is_asked_anew_once_the_new_one_is_here(method: str) -> None:
    fleet = Fleet()
    fleet.ask(method)
    assert fleet.outcomes == []
    assert (fleet.admission.in_flight, len(fleet.stale)) == (1, 1)
    fleet.follow(at(3))
    [outcome] = fleet.outcomes
    assert isinstance(outcome, bytes)
    assert fleet.numbers == [1, 3]
    assert (fleet.admission.in_flight, len(fleet.stale)) == (0, 0)
    fleet.wait(10)
    assert fleet.looked == 0


def test_it_goes_to_no_other_cell_of_the_old_hand_and_is_no_sign_of_trouble() -> None:
    """One that has not heard of the new map yet would answer."""
    fleet = Fleet()
    for _ in range(5):
        fleet.ask()
    assert len({cell for cell, _ in fleet.sent}) == 1
    assert fleet.breakers.troubled == set()


def test_a_map_that_came_meanwhile_is_not_waited_for() -> None:
    fleet = Fleet()
    deliver, fleet.deliver = fleet.deliver, lambda: None  # type: ignore[method-assign]
    fleet.ask()
    fleet.pipeline.follow(at(3))
    deliver()
    assert fleet.numbers == [1, 3]
    assert isinstance(fleet.outcomes[0], bytes)


@pytest.mark.parametrize("method", METHODS)
def test_without_a_newer_map_the_caller_hears_of_it_in_time(method: str) -> None:
    fleet = Fleet()
    fleet.ask(method)
    # That of models of others changes nothing.
    fleet.follow(at(1, names=("churn", "price", "new"), current=fleet.pipeline._view.current))
    fleet.wait(WAIT_SECONDS - 0.01)
    assert fleet.outcomes == []
    fleet.wait(0.02)
    [outcome] = fleet.outcomes
    if method == "predict":
        [result] = pb.PredictResponse.FromString(outcome).results
        assert (result.status.code, result.status.reason) == (14, "STALE_MAP")
    else:
        assert isinstance(outcome, StaleMap)
    assert (fleet.admission.in_flight, len(fleet.stale), fleet.numbers) == (0, 0, [1])
    assert fleet.looked > 0


def test_a_caller_in_a_hurry_keeps_half_of_its_time() -> None:
    fleet = Fleet()
    fleet.ask(seconds=0.1)
    fleet.wait(0.04)
    assert fleet.outcomes == []
    fleet.wait(0.02)
    assert isinstance(fleet.outcomes[0], StaleMap)


def test_maps_that_come_one_after_the_other_are_each_tried_within_the_same_time() -> None:
    fleet = Fleet(floor=5)
    fleet.ask()
    for number in (2, 3):
        fleet.wait(0.1)
        fleet.follow(at(number))
    assert (fleet.numbers, fleet.outcomes) == ([1, 2, 3], [])
    fleet.wait(WAIT_SECONDS - 0.2 + 0.01)
    assert isinstance(fleet.outcomes[0], StaleMap)
    fleet.follow(at(5))
    assert len(fleet.outcomes) == 1


def test_of_many_items_only_those_that_were_refused_are_asked_anew() -> None:
    fleet = Fleet()
    fleet.pipeline.follow(at(1, names=("churn",)))
    fleet.floor = 1
    fleet.ask("predict", "churn", "nothing", "churn")
    assert fleet.numbers == [1, 1]
    fleet.outcomes.clear()

    fleet.floor = 3
    fleet.ask("predict", "churn", "nothing", "churn")
    fleet.follow(at(3))
    [outcome] = fleet.outcomes
    results = pb.PredictResponse.FromString(outcome).results
    assert [(result.version, result.status.code) for result in results] == [(3, 0), (0, 5), (3, 0)]


def test_a_model_that_the_newer_view_does_not_have_is_not_found() -> None:
    fleet = Fleet()
    fleet.ask()
    fleet.ask("predict", "churn", "price")
    fleet.follow(at(3, names=("price",)))
    missing, outcome = fleet.outcomes
    assert isinstance(missing, NotFound)
    assert [r.status.code for r in pb.PredictResponse.FromString(outcome).results] == [5, 0]
    assert fleet.admission.in_flight == 0


def test_a_bug_in_asking_anew_is_internal(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = Fleet()
    fleet.ask()
    monkeypatch.setattr(fleet.pipeline, "_prepare", lambda view, units: 1 / 0)
    fleet.follow(at(3))
    [outcome] = fleet.outcomes
    assert (type(outcome), outcome.reason) == (type(outcome), "INTERNAL")


@pytest.mark.parametrize("is_again", [False, True])
def test_a_caller_that_hangs_up_is_waited_for_no_longer(is_again: bool) -> None:
    fleet = Fleet()
    run = fleet.ask()
    if is_again:
        fleet.pipeline.follow(at(3))
    run.cancel()
    run.cancel()
    [outcome] = fleet.outcomes
    assert isinstance(outcome, Cancelled)
    assert (fleet.admission.in_flight, len(fleet.stale), fleet.under_way) == (0, 0, [])
    fleet.follow(at(5))
    assert len(fleet.outcomes) == 1


def test_the_deadline_holds_for_what_is_asked_anew() -> None:
    fleet = Fleet()
    fleet.ask(seconds=0.5)
    fleet.pipeline.follow(at(3))
    fleet.under_way.clear()
    fleet.now += 0.6
    fleet.wheel.advance(fleet.now)
    [outcome] = fleet.outcomes
    assert isinstance(outcome, DeadlineExceeded)


def test_a_tenant_that_the_ramp_has_not_come_to_carries_the_number_of_the_generation_before() -> None:
    fleet = Fleet(floor=2)
    fleet.pipeline.follow(at(3, ramp=0))
    fleet.ask()
    fleet.pipeline.follow(at(3))
    fleet.ask()
    assert fleet.numbers == [2, 3]


def test_what_a_step_of_the_ramp_leaves_where_it_was_waits_on() -> None:
    fleet = Fleet()
    fleet.pipeline.follow(at(3, ramp=0))
    fleet.ask()
    dealers = {"current": fleet.pipeline._view.current, "previous": fleet.pipeline._view.previous}
    fleet.follow(at(3, ramp=1, **dealers))
    assert (fleet.numbers, len(fleet.stale)) == ([2], 1)
    fleet.follow(at(3, **dealers))
    assert fleet.numbers == [2, 3]
    assert all(isinstance(dealer, Dealer) for dealer in dealers.values())
