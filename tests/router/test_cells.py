import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from support.fakes import FakeCell, hang, refuse
from support.waiting import eventually

from croupier.errors import (
    CroupierError,
    DeadlineExceeded,
    FailedPrecondition,
    InternalError,
    InvalidRequest,
    TooLarge,
    Unavailable,
)
from croupier.stores.feature_store import StoreDown
from croupier.transport.client import Channel
from croupier.transport.http2.limits import Limits
from protos.inference.v2 import inference_pb2
from router.cells import MODEL_INFER, Cells
from router.losses import CellLost, CellUnreachable
from router.stale import StaleMap
from router.view import KnownCell
from version_manager.model.fleet import Cell

REQUEST = inference_pb2.ModelInferRequest(model_name="churn", artifact=bytes(32)).SerializeToString()


class Call:
    """What `Cells` needs of a call; its end is a future."""

    def __init__(self, cell: str) -> None:
        self.cell, self.started = cell, time.monotonic()
        self.end: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.answer = self.end.set_result

    def fail(self, error: CroupierError) -> None:
        self.end.set_exception(error)


@pytest.fixture
async def cell() -> AsyncIterator[FakeCell]:
    cell = FakeCell("a")
    await cell.start()
    yield cell
    await cell.kill()


def to_address(cell: str, address: str) -> Channel:
    return Channel(address)


@pytest.fixture
async def cells(cell: FakeCell) -> AsyncIterator[Cells]:
    cells = Cells(to_address, grace=5.0)
    cells.update(known(cell))
    yield cells
    await cells.close()


def known(*fakes: FakeCell) -> Mapping[str, KnownCell]:
    return {fake.id: KnownCell(fake.registered()) for fake in fakes}


async def call(cells: Cells, name: str, timeout: float | None, request: bytes = REQUEST) -> bytes:
    """A call that is cancelled as its task is."""
    call: Any = Call(name)
    sent = cells.start(MODEL_INFER, call, request, timeout)
    try:
        return bytes(await call.end)
    except asyncio.CancelledError:
        sent.cancel()
        raise


async def ask(
    cells: Cells, name: str = "a", timeout: float | None = 10.0
) -> inference_pb2.ModelInferResponse:
    return inference_pb2.ModelInferResponse.FromString(await call(cells, name, timeout))


async def test_bytes_go_there_and_back(cell: FakeCell, cells: Cells) -> None:
    answer = await ask(cells)
    assert list(answer.raw_output_contents) == [b"a", bytes(32)]
    assert cell.calls[0].request.SerializeToString() == REQUEST
    assert 9.0 < (cell.calls[0].remaining or 0) < 10.5


@pytest.mark.parametrize(
    "error",
    [
        InvalidRequest("bad", field="inputs"),
        FailedPrecondition("quarantined", reason="QUARANTINED"),
        Unavailable("full", retry_after=1.5),
        InternalError("bug"),
    ],
)
async def test_what_the_cell_says_arrives_as_it_was_raised(
    cell: FakeCell, cells: Cells, error: InvalidRequest
) -> None:
    cell.before = refuse(error)
    with pytest.raises(type(error)) as caught:
        await ask(cells)
    assert type(caught.value) is type(error)
    assert (caught.value.message, caught.value.reason) == (error.message, error.reason)
    assert getattr(caught.value, "retry_after", 0) == getattr(error, "retry_after", 0)


async def test_a_foreign_failure_is_internal_and_never_unknown(cell: FakeCell, cells: Cells) -> None:
    cell.before = refuse(KeyError("x"))
    with pytest.raises(InternalError):
        await ask(cells)


async def test_an_answer_that_is_too_large_says_nothing_of_the_cell(cell: FakeCell) -> None:
    cells = Cells(lambda cell, address: Channel(address, limits=Limits(max_message_bytes=32)))
    cells.update(known(cell))
    for _ in range(2):
        with pytest.raises(TooLarge):
            await ask(cells)
    await cells.close()


async def test_a_call_and_its_flight_do_not_hold_each_other(cells: Cells) -> None:
    call: Any = Call("a")
    sent = cells.start(MODEL_INFER, call, REQUEST, 10.0)
    assert sent.tag is call
    await call.end
    assert sent.tag is None


async def test_a_cell_that_is_not_there_is_unreachable(cell: FakeCell, cells: Cells) -> None:
    await cell.kill()
    with pytest.raises(CellUnreachable) as caught:
        await ask(cells)
    assert not isinstance(caught.value, CellLost)
    assert caught.value.retry_after > 0
    with pytest.raises(CellUnreachable, match="not connected"):
        await ask(cells, "never heard of")


async def test_a_cell_that_dies_in_a_call_is_unreachable(cell: FakeCell, cells: Cells) -> None:
    cell.before = hang
    asking = asyncio.create_task(ask(cells))
    await eventually(lambda: cell.calls, "the call")
    await cell.kill()
    with pytest.raises(CellUnreachable):
        await asking


