"""The other party: TestService and its caller on grpcio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from croupier.settings import ClientTls, ServerTls
from croupier.transport.metadata import Pairs
from croupier.transport.status import RpcError

from . import testing_pb2 as pb
from .messages import ECHO_INITIAL, ECHO_TRAILING, METHODS, SERVICE, Method, zeros

_CODES = {code.value[0]: code for code in grpc.StatusCode}
_HANDLERS = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


class _TestService:
    """It cannot check whether requests are compressed: grpcio does not tell."""

    async def EmptyCall(self, request: pb.Empty, context: Any) -> pb.Empty:
        return request

    async def UnaryCall(self, request: pb.SimpleRequest, context: Any) -> pb.SimpleResponse:
        _compress(context, request.response_compressed.value)
        await _echo(request, context)
        return pb.SimpleResponse(payload=zeros(request.response_size))

    async def StreamingOutputCall(
        self, request: pb.StreamingOutputCallRequest, context: Any
    ) -> AsyncIterator[pb.StreamingOutputCallResponse]:
        _compress(context, any(wanted.compressed.value for wanted in request.response_parameters))
        for wanted in request.response_parameters:
            if not wanted.compressed.value:
                context.disable_next_message_compression()
            yield pb.StreamingOutputCallResponse(payload=zeros(wanted.size))

    async def StreamingInputCall(
        self, requests: AsyncIterator[pb.StreamingInputCallRequest], context: Any
    ) -> pb.StreamingInputCallResponse:
        size = sum([len(request.payload.body) async for request in requests])
        return pb.StreamingInputCallResponse(aggregated_payload_size=size)

    async def FullDuplexCall(
        self, requests: AsyncIterator[pb.StreamingOutputCallRequest], context: Any
    ) -> AsyncIterator[pb.StreamingOutputCallResponse]:
        is_first = True
        async for request in requests:
            if is_first:
                await _echo(request, context)
                is_first = False
            for wanted in request.response_parameters:
                yield pb.StreamingOutputCallResponse(payload=zeros(wanted.size))


def _compress(context: Any, wanted: bool) -> None:
    if wanted:
        context.set_compression(grpc.Compression.Gzip)


async def _echo(request: Any, context: Any) -> None:
    metadata = dict(context.invocation_metadata())
    if ECHO_INITIAL in metadata:
        await context.send_initial_metadata(((ECHO_INITIAL, metadata[ECHO_INITIAL]),))
    if ECHO_TRAILING in metadata:
        context.set_trailing_metadata(((ECHO_TRAILING, metadata[ECHO_TRAILING]),))
    if request.HasField("response_status"):
        await context.abort(_CODES[request.response_status.code], request.response_status.message)


@asynccontextmanager
async def serve(listen: str, tls: ServerTls | None = None) -> AsyncIterator[str]:
    """TestService on grpcio; gives the address with the port that was bound."""
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    service = _TestService()
    handlers = {
        name: _HANDLERS[method.client_streaming, method.server_streaming](
            getattr(service, name), method.decode, method.response.SerializeToString
        )
        for name, method in METHODS.items()
        if hasattr(service, name)
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    if tls is None:
        port = server.add_insecure_port(listen)
    else:
        pair = (tls.key.read_bytes(), tls.certificate.read_bytes())
        port = server.add_secure_port(listen, grpc.ssl_server_credentials([pair]))
    await server.start()
    try:
        yield listen if listen.startswith("unix:") else f"{listen.rpartition(':')[0]}:{port}"
    finally:
        await server.stop(0)


@asynccontextmanager
async def call(target: str, tls: ClientTls | None = None) -> AsyncIterator[GrpcioCaller]:
    """grpcio's client to `target`."""
    if tls is None:
        channel = grpc.aio.insecure_channel(target)
    else:
        channel = grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(tls.ca.read_bytes()))
    async with channel:
        yield GrpcioCaller(channel)


class GrpcioCaller:
    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    async def unary(self, method: Method, request: Any, *, compress: bool = False) -> Any:
        call = self._channel.unary_unary(
            method.path, method.request.SerializeToString, method.response.FromString
        )
        try:
            return await call(request, compression=_compression(compress))
        except grpc.aio.AioRpcError as error:
            raise _translate(error) from error

    def open(
        self, method: Method, *, metadata: Pairs = (), timeout: float | None = None, compress: bool = False
    ) -> _Conversation:
        open_call: Any = self._channel.stream_stream(
            method.path, method.request.SerializeToString, method.response.FromString
        )
        return _Conversation(
            open_call(metadata=metadata, timeout=timeout, compression=_compression(compress))
        )


class _Conversation:
    def __init__(self, call: Any) -> None:
        self._call = call
        self._is_cancelled = False

    async def send(self, request: Any) -> None:
        """Of a call that compresses, grpcio compresses those messages that become smaller by it."""
        await self._guard(self._call.write(request))

    async def end(self) -> None:
        await self._guard(self._call.done_writing())

    async def receive(self) -> Any:
        response = await self._guard(self._call.read())
        return None if response is grpc.aio.EOF else response

    async def initial_metadata(self) -> Pairs:
        return tuple(await self._call.initial_metadata())

    async def trailing_metadata(self) -> Pairs:
        return tuple(await self._call.trailing_metadata())

    def cancel(self) -> None:
        self._is_cancelled = True
        self._call.cancel()

    async def _guard(self, step: Any) -> Any:
        try:
            return await step
        except grpc.aio.AioRpcError as error:
            raise _translate(error) from error
        except asyncio.CancelledError as error:
            if not self._is_cancelled:
                raise
            raise RpcError(grpc.StatusCode.CANCELLED.value[0]) from error


def _compression(wanted: bool) -> grpc.Compression:
    return grpc.Compression.Gzip if wanted else grpc.Compression.NoCompression


def _translate(error: grpc.aio.AioRpcError) -> RpcError:
    return RpcError(error.code().value[0], error.details() or "")
