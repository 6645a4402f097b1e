"""Floods: a peer that keeps a server of ours busy with what is of no use is told to calm down and is cut off,
while a neighbour is served; and a busy peer that means well is not taken for one."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest
from support.echo import BATCH, STREAM, UNARY
from support.hostile import (
    ENHANCE_YOUR_CALM,
    Victim,
    call_on,
    fields_of,
    repeating_entry,
    streams,
    with_entry,
)
from support.http2_peer import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PADDED,
    PING,
    PRIORITY,
    Neighbour,
    RawPeer,
    block,
    data,
    frame,
    go_away,
    headers,
    message,
    request_fields,
    reset,
    settings,
    window_update,
)

from croupier.transport.http2.limits import Limits
from croupier.transport.http2.server_call import ServerCall
from croupier.transport.serving import Server

UNKNOWN = 0xEE
PROTOCOL_ERROR = 1
LAST = END_HEADERS | END_STREAM
OPEN = call_on(1)
GONE = OPEN + reset(1)
TOO_BIG = 2**31 - 1


def bad(stream: int) -> bytes:
    return headers(stream, [*request_fields(BATCH), ("X-Upper", "1")], LAST)


# What a new connection sends, by what it is.
FLOODS: dict[str, bytes] = {
    "rapid reset": b"".join(call_on(stream) + reset(stream) for stream in streams(300)),
    "rapid reset of whole requests": b"".join(
        call_on(stream) + data(stream, message(b"x")) + reset(stream) for stream in streams(300)
    ),
    "RST_STREAM on one that is gone": GONE + reset(1) * 300,
    "windows that overflow, so that we reset": b"".join(
        call_on(stream) + window_update(stream, TOO_BIG) for stream in streams(300)
    ),
    "headers that are wrong, so that we reset": b"".join(bad(stream) for stream in streams(300)),
    "lengths that are wrong, so that we reset": b"".join(
        headers(stream, [*request_fields(BATCH), ("content-length", "7")]) + data(stream, message(b"x"))
        for stream in streams(300)
    ),
    "PING": frame(PING, 0, bytes(8)) * 300,
    "PING acknowledged": frame(PING, 0, bytes(8), ACK) * 300,
    "SETTINGS": settings((4, 70_000)) * 30,
    "empty SETTINGS": settings() * 300,
    "SETTINGS with too many entries": settings(*[(4, 70_000)] * 33),
    "WINDOW_UPDATE of the connection": window_update(0, 1) * 300,
    "WINDOW_UPDATE of a stream": OPEN + window_update(1, 1) * 300,
    "WINDOW_UPDATE of one that is gone": GONE + window_update(1, 1) * 300,
    "PRIORITY": frame(PRIORITY, 55, bytes(5)) * 300,
    "PRIORITY of many streams": b"".join(frame(PRIORITY, stream, bytes(5)) for stream in streams(300)),
    "GOAWAY": OPEN + go_away(0) * 300,
    "empty DATA": OPEN + data(1, b"", 0) * 300,
    "DATA of padding": OPEN + frame(DATA, 1, b"\x05" + bytes(5), PADDED) * 300,
    "DATA of a byte": OPEN + data(1, b"\0", 0) * 4 + data(1, b"x", 0) * 300,
    "DATA on one that is gone": GONE + data(1, b"x", 0) * 300,
    "empty DATA on one that is gone": GONE + data(1) * 300,
    "HEADERS on one that is gone": GONE + OPEN * 300,
    "unknown frames": frame(UNKNOWN, 0, b"x") * 300,
    "unknown frames on a stream": OPEN + frame(UNKNOWN, 1, b"x") * 300,
    "empty CONTINUATION": headers(1, request_fields(BATCH), 0) + frame(CONTINUATION, 1) * 300,
    "CONTINUATION": headers(1, request_fields(BATCH), 0)
    + b"".join(frame(CONTINUATION, 1, block([(f"x-{number}", "x" * 60)])) for number in range(300)),
    "a header list far over the limit": headers(1, request_fields(BATCH), 0)
    + b"".join(frame(CONTINUATION, 1, block(fields_of(4, 4_000))) for _ in range(8)),
    "header lists over the limit": b"".join(
        headers(stream, [*request_fields(BATCH), *fields_of(4, 4_000)], LAST) for stream in streams(12)
    ),
    "HPACK: an entry again and again": with_entry(1) + repeating_entry(3, 16_000),
    "HPACK: an entry a few times in many lists": with_entry(1)
    + b"".join(repeating_entry(stream, 3) for stream in streams(50, 3)),
    "trailers far over the limit": OPEN
    + frame(HEADERS, 1, block(fields_of(4, 4_000)), END_STREAM)
    + b"".join(frame(CONTINUATION, 1, block(fields_of(4, 4_000))) for _ in range(8)),
}


class Serving(NamedTuple):
    server: Server
    address: str


@pytest.fixture
async def serving() -> AsyncIterator[Serving]:
    server = Server()

    def echo(calls: list[ServerCall]) -> None:
        for call in calls:
            call.reply(call.message)

    server.add_batch([BATCH], echo)
    yield Serving(server, await server.start("127.0.0.1:0"))
    await server.stop(0)


@pytest.fixture
async def neighbour(serving: Serving) -> AsyncIterator[Neighbour]:
    async with Neighbour.connect(serving.address) as neighbour:
        assert await neighbour.call(BATCH, b"before") == ("0", b"before")
        yield neighbour
        assert await neighbour.call(BATCH, b"after") == ("0", b"after")


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_is_cut_off(serving: Serving, neighbour: Neighbour, name: str) -> None:
    async with RawPeer.connect(serving.address) as peer:
        await peer.settled()
        peer.send(FLOODS[name])
        assert await neighbour.call(BATCH, b"meanwhile") == ("0", b"meanwhile")
        assert await peer.ended() == ENHANCE_YOUR_CALM
    assert serving.server._budget.used == 0
    # It was left to hear the reason, for a second.
    for connection in tuple(serving.server._connections):
        connection.tick(time.monotonic() + 2)
    await neighbour.call(BATCH, b"then")
    assert serving.server.connections == 1


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_costs_the_same_in_any_pieces(name: str) -> None:
    flood = FLOODS[name]
    for size in (len(flood), 1_000, 7):
        victim = Victim()
        for at in range(0, len(flood), size):
            victim.send(flood[at : at + size])
        assert victim.goaway == ENHANCE_YOUR_CALM
        assert victim.session.is_finished
        victim.close()


def test_streams_beyond_a_limit_that_is_not_acknowledged_are_counted() -> None:
    victim = Victim(Limits(max_concurrent_streams=10), is_settled=False)
    victim.receive(*(call_on(stream) for stream in streams(500)))
    victim.listen()
    assert victim.goaway == ENHANCE_YOUR_CALM
    victim.close()


def test_old_calls_that_are_reset_are_counted_by_nghttp2_at_last() -> None:
    # By its own clock, in which no time passes; to us every call is more than a second old.
    victim = Victim(Limits(reset_burst=10, max_concurrent_streams=10))
    for stream in streams(1_000):
        victim.send(call_on(stream))
        victim.now += 2
        victim.send(reset(stream))
    assert victim.goaway == ENHANCE_YOUR_CALM
    victim.close()


def test_tokens_come_back_with_time() -> None:
    victim = Victim(Limits(control_burst=200, control_rate=50))
    for _ in range(20):
        victim.send(frame(PING, 0, bytes(8)) * 45)
        victim.now += 1
    assert victim.goaway is None
    victim.send(frame(PING, 0, bytes(8)) * 200)
    assert victim.goaway == ENHANCE_YOUR_CALM


def test_who_has_earned_much_has_still_no_more_than_the_burst() -> None:
    victim = Victim(Limits(control_burst=500))
    for stream in streams(1_000):
        victim.send(call_on(stream), data(stream, message(b"x")))
        victim.calls.pop().reply(b"")
    victim.send(frame(PING, 0, bytes(8)) * 490)
    assert victim.goaway is None
    victim.send(frame(PING, 0, bytes(8)) * 20)
    assert victim.goaway == ENHANCE_YOUR_CALM


class TestNoFlood:
    """What a busy peer does who means well."""

    def test_control_frames_beside_requests(self) -> None:
        victim = Victim()
        for stream in streams(2_000):
            beside = frame(PING, 0, bytes(8)), window_update(0, 1), window_update(stream, 1)
            victim.send(call_on(stream), *beside, data(stream, message(b"x")))
            victim.calls.pop().reply(b"y")
            victim.listen()
        assert victim.goaway is None
        assert victim.statuses() == ["0"] * 2_000
        victim.close()

    @pytest.mark.parametrize("at_once", [16_384, 16_320, 4_096], ids=["a frame", "nearly a frame", "parts"])
    def test_window_updates_for_all_that_is_read(self, at_once: int) -> None:
        """HAProxy's buffer takes a little less than the largest frame, and gives the rest back by itself."""
        victim = Victim()
        victim.send(call_on(1), data(1, message(b"x")))
        victim.calls.pop().reply(bytes(2**22))
        victim.listen()
        read = 0
        while fresh := len(victim.heard[1].body) - read:
            read += fresh
            victim.send(
                *(window_update(stream, part) for part in _parts(fresh, at_once) for stream in (0, 1))
            )
        assert victim.goaway is None
        assert (read, victim.heard[1].is_ended) == (2**22 + 5, True)
        victim.close()

    @pytest.mark.parametrize("split", [0, 5], ids=["whole", "after the prefix"])
    def test_small_messages_in_frames_of_their_own(self, split: int) -> None:
        victim = Victim()
        one = message(b"0123456789")
        parts = [data(1, part, 0) for part in (one[:split], one[split:]) if part]
        victim.send(call_on(1, STREAM))
        for _ in range(200):
            victim.send(*parts * 10)
            while victim.calls[0].take() is not None:
                pass
        assert victim.goaway is None
        victim.close()

    def test_all_calls_are_given_up_after_a_second(self) -> None:
        victim = Victim(Limits(max_concurrent_streams=4_000))
        victim.send(*(call_on(stream, UNARY) for stream in streams(4_000)))
        victim.now += 1
        victim.send(*(reset(stream) for stream in streams(4_000)))
        assert victim.goaway is None
        assert victim.session.open_calls == 0
        victim.close()

    def test_some_calls_are_given_up_at_once(self) -> None:
        victim = Victim()
        for stream in streams(2_000):
            victim.send(call_on(stream), reset(stream))
            victim.now += 0.01
        assert victim.goaway is None
        victim.close()


def _parts(size: int, at_once: int) -> list[int]:
    """Of a frame's payload each: no more than is read at once."""
    frames = [16_384] * (size // 16_384) + [size % 16_384]
    return [min(at_once, payload - read) for payload in frames for read in range(0, payload, at_once)]
