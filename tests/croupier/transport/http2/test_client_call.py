"""A client's call between two joined sessions: how it ends before its time, how long it has, and whether it
may be sent again."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from support.http2_peer import data, headers, message, reset
from support.pair import BATCH, HEAD, STREAM, UNARY, Pair, cancellations, events_of

from croupier.codes import Code
from croupier.transport.http2.client_call import ClientCall
from croupier.transport.http2.client_session import CLOSED
from croupier.transport.http2.server_call import ServerCall


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
            assert (unanswered and path != BATCH) == cancellations(pair, served)

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
            assert (unanswered and path != BATCH) == cancellations(pair, served)

    def test_other_calls_are_not_touched(self, pair: Pair, stage: str, path: str) -> None:
        other, served = pair.unary()
        call = begin(pair, path)
        STAGES[stage](pair, call)
        call.cancel()
        served.reply(b"answer")
        pair.pump()
        assert (other.code, other.message) == (Code.OK, b"answer")


def test_a_call_that_was_never_started_can_be_ended() -> None:
    call = ClientCall(STREAM.encode())
    call.send(b"nowhere")
    call.end()
    call.abort(Code.DEADLINE_EXCEEDED, "too late")
    assert (call.is_done, call.code, call.status_message) == (True, Code.DEADLINE_EXCEEDED, "too late")
    other = ClientCall(BATCH.encode(), b"request")
    other.cancel()
    assert (other.is_done, other.code, other.is_writable) == (True, Code.CANCELLED, False)


class TestTimeout:
    @pytest.mark.parametrize(
        "seconds",
        [0.0, 1e-6, 0.25, 1.0, 99.999999, 100.0, 3600.0, 99_999.999, 100_000.0, 86_400 * 365.0, 99_999_999.0],
    )
    def test_it_is_told_and_never_shortened(self, seconds: float) -> None:
        pair = Pair()
        pair.start(timeout=seconds)
        pair.pump()
        left = pair.calls[-1].deadline - pair.now
        assert seconds <= left + 1e-9
        assert left <= seconds * 1.000_01 + 1e-6

    @pytest.mark.parametrize(("seconds", "told"), [(-1.0, 0.0), (1e12, 99_999_999.0), (math.inf, math.inf)])
    def test_at_the_ends(self, seconds: float, told: float) -> None:
        pair = Pair()
        pair.open(timeout=seconds)
        pair.pump()
        assert pair.calls[-1].deadline - pair.now == told

    def test_it_counts_from_the_arrival(self) -> None:
        pair = Pair()
        pair.start(timeout=2.0)
        pair.now += 5
        pair.pump()
        [served] = pair.calls
        assert (served.arrived, served.deadline) == (1005.0, 1007.0)


class TestRenew:
    def refused(self, stream: bool = False) -> tuple[Pair, ClientCall]:
        """A call that went to a server which takes no more."""
        pair = Pair()
        pair.server.go_away()
        goodbye = pair.server.drain()
        call = pair.open() if stream else pair.start(request=bytes(100_000), timeout=3.0)
        pair.to_server()
        pair.deliver(pair.client, goodbye)
        assert call.is_unprocessed
        return pair, call

    def test_it_may_be_sent_once_more(self) -> None:
        _, call = self.refused()
        assert call.renew()
        assert (call.is_done, call.is_broken, call.is_unprocessed) == (False, False, False)
        other = Pair()
        assert other.client.start(call)
        other.pump()
        [served] = other.calls
        assert (bytes(100_000), 3.0) == (served.message, served.deadline - other.now)
        served.reply(b"answer")
        other.check_nothing_left()
        assert (call.code, call.message, call.status_message, call.is_broken) == (
            Code.OK,
            b"answer",
            "",
            False,
        )
        assert not call.renew()

    def test_and_not_twice(self) -> None:
        _, call = self.refused()
        assert call.renew()
        other = Pair()
        other.server.go_away()
        goodbye = other.server.drain()
        assert other.client.start(call)
        other.deliver(other.client, goodbye)
        assert (call.is_unprocessed, call.renew()) == (True, False)

    def test_a_cancelled_one_is_not(self) -> None:
        _, call = self.refused()
        call.cancel()
        assert (call.is_unprocessed, call.renew()) == (False, False)

    @pytest.mark.parametrize("begun", [True, False])
    def test_a_peer_that_has_begun_to_answer_has_processed_it(self, begun: bool) -> None:
        pair = Pair()
        call, _ = pair.unary()
        answer = headers(1, HEAD) + data(1, message(b"answer"), 0) if begun else b""
        pair.client.receive(answer + reset(1, 7), pair.now)
        assert (Code.UNAVAILABLE, not begun) == (call.code, call.is_unprocessed)
        assert call.renew() == (not begun)

    def test_other_ends_are_final(self) -> None:
        pair = Pair()
        call, _ = pair.unary()
        pair.client.receive(reset(1, 8), pair.now)
        assert (call.is_unprocessed, call.renew()) == (False, False)
