"""What handlers register with: methods by their path, "/package.Service/Method"."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeAlias

from croupier.telemetry.metrics import SECONDS, Durations, LoopHistogram
from croupier.transport.context import Context, Messages
from croupier.transport.http2.server_call import Route, ServerCall
from croupier.weight import Scale

BatchHandler: TypeAlias = Callable[[list[ServerCall]], None]
# See `Route`.
Uploads: TypeAlias = Callable[[ServerCall, int], Callable[[], None] | None]
UnaryHandler: TypeAlias = Callable[[bytes, Context], Awaitable[bytes]]
StreamHandler: TypeAlias = Callable[[Messages, Context], AsyncIterator[bytes]]

# OpenTelemetry's `rpc.server.call.duration`, by the name that it has in Prometheus.
_SECONDS = LoopHistogram(
    "rpc_server_call_duration_seconds",
    "From a call's headers to its end",
    SECONDS,
    ["rpc_method", "rpc_response_status_code"],
)


class RouteTable:
    """The methods of a server.

    Obligations of a batch handler: it does not block and does not raise, and each call it gets is answered in
    the end, by `reply` or `fail`, now or later, or given to `Server.serve_alone`.
    """

    def __init__(self) -> None:
        self._routes: dict[bytes, Route] = {}
        self._batch: BatchHandler | None = None

    def add_batch(
        self,
        paths: Iterable[str],
        handler: BatchHandler,
        *,
        scale_of: Callable[[str], Scale] | None = None,
        uploads: Uploads | None = None,
    ) -> None:
        """Serve unary methods by one synchronous handler, which gets every call that a read brought.

        `scale_of` tells what weighs the messages of a path: one that is too heavy, or no protobuf, is refused
        as soon as that shows. `uploads` is asked before a large message is taken in: see `Route`.
        """
        self._batch = handler
        for path in paths:
            scale = scale_of(path) if scale_of else None
            self._routes[path.encode()] = Route(
                path, handler, batch=True, scale=scale, durations=_of(path), uploads=uploads
            )

    def add_unary(
        self, path: str, handler: UnaryHandler, *, max_message_bytes: int = 0, max_open: int = 0
    ) -> None:
        """Serve a unary method.

        A request over `max_message_bytes` is refused by its first bytes, and so is a call when its connection
        has `max_open` of them; 0 is no bound but the connection's.
        """
        self._routes[path.encode()] = Route(
            path, handler, max_message=max_message_bytes, max_open=max_open, durations=_of(path)
        )

    def add_stream(
        self,
        path: str,
        handler: StreamHandler,
        *,
        max_message_bytes: int = 0,
        max_open: int = 0,
        scale: Scale | None = None,
    ) -> None:
        """Serve a streaming method of any kind: an async generator over the request's messages.

        `max_message_bytes` and `max_open` as in `add_unary`, `scale` as in `add_batch`.
        """
        self._routes[path.encode()] = Route(
            path,
            handler,
            streaming=True,
            max_message=max_message_bytes,
            max_open=max_open,
            scale=scale,
            durations=_of(path),
        )


def _of(path: str) -> Durations:
    return _SECONDS.durations(path.removeprefix("/"))
