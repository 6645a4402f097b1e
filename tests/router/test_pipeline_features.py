"""Requests that wait for features in the pipeline, with cells and a store that are scripts."""

import asyncio
from dataclasses import replace
from functools import partial
from math import inf
from random import Random
from typing import Any

import pytest
from support.fakes import generation, metric, model, view
from support.features import BLOB, Clock, Store, key
from support.garbage import no_garbage

from croupier import fetched
from croupier.errors import Cancelled, CroupierError, DeadlineExceeded, InvalidRequest, Unavailable
from croupier.fetched import Origin
from croupier.protocol import CURRENT, FETCHED
from croupier.request_ids import Known, RequestId
from croupier.stores.feature_store import StoreDown
from protos.inference.v2 import inference_pb2 as oip
from protos.prediction.v1 import prediction_pb2 as pb
from router.admission import Admission
from router.attempt import Attempts
from router.breakers import Breakers
from router.budget import RetryBudget
from router.entities import ENTITY_INPUT
from router.feature_reads import FeatureReads
from router.features import Features, FeaturesUnavailable
from router.pipeline import Pipeline
from router.units import Unit
from router.view import KnownCell
from router.wheel import Wheel
from version_manager.model.family import Families, Family, FeatureSpec
from version_manager.model.fleet import Cell

FEATURES = (FeatureSpec("age", source="store", group="person", default=7.0),)
FAMILY = Family("churn", 1, features=FEATURES)
VIEW = replace(
    view(
        [model(), model(name="price")],
        (generation(["a", "b"]),),
        [Cell(name, "zone-0", f"{name}:1", protocol=CURRENT) for name in "ab"],
    ),
    families=Families({"churn": FAMILY}),
)
ITEM = pb.Item(model="churn", entity_id="1")
PREDICT = pb.PredictRequest(items=[ITEM]).SerializeToString()
INFER = oip.ModelInferRequest(
    model_name="churn", parameters={"entity_id": oip.InferParameter(string_param="1")}
).SerializeToString()


class Sent:
    span = None

    def __init__(self, made: "Cells") -> None:
        self.made = made

    def cancel(self) -> None:
        self.made.cancelled += 1


class Cells:
    """Answers at once with the request, or what it is of."""

    def __init__(self) -> None:
        self.speak = {"a": CURRENT, "b": CURRENT}
        self.requests: list[tuple[str, bytes]] = []
        self.is_silent = False
        self.error: CroupierError | None = None
        self.cancelled = 0

    def protocol(self, cell: str) -> int:
        return self.speak[cell]

    def start(self, path: bytes, call: Any, request: bytes, timeout: float | None, metadata: Any) -> Sent:
        self.requests.append((call.cell, request))
        if not self.is_silent:
            answer = partial(call.answer, request) if self.error is None else partial(call.fail, self.error)
            asyncio.get_running_loop().call_soon(answer)
        return Sent(self)


class Front:
    def __init__(self, family: Family = FAMILY) -> None:
        self.clock, self.store, self.cells = Clock(), Store(), Cells()
        self.store.held[key("1")] = self.store.held[key("2")] = BLOB
        self.wheel = Wheel()
        reads = FeatureReads(self.store, clock=self.clock, timeout=5.0, known_seconds=1.0, most_bytes=2**20)
        features = Features(reads, self.wheel, clock=self.clock, now_ms=lambda: 2000)
        self.admission = Admission(10, 10)
        self.breakers = Breakers()
        attempts = Attempts(self.breakers, RetryBudget(now=self.clock.now), self.wheel, clock=self.clock)
        scripted: Any = self.cells
        self.pipeline = Pipeline(self.admission, features, attempts, scripted, rng=Random(0), max_items=10)
        self.pipeline.follow(replace(VIEW, families=Families({"churn": family})))
        self.outcomes: list[Any] = []

    def start(self, request: bytes, method: str = "predict", deadline: float = inf) -> Any:
        ask = getattr(self.pipeline, method)
        return ask("acme", request, deadline, self.clock.now, self._done, Known(RequestId()))

    def _done(self, outcome: Any, units: list[Unit]) -> None:
        self.outcomes.append(outcome)

    async def ask(self, request: bytes, method: str = "predict") -> Any:
        self.start(request, method)
        while not self.outcomes:
            await asyncio.sleep(0)
        return self.outcomes.pop()


