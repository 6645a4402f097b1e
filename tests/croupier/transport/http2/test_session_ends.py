"""How calls between two joined sessions end before their time: at each stage, by either end, and once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from support import http2_peer as http2
from support.pair import BATCH, STREAM, UNARY, WINDOW, Pair, events_of, taken

from croupier.codes import Code
from croupier.errors import InternalError
from croupier.transport.http2.client_call import ClientCall
from croupier.transport.http2.client_session import CLOSED, HEADERS
from croupier.transport.http2.limits import Limits
from croupier.transport.http2.server_call import ServerCall
from croupier.transport.http2.server_session import CANCELLED, OPENED

NARROW = Limits(stream_window=2**16, connection_window=2**16)


@pytest.fixture
def pair() -> Iterator[Pair]:
    pair = Pair(NARROW)
    yield pair
    pair.check_nothing_left()


def nothing(pair: Pair, call: ClientCall) -> None: ...


def half_sent(pair: Pair, call: ClientCall) -> None:
    pair.to_server()


def arrived(pair: Pair, call: ClientCall) -> None:
    pair.pump()


def answered(pair: Pair, call: ClientCall) -> None:
    pair.pump()
    answer(pair.calls[-1])


def half_received(pair: Pair, call: ClientCall) -> None:
    answered(pair, call)
    pair.to_client()


def ended(pair: Pair, call: ClientCall) -> None:
    answered(pair, call)
    call.end()
    pair.pump()


def answer(served: ServerCall) -> None:
    served.send(bytes(150_000))
    served.finish()


# By how far a call has come: what brings it there.
STAGES: dict[str, Callable[[Pair, ClientCall], None]] = {
    "nothing is sent": nothing,
    "half the request is sent": half_sent,
    "the request is there": arrived,
    "the answer waits to be sent": answered,
    "half the answer is there": half_received,
}
KINDS = [BATCH, UNARY, STREAM]


def begin(pair: Pair, path: str) -> ClientCall:
    """A call whose request takes two windows."""
    if path != STREAM:
        return pair.start(path, bytes(100_000))
    call = pair.open()
    call.send(bytes(100_000))
    return call


def told(pair: Pair, served: ServerCall) -> int:
    """How often whoever serves a call heard that it was cancelled."""
    return events_of(pair.server_events, served).count(CANCELLED)


@pytest.mark.parametrize("path", KINDS)
@pytest.mark.parametrize("stage", STAGES)
class TestByTheClient:
    def test_cancel(self, pair: Pair, stage: str, path: str) -> None:
        call = begin(pair, path)
        STAGES[stage](pair, call)
        call.cancel()
        pair.pump()
        assert (call.is_done, call.code, call.is_unprocessed) == (True, Code.CANCELLED, False)
        # Nobody is told at this end; whoever serves the call is told at the other one, if anybody does.
        assert pair.completed == []
        assert CLOSED not in events_of(pair.client_events, call)
        for served in pair.calls:
            assert not served.is_open
            unanswered = stage in ("half the request is sent", "the request is there")
            assert (unanswered and path != BATCH) == told(pair, served)

    def test_abort(self, pair: Pair, stage: str, path: str) -> None:
        call = begin(pair, path)
        STAGES[stage](pair, call)
        call.abort(Code.DEADLINE_EXCEEDED, "too late")
        call.abort(Code.INTERNAL, "not again")
        pair.pump()
        assert (call.code, call.status_message, call.is_broken) == (Code.DEADLINE_EXCEEDED, "too late", True)
        if path == STREAM:
            assert events_of(pair.client_events, call).count(CLOSED) == 1
        else:
            assert [call] == pair.completed

    def test_twice_over(self, pair: Pair, stage: str, path: str) -> None:
        call = begin(pair, path)
        STAGES[stage](pair, call)
        call.cancel()
        call.cancel()
        call.abort(Code.INTERNAL, "ended already")
        call.send(b"never sent")
        call.end()
        pair.pump()
        assert call.code == Code.CANCELLED
        assert pair.completed == []

    def test_the_connection_is_lost(self, pair: Pair, stage: str, path: str) -> None:
        call = begin(pair, path)
        STAGES[stage](pair, call)
        pair.client.close()
        pair.server.close()
        pair.collect()
        assert (call.code, call.is_broken, call.is_unprocessed) == (Code.UNAVAILABLE, True, False)
        if path == STREAM:
            assert events_of(pair.client_events, call).count(CLOSED) == 1
        else:
            assert [call] == pair.completed
        for served in pair.calls:
            assert not served.is_open
            unanswered = stage in ("half the request is sent", "the request is there")
            assert (unanswered and path != BATCH) == told(pair, served)

    def test_other_calls_are_not_touched(self, pair: Pair, stage: str, path: str) -> None:
        other, served = pair.unary()
        call = begin(pair, path)
        STAGES[stage](pair, call)
        call.cancel()
        served.reply(b"answer")
        pair.pump()
        assert (other.code, other.message) == (Code.OK, b"answer")


class TestByTheServer:
    @pytest.mark.parametrize("path", KINDS)
    def test_an_error_while_the_request_still_comes(self, pair: Pair, path: str) -> None:
        if path == STREAM:
            call, served = pair.stream()
            call.send(bytes(200_000))
            pair.to_server()
            served.fail(Code.UNAVAILABLE, "no")
        else:
            # A unary request that is refused before anybody hears of it.
            call = pair.start("/test.Pair/Nothing", bytes(200_000))
        pair.check_nothing_left()
        assert call.code == (Code.UNAVAILABLE if path == STREAM else Code.UNIMPLEMENTED)
        assert not call.is_broken

    def test_on_cancel_is_told_in_place_of_the_event(self, pair: Pair) -> None:
        calls = [pair.unary(path) for path in (BATCH, UNARY)] + [pair.stream()]
        heard: list[int] = []
        for number, (_, served) in enumerate(calls):
            served.on_cancel = lambda number=number: heard.append(number)
        for call, _ in calls:
            call.cancel()
        pair.pump()
        for item, kind in pair.server_events:
            if kind == CANCELLED:
                item()
        assert heard == [0, 1, 2]

    @pytest.mark.parametrize("answer", ["reply", "fail", "finish"])
    def test_on_cancel_is_not_told_after_an_answer(self, pair: Pair, answer: str) -> None:
        call, served = pair.unary()
        served.on_cancel = lambda: pytest.fail("it was answered")
        if answer == "reply":
            served.reply(b"")
        elif answer == "fail":
            served.fail(Code.UNAVAILABLE, "")
        else:
            served.finish()
        assert served.on_cancel is None
        call.cancel()
        pair.pump()
        assert [kind for _, kind in pair.server_events if kind == CANCELLED] == []

    @pytest.mark.parametrize("end", ["answered", "cancelled", "lost"])
    def test_nothing_can_be_done_with_a_call_that_is_over(self, pair: Pair, end: str) -> None:
        call, served = pair.stream()
        call.end()
        if end == "answered":
            served.finish()
        elif end == "cancelled":
            call.cancel()
            pair.pump()
        else:
            pair.server.close()
            pair.client.close()
        before = pair.server.drain()
        served.reply(b"never")
        served.send(b"never")
        served.begin([(b"never", b"1")])
        served.finish([(b"never", b"1")])
        served.fail(Code.INTERNAL, "never")
        served.refuse_http(500)
        assert (served.is_open, served.is_writable and end != "answered") == (False, False)
        assert pair.server.drain() == b""
        pair.deliver(pair.client, before)
        pair.pump()
        assert taken(call) == []
        assert call.code == {"answered": Code.OK, "cancelled": Code.CANCELLED, "lost": Code.UNAVAILABLE}[end]

    def test_a_cancelled_call_that_was_never_handed_over_is_nobodys(self, pair: Pair) -> None:
        call = pair.start()
        call_data = pair.client.drain()
        call.cancel()
        # The request and its reset in one read.
        pair.server.receive(call_data + pair.client.drain(), pair.now)
        assert all(not served.is_open for served in pair.server.take_batch())

    def test_too_many_metadata_are_the_handlers_mistake(self, pair: Pair) -> None:
        call, served = pair.stream()
        many = [(b"name", b"value")] * 100
        for attempt in (
            lambda: served.begin(many),
            lambda: served.finish(many),
            lambda: served.fail(Code.INTERNAL, "", b"", many),
        ):
            with pytest.raises(InternalError, match="too many metadata"):
                attempt()
        # It can still be answered.
        assert served.is_open
        served.fail(Code.INTERNAL, "mended")
        call.end()
        pair.pump()
        assert (call.code, call.status_message, call.is_broken) == (Code.INTERNAL, "mended", False)

    def test_too_many_metadata_of_a_client_are_its_own_mistake(self, pair: Pair) -> None:
        with pytest.raises(InternalError, match="too many metadata"):
            pair.open([(b"name", b"value")] * 100)
        assert pair.open_calls == (0, 0)
        call, served = pair.unary()
        served.reply(b"goes on")
        pair.pump()
        assert call.message == b"goes on"


def test_a_call_that_was_never_started_can_be_ended() -> None:
    call = ClientCall(STREAM.encode())
    call.send(b"nowhere")
    call.end()
    call.abort(Code.DEADLINE_EXCEEDED, "too late")
    assert (call.is_done, call.code, call.status_message) == (True, Code.DEADLINE_EXCEEDED, "too late")
    other = ClientCall(BATCH.encode(), b"request")
    other.cancel()
    assert (other.is_done, other.code, other.is_writable) == (True, Code.CANCELLED, False)


def test_events_of_a_call_are_in_order(pair: Pair) -> None:
    call, served = pair.stream()
    served.send(b"one")
    pair.pump()
    served.fail(Code.UNAVAILABLE, "")
    call.end()
    pair.pump()
    kinds = events_of(pair.client_events, call)
    assert (kinds[0], kinds[-1]) == (HEADERS, CLOSED)
    assert events_of(pair.server_events, served)[0] == OPENED


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
