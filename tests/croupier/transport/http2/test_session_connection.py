"""A connection of two joined sessions from its first frame to its last: settings, pings, GOAWAY, end."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.pair import BATCH, STREAM, Pair, events_of

from croupier.codes import Code
from croupier.transport.http2.client_call import ClientCall
from croupier.transport.http2.client_session import CLOSED, ClientSession
from croupier.transport.http2.limits import Limits
from croupier.transport.http2.server_call import Route
from croupier.transport.http2.server_session import ServerSession


class TestSettled:
    def test_by_the_first_frame(self) -> None:
        server = ServerSession(Limits(), 0.0, {})
        client = ClientSession(Limits(), 0.0, authority="x:1")
        assert (server.is_settled, client.is_settled) == (False, False)
        server.receive(client.drain(), 0.0)
        client.receive(server.drain(), 0.0)
        assert (server.is_settled, client.is_settled) == (True, True)

    def test_calls_need_not_wait_for_it(self) -> None:
        client = ClientSession(Limits(), 0.0, authority="x:1")
        call = ClientCall(BATCH.encode(), b"early")
        assert client.start(call)
        server = ServerSession(Limits(), 0.0, {BATCH.encode(): Route(BATCH, batch=True)})
        server.receive(client.drain(), 0.0)
        [served] = server.take_batch()
        served.reply(b"answer")
        client.receive(server.drain(), 0.0)
        assert ([call], b"answer") == (client.take_completed(), call.message)


class TestPing:
    def test_is_answered(self) -> None:
        pair = Pair()
        for session, carry in ((pair.client, pair.to_server), (pair.server, pair.to_client)):
            assert session.ping_at == 0.0
            session.ping(5.0)
            carry()
            assert session.ping_at == 5.0
            pair.pump()
            assert session.ping_at == 0.0

    def test_one_at_a_time(self) -> None:
        pair = Pair()
        pair.client.ping(5.0)
        first = pair.to_server()
        pair.client.ping(6.0)
        assert (pair.client.ping_at, pair.to_server(), first > 0) == (5.0, 0, True)


class TestConcurrentStreams:
    LIMITS = Limits(max_concurrent_streams=1)

    def test_one_call_goes_ahead_of_the_peers_settings(self) -> None:
        client = ClientSession(Limits(), 0.0, authority="x:1")
        for number in range(3):
            assert client.start(ClientCall(BATCH.encode(), b"%d" % number))
        server = ServerSession(Limits(), 0.0, {BATCH.encode(): Route(BATCH, batch=True)})
        server.receive(client.drain(), 0.0)
        assert [served.message for served in server.take_batch()] == [b"0"]
        client.receive(server.drain(), 0.0)
        server.receive(client.drain(), 0.0)
        assert [served.message for served in server.take_batch()] == [b"1", b"2"]

    def test_calls_queue_behind_the_peers_limit(self) -> None:
        pair = Pair(self.LIMITS)
        calls = [pair.start(request=b"%d" % number) for number in range(3)]
        for number in range(3):
            pair.pump()
            assert number + 1 == len(pair.calls)
            assert pair.calls[-1].message == b"%d" % number
            pair.calls[-1].reply(b"answer")
        pair.check_nothing_left()
        assert [call.code for call in calls] == [Code.OK] * 3

    def test_a_call_that_is_cancelled_in_the_queue_is_never_sent(self) -> None:
        pair = Pair(self.LIMITS)
        first, second, third = (pair.start(request=b"%d" % number) for number in range(3))
        pair.pump()
        second.cancel()
        pair.pump()
        pair.calls[0].reply(b"")
        pair.pump()
        assert [served.message for served in pair.calls[1:]] == [b"2"]
        pair.calls[1].reply(b"")
        pair.check_nothing_left()
        assert [first, third] == pair.completed

    def test_a_peer_that_goes_away_leaves_the_queue_to_be_sent_elsewhere_at_once(self) -> None:
        pair = Pair(self.LIMITS)
        stream, served = pair.stream()
        waiting, waiting_stream = pair.start(), pair.open()
        pair.pump()
        pair.server.announce_end()
        pair.pump()
        # The call that is under way may take for ever; those behind it do not wait for that.
        assert [waiting] == pair.completed
        assert (waiting.code, waiting.is_broken, waiting.is_unprocessed) == (Code.UNAVAILABLE, True, True)
        assert (waiting_stream.is_done, events_of(pair.client_events, waiting_stream)) == (True, [CLOSED])
        assert not stream.is_done
        stream.end()
        served.finish()
        pair.check_nothing_left()
        assert stream.code == Code.OK


class TestGoingAway:
    def test_gracefully(self) -> None:
        pair = Pair()
        early, served = pair.unary()
        late = pair.start()
        sent = pair.client.drain()
        pair.server.announce_end()
        pair.server.ping(pair.now)
        pair.to_client()
        # The client knows, and starts nothing more; what it had sent before is served all the same.
        assert (pair.client.is_going_away, pair.client.is_usable) == (True, False)
        assert not pair.client.start(ClientCall(BATCH.encode(), b""))
        assert not pair.client.open(ClientCall(STREAM.encode()))
        pair.deliver(pair.server, sent)
        pair.to_server()
        assert (pair.server.ping_at, len(pair.calls)) == (0.0, 2)
        pair.server.go_away()
        pair.server.go_away()
        for call in (served, pair.calls[-1]):
            pair.pump()
            assert (pair.server.is_finished, pair.client.is_finished) == (False, False)
            call.reply(b"answer")
        pair.pump()
        assert [early.code, late.code] == [Code.OK, Code.OK]
        assert (pair.server.is_finished, pair.client.is_finished) == (True, True)
        pair.check_nothing_left()

    def test_what_comes_after_it_was_not_processed(self) -> None:
        pair = Pair()
        first, served = pair.unary()
        pair.server.go_away()
        goodbye = pair.server.drain()
        late, late_stream = pair.start(), pair.open()
        pair.pump()
        assert len(pair.calls) == 1
        pair.deliver(pair.client, goodbye)
        assert (late.code, late.is_broken, late.is_unprocessed) == (Code.UNAVAILABLE, True, True)
        assert (late_stream.code, late_stream.is_unprocessed) == (Code.UNAVAILABLE, True)
        served.reply(b"")
        pair.check_nothing_left()
        assert (first.code, first.is_unprocessed) == (Code.OK, False)

    def test_a_client_that_goes_away_still_gets_its_answers(self) -> None:
        pair = Pair()
        call, served = pair.unary()
        pair.client.go_away()
        pair.pump()
        assert (pair.client.is_finished, pair.client.is_usable) == (False, False)
        served.reply(b"answer")
        pair.pump()
        assert (call.message, pair.client.is_finished, pair.server.is_finished) == (b"answer", True, True)

    def test_what_waits_behind_the_peers_limit_is_not_sent_by_a_client_that_goes_away(self) -> None:
        pair = Pair(Limits(max_concurrent_streams=1))
        under_way, waiting = pair.open(), pair.open()
        pair.pump()
        pair.client.go_away()
        pair.pump()
        assert (waiting.is_done, waiting.code, waiting.is_unprocessed) == (True, Code.UNAVAILABLE, True)
        assert not under_way.is_done

    def test_without_calls_it_is_the_end(self) -> None:
        for by in ("client", "server"):
            pair = Pair()
            getattr(pair, by).go_away()
            assert not getattr(pair, by).is_finished
            pair.pump()
            assert (pair.client.is_finished, pair.server.is_finished) == (True, True)

    @pytest.mark.parametrize("stage", ["to be sent", "sent", "answered"])
    def test_terminate_gives_up_what_is_under_way(self, stage: str) -> None:
        pair = Pair()
        call = pair.start()
        if stage != "to be sent":
            pair.to_server()
        if stage == "answered":
            pair.calls[0].reply(b"too late")
        pair.server.terminate(2)
        pair.pump()
        assert (pair.server.is_finished, pair.client.is_usable) == (True, False)
        for session in (pair.server, pair.client):
            session.close()
        pair.collect()
        assert ([call], Code.UNAVAILABLE, True) == (pair.completed, call.code, call.is_broken)
        pair.check_nothing_left()


class TestIds:
    def test_they_run_out_long_before_they_end(self) -> None:
        pair = Pair()
        pair.client.skip_to(2**31 - 2**20 - 3)
        first, second = pair.start(), pair.start()
        assert not pair.client.start(ClientCall(BATCH.encode(), b""))
        pair.pump()
        for served in pair.calls:
            served.reply(b"answer")
        assert (pair.client.is_usable, pair.client.is_going_away) == (False, False)
        pair.check_nothing_left()
        assert [first.message, second.message] == [b"answer"] * 2


CLOSED_CALLS: dict[str, Callable[[Pair], object]] = {
    "receive": lambda pair: pair.client.receive(b"anything", 1.0),
    "ping": lambda pair: pair.client.ping(1.0),
    "announce_end": lambda pair: pair.client.announce_end(),
    "go_away": lambda pair: pair.client.go_away(),
    "terminate": lambda pair: pair.client.terminate(1),
    "close": lambda pair: pair.client.close(),
    "start": lambda pair: pair.client.start(ClientCall(BATCH.encode(), b"")),
    "open": lambda pair: pair.client.open(ClientCall(STREAM.encode())),
    "expire": lambda pair: pair.server.expire(2000.0, 2000.0),
}


@pytest.mark.parametrize("name", CLOSED_CALLS)
def test_nothing_can_be_done_with_a_connection_that_is_gone(name: str) -> None:
    pair = Pair()
    pair.unary()
    pair.client.close()
    pair.server.close()
    assert not CLOSED_CALLS[name](pair)
    for session in (pair.client, pair.server):
        assert (session.drain(), session.is_finished, session.is_broken) == (b"", True, True)
    assert (pair.client.ping_at, pair.client.is_usable, pair.open_calls) == (0.0, False, (0, 0))
