"""Requests that do not come to their end, and callers who go on after the answer."""

from __future__ import annotations

from support import http2_peer as http2
from support.pair import BATCH, NARROW, STREAM, UNARY, WINDOW, Pair, taken

from croupier.codes import Code
from croupier.transport.http2.limits import Limits


class TestSlowRequests:
    """`expire`: what a server does about peers that do not come to an end."""

    def test_a_unary_request_that_is_not_whole(self, pair: Pair) -> None:
        call = pair.start(BATCH, bytes(100_000))
        pair.to_server()
        pair.server.expire(pair.now, pair.now)
        pair.to_client()
        assert not call.is_done
        pair.server.expire(pair.now + 1, pair.now)
        pair.pump()
        assert (call.code, call.is_broken, pair.calls) == (Code.DEADLINE_EXCEEDED, False, [])

    def test_streams_and_whole_requests_are_left_alone(self, pair: Pair) -> None:
        (call, served), (other, other_served) = pair.unary(), pair.stream()
        pair.server.expire(pair.now + 1000, pair.now + 1000)
        pair.pump()
        assert (served.is_open, other_served.is_open) == (True, True)
        served.reply(b"")
        other.cancel()
        pair.pump()
        assert call.code == Code.OK

    def test_headers_that_end_too_late_are_nobodys(self, pair: Pair) -> None:
        fields = http2.block(http2.request_fields(STREAM))
        head, rest = fields[:20], fields[20:]
        pair.server.receive(http2.frame(http2.HEADERS, 1, head, flags=0), pair.now)
        pair.server.expire(pair.now + 1, pair.now)
        pair.server.receive(http2.frame(http2.CONTINUATION, 1, rest, http2.END_HEADERS), pair.now)
        assert pair.server.take_events() == ()
        pair.server.close()
        assert pair.server.take_events() == ()

    def test_who_goes_on_sending_is_told_to_stop(self) -> None:
        # Our client resets a call by itself once it is answered: this one does not hear of it.
        pair = Pair(NARROW)
        call, served = pair.stream()
        served.fail(Code.UNAVAILABLE, "")
        answer = pair.server.drain()
        pair.server.expire(0, pair.now)
        assert pair.server.open_calls == 1
        pair.server.expire(0, pair.now + 1)
        reset = pair.server.drain()
        assert pair.server.open_calls == 0
        pair.deliver(pair.client, answer + reset)
        assert (call.code, call.is_broken) == (Code.UNAVAILABLE, False)
        pair.check_nothing_left()

    def test_an_answer_that_is_read_slowly_is_not_cut_off(self, pair: Pair) -> None:
        call, served = pair.stream()
        served.send(bytes(WINDOW))
        served.send(bytes(WINDOW))
        served.finish()
        pair.pump()
        for _ in range(3):
            pair.now += 10
            pair.server.expire(pair.now - 60, pair.now - 5)
            pair.pump()
        assert not call.is_done
        for _ in range(2):
            assert taken(call) == [bytes(WINDOW)]
            pair.pump()
        assert (call.code, call.is_done) == (Code.OK, True)

    def test_an_answer_that_waits_is_not_cut_off_by_what_comes(self) -> None:
        # One read brings a request, enough to refuse it, and much more of it.
        pair = Pair(Limits(max_message_bytes=1000), client_limits=Limits())
        for path, code in (
            ("/test.Pair/Nothing", Code.UNIMPLEMENTED),
            (BATCH, Code.RESOURCE_EXHAUSTED),
            (UNARY, Code.RESOURCE_EXHAUSTED),
        ):
            call = pair.start(path, bytes(900_000))
            pair.check_nothing_left()
            assert (call.code, call.is_broken) == (code, False)
