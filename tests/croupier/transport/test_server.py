"""Our server's handlers, of every kind and in every mood, called by grpcio and by our own client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from support.http2_peer import RawPeer, data, headers, message, request_fields, reset
from support.serving import LOOPS, Spy, calling, serving, start, turns
from support.waiting import eventually

from croupier.codes import Code
from croupier.errors import CroupierError, NotFound, QuotaExceeded
from croupier.transport.client import Channel
from croupier.transport.context import Context
from croupier.transport.http2.server_call import ServerCall
from croupier.transport.serving import Server
from croupier.transport.status import RpcError

LOOP_FACTORIES = LOOPS
BATCH, UNARY, STREAM = "/test.Moods/Batch", "/test.Moods/Unary", "/test.Moods/Stream"


class Moods:
    """Handlers that do what a request says, and note what became of them."""

    def __init__(self) -> None:
        self.server = Server()
        self.server.add_batch([BATCH], self.batch)
        self.server.add_unary(UNARY, self.unary)
        self.server.add_stream(STREAM, self.stream)
        self.batches: list[list[bytes]] = []
        self.waiting: list[ServerCall] = []
        self.cancelled: list[bytes] = []
        self.entered = asyncio.Event()
        self.errors: dict[bytes, BaseException] = {}

    def batch(self, calls: list[ServerCall]) -> None:
        self.batches.append([call.message for call in calls])
        for call in calls:
            if call.message == b"hang":
                call.on_cancel = lambda call=call: self.cancelled.append(call.message)
                self.waiting.append(call)
                self.entered.set()
            elif call.message in self.errors:
                raise self.errors[call.message]
            else:
                call.reply(call.message)

    async def unary(self, message: bytes, context: Context) -> bytes:
        await self.obey(message)
        context.set_trailing_metadata([("told", "trailing"), ("bytes-bin", b"\0\xff")])
        context.send_initial_metadata(context.metadata)
        return message

    async def stream(self, messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        async for one in messages:
            await self.obey(one)
            yield one

    async def obey(self, message: bytes) -> None:
        if message in self.errors:
            raise self.errors[message]
        if message == b"hang":
            self.entered.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.cancelled.append(message)
                raise


@pytest.fixture
def moods() -> Moods:
    return Moods()


@pytest.fixture
async def address(moods: Moods) -> AsyncIterator[str]:
    async with serving(moods.server) as address:
        yield address


@pytest.fixture
async def channel(address: str) -> AsyncIterator[Channel]:
    async with calling(address) as channel:
        yield channel


@pytest.fixture
async def grpcio(address: str) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(address) as channel:
        yield channel


class TestAnswers:
    @pytest.mark.parametrize("path", [BATCH, UNARY, STREAM])
    async def test_to_our_client(self, channel: Channel, path: str) -> None:
        assert await channel.unary(path, b"hello") == b"hello"

    @pytest.mark.parametrize("path", [BATCH, UNARY, STREAM])
    async def test_to_grpcio(self, grpcio: Any, path: str) -> None:
        assert await grpcio.unary_unary(path)(b"hello") == b"hello"

    async def test_a_stream_to_grpcio(self, grpcio: Any) -> None:
        sent = [b"one", b"", b"three" * 100_000]
        got = [message async for message in grpcio.stream_stream(STREAM)(iter(sent))]
        assert sent == got

    async def test_with_metadata(self, grpcio: Any) -> None:
        sent = (("x", "1"), ("x", "2"), ("y-bin", b"\0\xff"))
        call = grpcio.unary_unary(UNARY)(b"", metadata=sent)
        got = tuple(await call.initial_metadata())
        assert sent == tuple(pair for pair in got if pair in sent)
        assert tuple(await call.trailing_metadata()) == (("told", "trailing"), ("bytes-bin", b"\0\xff"))

    async def test_many_at_once(self, channel: Channel, grpcio: Any) -> None:
        ours = [start(channel, path, b"%d" % n) for n, path in enumerate([BATCH, UNARY] * 100)]
        theirs = [grpcio.unary_unary(path)(b"%d" % n) for n, path in enumerate([BATCH, UNARY, STREAM] * 30)]
        assert [b"%d" % n for n in range(200)] == [call.message for call in await asyncio.gather(*ours)]
        assert [b"%d" % n for n in range(90)] == await asyncio.gather(*theirs)


class TestBatches:
    async def test_what_one_read_brings_is_one_batch_and_its_replies_one_write(
        self, moods: Moods, channel: Channel
    ) -> None:
        await channel.unary(BATCH, b"first")
        [connection] = moods.server._connections
        connection.transport = spy = Spy(connection.transport)  # type: ignore[assignment]
        ended = [start(channel, BATCH, b"%d" % n) for n in range(32)]
        assert [b"%d" % n for n in range(32)] == [call.message for call in await asyncio.gather(*ended)]
        assert [[b"%d" % n for n in range(32)]] == moods.batches[1:]
        assert len(spy.writes) == 1

    async def test_replies_of_any_tick(self, moods: Moods, channel: Channel) -> None:
        ended = [start(channel, BATCH, b"hang") for _ in range(3)]
        await eventually(lambda: len(moods.waiting) == 3)
        for n, call in enumerate(moods.waiting):
            await turns()
            call.reply(b"%d" % n)
        assert [call.message for call in await asyncio.gather(*ended)] == [b"0", b"1", b"2"]

    async def test_a_handler_that_raises_fails_the_calls_that_it_left(
        self, moods: Moods, channel: Channel, caplog: pytest.LogCaptureFixture
    ) -> None:
        await channel.unary(BATCH, b"first")
        moods.errors[b"bad"] = RuntimeError("secret")
        ended = [start(channel, BATCH, message) for message in (b"good", b"bad", b"behind")]
        calls = await asyncio.gather(*ended)
        assert [call.code for call in calls] == [0, Code.INTERNAL, Code.INTERNAL]
        assert [call.status_message for call in calls] == ["", "internal error", "internal error"]
        assert "the batch handler failed" in caplog.text
        assert await channel.unary(BATCH, b"goes on") == b"goes on"

    @pytest.mark.parametrize("by", ["cancel", "loss"])
    async def test_a_caller_that_goes_is_told_of(self, moods: Moods, channel: Channel, by: str) -> None:
        ended = [start(channel, BATCH, b"hang") for _ in range(3)]
        await eventually(lambda: len(moods.waiting) == 3)
        if by == "cancel":
            for future in ended:
                future.call.cancel()  # type: ignore[attr-defined]
        else:
            await channel.close()
        await eventually(lambda: moods.cancelled == [b"hang"] * 3, "all are told")
        assert [call.is_open for call in moods.waiting] == [False] * 3
        for call in moods.waiting:
            call.reply(b"to nobody")
        # A cancelled call tells nobody; one that is lost with its channel does.
        assert [by == "loss"] * 3 == [future.done() for future in ended]

    async def test_an_on_cancel_that_raises_keeps_nobody_else_from_hearing(
        self, moods: Moods, channel: Channel, caplog: pytest.LogCaptureFixture
    ) -> None:
        ended = [start(channel, BATCH, b"hang") for _ in range(3)]
        await eventually(lambda: len(moods.waiting) == 3)
        moods.waiting[0].on_cancel = lambda: 1 / 0
        for future in ended:
            future.call.cancel()  # type: ignore[attr-defined]
        await eventually(lambda: moods.cancelled == [b"hang"] * 2, "the others are told")
        assert "on_cancel failed" in caplog.text
        assert await channel.unary(BATCH, b"goes on") == b"goes on"


@pytest.mark.parametrize("path", [UNARY, STREAM])
class TestEnds:
    async def test_a_deadline_cancels_the_handler(self, moods: Moods, channel: Channel, path: str) -> None:
        # On the hot path nobody but the server looks at it.
        call = await start(channel, path, b"hang", timeout=0.05)
        assert (call.code, call.is_broken) == (Code.DEADLINE_EXCEEDED, False)
        assert moods.cancelled == [b"hang"]

    async def test_a_deadline_in_the_past_starts_no_handler(
        self, moods: Moods, channel: Channel, path: str
    ) -> None:
        call = await start(channel, path, b"hang", timeout=0.0)
        assert (call.code, call.is_broken) == (Code.DEADLINE_EXCEEDED, False)
        assert (moods.cancelled, moods.entered.is_set()) == ([], False)

    async def test_a_caller_that_cancels(self, moods: Moods, grpcio: Any, path: str) -> None:
        call = grpcio.unary_unary(path)(b"hang")
        await moods.entered.wait()
        call.cancel()
        await eventually(lambda: moods.cancelled == [b"hang"], "the handler is cancelled")
        await eventually(lambda: not moods.server._tasks, "its task has ended")

    async def test_a_caller_that_is_lost(self, moods: Moods, channel: Channel, path: str) -> None:
        ended = start(channel, path, b"hang")
        await moods.entered.wait()
        await channel.close()
        call = await ended
        assert (call.code, call.is_broken) == (Code.UNAVAILABLE, True)
        await eventually(lambda: moods.cancelled == [b"hang"], "the handler is cancelled")
        await eventually(lambda: not moods.server._tasks, "its task has ended")

    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (NotFound("no such thing"), (Code.NOT_FOUND, "no such thing")),
            (RpcError(17 - 1, "mine", b"", (("x", "1"),)), (16, "mine")),
            (ValueError("secret"), (Code.INTERNAL, "internal error")),
            (TimeoutError("of something else"), (Code.INTERNAL, "internal error")),
            (asyncio.CancelledError(), (Code.INTERNAL, "internal error")),
            (StopAsyncIteration(), (Code.INTERNAL, "internal error")),
            (RpcError(Code.NOT_FOUND, "odd", b"", (("grpc-odd", "1"),)), (Code.NOT_FOUND, "odd")),
            (RpcError(Code.NOT_FOUND, "many", b"", (("x", "1"),) * 100), (Code.NOT_FOUND, "many")),
        ],
        ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
    )
    async def test_a_handler_that_raises(
        self, moods: Moods, channel: Channel, path: str, error: BaseException, expected: tuple[int, str]
    ) -> None:
        moods.errors[b"raise"] = error
        call = await start(channel, path, b"raise")
        assert (*expected, False) == (call.code, call.status_message, call.is_broken)
        assert await channel.unary(path, b"goes on") == b"goes on"

    async def test_an_error_says_more_than_its_code(self, moods: Moods, grpcio: Any, path: str) -> None:
        moods.errors[b"raise"] = QuotaExceeded("too much", retry_after=1.5, subject="acme")
        moods.errors[b"rpc"] = RpcError(Code.UNAVAILABLE, "later", b"", (("x", "1"), ("x", "2")))
        with pytest.raises(grpc.aio.AioRpcError) as quota:
            await grpcio.unary_unary(path)(b"raise")
        assert quota.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "grpc-status-details-bin" in dict(quota.value.trailing_metadata() or ())
        with pytest.raises(grpc.aio.AioRpcError) as rpc:
            await grpcio.unary_unary(path)(b"rpc")
        told = [pair for pair in rpc.value.trailing_metadata() or () if pair[0] != "x-request-id"]
        assert told == [("x", "1"), ("x", "2")]


class TestStages:
    """Wherever the handler of a stream is when its caller goes, it is cancelled and cleans up."""

    @pytest.mark.parametrize("stage", ["not begun", "reading", "working", "writing"])
    @pytest.mark.parametrize("by", ["reset", "loss"])
    async def test_a_caller_that_goes(self, stage: str, by: str) -> None:
        began: list[str] = []
        cleaned: list[str] = []

        async def handler(messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
            try:
                began.append("it")
                if stage == "working":
                    await asyncio.Event().wait()
                async for _ in messages:
                    while stage == "writing":
                        yield bytes(10_000)
            finally:
                cleaned.append("it")

        server = Server()
        server.add_stream(STREAM, handler)
        async with serving(server) as address, RawPeer.connect(address) as peer:
            await peer.settled()
            [connection] = server._connections
            opening = headers(1, request_fields(STREAM)) + data(1, message(b"request"), 0)
            if stage == "not begun":
                # All of it in one read.
                peer.send(opening + reset(1))
            else:
                peer.send(opening)
                await eventually(lambda: began)
                if stage == "writing":
                    await eventually(lambda: connection.session.held > 60_000)
                await turns()
                if by == "reset":
                    peer.send(reset(1))
            if by == "loss":
                await peer.close()
                await eventually(lambda: not server.connections)
            await eventually(lambda: not server._tasks, "its task has ended")
            assert began == cleaned
            assert (connection.session.open_calls, connection.session.held) == (0, 0)


async def test_a_stream_that_fails_has_sent_what_it_had(moods: Moods, channel: Channel) -> None:
    moods.errors[b"raise"] = NotFound("no more")
    async with channel.stream(STREAM) as stream:
        for message in (b"one", b"two", b"raise"):
            await stream.send(message)
        assert [await stream.receive(), await stream.receive()] == [b"one", b"two"]
        with pytest.raises(RpcError) as error:
            await stream.receive()
    assert error.value.code == Code.NOT_FOUND


@pytest.mark.parametrize("when", ["initial", "trailing"])
async def test_metadata_that_cannot_be_sent_are_an_error_and_no_silence(when: str) -> None:
    async def handler(message: bytes, context: Context) -> bytes:
        many = [("name", "value")] * 100
        if when == "initial":
            context.send_initial_metadata(many)
        else:
            context.set_trailing_metadata(many)
        return message

    server = Server()
    server.add_unary(UNARY, handler)
    async with serving(server) as address, calling(address) as channel:
        with pytest.raises(CroupierError) as error:
            await channel.unary(UNARY, b"")
    assert isinstance(error.value, RpcError)
    assert error.value.code == Code.INTERNAL
