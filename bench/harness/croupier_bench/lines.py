"""The connections of a load: each is opened anew when it breaks, and what was on it has failed.

Answers go natively to `Counts`; Python sees those calls that it has to look at. Whoever puts many requests
on many connections has them flushed when all are there (`Outbox`), not at the end of the loop's turn: then it
knows when they left.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from croupier.codes import Code
from croupier.settings import ClientTls
from croupier.transport.client import Channel
from croupier.transport.client_connection import ClientConnection
from croupier.transport.http2.client_call import ClientCall
from croupier.transport.http2.client_session import CLOSED, ClientSession
from croupier.transport.http2.counted_call import CountedCall, Counts, expired
from croupier.transport.http2.limits import Limits

LATE = "not answered in time"
# A call that is looked at, and when it ended.
Look = Callable[[CountedCall, float], None]


def limits(timeout: float) -> Limits:
    """For a peer that was asked for what it sends, and that all of our own memory may be spent on."""
    return Limits(
        connection_bytes=2**30,
        floor_bytes=2**26,
        total_bytes=2**31,
        max_message_bytes=64 * 2**20,
        handshake_seconds=max(1.0, min(timeout, 10.0)),
        control_burst=100_000,
        control_rate=100_000,
    )


class Outbox:
    """Connections that have something to send, while requests are put on them; None in between."""

    def __init__(self) -> None:
        self.touched: list[ClientConnection] | None = None

    def flush(self) -> None:
        touched, self.touched = self.touched or (), None
        for connection in touched:
            connection.flush()


class Line(Channel):
    """One connection to `target`. `look` gets the ended calls that are not counted yet, or were to be kept.

    `on_ended(line, answered, failed)` is told how many calls have ended, if it is set.
    """

    def __init__(
        self,
        target: str,
        counts: Counts,
        look: Look,
        outbox: Outbox,
        *,
        timeout: float,
        tls: ClientTls | None = None,
        authority: str = "",
    ) -> None:
        super().__init__(
            target, tls=tls, limits=limits(timeout), authority=authority, user_agent="croupier-bench"
        )
        self.counts = counts
        self.outbox = outbox
        self.on_ended: Callable[[Line, int, int], None] | None = None
        self._look = look

    def send(self, call: CountedCall) -> None:
        session = self._session
        if session is None or not session.start(call):
            # Until there is a connection, the channel has it, and hands it on if there will be none.
            call.done = self._broken
            self._start_later(call)

    def open(self, call: ClientCall, pairs: tuple[tuple[bytes, bytes], ...]) -> bool:
        """Begin a streaming call; False if there is no connection, and one is being made."""
        session = self._session
        if session is not None and session.open(call, pairs):
            return True
        self._find_session().add_done_callback(_heard)
        return False

    def expire(self, before: float) -> None:
        """End the calls that were due before a moment."""
        for connection in self._connections:
            for call in expired(connection.session, before):
                call.abort(Code.DEADLINE_EXCEEDED, LATE)

    def look_at(self, rest: Sequence[CountedCall], ended: int, now: float) -> None:
        """So many unary calls have ended, of which `rest` has those that are not simply answered."""
        failed = 0
        for call in rest:
            if call.is_unprocessed and not self._is_closed and call.renew():
                self._again(call)
                ended -= 1
                continue
            failed += call.code != Code.OK or call.has_failed_item
            self._look(call, now if call.code == Code.OK else time.monotonic())
        if self.on_ended is not None and ended:
            self.on_ended(self, ended - failed, failed)

    def _broken(self, call: ClientCall) -> None:
        """There was no connection for it."""
        assert isinstance(call, CountedCall)
        self._look(call, time.monotonic())
        if self.on_ended is not None:
            self.on_ended(self, 0, 1)

    def _new_connection(self) -> ClientConnection:
        session = ClientSession(
            self.limits,
            time.monotonic(),
            authority=self._authority,
            secure=self._tls is not None,
            user_agent=self._user_agent,
        )
        return _Connection(self, session)


class _Connection(ClientConnection):
    def __init__(self, line: Line, session: ClientSession) -> None:
        super().__init__(line, session, asyncio.get_running_loop(), time.monotonic)
        self._line = line

    def deliver(self) -> None:
        session = self.session
        if completed := session.take_completed():
            # What was read is as old as the bytes that it came with.
            now = session.now
            rest = self._line.counts.take(completed, now)
            self._has_answered = self._has_answered or len(rest) < len(completed)
            for call in rest:
                self._note(call)
            self._line.look_at(rest, len(completed), now)
        session.take_begun()
        for call, kind in session.take_events():
            if kind == CLOSED:
                self._note(call)
            if call.tag is not None:
                call.tag()

    def waker(self) -> Callable[[], object]:
        return self._wake

    def _wake(self) -> None:
        if (touched := self._line.outbox.touched) is not None:
            touched.append(self)
        else:
            self.loop.call_soon(self.flush)


def _heard(finding: asyncio.Future[ClientSession]) -> None:
    """Whoever needs the connection looks again."""
    if not finding.cancelled():
        finding.exception()
