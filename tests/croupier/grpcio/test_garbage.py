"""What a handler held is let go when its call has ended, however it ends, without the cyclic collector."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import grpc
import pytest

from croupier.errors import InvalidRequest, Unavailable
from croupier.grpcio.channels import open_async
from croupier.grpcio.server import Server

SERVICE = "test.Held"
# The request that a call of each kind begins with says how it ends.
ENDS = ["well", "refused", "refused because", "refused twice", "bug", "abort", "hang"]


class Held:
    """What a handler has in memory."""


class Handlers:
    """They hold things while they do as they are told; `gone` is set when nobody holds any of them."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.gone = asyncio.Event()
        self._held = 0

    async def unary_unary(self, request: bytes, context: Any) -> bytes:
        return await self._do(request, context)

    async def unary_stream(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        held = self._hold()
        yield request
        await self._do(request, context)
        del held

    async def stream_unary(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        held = self._hold()
        async for request in requests:
            await self._do(request, context)
        del held
        return b""

    async def stream_stream(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        held = self._hold()
        async for request in requests:
            yield await self._do(request, context)
        del held

    def _hold(self) -> Held:
        held = Held()
        self._held += 1
        weakref.finalize(held, self._let_go)
        return held

    def _let_go(self) -> None:
        self._held -= 1
        if not self._held:
            self.gone.set()

    async def _do(self, request: bytes, context: Any) -> bytes:
        held = self._hold()
        self.began.set()
        match request.decode():
            case "refused":
                why = InvalidRequest("as asked for")
                raise why
            case "refused because":
                try:
                    raise ValueError
                except ValueError as error:
                    raise InvalidRequest("as asked for") from error
            case "refused twice":
                await asyncio.to_thread(_refuse)
            case "bug":
                raise ZeroDivisionError
            case "abort":
                await context.abort(grpc.StatusCode.OUT_OF_RANGE, "aborted by the handler")
            case "hang":
                await asyncio.Event().wait()
        del held
        return request


def _refuse() -> None:
    try:
        raise InvalidRequest("as asked for")
    except InvalidRequest:
        raise Unavailable("as asked for") from None


@pytest.fixture
def _uncollected(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    # What is logged keeps its traceback, for as long as a test may ask for it.
    caplog.set_level(logging.CRITICAL)
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
async def handlers() -> Handlers:
    return Handlers()


@pytest.fixture
async def channel(handlers: Handlers) -> AsyncIterator[grpc.aio.Channel]:
    table = {
        "UnaryUnary": grpc.unary_unary_rpc_method_handler(handlers.unary_unary),
        "UnaryStream": grpc.unary_stream_rpc_method_handler(handlers.unary_stream),
        "StreamUnary": grpc.stream_unary_rpc_method_handler(handlers.stream_unary),
        "StreamStream": grpc.stream_stream_rpc_method_handler(handlers.stream_stream),
    }
    server = Server()
    server.grpc_server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, table),))
    address = await server.start("127.0.0.1:0", [SERVICE])
    async with open_async(address) as channel:
        yield channel
    await server.stop(0)


async def once(request: bytes) -> AsyncIterator[bytes]:
    yield request


def begin(channel: grpc.aio.Channel, kind: str, request: bytes) -> Any:
    path = f"/{SERVICE}/{kind}"
    match kind:
        case "UnaryUnary":
            return channel.unary_unary(path)(request)
        case "UnaryStream":
            return channel.unary_stream(path)(request)
        case "StreamUnary":
            return channel.stream_unary(path)(once(request))
        case _:
            return channel.stream_stream(path)(once(request))


@pytest.mark.usefixtures("_uncollected")
@pytest.mark.parametrize("kind", ["UnaryUnary", "UnaryStream", "StreamUnary", "StreamStream"])
@pytest.mark.parametrize("end", ENDS)
async def test_nothing_is_held(channel: grpc.aio.Channel, handlers: Handlers, kind: str, end: str) -> None:
    async with asyncio.timeout(10):
        call = begin(channel, kind, end.encode())
        if end == "hang":
            await handlers.began.wait()
            call.cancel()
        with suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
            if kind.endswith("Unary"):
                await call
            else:
                async for _ in call:
                    pass
        await handlers.gone.wait()
