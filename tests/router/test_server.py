"""What a client of the router gets, through real gRPC: answers, from inside the hand alone."""

import asyncio
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest
from support.fakes import FakeCell, digest, hang, metric, no_change, told
from support.waiting import eventually
from support.worlds import MODELS, World, failing, parameters, world

from croupier.errors import Unauthenticated
from croupier.request_ids import RequestId
from croupier.telemetry.traces import Kind, Span, Tracer
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2 as pb
from router import server as server_module
from router.access_log import AccessLog
from router.latest import Latest
from router.server import Handlers
from version_manager.model.fleet import Cell, CellState
from version_manager.model.release import split_point

Code = grpc.StatusCode


# Answers


async def test_infer_reaches_the_hand_with_version_and_artifact_appended(stage: World) -> None:
    answer = await stage.router.infer("price", id="7", raw_input_contents=[b"\1\2"])
    first = stage.hand(name="price")[0]
    assert (answer.model_name, answer.model_version, answer.id) == ("price", "1", "7")
    assert list(answer.raw_output_contents) == [first.id.encode(), digest("acme/price/1")]
    [call] = first.calls
    assert call.request.raw_input_contents == [b"\1\2"]
    assert 9.0 < (call.remaining or 0) < 10.5


async def test_a_forged_artifact_and_version_are_overridden(stage: World) -> None:
    forged = digest("globex/secret/1")
    answer = await stage.router.infer("price", artifact=forged)
    assert answer.raw_output_contents[1] == digest("acme/price/1")
    answer = await stage.router.predict(pb.Item(model="price", artifact=forged))
    assert told(answer.results[0])[1] == digest("acme/price/1").hex()
    assert all(forged not in call.artifacts for _, call in stage.calls())


async def test_a_routing_key_sticks_to_a_side_of_the_split(stage: World) -> None:
    for key in ("ann", "bob", "carol", "dave"):
        expected = "1" if split_point("acme", "churn", key) < 5_000 else "2"
        answers = [await stage.router.infer(parameters=parameters(routing_key=key)) for _ in range(3)]
        assert {answer.model_version for answer in answers} == {expected}
        items = [
            pb.Item(model="churn", entity_id=key),
            pb.Item(model="churn", entity_id="x", routing_key=key),
        ]
        results = (await stage.router.predict(*items)).results
        assert [str(result.version) for result in results] == [expected] * 2


async def test_without_a_key_both_sides_get_traffic(stage: World) -> None:
    results = (await stage.router.predict(*["churn"] * 200)).results
    assert {result.version for result in results} == {1, 2}


async def test_versions_and_labels_can_be_asked_for(stage: World) -> None:
    assert (await stage.router.infer(model_version="3")).model_version == "3"
    assert (await stage.router.infer(parameters=parameters(label="next"))).model_version == "3"
    items = [
        pb.Item(model="churn", label="next"),
        pb.Item(model="churn", version=1),
        pb.Item(model="raw", version=4),
    ]
    assert [result.version for result in (await stage.router.predict(*items)).results] == [3, 1, 4]


async def test_many_items_are_answered_in_their_order_by_one_call_a_cell(stage: World) -> None:
    names = ["price", "churn"] * 10
    items = [pb.Item(model=name, entity_id=str(n)) for n, name in enumerate(names)]
    results = (await stage.router.predict(*items)).results
    assert [told(result)[2] for result in results] == [str(n) for n in range(20)]
    assert len(stage.calls()) == len({stage.hand(name=name)[0].id for name in names})


async def test_an_item_that_fails_leaves_the_others_alone(stage: World) -> None:
    items = ["price", "nothing", "../globex", "raw", pb.Item(model="churn", version=1, label="next"), "price"]
    results = (await stage.router.predict(*items)).results
    assert [result.status.code for result in results] == [0, 5, 3, 5, 3, 0]
    assert [result.HasField("value") for result in results] == [True, False, False, False, False, True]


async def test_server_methods_need_no_tenant(stage: World) -> None:
    inference = stage.router.inference
    assert (await inference.ServerLive(inference_pb2.ServerLiveRequest())).live
    assert (await inference.ServerReady(inference_pb2.ServerReadyRequest())).ready
    metadata = await inference.ServerMetadata(inference_pb2.ServerMetadataRequest())
    assert metadata.name == "croupier"
    assert metadata.version


async def test_model_metadata_come_from_a_cell_with_the_versions_of_the_catalog(stage: World) -> None:
    request = inference_pb2.ModelMetadataRequest(name="churn", version="2", artifact=digest("forged"))
    metadata = await stage.router.inference.ModelMetadata(request, metadata=stage.router.metadata)
    assert (metadata.name, list(metadata.versions)) == ("churn", ["1", "2", "3"])
    assert metadata.platform == digest("acme/churn/2").hex()


