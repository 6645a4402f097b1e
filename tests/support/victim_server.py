"""A process to attack: serves on a free port of loopback until its standard input ends. Its limits are the
defaults."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator

import uvloop

from croupier.transport.context import Context
from croupier.transport.http2.server_call import ServerCall
from croupier.transport.serving import Server

ECHO, LARGE, STREAM = "/test.Victim/Echo", "/test.Victim/Large", "/test.Victim/Stream"
_LARGE = bytes(2**20)


def _batch(calls: list[ServerCall]) -> None:
    for call in calls:
        call.reply(_LARGE[:-1] + b"x" if call.path == LARGE else call.message)


async def _stream(messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
    async for message in messages:
        yield message


async def _serve() -> None:
    server = Server()
    server.add_batch([ECHO, LARGE], _batch)
    server.add_stream(STREAM, _stream)
    sys.stdout.write(await server.start("127.0.0.1:0") + "\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(0)


if __name__ == "__main__":
    uvloop.run(_serve())
