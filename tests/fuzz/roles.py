"""Who uses a session in a fuzz test: a server and a client that do what owners of sessions do.

They answer, send, cancel and take messages by simple rules without chance in them, note what they saw, and
assert what must hold whatever the peer sent.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from support.http2_peer import settings

from croupier.codes import Code
from croupier.transport.http2.call import MESSAGE_EVENT
from croupier.transport.http2.client_call import ClientCall
from croupier.transport.http2.client_session import CLOSED, ClientSession
from croupier.transport.http2.limits import Limits
from croupier.transport.http2.server_call import Route, ServerCall
from croupier.transport.http2.server_session import CANCELLED, ENDED, OPENED, READY, ServerSession
from croupier.transport.http2.wire import Budget
from croupier.transport.metadata import decode_pairs

BATCH, UNARY, STREAM = "/fuzz.F/Batch", "/fuzz.F/Unary", "/fuzz.F/Stream"

# nghttp2 counts one CONTINUATION for each read that brings a part of its head, so one that comes byte by
# byte is nine.
LIMITS = Limits(max_message_bytes=2**20, connection_bytes=2**22, total_bytes=2**22, max_continuations=1000)
TINY_LIMITS = Limits(
    max_message_bytes=1000,
    max_header_bytes=400,
    max_concurrent_streams=4,
    stream_window=2**16,
    connection_window=2**16,
    stream_queue=100,
    floor_bytes=500,
    connection_bytes=4000,
    total_bytes=4000,
    reset_burst=5,
    reset_rate=1,
    control_burst=20,
    max_continuations=2,
    max_settings=4,
)
# No input of a few kilobytes makes a session write for ever.
_MOST_DRAINS = 2_000


class Role:
    """A session, and somebody who uses it as its owner would."""

    session: Any

    def __init__(self, *, tiny: bool = False, late: bool = False) -> None:
        self.limits = TINY_LIMITS if tiny else LIMITS
        self.budget = Budget(self.limits.total_bytes)
        self.is_late = late
        self.now = 1000.0

    def read(self, data: bytes) -> None:
        self.session.receive(data, self.now)
        self.now += 0.001
        self.handle()
        self.drain()

    def drain(self) -> None:
        for _ in range(_MOST_DRAINS):
            self.session.drain()
            self.handle()
            if not self.session.has_more:
                return
        raise AssertionError("the session writes for ever")

    def settle(self) -> None:
        """Everything was read: the session waits for more, or says that it is finished."""
        self.finish()
        self.handle()
        self.drain()
        assert self.session.is_finished or not self.session.is_broken

    def close(self) -> None:
        self.session.close()
        self.handle()
        assert self.session.is_finished
        assert not self.session.has_more
        assert self.session.open_calls == 0
        self.let_go()
        assert (self.session.held, self.budget.used) == (0, 0)
        self.session.receive(b"more", self.now)
        assert self.session.drain() == b""
        self.check()

    def handle(self) -> None: ...
    def finish(self) -> None: ...
    def cancel(self) -> None: ...
    def let_go(self) -> None: ...
    def check(self) -> None: ...


class Server(Role):
    def __init__(self, *, tiny: bool = False, late: bool = False) -> None:
        super().__init__(tiny=tiny, late=late)
        routes = (Route(BATCH, batch=True), Route(UNARY), Route(STREAM, streaming=True))
        table = {route.path.encode(): route for route in routes}
        self.session = ServerSession(self.limits, self.now, table, self.budget)
        # What was handed over, in order, for whoever compares.
        self.seen: list[tuple[Any, ...]] = []
        self.calls: dict[ServerCall, int] = {}
        self.cancelled: set[ServerCall] = set()

    def handle(self) -> None:
        for call in self.session.take_batch():
            self.take(call)
            call.on_cancel = lambda call=call: self.cancelled_now(call)
            self.answer(call)
        for item, kind in self.session.take_events():
            if kind == CANCELLED and not isinstance(item, ServerCall):
                item()
            else:
                self.on_event(item, kind)

    def on_event(self, call: ServerCall, kind: int) -> None:
        if kind in (OPENED, READY):
            self.take(call)
        elif kind == CANCELLED:
            self.cancelled_now(call)
        while kind in (OPENED, MESSAGE_EVENT) and (message := call.take()) is not None:
            self.seen.append((call.stream_id, message))
            if not self.is_late:
                call.send(message)
        if kind == ENDED:
            self.seen.append((call.stream_id, "ended"))
        if kind in (READY, ENDED):
            self.answer(call)

    def take(self, call: ServerCall) -> None:
        assert call not in self.calls
        self.calls[call] = len(self.calls)
        metadata = call.raw_metadata()
        with suppress(ValueError):
            decode_pairs(metadata)
        message = None if call.route.is_streaming else call.message
        assert call.route.is_streaming or isinstance(message, bytes)
        self.seen.append((call.stream_id, call.path, call.deadline, metadata, message))

    def cancelled_now(self, call: ServerCall) -> None:
        assert not call.is_open
        assert call not in self.cancelled
        self.cancelled.add(call)

    def answer(self, call: ServerCall) -> None:
        if self.is_late:
            return
        kind = self.calls[call] % 4
        if kind == 0:
            call.fail(Code.INVALID_ARGUMENT, "no: é", b"details", ((b"a", b"b"),))
        elif call.route.is_streaming:
            call.finish(((b"trailing", b"x"),) if kind == 1 else ())
        elif kind < 3:
            call.reply(call.message * kind)

    def finish(self) -> None:
        self.is_late = False
        for call in self.calls:
            if call.is_open:
                self.answer(call)

    def let_go(self) -> None:
        for call in self.calls:
            call.let_go_all()

    def check(self) -> None:
        assert not any(call.is_open for call in self.calls)


class Client(Role):
    def __init__(self, *, tiny: bool = False, late: bool = False) -> None:
        super().__init__(tiny=tiny, late=late)
        self.session = ClientSession(self.limits, self.now, self.budget, authority="fuzz:1")
        self.unary = [ClientCall(BATCH.encode(), b"request %d" % i, 0.5 * i or None) for i in range(3)]
        self.streams = [ClientCall(STREAM.encode(), None, 1.0) for _ in range(2)]
        for stream in self.streams:
            assert self.session.open(stream, ((b"a", b"b"),))
            stream.send(b"first")
        for call in self.unary:
            assert self.session.start(call)
        self.streams[0].end()
        self.ended: list[ClientCall] = []
        self.seen: list[tuple[Any, ...]] = []
        self.dropped: list[ClientCall] = []
        # Until it knows how many its peer takes, it sends one call alone.
        self.session.receive(settings(), self.now)
        self.session.drain()

    def handle(self) -> None:
        for call in self.session.take_completed():
            self.on_end(call)
        for call, kind in self.session.take_events():
            if not self.is_late:
                while (message := call.take()) is not None:
                    self.seen.append((call.stream_id, message))
                    call.send(message)
            if kind == CLOSED:
                self.on_end(call)

    def on_end(self, call: ClientCall) -> None:
        assert call not in self.ended
        assert call not in self.dropped
        self.ended.append(call)
        assert call.is_done
        assert 0 <= call.code <= 16
        assert not (call.code == Code.OK and call.is_broken)
        metadata = call.raw_metadata(), call.raw_metadata(trailing=True)
        texts = call.status_message, call.details, call.is_broken, call.is_unprocessed
        self.seen.append((call.stream_id, call.code, call.message, *texts, *metadata))
        if call.is_unprocessed and call.path == BATCH.encode() and call.renew():
            self.ended.remove(call)
            if not self.session.start(call):
                call.abort(Code.UNAVAILABLE, "there is no connection")
                self.ended.append(call)

    def finish(self) -> None:
        self.is_late = False
        for stream in self.streams:
            stream.end()

    def cancel(self) -> None:
        for call in (self.unary[1], self.streams[1]):
            if not call.is_done:
                call.cancel()
                self.dropped.append(call)

    def check(self) -> None:
        assert set(self.ended) | set(self.dropped) == {*self.unary, *self.streams}
