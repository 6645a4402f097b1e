"""Flow control, and what two joined sessions hold: bounded at both ends, whatever the other one does."""

from __future__ import annotations

import gzip
from typing import Any

import pytest
from support.pair import BATCH, UNARY, WINDOW, Pair, events_of, taken

from croupier.codes import Code
from croupier.transport.http2.call import MESSAGE_EVENT
from croupier.transport.http2.client_call import ClientCall
from croupier.transport.http2.client_session import CLOSED, ClientSession
from croupier.transport.http2.limits import Limits
from croupier.transport.http2.outgoing import WRITABLE_EVENT
from croupier.transport.http2.server_session import CANCELLED, ENDED
from croupier.transport.http2.wire import Budget

QUEUE = 2**16
NARROW = Limits(stream_window=WINDOW, connection_window=WINDOW, stream_queue=QUEUE)
# Both windows at once, since the connection's is consumed as bytes come.
MEGABYTE = 2**20
DRAIN = 256 * 2**10


def pattern(size: int) -> bytes:
    """No part of it is like another."""
    return b"".join(number.to_bytes(4) for number in range(size // 4 + 1))[:size]


class TestLargeMessages:
    @pytest.mark.parametrize("path", [BATCH, UNARY])
    @pytest.mark.parametrize("size", [WINDOW - 6, WINDOW - 5, WINDOW - 4, 3 * MEGABYTE + 1])
    def test_unary(self, path: str, size: int) -> None:
        pair = Pair(NARROW)
        call, served = pair.unary(path, pattern(size))
        assert pattern(size) == served.message
        served.reply(pattern(size)[::-1])
        pair.check_nothing_left()
        assert (0, pattern(size)[::-1]) == (call.code, call.message)

    def test_streaming(self) -> None:
        pair = Pair(NARROW)
        call, served = pair.stream()
        for end, other in ((call, served), (served, call)):
            end.send(pattern(MEGABYTE))
            pair.pump()
            assert [pattern(MEGABYTE)] == taken(other)
        call.end()
        served.finish()
        pair.check_nothing_left()

    def test_many_at_once_share_the_connection(self) -> None:
        pair = Pair(NARROW)
        calls = [pair.start(request=pattern(200_000 + number)) for number in range(20)]
        pair.pump()
        assert len(pair.calls) == 20
        for served in pair.calls:
            served.reply(served.message)
        pair.check_nothing_left()
        assert [len(call.message) for call in calls] == [200_000 + number for number in range(20)]

    def test_one_over_the_limit(self) -> None:
        small = Limits(max_message_bytes=1000)
        pair = Pair(small, client_limits=Limits())
        fits, over = pair.start(request=bytes(1000)), pair.start(request=bytes(1001))
        pair.pump()
        [served] = pair.calls
        served.reply(b"")
        pair.check_nothing_left()
        assert [(call.code, call.is_broken) for call in (fits, over)] == [
            (0, False),
            (Code.RESOURCE_EXHAUSTED, False),
        ]

    def test_a_response_over_the_limit(self) -> None:
        pair = Pair(client_limits=Limits(max_message_bytes=1000))
        call, served = pair.unary()
        served.reply(bytes(1001))
        pair.check_nothing_left()
        assert (call.code, call.is_broken, served.is_open) == (Code.RESOURCE_EXHAUSTED, True, False)


class TestBackPressure:
    """One end writes while it may and the other one does not take; `both` turns them round."""

    @pytest.fixture(params=["server writes", "client writes"])
    def both(self, request: pytest.FixtureRequest) -> tuple[Pair, Any, Any]:
        pair = Pair(NARROW)
        call, served = pair.stream()
        if request.param == "server writes":
            return pair, served, call
        return pair, call, served

    def test_who_does_not_take_stops_the_writer(self, both: tuple[Pair, Any, Any]) -> None:
        pair, writer, reader = both
        sent = write(pair, writer)
        # What lies in the reader's window and in the writer's queue, however long it waits.
        assert WINDOW < sent < WINDOW + QUEUE + 3 * SIZE
        assert max(pair.held) < WINDOW + QUEUE + 3 * SIZE
        pair.pump()
        assert not writer.is_writable
        finish(pair, writer, reader)

    def test_who_takes_again_hears_all(self, both: tuple[Pair, Any, Any]) -> None:
        pair, writer, reader = both
        heard = 0
        for _ in range(20):
            sent = write(pair, writer)
            assert sent > 0
            before = writables(pair, writer)
            heard += sum(len(message) for message in taken(reader))
            pair.pump()
            heard += sum(len(message) for message in taken(reader))
            pair.pump()
            # Once, however many messages have left since.
            assert before + 1 == writables(pair, writer)
            assert writer.is_writable
        assert heard > 20 * QUEUE
        finish(pair, writer, reader)

    def test_taking_one_message_of_many_does_not_open_the_window(self, both: tuple[Pair, Any, Any]) -> None:
        pair, writer, reader = both
        write(pair, writer)
        held = pair.held
        assert len(reader.take()) == SIZE
        pair.pump()
        assert not writer.is_writable
        assert sum(pair.held) < sum(held)
        finish(pair, writer, reader)

    def test_room_that_is_used_at_once_is_told_all_the_same(self, both: tuple[Pair, Any, Any]) -> None:
        # Somebody waits for room, and somebody else sends a little before there is enough of it.
        pair, writer, reader = both
        writer.send(b"not taken")
        writer.send(bytes(WINDOW + QUEUE - 10_000))
        pair.pump()
        assert writer.is_writable
        writer.send(b"a little")
        pair.pump()
        assert writables(pair, writer) == 0
        taken(reader)
        pair.pump()
        assert writer.is_writable
        assert writables(pair, writer) == 1
        finish(pair, writer, reader)

    def test_a_queue_that_is_never_full_is_never_told_of(self, both: tuple[Pair, Any, Any]) -> None:
        pair, writer, reader = both
        for _ in range(50):
            writer.send(bytes(SIZE))
            pair.pump()
            assert [bytes(SIZE)] == taken(reader)
        assert writables(pair, writer) == 0
        finish(pair, writer, reader)

    def test_a_message_that_is_only_begun_waits_behind_one_that_is_not_taken(
        self, both: tuple[Pair, Any, Any]
    ) -> None:
        pair, writer, reader = both
        writer.send(b"first")
        writer.send(pattern(MEGABYTE))
        pair.pump()
        assert not writer.is_writable
        assert reader.take() == b"first"
        pair.pump()
        assert [pattern(MEGABYTE)] == taken(reader)
        finish(pair, writer, reader)

    def test_other_calls_go_on(self, both: tuple[Pair, Any, Any]) -> None:
        pair, writer, reader = both
        write(pair, writer)
        other, served = pair.unary(request=pattern(MEGABYTE))
        served.reply(served.message)
        pair.pump()
        assert pattern(MEGABYTE) == other.message
        finish(pair, writer, reader)


SIZE = 5_000


def write(pair: Pair, writer: Any) -> int:
    """Write messages while there is room; how many bytes that was."""
    sent = 0
    while writer.is_writable:
        writer.send(bytes(SIZE))
        sent += SIZE
        pair.pump()
    return sent


def writables(pair: Pair, call: Any) -> int:
    return events_of(pair.server_events + pair.client_events, call).count(WRITABLE_EVENT)


def finish(pair: Pair, writer: Any, reader: Any) -> None:
    """Both ends finish, and neither misses anything."""
    client, server = (writer, reader) if isinstance(writer, ClientCall) else (reader, writer)
    client.end()
    while ENDED not in events_of(pair.server_events, server):
        taken(reader)
        pair.pump()
    server.finish()
    while CLOSED not in events_of(pair.client_events, client):
        taken(reader)
        pair.pump()
    assert client.code == 0
    pair.check_nothing_left()


class TestDraining:
    def test_in_pieces(self) -> None:
        wide = Limits(stream_window=2**24, connection_window=2**24)
        pair = Pair(wide)
        call, served = pair.unary()
        served.reply(pattern(MEGABYTE))
        pieces = [pair.server.drain()]
        while pair.server.has_more:
            pieces.append(pair.server.drain())
        assert all(DRAIN - 20_000 < len(piece) <= DRAIN for piece in pieces[:-1])
        assert len(pieces) == 5
        assert pair.server.drain() == b""
        for piece in pieces:
            pair.deliver(pair.client, piece)
        assert pattern(MEGABYTE) == call.message
        pair.check_nothing_left()

    def test_the_owner_is_woken_once(self) -> None:
        pair = Pair()
        woken: list[str] = []
        pair.client.wake = lambda: woken.append("client")
        pair.server.wake = lambda: woken.append("server")
        for _ in range(5):
            pair.start()
        assert woken == ["client"]
        assert pair.client.has_more
        data = pair.client.drain()
        assert not pair.client.has_more
        pair.start()
        assert woken == ["client", "client"]
        pair.deliver(pair.server, data)
        for served in pair.calls:
            served.reply(b"")
        assert woken == ["client", "client", "server"]

    def test_taking_a_message_wakes_for_the_window(self) -> None:
        pair = Pair(NARROW)
        call, served = pair.stream()
        call.send(bytes(WINDOW))
        pair.pump()
        woken: list[int] = []
        pair.server.wake = lambda: woken.append(1)
        taken(served)
        assert woken == [1]
        call.cancel()
        pair.check_nothing_left()


class TestBudget:
    FLOOR, MOST, TOTAL = 2**16, 2**19, MEGABYTE
    LIMITS = Limits(floor_bytes=FLOOR, connection_bytes=MOST, total_bytes=TOTAL)

    def test_a_request_that_a_connection_has_no_room_for(self) -> None:
        pair = Pair(self.LIMITS, client_limits=Limits())
        over, fits = pair.start(request=bytes(self.MOST)), pair.start(request=b"small")
        pair.pump()
        [served] = pair.calls
        served.reply(b"")
        pair.check_nothing_left()
        assert [(call.code, call.is_broken) for call in (over, fits)] == [
            (Code.UNAVAILABLE, False),
            (0, False),
        ]

    @pytest.mark.parametrize("known", ["streaming", "stopped"])
    def test_who_serves_a_stream_hears_that_it_has_no_room(self, known: str) -> None:
        pair = Pair(self.LIMITS, client_limits=Limits())
        call, served = pair.stream()
        told: list[str] = []
        if known == "stopped":
            served.on_cancel = lambda: told.append("told")
        call.send(bytes(self.MOST))
        pair.pump()
        assert (call.code, served.is_open) == (Code.UNAVAILABLE, False)
        last, kind = pair.server_events[-1]
        assert kind == CANCELLED
        if known == "stopped":
            last()
        assert (["told"] if known == "stopped" else []) == told
        pair.check_nothing_left()

    def test_a_reply_that_there_is_no_room_for(self) -> None:
        pair = Pair(self.LIMITS, client_limits=Limits())
        call, served = pair.unary()
        served.reply(bytes(self.MOST))
        assert not served.is_open
        pair.check_nothing_left()
        assert (call.code, call.is_broken) == (Code.UNAVAILABLE, False)

    @pytest.mark.parametrize("begun", [True, False])
    def test_a_message_that_there_is_no_room_for(self, begun: bool) -> None:
        pair = Pair(self.LIMITS, client_limits=Limits())
        call, served = pair.stream()
        if begun:
            served.send(b"first")
            pair.pump()
        served.send(bytes(self.MOST))
        served.send(b"never")
        call.end()
        pair.check_nothing_left()
        assert ([b"first"] if begun else []) == taken(call)
        assert (call.code, call.is_broken) == (Code.UNAVAILABLE, False)

    def test_a_request_that_its_own_client_has_no_room_for(self) -> None:
        pair = Pair(client_limits=self.LIMITS)
        woken: list[int] = []
        pair.client.wake = lambda: woken.append(1)
        call = pair.start(request=bytes(self.MOST))
        # Whoever waits for it hears of it, though there is nothing to send.
        assert (woken, call.is_done) == ([1], True)
        pair.pump()
        assert [call] == pair.completed
        assert (call.code, call.is_broken, call.is_unprocessed) == (Code.RESOURCE_EXHAUSTED, True, False)
        pair.check_nothing_left()

    def test_a_message_that_its_own_client_has_no_room_for(self) -> None:
        pair = Pair(client_limits=self.LIMITS)
        call, served = pair.stream()
        call.send(bytes(self.MOST))
        pair.pump()
        assert (call.code, call.is_broken, served.is_open) == (Code.RESOURCE_EXHAUSTED, True, False)
        pair.check_nothing_left()

    def test_connections_share_what_is_above_their_floors(self) -> None:
        budget = Budget(self.TOTAL)
        sessions = [ClientSession(self.LIMITS, 0.0, budget, authority="x:1") for _ in range(4)]
        most = [ClientCall(BATCH.encode(), bytes(self.MOST // 4 * 3 - 10_000)) for _ in range(3)]
        for session, call in zip(sessions, most, strict=False):
            assert session.start(call)
        assert [call.is_done for call in most] == [False, False, True]
        # The floor of the last one is its own.
        little = ClientCall(BATCH.encode(), bytes(self.FLOOR - 10_000))
        assert sessions[3].start(little)
        assert not little.is_done
        assert budget.used == sum(session.held for session in sessions)
        for session in sessions:
            session.close()
        assert (budget.used, [session.held for session in sessions]) == (0, [0] * 4)

    def test_a_compressed_message_counts_as_what_it_stands_for(self) -> None:
        pair = Pair(self.LIMITS, client_limits=Limits())
        call = pair.open(encoding=b"gzip")
        pair.pump()
        packed = gzip.compress(bytes(self.MOST // 2))
        call.send(packed, True)
        pair.pump()
        assert pair.server.held >= self.MOST // 2
        call.send(packed, True)
        call.send(packed, True)
        pair.pump()
        assert (call.code, pair.calls[0].is_open) == (Code.UNAVAILABLE, False)
        pair.check_nothing_left()

    def test_messages_that_wait_are_held_and_taken_ones_are_not(self) -> None:
        pair = Pair(NARROW)
        call, served = pair.stream()
        for _ in range(3):
            call.send(bytes(10_000))
        pair.pump()
        assert events_of(pair.server_events, served).count(MESSAGE_EVENT) >= 1
        before = pair.server.held
        assert before >= 30_000
        served.take()
        assert before - pair.server.held >= 10_000
        assert pair.server.held >= 20_000
        call.cancel()
        pair.check_nothing_left()

    def test_a_connection_that_is_lost_gives_everything_back(self) -> None:
        pair = Pair(NARROW)
        for number in range(10):
            pair.start(request=bytes(20_000 * number))
            pair.open().send(bytes(30_000))
        pair.pump()
        for served in pair.calls:
            served.send(bytes(100_000))
        pair.to_client()
        assert all(held > 0 for held in pair.held)
        pair.client.close()
        pair.server.close()
        pair.check_nothing_left()
