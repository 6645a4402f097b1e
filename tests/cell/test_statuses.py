"""Rows of the status table that a cell meets for reasons beside the request's content, through real gRPC."""

import asyncio
import time
from pathlib import Path

import grpc
import pytest
from support.cell_server import infer_request, open_cell, row_item
from support.fakes import metric
from support.graphs import picky

from croupier.errors import DeadlineExceeded, InternalError, Unavailable
from protos.inference.v2 import inference_pb2 as oip


def values(response: oip.ModelInferResponse) -> list[float]:
    return list(response.outputs[0].contents.fp32_contents)


async def test_a_culprit_is_internal_and_its_mates_are_answered(tmp_path: Path) -> None:
    async with open_cell(tmp_path, score_threads=1) as server:
        key = await server.store.put(picky())
        await server.describe(key)
        rows = [[0, 1], [7, 7], [2, 0]]
        answers = await asyncio.gather(
            *(server.infer(infer_request(key, [row])) for row in rows), return_exceptions=True
        )
        first, culprit, last = answers
        assert isinstance(culprit, InternalError)
        assert culprit.reason == "SCORING_FAILED"
        assert not isinstance(first, BaseException)
        assert not isinstance(last, BaseException)
        assert [values(first), values(last)] == [[10, 20], [30, 10]]


async def test_a_deadline_that_has_passed_on_arrival_executes_nothing(tmp_path: Path) -> None:
    def be_late() -> None:
        # The request lies in the cell's socket while its loop is busy with something else.
        busy_until = time.monotonic() + 0.06
        while time.monotonic() < busy_until:
            pass

    async with open_cell(tmp_path) as server:
        key = await server.store.put(picky())
        await server.inference.ServerLive(oip.ServerLiveRequest())
        before = metric("croupier_cell_lookups_total", outcome="miss")
        for asking in (
            server.infer(infer_request(key, [[0, 1]]), timeout=0.02),
            server.predict(row_item(key, [0, 1]), timeout=0.02),
        ):
            task = asyncio.ensure_future(asking)
            asyncio.get_running_loop().call_soon(be_late)
            with pytest.raises(DeadlineExceeded):
                await task
        # A call on the same connection is answered after those that came before it.
        await server.inference.ServerLive(oip.ServerLiveRequest())
        assert metric("croupier_cell_lookups_total", outcome="miss") == before


async def test_metadata_over_the_limit(tmp_path: Path) -> None:
    async with open_cell(tmp_path) as server:
        call = server.inference.ServerLive(oip.ServerLiveRequest(), metadata=(("x-long", "x" * 40_000),))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_cell_that_has_stopped_is_unavailable(tmp_path: Path) -> None:
    async with open_cell(tmp_path) as server:
        key = await server.store.put(picky())
        await server.describe(key)
        await server.cell.stop()
        with pytest.raises(Unavailable):
            await server.infer(infer_request(key, [[0, 1]]))
