"""How our server stops: no call is lost while there is time, none is waited for when there is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2
from support.http2_peer import RawPeer, data, headers, message, request_fields
from support.serving import LOOPS, calling, serving, start, turns
from support.waiting import eventually

from croupier.codes import Code
from croupier.transport.client import Channel
from croupier.transport.context import Context
from croupier.transport.http2.server_call import ServerCall
from croupier.transport.serving import Server
from croupier.transport.status import RpcError

LOOP_FACTORIES = LOOPS
BATCH, UNARY, STREAM = "/test.Gate/Batch", "/test.Gate/Unary", "/test.Gate/Stream"
KINDS = [BATCH, UNARY, STREAM]


class Gate:
    """A server whose calls wait until its gate is opened."""

    def __init__(self) -> None:
        self.server = Server(reuse_port=True)
        self.server.add_batch([BATCH], self.batch)
        self.server.add_unary(UNARY, self.unary)
        self.server.add_stream(STREAM, self.stream)
        self.gate = asyncio.Event()
        self.waiting: list[ServerCall] = []
        self.arrived = 0
        self.cancelled = 0

    def open(self) -> None:
        self.gate.set()
        for call in self.waiting:
            call.reply(call.message)

    def batch(self, calls: list[ServerCall]) -> None:
        self.arrived += len(calls)
        for call in calls:
            if self.gate.is_set():
                call.reply(call.message)
            else:
                self.waiting.append(call)

    async def unary(self, request: bytes, context: Context) -> bytes:
        await self.wait()
        return request

    async def stream(self, messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        await self.wait()
        async for one in messages:
            yield one

    async def wait(self) -> None:
        self.arrived += 1
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


Caller = Callable[[str, bytes], Awaitable[bytes]]


def grpcio_caller(channel: Any) -> Caller:
    return lambda path, request: channel.unary_unary(path)(request)


def our_caller(channel: Channel) -> Caller:
    return channel.unary


def hot_caller(channel: Channel) -> Caller:
    async def call(path: str, request: bytes) -> bytes:
        ended = await start(channel, path, request)
        if ended.code != Code.OK:
            raise RpcError(ended.code, ended.status_message)
        return ended.message

    return call


async def connect(stack: AsyncExitStack, address: str) -> list[Caller]:
    """Two connections of grpcio, and two of ours that are called in both ways."""
    callers: list[Caller] = []
    for _ in range(2):
        # Channels of grpcio share their connections otherwise.
        options = [("grpc.use_local_subchannel_pool", 1)]
        callers.append(
            grpcio_caller(
                await stack.enter_async_context(grpc.aio.insecure_channel(address, options=options))
            )
        )
    callers.append(our_caller(await stack.enter_async_context(calling(address))))
    callers.append(hot_caller(await stack.enter_async_context(calling(address))))
    return callers


def call_all(callers: list[Caller], count: int, name: bytes) -> list[asyncio.Future[bytes]]:
    return [
        asyncio.ensure_future(caller(KINDS[n % 3], b"%b %d" % (name, n)))
        for n in range(count)
        for caller in callers
    ]


class TestUnderLoad:
    async def test_another_server_takes_over_and_no_call_is_lost(self) -> None:
        old, new = Gate(), Gate()
        new.open()
        async with AsyncExitStack() as stack:
            address = await stack.enter_async_context(serving(old.server))
            callers = await connect(stack, address)
            calls = call_all(callers, 60, b"early")
            await eventually(lambda: old.arrived == 240, "all are under way")
            await stack.enter_async_context(serving(new.server, address))
            stopping = asyncio.ensure_future(old.server.stop(20))
            # Some of these are on their way when their client hears of the stop, others are made after it.
            for turn in range(20):
                calls += call_all(callers, 3, b"late %d" % turn)
                await turns(1)
            await eventually(lambda: new.arrived > 0, "new calls go to the other server")
            calls += call_all(callers, 20, b"last")
            old.open()
            answers = await asyncio.gather(*calls)
            async with asyncio.timeout(10):
                await stopping
            expected = [
                b"%b %d" % (name, n)
                for name, count in [(b"early", 60), *((b"late %d" % t, 3) for t in range(20)), (b"last", 20)]
                for n in range(count)
                for _ in callers
            ]
            assert expected == answers
            assert (len(answers), 0) == (old.arrived + new.arrived, old.cancelled + new.cancelled)
            assert old.server.connections == 0

    async def test_calls_under_way_are_finished_first(self) -> None:
        gate = Gate()
        async with AsyncExitStack() as stack:
            address = await stack.enter_async_context(serving(gate.server))
            callers = await connect(stack, address)
            calls = call_all(callers, 30, b"call")
            await eventually(lambda: gate.arrived == 120, "all are under way")
            stopping = asyncio.ensure_future(gate.server.stop(20))
            await eventually(
                lambda: all(c.session.is_going_away for c in gate.server._connections), "all clients are told"
            )
            assert not stopping.done()
            gate.open()
            assert [b"call %d" % n for n in range(30) for _ in callers] == await asyncio.gather(*calls)
            async with asyncio.timeout(10):
                await stopping


class TestWithoutTime:
    @pytest.mark.parametrize("grace", [0.0, 0.05])
    async def test_handlers_that_hang_are_cancelled(self, grace: float) -> None:
        gate = Gate()
        async with serving(gate.server) as address, calling(address) as channel:
            calls = [start(channel, path) for path in KINDS]
            await eventually(lambda: gate.arrived == 3)
            await gate.server.stop(grace)
            ended = await asyncio.gather(*calls)
            assert [call.code for call in ended] == [Code.UNAVAILABLE] * 3
            # Who is served by a task hears it from the server, the other one from the lost connection.
            assert [call.is_broken for call in ended] == [True, False, False]
            assert (2, set(), 0) == (gate.cancelled, gate.server._tasks, gate.server.connections)

    async def test_a_handler_that_is_not_to_be_cancelled_is_left_behind(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("croupier.transport.server._CANCEL_SECONDS", 0.02)
        gate = Gate()

        async def stubborn(request: bytes, context: Context) -> bytes:
            while not gate.gate.is_set():
                with suppress(asyncio.CancelledError):
                    await gate.wait()
            return request

        gate.server.add_unary(UNARY, stubborn)
        async with serving(gate.server) as address, calling(address) as channel:
            ended = start(channel, UNARY)
            await eventually(lambda: gate.arrived == 1)
            async with asyncio.timeout(5):
                await gate.server.stop(0)
            assert (await ended).code == Code.UNAVAILABLE
            gate.open()
            await eventually(lambda: not gate.server._tasks)

    async def test_grpcio_hears_it_as_well(self) -> None:
        gate = Gate()
        async with serving(gate.server) as address, grpc.aio.insecure_channel(address) as channel:
            calls = [channel.unary_unary(path)(b"") for path in KINDS]
            await eventually(lambda: gate.arrived == 3)
            await gate.server.stop(0.05)
            for call in calls:
                with pytest.raises(grpc.aio.AioRpcError) as error:
                    await call
                assert error.value.code() == grpc.StatusCode.UNAVAILABLE

    async def test_a_batch_call_hears_of_its_loss(self) -> None:
        gate = Gate()
        async with serving(gate.server) as address, calling(address) as channel:
            ended = start(channel, BATCH)
            await eventually(lambda: gate.waiting)
            told: list[bool] = []
            gate.waiting[0].on_cancel = lambda: told.append(True)
            await gate.server.stop(0)
            assert told == [True]
            assert (await ended).code == Code.UNAVAILABLE


class TestSteps:
    async def test_idle_connections_do_not_delay_it(self) -> None:
        gate = Gate()
        gate.open()
        async with AsyncExitStack() as stack:
            address = await stack.enter_async_context(serving(gate.server))
            callers = await connect(stack, address)
            assert await asyncio.gather(*call_all(callers, 1, b"x")) == [b"x 0"] * 4
            async with asyncio.timeout(5):
                await gate.server.stop(60)

    async def test_who_watches_health_is_told_and_does_not_delay_it(self) -> None:
        gate = Gate()
        async with (
            serving(gate.server, services=["test.Gate"]) as address,
            calling(address) as channel,
            channel.stream("/grpc.health.v1.Health/Watch") as watch,
        ):
            await watch.send(health_pb2.HealthCheckRequest(service="test.Gate").SerializeToString())
            watch.end()
            states = [await watch.receive()]
            async with asyncio.timeout(5):
                await gate.server.stop(60)
            states += [state async for state in watch]
        assert [health_pb2.HealthCheckResponse.FromString(state or b"").status for state in states] == [1, 2]

    async def test_new_calls_are_told_in_two_steps(self) -> None:
        gate = Gate()
        async with serving(gate.server) as address, RawPeer.connect(address) as peer:
            peer.send(headers(1, request_fields(BATCH)), data(1, message(b"one")))
            await eventually(lambda: gate.arrived == 1)
            stopping = asyncio.ensure_future(gate.server.stop(20))
            # A call that was sent before the first GOAWAY has come is served.
            peer.send(headers(3, request_fields(BATCH)), data(3, message(b"two")))
            await eventually(lambda: gate.arrived == 2)
            await peer.settled()
            await eventually(lambda: [c for c in gate.server._connections if c.session.is_going_away])
            # One that comes after the second is not: its client knows by the number in that.
            peer.send(headers(5, request_fields(BATCH)), data(5, message(b"three")))
            await peer.settled()
            gate.open()
            assert message(b"one") == (await peer.heard(1)).body
            assert message(b"two") == (await peer.heard(3)).body
            assert await peer.ended() == 0
            await stopping
        last = [frame.last_stream_id for frame in peer.frames if type(frame).__name__ == "GoAwayFrame"]
        assert last == [2**31 - 1, 3]
        assert gate.arrived == 2

    async def test_a_client_that_does_not_answer_the_ping(self) -> None:
        # A second is enough for a round trip: what is sent after that may be refused.
        gate = Gate()
        async with serving(gate.server) as address, RawPeer.connect(address) as peer:
            await peer.settled()
            [connection] = gate.server._connections
            connection.begin_end()
            connection.tick(connection._ending + 0.9)
            assert not connection.session.is_going_away
            connection.tick(connection._ending + 1.1)
            assert connection.session.is_going_away
            assert await peer.ended() == 0

    async def test_twice_and_before_a_start(self) -> None:
        gate = Gate()
        await gate.server.stop()
        address = await gate.server.start("127.0.0.1:0")
        async with calling(address) as channel:
            ended = start(channel, UNARY)
            await eventually(lambda: gate.arrived == 1)
            stops = [asyncio.ensure_future(gate.server.stop(20)) for _ in range(2)]
            gate.open()
            assert (await ended).code == Code.OK
            await asyncio.gather(*stops)
        await gate.server.stop()

    async def test_a_stop_that_is_cancelled_can_be_done_again(self) -> None:
        gate = Gate()
        async with serving(gate.server) as address, calling(address) as channel:
            ended = start(channel, UNARY)
            await eventually(lambda: gate.arrived == 1)
            stopping = asyncio.ensure_future(gate.server.stop(20))
            await eventually(lambda: all(c.session.is_going_away for c in gate.server._connections))
            stopping.cancel()
            with pytest.raises(asyncio.CancelledError):
                await stopping
            gate.open()
            assert (await ended).code == Code.OK
            await gate.server.stop(0)
            assert gate.server.connections == 0
