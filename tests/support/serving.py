"""A server of ours in this process, as a context, and what tests do to its connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import uvloop

from croupier.transport.client import Channel
from croupier.transport.http2.client_call import ClientCall
from croupier.transport.serving import Server

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@asynccontextmanager
async def serving(
    server: Server, listen: str = "127.0.0.1:0", services: Iterable[str] = ()
) -> AsyncIterator[str]:
    """The address that `server` serves on; it is stopped without grace."""
    address = await server.start(listen, services)
    try:
        yield address
    finally:
        await server.stop(0)


@asynccontextmanager
async def calling(address: str, **options: Any) -> AsyncIterator[Channel]:
    channel = Channel(address, **options)
    try:
        yield channel
    finally:
        await channel.close()


def start(
    channel: Channel, path: str, message: bytes = b"request", timeout: float | None = None
) -> asyncio.Future[ClientCall]:
    """A call on the hot path; the future has it when it has ended, and takes no second end."""
    ended: asyncio.Future[ClientCall] = asyncio.get_running_loop().create_future()
    call = channel.start(path.encode(), message, timeout, ended.set_result)
    assert not ended.done()
    # So that a test can cancel it.
    ended.call = call  # type: ignore[attr-defined]
    return ended


async def turns(count: int = 20) -> None:
    """Let everything happen that is about to, without time passing."""
    for _ in range(count):
        await asyncio.sleep(0)


class Spy:
    """A transport that counts what is written, and holds it back when told so."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.writes.append(bytes(data))
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
