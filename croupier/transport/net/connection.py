"""A session on a socket: the thin asyncio half that both roles share.

    socket ──data_received──▶ session.receive ──▶ `deliver`: what has come goes to whom it concerns
    a call is touched ──▶ `wake` ──▶ one `flush` at the end of the loop's tick ──▶ one write

While the transport holds more than it may (`pause_writing`), nothing is drained from the session: replies
stay with their calls, counted, and the calls' writers wait.

A read is worked off in turns, and other connections have theirs in between (`turns`): without that, one peer
with 256 KiB of the smallest requests would keep all others waiting.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, cast

from croupier.telemetry.stalls import section
from croupier.transport.http2 import frame_log
from croupier.transport.http2.session import Session
from croupier.transport.net.turns import turns_of

_log = logging.getLogger(__name__)

HIGH_WATER = 256 * 2**10
# Of a read before others have their turn, in the session's nanoseconds: some 120 small requests. What is left
# then goes on in smaller pieces.
_TURN = 500_000.0
_NEXT_TURN = 200_000.0
# A read of so many bytes has more behind it, and libuv would go on to 32 of them before it looks elsewhere.
_LONG_READ = 128 * 2**10
# Until a peer that was cut off, and may still be sending, has heard why. It ends sooner if the peer does.
_LINGER_SECONDS = 1.0
_MOST_IGNORED = 64 * 2**10


class Connection(asyncio.Protocol, ABC):
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
        # When writing was paused; 0 while it is not.
        self._paused_at = 0.0
        # What was read and waits for the next turn; reading is paused meanwhile.
        self._rest: bytes | memoryview = b""
        self._is_waiting = False
        self._turns = turns_of(loop)
        session.turn = _TURN
        # When the graceful end began; 0 before.
        self._ending = 0.0
        # When a connection that has ended is dropped with whatever the peer has not read; 0 before its end.
        self._give_up_at = 0.0
        # Bytes that came after that.
        self._ignored = 0

    @abstractmethod
    def deliver(self) -> None:
        """Hand on what the session has collected."""

    def lost(self) -> None:
        """The connection is gone, and every call of it has ended."""

    # What the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no asyncio class.
        self.transport = cast(asyncio.Transport, transport)
        self.peer = _peer_of(self.transport)
        if (log := self.session.frame_log) is not None:
            frame_log.log.debug("%s is with %s", log.name, self.peer)
        self.transport.set_write_buffer_limits(high=HIGH_WATER)
        self.session.wake = self.waker()
        self.greet()

    def greet(self) -> None:
        """Say the first bytes."""
        self.flush()

    def data_received(self, data: bytes) -> None:
        if self._give_up_at:
            self._ignore(len(data))
            return
        self.last_heard = now = self.clock()
        self._take_in(data, now)

    def _ignore(self, size: int) -> None:
        """Of what comes after the last words: a little was on its way, or acknowledges; much is not read."""
        self._ignored += size
        if self._ignored > _MOST_IGNORED and not self._is_closed:
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._paused_at = self.clock()
        self.session.count_unsent(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        self._paused_at = 0.0
        self.session.count_unsent(0)
        self.flush()

    def connection_lost(self, error: Exception | None) -> None:
        self.is_lost = True
        self.session.count_unsent(0)
        self.session.close()
        self.deliver()
        self.session.wake = None
        self.lost()

    # Reading

    def _take_in(self, data: bytes | memoryview, now: float) -> None:
        session = self.session
        try:
            taken = session.receive(data, now)
        except Exception:  # noqa: BLE001 - it ends this connection alone
            _log.exception("a connection ends by a bug")
            self.transport.abort()
            return
        self.deliver()
        if self._ending and not session.ping_at:
            session.go_away()
        if session.is_broken:
            # Nothing wakes a session whose writing is paused.
            self.flush()
        elif taken < len(data) or len(data) >= _LONG_READ:
            self._wait_for_turn(memoryview(data)[taken:])

    def _wait_for_turn(self, rest: memoryview) -> None:
        if self._has_ended:
            return
        self._rest = rest
        if not self._is_waiting:
            self._is_waiting = True
            self.transport.pause_reading()
            self.session.turn = _NEXT_TURN
        self._turns.wait(self._go_on)

    def _go_on(self) -> None:
        rest, self._rest = self._rest, b""
        if self._has_ended:
            return
        if rest:
            self._take_in(rest, self.clock())
        if not self._rest and not self._has_ended:
            self._is_waiting = False
            self.session.turn = _TURN
            self.transport.resume_reading()

    @property
    def _has_ended(self) -> bool:
        return bool(self._give_up_at or self._is_closed)

    @property
    def _is_closed(self) -> bool:
        return self.is_lost or self.transport.is_closing()

    # Writing

    def waker(self) -> Callable[[], object]:
        """What the session calls once it has something to send."""
        return partial(self.loop.call_soon, self.flush)

    def flush(self) -> None:
        """Write what the session has to send, in one piece unless it is much."""
        session, transport = self.session, self.transport
        try:
            if not (self._paused_at or self.is_lost or transport.is_closing()):
                if data := session.drain():
                    transport.write(data)
                if session.has_more:
                    self._write_much()
        except Exception:  # noqa: BLE001 - it ends this connection alone
            _log.exception("a connection ends by a bug")
            transport.abort()
        if session.is_calm:
            return
        # Draining makes room in queues, whose writers wait to hear of it.
        self.deliver()
        # Closed a second time, asyncio's TLS transport takes no `abort` any more (CPython 3.11).
        if self._has_ended:
            return
        if session.is_broken and self._paused_at:
            self._abort("it does not read, not even why its connection ends")
        elif session.is_finished:
            self._end()

    def _write_much(self) -> None:
        """More than one piece: through TLS, or into large buffers of the kernel, that takes long."""
        session, transport = self.session, self.transport
        with section("large write"):
            while session.has_more and not (self._paused_at or self.is_lost or transport.is_closing()):
                if data := session.drain():
                    transport.write(data)

    def refuse(self, answer: bytes) -> None:
        """Say `answer` to a peer that speaks another protocol, and end."""
        self.transport.write(answer)
        self._say_no_more()

    def _end(self) -> None:
        """Everything was said. The peer may take its time to read it; nothing else is kept for so long."""
        session, transport = self.session, self.transport
        if session.is_broken:
            self._say_no_more()
            return
        self._give_up_at = self.clock() + session.limits.request_seconds
        transport.close()
        self._close_session()

    def _say_no_more(self) -> None:
        self._give_up_at = self.clock() + _LINGER_SECONDS
        if self.transport.can_write_eof():
            # TCP would drop what was said together with what the peer goes on to send: close later.
            self.transport.write_eof()
        else:
            # Not before what was said is on its way.
            self.loop.call_soon(self._end_under_tls)
        self._close_session()

    def _end_under_tls(self) -> None:
        """TLS has no half of an end, and TCP below it has.

        `close` would read what a peer goes on to send, all of it and not in turns: one that filled a
        connection kept others waiting.
        """
        if not self._is_closed:
            with suppress(OSError), self.transport.get_extra_info("socket").dup() as below:
                below.shutdown(socket.SHUT_WR)

    def _close_session(self) -> None:
        self.session.close()
        self.session.count_unsent(self.transport.get_write_buffer_size())
        self.deliver()

    # Age and silence

    def tick(self, now: float) -> None:
        """Once a second or so: keep-alive, and the steps of a graceful end."""
        limits, session = self.session.limits, self.session
        if self._give_up_at:
            if now > self._give_up_at:
                self._abort("it does not read what it was sent last")
            return
        if not session.is_settled and now - self.made > limits.handshake_seconds:
            self._abort("it never said its first frame")
        elif session.headers_since and now - session.headers_since > limits.handshake_seconds:
            self._abort("it does not end its headers")
        elif self._paused_at and now - self._paused_at > limits.request_seconds:
            self._abort("it does not read")
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
