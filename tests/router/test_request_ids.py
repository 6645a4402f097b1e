"""Ids of requests through the router: to cells, and back to callers."""

import asyncio
import re
from typing import Any

import grpc
import pytest
from support.fakes import digest
from support.worlds import World

from croupier.errors import FailedPrecondition
from croupier.transport.status import RpcError, from_error, request_info
from protos.prediction.v1 import prediction_pb2 as pb
from protos.status.v1 import status_pb2

OURS = r"[0-9a-f]{12}-[0-9a-f]+"


def pairs(stage: World, *more: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    return (*stage.router.metadata, *more)


def told(metadata: Any) -> list[str]:
    return [value for key, value in metadata or () if key == "x-request-id"]


def in_details(error: grpc.aio.AioRpcError) -> list[str]:
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            packed = status_pb2.Status.FromString(value).details
            infos = [one.value for one in packed if one.type_url.endswith(".RequestInfo")]
            return [status_pb2.RequestInfo.FromString(info).request_id for info in infos]
    return []


async def predict(stage: World, *models: str, metadata: Any) -> tuple[Any, list[str]]:
    call = stage.router.prediction.Predict(
        pb.PredictRequest(items=[pb.Item(model=model) for model in models]), metadata=metadata
    )
    return await call, told(await call.trailing_metadata())


async def test_a_callers_id_goes_to_the_cells_and_comes_back(stage: World) -> None:
    answer, ids = await predict(stage, "price", "churn", metadata=pairs(stage, ("x-request-id", "mine-7")))
    assert (len(answer.results), ids) == (2, ["mine-7"])
    assert {call.request_ids for _, call in stage.calls()} == {("mine-7",)}


async def test_who_says_nothing_is_told_nothing_and_neither_are_cells(stage: World) -> None:
    answer, ids = await predict(stage, "price", metadata=pairs(stage))
    assert (len(answer.results), ids) == (1, [])
    assert [call.request_ids for _, call in stage.calls()] == [()]


async def test_who_asks_is_told_the_id_that_the_cell_was_told(stage: World) -> None:
    _, ids = await predict(stage, "price", metadata=pairs(stage, ("croupier-debug", "1")))
    assert re.fullmatch(OURS, ids[0])
    assert [call.request_ids for _, call in stage.calls()] == [tuple(ids)]


@pytest.mark.parametrize("hostile", ["two words", "x" * 129, "x" * 5_000])
async def test_a_hostile_id_goes_nowhere(stage: World, hostile: str) -> None:
    _, ids = await predict(stage, "price", metadata=pairs(stage, ("x-request-id", hostile)))
    assert re.fullmatch(OURS, ids[0])
    assert [call.request_ids for _, call in stage.calls()] == [tuple(ids)]


@pytest.mark.parametrize("metadata", [(), (("x-request-id", "mine-7"),)])
async def test_an_error_has_it_and_so_has_an_item_that_fails(
    stage: World, metadata: tuple[tuple[str, str], ...]
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await predict(stage, "nothing", metadata=pairs(stage, *metadata))
    (request_id,) = told(caught.value.trailing_metadata())
    assert in_details(caught.value) == [request_id]
    assert re.fullmatch("mine-7" if metadata else OURS, request_id)
    answer, _ = await predict(stage, "price", "nothing", metadata=pairs(stage, *metadata))
    assert re.fullmatch("mine-7" if metadata else OURS, answer.results[1].status.request_id)


async def test_errors_that_are_remembered_have_ids_of_their_own(stage: World) -> None:
    for cell in stage.cells.values():
        await cell.kill()
    found = []
    for number in range(3):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await predict(stage, "price", metadata=pairs(stage, ("x-request-id", f"mine-{number}")))
        found += in_details(caught.value)
    assert found == ["mine-0", "mine-1", "mine-2"]


async def test_what_a_cell_called_its_error_is_what_the_caller_hears(stage: World) -> None:
    async def fail(call: Any) -> None:
        status = from_error(FailedPrecondition("no luck"))
        raise RpcError(status.code, status.message, status.details + request_info("the-cells"))

    for cell in stage.cells.values():
        cell.before = fail
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stage.router.infer("price")
    assert in_details(caught.value) == ["the-cells"]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await predict(stage, "price", metadata=pairs(stage, ("x-request-id", "mine-7")))
    assert in_details(caught.value) == ["mine-7"]


async def test_what_fails_in_a_stream_is_called_as_the_stream(stage: World) -> None:
    bad = pb.Status(code=13, message="no luck")
    for cell in stage.cells.values():
        cell.bad_items[digest("acme/price/1")] = bad
    stream = stage.router.prediction.PredictStream(metadata=pairs(stage), timeout=10)
    for number, model in enumerate(["nothing", "churn", "price"]):
        items = [pb.Item(model=model)]
        await stream.write(pb.PredictStreamRequest(id=number, request=pb.PredictRequest(items=items)))
    await stream.done_writing()
    answers = {answer.id: answer async for answer in stream}
    ids = {answers[0].status.request_id, *(one for _, call in stage.calls() for one in call.request_ids)}
    assert len(ids) == 1
    assert re.fullmatch(OURS, ids.pop())
    assert len(stage.calls()) == 2


async def test_many_ids_leave_nothing_behind(stage: World) -> None:
    asking = [
        predict(stage, "price", metadata=pairs(stage, ("x-request-id", f"mine-{number}")))
        for number in range(100)
    ]
    answers = await asyncio.gather(*asking)
    assert [ids for _, ids in answers] == [[f"mine-{number}"] for number in range(100)]
