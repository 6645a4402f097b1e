"""The order of the stages, with cells that are a script; no network, and no loop.

It is long because what holds of a request is tried with each of the methods, over one stand-in for cells.
"""

from collections.abc import Callable
from dataclasses import replace
from math import inf
from random import Random
from typing import Any

import pytest
from support.fakes import digest, generation, metric, model, no_change, view
from support.features import no_store

from cell.codec.plain import who_at_end
from croupier import fetched
from croupier.errors import (
    Cancelled,
    CroupierError,
    DeadlineExceeded,
    InternalError,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
)
from croupier.priorities import UNKNOWN
from croupier.protocol import CURRENT, FIRST, GENERATION, OWNER
from croupier.request_ids import Known, RequestId
from croupier.telemetry.traces import Kind, Tracer
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2 as pb
from router import cells, envelope
from router.admission import Admission
from router.attempt import Attempts, NoCell
from router.breakers import Breakers
from router.budget import RetryBudget
from router.cells import Metadata
from router.envelope import generation_field
from router.losses import CellUnreachable
from router.pipeline import NoCatalog, Pipeline
from router.route import NoShardMap, route
from router.units import Unit
from router.view import EMPTY, View, ViewChange
from router.wheel import Wheel
from sharding.dealer import Dealer
from sharding.hashing import hash64
from version_manager.model.catalog import Delta
from version_manager.model.family import Families, Family, FeatureSpec
from version_manager.model.fleet import Cell, CellState
from version_manager.model.limits import Limits, TenantLimits

NAMES = ["a", "b", "c", "d"]
VIEW = view(
    [model(), model(name="price")],
    (generation(NAMES),),
    [Cell(name, "zone-0", f"{name}:1") for name in NAMES],
)
# Of a family whose features have a default, which goes behind each request.
FEATURED = replace(
    VIEW,
    families=Families(
        {name: Family(name, 1, features=(FeatureSpec("age", default=7.0),)) for name in ("churn", "price")}
    ),
)
INFER = inference_pb2.ModelInferRequest(model_name="churn").SerializeToString()
PREDICT = pb.PredictRequest(items=[pb.Item(model="churn")]).SerializeToString()
NOW = 1000.0

Answer = Callable[[str, bytes], bytes | CroupierError]


class Sent:
    def __init__(self, cells: "Cells", cell: str) -> None:
        self.cells, self.cell = cells, cell

    def cancel(self) -> None:
        self.cells.cancelled.append(self.cell)


class Cells:
    """Records calls; on `deliver`, answers with the request, or as told."""

    def __init__(self, answer: Answer = lambda cell, request: request) -> None:
        self.made: list[tuple[bytes, str]] = []
        self.requests: list[bytes] = []
        self.cancelled: list[str] = []
        self.answer = answer
        self.speak = FIRST
        self._under_way: list[Any] = []

    def protocol(self, cell: str) -> int:
        return self.speak

    def start(
        self, path: bytes, call: Any, request: bytes, timeout: float | None, metadata: Metadata
    ) -> Sent:
        self.made.append((path, call.cell))
        self.requests.append(request)
        self._under_way.append((call, request))
        return Sent(self, call.cell)

    def deliver(self) -> None:
        while self._under_way:
            call, request = self._under_way.pop(0)
            answer = self.answer(call.cell, request)
            call.answer(answer) if isinstance(answer, bytes) else call.fail(answer)


