"""What a call sends waits in a queue, which the peer's window empties."""

from __future__ import annotations

from typing import Any

import pytest
from support.pair import MIB, NARROW, QUEUE, WINDOW, Pair, events_of, pattern, taken

from croupier.transport.http2.client_call import ClientCall
from croupier.transport.http2.client_session import CLOSED
from croupier.transport.http2.outgoing import WRITABLE_EVENT
from croupier.transport.http2.server_session import ENDED


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
        writer.send(pattern(MIB))
        pair.pump()
        assert not writer.is_writable
        assert reader.take() == b"first"
        pair.pump()
        assert [pattern(MIB)] == taken(reader)
        finish(pair, writer, reader)

    def test_other_calls_go_on(self, both: tuple[Pair, Any, Any]) -> None:
        pair, writer, reader = both
        write(pair, writer)
        other, served = pair.unary(request=pattern(MIB))
        served.reply(served.message)
        pair.pump()
        assert pattern(MIB) == other.message
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
