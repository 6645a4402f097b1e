import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from onnx import numpy_helper
from sklearn.linear_model import LinearRegression
from support.cell_server import CellServer, infer_request, open_cell, row_item
from support.cells import digest
from support.graphs import matmul, packed

from cell.warm import MOST_ARTIFACTS, SERVICE
from croupier.artifacts.packers.linear import pack_linear
from croupier.errors import CroupierError, InvalidRequest
from protos.cell.v1 import cell_pb2 as pb

ROWS = np.ones((1, 2), np.float32)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[CellServer]:
    async with open_cell(tmp_path) as opened:
        yield opened


async def warm(
    server: CellServer, *artifacts: bytes, seconds: float = 10.0, **fields: Any
) -> pb.WarmResponse:
    request = pb.WarmRequest(artifacts=artifacts, wait_seconds=seconds, **fields)
    data = await server.send_bytes(f"/{SERVICE}/Warm", request.SerializeToString())
    return pb.WarmResponse.FromString(data)


async def unpin(server: CellServer, *artifacts: bytes) -> None:
    await server.send_bytes(f"/{SERVICE}/Unpin", pb.UnpinRequest(artifacts=artifacts).SerializeToString())


async def publish(server: CellServer, count: int) -> list[bytes]:
    """Different models of the same size."""
    weights = [numpy_helper.from_array(np.full((2, 2), n, np.float32), "W") for n in range(1, count + 1)]
    return [await server.store.put(packed(matmul([matrix]))) for matrix in weights]


def states(response: pb.WarmResponse) -> list[int]:
    return [warmed.state for warmed in response.artifacts]


async def test_what_is_warmed_answers_without_the_store(server: CellServer) -> None:
    keys = await publish(server, 3)
    response = await warm(server, *keys)
    assert [warmed.artifact for warmed in response.artifacts] == keys
    assert states(response) == [pb.Warmed.RESIDENT] * 3
    for path in server.folder.rglob("??/*"):
        path.unlink()
    for factor, key in enumerate(keys, 1):
        answer = await server.infer(infer_request(key, ROWS))
        assert answer.outputs[0].contents.fp32_contents[0] == 2 * factor


async def test_each_has_its_own_result_in_the_order_of_the_request(server: CellServer) -> None:
    (good,) = await publish(server, 1)
    broken = await server.store.put(packed(b"no model"))
    absent = digest("absent")
    response = await warm(server, absent, good, broken, good)
    assert states(response) == [pb.Warmed.FAILED, pb.Warmed.RESIDENT, pb.Warmed.FAILED, pb.Warmed.RESIDENT]
    first, _, third, _ = response.artifacts
    assert (first.status.code, third.status.code) == (5, 9)
    assert third.status.reason == "ARTIFACT_REFUSED"


async def test_who_does_not_wait_is_told_what_still_loads_and_it_goes_on(server: CellServer) -> None:
    keys = await publish(server, 20)
    assert pb.Warmed.LOADING in states(await warm(server, *keys, seconds=0.0))
    assert states(await warm(server, *keys)) == [pb.Warmed.RESIDENT] * 20


async def test_a_pin_keeps_and_unpin_lets_go(tmp_path: Path) -> None:
    async with open_cell(tmp_path, capacity_bytes=300_000, churn_guard=0.0) as server:
        keys = await publish(server, 12)
        await warm(server, keys[0], pin=True)
        for key in keys[1:]:
            await server.infer(infer_request(key, ROWS))
        assert await is_resident(server, keys[0])
        await unpin(server, keys[0])
        for key in keys[1:]:
            await server.infer(infer_request(key, ROWS))
        assert not await is_resident(server, keys[0])


async def is_resident(server: CellServer, key: bytes) -> bool:
    """Whether it answers with no artifact to be had."""
    data = await server.store.get(key)
    await server.store.delete(key)
    name = key.hex()
    cached = server.folder / "cache" / name[:2] / name
    cached.unlink(missing_ok=True)
    try:
        await server.infer(infer_request(key, ROWS))
    except CroupierError:
        return False
    finally:
        await server.store.put(data)
    return True


async def test_a_floor_keeps_a_groups_models(tmp_path: Path) -> None:
    async with open_cell(tmp_path, capacity_bytes=300_000, churn_guard=0.0) as server:
        keys = await publish(server, 12)
        await warm(server, keys[0], group="acme", floor_bytes=100_000)
        for key in keys[1:]:
            await server.infer(infer_request(key, ROWS))
        assert await is_resident(server, keys[0])


async def test_a_model_that_came_for_a_request_counts_for_the_floor_once_it_is_warmed(tmp_path: Path) -> None:
    async with open_cell(tmp_path, capacity_bytes=300_000, churn_guard=0.0) as server:
        keys = await publish(server, 12)
        await server.infer(infer_request(keys[0], ROWS))
        await warm(server, keys[0], group="acme", floor_bytes=100_000)
        for key in keys[1:]:
            await server.infer(infer_request(key, ROWS))
        assert await is_resident(server, keys[0])


