"""What a server on grpcio makes of our client's calls, and our client of its answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import grpc
import pytest
from support.serving import LOOPS, calling, start, turns
from support.waiting import eventually

from croupier.codes import Code
from croupier.transport.client import Channel
from croupier.transport.http2.limits import Limits
from croupier.transport.status import RpcError

LOOP_FACTORIES = LOOPS
OBEY, COUNT = "/test.Raw/Obey", "/test.Raw/Count"


async def obey(request: bytes, context: Any) -> bytes:
    if request == b"fail":
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such thing ☺")
    if request == b"time":
        return b"%d" % round(context.time_remaining())
    if request == b"hang":
        await asyncio.Event().wait()
    return request


async def count(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
    await context.send_initial_metadata((("a", "1"), ("b-bin", b"\0")))
    async for request in requests:
        yield request
    context.set_trailing_metadata((("t", "1"),))


@pytest.fixture
async def channel() -> AsyncIterator[Channel]:
    """A channel to a server that compresses what it sends."""
    # Without its probes it never opens its windows further than they are in the beginning.
    options = [("grpc.http2.bdp_probe", 0)]
    server = grpc.aio.server(options=options, compression=grpc.Compression.Gzip)
    methods = {
        "Obey": grpc.unary_unary_rpc_method_handler(obey),
        "Count": grpc.stream_stream_rpc_method_handler(count),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Raw", methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with calling(f"127.0.0.1:{port}", limits=Limits(stream_window=2**16)) as channel:
        yield channel
    await server.stop(0)


class TestHotPath:
    async def test_answers(self, channel: Channel) -> None:
        calls = await asyncio.gather(*(start(channel, OBEY, b"%d" % n) for n in range(100)))
        assert [b"%d" % n for n in range(100)] == [call.message for call in calls]
        large = bytes(range(256)) * 8192
        assert large == (await start(channel, OBEY, large)).message

    async def test_statuses(self, channel: Channel) -> None:
        call = await start(channel, OBEY, b"fail")
        assert (call.code, call.status_message, call.is_broken) == (Code.NOT_FOUND, "no such thing ☺", False)
        assert (await start(channel, "/test.Raw/Nothing")).code == Code.UNIMPLEMENTED

    async def test_timeouts(self, channel: Channel) -> None:
        assert (await start(channel, OBEY, b"time", 1000.0)).message == b"1000"
        call = await start(channel, OBEY, b"hang", 0.05)
        assert (call.code, call.is_broken) == (Code.DEADLINE_EXCEEDED, False)


class TestUnary:
    async def test_answers_that_are_compressed(self, channel: Channel) -> None:
        large = b"large" * 100_000
        assert large == await channel.unary(OBEY, large)

    async def test_statuses(self, channel: Channel) -> None:
        for path, request, code in (
            (OBEY, b"fail", Code.NOT_FOUND),
            ("/test.Raw/Nothing", b"", Code.UNIMPLEMENTED),
        ):
            with pytest.raises(RpcError) as error:
                await channel.unary(path, request)
            assert code == error.value.code


class TestStream:
    async def test_metadata(self, channel: Channel) -> None:
        async with channel.stream(COUNT) as stream:
            await stream.send(b"one")
            stream.end()
            assert await stream.initial_metadata() == (("a", "1"), ("b-bin", b"\0"))
            assert [one async for one in stream] == [b"one"]
            assert stream.trailing_metadata == (("t", "1"),)

    async def test_back_pressure_both_ways(self, channel: Channel) -> None:
        sent = 0
        rng = Random(0)
        messages = [rng.randbytes(20_000) for _ in range(400)]
        async with channel.stream(COUNT) as stream:

            async def send() -> None:
                nonlocal sent
                for one in messages:
                    await stream.send(one)
                    sent += 1
                stream.end()

            sending = asyncio.ensure_future(send())
            # Nobody takes what comes back, so in the end nothing goes out either.
            await eventually(lambda: sent > 3)
            before = -1
            while sent != before:
                before = sent
                await turns(300)
            assert sent < 400
            got = [one async for one in stream]
            await sending
        assert messages == got
