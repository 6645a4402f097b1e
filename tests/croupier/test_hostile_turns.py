"""A connection on a transport and a loop that only note what they are told: work is done in turns, so that
nobody waits for all that a peer sent at once, and what is never read is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from support.echo import BATCH
from support.hostile import call_on, streams
from support.http2_peer import ACK, PREFACE, SETTINGS, data, frame, message, settings

from croupier.transport.connection import Connection
from croupier.transport.limits import Limits
from croupier.transport.server_session import Route, ServerCall, ServerSession

LIMITS = Limits()
KIB = 2**10


class Loop:
    """Callbacks wait for their turn, one by one."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.waiting.append(callback)

    def run_once(self) -> None:
        waiting, self.waiting = self.waiting, []
        for callback in waiting:
            callback()


class Transport:
    def __init__(self) -> None:
        self.said: list[str] = []
        self.unsent = 0

    def get_extra_info(self, name: str) -> None:
        return None

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def set_write_buffer_limits(self, high: int) -> None: ...

    def write(self, data: bytes) -> None: ...

    def is_closing(self) -> bool:
        return "close" in self.said or "abort" in self.said

    def close(self) -> None:
        self.said.append("close")

    def abort(self) -> None:
        self.said.append("abort")

    def pause_reading(self) -> None:
        self.said.append("pause")

    def resume_reading(self) -> None:
        self.said.append("resume")


class Joined(Connection):
    """Answers every call at once, and notes how many came together."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.io, self.turns = Transport(), Loop()
        self.batches: list[int] = []
        self.is_gone = False
        session = ServerSession(LIMITS, self.now, {BATCH.encode(): Route(BATCH, batch=True)})
        super().__init__(session, cast(asyncio.AbstractEventLoop, self.turns), lambda: self.now)
        self.connection_made(cast(Any, self.io))
        self.data_received(PREFACE + settings() + frame(SETTINGS, flags=ACK))
        self.turns.run_once()

    def deliver(self) -> None:
        calls: list[ServerCall] = list(cast(ServerSession, self.session).take_batch())
        for call in calls:
            call.reply(call.message)
        if calls:
            self.batches.append(len(calls))
        self.session.take_events()

    def lost(self) -> None:
        self.is_gone = True


def requests(count: int, body: bytes = b"x") -> bytes:
    return b"".join(call_on(stream) + data(stream, message(body)) for stream in streams(count))


class TestTurns:
    def test_few_requests_are_one_turn(self) -> None:
        joined = Joined()
        joined.data_received(requests(32))
        assert (joined.batches, joined.io.said) == ([32], [])

    def test_many_requests_are_many_turns(self) -> None:
        joined = Joined()
        joined.data_received(requests(1_000))
        # Reading rests, and one callback waits for the next turn beside that which writes.
        assert joined.io.said == ["pause"]
        assert len(joined.batches) == 1
        while joined.turns.waiting:
            before = len(joined.batches)
            joined.turns.run_once()
            assert len(joined.batches) <= before + 1
        assert sum(joined.batches) == 1_000
        assert len(joined.batches) > 5
        assert joined.io.said == ["pause", "resume"]

    def test_a_long_read_has_others_come_before_the_next(self) -> None:
        joined = Joined()
        joined.data_received(call_on(1) + 16 * data(1, bytes(16 * KIB), 0)[: 9 + 16 * KIB])
        assert joined.io.said == ["pause"]
        joined.turns.run_once()
        assert joined.io.said == ["pause", "resume"]

    def test_what_was_read_stays_in_order(self) -> None:
        joined = Joined()
        # A turn that ends inside a message goes on there.
        joined.data_received(requests(300) + requests(0) + call_on(601) + data(601, message(b"last")))
        while joined.turns.waiting:
            joined.turns.run_once()
        assert sum(joined.batches) == 301
        assert joined.session.open_calls == 0

    def test_a_connection_that_goes_meanwhile_reads_no_more(self) -> None:
        joined = Joined()
        joined.data_received(requests(1_000))
        joined.connection_lost(None)
        served = sum(joined.batches)
        while joined.turns.waiting:
            joined.turns.run_once()
        assert (sum(joined.batches), joined.is_gone) == (served, True)
        assert joined.io.said == ["pause"]

    def test_who_is_cut_off_in_one_turn_has_no_other(self) -> None:
        joined = Joined()
        joined.data_received(requests(200) + 2_000 * settings() + requests(200))
        while joined.turns.waiting:
            joined.turns.run_once()
        assert joined.io.said == ["pause", "close"]


class TestLastWords:
    def cut_off(self, unsent: int) -> Joined:
        joined = Joined()
        joined.io.unsent = unsent
        joined.data_received(2_000 * settings())
        joined.turns.run_once()
        assert joined.io.said == ["close"]
        return joined

    def test_they_are_held_until_they_are_read(self) -> None:
        joined = self.cut_off(100 * KIB)
        assert joined.session.held == 100 * KIB
        joined.tick(joined.now + LIMITS.handshake_seconds - 1)
        assert joined.io.said == ["close"]
        joined.connection_lost(None)
        assert joined.session.held == 0

    def test_they_are_not_for_ever(self) -> None:
        joined = self.cut_off(100 * KIB)
        joined.tick(joined.now + LIMITS.handshake_seconds + 1)
        assert joined.io.said == ["close", "abort"]

    def test_who_did_nothing_wrong_has_as_long_as_for_any_answer(self) -> None:
        joined = Joined()
        joined.io.unsent = 100 * KIB
        joined.session.go_away()
        joined.turns.run_once()
        assert joined.io.said == ["close"]
        joined.tick(joined.now + LIMITS.request_seconds - 1)
        assert joined.io.said == ["close"]
        joined.tick(joined.now + LIMITS.request_seconds + 1)
        assert joined.io.said == ["close", "abort"]
