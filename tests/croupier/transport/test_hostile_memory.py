"""What a hostile peer can make a server of ours keep: counted at what it costs, bounded for its connection
and for all of them, and given back."""

from __future__ import annotations

import gzip
import struct

import pytest
from support.echo import BATCH, STREAM, UNARY
from support.hostile import ENHANCE_YOUR_CALM, Victim, call_on, fields_of, streams, zeros
from support.http2_peer import (
    END_HEADERS,
    END_STREAM,
    data,
    headers,
    message,
    request_fields,
    settings,
    window_update,
)

from croupier.transport.http2.limits import Limits
from croupier.transport.http2.wire import Budget

RESOURCE_EXHAUSTED, INTERNAL, UNAVAILABLE = "8", "13", "14"
CANCEL = 8
MIB = 2**20
# What a call, and a message in a queue, cost at least.
CALL, MESSAGE = 600, 48
MANY = 4_096
SMALL = Limits(max_concurrent_streams=MANY, floor_bytes=2**16, connection_bytes=MIB, total_bytes=2 * MIB)
WHOLE = END_HEADERS | END_STREAM


class TestCalls:
    @pytest.mark.parametrize("path", [BATCH, UNARY, STREAM])
    def test_every_open_call_is_held(self, path: str) -> None:
        victim = Victim()
        victim.send(*(call_on(stream, path) for stream in streams(100)))
        assert victim.session.held >= 100 * CALL
        victim.close()

    @pytest.mark.parametrize("path", [UNARY, STREAM])
    def test_a_task_is_held_too(self, path: str) -> None:
        batch, other = Victim(), Victim()
        batch.send(call_on(1))
        other.send(call_on(1, path))
        assert other.session.held >= batch.session.held + 2_000

    @pytest.mark.parametrize("path", [BATCH, STREAM])
    def test_calls_that_there_is_no_room_for_are_refused(self, path: str) -> None:
        victim = Victim(SMALL)
        victim.send(*(call_on(stream, path) for stream in streams(1_000)))
        victim.send(*(call_on(stream, path) for stream in streams(50, 2_001)))
        assert victim.session.held <= MIB
        assert {UNAVAILABLE} == set(victim.statuses())
        victim.close()
        assert victim.budget.used == 0

    def test_who_is_refused_keeps_what_it_has(self) -> None:
        # Cut off, it would come again, and have as many calls begun and cancelled each time.
        victim = Victim(SMALL)
        for stream in streams(3_000):
            victim.send(call_on(stream, STREAM))
        assert victim.goaway is None
        assert all(call.is_open for call in victim.calls)
        assert len(victim.calls) + victim.statuses().count(UNAVAILABLE) == 3_000
        victim.close()

    def test_metadata_are_held(self) -> None:
        victim = Victim()
        fields = [*request_fields(BATCH), *fields_of(3, 4_000)]
        for number, stream in enumerate(streams(20), 1):
            victim.send(headers(stream, fields))
            assert 12_000 * number <= victim.session.held <= 30_000 * number
        victim.close()

    def test_metadata_that_there_is_no_room_for_are_not_kept(self) -> None:
        victim = Victim(SMALL)
        fields = [*request_fields(BATCH), *fields_of(3, 4_000)]
        for stream in streams(150):
            victim.send(headers(stream, fields))
        assert victim.session.held <= MIB
        assert {UNAVAILABLE} == set(victim.statuses())
        victim.close()


