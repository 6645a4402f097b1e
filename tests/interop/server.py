"""TestService on our transport, and the program that serves it.

python -m tests.interop.server --port 8080

It prints the address that it serves on, and ends on SIGTERM or SIGINT.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from croupier.errors import InvalidRequest
from croupier.settings import ServerTls
from croupier.transport.context import Context
from croupier.transport.serving import Server
from croupier.transport.status import RpcError

from . import testing_pb2 as pb
from .messages import (
    CLIENT_STREAM,
    ECHO_INITIAL,
    ECHO_TRAILING,
    EMPTY,
    FULL_DUPLEX,
    LIMITS,
    SERVER_STREAM,
    SERVICE,
    UNARY,
    zeros,
)

Messages = AsyncIterator[bytes]


class TestService:
    """It takes requests that are compressed. What it answers never is, whatever a request asks for."""

    __test__ = False

    def add_to(self, server: Server) -> None:
        server.add_unary(EMPTY.path, self._empty)
        server.add_unary(UNARY.path, self._unary)
        server.add_stream(SERVER_STREAM.path, self._stream_out)
        server.add_stream(CLIENT_STREAM.path, self._stream_in)
        server.add_stream(FULL_DUPLEX.path, self._full_duplex)

    async def _empty(self, message: bytes, context: Context) -> bytes:
        return message

    async def _unary(self, message: bytes, context: Context) -> bytes:
        request = pb.SimpleRequest.FromString(message)
        _check_compressed(request.expect_compressed, context)
        _echo(request, context)
        return pb.SimpleResponse(payload=zeros(request.response_size)).SerializeToString()

    async def _stream_out(self, messages: Messages, context: Context) -> Messages:
        async for message in messages:
            request = pb.StreamingOutputCallRequest.FromString(message)
            for wanted in request.response_parameters:
                yield pb.StreamingOutputCallResponse(payload=zeros(wanted.size)).SerializeToString()

    async def _stream_in(self, messages: Messages, context: Context) -> Messages:
        size = 0
        async for message in messages:
            request = pb.StreamingInputCallRequest.FromString(message)
            _check_compressed(request.expect_compressed, context)
            size += len(request.payload.body)
        yield pb.StreamingInputCallResponse(aggregated_payload_size=size).SerializeToString()

    async def _full_duplex(self, messages: Messages, context: Context) -> Messages:
        is_first = True
        async for message in messages:
            request = pb.StreamingOutputCallRequest.FromString(message)
            if is_first:
                _echo(request, context)
                is_first = False
            for wanted in request.response_parameters:
                yield pb.StreamingOutputCallResponse(payload=zeros(wanted.size)).SerializeToString()


def _check_compressed(expected: pb.BoolValue, context: Context) -> None:
    """A handler is not told which messages were compressed, only whether the call's encoding allows it."""
    encoding = context._call.encoding
    if expected.value and encoding in (None, "identity"):
        raise InvalidRequest("the message is not compressed", field="expect_compressed")


def _echo(request: Any, context: Context) -> None:
    initial = tuple(pair for pair in context.metadata if pair[0] == ECHO_INITIAL)
    if initial:
        context.send_initial_metadata(initial)
    context.set_trailing_metadata(tuple(pair for pair in context.metadata if pair[0] == ECHO_TRAILING))
    if request.HasField("response_status"):
        raise RpcError(request.response_status.code, request.response_status.message)


@asynccontextmanager
async def serve(listen: str, tls: ServerTls | None = None) -> AsyncIterator[str]:
    """TestService on our server; gives the address with the port that was bound."""
    server = Server(tls=tls, limits=LIMITS)
    TestService().add_to(server)
    address = await server.start(listen, [SERVICE])
    try:
        yield address
    finally:
        await server.stop(0)


async def _serve(listen: str, tls: ServerTls | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    async with serve(listen, tls) as address:
        sys.stdout.write(f"serving on {address}\n")
        sys.stdout.flush()
        await stop.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True, help="0 picks a free one")
    parser.add_argument("--tls-certificate", type=Path, help="PEM file; without it, plaintext")
    parser.add_argument("--tls-key", type=Path)
    parser.add_argument("--tls-client-ca", type=Path, help="callers must show a certificate that it signed")
    arguments = parser.parse_args()
    tls = None
    if arguments.tls_certificate is not None:
        tls = ServerTls(arguments.tls_certificate, arguments.tls_key, arguments.tls_client_ca)
    asyncio.run(_serve(f"{arguments.host}:{arguments.port}", tls))


if __name__ == "__main__":
    main()
