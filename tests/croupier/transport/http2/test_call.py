"""Requests count against their connection for as long as a handler has them, and methods that need little get
little."""

from __future__ import annotations

import gzip

import pytest
from support.echo import BATCH, STREAM, UNARY
from support.hostile import SMALL, SMALL_BYTES, SMALL_OPEN, Victim, call_on, streams
from support.http2_peer import data, headers, message, request_fields, reset

from croupier.transport.http2.limits import Limits
from croupier.transport.http2.wire import Budget

RESOURCE_EXHAUSTED, UNAVAILABLE = "8", "14"

MIB = 2**20
BODY = bytes(200_000)


def _send(victim: Victim, stream: int, path: str, body: bytes = BODY, flags: int = 1) -> None:
    victim.send(call_on(stream, path))
    whole = message(body)
    for at in range(0, len(whole), 16_000):
        victim.send(data(stream, whole[at : at + 16_000], flags if at + 16_000 >= len(whole) else 0))


class TestRequests:
    @pytest.mark.parametrize("path", [BATCH, UNARY])
    def test_one_is_held_until_it_is_answered(self, path: str) -> None:
        victim = Victim()
        _send(victim, 1, path)
        assert victim.session.held > len(BODY)
        assert victim.calls[0].message == BODY
        victim.calls[0].reply(b"")
        # Though the peer may never read the answer.
        assert victim.session.held < len(BODY)
        assert victim.budget.used < len(BODY)

    @pytest.mark.parametrize("end", ["reset", "closed"])
    @pytest.mark.parametrize("path", [BATCH, UNARY, STREAM])
    def test_one_whose_peer_has_gone_is_held_while_it_is_used(self, path: str, end: str) -> None:
        victim = Victim()
        _send(victim, 1, path)
        kept = victim.calls[0].take(True) if path == STREAM else victim.calls[0].message
        if end == "reset":
            victim.send(reset(1))
        else:
            victim.session.close()
            victim.session.take_events()
        assert kept == BODY
        assert victim.budget.used > len(BODY)
        victim.cancelled.clear()
        victim.calls.clear()
        assert victim.budget.used < len(BODY)

    def test_messages_of_a_stream_are_held_until_they_are_let_go(self) -> None:
        victim = Victim()
        _send(victim, 1, STREAM, flags=0)
        before = victim.session.held - len(BODY)
        [call] = victim.calls
        assert call.take(True) == BODY
        assert victim.session.held > len(BODY)
        call.let_go(len(BODY))
        assert victim.session.held < before
        # Not below nothing, however often.
        held = victim.session.held
        call.let_go(len(BODY))
        call.let_go_all()
        assert (victim.session.held, victim.budget.used) == (held, held)

    def test_many_in_work_are_more_than_there_is_room_for(self) -> None:
        limits = Limits(floor_bytes=2**16, connection_bytes=MIB, total_bytes=2 * MIB)
        victim = Victim(limits)
        for stream in streams(10):
            _send(victim, stream, BATCH)
        assert len(victim.calls) + victim.statuses().count(UNAVAILABLE) == 10
        assert 1 <= len(victim.calls) <= 4
        victim.close()


class TestLargeOnes:
    LIMITS = Limits(floor_bytes=2**16, connection_bytes=MIB, total_bytes=2 * MIB)

    def test_they_leave_room_for_small_ones_of_the_same_connection(self) -> None:
        victim = Victim(self.LIMITS)
        for stream in streams(10):
            _send(victim, stream, BATCH)
        large = len(victim.calls)
        for stream in streams(50, 101):
            _send(victim, stream, BATCH, b"small")
        assert len(victim.calls) == large + 50

    def test_and_for_those_of_others(self) -> None:
        budget = Budget(2 * MIB)
        hogs = [Victim(self.LIMITS, budget) for _ in range(30)]
        for hog in hogs:
            for stream in streams(10):
                _send(hog, stream, BATCH)
        assert budget.used <= budget.limit
        late = Victim(self.LIMITS, budget)
        _send(late, 1, BATCH, bytes(30_000))
        assert len(late.calls) == 1


class TestMethodsThatNeedLittle:
    @pytest.mark.parametrize("body", [bytes(SMALL_BYTES + 1), bytes(2**24 - 100)], ids=["1 kB", "16 MiB"])
    def test_a_message_over_their_bound_is_refused_by_its_first_bytes(self, body: bytes) -> None:
        victim = Victim()
        victim.send(call_on(1, SMALL))
        before = victim.session.held
        victim.send(data(1, message(body)[:16_000], 0))
        assert victim.statuses() == [RESOURCE_EXHAUSTED]
        for _ in range(50):
            victim.send(data(1, bytes(16_000), 0))
        assert victim.session.held <= before
        victim.close()

    def test_a_compressed_one_is_refused_as_it_grows(self) -> None:
        victim = Victim()
        victim.send(headers(1, request_fields(SMALL, grpc_encoding="gzip")))
        victim.send(data(1, message(gzip.compress(bytes(SMALL_BYTES + 1)), 1), 0))
        assert victim.statuses() == [RESOURCE_EXHAUSTED]

    def test_one_within_it_is_taken(self) -> None:
        victim = Victim()
        victim.send(call_on(1, SMALL), data(1, message(bytes(SMALL_BYTES)), 0))
        assert victim.calls[0].take() == bytes(SMALL_BYTES)

    def test_a_connection_may_have_so_many_open(self) -> None:
        victim = Victim()
        victim.send(*(call_on(stream, SMALL) for stream in streams(SMALL_OPEN + 2)))
        assert (len(victim.calls), victim.statuses()) == (SMALL_OPEN, [RESOURCE_EXHAUSTED] * 2)
        # Those of other methods are not counted, and one that has ended makes room.
        victim.send(call_on(101, STREAM), reset(1), call_on(103, SMALL))
        assert len(victim.calls) == SMALL_OPEN + 2
        other = Victim(budget=victim.budget)
        other.send(call_on(1, SMALL))
        assert len(other.calls) == 1
