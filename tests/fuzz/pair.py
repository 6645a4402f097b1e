"""A client's and a server's session joined in memory, and their owners doing anything at any time.

`play` draws what happens from a seed: calls begin, send, are answered, cancelled and taken from in any order,
while bytes pass between the sessions in pieces of any size. Whatever happens,

- nothing raises, and no call is reported twice or not at all;
- a unary call that ends with OK has the answer to its own request;
- as long as nobody ends a connection, every call ends once both sides have done their part;
- what was held is given back.
"""

from __future__ import annotations

from random import Random
from typing import Any

from fuzz.roles import BATCH, LIMITS, STREAM, TINY_LIMITS, UNARY

from croupier.codes import Code
from croupier.transport.http2.client_call import ClientCall
from croupier.transport.http2.client_session import CLOSED, ClientSession
from croupier.transport.http2.server_call import Route, ServerCall
from croupier.transport.http2.server_session import CANCELLED, OPENED, READY, ServerSession
from croupier.transport.http2.wire import Budget

_SIZES = (0, 1, 10, 100, 100, 700, 20_000, 70_000)
_PIECES = (1, 9, 50, 1_000, 2**30)
_MOST_DRAINS = 2_000
_ROUNDS = 60


class Pair:
    """Both sessions, the bytes between them, and every call of either side."""

    def __init__(self, rng: Random, *, tiny: bool) -> None:
        limits = TINY_LIMITS if tiny else LIMITS
        self.rng = rng
        self.now = 1000.0
        self.budgets = Budget(limits.total_bytes), Budget(limits.total_bytes)
        routes = (Route(BATCH, batch=True), Route(UNARY), Route(STREAM, streaming=True))
        table = {route.path.encode(): route for route in routes}
        self.server = ServerSession(limits, self.now, table, self.budgets[0])
        self.client = ClientSession(limits, self.now, self.budgets[1], authority="pair:1")
        self.sent: dict[Any, bytearray] = {self.server: bytearray(), self.client: bytearray()}
        self.calls: list[ClientCall] = []
        self.ended: set[ClientCall] = set()
        self.dropped: set[ClientCall] = set()
        self.served: list[ServerCall] = []
        self.cancelled: set[ServerCall] = set()

    # What has come is handed on

    def handle(self) -> None:
        for call in self.client.take_completed():
            self.on_end(call)
        for call, kind in self.client.take_events():
            if kind == CLOSED:
                self.on_end(call)
        self.handle_batch()
        for item, kind in self.server.take_events():
            if not isinstance(item, ServerCall):
                item()
            elif kind in (OPENED, READY):
                self.on_request(item)
            elif kind == CANCELLED:
                self.on_cancelled(item)

    def handle_batch(self) -> None:
        for call in self.server.take_batch():
            self.on_request(call)
            if self.rng.random() < 0.5:
                call.on_cancel = lambda call=call: self.on_cancelled(call)  # type: ignore[misc]
            if self.rng.random() < 0.4:
                answer(call)

    def on_end(self, call: ClientCall) -> None:
        assert call.is_done
        assert call not in self.ended | self.dropped
        self.ended.add(call)
        if call.code == Code.OK and call.request is not None:
            assert call.message == b"R" + call.request
        if call.is_unprocessed and call.request is not None and self.rng.random() < 0.5 and call.renew():
            if self.client.start(call):
                self.ended.remove(call)
            else:
                call.abort(Code.UNAVAILABLE, "there is no connection")

    def on_request(self, call: ServerCall) -> None:
        assert call not in self.served
        self.served.append(call)

    def on_cancelled(self, call: ServerCall) -> None:
        assert not call.is_open
        assert call not in self.cancelled
        self.cancelled.add(call)

    # What anybody may do at any time

    def step(self, *, may_end: bool) -> None:
        self.now += self.rng.random() * 0.01
        acts = [
            self.begin,
            self.begin,
            self.call,
            self.call,
            self.serve,
            self.serve,
            self.drain,
            self.move,
            self.move,
        ]
        self.rng.choice([*acts, self.disturb] if may_end else acts)()
        self.handle()

    def begin(self) -> None:
        if self.rng.random() < 0.6:
            path = self.rng.choice((BATCH, UNARY)).encode()
            call = ClientCall(path, self.body(), self.rng.choice((None, 0.5)))
            is_begun = self.client.start(call)
        else:
            call = ClientCall(STREAM.encode())
            is_begun = self.client.open(call, ((b"a", b"b"),))
        if is_begun:
            self.calls.append(call)

    def call(self) -> None:
        if not self.calls:
            return
        call = self.rng.choice(self.calls)
        act = self.rng.randrange(10)
        if act == 0 and not call.is_done:
            call.cancel()
            self.dropped.add(call)
        elif act == 1:
            call.abort(Code.DEADLINE_EXCEEDED, "too late")
        elif call.request is None:
            if act < 4:
                call.end()
            elif act < 7:
                call.send(self.body())
            else:
                take_all(call)

    def serve(self) -> None:
        if not self.served:
            return
        call = self.rng.choice(self.served)
        act = self.rng.randrange(10)
        if act == 0:
            call.fail(Code.NOT_FOUND, "no", b"details", ((b"a", b"b"),))
        elif act < 4:
            answer(call)
        elif call.route.is_streaming:
            if act < 5:
                call.begin(((b"initial", b"i"),))
            elif act < 8:
                call.send(self.body())
            else:
                take_all(call)

    def disturb(self) -> None:
        session = self.rng.choice((self.server, self.client))
        act = self.rng.randrange(20)
        if act < 8:
            session.ping(self.now)
        elif act < 14:
            self.server.expire(self.now - self.rng.choice((0, 1)), self.now - self.rng.choice((0, 1)))
        elif act < 16:
            self.server.announce_end()
        elif act < 18:
            session.go_away()
        elif act == 18:
            session.terminate(self.rng.choice((0, 2, 11)))
        else:
            session.close()

    def body(self) -> bytes:
        return bytes((self.rng.randrange(256),)) * self.rng.choice(_SIZES)

    def drain(self) -> None:
        for session, sent in self.sent.items():
            for _ in range(_MOST_DRAINS):
                sent += session.drain()
                if not session.has_more:
                    break
            else:
                raise AssertionError("a session writes for ever")

    def move(self, most: int = 0) -> None:
        for reader, writer in ((self.server, self.client), (self.client, self.server)):
            size = most or self.rng.choice(_PIECES)
            piece = bytes(self.sent[writer][:size])
            del self.sent[writer][:size]
            reader.receive(piece, self.now)

    # How it ends

    def settle(self) -> None:
        """Both sides do what they still owe, until nothing moves any more."""
        for _ in range(_ROUNDS):
            for served in self.served:
                if served.route.is_streaming:
                    take_all(served)
                answer(served)
            for call in self.calls:
                if call.request is None:
                    call.end()
                    take_all(call)
            self.drain()
            self.move(2**30)
            self.handle()

    def close(self) -> None:
        for session in (self.client, self.server):
            session.close()
            assert not session.has_more
        self.handle()
        assert self.ended | self.dropped == set(self.calls)
        assert not any(call.is_open for call in self.served)
        for call in self.served:
            call.let_go_all()
        assert (self.server.held, self.client.held) == (0, 0)
        assert [budget.used for budget in self.budgets] == [0, 0]


def answer(call: ServerCall) -> None:
    if call.route.is_streaming:
        call.finish(((b"trailing", b"t"),))
    else:
        call.reply(b"R" + (call.message or b""))


def take_all(call: ClientCall | ServerCall) -> None:
    while call.take() is not None:
        pass


def play(seed: int) -> None:
    """One run; raises AssertionError when something does not hold."""
    rng = Random(seed)
    pair = Pair(rng, tiny=rng.random() < 0.5)
    may_end = rng.random() < 0.4
    for _ in range(rng.choice((20, 50, 100, 400))):
        pair.step(may_end=may_end)
    pair.settle()
    # A peer that floods is sent away, which is as good a reason as being told to.
    if not (may_end or pair.server.is_broken or pair.client.is_broken or pair.client.is_finished):
        assert all(call.is_done for call in pair.calls)
    pair.close()
