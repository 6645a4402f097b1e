"""What calls to a cell come to, with a channel that answers as it is told."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from support.records import cell

from croupier import request_ids
from croupier.codes import Code
from croupier.request_ids import RequestId
from croupier.transport.status import RpcError
from protos.cell.v1 import cell_pb2 as pb
from version_manager.cells.calls import (
    BROKEN,
    CellAway,
    CellCalls,
    CellRefused,
    calling,
    hand_of,
    why_not_resident,
)
from version_manager.model.fleet import CellState


class Channel:
    def __init__(self, answer: bytes | Exception = b"", session: Exception | None = None) -> None:
        self.answer = answer
        self.without_session = session
        self.asked: list[tuple[str, bytes, float]] = []
        self.closed = 0

    async def session(self) -> None:
        if self.without_session:
            raise self.without_session

    async def unary(
        self, path: str, data: bytes, *, timeout: float, metadata: list[tuple[str, str]]
    ) -> bytes:
        self.asked.append((path, data, timeout))
        self.metadata = metadata
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def close(self) -> None:
        self.closed += 1


async def test_what_is_asked_and_answered() -> None:
    channel = Channel(pb.WarmResponse(artifacts=[pb.Warmed(state=pb.Warmed.RESIDENT)]).SerializeToString())
    request = pb.WarmRequest()
    response = await CellCalls(channel).warm(request, 2.0)
    assert why_not_resident(response) == ""
    assert channel.asked == [("/croupier.cell.v1.Cell/Warm", request.SerializeToString(), 2.0)]
    assert channel.metadata == []


async def test_a_cell_is_told_on_whose_behalf_it_is_asked() -> None:
    channel = Channel(pb.UnpinResponse().SerializeToString())
    token = request_ids.current.set(RequestId("mine"))
    await CellCalls(channel).unpin([], 1.0)
    request_ids.current.reset(token)
    assert channel.metadata == [("x-request-id", "mine")]


async def test_no_more_artifacts_are_asked_about_than_a_cell_takes() -> None:
    channel = Channel(pb.UsageResponse().SerializeToString())
    await CellCalls(channel).usage([bytes([1]) * 32] * 10_001, 1.0)
    assert len(pb.UsageRequest.FromString(channel.asked[0][1]).artifacts) == 10_000


@pytest.mark.parametrize(
    ("error", "raised", "message"),
    [
        (RpcError(Code.UNAVAILABLE, "reset"), CellAway, BROKEN),
        (RpcError(Code.UNAVAILABLE, "it is stopping", b"x"), CellAway, "it is stopping"),
        (RpcError(Code.PERMISSION_DENIED, "not you"), CellRefused, "not you"),
        (RpcError(Code.INTERNAL), CellRefused, "status 13"),
        (ConnectionRefusedError("nobody"), CellAway, "nobody"),
        (TimeoutError(), CellAway, "it does not answer"),
    ],
)
async def test_how_a_call_fails(error: Exception, raised: type[Exception], message: str) -> None:
    with pytest.raises(raised) as caught:
        await CellCalls(Channel(error)).unpin([], 1.0)
    assert str(caught.value) == message


async def test_a_cell_that_cannot_be_reached_is_away() -> None:
    channel = Channel(session=ConnectionError("it is another cell"))
    with pytest.raises(CellAway, match="it is another cell"):
        await CellCalls(channel).unpin([], 1.0)
    assert channel.asked == []


@pytest.mark.parametrize("method", ["warm", "usage"])
async def test_an_answer_that_cannot_be_read_is_a_refusal(method: str) -> None:
    asked: Any = pb.WarmRequest() if method == "warm" else []
    with pytest.raises(CellRefused, match="cannot be read"):
        await getattr(CellCalls(Channel(b"\xff")), method)(asked, 1.0)


async def test_a_channel_is_closed_however_the_block_ends() -> None:
    channel = Channel()
    with pytest.raises(asyncio.CancelledError):
        async with calling(lambda cell: channel, cell()):
            raise asyncio.CancelledError
    assert channel.closed == 1


def test_why_a_cell_does_not_hold_all() -> None:
    resident, loading = pb.Warmed(state=pb.Warmed.RESIDENT), pb.Warmed()
    failed = pb.Warmed()
    failed.status.message = "it is broken"
    assert why_not_resident(pb.WarmResponse(artifacts=[resident, loading])) == "it is still loading"
    assert why_not_resident(pb.WarmResponse(artifacts=[failed, resident])) == "it is broken"


def test_only_active_cells_that_are_registered_are_called() -> None:
    draining = replace(cell("cell-2"), state=CellState.DRAINING)
    served = SimpleNamespace(cells={"cell-1": cell("cell-1"), "cell-2": draining})
    dealer = SimpleNamespace(hand=lambda tenant: ["cell-1", "cell-2", "cell-3"])
    assert hand_of("acme", [dealer], served) == [cell("cell-1")]
