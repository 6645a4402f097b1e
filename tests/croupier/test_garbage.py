"""Calls of every kind and end leave nothing to the cyclic collector, which hardly runs in a busy process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from support.garbage import no_garbage
from support.serving import LOOPS, calling, serving, start, turns

from croupier.codes import Code
from croupier.errors import InvalidRequest
from croupier.transport.client import Channel
from croupier.transport.context import Context
from croupier.transport.http2.server_call import ServerCall
from croupier.transport.services.health import SERVICE as HEALTH
from croupier.transport.services.reflection import SERVICES as REFLECTION
from croupier.transport.serving import Server
from croupier.transport.status import RpcError

# asyncio's own transports leave cycles, without anything of ours.
LOOP_FACTORIES = {"uvloop": LOOPS["uvloop"]}

PATHS = BATCH, UNARY, STREAM = "/test.Test/Batch", "/test.Test/Unary", "/test.Test/Stream"


def _server() -> Server:
    server = Server()
    server.add_batch([BATCH], _batch)
    server.add_unary(UNARY, _unary)
    server.add_stream(STREAM, _stream)
    return server


def _batch(calls: list[ServerCall]) -> None:
    for call in calls:
        if call.message == b"fail":
            call.fail(Code.INVALID_ARGUMENT, "as asked for")
        elif call.message != b"wait":
            call.reply(call.message)


async def _unary(message: bytes, context: Context) -> bytes:
    await _do(message)
    return message


async def _stream(messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
    async for message in messages:
        await _do(message)
        yield message


async def _do(message: bytes) -> None:
    match message:
        case b"fail":
            raise InvalidRequest("as asked for")
        case b"bug":
            raise ZeroDivisionError
        case b"wait":
            await asyncio.Event().wait()


async def _each(path: str, message: bytes, channel: Channel, timeout: float | None = None) -> None:
    with suppress(RpcError):
        await channel.unary(path, message, timeout=timeout)


async def test_calls_that_are_answered() -> None:
    async with serving(_server()) as address, calling(address) as channel:
        await _each(UNARY, b"good", channel)
        with no_garbage():
            for path in PATHS:
                for message in (b"good", b"fail", b"bug"):
                    await _each(path, message, channel)
                    await start(channel, path, message)


async def test_calls_that_are_given_up() -> None:
    async with serving(_server()) as address, calling(address) as channel:
        await _each(UNARY, b"good", channel)
        with no_garbage():
            for path in PATHS:
                await _each(path, b"wait", channel, timeout=0.01)
                await _give_up(channel, path)
            await _each(UNARY, b"good", channel)


async def test_connections_that_go() -> None:
    async with serving(_server()) as address:
        async with calling(address) as channel:
            await _each(UNARY, b"good", channel)
        with no_garbage():
            for path in PATHS:
                async with calling(address) as channel:
                    await _give_up(channel, path)
            async with calling(address) as channel:
                await _each(UNARY, b"good", channel)
            del channel


async def _give_up(channel: Channel, path: str) -> None:
    async with channel.stream(path) as stream:
        await stream.send(b"wait")
        stream.end()
        await turns()


async def test_a_stream_of_many_messages() -> None:
    async with serving(_server()) as address, calling(address) as channel:
        await _each(STREAM, b"good", channel)
        with no_garbage():
            async with channel.stream(STREAM) as stream:
                for _ in range(10):
                    await stream.send(bytes(100_000))
                    assert await stream.receive() == bytes(100_000)
                stream.end()
                assert await stream.receive() is None
            del stream


@pytest.mark.parametrize("is_ended", [False, True])
async def test_health_and_reflection(is_ended: bool) -> None:
    async with serving(_server()) as address, calling(address) as channel:
        await _each(UNARY, b"good", channel)
        with no_garbage():
            for message in (b"", b"\x0a\x02no", b"\xff", bytes(100_000)):
                for path in (f"/{HEALTH}/Watch", *(f"/{name}/ServerReflectionInfo" for name in REFLECTION)):
                    async with channel.stream(path) as stream:
                        await stream.send(message)
                        if is_ended:
                            stream.end()
                        with suppress(RpcError):
                            await stream.receive()
                    del stream
                await _each(f"/{HEALTH}/Check", message, channel)