async def test_too_much_to_keep_is_that_artifacts_failure(tmp_path: Path) -> None:
    async with open_cell(tmp_path, capacity_bytes=150_000) as server:
        keys = await publish(server, 4)
        response = await warm(server, *keys, pin=True)
        failed = [warmed for warmed in response.artifacts if warmed.state == pb.Warmed.FAILED]
        assert failed
        assert all(warmed.status.reason for warmed in failed)


@pytest.mark.parametrize(
    "fields",
    [
        {"artifacts": [b"short"]},
        {"artifacts": [digest("x")] * (MOST_ARTIFACTS + 1)},
        {"wait_seconds": -1.0},
        {"wait_seconds": float("nan")},
        {"wait_seconds": float("inf")},
        {"group": "../x"},
        {"floor_bytes": 5},
    ],
)
async def test_requests_that_make_no_sense(server: CellServer, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        await server.send_bytes(f"/{SERVICE}/Warm", pb.WarmRequest(**fields).SerializeToString())


async def test_bytes_that_are_no_message(server: CellServer) -> None:
    with pytest.raises(InvalidRequest):
        await server.send_bytes(f"/{SERVICE}/Warm", b"\xff\xff")


async def test_an_empty_list_is_warm(server: CellServer) -> None:
    assert states(await warm(server)) == []


async def test_a_stop_does_not_wait_for_what_is_warming(tmp_path: Path) -> None:
    async with open_cell(tmp_path) as server:
        keys = await publish(server, 50)
        await warm(server, *keys, seconds=0.0)
    assert not [task for task in asyncio.all_tasks() if task.get_name() in {"warm", "load"}]


async def test_a_caller_that_hangs_up_takes_no_load_along(server: CellServer) -> None:
    keys = await publish(server, 10)
    call = asyncio.create_task(warm(server, *keys))
    await asyncio.sleep(0)
    call.cancel()
    await asyncio.wait([call])
    assert states(await warm(server, *keys)) == [pb.Warmed.RESIDENT] * 10


async def usage(server: CellServer, *artifacts: bytes) -> dict[bytes, int]:
    data = await server.send_bytes(
        f"/{SERVICE}/Usage", pb.UsageRequest(artifacts=artifacts).SerializeToString()
    )
    told = pb.UsageResponse.FromString(data).resident
    assert all(0 <= used.idle_seconds < 60 for used in told)
    return {used.artifact: used.requests for used in told}


async def test_it_says_how_often_a_model_was_asked_for(server: CellServer) -> None:
    """Each request and each item counts once, whichever way it is answered; to be loaded is no use."""
    native = await server.store.put(pack_linear(LinearRegression().fit(np.eye(2), [1.0, 2.0])))
    expensive, other, cold = await publish(server, 3)
    absent = digest("absent")
    await warm(server, native, expensive, other)
    assert await usage(server, native, expensive, cold, absent) == {native: 0, expensive: 0}
    rows = np.ones((3, 2), np.float32)
    for _ in range(5):
        await server.infer(infer_request(native, rows))
        await server.infer(infer_request(expensive, rows))
        await server.predict(row_item(native, [1.0, 2.0]), row_item(native, [1.0, 2.0]))
    not_plain = infer_request(native, rows)
    not_plain.id = "é"
    await server.infer(not_plain)
    assert await usage(server, native, expensive, other) == {native: 16, expensive: 5, other: 0}
    await server.infer(infer_request(cold, rows))
    (count,) = (await usage(server, cold)).values()
    assert count <= 1


async def hot_list(server: CellServer, most: int = 0) -> list[pb.HotListPage]:
    call = server.channel.unary_stream(f"/{SERVICE}/HotList")
    return [
        pb.HotListPage.FromString(data)
        async for data in call(pb.HotListRequest(most=most).SerializeToString())
    ]


def hot_digests(pages: list[pb.HotListPage]) -> list[bytes]:
    artifacts = b"".join(page.artifacts for page in pages)
    return [artifacts[at : at + 32] for at in range(0, len(artifacts), 32)]


async def test_the_hot_list_says_what_is_here_whose_it_is_and_how_much_it_is_used(tmp_path: Path) -> None:
    async with open_cell(tmp_path, eviction_policy="lru") as server:
        first, second, third = await publish(server, 3)
        await warm(server, third, aged=True)
        for owner, key in enumerate((first, second, second), 7):
            request = infer_request(key, ROWS)
            request.owner = owner
            await server.infer(request)
        pages = await hot_list(server)
        assert hot_digests(pages) == [second, first, third]
        assert [owner for page in pages for owner in page.owners] == [8, 7, 0]
        assert pages[0].requests[0] >= 1
        assert hot_digests(await hot_list(server, most=2)) == [second, first]


async def test_a_long_hot_list_comes_in_pages_and_a_cell_without_models_has_none(server: CellServer) -> None:
    assert await hot_list(server) == []
    keys = await publish(server, 300)
    await warm(server, *keys, proven=True)
    pages = await hot_list(server)
    assert [len(page.owners) for page in pages] == [256, 44]
    assert sorted(hot_digests(pages)) == sorted(keys)


async def test_garbage_for_a_hot_list_is_refused(server: CellServer) -> None:
    call = server.channel.unary_stream(f"/{SERVICE}/HotList")(b"\xff")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call.read()
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
