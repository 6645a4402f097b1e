"""An asyncio gRPC server on the nghttp2 session, for the data plane.

    Listener ──▶ a connection each ──▶ ServerSession
                     │ deliver
                     ├─ calls of batch routes, all that one read brought ──▶ the batch handler, at once
                     └─ other calls ──▶ a task each (`context.py`)

What it serves is registered by `routes.py`. Every process of ours serves health and reflection besides: that
server is `serving.Server`.

A graceful stop says GOAWAY twice, with a round trip between: calls that were on their way when the client
heard of it are served all the same, so none is lost. Connections that are older than they may be are
ended in the same way.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from random import Random
from typing import Any

from croupier.access import Access
from croupier.errors import CroupierError, InternalError
from croupier.roles import UnknownCaller
from croupier.settings import ServerTls
from croupier.telemetry.metrics import Counter
from croupier.transport import context as contexts
from croupier.transport.context import Context
from croupier.transport.http2 import library
from croupier.transport.http2.limits import Limits
from croupier.transport.http2.server_call import Route, ServerCall
from croupier.transport.http2.server_session import CANCELLED, OPENED, READY, ServerSession
from croupier.transport.http2.wire import Budget
from croupier.transport.net.connection import Connection
from croupier.transport.net.http1 import ANSWER, is_http1
from croupier.transport.net.listener import Listener
from croupier.transport.net.tls import ServerContext, alt_names
from croupier.transport.routes import RouteTable, UnaryHandler
from croupier.transport.status import from_error

_log = logging.getLogger(__name__)

_UNKNOWN = Counter(
    "croupier_unknown_callers_total",
    "Connections whose certificate names no role, or more than one",
)

_TICK_SECONDS = 1.0
# Tasks that are started or cancelled before others have their turn.
_AT_ONCE = 64
# How long a peer may go on sending after its call was answered.
_LINGER_SECONDS = 5.0
# How long handlers may take to be cancelled before a stop goes on without them.
_CANCEL_SECONDS = 1.0


class BareServer(RouteTable):
    """Register handlers, then `open`; to stop, `drain` and `close`.

    `access` says which of them a caller's certificate opens, where `tls` asks for one; it is decided once a
    connection. `reuse_port` lets other processes serve the same port. Every connection is closed after
    `limits.max_age_seconds`, give or take a tenth that `rng` draws.
    """

    def __init__(
        self,
        *,
        limits: Limits = Limits(),
        tls: ServerTls | None = None,
        access: Access | None = None,
        reuse_port: bool = False,
        rng: Random | None = None,
    ) -> None:
        super().__init__()
        self.limits = limits
        self._tls = tls
        self._access = access if tls is not None and tls.client_ca is not None else None
        self._reuse_port = reuse_port
        self._rng = rng or Random()  # noqa: S311 - spreads load, keeps no secret
        self._budget = Budget(
            limits.total_bytes, growth_burst=limits.growth_burst, growth_rate=limits.growth_rate
        )
        self._connections: set[_ServerConnection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listener: Listener | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._is_empty = asyncio.Event()

    def open(self, listen: str) -> str:
        """Bind `listen` and serve, in a running loop; returns the address with the port that was bound.

        Raises:
            InvalidSettings: the address cannot be bound, or a PEM file cannot be used.
        """
        library.warn()
        loop = asyncio.get_running_loop()
        self._listener = Listener(
            listen,
            lambda: _ServerConnection(self, loop),
            tls=ServerContext(self._tls) if self._tls else None,
            reuse_port=self._reuse_port,
            max_connections=self.limits.max_connections,
            handshake_timeout=self.limits.handshake_seconds,
        )
        address = self._listener.open()
        self._ticker = loop.call_later(_TICK_SECONDS, self._tick)
        return address

    async def drain(self) -> None:
        """Take no more connections, and ask for no more calls on those that there are."""
        if self._listener is not None:
            await self._listener.close()
        for connection in tuple(self._connections):
            connection.begin_end()

    async def close(self, grace: float) -> None:
        """Once drained: close when the calls under way end or `grace` is over."""
        try:
            async with asyncio.timeout(grace):
                while self._connections:
                    self._is_empty.clear()
                    await self._is_empty.wait()
        except TimeoutError:
            pass
        if self._ticker is not None:
            self._ticker.cancel()
        await self._end_tasks()
        for connection in tuple(self._connections):
            connection.session.terminate()
            connection.flush()
            connection.transport.abort()
        while self._connections:
            self._is_empty.clear()
            await self._is_empty.wait()

    @property
    def connections(self) -> int:
        return len(self._connections)

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CANCEL_SECONDS)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        self._ticker = loop.call_later(_TICK_SECONDS, self._tick)
        now = time.monotonic()
        for connection in tuple(self._connections):
            connection.tick(now)

    # What connections call

    def opened(self, connection: _ServerConnection) -> float:
        """Returns the age at which the connection has to end."""
        self._connections.add(connection)
        return self.limits.max_age_seconds * self._rng.uniform(0.9, 1.1)

    def closed(self, connection: _ServerConnection) -> None:
        self._connections.discard(connection)
        if self._listener is not None:
            self._listener.connection_closed()
        if not self._connections:
            self._is_empty.set()

    def new_session(self) -> ServerSession:
        # Until it is known who the peer is, nothing is open to it.
        routes = self._routes if self._access is None else {}
        return ServerSession(self.limits, time.monotonic(), routes, self._budget)

    def routes_for(self, transport: asyncio.BaseTransport) -> dict[bytes, Route]:
        """The routes as the peer has them: what it may not call refuses it."""
        if self._access is None:
            return self._routes
        peer = self._access.peer(alt_names(transport))
        if isinstance(peer, UnknownCaller):
            _UNKNOWN.inc()
            _log.info("a caller is let into open methods only: %s", peer)
        routes = {}
        for path, route in self._routes.items():
            why = self._access.rule(route.path).refusal(peer)
            routes[path] = route if why is None else _refusing(route, why)
        return routes

    def serve_batch(self, calls: list[ServerCall]) -> None:
        assert self._batch is not None
        try:
            self._batch(calls)
        except Exception:  # noqa: BLE001 - whatever it is, its callers get an answer
            _log.exception("the batch handler failed")
            status = from_error(InternalError("internal error"))
            for call in calls:
                call.fail(status.code, status.message, status.details)

    def serve(self, call: ServerCall, peer: str) -> None:
        """Run the handler of an ordinary route."""
        self._spawn(call, peer, call.route.handler)

    def serve_alone(self, call: ServerCall, handler: UnaryHandler) -> None:
        """For a batch handler: have one of its calls served by an ordinary handler after all."""
        self._spawn(call, "", handler)

    def _spawn(self, call: ServerCall, peer: str, handler: Any) -> None:
        """Run `handler` in a task of its own."""
        context = Context(call, peer)
        task = asyncio.get_running_loop().create_task(contexts.run(call, context, handler))
        call.tag = (context, task)
        self._tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            call.tag = None

        task.add_done_callback(ended)


def _refusing(route: Route, why: CroupierError) -> Route:
    return Route(route.path, streaming=True, refusal=why, durations=route.durations)


class _ServerConnection(Connection):
    session: ServerSession

    def __init__(self, server: BareServer, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(server.new_session(), loop, time.monotonic)
        self._server = server
        self._most_age = float("inf")
        self._has_begun = False
        # What happened and waits for the next turn.
        self._events: deque[tuple[Any, int]] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._most_age = self._server.opened(self)
        self.session.routes = self._server.routes_for(transport)
        super().connection_made(transport)

    def greet(self) -> None:
        """Not before the peer has: one of HTTP/1.1 could not read it."""

    def data_received(self, data: bytes) -> None:
        if not self._has_begun:
            self._has_begun = True
            if is_http1(data):
                self.refuse(ANSWER)
                return
            self.flush()
        super().data_received(data)

    def deliver(self) -> None:
        session = self.session
        batch = session.take_batch()
        if batch:
            self._server.serve_batch(batch)
        events = session.take_events()
        if not self._events and len(events) <= _AT_ONCE:
            for call, kind in events:
                self._hand_on(call, kind)
        elif events:
            self._events.extend(events)
            if len(self._events) == len(events):
                self._hand_on_some()

    def _hand_on_some(self) -> None:
        """A connection that goes may leave a thousand tasks to be cancelled: not all of them at once."""
        for _ in range(min(_AT_ONCE, len(self._events))):
            self._hand_on(*self._events.popleft())
        if self._events:
            self._turns.wait(self._hand_on_some)

    def _hand_on(self, call: Any, kind: int) -> None:
        if kind in (OPENED, READY):
            # It may have ended while it waited here.
            if call.is_open:
                self._server.serve(call, self.peer)
        elif callable(call):
            # The `on_cancel` of a call of a batch route.
            try:
                call()
            except Exception:  # noqa: BLE001 - the calls behind it have an end too
                _log.exception("a call's on_cancel failed")
        elif call.tag is not None:
            context, task = call.tag
            if kind == CANCELLED:
                call.tag = None
                task.cancel()
            else:
                context.notify()

    def tick(self, now: float) -> None:
        super().tick(now)
        self.session.expire(now - self._server.limits.request_seconds, now - _LINGER_SECONDS)
        if now - self.made > self._most_age:
            self.begin_end()

    def lost(self) -> None:
        self._server.closed(self)
