"""What a server of ours does with a peer that breaks HTTP/2: the error that RFC 9113 asks for, and no harm
to anybody else. The peer writes frames by hand; a neighbour on the h2 library must not notice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import uvloop
from hyperframe.frame import PingFrame, SettingsFrame
from support.echo import BATCH, STREAM, serving
from support.http2_peer import (
    ACK,
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITIZED,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
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

PROTOCOL_ERROR, FLOW_CONTROL_ERROR = 1, 3
STREAM_CLOSED, FRAME_SIZE_ERROR, COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 5, 6, 9, 11
LOOP_FACTORIES = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
OK = ("200", "0")

WINDOW = 2**16
LIMITS = Limits(stream_window=WINDOW, connection_window=2**20)

FIELDS = request_fields(BATCH)
OPEN = headers(1, FIELDS)
HALF = OPEN + data(1, message(b"half")[:3], 0)


def without(name: str) -> bytes:
    return headers(1, [pair for pair in FIELDS if pair[0] != name], END_HEADERS | END_STREAM)


def with_field(name: str, value: str) -> bytes:
    return headers(1, [*FIELDS, (name, value)], END_HEADERS | END_STREAM)


# By what the peer does: the error code of the GOAWAY that ends the connection, and what is sent.
CONNECTION_ERRORS: dict[str, tuple[int, bytes]] = {
    "HEADERS on stream 0": (PROTOCOL_ERROR, headers(0, FIELDS)),
    "HEADERS on an even stream": (PROTOCOL_ERROR, headers(2, FIELDS)),
    "HEADERS with padding longer than the frame": (
        PROTOCOL_ERROR,
        frame(HEADERS, 1, b"\xff" + block(FIELDS)[:10], END_HEADERS | PADDED),
    ),
    "HEADERS too short for its priority": (
        FRAME_SIZE_ERROR,
        frame(HEADERS, 1, b"\0\0\0", END_HEADERS | PRIORITIZED),
    ),
    "a header block interrupted by DATA": (PROTOCOL_ERROR, headers(1, FIELDS, 0) + data(1, b"x")),
    "a header block interrupted by PING": (PROTOCOL_ERROR, headers(1, FIELDS, 0) + frame(PING, 0, bytes(8))),
    "a header block interrupted by an unknown frame": (
        PROTOCOL_ERROR,
        headers(1, FIELDS, 0) + frame(0xEE, 1, b"x"),
    ),
    "a header block continued on another stream": (
        PROTOCOL_ERROR,
        headers(1, FIELDS, 0) + frame(CONTINUATION, 3, b"", END_HEADERS),
    ),
    "CONTINUATION after a whole block": (PROTOCOL_ERROR, OPEN + frame(CONTINUATION, 1, b"", END_HEADERS)),
    "CONTINUATION alone": (PROTOCOL_ERROR, frame(CONTINUATION, 1, block(FIELDS), END_HEADERS)),
    "HPACK: an index that is not there": (COMPRESSION_ERROR, frame(HEADERS, 1, b"\xff\xff\x01", END_HEADERS)),
    "HPACK: index 0": (COMPRESSION_ERROR, frame(HEADERS, 1, b"\x80", END_HEADERS)),
    "HPACK: a string that is cut short": (COMPRESSION_ERROR, frame(HEADERS, 1, b"\0\x0aabc", END_HEADERS)),
    "HPACK: bad Huffman padding": (COMPRESSION_ERROR, frame(HEADERS, 1, b"\0\x81\0\0", END_HEADERS)),
    "HPACK: a table above what was allowed": (
        COMPRESSION_ERROR,
        frame(HEADERS, 1, b"\x3f\xe2\x1f" + block(FIELDS), END_HEADERS),
    ),
    "HPACK: an integer without end": (
        COMPRESSION_ERROR,
        frame(HEADERS, 1, b"\xff" + b"\x80" * 20, END_HEADERS),
    ),
    "DATA on stream 0": (PROTOCOL_ERROR, data(0, b"x")),
    "DATA before HEADERS": (PROTOCOL_ERROR, data(1, b"x")),
    "DATA on an even stream": (PROTOCOL_ERROR, data(2, b"x")),
    "DATA with padding longer than the frame": (PROTOCOL_ERROR, OPEN + frame(0, 1, b"\x05abc", PADDED)),
    "DATA with padding and no length of it": (PROTOCOL_ERROR, OPEN + frame(0, 1, b"", PADDED)),
    "DATA above the frame size": (FRAME_SIZE_ERROR, OPEN + data(1, bytes(16_385))),
    "RST_STREAM on stream 0": (PROTOCOL_ERROR, reset(0)),
    "RST_STREAM on an idle stream": (PROTOCOL_ERROR, reset(1)),
    "RST_STREAM too short": (FRAME_SIZE_ERROR, OPEN + frame(RST_STREAM, 1, bytes(3))),
    "SETTINGS on a stream": (PROTOCOL_ERROR, OPEN + frame(SETTINGS, 1)),
    "SETTINGS of a length that is no multiple of 6": (FRAME_SIZE_ERROR, frame(SETTINGS, 0, bytes(5))),
    "SETTINGS acknowledged with a payload": (FRAME_SIZE_ERROR, frame(SETTINGS, 0, bytes(6), ACK)),
    "SETTINGS_ENABLE_PUSH of 2": (PROTOCOL_ERROR, settings((2, 2))),
    "SETTINGS_INITIAL_WINDOW_SIZE above its bound": (FLOW_CONTROL_ERROR, settings((4, 2**31))),
    "SETTINGS_MAX_FRAME_SIZE below its bound": (PROTOCOL_ERROR, settings((5, 16_383))),
    "SETTINGS_MAX_FRAME_SIZE above its bound": (PROTOCOL_ERROR, settings((5, 2**24))),
    "PUSH_PROMISE from a client": (
        PROTOCOL_ERROR,
        OPEN + frame(PUSH_PROMISE, 1, b"\0\0\0\2" + block(FIELDS), END_HEADERS),
    ),
    "PING on a stream": (PROTOCOL_ERROR, frame(PING, 1, bytes(8))),
    "PING too short": (FRAME_SIZE_ERROR, frame(PING, 0, bytes(7))),
    "GOAWAY on a stream": (PROTOCOL_ERROR, frame(GOAWAY, 1, bytes(8))),
    "GOAWAY too short": (FRAME_SIZE_ERROR, frame(GOAWAY, 0, bytes(7))),
    "WINDOW_UPDATE of 0 on the connection": (PROTOCOL_ERROR, window_update(0, 0)),
    "WINDOW_UPDATE of 0 on a stream": (PROTOCOL_ERROR, OPEN + window_update(1, 0)),
    "WINDOW_UPDATE on an idle stream": (PROTOCOL_ERROR, window_update(1, 1)),
    "WINDOW_UPDATE too short": (FRAME_SIZE_ERROR, frame(WINDOW_UPDATE, 0, bytes(3))),
    "WINDOW_UPDATE that overflows the connection's window": (
        FLOW_CONTROL_ERROR,
        window_update(0, 2**31 - 1),
    ),
    "PRIORITY on stream 0": (PROTOCOL_ERROR, frame(PRIORITY, 0, bytes(5))),
    "HEADERS on a stream that was left out": (PROTOCOL_ERROR, headers(5, FIELDS) + headers(3, FIELDS)),
    "PRIORITY too short": (FRAME_SIZE_ERROR, OPEN + frame(PRIORITY, 1, bytes(4))),
    "HEADERS for a stream that waits for itself": (
        PROTOCOL_ERROR,
        frame(HEADERS, 1, b"\0\0\0\1\0" + block(FIELDS), END_HEADERS | PRIORITIZED),
    ),
    "DATA after END_STREAM": (
        STREAM_CLOSED,
        headers(1, request_fields(STREAM), END_HEADERS | END_STREAM) + data(1, b"x"),
    ),
}

# By what is wrong with stream 1: the error code of its RST_STREAM, and what is sent.
STREAM_ERRORS: dict[str, tuple[int, bytes]] = {
    "an upper-case header name": (PROTOCOL_ERROR, with_field("X-Upper", "1")),
    "a header name with a space": (PROTOCOL_ERROR, with_field("a b", "1")),
    "a header value with a line break": (PROTOCOL_ERROR, with_field("a", "1\r\nb: 2")),
    "a header value with a NUL": (PROTOCOL_ERROR, with_field("a", "1\0")),
    "no :method": (PROTOCOL_ERROR, without(":method")),
    "no :scheme": (PROTOCOL_ERROR, without(":scheme")),
    "no :path": (PROTOCOL_ERROR, without(":path")),
    "no :authority": (PROTOCOL_ERROR, without(":authority")),
    "a :path that is none": (PROTOCOL_ERROR, headers(1, request_fields("path"), END_HEADERS | END_STREAM)),
    "an empty :path": (PROTOCOL_ERROR, headers(1, request_fields(""), END_HEADERS | END_STREAM)),
    "two :path": (PROTOCOL_ERROR, headers(1, [(":path", BATCH), *FIELDS], END_HEADERS | END_STREAM)),
    "a pseudo-header of responses": (PROTOCOL_ERROR, headers(1, [(":status", "200"), *FIELDS])),
    "a pseudo-header that is unknown": (PROTOCOL_ERROR, headers(1, [(":croupier", "1"), *FIELDS])),
    "a pseudo-header after another header": (PROTOCOL_ERROR, headers(1, FIELDS[1:] + FIELDS[:1])),
    "connection": (PROTOCOL_ERROR, with_field("connection", "keep-alive")),
    "transfer-encoding": (PROTOCOL_ERROR, with_field("transfer-encoding", "chunked")),
    "upgrade": (PROTOCOL_ERROR, with_field("upgrade", "h2c")),
    "te other than trailers": (PROTOCOL_ERROR, with_field("te", "gzip")),
    "less DATA than content-length": (
        PROTOCOL_ERROR,
        headers(1, [*FIELDS, ("content-length", "100")]) + data(1, message(b"short")),
    ),
    "more DATA than content-length": (
        PROTOCOL_ERROR,
        headers(1, [*FIELDS, ("content-length", "6")]) + data(1, message(b"too long")),
    ),
    "a content-length that is no number": (PROTOCOL_ERROR, with_field("content-length", "-5")),
    "trailers without END_STREAM": (PROTOCOL_ERROR, HALF + headers(1, [("a", "b")])),
    "a pseudo-header in trailers": (
        PROTOCOL_ERROR,
        HALF + headers(1, [(":path", "/")], END_HEADERS | END_STREAM),
    ),
    # RFC 9113, 6.9.2 would end the connection; nghttp2 ends what cannot go on.
    "SETTINGS_INITIAL_WINDOW_SIZE that overflows an open window": (
        FLOW_CONTROL_ERROR,
        headers(1, request_fields(STREAM)) + window_update(1, 2**31 - 1 - 65_535) + settings((4, 65_536)),
    ),
    "WINDOW_UPDATE that overflows the stream's window": (
        FLOW_CONTROL_ERROR,
        OPEN + window_update(1, 2**31 - 1),
    ),
    "more than the stream's window": (
        FLOW_CONTROL_ERROR,
        headers(1, request_fields(STREAM)) + 5 * data(1, bytes(16_384), 0),
    ),
}

# What is put up with: a call on stream 101 goes well after each.
TOLERATED: dict[str, bytes] = {
    "an unknown frame": frame(0xEE, 0, b"whatever"),
    "an unknown frame on a stream that is idle": frame(0xEE, 77, b"whatever"),
    "unknown flags": frame(PING, 0, bytes(8), 0xFE),
    "an unknown setting": settings((0xEEEE, 1)),
    "settings twice over": settings((3, 10)) + settings((3, 20)),
    "PRIORITY of an idle stream": frame(PRIORITY, 55, bytes(5)),
    "PRIORITY of a stream that waits for itself": frame(PRIORITY, 55, b"\0\0\0\x37\0"),
    "RST_STREAM of a stream that was reset": OPEN + reset(1) + reset(1),
    "trailers of a stream that was reset": OPEN
    + headers(9, FIELDS)
    + reset(1)
    + headers(1, [("a", "b")], END_HEADERS | END_STREAM),
    "WINDOW_UPDATE of a stream that was reset": OPEN + reset(1) + window_update(1, 5),
    "the reserved bit of a stream's id": frame(PING, 2**31, bytes(8)),
    "RST_STREAM with an unknown code": OPEN + reset(1, 0xABCD),
    "a table size update within bounds": frame(HEADERS, 1, b"\x20" + block(FIELDS), END_HEADERS),
    "a request that is never finished": HALF,
}


def many(count: int, *frames: Callable[[int], bytes]) -> bytes:
    """`frames` on each of `count` streams."""
    return b"".join(make(stream) for stream in range(1, 2 * count, 2) for make in frames)


def call_on(stream: int) -> bytes:
    return headers(stream, FIELDS) + data(stream, message())


# What no peer needs to send so much of: the connection ends with ENHANCE_YOUR_CALM.
FLOODS: dict[str, bytes] = {
    "PING": 300 * frame(PING, 0, bytes(8)),
    "SETTINGS": 300 * settings(),
    "WINDOW_UPDATE": OPEN + 300 * window_update(1, 1),
    "PRIORITY": 300 * frame(PRIORITY, 55, bytes(5)),
    "empty DATA": OPEN + 300 * data(1, b"", 0),
    "CONTINUATION": headers(1, FIELDS, 0) + 300 * frame(CONTINUATION, 1),
    "RST_STREAM": many(300, call_on, reset),
    "what makes us reset": many(300, call_on, lambda stream: window_update(stream, 2**31 - 1)),
}
CALM = Limits(control_burst=100, control_rate=1, reset_burst=100, reset_rate=1)


@pytest.fixture
async def address() -> AsyncIterator[str]:
    async with serving(LIMITS) as address:
        yield address


@pytest.fixture
async def neighbour(address: str) -> AsyncIterator[Neighbour]:
    async with Neighbour.connect(address) as neighbour:
        assert await neighbour.call(BATCH, b"before") == ("0", b"before")
        yield neighbour
        assert await neighbour.call(BATCH, b"after") == ("0", b"after")


@pytest.mark.parametrize("name", CONNECTION_ERRORS)
async def test_what_breaks_the_connection_ends_it(address: str, neighbour: Neighbour, name: str) -> None:
    code, frames = CONNECTION_ERRORS[name]
    async with RawPeer.connect(address) as peer:
        peer.send(frames)
        assert code == await peer.ended()


@pytest.mark.parametrize("name", STREAM_ERRORS)
async def test_what_breaks_a_stream_resets_that_alone(address: str, neighbour: Neighbour, name: str) -> None:
    code, frames = STREAM_ERRORS[name]
    async with RawPeer.connect(address) as peer:
        peer.send(frames)
        assert code == (await peer.heard(1)).reset
        await goes_well(peer, 101)


@pytest.mark.parametrize("name", TOLERATED)
async def test_what_is_allowed_is_ignored(address: str, neighbour: Neighbour, name: str) -> None:
    async with RawPeer.connect(address) as peer:
        peer.send(TOLERATED[name])
        await goes_well(peer, 101)


@pytest.mark.parametrize(
    "first",
    [
        PREFACE.replace(b"SM", b"XX"),
        PREFACE + frame(PING, 0, bytes(8)),
    ],
    ids=["a preface that is wrong", "a first frame that is not SETTINGS"],
)
async def test_who_does_not_begin_as_http2_is_sent_away(
    address: str, neighbour: Neighbour, first: bytes
) -> None:
    async with RawPeer.connect(address, first) as peer:
        assert await peer.ended() == PROTOCOL_ERROR


async def test_calls_under_way_are_answered_after_a_goaway(address: str, neighbour: Neighbour) -> None:
    async with RawPeer.connect(address) as peer:
        peer.send(HALF, go_away(0), data(1, message(b"half")[3:]))
        heard = await peer.heard(1)
        assert (OK, message(b"half")) == (heard.status, heard.body)
        assert await peer.ended() in (None, 0)


async def test_pings_and_settings_are_acknowledged(address: str, neighbour: Neighbour) -> None:
    async with RawPeer.connect(address) as peer:
        peer.send(settings((4, 70_000)), frame(PING, 0, b"12345678"))
        await peer.settled()
    acknowledged = [type(got) for got in peer.frames if "ACK" in got.flags]
    assert [SettingsFrame, SettingsFrame, PingFrame, PingFrame] == acknowledged


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_ends_its_connection(name: str) -> None:
    async with serving(CALM) as address, Neighbour.connect(address) as neighbour:
        async with RawPeer.connect(address) as peer:
            peer.send(FLOODS[name])
            assert await peer.ended() == ENHANCE_YOUR_CALM
        assert await neighbour.call(BATCH, b"after") == ("0", b"after")


async def test_a_stream_more_than_was_allowed_ends_the_connection() -> None:
    async with serving(Limits(max_concurrent_streams=2)) as address, RawPeer.connect(address) as peer:
        await peer.settled()
        peer.send(*(headers(stream, FIELDS) for stream in (1, 3, 5)))
        assert await peer.ended() == PROTOCOL_ERROR


@pytest.mark.parametrize("path", [BATCH, STREAM])
async def test_no_more_is_sent_than_the_peers_window_takes(address: str, path: str) -> None:
    whole = message(bytes(range(200)))
    async with RawPeer.connect(address) as peer:
        peer.send(settings((4, 0)))
        await peer.settled()
        peer.send(headers(1, request_fields(path)), data(1, whole))
        for size in (0, 1, 4, 100):
            peer.send(window_update(1, size) if size else b"")
            await peer.settled()
            await peer.settled()
        assert whole[:105] == peer.streams[1].body
        # A window may shrink below 0, and has to grow above it again.
        peer.send(settings((4, 50)))
        await peer.until(1, lambda heard: len(heard.body) == 155)
        peer.send(settings((4, 10)), window_update(1, 40))
        await peer.settled()
        assert len(peer.streams[1].body) == 155
        peer.send(window_update(1, 1))
        await peer.until(1, lambda heard: len(heard.body) == 156)
        peer.send(window_update(1, 1000))
        heard = await peer.heard(1)
        assert (OK, whole) == (heard.status, heard.body)


@pytest.mark.parametrize("size", [0, 100, 2**32 - 1])
async def test_a_peer_may_have_any_header_table(address: str, size: int) -> None:
    async with RawPeer.connect(address) as peer:
        peer.send(settings((1, size)))
        await peer.settled()
        for stream in (1, 3, 5):
            await goes_well(peer, stream)


async def goes_well(peer: RawPeer, stream: int, body: bytes = b"call") -> None:
    peer.send(headers(stream, FIELDS), data(stream, message(body)))
    heard = await peer.heard(stream)
    assert (OK, message(body)) == (heard.status, heard.body)
