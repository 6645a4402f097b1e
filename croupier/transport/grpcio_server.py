"""What every grpcio server of Croupier has in common: options, status mapping, health, binding.

Handlers raise `croupier.errors`; the interceptor here turns them into gRPC status once. Requests
are decoded inside it as well, because grpcio reports an undecodable message as UNKNOWN.
"""

from __future__ import annotations

import inspect
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from croupier.errors import CroupierError, InternalError, InvalidRequest
from croupier.settings import InvalidSettings, ServerTls
from croupier.transport.status import DETAILS_KEY, from_error

_log = logging.getLogger(__name__)

MAX_MESSAGE_BYTES = 16 * 2**20
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_OPTIONS = [
    # Two processes on one port would share its connections; an address in use must be an error.
    ("grpc.so_reuseport", 0),
    # grpcio's default answers pings more often than every 300 s with GOAWAY too_many_pings.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_send_message_length", -1),
]


class Server:
    """A grpc.aio server with health, reflection and status mapping.

    Register servicers on `grpc_server`, then `await start(...)`; `await stop(grace)` says
    NOT_SERVING first and lets running calls end.
    """

    def __init__(self, *, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        options = [*_OPTIONS, ("grpc.max_receive_message_length", max_message_bytes)]
        self.grpc_server = grpc.aio.server(interceptors=[_StatusInterceptor()], options=options)
        self.health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self.grpc_server)

    async def start(self, listen: str, services: list[str], tls: ServerTls | None = None) -> str:
        """Bind `listen` and serve; returns the address with the port that was bound.

        Raises:
            InvalidSettings: the address cannot be bound, or a PEM file cannot be used.
        """
        _check_port(listen)
        reflection.enable_server_reflection(
            [*services, health.SERVICE_NAME, reflection.SERVICE_NAME], self.grpc_server
        )
        try:
            if tls is None:
                port = self.grpc_server.add_insecure_port(listen)
            else:
                port = self.grpc_server.add_secure_port(listen, _credentials(tls))
        except RuntimeError as error:
            raise InvalidSettings(
                f"cannot serve on {listen}: not an address of this machine, or in use"
            ) from error
        await self.grpc_server.start()
        for service in ["", *services]:
            await self.health.set(service, health_pb2.HealthCheckResponse.SERVING)
        return listen if listen.startswith("unix:") else f"{listen.rpartition(':')[0]}:{port}"

    async def stop(self, grace: float = 5.0) -> None:
        await self.health.enter_graceful_shutdown()
        await self.grpc_server.stop(grace)


def _check_port(listen: str) -> None:
    """grpcio would serve on the port's lowest 16 bits."""
    port = listen.rpartition(":")[2]
    if port.isdecimal() and int(port) > 65_535:
        raise InvalidSettings(f"cannot serve on {listen}: there is no such port")


def _credentials(tls: ServerTls) -> grpc.ServerCredentials:
    _check_files(tls)
    pair = (tls.key.read_bytes(), tls.certificate.read_bytes())
    ca = tls.client_ca.read_bytes() if tls.client_ca else None
    return grpc.ssl_server_credentials([pair], root_certificates=ca, require_client_auth=ca is not None)


def _check_files(tls: ServerTls) -> None:
    """grpcio says no more of a bad file than that the port could not be added."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(tls.certificate, tls.key)
        if tls.client_ca is not None:
            context.load_verify_locations(tls.client_ca)
    except OSError as error:
        files = ", ".join(str(path) for path in (tls.certificate, tls.key, tls.client_ca) if path)
        raise InvalidSettings(f"cannot use the TLS files {files}: {error}") from error


class _StatusInterceptor(grpc.aio.ServerInterceptor):
    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        decode = handler.request_deserializer or bytes
        requests = _decode_stream if handler.request_streaming else _decode
        if handler.response_streaming:
            behavior = handler.unary_stream or handler.stream_stream
            wrapped = _wrap_stream(behavior, lambda request: requests(request, decode))
        else:
            behavior = handler.unary_unary or handler.stream_unary
            wrapped = _wrap_unary(behavior, lambda request: requests(request, decode))
        return _METHOD_HANDLERS[handler.request_streaming, handler.response_streaming](
            wrapped, None, handler.response_serializer
        )


_METHOD_HANDLERS = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


def _decode(request: bytes, decode: Callable[[bytes], Any]) -> Any:
    try:
        return decode(request)
    except DecodeError as error:
        raise InvalidRequest("the request is not a valid protobuf message") from error


async def _decode_stream(requests: AsyncIterator[bytes], decode: Callable[[bytes], Any]) -> Any:
    async for request in requests:
        yield _decode(request, decode)


def _wrap_unary(behavior: Any, decode: Callable[[Any], Any]) -> Any:
    async def call(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        try:
            return await behavior(decode(request), context)
        except Exception as error:  # noqa: BLE001 - nothing may surface as UNKNOWN
            await _abort(context, error)

    return call


def _wrap_stream(behavior: Any, decode: Callable[[Any], Any]) -> Any:
    async def call(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        try:
            responses = behavior(decode(request), context)
            if inspect.isawaitable(responses):
                # The health service's Watch writes to the context instead of yielding.
                await responses
                return
            async with aclosing(responses):
                async for response in responses:
                    yield response
        except Exception as error:  # noqa: BLE001 - nothing may surface as UNKNOWN
            await _abort(context, error)

    return call


async def _abort(context: grpc.aio.ServicerContext[Any, Any], error: Exception) -> None:
    if isinstance(error, grpc.aio.AbortError):
        raise error
    if not isinstance(error, CroupierError) or isinstance(error, InternalError):
        _log.error("a request failed inside", exc_info=error)
    status = from_error(error)
    await context.abort(_CODES[status.code], status.message, ((DETAILS_KEY, status.details),))
