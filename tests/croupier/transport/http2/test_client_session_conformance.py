"""What a client of ours makes of a server that breaks HTTP/2 or gRPC: every call ends once, with the right
status, and the channel goes on to work. The server writes its frames by hand."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import uvloop
from support.http2_peer import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PADDED,
    PUSH_PROMISE,
    RawPeer,
    RawServer,
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

from croupier.codes import Code
from croupier.transport.client import Channel
from croupier.transport.http2.client_call import ClientCall
from croupier.transport.http2.limits import Limits
from croupier.transport.status import RpcError

LOOP_FACTORIES = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
PATH = "/test.Echo/Unary"
MAX_MESSAGE, MAX_HEADERS = 10_000, 4_096
LIMITS = Limits(max_message_bytes=MAX_MESSAGE, max_header_bytes=MAX_HEADERS)
LAST = END_HEADERS | END_STREAM

PROTOCOL_ERROR, FRAME_SIZE_ERROR, REFUSED_STREAM, COMPRESSION_ERROR = 1, 6, 7, 9

HEAD = headers(1, [(":status", "200"), ("content-type", "application/grpc")])
BODY = data(1, message(b"answer"), 0)


def head(*extra: tuple[str, str], status: str = "200", flags: int = END_HEADERS) -> bytes:
    return headers(1, [(":status", status), ("content-type", "application/grpc"), *extra], flags)


def trailers(status: str | None = "0", *extra: tuple[str, str]) -> bytes:
    return headers(1, [*([] if status is None else [("grpc-status", status)]), *extra], LAST)


def only(status: str, *extra: tuple[str, str]) -> bytes:
    return head(("grpc-status", status), *extra, flags=LAST)


def http(status: str) -> bytes:
    return headers(1, [(":status", status), ("content-type", "text/html")]) + data(1, b"<html>")


@dataclass(frozen=True)
class End:
    """How a call ended; `broken`: not by the peer's word."""

    code: int
    broken: bool = True
    message: bytes = b""


ANSWER = End(Code.OK, False, b"answer")