async def test_a_model_is_ready_when_it_resolves_and_a_cell_should_answer(stage: World) -> None:
    async def ready(name: str, version: str = "") -> bool:
        request = inference_pb2.ModelReadyRequest(name=name, version=version)
        answer = await stage.router.inference.ModelReady(request, metadata=stage.router.metadata)
        return bool(answer.ready)

    assert await ready("churn")
    assert await ready("raw", "4")
    assert not await ready("raw")
    assert not await ready("nothing")
    assert not await ready("churn", "9")
    stage.change(no_change(removed_cells=tuple(cell.id for cell in stage.hand())))

    async def gone() -> bool:
        return not await ready("churn")

    await eventually(gone, "the hand has departed")


async def test_a_router_without_a_cell_that_should_answer_is_not_ready(stage: World) -> None:
    request = inference_pb2.ServerReadyRequest()
    assert (await stage.router.inference.ServerReady(request)).ready
    stage.change(no_change(removed_cells=tuple(stage.cells)))

    async def alone() -> bool:
        return not (await stage.router.inference.ServerReady(request)).ready

    await eventually(alone, "every cell has departed")


# Retries inside the hand


async def test_a_dead_cell_costs_no_answer_and_nobody_outside_the_hand_is_asked(stage: World) -> None:
    hand = stage.hand(name="price")
    await hand[0].kill()
    for _ in range(5):
        assert (await stage.router.infer("price")).raw_output_contents[0] == hand[1].id.encode()
    assert {cell for cell, _ in stage.calls()} == {hand[1].id}


async def test_a_cell_that_is_killed_in_a_request_costs_no_answer(stage: World) -> None:
    first, second = stage.hand(name="price")
    first.before = hang
    asking = asyncio.create_task(stage.router.infer("price"))
    await eventually(lambda: first.calls, "the first cell is asked")
    await first.kill()
    assert (await asking).raw_output_contents[0] == second.id.encode()


async def test_a_hung_cell_is_passed_by() -> None:
    async with world(MODELS, attempt_timeout=0.1) as made:
        first, second = made.hand(name="price")
        first.before = hang
        assert (await made.router.infer("price")).raw_output_contents[0] == second.id.encode()
        await eventually(lambda: first.calls[0].cancelled, "the hung call is given up")
        for _ in range(3):
            await made.router.infer("price")
        assert len(first.calls) == 1


async def test_items_of_a_dead_cell_go_on_to_the_next_one(stage: World) -> None:
    first, second = stage.hand(name="price")
    await first.kill()
    results = (await stage.router.predict("price", "price")).results
    assert [told(result)[0] for result in results] == [second.id] * 2


async def test_an_item_that_its_cell_cannot_take_now_goes_on_to_the_next_one(stage: World) -> None:
    first, second = stage.hand(name="price")
    busy = pb.Status(code=14, message="the load queue is full", retry_after_ms=50)
    first.bad_items[digest("acme/price/1")] = busy
    [result] = (await stage.router.predict("price")).results
    assert told(result)[0] == second.id
    second.bad_items[digest("acme/price/1")] = busy
    [result] = (await stage.router.predict("price")).results
    assert result.status == busy


async def test_other_statuses_of_items_are_handed_on(stage: World) -> None:
    first, second = stage.hand(name="price")
    first.bad_items[digest("acme/price/1")] = pb.Status(code=3, message="wrong shape")
    [result] = (await stage.router.predict("price")).results
    assert result.status.code == 3
    assert not second.calls


async def test_a_draining_cell_is_asked_after_the_others(stage: World) -> None:
    first, second = stage.hand(name="price")
    draining = Cell(first.id, first.zone, first.address, state=CellState.DRAINING)
    stage.change(no_change(cells=(draining,)))

    async def moved() -> bool:
        return bool((await stage.router.infer("price")).raw_output_contents[0] == second.id.encode())

    await eventually(moved, "the draining cell is passed by")


async def test_a_cell_that_moved_is_found_at_once(stage: World) -> None:
    for cell in stage.hand(name="price"):
        await cell.kill()
    async with failing(Code.UNAVAILABLE):
        await stage.router.infer("price")
    first = stage.hand(name="price")[0]
    moved = FakeCell(first.id, first.zone)
    await moved.start()
    try:
        stage.change(no_change(cells=(moved.registered(),)))

        async def found() -> bool:
            try:
                return bool(await stage.router.infer("price"))
            except grpc.aio.AioRpcError:
                return False

        await eventually(found, "the cell at its new address")
    finally:
        await moved.kill()


