"""A server that sends back what it gets: `python -m bench.echo` serves on a free port of loopback.

It is what hostile peers attack, with the limits that everybody has who sets none.
"""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import AsyncIterator

import uvloop

from croupier.transport.context import Context
from croupier.transport.http2.server_call import ServerCall
from croupier.transport.serving import Server

SERVICE = "bench.Echo"
BATCH, LARGE, STREAM, COUNT = (f"/{SERVICE}/{name}" for name in ("Batch", "Large", "Stream", "Count"))
# What LARGE sends back, whatever it gets.
_LARGE_ANSWER = 64 * 2**10


def _batch(calls: list[ServerCall]) -> None:
    for call in calls:
        # A new object each time, as answers are.
        call.reply(b"x" * _LARGE_ANSWER if call.path == LARGE else call.message)


async def _stream(messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
    async for message in messages:
        yield message


async def _count(messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
    count = 0
    async for _ in messages:
        count += 1
    yield str(count).encode()


async def _serve() -> None:
    server = Server()
    server.add_batch([BATCH, LARGE], _batch)
    server.add_stream(STREAM, _stream)
    server.add_stream(COUNT, _count)
    address = await server.start("127.0.0.1:0", [SERVICE])
    # As the router does it: a collection stops everything, and finds nothing.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    print(f"echo on {address} ready", flush=True)
    await ended.wait()
    await server.stop(0.0)


if __name__ == "__main__":
    uvloop.run(_serve())
