"""What a router refuses since cells have too much to do, and what it does not do to them then."""

from __future__ import annotations

import gc
from contextlib import suppress
from dataclasses import replace
from math import inf
from random import Random
from typing import Any

import pytest
from support.attempts import HAND, HANG, Fleet, routed
from support.fakes import generation, metric, model, view
from support.features import no_store
from support.limited import limited_loads

from croupier.errors import Unavailable
from croupier.items import item_status
from croupier.priorities import OVERLOADED, Priority
from croupier.request_ids import Known, RequestId
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2 as pb
from router.admission import Admission, Overloaded
from router.attempt import Attempts
from router.breakers import Breakers
from router.budget import RetryBudget
from router.concurrency import LEAST, CellsBusy, Limit
from router.hedges import ENOUGH
from router.loads import Loads
from router.pipeline import Pipeline
from router.wheel import Wheel
from version_manager.model.fleet import Cell
from version_manager.model.limits import Limits, TenantLimits

NAMES = ["a", "b", "c"]
NOW = 1000.0
LIMIT = 4
INFER = inference_pb2.ModelInferRequest(model_name="churn").SerializeToString()
PREDICT = pb.PredictRequest(items=[pb.Item(model="churn"), pb.Item(model="churn")]).SerializeToString()


class Front:
    """A pipeline over three cells that answer nothing, each of which may have `LIMIT` calls in flight."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.made: list[str] = []
        self.outcomes: list[Any] = []
        # It began long ago: buckets are full.
        self.admission = Admission(1000, 1000, clock=lambda: 0.0)
        if limits is not None:
            self.admission.follow(TenantLimits(limits))
        self.loads = limited_loads(LIMIT, NAMES)
        attempts = Attempts(Breakers(), RetryBudget(now=NOW), Wheel(), clock=lambda: NOW, loads=self.loads)
        cells: Any = self
        self.pipeline = Pipeline(self.admission, no_store(), attempts, cells, rng=Random(0), max_items=10)
        known = [Cell(name, "zone-0", f"{name}:1") for name in NAMES]
        models = [model(tenant=tenant) for tenant in ("acme", "globex", "hooli")]
        self.pipeline.follow(view(models, (generation(NAMES),), known))
        self.caller = Known(RequestId(), is_named=False)

    def protocol(self, cell: str) -> int:
        return 1

    def start(self, path: bytes, call: Any, *_: Any) -> Any:
        self.made.append(call.cell)
        return self

    def cancel(self) -> None:
        pass

    def ask(self, tenant: str = "acme", method: str = "infer", priority: int = Priority.LIVE) -> Any:
        caller = replace(self.caller, priority=priority)
        request = INFER if method == "infer" else PREDICT
        run = getattr(self.pipeline, method)
        return run(tenant, request, inf, NOW, lambda outcome, units: self.outcomes.append(outcome), caller)

    def flood(self, tenant: str, priority: int = Priority.LIVE) -> int:
        """Ask until there is a refusal; returns how many were let in."""
        for count in range(1000):
            try:
                self.ask(tenant, priority=priority)
            except CellsBusy:
                return count
        raise AssertionError("nothing is refused")


def test_a_tenant_that_asks_for_everything_leaves_room_for_others() -> None:
    front = Front()
    assert front.flood("acme") == LIMIT // 2
    assert len({*front.made}) == 1, "it went to cells that have its model not"
    front.ask("globex")
    assert front.admission.in_flight == LIMIT // 2 + 1


def test_batch_is_refused_before_live() -> None:
    front = Front()
    before = metric("croupier_router_shed_total", priority="batch")
    assert front.flood("acme", Priority.BATCH) == 1
    assert metric("croupier_router_shed_total", priority="batch") == before + 1
    front.ask("acme")


def test_batch_is_refused_before_live_at_the_routers_own_limit() -> None:
    front = Front()
    front.admission.buckets.limit = 2
    front.ask("acme")
    with pytest.raises(Overloaded):
        front.ask("globex", priority=Priority.BATCH)
    front.ask("globex")


@pytest.mark.parametrize("method", ["infer", "predict"])
def test_what_is_refused_costs_its_tenant_nothing_and_is_in_flight_no_more(method: str) -> None:
    front = Front(Limits(rate=1e3, bytes=1e6, rows=1e3))
    front.flood("acme")
    buckets = dict(front.admission.buckets.accounts["acme"].buckets())
    before = {kind: bucket.full_at for kind, bucket in buckets.items()}
    in_flight = front.admission.in_flight
    with pytest.raises(CellsBusy) as caught:
        front.ask("acme", method)
    assert caught.value.reason == OVERLOADED
    assert caught.value.retry_after > 0
    assert {kind: bucket.full_at for kind, bucket in buckets.items()} == pytest.approx(
        before, rel=0, abs=1e-9
    )
    assert front.admission.in_flight == in_flight


def test_what_has_no_room_goes_to_a_cell_that_nothing_limits() -> None:
    front = Front()
    front.flood("acme")
    [full] = {*front.made}
    front.loads.forget([name for name in NAMES if name != full])
    front.ask("acme")
    assert front.made[-1] != full


def test_a_busy_cell_that_nothing_limits_yet_is_not_given_what_others_refuse() -> None:
    front = Front()
    front.flood("acme")
    [full] = {*front.made}
    others = [name for name in NAMES if name != full]
    front.loads.forget(others)
    for name in others:
        for slot in range(17):
            front.loads.of(name).begin(slot)
    with pytest.raises(CellsBusy):
        front.ask("acme")


def test_an_item_without_a_model_beside_refused_ones_is_told_so_itself() -> None:
    front = Front()
    front.flood("acme")
    items = [pb.Item(model="churn"), pb.Item(model="none")]
    request = pb.PredictRequest(items=items).SerializeToString()
    done: list[Any] = []
    front.pipeline.predict(
        "acme", request, inf, NOW, lambda outcome, units: done.append(outcome), front.caller
    )
    [outcome] = done
    told = [result.status.message for result in pb.PredictResponse.FromString(outcome).results]
    assert told[0] == item_status(CellsBusy(), "").message
    assert "none" in told[1]


def test_what_one_cell_does_not_answer_is_not_asked_of_one_that_is_full() -> None:
    fleet = Fleet(a=[Unavailable("busy")])
    full = Fleet(a=[Unavailable("busy")], loads=limited_loads(1.0, HAND))
    assert fleet.ask().answer() == b"ok b"
    for slot in (5, 6):
        full.attempts.loads.of("b").begin(slot)
    assert isinstance(full.ask().answer(), Unavailable)
    assert full.asked == ["a"]


def silent(*, warm: bool = True, **how: Any) -> Fleet:
    """Ten tenants, for whom the first cell does not answer; before that it did, if it is `warm`."""
    fleet = Fleet(**how)
    for _ in range(ENOUGH if warm else 0):
        fleet.ask(routed("m", fleet.route)).answer()
    load = fleet.attempts.loads.of("a")
    for slot in range(10):
        load.note_delay(slot, 0.001)
    load.look(fleet.now)
    fleet.calls.clear()
    fleet.play(a=[HANG])
    fleet.attempts.hedges.tokens = 1.0
    for slot in range(10):
        unit = routed("m", fleet.route)
        unit.slot = slot
        fleet.ask(unit, seconds=0.3)
    return fleet


def test_a_cell_that_is_limited_gets_no_hedge() -> None:
    for loads, asked in ((Loads(), 11), (limited_loads(100.0, ["b"]), 10)):
        fleet = silent(loads=loads)
        fleet.wait(0.15)
        assert len(fleet.asked) == asked


@pytest.mark.parametrize(("warm", "seconds"), [(True, 0.15), (True, 0.4), (False, 0.4)])
def test_who_answers_nothing_is_late_unless_models_are_loaded(warm: bool, seconds: float) -> None:
    fleet = silent(warm=warm, loads=Loads(Limit))
    fleet.wait(seconds)
    load = fleet.attempts.loads.of("a")
    load.look(fleet.now)
    assert (load.limit > 0) is warm


class Heard(Limit):
    """Remembers whether callers gave up, and limits nothing."""

    is_wasting: bool = False

    def after(self, *told: Any) -> float:
        self.is_wasting = told[-1]
        return 0.0


@pytest.mark.parametrize(
    ("warm", "seconds", "is_wasting"), [(True, 0.2, False), (True, 0.4, True), (False, 0.4, False)]
)
def test_whom_callers_give_up_waiting_for_hears_of_it(warm: bool, seconds: float, is_wasting: bool) -> None:
    fleet = silent(warm=warm, loads=Loads(Heard))
    fleet.play(**{cell: [HANG] for cell in HAND[1:]})
    fleet.wait(seconds)
    load = fleet.attempts.loads.of("a")
    load.look(fleet.now)
    assert isinstance(load.limiter, Heard)
    assert load.limiter.is_wasting is is_wasting


def test_a_cell_that_refuses_most_tenants_is_late() -> None:
    fleet = Fleet(a=[Unavailable("full", reason=OVERLOADED)], loads=Loads(Limit))
    asked = []
    for slot in range(10):
        unit = routed("m", fleet.route)
        unit.slot = slot
        asked.append(fleet.ask(unit))
    for one in asked:
        one.answers()
    load = fleet.attempts.loads.of("a")
    load.look(fleet.now)
    assert load.limit == LEAST


def test_what_is_refused_leaves_nothing_for_the_garbage_collector() -> None:
    front = Front()
    front.flood("acme")
    gc.collect()
    gc.disable()
    try:
        for _ in range(50):
            with suppress(CellsBusy):
                front.ask("acme")
        assert gc.collect() == 0
    finally:
        gc.enable()