class TestMessages:
    @pytest.mark.parametrize("body", [b"", b"x", b"two"])
    def test_each_is_held_however_small(self, body: bytes) -> None:
        victim = Victim()
        victim.send(call_on(1, STREAM))
        before = victim.session.held
        victim.send(data(1, 2_000 * message(body), 0))
        held = victim.session.held - before
        assert held >= 2_000 * (MESSAGE + len(body))
        # One event for a queue that was empty, not one for each message.
        assert victim.messages == 1
        for left in range(2_000, 0, -1):
            assert victim.session.held - before == held * left // 2_000
            assert victim.calls[0].take() == body
        assert (victim.calls[0].take(), victim.session.held) == (None, before)
        victim.close()

    def test_a_million_in_one_stream_are_more_than_there_is_room_for(self) -> None:
        victim = Victim(Limits(first_window=2**24, stream_window=2**24, connection_bytes=8 * MIB))
        victim.send(call_on(1, STREAM))
        for _ in range(320):
            victim.send(data(1, 3_276 * message(), 0))
            assert victim.session.held <= 8 * MIB
        assert victim.statuses() == [UNAVAILABLE]
        # What had come is nobody's any more.
        assert victim.session.held <= 20_000
        assert victim.cancelled == victim.calls
        victim.close()

    def test_what_waits_to_be_sent_is_held_however_small(self) -> None:
        victim = Victim()
        victim.send(settings((4, 0)), call_on(1, STREAM))
        before, sent = victim.session.held, 0
        while victim.calls[0].is_writable:
            victim.calls[0].send(b"")
            sent += 1
        assert victim.session.held - before >= sent * MESSAGE
        assert sent <= Limits().stream_queue // MESSAGE
        victim.send(window_update(1, 5 * sent))
        assert (victim.session.held, len(victim.heard[1].body)) == (before, 5 * sent)
        victim.close()

    def test_a_claim_alone_costs_nothing(self) -> None:
        victim = Victim()
        for stream in streams(1_000):
            victim.send(call_on(stream), data(stream, struct.pack(">BI", 0, 2**24), 0))
        assert victim.session.held <= 1_000 * 2_048
        victim.close()

    def test_endless_streams_are_bounded(self) -> None:
        # Every one claims 16 MiB, and gets a little more in each round.
        budget = Budget(2 * MIB)
        victims = [Victim(SMALL, budget) for _ in range(8)]
        for victim in victims:
            for stream in streams(40):
                victim.send(call_on(stream), data(stream, struct.pack(">BI", 0, 2**24), 0))
        for _ in range(40):
            for victim in victims:
                victim.send(*(data(stream, bytes(4_000), 0) for stream in streams(40)))
            assert budget.used <= 2 * budget.limit
        assert all({UNAVAILABLE} == set(victim.statuses()) for victim in victims)
        for victim in victims:
            victim.close()
        assert budget.used == 0


class TestSharing:
    """`SMALL` for all: the total is two MiB, of which one connection gets one at most."""

    def test_one_leaves_as_much_as_it_takes(self) -> None:
        budget = Budget(2 * MIB)
        first, second, third = (Victim(SMALL, budget) for _ in range(3))
        took = [_take_all(victim) for victim in (first, second, third)]
        assert MIB - 20_000 < took[0] <= MIB
        assert MIB // 2 - 20_000 < took[1] < MIB // 2 + 20_000
        assert MIB // 4 - 20_000 < took[2] < MIB // 4 + 20_000

    def test_each_has_its_floor(self) -> None:
        budget = Budget(2 * MIB)
        hogs = [Victim(SMALL, budget) for _ in range(12)]
        for hog in hogs:
            _take_all(hog)
        late = Victim(SMALL, budget)
        whole = message(bytes(50_000))
        late.send(call_on(1), *(data(1, whole[at : at + 10_000], 0) for at in range(0, 50_005, 10_000)))
        late.send(data(1))
        late.calls.pop().reply(b"answer")
        late.listen()
        assert (late.statuses(), late.heard[1].body) == (["0"], message(b"answer"))

    def test_floors_of_very_many_shrink(self) -> None:
        budget = Budget(2 * MIB)
        victims = [Victim(SMALL, budget) for _ in range(256)]
        for victim in victims:
            _take_all(victim)
        assert budget.used <= 2 * budget.limit
        for victim in victims:
            victim.close()
        assert budget.used == 0
        # And grow again once they are gone.
        assert _take_all(Victim(SMALL, budget)) > MIB - 20_000


def _take_all(victim: Victim) -> int:
    """Send messages that nobody takes, until one is refused; the most that was held."""
    most = 0
    for stream in streams(1_000):
        victim.send(call_on(stream, STREAM), data(stream, message(bytes(4_000)), 0))
        most = max(most, victim.session.held)
        if victim.statuses():
            return most
    raise AssertionError("it takes everything")


