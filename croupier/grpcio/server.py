"""What every grpcio server of Croupier has in common: options, status mapping, health, binding.

Handlers raise `croupier.errors`; the interceptor here turns them into gRPC status once. Requests
are decoded inside it as well, because grpcio reports an undecodable message as UNKNOWN, and so that who may
not ask for what a request is about is refused before its handler.

Every call has an id, the caller's or one of ours: in its answer, in each line of the log that comes of it,
and in `request_ids.current` for its handler. One that is traced has a span, in `traces.current`, unless its
answer is a stream, which goes on for days.
"""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from croupier import request_ids
from croupier.access import Access, Peer, Rule
from croupier.codes import Code
from croupier.errors import CroupierError, InternalError, InvalidRequest, TooLarge
from croupier.grpcio.certificate import alt_names
from croupier.grpcio.tls import server_credentials
from croupier.request_ids import REQUEST_ID, RequestId
from croupier.roles import Caller
from croupier.settings import InvalidSettings, ServerTls
from croupier.telemetry import traces
from croupier.telemetry.traces import Span, Tracer
from croupier.transport.status import DETAILS_KEY, RpcError, from_error, request_info
from croupier.transport.steps import ending_of
from croupier.weight import check_weight

_log = logging.getLogger(__name__)

Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]

MAX_MESSAGE_BYTES = 16 * 2**20
# Of a request for health or reflection, which needs no credential and may be answered for long.
MAX_SMALL_BYTES = 4 * 2**10
_FOR_ANYBODY = ("/grpc.health.", "/grpc.reflection.")
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_OPTIONS = [
    # Two processes on one port would share its connections; an address in use must be an error.
    ("grpc.so_reuseport", 0),
    # grpcio's default answers pings more often than every 300 s with GOAWAY too_many_pings.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.max_send_message_length", -1),
    # Of one connection.
    ("grpc.max_concurrent_streams", 256),
]


class Server:
    """A grpc.aio server with health, reflection and status mapping.

    `access` says who may call what, where a certificate is asked for. Register servicers on `grpc_server`,
    then `await start(...)`; `await stop(grace)` says NOT_SERVING first and lets running calls end. `tracer`
    begins spans, once it is set.
    """

    def __init__(self, *, access: Access | None = None, max_message_bytes: int = MAX_MESSAGE_BYTES) -> None:
        options = [*_OPTIONS, ("grpc.max_receive_message_length", max_message_bytes)]
        self._callers = _Callers(access)
        self.tracer: Tracer | None = None
        interceptor = _Interceptor(self._callers, lambda: self.tracer)
        self.grpc_server = grpc.aio.server(interceptors=[interceptor], options=options)
        self.health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self.grpc_server)

    async def start(self, listen: str, services: list[str], tls: ServerTls | None = None) -> str:
        """Bind `listen` and serve; returns the address with the port that was bound.

        Raises:
            InvalidSettings: the address cannot be bound, or a PEM file cannot be used.
        """
        _check_port(listen)
        self._callers.are_asked = tls is not None and tls.client_ca is not None
        reflection.enable_server_reflection(
            [*services, health.SERVICE_NAME, reflection.SERVICE_NAME], self.grpc_server
        )
        try:
            if tls is None:
                port = self.grpc_server.add_insecure_port(listen)
            else:
                port = self.grpc_server.add_secure_port(listen, server_credentials(tls))
        except RuntimeError as error:
            raise InvalidSettings(
                f"cannot serve on {listen}: not an address of this machine, or in use"
            ) from error
        await self.grpc_server.start()
        for service in ["", *services]:
            await self.health.set(service, health_pb2.HealthCheckResponse.SERVING)
        return listen if listen.startswith("unix:") else f"{listen.rpartition(':')[0]}:{port}"

    def caller(self, context: Context) -> Caller | None:
        """Whose certificate the peer of a call has shown; None where none is asked for."""
        peer = self._callers.peer(context)
        return peer if isinstance(peer, Caller) else None

    async def stop(self, grace: float = 5.0) -> None:
        await self.health.enter_graceful_shutdown()
        await self.grpc_server.stop(grace)


def _check_port(listen: str) -> None:
    """grpcio would serve on the port's lowest 16 bits."""
    port = listen.rpartition(":")[2]
    if port.isdecimal() and int(port) > 65_535:
        raise InvalidSettings(f"cannot serve on {listen}: there is no such port")


class _Callers:
    """Who calls, by the certificate of a call's connection; `are_asked` once the server asks for one."""

    def __init__(self, access: Access | None) -> None:
        self.access = access
        self.are_asked = False

    def peer(self, context: Context) -> Peer:
        if self.access is None or not self.are_asked:
            return None
        certificate = b"".join(context.auth_context().get("x509_pem_cert", ()))
        return self.access.peer(alt_names(certificate))

    def rule(self, method: str) -> Rule:
        return Rule() if self.access is None else self.access.rule(method)


class _Interceptor(grpc.aio.ServerInterceptor):
    """Lets in who may come, decodes, and turns errors into status."""

    def __init__(self, callers: _Callers, tracer: Callable[[], Tracer | None]) -> None:
        self._callers = callers
        self._tracer = tracer

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        gate = _Gate(self._callers, handler_call_details, handler, self._tracer())
        if handler.response_streaming:
            wrapped = _wrap_stream(handler.unary_stream or handler.stream_stream, gate)
        else:
            wrapped = _wrap_unary(handler.unary_unary or handler.stream_unary, gate)
        return _METHOD_HANDLERS[handler.request_streaming, handler.response_streaming](
            wrapped, None, handler.response_serializer
        )


_METHOD_HANDLERS = {
    (False, False): grpc.unary_unary_rpc_method_handler,
    (False, True): grpc.unary_stream_rpc_method_handler,
    (True, False): grpc.stream_unary_rpc_method_handler,
    (True, True): grpc.stream_stream_rpc_method_handler,
}