async def test_a_call_that_is_in_the_air_when_the_connection_breaks_is_lost() -> None:
    async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # An empty SETTINGS frame (RFC 9113, 6.5): a server of HTTP/2 so far.
        writer.write(bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
        await reader.readuntil(REQUEST)
        writer.transport.abort()

    async with await asyncio.start_server(die, "127.0.0.1", 0) as server:
        address = "{}:{}".format(*server.sockets[0].getsockname())
        cells = Cells(to_address)
        cells.update({"a": KnownCell(Cell("a", "zone-0", address))})
        with pytest.raises(CellLost):
            await ask(cells)
        await cells.close()


async def test_a_deadline_passes(cell: FakeCell, cells: Cells) -> None:
    cell.before = hang
    with pytest.raises(DeadlineExceeded):
        await ask(cells, timeout=0.1)


async def test_a_cancelled_call_is_cancelled_at_the_cell(cell: FakeCell, cells: Cells) -> None:
    cell.before = hang
    asking = asyncio.create_task(ask(cells))
    await eventually(lambda: cell.calls, "the call")
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await eventually(lambda: cell.calls[0].cancelled, "the cell hears of it")


async def test_how_a_connection_stands_and_what_is_under_way_on_it(cell: FakeCell, cells: Cells) -> None:
    assert (cells.connection("a"), cells.connection("b")) == (("idle", 0), ("none", 0))
    cell.before = hang
    waiting = asyncio.create_task(call(cells, "a", None))
    await asyncio.sleep(0)
    assert cells.connection("a") == ("connecting", 1)
    await eventually(lambda: cell.calls, "the call")
    assert cells.connection("a") == ("connected", 1)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert cells.connection("a") == ("connected", 0)
    await cell.kill()

    async def refused() -> bool:
        with suppress(CellUnreachable):
            await ask(cells)
        return cells.connection("a")[0].startswith("cannot connect to 127.0.0.1:")

    await eventually(refused, "a refusal to connect")


async def test_a_new_address_is_a_new_channel_and_running_calls_end_in_peace(
    cell: FakeCell, cells: Cells
) -> None:
    release = asyncio.Event()

    async def wait(call: Any) -> None:
        await release.wait()

    cell.before = wait
    asking = asyncio.create_task(ask(cells))
    await eventually(lambda: cell.calls, "the call")
    moved = FakeCell("a")
    await moved.start()
    try:
        assert cells.update(known(moved)) == {"a"}
        assert cells.update(known(moved)) == set()
        await ask(cells)
        assert len(moved.calls) == 1
        release.set()
        assert (await asking).raw_output_contents[0] == b"a"
    finally:
        await moved.kill()


async def test_a_channel_that_is_closed_under_a_call_is_not_the_caller_hanging_up(cell: FakeCell) -> None:
    cells = Cells(to_address, grace=0.01)
    cells.update(known(cell))
    cell.before = hang
    asking = asyncio.create_task(ask(cells))
    await eventually(lambda: cell.calls, "the call")
    assert cells.update({}) == {"a"}
    with pytest.raises(CellUnreachable):
        await asking
    await cells.close()


async def test_closing_closes_every_channel(cell: FakeCell) -> None:
    opened: list[Channel] = []

    def remember(cell: str, address: str) -> Channel:
        opened.append(Channel(address))
        return opened[-1]

    cells = Cells(remember)
    cells.update(known(cell))
    cell.before = hang
    asking = asyncio.create_task(ask(cells))
    await eventually(lambda: cell.calls, "a call on the channel that closes in peace")
    cells.update({})
    cells.update(known(cell))
    await cells.close()
    with pytest.raises(CellUnreachable):
        await asking
    assert len(opened) == 2
    for channel in opened:
        with pytest.raises(ConnectionError, match="closed"):
            await channel.session()


async def test_a_restarted_cell_is_found_again(cell: FakeCell, cells: Cells) -> None:
    await ask(cells)
    await cell.kill()
    with pytest.raises(CellUnreachable):
        await ask(cells)
    await cell.start()

    async def answers() -> bool:
        try:
            return bool(await ask(cells))
        except CellUnreachable:
            return False

    await eventually(partial(answers), "the cell is back")


async def test_a_cell_speaks_what_it_announced_last(cell: FakeCell, cells: Cells) -> None:
    old, new = (KnownCell(replace(cell.registered(), protocol=number)) for number in (2, 5))
    assert cells.protocol("b") == 1
    cells.update({"a": old})
    assert cells.protocol("a") == 2
    assert cells.update({"a": new}) == set()
    assert cells.protocol("a") == 5
    cells.update({"a": old})
    assert cells.protocol("a") == 2


async def test_what_an_old_shard_map_dealt_is_told_apart(cell: FakeCell, cells: Cells) -> None:
    cell.before = refuse(Unavailable("old", reason="STALE_MAP", retry_after=0.5))
    with pytest.raises(StaleMap, match="old") as caught:
        await ask(cells)
    assert caught.value.retry_after == 0.5
    cell.before = refuse(FailedPrecondition("old", reason="STALE_MAP"))
    with pytest.raises(FailedPrecondition):
        await ask(cells)


async def test_a_cell_that_lacks_features_since_the_store_is_down_is_told_apart(
    cell: FakeCell, cells: Cells
) -> None:
    cell.before = refuse(Unavailable("down", reason="FEATURE_STORE_DOWN", retry_after=0.5))
    with pytest.raises(StoreDown, match="down") as caught:
        await ask(cells)
    assert caught.value.retry_after == 0.5
