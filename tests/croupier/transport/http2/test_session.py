"""A client's session and a server's, joined in memory: what goes in at one end comes out at the other."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.pair import BATCH, CUTS, STREAM, UNARY, Pair, events_of, pieces, taken

from croupier.codes import Code
from croupier.transport.http2.call import MESSAGE_EVENT
from croupier.transport.http2.client_call import ClientCall
from croupier.transport.http2.client_session import CLOSED, HEADERS, ClientSession
from croupier.transport.http2.limits import Limits
from croupier.transport.http2.server_call import Route
from croupier.transport.http2.server_session import ENDED, OPENED, READY
from croupier.transport.status import request_info

TEXTS = ["", "plain", "100 %", "%41", " spaces ", "line\nbreak", "Grüße", "☺", "\0\x7f"]


@pytest.fixture(params=CUTS)
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """Whatever a test does, nothing is left in the end."""
    pair = Pair(cut=CUTS[request.param])
    yield pair
    pair.check_nothing_left()


class TestUnary:
    @pytest.mark.parametrize("path", [BATCH, UNARY])
    @pytest.mark.parametrize("size", [0, 1, 4, 16_379, 16_380, 100_000])
    def test_a_message_each_way(self, pair: Pair, path: str, size: int) -> None:
        request, response = b"q" * size, b"a" * size
        call, served = pair.unary(path, request)
        assert (path, request, math.inf) == (served.path, served.message, served.deadline)
        served.reply(response)
        pair.pump()
        assert [call] == pair.completed
        assert (0, response, "", b"") == (call.code, call.message, call.status_message, call.details)
        assert (call.is_done, call.is_broken, call.is_unprocessed) == (True, False, False)

    def test_a_batch_call_is_no_event_and_an_ordinary_one_is(self, pair: Pair) -> None:
        _, first = pair.unary(BATCH)
        assert pair.server_events == []
        _, second = pair.unary(UNARY)
        assert [(second, READY)] == pair.server_events
        first.reply(b"")
        second.reply(b"")

    def test_metadata_may_come_ahead_of_the_reply(self, pair: Pair) -> None:
        call, served = pair.unary()
        served.begin([(b"k", b"v")])
        pair.pump()
        served.reply(b"answer")
        pair.pump()
        assert (call.code, call.message, call.raw_metadata()) == (0, b"answer", [(b"k", b"v")])

    def test_an_answer_that_begins_long_before_its_end_is_told_of_once(self, pair: Pair) -> None:
        calls = [pair.unary() for _ in range(3)]
        for _, served in calls[1:]:
            served.begin()
        pair.pump()
        assert pair.begun == [call for call, _ in calls[1:]]
        for _, served in calls:
            served.reply(b"answer")
        pair.pump()
        assert [call for call in pair.begun if call is not calls[0][0]] == [call for call, _ in calls[1:]]

    def test_no_others_are_told_of(self) -> None:
        """Those that end in the read in which they begin, or end at once, or are given up."""
        pair = Pair()
        calls = [pair.unary() for _ in range(4)]
        for (_, served), end in zip(calls, ("reply", "fail", "begin", "reply"), strict=True):
            getattr(served, end)(*{"reply": (b"a",), "fail": (Code.NOT_FOUND, "")}.get(end, ()))
        calls[2][0].cancel()
        pair.pump()
        assert pair.begun == []

    def test_many_calls_come_in_one_batch(self) -> None:
        pair = Pair()
        calls = [pair.start(request=b"%d" % number) for number in range(50)]
        pair.server.receive(pair.client.drain(), pair.now)
        batch = pair.server.take_batch()
        assert [b"%d" % number for number in range(50)] == [served.message for served in batch]
        # They may be answered in any order.
        for served in reversed(batch):
            served.reply(served.message * 2)
        pair.pump()
        assert [call.message for call in calls] == [b"%d%d" % (number, number) for number in range(50)]
        pair.check_nothing_left()

    def test_streams_have_odd_numbers(self, pair: Pair) -> None:
        numbers = []
        for _ in range(3):
            call, served = pair.unary()
            assert call.stream_id == served.stream_id
            numbers.append(call.stream_id)
            served.reply(b"")
        assert numbers == [1, 3, 5]

    def test_the_tag_is_whoever_uses_it(self, pair: Pair) -> None:
        call, served = pair.unary()
        call.tag, served.tag = "mine", "yours"
        served.reply(b"")
        assert (call.tag, served.tag) == ("mine", "yours")


class TestStatus:
    @pytest.mark.parametrize("message", TEXTS)
    def test_without_a_body(self, pair: Pair, message: str) -> None:
        call, served = pair.unary()
        served.fail(Code.NOT_FOUND, message, b"\0details\xff")
        pair.pump()
        details = b"\0details\xff" + request_info(str(served.request_id))
        assert (Code.NOT_FOUND, message, details) == (call.code, call.status_message, call.details)
        assert (call.message, call.is_broken) == (b"", False)

    @pytest.mark.parametrize("message", TEXTS)
    def test_after_messages(self, pair: Pair, message: str) -> None:
        call, served = pair.stream()
        served.send(b"one")
        served.fail(Code.NOT_FOUND, message, b"details", [(b"x", b"y")])
        call.end()
        pair.pump()
        assert taken(call) == [b"one"]
        details = b"details" + request_info(str(served.request_id))
        assert (Code.NOT_FOUND, message, details) == (call.code, call.status_message, call.details)
        assert (b"x", b"y") in call.raw_metadata(True)

    @pytest.mark.parametrize("code", range(17))
    def test_every_code_travels(self, code: int) -> None:
        pair = Pair()
        call, served = pair.stream()
        call.end()
        served.fail(code, "")
        pair.pump()
        assert (code, True) == (call.code, call.is_done)

    @pytest.mark.parametrize("length", range(7))
    def test_details_of_every_length(self, length: int) -> None:
        pair = Pair()
        call, served = pair.unary()
        served.fail(Code.NOT_FOUND, "", bytes(range(length)))
        pair.pump()
        own = request_info(str(served.request_id)) if length else b""
        assert bytes(range(length)) + own == call.details

    def test_an_unknown_method(self, pair: Pair) -> None:
        call = pair.start("/test.Pair/Nothing")
        pair.pump()
        assert (call.code, call.is_broken) == (Code.UNIMPLEMENTED, False)
        assert pair.calls == []

    def test_trailers_alone_are_trailing_metadata(self, pair: Pair) -> None:
        call, served = pair.stream()
        call.end()
        served.fail(Code.NOT_FOUND, "", trailing=[(b"x", b"1"), (b"x", b"2")])
        pair.pump()
        assert (call.raw_metadata(), call.has_headers and HEADERS in kinds(pair, call)) == ([], False)
        own = (b"x-request-id", str(served.request_id).encode())
        assert call.raw_metadata(True) == [own, (b"x", b"1"), (b"x", b"2")]


def kinds(pair: Pair, call: ClientCall) -> list[int]:
    return events_of(pair.client_events, call)


class TestStreaming:
    def test_events_tell_of_every_step(self, pair: Pair) -> None:
        call, served = pair.stream()
        assert events_of(pair.server_events, served) == [OPENED]
        call.send(b"one")
        pair.pump()
        assert events_of(pair.server_events, served) == [OPENED, MESSAGE_EVENT]
        assert (served.has_message, served.is_remote_ended) == (True, False)
        assert taken(served) == [b"one"]
        served.send(b"uno")
        pair.pump()
        assert kinds(pair, call) == [HEADERS, MESSAGE_EVENT]
        assert taken(call) == [b"uno"]
        call.end()
        pair.pump()
        assert events_of(pair.server_events, served) == [OPENED, MESSAGE_EVENT, ENDED]
        assert (served.has_message, served.is_remote_ended) == (False, True)
        served.finish()
        pair.pump()
        assert kinds(pair, call) == [HEADERS, MESSAGE_EVENT, CLOSED]
        assert (call.code, call.is_done, call.is_broken) == (0, True, False)
        assert pair.completed == []

    @given(
        sizes_up=st.lists(st.integers(0, 40) | st.integers(0, 50_000), max_size=6),
        sizes_down=st.lists(st.integers(0, 40) | st.integers(0, 50_000), max_size=6),
        size=st.sampled_from([1, 5, 6, 9, 1000, 2**20]),
        together=st.booleans(),
    )
    @example(sizes_up=[], sizes_down=[], size=2**20, together=True)
    @example(sizes_up=[0, 0, 0], sizes_down=[0], size=1, together=True)
    def test_messages_come_whole_and_in_order(
        self, sizes_up: list[int], sizes_down: list[int], size: int, together: bool
    ) -> None:
        up, down = ([bytes([at]) * size for at, size in enumerate(sizes)] for sizes in (sizes_up, sizes_down))
        pair = Pair(Limits(stream_window=2**16), cut=pieces(size))
        call, served = pair.stream()
        came_up: list[bytes] = []
        came_down: list[bytes] = []
        for end, messages in ((call, up), (served, down)):
            for message in messages:
                end.send(message)
                if not together:
                    pair.pump()
        call.end()
        while not served.is_remote_ended or len(came_up) < len(up) or len(came_down) < len(down):
            pair.pump()
            came_up += taken(served)
            came_down += taken(call)
        served.finish()
        pair.pump()
        assert (up, down) == (came_up, came_down)
        assert (call.code, call.is_done, served.is_remote_ended) == (0, True, True)
        pair.check_nothing_left()

    def test_messages_wait_until_they_are_taken(self, pair: Pair) -> None:
        call, served = pair.stream()
        for number in range(5):
            call.send(b"%d" % number)
        call.end()
        pair.pump()
        assert taken(served) == [b"0", b"1", b"2", b"3", b"4"]
        assert (served.take(), served.has_message) == (None, False)
        served.finish()

    def test_a_message_may_outlive_its_call(self, pair: Pair) -> None:
        call, served = pair.stream()
        call.end()
        served.send(b"one")
        served.send(b"two")
        served.finish()
        pair.check_nothing_left()
        assert taken(call) == [b"one", b"two"]

    def test_the_server_may_end_first(self, pair: Pair) -> None:
        call, served = pair.stream()
        call.send(b"never read")
        served.finish([(b"x", b"y")])
        pair.pump()
        assert (call.code, call.is_done) == (0, True)
        assert call.raw_metadata(True) == [(b"x", b"y")]

    def test_an_end_without_a_message(self, pair: Pair) -> None:
        call, served = pair.stream()
        call.end()
        served.finish()
        pair.pump()
        assert kinds(pair, call) == [HEADERS, CLOSED]
        assert (call.code, taken(call)) == (0, [])


@pytest.mark.parametrize("path", [BATCH, UNARY])
def test_one_that_is_calm_has_nothing_to_hand_on_and_goes_on(path: str) -> None:
    pair = Pair()
    client, server = pair.client, pair.server
    assert client.is_calm
    assert server.is_calm
    call = pair.start(path)
    server.receive(client.drain(), pair.now)
    assert client.is_calm
    assert not server.is_calm
    (served,) = server.take_batch() or [one for one, _ in server.take_events()]
    assert server.is_calm
    served.reply(b"answer")
    client.receive(server.drain(), pair.now)
    assert server.is_calm
    assert not client.is_calm
    assert (client.take_completed(), [*client.take_begun()]) == ([call], [])
    assert client.is_calm
    server.terminate()
    assert server.drain()
    assert not server.is_calm
    client.close()
    assert not client.is_calm


def test_a_route_is_what_it_was_made() -> None:
    route = Route(STREAM, "handler", streaming=True)
    assert (
        route.path,
        route.handler,
        route.is_streaming,
        route.is_batch,
    ) == (STREAM, "handler", True, False)


def test_a_session_needs_no_bytes_and_no_owner() -> None:
    session = ClientSession(Limits(), 0.0, authority="nobody:1")
    session.receive(b"", 0.0)
    assert (session.is_settled, session.is_finished, session.is_usable) == (False, False, True)
