"""PredictStream through real gRPC: answers by id, back-pressure, and ways to end."""

import asyncio
from typing import Any

import grpc
import pytest
from support.fakes import digest, hang, metric, told
from support.http2_peer import RawPeer, data, headers, message, request_fields
from support.waiting import eventually
from support.worlds import MODELS, World, details_of, failing, world

from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2 as pb

Code = grpc.StatusCode
INFER = "/inference.GRPCInferenceService/ModelInfer"
PREDICT = "/croupier.prediction.v1.PredictionService/Predict"
STREAM = "/croupier.prediction.v1.PredictionService/PredictStream"


def frame(name: int, *models: str) -> pb.PredictStreamRequest:
    return pb.PredictStreamRequest(
        id=name, request=pb.PredictRequest(items=[pb.Item(model=m) for m in models])
    )


def open_stream(stage: World, *, timeout: float | None = 10.0) -> Any:
    return stage.router.prediction.PredictStream(metadata=stage.router.metadata, timeout=timeout)


async def test_a_stream_answers_each_request_by_its_id(stage: World) -> None:
    stream = open_stream(stage)
    sent = [frame(0, "price"), frame(7, "price", "nothing"), frame(8, "nothing"), frame(2**64 - 1)]
    for request in sent:
        await stream.write(request)
    await stream.done_writing()
    answers = {answer.id: answer async for answer in stream}
    assert answers.keys() == {0, 7, 8, 2**64 - 1}
    assert told(answers[0].response.results[0])[1] == digest("acme/price/1").hex()
    assert [result.status.code for result in answers[7].response.results] == [0, 5]
    assert answers[8].status.code == Code.NOT_FOUND.value[0]
    assert answers[2**64 - 1].status.code == Code.INVALID_ARGUMENT.value[0]
    assert await stream.code() == Code.OK


async def test_a_slow_request_does_not_hold_up_the_stream(stage: World) -> None:
    slow, release = stage.hand(name="churn")[0], asyncio.Event()

    async def wait_for_churn(call: Any) -> None:
        if any(item.model == "churn" for item in call.request.items):
            await release.wait()

    for cell in stage.cells.values():
        cell.before = wait_for_churn
    stream = open_stream(stage)
    await stream.write(frame(1, "churn"))
    await eventually(lambda: slow.calls, "the slow one")
    await stream.write(frame(2, "price"))
    assert (await stream.read()).id == 2
    release.set()
    assert (await stream.read()).id == 1
    await stream.done_writing()
    assert await stream.read() is grpc.aio.EOF


async def test_a_stream_has_only_so_many_requests_in_work() -> None:
    before = metric("croupier_router_in_flight")
    async with world(MODELS, stream_at_once=3, attempt_timeout=30.0) as made:
        first = made.hand(name="price")[0]
        first.before = hang
        stream = open_stream(made)
        for name in range(10):
            await stream.write(frame(name, "price"))
        await eventually(lambda: len(first.calls) == 3, "three in work")
        await made.router.inference.ServerLive(inference_pb2.ServerLiveRequest())
        assert len(first.calls) == 3
        stream.cancel()
        await eventually(lambda: all(call.cancelled for call in first.calls), "all are given up")
        assert metric("croupier_router_in_flight") == before


async def test_a_frame_that_cannot_be_read_ends_the_stream(stage: World) -> None:
    path = "/croupier.prediction.v1.PredictionService/PredictStream"
    call: Any = stage.router.channel.stream_stream(path)
    stream = call(iter([b"\xff\xff"]), metadata=stage.router.metadata)
    async with failing(Code.INVALID_ARGUMENT, "BadRequest"):
        await stream.read()


# Of 4 MiB each: an input, an item, and a request of a frame.
PARTS = {INFER: b"\x2a\x80\x80\x80\x02", PREDICT: b"\x0a\x80\x80\x80\x02", STREAM: b"\x12\x80\x80\x80\x02"}


@pytest.mark.parametrize("path", [STREAM, INFER, PREDICT])
@pytest.mark.parametrize("kind", ["broken", "many", "many inside"])
async def test_a_message_that_cannot_be_read_is_refused_before_it_is_there(
    stage: World, path: str, kind: str
) -> None:
    first = {
        "broken": b"\x0a\xff\xff\xff\x7f",
        "many": b"\x2a\x00" * 65_537,
        "many inside": PARTS[path] + b"\x78\x01" * 65_537,
    }
    begun = message(bytes(8 * 2**20))[:5] + first[kind] + bytes(32)
    async with RawPeer.connect(stage.router.address) as peer:
        # The window is wider once its settings are acknowledged.
        await peer.settled()
        peer.send(headers(1, request_fields(path, ("croupier-tenant", "acme"))))
        peer.send(*(data(1, begun[at : at + 16_384], 0) for at in range(0, len(begun), 16_384)))
        assert (await peer.heard(1)).status == ("200", "3")


async def test_a_streams_deadline_ends_it_and_what_is_in_work(stage: World) -> None:
    for cell in stage.cells.values():
        cell.before = hang
    stream = open_stream(stage, timeout=0.3)
    await stream.write(frame(1, "price"))
    try:
        answer = await stream.read()
        assert answer.status.code == Code.DEADLINE_EXCEEDED.value[0]
    except grpc.aio.AioRpcError as error:
        assert error.code() == Code.DEADLINE_EXCEEDED  # noqa: PT017
    await eventually(lambda: all(call.cancelled for _, call in stage.calls()), "the calls are given up")


def test_details_are_read_from_the_trailing_metadata() -> None:
    bare = grpc.aio.AioRpcError(Code.UNKNOWN, grpc.aio.Metadata(), grpc.aio.Metadata())
    assert details_of(bare) == set()


async def test_a_tenant_has_so_many_streams_open_and_no_more() -> None:
    async with world(MODELS, max_streams_per_tenant=2) as stage:
        held = [open_stream(stage) for _ in range(2)]
        for number, stream in enumerate(held):
            await stream.write(frame(number, "price"))
            assert (await stream.read()).id == number
        async with failing(Code.RESOURCE_EXHAUSTED, "QuotaFailure", "RetryInfo"):
            await open_stream(stage).read()
        other = stage.router.prediction.PredictStream(metadata=(("croupier-tenant", "globex"),))
        await other.write(frame(1, "secret"))
        assert (await other.read()).id == 1
        # Those that are open go on, and whoever ends one may open another.
        await held[0].write(frame(5, "price"))
        assert (await held[0].read()).id == 5
        held[1].cancel()

        async def has_room() -> bool:
            stream = open_stream(stage)
            try:
                await stream.write(frame(6, "price"))
                return bool((await stream.read()).id == 6)
            except (grpc.aio.AioRpcError, AttributeError, asyncio.InvalidStateError):
                return False

        await eventually(has_room, "room for another one")
