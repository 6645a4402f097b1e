"""A connection on a transport and a loop that only note what they are told: work is done in turns, so that
nobody waits for all that a peer sent at once, and what is never read is given up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any, NamedTuple, cast

import pytest
from support.echo import BATCH, STREAM
from support.hostile import call_on, streams
from support.http2_peer import ACK, PREFACE, SETTINGS, RawPeer, data, frame, message, settings

from croupier.transport.context import Context
from croupier.transport.http2.limits import Limits
from croupier.transport.http2.server_call import Route, ServerCall
from croupier.transport.http2.server_session import ServerSession
from croupier.transport.net.connection import Connection
from croupier.transport.net.turns import Turns
from croupier.transport.routes import StreamHandler
from croupier.transport.serving import Server

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
        self.can_end = True

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

    def can_write_eof(self) -> bool:
        return self.can_end

    def write_eof(self) -> None:
        self.said.append("end")

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


class TestQueue:
    def test_one_of_all_who_wait_in_each_turn_of_the_loop(self) -> None:
        loop, seen = Loop(), list[int]()
        turns = Turns(cast(asyncio.AbstractEventLoop, loop))
        for number in range(3):
            turns.wait(lambda number=number: seen.append(number))
        for number in range(3):
            assert seen == list(range(number))
            loop.run_once()
        assert (seen, loop.waiting) == ([0, 1, 2], [])

    def test_who_waits_again_is_behind_the_others(self) -> None:
        loop, seen = Loop(), list[str]()
        turns = Turns(cast(asyncio.AbstractEventLoop, loop))

        def again() -> None:
            seen.append("first")
            if len(seen) < 5:
                turns.wait(again)

        turns.wait(again)
        turns.wait(lambda: seen.append("second"))
        while loop.waiting:
            assert len(loop.waiting) == 1
            loop.run_once()
        assert seen == ["first", "second", "first", "first", "first"]

    def test_who_fails_has_had_its_turn(self) -> None:
        loop, seen = Loop(), list[str]()
        turns = Turns(cast(asyncio.AbstractEventLoop, loop))
        turns.wait(lambda: seen[0])
        turns.wait(lambda: seen.append("second"))
        with pytest.raises(IndexError):
            loop.run_once()
        loop.run_once()
        assert (seen, loop.waiting) == (["second"], [])


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
        assert joined.io.said == ["pause", "pause", "end"]


class TestLastWords:
    @pytest.mark.parametrize("unsent", [0, 100 * KIB])
    def test_who_is_cut_off_has_a_second_to_hear_why(self, unsent: int) -> None:
        joined = Joined()
        joined.io.unsent = unsent
        joined.data_received(2_000 * settings())
        # Not closed: with bytes that nobody has read, TCP would drop what was said.
        assert joined.io.said == ["pause", "end"]
        assert (joined.session.held, joined.session.open_calls) == (unsent, 0)
        joined.turns.run_once()
        joined.tick(joined.now + 0.9)
        assert joined.io.said == ["pause", "end"]
        joined.tick(joined.now + 1.1)
        assert joined.io.said == ["pause", "end", "abort"]
        joined.connection_lost(None)
        assert joined.session.held == 0

    def test_tls_has_no_half_of_an_end(self) -> None:
        joined = Joined()
        joined.io.can_end = False
        joined.data_received(2_000 * settings())
        joined.tick(joined.now + 1.1)
        assert joined.io.said == ["pause", "abort"]

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


class TestHandlers:
    """Real ones, on a real loop, which is looked at in each of its turns."""

    async def test_many_messages_are_many_turns(self) -> None:
        taken = 0

        async def count(messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
            nonlocal taken
            async for _ in messages:
                taken += 1
            yield b"all"

        async with _serving(count) as server, RawPeer.connect(server.address) as peer:
            await peer.settled()
            peer.send(call_on(1, STREAM), data(1, 2_000 * message()))
            steps = [0]
            while taken < 2_000:
                await asyncio.sleep(0)
                steps.append(taken - sum(steps))
            assert max(steps) <= 64
            assert (await peer.heard(1)).body == message(b"all")

    async def test_many_cancellations_are_many_turns(self) -> None:
        async def wait(messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
            async for one in messages:
                yield one

        async with _serving(wait) as server, RawPeer.connect(server.address) as peer:
            await peer.settled()
            peer.send(*(call_on(stream, STREAM) for stream in streams(600)))
            while len(server.tasks) < 600:
                await asyncio.sleep(0)
            await peer.close()
            left = [600]
            while server.tasks:
                await asyncio.sleep(0)
                left.append(len(server.tasks))
            assert max(before - after for before, after in pairwise(left)) <= 64


class _Serving(NamedTuple):
    address: str
    tasks: set[asyncio.Task[None]]


@asynccontextmanager
async def _serving(handler: StreamHandler) -> AsyncIterator[_Serving]:
    server = Server()
    server.add_stream(STREAM, handler)
    try:
        yield _Serving(await server.start("127.0.0.1:0"), server._tasks)
    finally:
        await server.stop(0)
