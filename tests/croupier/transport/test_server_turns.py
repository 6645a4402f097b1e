"""What handlers of a real server are given in each turn of a real loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import NamedTuple

from support.echo import STREAM
from support.hostile import call_on, streams
from support.http2_peer import RawPeer, data, message

from croupier.transport.context import Context
from croupier.transport.routes import StreamHandler
from croupier.transport.serving import Server


async def test_many_messages_are_many_turns() -> None:
    taken = 0

    async def count(messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        nonlocal taken
        async for _ in messages:
            taken += 1
        yield b"all"

    async with _serving(count) as server, RawPeer.connect(server.address) as peer:
        await peer.settled()
        peer.send(call_on(1, STREAM), data(1, 2_000 * message()))
        steps = [0]
        while taken < 2_000:
            await asyncio.sleep(0)
            steps.append(taken - sum(steps))
        assert max(steps) <= 64
        assert (await peer.heard(1)).body == message(b"all")


async def test_many_cancellations_are_many_turns() -> None:
    async def wait(messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        async for one in messages:
            yield one

    async with _serving(wait) as server, RawPeer.connect(server.address) as peer:
        await peer.settled()
        peer.send(*(call_on(stream, STREAM) for stream in streams(600)))
        while len(server.tasks) < 600:
            await asyncio.sleep(0)
        await peer.close()
        left = [600]
        while server.tasks:
            await asyncio.sleep(0)
            left.append(len(server.tasks))
        assert max(before - after for before, after in pairwise(left)) <= 64


class _Serving(NamedTuple):
    address: str
    tasks: set[asyncio.Task[None]]


@asynccontextmanager
async def _serving(handler: StreamHandler) -> AsyncIterator[_Serving]:
    server = Server()
    server.add_stream(STREAM, handler)
    try:
        yield _Serving(await server.start("127.0.0.1:0"), server._tasks)
    finally:
        await server.stop(0)