class Front:
    """A pipeline over scripted cells."""

    def __init__(
        self,
        found: View = VIEW,
        answer: Answer | None = None,
        admission: Admission | None = None,
        features: Any = None,
        max_items: int = 10,
    ) -> None:
        self.cells = Cells(answer) if answer else Cells()
        self.breakers = Breakers()
        self.admission = admission or Admission(10, 10)
        attempts = Attempts(self.breakers, RetryBudget(now=NOW), Wheel(), clock=lambda: NOW)
        scripted: Any = self.cells
        self.pipeline = Pipeline(
            self.admission,
            features or no_store(),
            attempts,
            scripted,
            rng=Random(0),
            max_items=max_items,
        )
        if found is not EMPTY:
            self.pipeline.follow(found)
        self.outcomes: list[Any] = []
        self.tried: list[Unit] = []
        self.caller = Known(RequestId(), is_named=False)

    def start(self, method: str, request: bytes, deadline: float = inf, tenant: str = "acme") -> Any:
        ask = getattr(self.pipeline, method)
        return ask(tenant, request, deadline, NOW - 0.001, self._done, self.caller)

    def _done(self, outcome: Any, units: list[Unit]) -> None:
        self.outcomes.append(outcome)
        self.tried = units

    def ask(self, method: str, request: bytes, **how: Any) -> Any:
        """The outcome, once everything has landed."""
        self.outcomes.clear()
        self.start(method, request, **how)
        self.cells.deliver()
        [outcome] = self.outcomes
        return outcome

    def infer(self) -> Any:
        return self.ask("infer", INFER)


def featured() -> Front:
    """Whose models are of a family that has defaults, over cells that know of them."""
    front = Front(FEATURED)
    front.cells.speak = CURRENT
    return front


def default_in(fetched_field: bytes) -> object:
    return fetched.read(fetched_field).rows[0].values[0]


METHODS = [("infer", INFER), ("predict", PREDICT), ("model_metadata", INFER)]


def test_a_request_goes_through_all_stages() -> None:
    front = featured()
    before = metric("croupier_router_added_seconds_count")
    answer = front.infer()
    assert front.cells.made == [(cells.MODEL_INFER, route(VIEW, "acme", "churn")[0])]
    found = inference_pb2.ModelInferRequest.FromString(answer)
    assert default_in(found.fetched) == 7.0
    for name in ("fetched", "owner", "generation"):
        found.ClearField(name)  # type: ignore[arg-type]
    assert found == inference_pb2.ModelInferRequest(
        model_name="churn", model_version="1", artifact=digest("acme/churn/1")
    )
    assert metric("croupier_router_added_seconds_count") == before + 1


@pytest.mark.parametrize(
    ("method", "kind"), [("infer", inference_pb2.ModelInferRequest), ("predict", pb.Item)]
)
def test_a_cell_is_told_whose_a_request_is_whatever_the_caller_says(method: str, kind: Any) -> None:
    def owner(seed: int, claimed: int = 0, *, known: bool = True) -> int:
        front = Front(replace(VIEW, current=Dealer(replace(generation(NAMES), seed=seed))))
        front.cells.speak = OWNER if known else FIRST
        request = kind.FromString(INFER) if method == "infer" else pb.Item(model="churn")
        request.owner = claimed
        sent = request if method == "infer" else pb.PredictRequest(items=[request])
        front.ask(method, sent.SerializeToString())
        [arrived] = front.cells.requests
        if method == "predict":
            [found] = pb.PredictRequest.FromString(arrived).items
        else:
            found = kind.FromString(arrived)
        return int(found.owner)

    tagged = owner(1)
    assert tagged == hash64("owner", "acme", seed=1)
    assert owner(1, claimed=5) == tagged
    assert owner(2) not in (0, tagged)
    assert owner(1, known=False) == 0


@pytest.mark.parametrize("speaks", [OWNER, CURRENT])
@pytest.mark.parametrize(("method", "request_"), METHODS)
def test_whose_a_request_is_stands_last_where_a_cell_looks_first(
    method: str, request_: bytes, speaks: int
) -> None:
    """What stands behind it makes everybody one owner to the cell, which then is fair to nobody."""
    front = featured() if speaks == CURRENT else Front()
    front.cells.speak = speaks
    front.ask(method, request_)
    [arrived] = front.cells.requests
    assert who_at_end(arrived)[1] == hash64("owner", "acme", seed=generation(NAMES).seed)
    assert arrived.endswith(generation_field(1)) is (speaks == CURRENT)


