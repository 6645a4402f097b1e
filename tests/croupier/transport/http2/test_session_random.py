"""Two joined sessions under whatever their owners do, in any order: what is said arrives, every call
ends once, and nothing is held for it in the end."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.pair import BATCH, UNARY, Pair, events_of, taken

from croupier.codes import Code
from croupier.transport.http2.client_call import ClientCall
from croupier.transport.http2.client_session import CLOSED
from croupier.transport.http2.limits import Limits
from croupier.transport.http2.server_call import ServerCall
from croupier.transport.http2.server_session import CANCELLED, ENDED

KNOWN_ENDS = {0, 1, 3, 4, 8, 12, Code.UNAVAILABLE}
TINY = Limits(
    stream_window=2**16,
    connection_window=2**16,
    stream_queue=2**14,
    max_message_bytes=2**18,
    max_concurrent_streams=8,
    floor_bytes=2**19,
    connection_bytes=2**19,
    total_bytes=2**19,
    control_burst=2**20,
    reset_burst=2**20,
)
sizes = st.sampled_from([0, 1, 100, 2**14, 2**16 - 5, 2**16, 2**17, 2**18, 2**18 + 1])
picks = st.integers(0, 2**16)


class Owners(RuleBasedStateMachine):
    @initialize(step=st.sampled_from([1, 7, 9, 1000, 16_393, 2**20]), crowded=st.booleans())
    def begin(self, step: int, crowded: bool) -> None:
        # Small steps are for small messages: 256 KiB would take seconds that way.
        self.most = 100 * step
        self.pair = Pair(
            TINY if crowded else Limits(stream_window=2**16, connection_window=2**16),
            cut=lambda data: (data[at : at + step] for at in range(0, len(data), step)),
        )
        self.started: list[ClientCall] = []
        self.cancelled: set[ClientCall] = set()
        self.number = 0
        # What was sent and what came, by the client's or the server's call that it was sent with.
        self.sent: defaultdict[Any, list[bytes]] = defaultdict(list)
        self.came: defaultdict[Any, list[bytes]] = defaultdict(list)

    def message(self, size: int) -> bytes:
        self.number += 1
        return (b"%d:" % self.number).ljust(min(size, self.most), b".")

    def streams(self) -> list[ClientCall]:
        return [call for call in self.started if call.request is None]

    def client_call(self, pick: int) -> ClientCall:
        return self.started[pick % len(self.started)]

    def server_call(self, pick: int) -> ServerCall:
        return self.pair.calls[pick % len(self.pair.calls)]

    # The client's owner

    @rule(path=st.sampled_from([BATCH, UNARY, "/test.Pair/Nothing"]), size=sizes)
    def start(self, path: str, size: int) -> None:
        call = ClientCall(path.encode(), self.message(size), 1.0)
        if self.pair.client.start(call):
            self.started.append(call)

    @rule(pairs=st.lists(st.tuples(st.sampled_from([b"a", b"b-bin"]), st.sampled_from([b"", b"x"]))))
    def open(self, pairs: list[tuple[bytes, bytes]]) -> None:
        call = ClientCall(b"/test.Pair/Stream")
        if self.pair.client.open(call, pairs):
            self.started.append(call)

    @precondition(lambda self: self.streams())
    @rule(pick=picks, size=sizes, ends=st.booleans())
    def send(self, pick: int, size: int, ends: bool) -> None:
        call = self.streams()[pick % len(self.streams())]
        message = self.message(size)
        call.send(message)
        self.sent[call].append(message)
        if ends:
            call.end()

    @precondition(lambda self: self.started)
    @rule(pick=picks)
    def client_takes(self, pick: int) -> None:
        call = self.client_call(pick)
        if call.request is None:
            self.came[call] += taken(call)

    @precondition(lambda self: self.started)
    @rule(pick=picks)
    def cancel(self, pick: int) -> None:
        call = self.client_call(pick)
        if not call.is_done:
            self.cancelled.add(call)
            call.cancel()

    @precondition(lambda self: self.started)
    @rule(pick=picks)
    def abort(self, pick: int) -> None:
        self.client_call(pick).abort(Code.DEADLINE_EXCEEDED, "too late")

    # The server's owner

    @precondition(lambda self: self.pair.calls)
    @rule(pick=picks, size=sizes)
    def server_sends(self, pick: int, size: int) -> None:
        call = self.server_call(pick)
        message = self.message(size)
        if call.route.is_streaming:
            call.send(message)
        else:
            call.reply(message)
        self.sent[call].append(message)

    @precondition(lambda self: self.pair.calls)
    @rule(pick=picks)
    def server_takes(self, pick: int) -> None:
        call = self.server_call(pick)
        if call.route.is_streaming:
            self.came[call] += taken(call)

    @precondition(lambda self: self.pair.calls)
    @rule(pick=picks, how=st.sampled_from(["finish", "fail", "begin"]), pairs=st.booleans())
    def answer(self, pick: int, how: str, pairs: bool) -> None:
        call = self.server_call(pick)
        metadata = [(b"k", b"v")] if pairs else []
        if how == "finish" and call.route.is_streaming:
            call.finish(metadata)
        elif how == "fail":
            call.fail(Code.UNAVAILABLE, "no", b"details", metadata)
        else:
            call.begin(metadata)

    @rule(later=st.sampled_from([0.0, 1.0, 100.0]))
    def expire(self, later: float) -> None:
        self.pair.now += later
        self.pair.server.expire(self.pair.now - 60, self.pair.now - 5)

    # Between them

    @rule()
    def to_server(self) -> None:
        self.pair.to_server()

    @rule()
    def to_client(self) -> None:
        self.pair.to_client()

    @rule()
    def pump(self) -> None:
        self.pair.pump()

    @rule()
    def ping(self) -> None:
        self.pair.server.ping(self.pair.now)

    @rule(how=st.sampled_from(["announce", "server goes", "client goes", "lost"]), chance=st.integers(0, 9))
    def end_connection(self, how: str, chance: int) -> None:
        # Now and then, or nothing else would ever be seen.
        if chance:
            return
        if how == "announce":
            self.pair.server.announce_end()
        elif how == "server goes":
            self.pair.server.go_away()
        elif how == "client goes":
            # Its GOAWAY overtakes requests that are not drained, and who has no call by then may leave.
            self.pair.to_server()
            self.pair.client.go_away()
        else:
            self.pair.server.close()
            self.pair.client.close()
            self.pair.collect()

    @invariant()
    def what_is_held_is_counted(self) -> None:
        server, of_server, client, of_client = self.pair.held
        assert (server, client) == (of_server, of_client)
        assert 0 <= min(server, client) <= max(server, client) <= self.pair.server.limits.connection_bytes

    @invariant()
    def what_came_was_sent(self) -> None:
        ends = {call.stream_id: call for call in self.pair.calls}
        for call in self.started:
            served = ends.get(call.stream_id)
            for source, sink in ((call, served), (served, call)):
                came = self.came.get(sink, [])
                assert came == self.sent.get(source, [])[: len(came)]

    def teardown(self) -> None:
        if not hasattr(self, "pair"):
            return
        for call in self.streams():
            call.end()
        waits = 0
        while any(not call.is_done for call in self.started):
            self.pair.pump()
            for call in self.streams():
                self.came[call] += taken(call)
            for served in self.pair.calls:
                if not served.route.is_streaming:
                    served.reply(b"answer")
                elif served.is_remote_ended:
                    self.came[served] += taken(served)
                    served.finish()
                else:
                    self.came[served] += taken(served)
            waits += 1
            assert waits < 1000, "a call does not end"
        self.pair.pump()
        self.what_came_was_sent()
        # A stream that its server answered early is still open for what the client may be sending.
        self.pair.server.expire(0, self.pair.now + 1)
        self.pair.check_nothing_left()
        for call in self.started:
            told = self.pair.completed.count(call) + events_of(self.pair.client_events, call).count(CLOSED)
            assert told == (call not in self.cancelled)
            assert call.code in KNOWN_ENDS, (call.code, call.status_message)
        for served in self.pair.calls:
            kinds = events_of(self.pair.server_events, served)
            assert not served.is_open
            assert kinds.count(ENDED) <= 1
            assert kinds.count(CANCELLED) <= 1


Owners.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestOwners = Owners.TestCase
