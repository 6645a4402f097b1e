"""A session on a socket: the thin asyncio half that both roles share.

    socket ──data_received──▶ session.receive ──▶ `deliver`: what has come goes to whom it concerns
    a call is touched ──▶ `wake` ──▶ one `flush` at the end of the loop's tick ──▶ one write

While the transport holds more than it may (`pause_writing`), nothing is drained from the session: replies
stay with their calls, counted, and the calls' writers wait.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, cast

from croupier.transport.session import Session

_log = logging.getLogger(__name__)

HIGH_WATER = 256 * 2**10


class Connection(asyncio.Protocol):
    """The base of both roles; `clock` is monotonic, in seconds."""

    def __init__(self, session: Session, loop: asyncio.AbstractEventLoop, clock: Callable[[], float]) -> None:
        self.session = session
        self.loop = loop
        self.clock = clock
        self.made = clock()
        self.last_heard = self.made
        self.transport: asyncio.Transport
        self.peer = ""
        self.is_lost = False
        self._is_paused = False
        # When the graceful end began; 0 before.
        self._ending = 0.0

    def deliver(self) -> None:
        """Hand on what the session has collected."""
        raise NotImplementedError

    def lost(self) -> None:
        """The connection is gone, and every call of it has ended."""

    # What the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no asyncio class.
        self.transport = cast(asyncio.Transport, transport)
        self.peer = _peer_of(self.transport)
        self.transport.set_write_buffer_limits(high=HIGH_WATER)
        self.session.wake = self._wake
        self.flush()

    def data_received(self, data: bytes) -> None:
        self.last_heard = now = self.clock()
        try:
            self.session.receive(data, now)
        except Exception:  # noqa: BLE001 - it ends this connection alone
            _log.exception("a connection ends by a bug")
            self.transport.abort()
            return
        self.deliver()
        if self._ending and not self.session.ping_at:
            self.session.go_away()

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False
        self.flush()

    def connection_lost(self, error: Exception | None) -> None:
        self.is_lost = True
        self.session.close()
        self.deliver()
        self.session.wake = None
        self.lost()

    # Writing

    def _wake(self) -> None:
        self.loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what the session has to send, in one piece unless it is much."""
        session, transport = self.session, self.transport
        while not self._is_paused and not self.is_lost:
            data = session.drain()
            if data:
                transport.write(data)
            if not session.has_more:
                break
        # Draining makes room in queues, whose writers wait to hear of it.
        self.deliver()
        if not self.is_lost and session.is_finished:
            transport.close()

    # Age and silence

    def tick(self, now: float) -> None:
        """Once a second or so: keep-alive, and the steps of a graceful end."""
        limits, session = self.session.limits, self.session
        if not session.is_settled and now - self.made > limits.handshake_seconds:
            self._abort("it never said its first frame")
        elif session.headers_since and now - session.headers_since > limits.handshake_seconds:
            self._abort("it does not end its headers")
        elif session.ping_at and now - session.ping_at > limits.keepalive_timeout:
            self._abort("it did not answer a ping")
        elif now - self.last_heard > limits.keepalive_seconds:
            session.ping(now)
        if self._ending and now - self._ending > 1.0:
            session.go_away()

    def begin_end(self) -> None:
        """End gracefully: ask for no new calls, after a round trip take none, close when all have ended."""
        if not self._ending:
            self._ending = self.clock()
            self.session.announce_end()
            self.session.ping(self._ending)

    def _abort(self, reason: str) -> None:
        _log.debug("the connection of %s is closed: %s", self.peer, reason)
        self.transport.abort()


def _peer_of(transport: asyncio.Transport) -> str:
    name: Any = transport.get_extra_info("peername")
    if isinstance(name, tuple):
        host = f"[{name[0]}]" if ":" in name[0] else name[0]
        return f"{host}:{name[1]}"
    return "unix:"