# What the server sends on stream 1, and what the call has come to. The connection stays.
ENDS: dict[str, tuple[bytes, End]] = {
    "an answer": (HEAD + BODY + trailers(), ANSWER),
    "an answer after 103": (
        headers(1, [(":status", "103"), ("link", "x"), ("grpc-status", "5")]) + HEAD + BODY + trailers(),
        ANSWER,
    ),
    "an answer with padding": (
        HEAD + frame(DATA, 1, b"\x02" + message(b"answer") + b"\0\0", PADDED) + trailers(),
        ANSWER,
    ),
    "an answer with unknown frames": (
        HEAD + frame(0xEE, 1, b"x") + BODY + frame(0xEE, 0, b"y") + trailers(),
        ANSWER,
    ),
    "a compressed answer": (
        head(("grpc-encoding", "gzip")) + data(1, message(gzip.compress(b"answer"), 1), 0) + trailers(),
        ANSWER,
    ),
    "an answer ahead of an error": (HEAD + BODY + trailers("5"), End(Code.NOT_FOUND, False)),
    "trailers only": (only("5"), End(Code.NOT_FOUND, False)),
    "trailers only, Code.OK, and no message": (only("0"), End(Code.INTERNAL)),
    "trailers only with HTTP 503": (
        head(("grpc-status", "5"), status="503", flags=LAST),
        End(Code.NOT_FOUND, False),
    ),
    "no grpc-status": (HEAD + BODY + trailers(None, ("a", "b")), End(Code.UNKNOWN)),
    "no trailers": (HEAD + data(1, message(b"answer")), End(Code.UNKNOWN)),
    "headers alone": (head(flags=LAST), End(Code.UNKNOWN)),
    "a grpc-status that is no number": (only("abc"), End(Code.UNKNOWN, False)),
    "a grpc-status below 0": (only("-1"), End(Code.UNKNOWN, False)),
    "a grpc-status that is unknown": (only("17"), End(Code.UNKNOWN, False)),
    "an empty grpc-status": (only(""), End(Code.UNKNOWN, False)),
    "HTTP 200 that is not gRPC": (http("200"), End(Code.UNKNOWN)),
    "HTTP 400": (http("400"), End(Code.INTERNAL)),
    "HTTP 401": (http("401"), End(Code.UNAUTHENTICATED)),
    "HTTP 403": (http("403"), End(Code.PERMISSION_DENIED)),
    "HTTP 404": (http("404"), End(Code.UNIMPLEMENTED)),
    "HTTP 429": (http("429"), End(Code.UNAVAILABLE)),
    "HTTP 500": (http("500"), End(Code.UNKNOWN)),
    "HTTP 502": (http("502"), End(Code.UNAVAILABLE)),
    "HTTP 503": (http("503"), End(Code.UNAVAILABLE)),
    "HTTP 504": (http("504"), End(Code.UNAVAILABLE)),
    "a message that is cut short": (
        HEAD + data(1, message(b"answer")[:-1], 0) + trailers(),
        End(Code.INTERNAL),
    ),
    "two messages": (HEAD + BODY + BODY + trailers(), End(Code.INTERNAL)),
    "no message": (HEAD + trailers(), End(Code.INTERNAL)),
    "a compressed message without encoding": (
        HEAD + data(1, message(b"x", 1), 0) + trailers(),
        End(Code.INTERNAL),
    ),
    "an unknown encoding": (
        head(("grpc-encoding", "snappy")) + data(1, message(b"x", 1), 0) + trailers(),
        End(Code.INTERNAL),
    ),
    "garbage for gzip": (
        head(("grpc-encoding", "gzip")) + data(1, message(b"x", 1), 0) + trailers(),
        End(Code.INTERNAL),
    ),
    "a message over the limit": (
        HEAD + data(1, message(bytes(MAX_MESSAGE + 1)), 0),
        End(Code.RESOURCE_EXHAUSTED),
    ),
    "a message that grows over the limit": (
        head(("grpc-encoding", "gzip")) + data(1, message(gzip.compress(bytes(MAX_MESSAGE + 1)), 1), 0),
        End(Code.RESOURCE_EXHAUSTED),
    ),
    "headers over the limit": (
        head(("x", "x" * MAX_HEADERS)) + BODY + trailers(),
        End(Code.RESOURCE_EXHAUSTED),
    ),
    "trailers over the limit": (
        HEAD + BODY + trailers("0", ("x", "x" * MAX_HEADERS)),
        End(Code.RESOURCE_EXHAUSTED),
    ),
    "RST_STREAM NO_ERROR": (reset(1, 0), End(Code.INTERNAL)),
    "RST_STREAM PROTOCOL_ERROR": (reset(1, 1), End(Code.INTERNAL)),
    "RST_STREAM INTERNAL_ERROR": (reset(1, 2), End(Code.INTERNAL)),
    "RST_STREAM CANCEL": (reset(1, 8), End(Code.CANCELLED)),
    "RST_STREAM ENHANCE_YOUR_CALM": (reset(1, 11), End(Code.RESOURCE_EXHAUSTED)),
    "RST_STREAM INADEQUATE_SECURITY": (reset(1, 12), End(Code.PERMISSION_DENIED)),
    "RST_STREAM with an unknown code": (reset(1, 0xABCD), End(Code.INTERNAL)),
    "RST_STREAM behind the headers": (HEAD + reset(1, 8), End(Code.CANCELLED)),
    "RST_STREAM behind the message": (HEAD + BODY + reset(1, 8), End(Code.CANCELLED)),
    "an upper-case header name": (head(("X-Upper", "1")), End(Code.INTERNAL)),
    "no :status": (headers(1, [("content-type", "application/grpc")]), End(Code.INTERNAL)),
    "a :status that is no number": (head(status="abc"), End(Code.INTERNAL)),
    "connection": (head(("connection", "close")), End(Code.INTERNAL)),
    "a content-length that lies": (head(("content-length", "5")) + BODY + trailers(), End(Code.INTERNAL)),
    "trailers without END_STREAM": (HEAD + BODY + headers(1, [("grpc-status", "0")]), End(Code.INTERNAL)),
    "a pseudo-header in trailers": (HEAD + BODY + trailers("0", (":status", "200")), End(Code.INTERNAL)),
    "a window that overflows": (window_update(1, 2**31 - 1), End(Code.INTERNAL)),
}