async def test_requests_are_counted_by_outcome(stage: World) -> None:
    def count(method: str, code: str) -> float:
        return metric("croupier_router_requests_total", method=method, code=code)

    before = count("ModelInfer", "OK"), count("ModelInfer", "NOT_FOUND")
    added = metric("croupier_router_added_seconds_count")
    await stage.router.infer("price")
    async with failing(Code.NOT_FOUND):
        await stage.router.infer("nothing")
    assert (count("ModelInfer", "OK"), count("ModelInfer", "NOT_FOUND")) == (before[0] + 1, before[1] + 1)
    assert metric("croupier_router_added_seconds_count") == added + 1
    cancelled = count("ModelInfer", "CANCELLED")
    stage.hand(name="price")[0].before = hang
    asking = asyncio.create_task(stage.router.infer("price"))
    await eventually(lambda: len(stage.calls()) == 2, "the call")
    asking.cancel()
    await eventually(lambda: count("ModelInfer", "CANCELLED") == cancelled + 1, "the cancelled one")


async def test_streams_are_counted_by_how_they_end(stage: World) -> None:
    def count(code: str) -> float:
        return metric("croupier_router_requests_total", method="PredictStream", code=code)

    before = [count(code) for code in ("OK", "UNAUTHENTICATED", "CANCELLED")]
    stream = stage.router.prediction.PredictStream(iter([]), metadata=stage.router.metadata)
    assert [answer async for answer in stream] == []
    async with failing(Code.UNAUTHENTICATED):
        await anext(aiter(stage.router.prediction.PredictStream(iter([]))))
    stream = stage.router.prediction.PredictStream(metadata=stage.router.metadata)
    await stream.write(pb.PredictStreamRequest(id=1))
    await stream.read()
    stream.cancel()
    expected = [value + 1 for value in before]
    await eventually(
        lambda: [count(code) for code in ("OK", "UNAUTHENTICATED", "CANCELLED")] == expected, "the counts"
    )


class Arrived:
    """A call as the transport hands it over, as far as its handler looks."""

    path = "/inference.GRPCInferenceService/ModelInfer"
    deadline, arrived, took, is_open, message = 20.0, 10.0, 0.0, True, b""
    request_id, is_named, span, noted = RequestId("mine"), True, None, None

    def __init__(self) -> None:
        self.failed: list[int] = []

    def values(self, name: bytes) -> tuple[bytes, ...]:
        return ()

    def fail(self, code: int, message: str, details: bytes, trailing: Any = ()) -> None:
        self.failed.append(code)


def begin_all(tracer: Tracer, calls: list[Any]) -> None:
    """As `trace`, which takes calls of the transport alone."""
    for call in calls:
        call.span = tracer.span(call.path, Kind.SERVER, None)


@pytest.mark.parametrize("error", [None, Unauthenticated("no token")])
def test_finding_out_whose_a_traced_request_is_is_a_span(
    error: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tenant(values: Any) -> str:
        if error is not None:
            raise error
        return "acme"

    ended: list[Span] = []
    run: Any = lambda *_: SimpleNamespace(cancel=None)  # noqa: E731
    parts: Any = SimpleNamespace(infer=run, predict=run, model_metadata=run, tenant=tenant)
    settings: Any = {"clock": lambda: 10.0, "version": "0", "default_timeout": 1.0, "at_once": 1}
    settings["access_log"] = AccessLog(1.0, 0.0, random=lambda: 0.0)
    settings["latest"] = Latest(1.0, clock=lambda: 10.0)
    settings["tracer"] = Tracer(1.0, ended.append, rng=Random(1))
    monkeypatch.setattr(server_module, "trace", begin_all)
    call: Any = Arrived()
    Handlers(parts, parts, lambda: True, revisions=parts, **settings).take([call])
    assert [(span.name, span.parent_id, span.code) for span in ended] == [
        ("identity", call.span.span_id, 16 if error else 0)
    ]
    known = {} if error else {"croupier.tenant": "acme"}
    assert call.span.attributes == {"croupier.request_id": "mine", **known}
    assert call.failed == ([16] if error else [])


def test_a_call_that_came_with_its_end_is_counted_and_not_begun() -> None:
    class Closed:
        message = b""
        path = "/inference.GRPCInferenceService/ModelInfer"
        deadline, arrived, took, is_open = 20.0, 10.0, 0.0, False

        def values(self, name: bytes) -> tuple[bytes, ...]:
            return ()

    def count() -> float:
        return metric("croupier_router_requests_total", method="ModelInfer", code="CANCELLED")

    # Neither the pipeline nor the identity nor the call's reply is touched.
    nobody: Any = SimpleNamespace(infer=None, predict=None, model_metadata=None)
    settings: Any = {"clock": lambda: 10.0, "version": "0", "default_timeout": 1.0, "at_once": 1}
    settings["access_log"] = AccessLog(1.0, 0.0, random=lambda: 0.0)
    settings["latest"] = Latest(1.0, clock=lambda: 10.0)
    before, closed = count(), cast("Any", Closed())
    Handlers(nobody, nobody, lambda: True, revisions=nobody, **settings).take([closed])
    assert count() == before + 1