def last(front: Front) -> pb.Item:
    """The item that the last call to a cell had."""
    [item] = pb.PredictRequest.FromString(front.cells.requests[-1][1]).items
    return item


@pytest.mark.parametrize(("method", "request_"), [("predict", PREDICT), ("infer", INFER)])
async def test_a_request_goes_on_once_its_features_are_there(method: str, request_: bytes) -> None:
    front = Front()
    run = front.start(request_, method)
    assert front.cells.requests == []
    assert front.admission.in_flight == 1
    while not front.outcomes:
        await asyncio.sleep(0)
    [(_, sent)] = front.cells.requests
    fields = last(front) if method == "predict" else oip.ModelInferRequest.FromString(sent)
    [row] = fetched.read(fields.fetched).rows
    assert (row.values, row.origins) == ((40.0,), (Origin.STORE,))
    assert front.admission.in_flight == 0
    run.cancel()
    assert len(front.outcomes) == 1


async def test_each_row_may_have_its_entity() -> None:
    front = Front()
    tensor = oip.ModelInferRequest.InferInputTensor(name=ENTITY_INPUT, datatype="BYTES", shape=[3])
    tensor.contents.bytes_contents.extend([b"1", b"none", b"2"])
    request = oip.ModelInferRequest(model_name="churn", inputs=[tensor]).SerializeToString()
    sent = oip.ModelInferRequest.FromString(await front.ask(request, "infer"))
    assert [row.values for row in fetched.read(sent.fetched).rows] == [(40.0,), (7.0,), (40.0,)]


async def test_what_all_items_share_stands_in_for_their_own_entity() -> None:
    front = Front()
    items = [pb.Item(model="churn"), pb.Item(model="churn", entity_id="none")]
    request = pb.PredictRequest(items=items, shared=pb.Shared(entity_id="1")).SerializeToString()
    await front.ask(request)
    [(_, sent)] = front.cells.requests
    rows = [fetched.read(item.fetched).rows[0] for item in pb.PredictRequest.FromString(sent).items]
    assert [row.values for row in rows] == [(40.0,), (7.0,)]


async def test_only_items_of_the_family_wait_and_bring_features() -> None:
    front = Front()
    request = pb.PredictRequest(items=[ITEM, pb.Item(model="price")]).SerializeToString()
    await front.ask(request)
    found = {
        item.model: item.fetched != b""
        for _, sent in front.cells.requests
        for item in pb.PredictRequest.FromString(sent).items
    }
    assert found == {"churn": True, "price": False}
    front.cells.requests.clear()
    front.store.gate.clear()
    front.clock.now += 10.0
    await front.ask(pb.PredictRequest(items=[pb.Item(model="price")]).SerializeToString())


async def test_a_cell_of_a_release_before_is_passed_over() -> None:
    front = Front()
    front.cells.speak = {"a": FETCHED - 1, "b": FETCHED}
    await front.ask(PREDICT)
    assert [cell for cell, _ in front.cells.requests] == ["b"]
    front.cells.speak = {"a": FETCHED - 1, "b": FETCHED - 1}
    answer = await front.ask(PREDICT)
    assert isinstance(answer, Unavailable)
    assert answer.reason == "OLD_CELL"


async def test_cells_that_are_known_to_be_old_are_no_candidates_and_cost_no_retry() -> None:
    front = Front()
    front.cells.speak = {"a": FETCHED - 1, "b": FETCHED}
    cells = {
        name: KnownCell(replace(VIEW.cells[name].cell, protocol=front.cells.speak[name])) for name in "ab"
    }
    front.pipeline.follow(replace(VIEW, cells=cells))
    before = metric("croupier_router_retries_total")
    for _ in range(30):
        await front.ask(PREDICT)
    assert {cell for cell, _ in front.cells.requests} == {"b"}
    assert metric("croupier_router_retries_total") == before