class _Gate:
    """What a call passes before its handler: its name; may its peer call it, and with this request?"""

    def __init__(
        self,
        callers: _Callers,
        details: grpc.HandlerCallDetails,
        handler: grpc.RpcMethodHandler[Any, Any],
        tracer: Tracer | None,
    ) -> None:
        method = details.method
        self._callers = callers
        self._method = method
        self._metadata = details.invocation_metadata or ()
        self._rule = callers.rule(method)
        self._is_streaming = handler.request_streaming
        self._deserialize = handler.request_deserializer or bytes
        is_for_anybody = method.startswith(_FOR_ANYBODY)
        self._most: float = MAX_SMALL_BYTES if is_for_anybody else math.inf
        self._tracer = None if is_for_anybody or handler.response_streaming else tracer

    def name(self, context: Context) -> _Served:
        """Begin the call: what it is called holds in its task from now on."""
        request_id = RequestId(request_ids.read(self._values(request_ids.REQUEST_ID_KEY)))
        request_ids.current.set(request_id)
        context.set_trailing_metadata(((REQUEST_ID, str(request_id)),))
        span = None if self._tracer is None else self._tracer.begin(self._method, self._values)
        if span is not None:
            span.note("croupier.request_id", str(request_id))
            if (peer := self._callers.peer(context)) is not None:
                span.note("croupier.caller", str(peer))
        traces.current.set(span)
        return _Served(self._method.rpartition("/")[2], request_id, span)

    def _values(self, name: bytes) -> tuple[bytes, ...]:
        wanted = name.decode()
        return tuple(
            value if isinstance(value, bytes) else value.encode()
            for key, value in self._metadata
            if key == wanted
        )

    def take(self, request: Any, context: Context) -> Any:
        """The request decoded, or the iterator of them. Raises CroupierError."""
        peer = self._callers.peer(context)
        if (why := self._rule.refusal(peer)) is not None:
            raise why
        if self._is_streaming:
            return self._decode_all(request, peer)
        decoded = self._decode(request)
        self._rule.check_request(peer, decoded)
        return decoded

    async def _decode_all(self, requests: AsyncIterator[bytes], peer: Peer) -> AsyncIterator[Any]:
        is_first = True
        async for request in requests:
            decoded = self._decode(request)
            if is_first:
                is_first = False
                self._rule.check_request(peer, decoded)
            yield decoded

    def _decode(self, request: bytes) -> Any:
        if len(request) > self._most:
            raise TooLarge(f"a request of {len(request)} bytes is over the limit of {self._most}")
        # Of generated code it is a message class's `FromString`.
        message_type: Any = getattr(self._deserialize, "__self__", None)
        if hasattr(message_type, "DESCRIPTOR"):
            check_weight(message_type, request)
        try:
            return self._deserialize(request)
        except DecodeError as error:
            raise InvalidRequest("the request is not a valid protobuf message") from error


@dataclass(frozen=True, slots=True)
class _Served:
    """One call: the last part of its method, its id, and what is traced of it."""

    method: str
    request_id: RequestId
    span: Span | None

    def ended(self, code: int) -> None:
        if self.span is not None:
            self.span.end(code)


def _wrap_unary(behavior: Any, gate: _Gate) -> Any:
    async def call(request: Any, context: Context) -> Any:
        served = gate.name(context)
        try:
            response = await behavior(gate.take(request, context), context)
        except Exception as error:  # noqa: BLE001 - nothing may surface as UNKNOWN
            await _end(context, error, served)
        except BaseException as error:
            served.ended(ending_of(error))
            raise
        else:
            served.ended(Code.OK)
            return response

    return call


def _wrap_stream(behavior: Any, gate: _Gate) -> Any:
    async def call(request: Any, context: Context) -> Any:
        served = gate.name(context)
        try:
            responses = behavior(gate.take(request, context), context)
            # It may be a long answer.
            del request
            if inspect.isawaitable(responses):
                # The health service's Watch writes to the context instead of yielding.
                await responses
                return
            async with aclosing(responses):
                async for response in responses:
                    yield response
        except Exception as error:  # noqa: BLE001 - nothing may surface as UNKNOWN
            await _end(context, error, served)

    return call


async def _end(context: Context, error: Exception, served: _Served) -> None:
    """End the call with the status of `error`, and let go of what its handler held.

    grpcio keeps the error of an abort with the call, and raises it again when the handler has returned. That
    error's traceback has frames which hold the call, a cycle, and the handler's own error hangs on it with
    the frames that it passed: every artifact that was refused would stay until the collector runs.
    """
    if not isinstance(error, grpc.aio.AbortError):
        if not isinstance(error, CroupierError) or isinstance(error, InternalError):
            _log.error("a request failed inside", exc_info=error)
        status, request_id = from_error(error), str(served.request_id)
        code = _CODES[status.code]
        # Whoever has the id of what failed finds it.
        _log.info(f"{served.method} {code.name}", extra={"fields": {"reason": status.reason}})
        served.ended(status.code)
        details = status.details
        # A status that passes through is somebody else's, who called it something already.
        if not isinstance(error, RpcError):
            details += request_info(request_id)
        try:
            await context.abort(code, status.message, ((DETAILS_KEY, details), (REQUEST_ID, request_id)))
        except grpc.aio.AbortError as abort:
            _let_go(abort)
    else:
        served.ended(Code.UNKNOWN)
    _let_go(error)


def _let_go(error: BaseException | None) -> None:
    """Forget which frames `error`, and those that it came of, have passed."""
    while error is not None:
        before = error.__context__
        error.__traceback__ = error.__context__ = error.__cause__ = None
        error = before