@pytest.mark.parametrize("speaks", [GENERATION, CURRENT])
@pytest.mark.parametrize(("method", "request_"), METHODS)
def test_a_cell_is_told_what_may_be_shed_first(method: str, request_: bytes, speaks: int) -> None:
    front = Front()
    front.cells.speak = speaks
    front.ask(method, request_)
    front.caller = replace(front.caller, priority=4)
    front.ask(method, request_)
    said = [
        pb.PredictRequest.FromString(arrived).items[0].priority
        if method == "predict"
        else inference_pb2.ModelInferRequest.FromString(arrived).priority
        for arrived in front.cells.requests
    ]
    assert said == [0, 4 if speaks == CURRENT else 0]
    assert who_at_end(front.cells.requests[1])[0] == said[1]


@pytest.mark.parametrize(("method", "request_"), METHODS)
def test_a_priority_that_is_none_is_the_callers_mistake(method: str, request_: bytes) -> None:
    front = Front()
    front.caller = replace(front.caller, priority=UNKNOWN)
    with pytest.raises(InvalidRequest, match="live or batch"):
        front.start(method, request_)
    assert front.admission.in_flight == 0


@pytest.mark.parametrize("method", ["infer", "predict"])
def test_an_empty_message_is_an_answer(method: str) -> None:
    # All fields of a proto3 message may have their defaults.
    empty = b"" if method == "infer" else b"\x0a\x00"
    front = Front(answer=lambda cell, request: empty)
    assert front.ask(method, dict(METHODS)[method]) == empty


def test_items_go_through_all_stages() -> None:
    front = featured()
    items = [pb.Item(model=name) for name in ("churn", "nothing", "price")]
    answer = front.ask("predict", pb.PredictRequest(items=items).SerializeToString())
    assert set(front.cells.made) == {
        (cells.PREDICT, route(VIEW, "acme", name)[0]) for name in ("churn", "price")
    }
    done, unknown, other = envelope.read_results(answer)
    for result, name in ((done, "churn"), (other, "price")):
        # What the scripted cell echoes is the item.
        assert pb.Item.FromString(result).artifact == digest(f"acme/{name}/1")
        assert default_in(pb.Item.FromString(result).fetched) == 7.0
    assert pb.Result.FromString(unknown).status.code == 5


def test_metadata_have_no_features_and_the_versions_of_the_catalog() -> None:
    front = featured()
    answer = front.ask("model_metadata", INFER)
    assert front.cells.made == [(cells.MODEL_METADATA, route(VIEW, "acme", "churn")[0])]
    assert fetched.field(b"")[:2] not in front.cells.requests[0]
    assert list(inference_pb2.ModelMetadataResponse.FromString(answer).versions)[-1] == "1"


@pytest.mark.parametrize(("method", "request_"), METHODS)
def test_a_deadline_that_has_passed_executes_nothing(method: str, request_: bytes) -> None:
    front = Front()
    with pytest.raises(DeadlineExceeded):
        front.start(method, request_, deadline=NOW)
    assert front.cells.made == front.outcomes == []
    assert front.admission.in_flight == 0


@pytest.mark.parametrize(("method", "request_"), METHODS)
def test_before_there_is_a_catalog_nothing_is_unknown_but_unavailable(method: str, request_: bytes) -> None:
    front = Front(EMPTY)
    with pytest.raises(NoCatalog) as caught:
        front.start(method, request_)
    assert caught.value.retry_after > 0
    ready = inference_pb2.ModelReadyRequest(name="churn").SerializeToString()
    assert not front.pipeline.model_ready("acme", ready)


def test_cells_that_may_be_back_are_asked_first_for_what_they_lost() -> None:
    front = Front()
    first, *others = route(VIEW, "acme", "churn")
    artifact, suspects = digest("acme/churn/1"), front.pipeline._suspects
    suspects.lost(artifact, others[0], NOW)
    front.infer()
    assert front.cells.made.pop() == (cells.MODEL_INFER, others[0])
    # Of two, one may be of another tenant's hand.
    for lost in ("elsewhere", others[-1]):
        suspects.lost(artifact, lost, NOW)
    front.infer()
    assert front.cells.made == [(cells.MODEL_INFER, others[-1])]
    assert front.tried[0].cells == (others[-1], first, *others[:-1])


