"""A client's and a server's session joined in memory: bytes go over when a test says so, and at its time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from croupier.transport.http2.client_call import ClientCall
from croupier.transport.http2.client_session import ClientSession
from croupier.transport.http2.limits import Limits
from croupier.transport.http2.server_call import Route, ServerCall
from croupier.transport.http2.server_session import CANCELLED, OPENED, READY, ServerSession
from croupier.transport.http2.session import Session
from croupier.transport.http2.wire import Budget

BATCH, UNARY, STREAM = "/test.Pair/Batch", "/test.Pair/Unary", "/test.Pair/Stream"
WINDOW = QUEUE = 2**16
MIB = 2**20
# Both windows at once, since the connection's is consumed as bytes come.
NARROW = Limits(stream_window=WINDOW, connection_window=WINDOW, stream_queue=QUEUE)
# How an answer begins.
HEAD = [(":status", "200"), ("content-type", "application/grpc")]
# No test needs so many; a pair that does not settle is a failure, and not a test that hangs.
_MOST_TURNS = 10_000

Cut = Callable[[bytes], Iterable[bytes]]


def whole(data: bytes) -> Iterable[bytes]:
    return (data,)


def pieces(size: int) -> Cut:
    def cut(data: bytes) -> Iterable[bytes]:
        return (data[at : at + size] for at in range(0, len(data), size))

    return cut


CUTS = {"whole": whole, "byte by byte": pieces(1), "by 7": pieces(7), "by 1000": pieces(1000)}


class Pair:
    """Both sessions, what happened at each, and the calls that the server was handed.

    `cut` splits what goes over into reads. Events are (call, kind) as the sessions tell them.
    """

    def __init__(
        self,
        limits: Limits = Limits(),
        *,
        client_limits: Limits | None = None,
        cut: Cut = whole,
        **options: Any,
    ) -> None:
        self.now = 1000.0
        self.cut = cut
        routes = (Route(BATCH, batch=True), Route(UNARY), Route(STREAM, streaming=True))
        self.server_budget = Budget(limits.total_bytes)
        self.server = ServerSession(
            limits, self.now, {route.path.encode(): route for route in routes}, self.server_budget
        )
        client_limits = client_limits or limits
        self.client_budget = Budget(client_limits.total_bytes)
        self.client = ClientSession(
            client_limits, self.now, self.client_budget, authority="pair:1", **options
        )
        self.calls: list[ServerCall] = []
        self.server_events: list[tuple[Any, int]] = []
        self.client_events: list[tuple[ClientCall, int]] = []
        self.completed: list[ClientCall] = []
        self.begun: list[ClientCall] = []
        self.pump()

    def pump(self) -> None:
        """Carry bytes both ways until neither side has anything to say."""
        for _ in range(_MOST_TURNS):
            to_server, to_client = self.client.drain(), self.server.drain()
            self.collect()
            if not to_server and not to_client:
                return
            self.deliver(self.server, to_server)
            self.deliver(self.client, to_client)
        raise AssertionError("they talk for ever")

    def to_server(self) -> int:
        """Carry once what the client has to send; how many bytes that was."""
        return self.deliver(self.server, self.client.drain())

    def to_client(self) -> int:
        return self.deliver(self.client, self.server.drain())

    def deliver(self, session: Session, data: bytes) -> int:
        for part in self.cut(data):
            assert session.receive(part, self.now) == len(part)
            self.collect()
        return len(data)

    def collect(self) -> None:
        self.calls += self.server.take_batch()
        for item, kind in self.server.take_events():
            self.server_events.append((item, kind))
            if kind in (OPENED, READY):
                self.calls.append(item)
        self.client_events += self.client.take_events()
        self.completed += self.client.take_completed()
        self.begun += self.client.take_begun()

    # Calls

    def start(
        self,
        path: str = BATCH,
        request: bytes = b"request",
        timeout: float | None = None,
        pairs: tuple[tuple[bytes, bytes], ...] = (),
    ) -> ClientCall:
        """A unary call, not on its way yet."""
        call = ClientCall(path.encode(), request, timeout, pairs=pairs)
        assert self.client.start(call)
        return call

    def open(
        self,
        pairs: Iterable[tuple[bytes, bytes]] = (),
        timeout: float | None = None,
    ) -> ClientCall:
        """A streaming call, not on its way yet."""
        call = ClientCall(STREAM.encode(), None, timeout)
        assert self.client.open(call, pairs)
        return call

    def unary(
        self, path: str = BATCH, request: bytes = b"request", pairs: tuple[tuple[bytes, bytes], ...] = ()
    ) -> tuple[ClientCall, ServerCall]:
        """A unary call that has arrived, at both ends."""
        call = self.start(path, request, pairs=pairs)
        self.pump()
        return call, self.calls[-1]

    def stream(self, pairs: Sequence[tuple[bytes, bytes]] = ()) -> tuple[ClientCall, ServerCall]:
        """A streaming call that has arrived, at both ends."""
        call = self.open(pairs)
        self.pump()
        return call, self.calls[-1]

    @property
    def held(self) -> tuple[int, int, int, int]:
        """What is held at the server and at the client, by session and by budget."""
        return self.server.held, self.server_budget.used, self.client.held, self.client_budget.used

    @property
    def open_calls(self) -> tuple[int, int]:
        return self.server.open_calls, self.client.open_calls

    def check_nothing_left(self) -> None:
        """Every call has ended, and nothing is held for any that is not used."""
        self.pump()
        for call in self.calls:
            call.let_go_all()
        assert self.open_calls == (0, 0)
        assert self.held == (0, 0, 0, 0)


def events_of(events: Iterable[tuple[Any, int]], call: Any) -> list[int]:
    """The kinds of what happened to `call`, in order."""
    return [kind for item, kind in events if item is call]


def taken(call: Any) -> list[bytes]:
    """Every message of `call` that can be taken now."""
    messages = []
    while (message := call.take()) is not None:
        messages.append(message)
    return messages


def cancellations(pair: Pair, served: ServerCall) -> int:
    """How often whoever serves a call heard that it was cancelled."""
    return events_of(pair.server_events, served).count(CANCELLED)


def pattern(size: int) -> bytes:
    """No part of it is like another."""
    return b"".join(number.to_bytes(4) for number in range(size // 4 + 1))[:size]
