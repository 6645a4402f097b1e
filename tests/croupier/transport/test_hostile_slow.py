"""Peers that take their time, or are gone without a word: the clock ends what they hold. The tests put it
forward; the sockets are real."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
from support.echo import BATCH, STREAM
from support.hostile import ENHANCE_YOUR_CALM, call_on, streams
from support.http2_peer import (
    ACK,
    CONTINUATION,
    HEADERS,
    PING,
    PREFACE,
    SETTINGS,
    Neighbour,
    RawPeer,
    block,
    data,
    frame,
    headers,
    message,
    request_fields,
    settings,
    window_update,
)

from croupier.transport.context import Context
from croupier.transport.http2.limits import Limits
from croupier.transport.http2.server_call import ServerCall
from croupier.transport.net.connection import HIGH_WATER, Connection
from croupier.transport.serving import Server

LARGE = "/test.Slow/Large"
DEADLINE_EXCEEDED = "4"
MIB = 2**20
WIDE = settings((4, 2**31 - 1)) + window_update(0, 2**30)
LIMITS = Limits()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    server.add_batch([BATCH, LARGE], _batch)
    server.add_stream(STREAM, _stream)
    await server.start("127.0.0.1:0")
    yield server
    await server.stop(0)


def _batch(calls: list[ServerCall]) -> None:
    for call in calls:
        call.reply(bytes(MIB) if call.path == LARGE else call.message)


async def _stream(messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
    async for one in messages:
        yield one


@pytest.fixture
def address(server: Server) -> str:
    assert server._listener is not None
    host, port = server._listener._sockets[0].getsockname()
    return f"{host}:{port}"


@pytest.fixture
async def neighbour(server: Server, address: str) -> AsyncIterator[Neighbour]:
    async with Neighbour.connect(address) as neighbour:
        assert await neighbour.call(BATCH, b"before") == ("0", b"before")
        yield neighbour
        assert await neighbour.call(BATCH, b"after") == ("0", b"after")
        assert (server.connections, server._budget.used) == (1, 0)


class Clock:
    """The ticks of a server, at moments of our choice. The neighbour says something before each one."""

    def __init__(self, server: Server, neighbour: Neighbour) -> None:
        self._server = server
        self._neighbour = neighbour
        self._began = time.monotonic()

    async def at(self, seconds: float) -> None:
        assert await self._neighbour.call(BATCH, b"meanwhile") == ("0", b"meanwhile")
        for connection in tuple(self._server._connections):
            if connection is not self.neighbours:
                connection.tick(self._began + seconds)

    @property
    def neighbours(self) -> Connection:
        """The connection that was made first."""
        return min(self._server._connections, key=lambda connection: connection.made)

    @property
    def other(self) -> Connection:
        [other] = [one for one in self._server._connections if one is not self.neighbours]
        return other


@pytest.fixture
def clock(server: Server, neighbour: Neighbour) -> Clock:
    return Clock(server, neighbour)


@pytest.mark.parametrize("first", [b"", PREFACE[:10], PREFACE, PREFACE + settings((4, 70_000))[:-1]])
async def test_who_never_begins_has_its_time(address: str, clock: Clock, first: bytes) -> None:
    async with RawPeer.connect(address, first) as peer:
        await clock.at(9)
        assert not clock.other.is_lost
        await clock.at(11)
        assert await peer.ended() is None


@pytest.mark.parametrize("kind", [HEADERS, CONTINUATION])
async def test_headers_that_do_not_end_have_their_time(address: str, clock: Clock, kind: int) -> None:
    begun = block(request_fields(BATCH))
    async with RawPeer.connect(address) as peer:
        await peer.settled()
        whole = frame(HEADERS, 1, begun + (block([("x-slow", "x")]) if kind == HEADERS else b""))
        peer.send(whole[:-10] if kind == HEADERS else whole)
        for second in range(9):
            # A byte every second keeps nobody's patience.
            peer.send(whole[second - 10 : second - 9] if kind == HEADERS else b"")
            await clock.at(second)
        assert not clock.other.is_lost
        await clock.at(11)
        assert await peer.ended() is None


async def test_headers_that_end_in_time_do_no_harm(address: str, clock: Clock) -> None:
    async with RawPeer.connect(address) as peer:
        peer.send(headers(1, request_fields(BATCH), 0))
        await clock.at(9)
        peer.send(frame(CONTINUATION, 1, b"", 4), data(1, message(b"late")))
        assert (await peer.heard(1)).status == ("200", "0")
        await clock.at(29)
        assert not clock.other.is_lost


async def test_a_body_that_does_not_end_has_its_time(address: str, clock: Clock) -> None:
    whole = message(bytes(1_000))
    async with RawPeer.connect(address) as peer:
        peer.send(call_on(1), call_on(3, STREAM))
        for second in range(0, 60, 10):
            byte = whole[second // 10 :][:1]
            peer.send(data(1, byte, 0), data(3, byte, 0))
            await peer.settled()
            clock.other.last_heard = time.monotonic() + second
            await clock.at(second)
        assert 1 not in peer.streams
        await clock.at(61)
        assert (await peer.heard(1)).status == ("200", DEADLINE_EXCEEDED)
        # A stream may last as long as its caller likes.
        assert 3 not in peer.streams


async def test_who_is_gone_without_a_word_is_asked_and_given_up(address: str, clock: Clock) -> None:
    async with RawPeer.connect(address) as peer:
        peer.send(call_on(1))
        await peer.settled()
        await clock.at(29)
        assert not clock.other.session.ping_at
        await clock.at(31)
        assert clock.other.session.ping_at
        await clock.at(50)
        assert not clock.other.is_lost
        await clock.at(52)
        assert await peer.ended() is None


async def test_who_answers_is_still_there(address: str, clock: Clock) -> None:
    async with RawPeer.connect(address) as peer:
        await peer.settled()
        await clock.at(31)
        asked = clock.other
        peer.send(frame(PING, 0, bytes(8), ACK))
        await peer.settled()
        await clock.at(52)
        assert (asked.is_lost, asked.session.ping_at > 0) == (False, True)


async def test_who_does_not_read_has_its_time(address: str, clock: Clock) -> None:
    async with RawPeer.connect(address, PREFACE + WIDE) as peer:
        # What it says meanwhile is no excuse.
        await _stop_reading(peer, clock)
        other = clock.other
        assert other.session.held >= HIGH_WATER
        await clock.at(59)
        assert not other.is_lost
        other.last_heard = time.monotonic() + 61
        await clock.at(61)
        await _lost(other, clock)


async def test_who_floods_and_does_not_read_is_gone_at_once(address: str, clock: Clock) -> None:
    async with RawPeer.connect(address, PREFACE + WIDE) as peer:
        await _stop_reading(peer, clock)
        other = clock.other
        peer.send(*[frame(SETTINGS)] * 2_000)
        await _lost(other, clock)


async def test_who_is_told_to_go_and_does_not_read_keeps_nothing(
    server: Server, address: str, clock: Clock
) -> None:
    async with RawPeer.connect(address, PREFACE + WIDE) as peer:
        await peer.settled()
        other = clock.other
        peer.send(*(call_on(stream) for stream in streams(500)))
        await peer.settled()
        assert other.session.held >= 500 * 600
        peer.send(*[frame(SETTINGS)] * 2_000)
        assert await peer.ended() == ENHANCE_YOUR_CALM
        assert (other.session.held, other.session.open_calls, server._budget.used) == (0, 0, 0)
        assert not other.is_lost
        await clock.at(2)
        await _lost(other, clock)


async def _stop_reading(peer: RawPeer, clock: Clock) -> None:
    """Ask for more than the sockets take, and read nothing of it."""
    peer.send(*(call_on(stream, LARGE) + data(stream, message(b"x")) for stream in streams(40)))
    while not clock.other._paused_at:
        await clock.at(0)


async def _lost(connection: Connection, clock: Clock) -> None:
    while not connection.is_lost:
        await clock.at(0)
    assert connection.session.held == 0