class TestAnswers:
    def test_those_behind_a_closed_window_are_held(self) -> None:
        victim = Victim(SMALL)
        victim.send(settings((4, 0)))
        for stream in streams(100):
            victim.send(call_on(stream), data(stream, message(b"x")))
            if victim.calls:
                victim.calls.pop().reply(bytes(20_000))
            assert victim.session.held <= MIB
        assert 50 <= victim.statuses().count(UNAVAILABLE) < 100
        victim.close()

    def test_those_that_nobody_reads_are_given_up(self) -> None:
        victim = Victim(SMALL)
        victim.send(settings((4, 0)), call_on(1), data(1, message(b"x")))
        victim.calls.pop().reply(bytes(20_000))
        victim.now += 59
        victim.session.expire(victim.now - 60, victim.now - 5)
        victim.listen()
        assert victim.heard[1].reset is None
        victim.now += 2
        victim.session.expire(victim.now - 60, victim.now - 5)
        victim.listen()
        assert (victim.heard[1].reset, victim.session.held, victim.session.open_calls) == (CANCEL, 0, 0)

    def test_a_byte_at_a_time_is_a_flood(self) -> None:
        victim = Victim()
        victim.send(settings((4, 1)), call_on(1), data(1, message(b"x")))
        victim.calls.pop().reply(bytes(10_000))
        for _ in range(300):
            victim.send(window_update(1, 1))
        assert victim.goaway == ENHANCE_YOUR_CALM
        assert len(victim.heard[1].body) < 150

    def test_acknowledgements_that_nobody_reads_are_bounded(self) -> None:
        # Requests beside them keep the peer in tokens; it is nghttp2 that counts what waits to be sent.
        victim = Victim()
        for stream in streams(4_000):
            victim.receive(call_on(stream), data(stream, message(b"x")), 3 * settings())
            if victim.session.is_broken:
                break
        victim.listen()
        assert victim.goaway == ENHANCE_YOUR_CALM
        victim.close()


class TestCompression:
    @pytest.mark.parametrize("size", [2**24 + 2**20, 2**30], ids=["17 MiB", "1 GiB"])
    def test_a_bomb_is_refused_by_its_first_bytes(self, size: int) -> None:
        victim = Victim(Limits(growth_burst=MIB))
        whole, sent = message(zeros(size), 1), 0
        victim.send(headers(1, request_fields(BATCH, grpc_encoding="deflate")))
        while not victim.statuses():
            victim.send(data(1, whole[sent : sent + 1_000], 0))
            sent += 1_000
            assert victim.session.held < 2 * MIB
        assert (sent, victim.statuses()) == (2_000, [RESOURCE_EXHAUSTED])
        victim.close()
        assert victim.budget.used == 0

    def test_who_sends_more_of_them_is_cut_off(self) -> None:
        victim = Victim(Limits(growth_burst=MIB))
        for stream in streams(3):
            fields = request_fields(BATCH, grpc_encoding="gzip")
            victim.send(headers(stream, fields), data(stream, message(gzip.compress(bytes(2**24 - 1)), 1)))
        assert victim.goaway == ENHANCE_YOUR_CALM

    def test_growth_is_shared_and_comes_back(self) -> None:
        budget = Budget(128 * MIB, growth_burst=MIB, growth_rate=MIB)
        assert _grow(Victim(budget=budget), MIB) == "0"
        # Nothing is left for anybody, but what is in proportion is free.
        assert _grow(Victim(budget=budget), MIB // 2) == RESOURCE_EXHAUSTED
        assert _grow(Victim(budget=budget), 400) == "0"
        late = Victim(budget=budget)
        late.now += 0.6
        assert _grow(late, MIB // 2) == "0"

    def test_garbage_is_charged_by_its_size(self) -> None:
        budget = Budget(128 * MIB, growth_burst=MIB, growth_rate=0)
        for _ in range(10):
            victim = Victim(budget=budget)
            fields = request_fields(BATCH, grpc_encoding="gzip")
            victim.send(headers(1, fields), data(1, message(bytes(40), 1)))
            assert victim.statuses() not in ([], ["0"])
        assert _grow(Victim(budget=budget), MIB // 2) == "0"

    def test_an_empty_message_cannot_be_compressed(self) -> None:
        victim = Victim()
        victim.send(headers(1, request_fields(BATCH, grpc_encoding="gzip")), data(1, message(b"", 1)))
        assert victim.statuses() not in ([], ["0"])

    @pytest.mark.parametrize("piece", [1, 7, 10_000])
    def test_it_may_come_in_any_pieces(self, piece: int) -> None:
        victim = Victim(Limits(control_burst=10_000))
        body = struct.pack(">500I", *range(500))
        whole = message(gzip.compress(body), 1) + message(b"plain") + message(gzip.compress(b""), 1)
        victim.send(headers(1, request_fields(STREAM, grpc_encoding="gzip")))
        before = victim.session.held
        for at in range(0, len(whole), piece):
            victim.send(data(1, whole[at : at + piece], 0))
        assert [body, b"plain", b"", None] == [victim.calls[0].take() for _ in range(4)]
        assert victim.session.held == before
        victim.close()


def _grow(victim: Victim, size: int) -> str | None:
    """The status of a request that grows to `size` bytes from next to nothing."""
    fields = request_fields(BATCH, grpc_encoding="gzip")
    victim.send(headers(1, fields), data(1, message(gzip.compress(bytes(size)), 1)))
    for call in victim.calls:
        call.reply(b"")
    victim.listen()
    return victim.statuses()[0]