def test_without_a_shard_map_or_cells_nothing_can_be_asked() -> None:
    models = list(VIEW.catalog)
    bare = Front(view(models))
    with pytest.raises(NoShardMap):
        bare.start("infer", INFER)
    assert isinstance(bare.ask("predict", PREDICT), NoShardMap)
    unseated = Front(view(models, (generation(NAMES),)))
    for method, request in METHODS:
        assert isinstance(unseated.ask(method, request), NoCell)
    assert bare.admission.in_flight == unseated.admission.in_flight == 0


def test_whatever_happens_a_request_leaves() -> None:
    claim = inference_pb2.ModelInferRequest(model_name="churn")
    claim.parameters["tenant"].string_param = "globex"
    front = Front(admission=Admission(1, 1))
    for error, request in (
        (InvalidRequest, b"\xff"),
        (NotFound, inference_pb2.ModelInferRequest(model_name="x").SerializeToString()),
        (PermissionDenied, claim.SerializeToString()),
    ):
        with pytest.raises(error):
            front.start("infer", request)
        assert front.admission.in_flight == 0
    with pytest.raises(InvalidRequest):
        front.start("predict", b"\xff")
    assert isinstance(front.infer(), bytes)
    assert front.admission.in_flight == 0
    front.admission.enter("acme", 0, NOW)
    for method, request in METHODS:
        with pytest.raises(QuotaExceeded):
            front.start(method, request)
    assert front.admission.in_flight == 1


def limited(**limits: float) -> Front:
    admission = Admission(100, 100, clock=lambda: NOW)
    admission.follow(TenantLimits(Limits(**limits)))
    return Front(admission=admission)


def left(front: Front, kind: str) -> float:
    """How many units of a limit there are for acme; a debt is below 0."""
    bucket = dict(front.admission.buckets.accounts["acme"].buckets())[kind]
    return bucket.fill(NOW) / bucket.step


def test_a_request_costs_each_of_its_items_its_bytes_and_its_rows() -> None:
    # As of a router that has just started: one of each is there.
    front = limited(rate=1e3, rows=1e3, bytes=1e6)
    items = pb.PredictRequest(items=[pb.Item(model="churn"), pb.Item(model="none")] * 5).SerializeToString()
    front.ask("predict", items)
    assert [left(front, kind) for kind in ("rate", "rows")] == pytest.approx([-9.0, -9.0], abs=0.01)
    assert left(front, "bytes") == pytest.approx(1 - len(items), abs=0.01)
    front = limited(rate=1e3, rows=1e3)
    tensor = inference_pb2.ModelInferRequest.InferInputTensor(shape=[7, 3])
    request = inference_pb2.ModelInferRequest(
        model_name="churn", inputs=[tensor, tensor], raw_input_contents=[bytes(84)]
    )
    front.ask("infer", request.SerializeToString())
    assert [left(front, kind) for kind in ("rate", "rows")] == pytest.approx([0.0, -6.0], abs=0.01)
    front = limited(rate=1e3, rows=1e3)
    front.ask("model_metadata", inference_pb2.ModelMetadataRequest(name="churn").SerializeToString())
    assert [left(front, kind) for kind in ("rate", "rows")] == pytest.approx([0.0, 1.0], abs=0.01)


def test_who_is_over_a_limit_is_refused_before_the_request_is_read() -> None:
    front = limited(rate=1.0)
    front.ask("infer", INFER)
    for method, request in METHODS:
        with pytest.raises(QuotaExceeded):
            front.start(method, request)
        with pytest.raises(QuotaExceeded):
            front.start(method, b"\xff")
    with pytest.raises(QuotaExceeded):
        front.pipeline.model_ready("acme", b"\xff")
    assert len(front.cells.made) == 1
    assert front.admission.in_flight == 0


