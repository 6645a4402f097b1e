"""Listening sockets: bind an address, take connections from it within bounds, stop.

An address is `host:port` (IPv4, a name, or IPv6 as `[::1]:port`; `[::]` is every address of both kinds;
port 0 picks a free one) or `unix:path`.

    readable ──▶ accept ──┬─ too many connections   closed at once: a peer that waits would time out
                          ├─ no descriptor left     nothing is taken for a moment; peers wait in the backlog
                          └─ a task for each one    TLS handshake within its time, `h2` agreed by ALPN;
                                 │                  who speaks HTTP in the clear is answered
                                 │
                                 └─ too many tasks  nothing is taken until one of them ends

Without TLS the task ends as soon as it runs. Sockets are read by `add_reader` and not by `sock_accept`:
cancelling that can lose a connection which the kernel has handed over already.

Whoever owns the protocols that `factory` makes says `connection_closed()` once for each one that lost
its connection after `connection_made`; failures before are counted here.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

from croupier.telemetry.metrics import Counter
from croupier.transport.net.addresses import bind
from croupier.transport.net.http1 import is_plain, send_answer
from croupier.transport.net.tls import PROTOCOL, ServerContext

_log = logging.getLogger(__name__)
_REFUSED = Counter(
    "croupier_connections_refused_total", "Connections closed before their first byte", ["reason"]
)
_PAUSES = Counter(
    "croupier_accept_pauses_total", "Times that accepting stopped for want of descriptors or memory"
)

MAX_HANDSHAKES = 256
PAUSE_SECONDS = 0.2
_SHUTDOWN_SECONDS = 5.0
# For the rest of a handshake whose first bytes came late.
_LEAST_SECONDS = 0.1
# Connections taken before other work has its turn.
_BURST = 64


class Listener:
    """Takes connections on one address and joins each one to a protocol of its own."""

    def __init__(
        self,
        listen: str,
        factory: Callable[[], asyncio.BaseProtocol],
        *,
        tls: ServerContext | None,
        reuse_port: bool,
        max_connections: int,
        handshake_timeout: float,
        max_handshakes: int = MAX_HANDSHAKES,
    ) -> None:
        self._listen = listen
        self._factory = factory
        self._tls = tls
        self._reuse_port = reuse_port
        self._max_connections = max_connections
        self._handshake_timeout = handshake_timeout
        self._max_handshakes = max_handshakes
        self._loop: asyncio.AbstractEventLoop
        self._sockets: list[socket.socket] = []
        self._remove_file: Callable[[], None] = lambda: None
        # Ended by closing their sockets, never by cancelling: uvloop would leave a protocol whose connection
        # was made in the same turn without a `connection_lost`.
        self._handshakes: dict[asyncio.Task[None], socket.socket] = {}
        self._is_reading = False
        # Set while accepting is paused.
        self._pause: asyncio.TimerHandle | None = None
        # Whether the last attempt to accept failed; one warning is enough.
        self._is_short = False
        # Connections that are open, those in their handshake included.
        self.connections = 0

    def open(self) -> str:
        """Bind and begin to take connections; returns the address with the port that was bound.

        Raises:
            InvalidSettings: the address cannot be bound.
        """
        self._loop = asyncio.get_running_loop()
        bound = bind(self._listen, reuse_port=self._reuse_port)
        self._sockets, self._remove_file = bound.sockets, bound.remove_file
        self._read()
        return bound.address

    def connection_closed(self) -> None:
        """A connection that was made is gone: there is room for another one."""
        self.connections -= 1

    async def close(self) -> None:
        """Take no more connections, and give up those whose handshake is under way."""
        self._unread()
        if self._pause is not None:
            self._pause.cancel()
        sockets, self._sockets = self._sockets, []
        if sockets:
            self._remove_file()
        for listening in sockets:
            listening.close()
        if self._tls is not None:
            for connection in self._handshakes.values():
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        if self._handshakes:
            await asyncio.wait(self._handshakes)

    def _read(self) -> None:
        self._pause = None
        if not self._is_reading:
            self._is_reading = True
            for listening in self._sockets:
                self._loop.add_reader(listening, self._accept, listening)

    def _unread(self) -> None:
        if self._is_reading:
            self._is_reading = False
            for listening in self._sockets:
                self._loop.remove_reader(listening)

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_BURST):
            if len(self._handshakes) >= self._max_handshakes:
                self._unread()
                return
            try:
                connection, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._rest(error)
                return
            self._is_short = False
            self._admit(connection)

    def _rest(self, error: OSError) -> None:
        """The socket stays readable, so going on at once would do nothing else."""
        _PAUSES.inc()
        if not self._is_short:
            self._is_short = True
            _log.warning("cannot accept connections on %s for now: %s", self._listen, error)
        self._unread()
        self._pause = self._loop.call_later(PAUSE_SECONDS, self._read)

    def _admit(self, connection: socket.socket) -> None:
        if self.connections >= self._max_connections:
            _REFUSED.labels("limit").inc()
            connection.close()
            return
        self.connections += 1
        connection.setblocking(False)
        task = self._loop.create_task(self._connect(connection))
        self._handshakes[task] = connection
        task.add_done_callback(self._connected)

    def _connected(self, task: asyncio.Task[None]) -> None:
        del self._handshakes[task]
        if self._sockets and self._pause is None:
            self._read()

    async def _connect(self, connection: socket.socket) -> None:
        context = self._tls.current() if self._tls else None
        until = self._loop.time() + self._handshake_timeout
        is_made = False
        try:
            if context is not None and await self._answered_plain(connection, until):
                return
            seconds = {
                "ssl_handshake_timeout": max(_LEAST_SECONDS, until - self._loop.time()),
                "ssl_shutdown_timeout": _SHUTDOWN_SECONDS,
            }
            transport, _ = await self._loop.connect_accepted_socket(
                self._factory, connection, ssl=context, **(seconds if context else {})
            )
            is_made = True
            if context is not None:
                _check_protocol(transport)
        except OSError as error:
            # TLS errors, timeouts and resets are all of this class, and all are the peer's.
            _REFUSED.labels("handshake").inc()
            _log.debug("a handshake on %s failed: %s", self._listen, error)
        except Exception:  # noqa: BLE001 - whatever it is, it ends this connection alone
            _log.exception("a connection on %s could not be taken", self._listen)
        finally:
            if not is_made:
                self.connection_closed()
                with suppress(OSError):
                    connection.close()

    async def _answered_plain(self, connection: socket.socket, until: float) -> bool:
        """Whether the peer speaks HTTP in the clear, and got an answer that says so.

        Raises:
            TimeoutError: it said nothing in time, or did not go.
        """
        async with asyncio.timeout_at(until):
            if not await is_plain(connection):
                return False
            _REFUSED.labels("plain").inc()
            await send_answer(connection)
            return True


def _check_protocol(transport: asyncio.BaseTransport) -> None:
    tls: ssl.SSLObject = transport.get_extra_info("ssl_object")
    if tls.selected_alpn_protocol() != PROTOCOL:
        _REFUSED.labels("protocol").inc()
        transport.abort()  # type: ignore[attr-defined]
