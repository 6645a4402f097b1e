"""A server of ours that sends back what it gets, by a batch, a unary and a streaming method."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from croupier.transport.context import Context
from croupier.transport.http2.limits import Limits
from croupier.transport.http2.server_call import ServerCall
from croupier.transport.serving import Server

SERVICE = "test.Echo"
BATCH, UNARY, STREAM = (f"/{SERVICE}/{name}" for name in ("Batch", "Unary", "Stream"))


@asynccontextmanager
async def serving(limits: Limits = Limits()) -> AsyncIterator[str]:
    """The address that it serves on."""
    server = Server(limits=limits)
    add_echo(server)
    address = await server.start("127.0.0.1:0", [SERVICE])
    try:
        yield address
    finally:
        await server.stop(0)


def add_echo(server: Server) -> None:
    server.add_batch([BATCH], _batch)
    server.add_unary(UNARY, _unary)
    server.add_stream(STREAM, _stream)


def _batch(calls: list[ServerCall]) -> None:
    for call in calls:
        call.reply(call.message)


async def _unary(message: bytes, context: Context) -> bytes:
    _read(context)
    return message


async def _stream(messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
    _read(context)
    async for message in messages:
        yield message


def _read(context: Context) -> None:
    """Handlers hear of metadata that cannot be read when they read them."""
    assert isinstance(context.metadata, tuple)