def sent_only_to_what_is_resident(front: Front, method: str, request: bytes) -> bool:
    """Whether cells were told to load nothing for a request."""
    front.ask(method, request)
    last = front.cells.requests[-1]
    if method == "infer":
        return inference_pb2.ModelInferRequest.FromString(last).resident_only
    (told,) = {item.resident_only for item in pb.PredictRequest.FromString(last).items}
    return told


def test_while_cold_loads_are_in_debt_cells_load_nothing_for_the_tenant() -> None:
    front = limited(cold_loads=10.0)
    front.cells.speak = CURRENT
    two = pb.PredictRequest(items=[pb.Item(model="churn"), pb.Item(model="price")]).SerializeToString()
    for method, request in (("infer", INFER), ("predict", two)):
        assert not sent_only_to_what_is_resident(front, method, request)
    bucket = front.admission.buckets.accounts["acme"].cold
    assert bucket is not None
    bucket.take(20.0, NOW)
    for method, request in (("infer", INFER), ("predict", two)):
        assert sent_only_to_what_is_resident(front, method, request)
    # A caller may want it to be shed first besides.
    front.caller = Known(RequestId(), is_named=False, priority=4)
    front.ask("infer", INFER)
    last = inference_pb2.ModelInferRequest.FromString(front.cells.requests[-1])
    assert (last.priority, last.resident_only) == (4, True)


def test_cold_answers_are_charged_and_what_is_not_loaded_is_over_the_limit() -> None:
    front = limited(cold_loads=10.0)
    start = front.cells.start

    def cold(path: bytes, call: Any, *rest: Any) -> Sent:
        call.note_cold()
        return start(path, call, *rest)

    front.cells.start = cold  # type: ignore[method-assign]
    front.ask("infer", INFER)
    assert left(front, "cold_loads") == pytest.approx(0.0, abs=0.01)
    front.cells.start = start  # type: ignore[method-assign]
    front.cells.answer = lambda cell, request: QuotaExceeded("it is not loaded", reason="COLD_LOADS")
    error = front.ask("infer", INFER)
    assert isinstance(error, QuotaExceeded)
    assert error.metadata == {"subject": "acme", "limit": "cold_loads", "value": "10"}
    assert 0.09 < error.retry_after < 0.13
    assert left(front, "cold_loads") == pytest.approx(0.0, abs=0.01)


def test_of_several_models_those_are_charged_that_were_loaded() -> None:
    front = limited(cold_loads=10.0)
    start, loaded = front.cells.start, digest("acme/price/1")

    def cold(path: bytes, call: Any, *rest: Any) -> Sent:
        call.note_cold([place for place, unit in enumerate(call.units) if unit.artifact == loaded][:1])
        return start(path, call, *rest)

    front.cells.start = cold  # type: ignore[method-assign]
    items = [pb.Item(model=name) for name in ("churn", "price") * 2]
    front.ask("predict", pb.PredictRequest(items=items).SerializeToString())
    assert [unit.is_cold for unit in front.tried] == [False, True] * 2
    assert left(front, "cold_loads") == pytest.approx(0.0, abs=0.01)


def test_whether_a_model_is_ready_costs_a_request() -> None:
    front = limited(rate=1.0)
    request = inference_pb2.ModelReadyRequest(name="churn").SerializeToString()
    assert front.pipeline.model_ready("acme", request)
    with pytest.raises(QuotaExceeded):
        front.pipeline.model_ready("acme", request)
    assert front.admission.in_flight == 0


def test_a_bug_in_a_stage_is_raised_and_the_request_leaves() -> None:
    class Broken:
        def begin(self, *args: object) -> None:
            raise ZeroDivisionError

    front = Front(FEATURED, features=Broken())
    for method, request in (("infer", INFER), ("predict", PREDICT)):
        with pytest.raises(ZeroDivisionError):
            front.start(method, request)
    assert (front.admission.in_flight, front.outcomes) == (0, [])


