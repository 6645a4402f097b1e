"""What a connection may hold, and all of a server's together; and what comes of what there is no room for."""

from __future__ import annotations

import gc

import pytest
from support.hostile import STREAM, Victim, call_on
from support.http2_peer import data, headers, message, packed, request_fields
from support.pair import BATCH, MIB, NARROW, Pair, events_of, taken

from croupier.codes import Code
from croupier.transport.http2.call import MESSAGE_EVENT
from croupier.transport.http2.client_call import ClientCall
from croupier.transport.http2.client_session import ClientSession
from croupier.transport.http2.limits import Limits
from croupier.transport.http2.server_session import CANCELLED
from croupier.transport.http2.wire import Budget


class TestBudget:
    FLOOR, MOST, TOTAL = 2**16, 2**19, MIB
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
        victim = Victim(self.LIMITS)
        squeezed = data(1, message(packed("gzip", bytes(self.MOST // 2)), 1), 0)
        victim.send(headers(1, request_fields(STREAM, grpc_encoding="gzip")), squeezed)
        assert victim.session.held >= self.MOST // 2
        victim.send(squeezed, squeezed)
        assert (victim.statuses(), victim.calls[0].is_open) == ([str(int(Code.UNAVAILABLE))], False)
        victim.close()

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


class TestTheCollector:
    """A connection that nobody closed: whatever is collected first, all that it held goes back."""

    @staticmethod
    def used_once_collected(*frames: bytes, is_known: bool) -> int:
        budget = Budget(Limits().total_bytes)
        victim = Victim(budget=budget)
        victim.send(*frames)
        assert budget.used
        cycle: list[object] = [victim, *victim.calls]
        if is_known:
            # A handler that is at work, and knows its call.
            victim.calls[0].on_cancel = cycle.clear
        cycle.append(cycle)
        del cycle, victim
        gc.collect()
        return budget.used

    def test_a_message_that_has_not_come_whole(self) -> None:
        half = message(bytes(50_000))[:20_000]
        frames = (headers(1, request_fields(STREAM)), data(1, half[:16_000], 0))
        assert self.used_once_collected(*frames, is_known=False) == 0

    def test_a_message_that_is_in_use(self) -> None:
        frames = (call_on(1), data(1, message(bytes(10_000))))
        assert self.used_once_collected(*frames, is_known=True) == 0

    def test_messages_that_nobody_has_taken(self) -> None:
        frames = (headers(1, request_fields(STREAM)), data(1, message(bytes(10_000)), 0))
        assert self.used_once_collected(*frames, is_known=False) == 0