# What breaks the connection: what the server sends, and the error code of our GOAWAY.
BREAKS: dict[str, tuple[bytes, int]] = {
    "HEADERS on stream 0": (headers(0, [(":status", "200")]), PROTOCOL_ERROR),
    "HEADERS on an idle stream": (headers(7, [(":status", "200")]), PROTOCOL_ERROR),
    "HEADERS on an even stream": (headers(2, [(":status", "200")]), PROTOCOL_ERROR),
    "DATA on an idle stream": (data(7, b"x"), PROTOCOL_ERROR),
    "DATA before HEADERS": (BODY, PROTOCOL_ERROR),
    "RST_STREAM on an idle stream": (reset(7), PROTOCOL_ERROR),
    "PUSH_PROMISE": (
        frame(PUSH_PROMISE, 1, b"\0\0\0\2" + block(request_fields(PATH)), END_HEADERS),
        PROTOCOL_ERROR,
    ),
    "SETTINGS that enable push": (settings((2, 1)), PROTOCOL_ERROR),
    "bad HPACK": (frame(HEADERS, 1, b"\x80", END_HEADERS), COMPRESSION_ERROR),
    "a frame that is too large": (HEAD + data(1, bytes(16_385), 0), FRAME_SIZE_ERROR),
    "a header block interrupted": (headers(1, [(":status", "200")], 0) + BODY, PROTOCOL_ERROR),
    "a zero window update": (window_update(0, 0), PROTOCOL_ERROR),
}


@pytest.fixture
async def server() -> AsyncIterator[RawServer]:
    async with RawServer.listen() as server:
        yield server


@pytest.fixture
async def channel(server: RawServer) -> AsyncIterator[Channel]:
    channel = Channel(server.address, limits=LIMITS)
    yield channel
    await channel.close()


def start(channel: Channel, path: str = PATH) -> asyncio.Future[ClientCall]:
    """A call on the hot path; the future has it when it has ended, and takes no second end."""
    ended = asyncio.get_running_loop().create_future()
    channel.start(path.encode(), b"request", None, ended.set_result)
    return ended


def end_of(call: ClientCall) -> End:
    return End(call.code, call.is_broken, call.message if call.code == Code.OK else b"")


async def goes_well(peer: RawPeer, channel: Channel, stream: int) -> None:
    """The next call of `channel` is on `stream` of `peer`'s connection, and is answered."""
    ended = start(channel, "/test.Echo/After")
    request = await peer.heard(stream)
    assert (message(b"request"), "/test.Echo/After") == (request.body, request.lists[0][":path"])
    peer.send(*answer(stream))
    async with asyncio.timeout(10):
        assert end_of(await ended) == ANSWER


def answer(stream: int) -> list[bytes]:
    fields = [(":status", "200"), ("content-type", "application/grpc")]
    last = headers(stream, [("grpc-status", "0")], LAST)
    return [headers(stream, fields), data(stream, message(b"answer"), 0), last]


@pytest.mark.parametrize("name", ENDS)
async def test_how_a_call_ends(server: RawServer, channel: Channel, name: str) -> None:
    frames, expected = ENDS[name]
    ended = start(channel)
    peer = await server.accept()
    await peer.heard(1)
    peer.send(frames)
    async with asyncio.timeout(10):
        assert expected == end_of(await ended)
    await goes_well(peer, channel, 3)


@pytest.mark.parametrize("name", ENDS)
async def test_how_a_stream_ends(server: RawServer, channel: Channel, name: str) -> None:
    frames, expected = ENDS[name]
    stream = channel.stream(PATH)
    await stream.send(b"request")
    peer = await server.accept()
    await peer.until(1, lambda heard: bool(heard.body))
    peer.send(frames)
    code = Code.OK
    try:
        async with asyncio.timeout(10):
            while await stream.receive() is not None:
                pass
    except RpcError as error:
        code = error.code
    # A stream may have any number of messages.
    many = {"two messages", "no message", "trailers only, Code.OK, and no message"}
    assert (Code.OK if name in many else expected.code) == code
    await goes_well(peer, channel, 3)


@pytest.mark.parametrize("name", BREAKS)
async def test_a_broken_connection_ends_its_calls_and_no_others(
    server: RawServer, channel: Channel, name: str
) -> None:
    frames, code = BREAKS[name]
    ended, other = start(channel), start(channel)
    peer = await server.accept()
    await peer.heard(3)
    peer.send(frames)
    async with asyncio.timeout(10):
        assert [End(Code.UNAVAILABLE)] * 2 == [end_of(await ended), end_of(await other)]
    assert code == await peer.ended()
    await goes_well_anew(server, channel)


async def goes_well_anew(server: RawServer, channel: Channel) -> None:
    ended = start(channel, "/test.Echo/After")
    peer = await server.accept()
    assert message(b"request") == (await peer.heard(1)).body
    peer.send(*answer(1))
    assert end_of(await ended) == ANSWER