def test_a_bug_in_an_answer_is_internal(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(units: object) -> bytes:
        raise ZeroDivisionError

    monkeypatch.setattr("router.methods.stitch", broken)
    front = Front()
    assert isinstance(front.ask("predict", PREDICT), InternalError)
    assert front.admission.in_flight == 0


@pytest.mark.parametrize(("method", "request_"), METHODS)
def test_a_cancelled_request_leaves_and_gives_up_its_calls(method: str, request_: bytes) -> None:
    front = Front()
    run = front.start(method, request_)
    assert front.admission.in_flight == 1
    run.cancel()
    run.cancel()
    [outcome] = front.outcomes
    assert isinstance(outcome, Cancelled)
    assert front.cells.cancelled == [route(VIEW, "acme", "churn")[0]]
    assert front.admission.in_flight == 0


def test_a_request_reads_one_view_from_beginning_to_end() -> None:
    def swap(cell: str, request: bytes) -> bytes:
        front.pipeline.follow(view([], (generation(NAMES),)))
        return request

    front = Front(answer=swap)
    metadata = front.ask("model_metadata", INFER)
    assert list(inference_pb2.ModelMetadataResponse.FromString(metadata).versions)[-1] == "1"
    with pytest.raises(NotFound):
        front.start("infer", INFER)


def test_a_new_release_is_served_from_the_next_request_on() -> None:
    front = Front()
    front.infer()
    changed = model(versions=(1, 2), splits=((2, 10_000),))
    front.pipeline.follow(VIEW.after(ViewChange(Delta.of(2, (changed,)))))
    assert inference_pb2.ModelInferRequest.FromString(front.infer()).model_version == "2"


def test_a_failure_of_the_first_cell_moves_on_inside_the_hand() -> None:
    first, second = route(VIEW, "acme", "churn")
    front = Front(answer=lambda cell, request: CellUnreachable("down") if cell == first else request)
    assert isinstance(front.infer(), bytes)
    assert isinstance(front.infer(), bytes)
    assert isinstance(front.ask("predict", PREDICT), bytes)
    assert [cell for _, cell in front.cells.made] == [first, second, second, second]


def test_trouble_elsewhere_changes_no_order() -> None:
    front = Front()
    hand = route(VIEW, "acme", "churn")
    for cell in set(NAMES) - set(hand):
        front.breakers.unreachable(cell, NOW)
    front.infer()
    assert front.cells.made == [(cells.MODEL_INFER, hand[0])]


def test_a_cell_that_heals_is_asked_first_again() -> None:
    front = Front()
    first, second = route(VIEW, "acme", "churn")
    front.breakers.unreachable(first, NOW)
    front.infer()
    front.breakers.answered(first, NOW)
    front.infer()
    assert [cell for _, cell in front.cells.made] == [second, first]


def test_a_cell_that_drains_is_asked_last() -> None:
    first, second = route(VIEW, "acme", "churn")
    draining = Cell(first, "zone-0", f"{first}:1", state=CellState.DRAINING)
    front = Front(VIEW.after(no_change(cells=(draining,))))
    front.infer()
    front.breakers.unreachable(second, NOW)
    front.infer()
    assert [cell for _, cell in front.cells.made] == [second, first]


def test_whoever_hears_the_outcome_hears_which_cells_were_tried() -> None:
    front = Front(answer=lambda cell, request: CellUnreachable("away"))
    front.infer()
    assert [unit.cells[: unit.tried] for unit in front.tried] == [tuple(cell for _, cell in front.cells.made)]


def test_fetching_features_is_a_span_of_a_request_that_is_traced() -> None:
    front, spans = featured(), []
    tracer = Tracer(1.0, spans.append, rng=Random(1))
    front.infer()
    assert spans == []
    front.caller = Known(RequestId(), is_named=False, span=tracer.span("Infer", Kind.SERVER, None))
    front.start("infer", INFER)
    assert [(span.name, span.parent_id) for span in spans] == [("features", front.caller.span.span_id)]
