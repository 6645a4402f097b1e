"""The order of the stages, with a call to cells that is a function; no network."""

import asyncio
import time
from collections.abc import Callable
from random import Random

import pytest
from support.fakes import digest, eventually, generation, model, view

from croupier.deadline import NEVER, Deadline
from croupier.errors import DeadlineExceeded, InvalidRequest, NotFound, PermissionDenied, QuotaExceeded
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2 as pb
from router import cells
from router.admission import Admission
from router.attempt import Attempts, CellUnreachable, NoCell
from router.budget import RetryBudget
from router.features import NoFeatures
from router.pick import Health
from router.pipeline import NoCatalog, Pipeline
from router.resolve import Target
from router.route import NoShardMap, route
from router.view import EMPTY, View
from version_manager.fleet import Cell

NAMES = ["a", "b", "c", "d"]
VIEW = view(
    [model(), model(name="price")],
    (generation(NAMES),),
    [Cell(name, "zone-0", f"{name}:1") for name in NAMES],
)
INFER = inference_pb2.ModelInferRequest(model_name="churn").SerializeToString()
PREDICT = pb.PredictRequest(items=[pb.Item(model="churn")]).SerializeToString()


class Calls:
    """Records calls; answers with the request, or as told."""

    def __init__(self, answer: Callable[[str, str, bytes], bytes] | None = None) -> None:
        self.made: list[tuple[str, str]] = []
        self.requests: list[bytes] = []
        self._answer = answer

    async def __call__(self, path: str, cell: str, request: bytes, timeout: float | None) -> bytes:
        self.made.append((path, cell))
        self.requests.append(request)
        return self._answer(path, cell, request) if self._answer else request


class Upper:
    """A feature stage that can be seen in the request."""

    def complete(self, target: Target, payload: bytes) -> bytes:
        return payload + inference_pb2.ModelInferRequest(id=f"for {target.model}").SerializeToString()


def pipeline(
    calls: Calls, found: View = VIEW, admission: Admission | None = None, features: NoFeatures | None = None
) -> Pipeline:
    attempts = Attempts(Health(), RetryBudget(now=time.monotonic()), clock=time.monotonic)
    return Pipeline(
        lambda: found,
        admission or Admission(10, 10),
        features or NoFeatures(),
        attempts,
        calls,
        rng=Random(0),
        max_items=10,
    )


async def test_a_request_goes_through_all_stages() -> None:
    calls = Calls()
    answer = await pipeline(calls, features=Upper()).infer("acme", INFER, NEVER)
    assert calls.made == [(cells.MODEL_INFER, route(VIEW, "acme", "churn")[0])]
    assert inference_pb2.ModelInferRequest.FromString(answer) == inference_pb2.ModelInferRequest(
        model_name="churn", model_version="1", id="for churn", artifact=digest("acme/churn/1")
    )


async def test_a_deadline_that_has_passed_executes_nothing() -> None:
    calls = Calls()
    front = pipeline(calls)
    for ask in (front.infer, front.predict, front.model_metadata):
        with pytest.raises(DeadlineExceeded):
            await ask("acme", INFER, Deadline(time.monotonic()))
    assert calls.made == []


async def test_before_there_is_a_catalog_nothing_is_unknown_but_unavailable() -> None:
    front = pipeline(Calls(), EMPTY)
    for ask in (front.infer, front.predict, front.model_metadata):
        with pytest.raises(NoCatalog) as caught:
            await ask("acme", INFER, NEVER)
        assert caught.value.retry_after > 0
    assert not front.model_ready("acme", inference_pb2.ModelReadyRequest(name="churn").SerializeToString())


async def test_without_a_shard_map_or_cells_nothing_can_be_asked() -> None:
    models = list(VIEW.catalog)
    with pytest.raises(NoShardMap):
        await pipeline(Calls(), view(models)).infer("acme", INFER, NEVER)
    unseated = view(models, (generation(NAMES),))
    for ask in (pipeline(Calls(), unseated).infer, pipeline(Calls(), unseated).predict):
        with pytest.raises(NoCell):
            await ask("acme", INFER if ask.__name__ == "infer" else PREDICT, NEVER)


async def test_whatever_happens_a_request_leaves() -> None:
    admission = Admission(1, 1)

    def broken(path: str, cell: str, request: bytes) -> bytes:
        raise ZeroDivisionError

    claim = inference_pb2.ModelInferRequest(model_name="churn")
    claim.parameters["tenant"].string_param = "globex"
    front = pipeline(Calls(), admission=admission)
    for error, request in (
        (InvalidRequest, b"\xff"),
        (NotFound, inference_pb2.ModelInferRequest(model_name="x").SerializeToString()),
        (PermissionDenied, claim.SerializeToString()),
    ):
        with pytest.raises(error):
            await front.infer("acme", request, NEVER)
    with pytest.raises(ZeroDivisionError):
        await pipeline(Calls(broken), admission=admission).infer("acme", INFER, NEVER)
    assert admission.in_flight == 0
    admission.enter("acme")
    with pytest.raises(QuotaExceeded):
        await front.infer("acme", INFER, NEVER)
    assert admission.in_flight == 1


async def test_a_cancelled_request_leaves() -> None:
    admission, begun = Admission(5, 5), asyncio.Event()

    async def call(path: str, cell: str, request: bytes, timeout: float | None) -> bytes:
        begun.set()
        await asyncio.Event().wait()
        return request

    front = pipeline(call, admission=admission)  # type: ignore[arg-type]
    for ask, request in ((front.infer, INFER), (front.predict, PREDICT)):
        begun.clear()
        asking = asyncio.create_task(ask("acme", request, NEVER))
        await begun.wait()
        assert admission.in_flight == 1
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await eventually(lambda: admission.in_flight == 0)


async def test_a_request_reads_one_view_from_beginning_to_end() -> None:
    views = [VIEW]

    def swap(path: str, cell: str, request: bytes) -> bytes:
        views[0] = view([], (generation(NAMES),))
        return request

    front = pipeline(Calls(swap))
    front._view = lambda: views[0]
    metadata = await front.model_metadata("acme", INFER, NEVER)
    assert list(inference_pb2.ModelMetadataResponse.FromString(metadata).versions)[-1] == "1"


async def test_a_failure_of_the_first_cell_moves_on_inside_the_hand() -> None:
    first, second = route(VIEW, "acme", "churn")

    def one_is_down(path: str, cell: str, request: bytes) -> bytes:
        if cell == first:
            raise CellUnreachable("down")
        return request

    calls = Calls(one_is_down)
    front = pipeline(calls)
    await front.infer("acme", INFER, NEVER)
    await front.infer("acme", INFER, NEVER)
    assert [cell for _, cell in calls.made] == [first, second, second]
