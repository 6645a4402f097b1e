"""An asyncio gRPC client on the nghttp2 session: one multiplexed connection to one address.

    start ──▶ connected?  ──yes──▶ the session takes the call; `done` is called when it has ended
                  │
                  └──no──▶ it waits for the connection that is being made, or fails with it

A connection is made when a call needs one. When that fails, calls fail at once until the back-off is over;
the next one then tries again. A connection that got GOAWAY, or whose stream ids run out, takes no
new calls and is closed when those under way have ended; the next call makes a new one. A unary call that the
peer refused unseen is sent once more, there. Connections that end one after the other without an answer to
their calls are failures, too: a server that greets with GOAWAY would have one made for each call.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from random import Random

from croupier.backoff import Backoff
from croupier.codes import Code
from croupier.errors import CroupierError
from croupier.roles import AltNames
from croupier.settings import ClientTls
from croupier.telemetry.durations import Durations
from croupier.transport.client_connection import ClientConnection
from croupier.transport.http2.client_call import ClientCall
from croupier.transport.http2.client_session import ClientSession
from croupier.transport.http2.limits import Limits
from croupier.transport.net.addresses import socket_path, split_address
from croupier.transport.net.tls import PROTOCOL, ClientContext, alt_names
from croupier.transport.status import RpcError
from croupier.transport.stream import Stream

_log = logging.getLogger(__name__)

_TICK_SECONDS = 1.0
_BACKOFF = Backoff(first=0.1, longest=5.0)
# Connections in a row that may end without an answer before that counts as a failure.
_MOST_USELESS = 2

Done = Callable[[ClientCall], None]


class Channel:
    """Calls a server at `target`, host:port or unix:path; made in a running loop, no I/O until first used.

    With `tls`, the server's certificate has the name of the host, and `check_peer` raises a CroupierError for
    one whose other names are not those of whom is to be called. `durations` count the calls of `start`.
    """

    def __init__(
        self,
        target: str,
        *,
        tls: ClientTls | None = None,
        check_peer: Callable[[AltNames], None] | None = None,
        limits: Limits = Limits(),
        authority: str = "",
        user_agent: str = "croupier",
        rng: Random | None = None,
        durations: Durations | None = None,
    ) -> None:
        self.target = target
        self.limits = limits
        # Called with unary calls whose answers begin long before they end.
        self.on_begun: Callable[[ClientCall], None] | None = None
        self._tls = ClientContext(tls) if tls else None
        self._check_peer = check_peer
        self._authority = authority or ("localhost" if target.startswith("unix:") else target)
        self._user_agent = user_agent
        self._rng = rng or Random()  # noqa: S311 - jitter, keeps no secret
        self._durations = durations
        self._loop = asyncio.get_running_loop()
        # The connection that takes new calls, and its session.
        self._connection: ClientConnection | None = None
        self._session: ClientSession | None = None
        self._connections: set[ClientConnection] = set()
        self._connecting: asyncio.Task[None] | None = None
        # Calls that wait for the connection, with what to do once it is there or has failed.
        self._waiting: list[ClientCall] = []
        self._opening: list[asyncio.Future[ClientSession]] = []
        self._failures = 0
        self._useless = 0
        self._blocked_until = 0.0
        self._why = ""
        self._ticker: asyncio.TimerHandle | None = None
        self._is_closed = False
        self._is_empty = asyncio.Event()

    @property
    def state(self) -> str:
        """How it stands, in words: connected, connecting, idle, or why no connection may be made now."""
        if self._session is not None:
            return "connected"
        return "connecting" if self._connecting is not None else self._why_not() or "idle"

    @property
    def calls(self) -> int:
        """How many calls are under way, or wait for a connection."""
        waiting = len(self._waiting) + len(self._opening)
        return waiting + sum(connection.session.open_calls for connection in self._connections)

    def start(
        self,
        path: bytes,
        message: bytes,
        timeout: float | None,
        done: Done,
        pairs: tuple[tuple[bytes, bytes], ...] = (),
        began: float | None = None,
    ) -> ClientCall:
        """One unary call, on the hot path; `pairs` are its metadata, encoded. It counts from `began` on, on
        the clock of `time.monotonic`, where that has been looked at.

        `timeout` in seconds is sent to the peer and not kept here: who has a deadline cancels the call.
        `done` is called once when the call has ended, never from inside here, and not after `cancel`.
        """
        call = ClientCall(path, message, timeout, done, self._durations, pairs, began)
        session = self._session
        if session is None or not session.start(call):
            self._start_later(call)
        return call

    async def unary(
        self,
        path: str,
        message: bytes,
        *,
        timeout: float | None = None,
        metadata: Iterable[tuple[str, str | bytes]] = (),
    ) -> bytes:
        """One unary call. Raises RpcError for every end that is not OK."""
        pairs = tuple(metadata)
        until = None if timeout is None else self._loop.time() + timeout
        is_second = False
        while True:
            left = None if until is None else until - self._loop.time()
            async with self.stream(path, timeout=left, metadata=pairs) as stream:
                await stream.send(message)
                stream.end()
                try:
                    return await stream.receive_only()
                except RpcError:
                    if is_second or not stream.is_unprocessed or self._is_closed:
                        raise
            is_second = True

    def stream(
        self,
        path: str,
        *,
        timeout: float | None = None,
        metadata: Iterable[tuple[str, str | bytes]] = (),
    ) -> Stream:
        """A call of any kind; raises ValueError for what cannot be metadata."""
        return Stream(self._find_session, path, timeout=timeout, metadata=metadata)

    async def session(self) -> ClientSession:
        """A session that takes new calls.

        Raises:
            ConnectionError: there is no connection.
        """
        return await self._find_session()

    async def close(self, grace: float = 0.0) -> None:
        """Take no new calls; those under way have `grace` seconds, then they end as broken."""
        self._is_closed = True
        self._connection = self._session = None
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        self._give_up("the channel is closed")
        for connection in tuple(self._connections):
            connection.retire()
        try:
            async with asyncio.timeout(grace):
                while self._connections:
                    self._is_empty.clear()
                    await self._is_empty.wait()
        except TimeoutError:
            pass
        for connection in tuple(self._connections):
            connection.end_now()
        while self._connections:
            self._is_empty.clear()
            await self._is_empty.wait()
        if self._ticker is not None:
            self._ticker.cancel()

    # Connecting

    def _find_session(self) -> asyncio.Future[ClientSession]:
        future: asyncio.Future[ClientSession] = self._loop.create_future()
        if self._session is not None and self._session.is_usable:
            future.set_result(self._session)
        elif why := self._why_not():
            future.set_exception(ConnectionError(why))
        else:
            self._opening.append(future)
            self._connect()
        return future

    def _start_later(self, call: ClientCall) -> None:
        if why := self._why_not():
            self._loop.call_soon(_break, call, why)
            return
        self._waiting.append(call)
        self._connect()

    def _why_not(self) -> str:
        """Why no connection may be made now; empty if one may."""
        if self._is_closed:
            return "the channel is closed"
        if self._connecting is None and time.monotonic() < self._blocked_until:
            return self._why
        return ""

    def _connect(self) -> None:
        if self._connecting is None:
            self._connecting = self._loop.create_task(self._open(), name=f"connect {self.target}")

    async def _open(self) -> None:
        try:
            connection = await self._make_connection()
        except (OSError, TimeoutError, UnicodeError, CroupierError) as error:
            self._connecting = None
            self._fail(f"cannot connect to {self.target}: {error or type(error).__name__}")
            return
        self._connecting = None
        if self._connection is not None:
            # Its stream ids have run out.
            self._connection.retire()
        self._connection, self._session = connection, connection.session
        session = self._session
        opening, self._opening = self._opening, []
        for future in opening:
            if not future.done():
                future.set_result(session)
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            if not call.is_done and not session.start(call):
                self._start_later(call)

    async def _make_connection(self) -> ClientConnection:
        context = self._tls.current() if self._tls else None
        seconds = self.limits.handshake_seconds
        name = self._authority.rpartition(":")[0].strip("[]") or self._authority if context else None
        factory = self._new_connection
        async with asyncio.timeout(seconds):
            if self.target.startswith("unix:"):
                transport, connection = await self._loop.create_unix_connection(
                    factory, socket_path(self.target), ssl=context, server_hostname=name
                )
            else:
                host, port = split_address(self.target)
                transport, connection = await self._loop.create_connection(
                    factory, host, port, ssl=context, server_hostname=name
                )
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() != PROTOCOL:
            transport.abort()
            raise ConnectionError("the server does not speak HTTP/2")
        if tls is not None and self._check_peer is not None:
            self._check(transport, self._check_peer)
        if connection.is_lost:
            raise ConnectionError("the server closed the connection")
        if self._ticker is None:
            self._ticker = self._loop.call_later(_TICK_SECONDS, self._tick)
        return connection

    def _check(self, transport: asyncio.BaseTransport, check: Callable[[AltNames], None]) -> None:
        try:
            check(alt_names(transport))
        except CroupierError as error:
            _log.warning("%s is not whom it should be: %s", self.target, error)
            transport.abort()  # type: ignore[attr-defined]
            raise

    def _new_connection(self) -> ClientConnection:
        session = ClientSession(
            self.limits,
            time.monotonic(),
            authority=self._authority,
            secure=self._tls is not None,
            user_agent=self._user_agent,
        )
        return ClientConnection(self, session, self._loop, time.monotonic)

    def _fail(self, why: str) -> None:
        """There is no connection, and for a while none is tried: longer each time, until one does."""
        self._block(why)
        self._give_up(why)

    def _block(self, why: str) -> None:
        self._failures += 1
        self._blocked_until = time.monotonic() + _BACKOFF.spread(self._failures, self._rng)
        self._why = why

    def _give_up(self, why: str) -> None:
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            _break(call, why)
        opening, self._opening = self._opening, []
        for future in opening:
            if not future.done():
                future.set_exception(ConnectionError(why))

    def _tick(self) -> None:
        self._ticker = self._loop.call_later(_TICK_SECONDS, self._tick) if self._connections else None
        now = time.monotonic()
        for connection in tuple(self._connections):
            connection.tick(now)

    # What connections call

    def opened(self, connection: ClientConnection) -> None:
        self._connections.add(connection)

    def closed(self, connection: ClientConnection) -> None:
        self._connections.discard(connection)
        if connection.session.is_settled:
            self._learn_from(connection)
        if self._connection is connection:
            self._connection = self._session = None
            if not (connection.session.is_settled or self._is_closed):
                # Taken and dropped at once, as a server does that is full, or that does not speak HTTP/2.
                self._fail(f"{self.target} closed the connection before its first frame")
        if not self._connections:
            self._is_empty.set()

    def _learn_from(self, connection: ClientConnection) -> None:
        if not connection.is_useless:
            self._failures = self._useless = 0
            return
        self._useless += 1
        if self._useless > _MOST_USELESS:
            self._block(f"{self.target} ends its connections without an answer")

    def ended(self, call: ClientCall) -> None:
        """A unary call has ended."""
        if call.is_unprocessed and not self._is_closed and call.renew():
            self._again(call)
            return
        _hand_on(call)

    def begun(self, calls: Iterable[ClientCall]) -> None:
        """Unary calls are being answered, and have not ended."""
        for call in calls:
            if self.on_begun is not None and not call.is_done:
                self.on_begun(call)

    def _again(self, call: ClientCall) -> None:
        session = self._session
        if session is None or not session.start(call):
            self._start_later(call)


def _break(call: ClientCall, why: str) -> None:
    if call.is_done:
        return
    call.abort(Code.UNAVAILABLE, why)
    _hand_on(call)


def _hand_on(call: ClientCall) -> None:
    done, call.done = call.done, None
    if done is None:
        return
    try:
        done(call)
    except Exception:  # noqa: BLE001 - the calls behind it have an end too
        _log.exception("whoever made a call could not take its end")
