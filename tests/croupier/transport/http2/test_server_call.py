"""A server's call between two joined sessions: how it ends, and who hears of it."""

from __future__ import annotations

import pytest
from support.pair import BATCH, STREAM, UNARY, Pair, events_of, taken

from croupier.codes import Code
from croupier.errors import InternalError
from croupier.transport.http2.client_session import CLOSED, HEADERS
from croupier.transport.http2.server_session import CANCELLED, OPENED

KINDS = [BATCH, UNARY, STREAM]


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