async def test_what_a_cell_is_too_old_for_says_nothing_about_it() -> None:
    front = Front()
    front.cells.speak = {"a": FETCHED - 1, "b": FETCHED - 1}
    for _ in range(30):
        await front.ask(PREDICT)
    assert not front.breakers.troubled


async def test_who_hangs_up_while_waiting_leaves() -> None:
    front = Front()
    front.store.gate.clear()
    front.start(PREDICT).cancel()
    assert [type(one) for one in front.outcomes] == [Cancelled]
    assert front.admission.in_flight == 0
    front.store.gate.set()
    for _ in range(10):
        await asyncio.sleep(0)
    assert front.cells.requests == []


async def test_who_hangs_up_afterwards_gives_up_its_call() -> None:
    front = Front()
    front.cells.is_silent = True
    run = front.start(PREDICT)
    while not front.cells.requests:
        await asyncio.sleep(0)
    run.cancel()
    assert [type(one) for one in front.outcomes] == [Cancelled]
    assert (front.cells.cancelled, front.admission.in_flight) == (1, 0)


async def test_a_deadline_that_passes_meanwhile_executes_nothing() -> None:
    front = Front()
    front.store.gate.clear()
    front.start(PREDICT, deadline=front.clock.now + 0.01)
    front.clock.now += 0.02
    front.wheel.advance(front.clock.now)
    assert [type(one) for one in front.outcomes] == [DeadlineExceeded]
    assert front.cells.requests == []
    assert front.admission.in_flight == 0


async def test_a_family_that_wants_no_defaults_is_unavailable_without_the_store() -> None:
    front = Front(replace(FAMILY, store_failure="fail"))
    front.store.error = Unavailable("gone")
    answer = await front.ask(PREDICT)
    assert isinstance(answer, FeaturesUnavailable)
    assert answer.retry_after > 0
    assert front.cells.requests == []
    assert front.admission.in_flight == 0


async def test_a_request_that_names_nobody_is_the_callers_mistake() -> None:
    answer = await Front().ask(pb.PredictRequest(items=[pb.Item(model="churn")]).SerializeToString())
    assert isinstance(answer, InvalidRequest)
    assert "entity_id" in answer.message


async def test_a_bug_after_the_wait_is_internal_and_the_request_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    front = Front()

    def broken(*args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(front.pipeline, "_prepare", broken)
    answer = await front.ask(PREDICT)
    assert answer.reason == "INTERNAL"
    assert front.admission.in_flight == 0


async def test_a_config_that_changes_holds_for_requests_that_begin_then() -> None:
    front = Front()
    await front.ask(PREDICT)
    assert fetched.read(last(front).fetched).rows[0].values == (40.0,)
    changed = replace(FAMILY, number=2, features=(FeatureSpec("age", default=1.0),))
    front.pipeline.follow(replace(VIEW, families=Families({"churn": changed})))
    await front.ask(PREDICT)
    assert fetched.read(last(front).fetched).rows[0].values == (1.0,)
    front.pipeline.follow(replace(VIEW, families=Families()))
    await front.ask(PREDICT)
    assert last(front).fetched == b""


async def test_a_request_that_waited_leaves_no_garbage() -> None:
    front = Front()
    await front.ask(PREDICT)
    with no_garbage():
        for store_says in (None, Unavailable("gone"), None):
            front.store.error = store_says
            front.clock.now += 10.0
            await front.ask(PREDICT)
            await front.ask(INFER, "infer")
        front.clock.now += 10.0
        front.start(PREDICT).cancel()
        front.outcomes.clear()
        await asyncio.sleep(0.01)


async def test_what_a_cell_says_of_the_feature_store_is_asked_of_no_other() -> None:
    front = Front()
    front.cells.error = StoreDown("not now", retry_after=0.25)
    answer = await front.ask(INFER, "infer")
    assert (type(answer), answer.retry_after) == (StoreDown, 0.25)
    assert len(front.cells.requests) == 1
    assert not front.breakers.troubled