async def test_a_connection_that_is_lost_ends_its_calls(server: RawServer, channel: Channel) -> None:
    ended = start(channel)
    peer = await server.accept()
    await peer.heard(1)
    await peer.close()
    assert End(Code.UNAVAILABLE) == end_of(await ended)
    await goes_well_anew(server, channel)


async def test_a_call_that_a_goaway_leaves_out_is_sent_elsewhere(server: RawServer, channel: Channel) -> None:
    first, second = start(channel, "/test.Echo/First"), start(channel, "/test.Echo/Second")
    peer = await server.accept()
    await peer.heard(3)
    peer.send(go_away(1))
    other = await server.accept()
    assert (await other.heard(1)).lists[0][":path"] == "/test.Echo/Second"
    other.send(*answer(1))
    assert end_of(await second) == ANSWER
    # What the GOAWAY covers is still answered where it was sent.
    assert not first.done()
    peer.send(*answer(1))
    assert end_of(await first) == ANSWER
    assert await peer.ended() in (None, 0)
    await goes_well(other, channel, 3)


@pytest.mark.parametrize("refuse", [go_away(0), reset(1, REFUSED_STREAM)], ids=["GOAWAY", "REFUSED_STREAM"])
async def test_a_call_that_is_refused_twice_is_broken(
    server: RawServer, channel: Channel, refuse: bytes
) -> None:
    ended = start(channel)
    peer = await server.accept()
    await peer.heard(1)
    peer.send(refuse)
    if refuse == go_away(0):
        peer = await server.accept()
        await peer.heard(1)
        peer.send(refuse)
    else:
        await peer.heard(3)
        peer.send(reset(3, REFUSED_STREAM))
    assert End(Code.UNAVAILABLE) == end_of(await ended)


async def test_a_cancelled_call_is_reset_and_never_reported(server: RawServer, channel: Channel) -> None:
    reported: list[ClientCall] = []
    call = channel.start(PATH.encode(), b"request", None, reported.append)
    peer = await server.accept()
    await peer.until(1, lambda heard: heard.is_ended)
    call.cancel()
    await peer.until(1, lambda heard: heard.reset is not None)
    assert peer.streams[1].reset == 8
    peer.send(*answer(1))
    await goes_well(peer, channel, 3)
    assert not reported


async def test_calls_wait_for_the_servers_limit_of_streams(server: RawServer, channel: Channel) -> None:
    await goes_well_anew(server, channel)
    peer = server.peers[0]
    peer.send(settings((3, 1)))
    await peer.settled()
    reported: list[ClientCall] = []
    ended = [start(channel)]
    cancelled = channel.start(PATH.encode(), b"request", None, reported.append)
    ended.append(start(channel))
    await peer.heard(3)
    await peer.settled()
    assert not peer.streams.keys() & {5, 7}
    cancelled.cancel()
    peer.send(*answer(3))
    assert end_of(await ended[0]) == ANSWER
    await peer.heard(7)
    peer.send(*answer(7))
    assert end_of(await ended[1]) == ANSWER
    assert 5 not in peer.streams
    assert not reported


async def test_messages_and_details_are_decoded(server: RawServer, channel: Channel) -> None:
    ended = start(channel)
    peer = await server.accept()
    await peer.heard(1)
    peer.send(only("5", ("grpc-message", "a%20b%E2%98%BA%zz%"), ("grpc-status-details-bin", "aGk")))
    call = await ended
    assert (call.status_message, call.details) == ("a b☺%zz%", b"hi")


async def test_details_that_are_not_base64_are_none(server: RawServer, channel: Channel) -> None:
    ended = start(channel)
    peer = await server.accept()
    await peer.heard(1)
    peer.send(only("5", ("grpc-status-details-bin", "!!!")))
    call = await ended
    assert (call.code, call.details) == (Code.NOT_FOUND, b"")


async def test_informational_headers_are_no_metadata(server: RawServer, channel: Channel) -> None:
    stream = channel.stream(PATH)
    await stream.send(b"request")
    peer = await server.accept()
    early = headers(1, [(":status", "103"), ("link", "early"), ("grpc-status", "5")])
    peer.send(early, head(("x", "initial")), BODY, trailers("0", ("y", "trailing")))
    assert await stream.receive() == b"answer"
    assert await stream.receive() is None
    assert await stream.initial_metadata() == (("x", "initial"),)
    assert stream.trailing_metadata == (("y", "trailing"),)
