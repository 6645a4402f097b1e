"""A client of ours and a hostile server: floods end the connection and no other, what the server makes it
keep is bounded, and calls end once, whatever comes."""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import AsyncIterator

import pytest
from support.hostile import BOMB, ENHANCE_YOUR_CALM, NEWEST, fields_of, zeros
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
    PUSH_PROMISE,
    SETTINGS,
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
from croupier.transport.http2.client_session import ClientSession
from croupier.transport.http2.limits import Limits
from croupier.transport.status import RpcError

PATH = "/test.Hostile/Call"
MIB = 2**20
UNKNOWN = 0xEE
PROTOCOL_ERROR = 1
LAST = END_HEADERS | END_STREAM
GRPC = [(":status", "200"), ("content-type", "application/grpc")]
HEAD = headers(1, GRPC)
EARLY = headers(1, [(":status", "103"), ("link", "x" * 100)])
ANSWER = HEAD + data(1, message(b"answer"), 0) + headers(1, [("grpc-status", "0")], LAST)

# What the server sends on a connection with one call on it.
FLOODS: dict[str, bytes] = {
    "PING": frame(PING, 0, bytes(8)) * 300,
    "PING acknowledged": frame(PING, 0, bytes(8), ACK) * 300,
    "SETTINGS": settings((4, 70_000)) * 30,
    "empty SETTINGS": settings() * 300,
    "SETTINGS with too many entries": settings(*[(4, 70_000)] * 33),
    "WINDOW_UPDATE": window_update(0, 1) * 300,
    "WINDOW_UPDATE of a stream": window_update(1, 1) * 300,
    "PRIORITY": frame(PRIORITY, 1, bytes(5)) * 300,
    "unknown frames": frame(UNKNOWN, 1, b"x") * 300,
    "GOAWAY": go_away(2**31 - 1) * 300,
    "early headers": EARLY * 300,
    "empty DATA": HEAD + data(1, b"", 0) * 300,
    "DATA of padding": HEAD + frame(DATA, 1, b"\x05" + bytes(5), PADDED) * 300,
    "DATA behind the answer": ANSWER + data(1, b"x") * 300,
    "HEADERS behind the answer": ANSWER + HEAD * 300,
    "RST_STREAM behind the answer": ANSWER + reset(1) * 300,
    "CONTINUATION": headers(1, GRPC, 0) + frame(CONTINUATION, 1) * 300,
    "a header list far over the limit": headers(1, GRPC, 0)
    + b"".join(frame(CONTINUATION, 1, block(fields_of(4, 4_000))) for _ in range(8)),
    "HPACK: an entry again and again": frame(
        HEADERS,
        1,
        block(GRPC) + b"\x40\x06x-bomb" + b"\x7f\xbd\x1d" + BOMB[1].encode() + NEWEST * 12_000,
        END_HEADERS,
    ),
    "trailers far over the limit": HEAD
    + headers(1, [("grpc-status", "0")], END_STREAM)
    + b"".join(frame(CONTINUATION, 1, block(fields_of(4, 4_000))) for _ in range(8)),
}


@pytest.fixture
async def server() -> AsyncIterator[RawServer]:
    async with RawServer.listen() as server:
        yield server


@pytest.fixture
async def channel(server: RawServer) -> AsyncIterator[Channel]:
    channel = Channel(server.address)
    yield channel
    await channel.close()


def start(channel: Channel) -> asyncio.Future[ClientCall]:
    ended = asyncio.get_running_loop().create_future()
    channel.start(PATH.encode(), b"request", None, ended.set_result)
    return ended


async def end_of(ended: asyncio.Future[ClientCall]) -> int:
    async with asyncio.timeout(10):
        return (await ended).code


async def goes_well(server: RawServer, channel: Channel) -> None:
    """The next call, on a new connection."""
    ended = start(channel)
    peer = await server.accept()
    await peer.heard(1)
    peer.send(ANSWER)
    assert await end_of(ended) == 0


@pytest.mark.parametrize("name", FLOODS)
async def test_a_flood_is_cut_off(server: RawServer, channel: Channel, name: str) -> None:
    ended = start(channel)
    peer = await server.accept()
    await peer.heard(1)
    [connection] = channel._connections
    peer.send(FLOODS[name])
    assert await peer.ended() == ENHANCE_YOUR_CALM
    assert await end_of(ended) == (0 if "behind the answer" in name else Code.UNAVAILABLE)
    assert connection.session.held == 0
    await goes_well(server, channel)


async def test_what_it_may_not_push_ends_the_connection(server: RawServer, channel: Channel) -> None:
    ended = start(channel)
    peer = await server.accept()
    await peer.heard(1)
    promise = frame(PUSH_PROMISE, 1, b"\0\0\0\2" + block(request_fields(PATH)), END_HEADERS)
    peer.send(promise * 300)
    assert await peer.ended() == PROTOCOL_ERROR
    assert await end_of(ended) == Code.UNAVAILABLE
    await goes_well(server, channel)


class TestNoFlood:
    async def test_early_headers_now_and_then(self, server: RawServer, channel: Channel) -> None:
        ended = start(channel)
        peer = await server.accept()
        await peer.heard(1)
        peer.send(EARLY * 20, ANSWER)
        assert await end_of(ended) == 0

    async def test_control_frames_beside_answers(self, server: RawServer, channel: Channel) -> None:
        peer = None
        for stream in range(1, 1_000, 2):
            ended = start(channel)
            peer = peer or await server.accept()
            await peer.heard(stream)
            beside = frame(PING, 0, bytes(8)), window_update(0, 1)
            peer.send(
                *beside,
                headers(stream, GRPC),
                data(stream, message(b"answer"), 0),
                headers(stream, [("grpc-status", "0")], LAST),
            )
            assert await end_of(ended) == 0


class TestGoingAway:
    async def test_a_server_that_only_says_goodbye_is_not_called_for_ever(
        self, server: RawServer, channel: Channel
    ) -> None:
        made = 0

        async def say_goodbye() -> None:
            nonlocal made
            while True:
                peer = await server.accept()
                made += 1
                await peer.heard(1)
                peer.send(go_away(0))

        goodbyes = asyncio.create_task(say_goodbye())
        for _ in range(100):
            assert await end_of(start(channel)) == Code.UNAVAILABLE
        goodbyes.cancel()
        assert made <= 6

    async def test_it_counts_only_what_comes_in_a_row(self, server: RawServer, channel: Channel) -> None:
        for _ in range(10):
            ended = start(channel)
            peer = await server.accept()
            await peer.heard(1)
            peer.send(ANSWER, go_away(1))
            assert await end_of(ended) == 0
            await peer.ended()


class TestMemory:
    def test_early_headers_are_not_kept(self) -> None:
        session, call = started()
        for number in range(50):
            session.receive(headers(1, [(":status", "103"), *fields_of(3, 4_000)]), 1.0)
            session.drain()
            assert session.held < 40_000, number
        session.receive(ANSWER, 1.0)
        assert session.take_completed() == [call]
        assert (call.code, call.message, call.raw_metadata()) == (0, b"answer", [])
        session.drain()
        assert session.held == 0

    def test_metadata_that_there_is_no_room_for(self) -> None:
        session, call = started(Limits(floor_bytes=1_000, connection_bytes=10_000))
        session.receive(headers(1, [*GRPC, *fields_of(3, 4_000)]), 1.0)
        session.drain()
        assert session.take_completed() == [call]
        assert (call.code, session.held) == (Code.RESOURCE_EXHAUSTED, 0)

    @pytest.mark.parametrize("size", [2**24 + 1, 2**32 - 1])
    def test_a_message_that_is_only_claimed(self, size: int) -> None:
        session, call = started()
        session.receive(HEAD + data(1, b"\0" + size.to_bytes(4), 0), 1.0)
        session.drain()
        assert session.take_completed() == [call]
        assert (call.code, session.held) == (Code.RESOURCE_EXHAUSTED, 0)

    @pytest.mark.parametrize("encoding", ["gzip", "deflate"])
    def test_a_compressed_bomb(self, encoding: str) -> None:
        session, call = started(Limits(growth_burst=MIB))
        packed = zeros(2**30) if encoding == "deflate" else gzip.compress(bytes(2**24 + 1))
        session.receive(headers(1, [*GRPC, ("grpc-encoding", encoding)]), 1.0)
        for at in range(0, 16_000, 1_000):
            session.receive(data(1, (b"\1" + len(packed).to_bytes(4) + packed)[at : at + 1_000], 0), 1.0)
            assert session.held < 2 * MIB
        session.drain()
        assert session.take_completed() == [call]
        assert (call.code, session.held) == (Code.RESOURCE_EXHAUSTED, 0)

    def test_answers_that_nobody_takes(self) -> None:
        # Small ones cost what they cost here, and a stream's window bounds them.
        session, call = started(stream=True)
        session.receive(HEAD, 1.0)
        sent = 0
        while sent < 2**20 - 16_380:
            session.receive(data(1, 3_276 * message(), 0), 1.0)
            session.drain()
            sent += 16_380
            assert session.held <= 64 * MIB
        assert session.held >= 64 * sent // 5
        session.close()
        assert (session.held, call.is_done) == (0, True)


class TestSilence:
    async def test_a_server_that_never_says_its_first_frame(self) -> None:
        async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            silent.append(writer)

        silent: list[asyncio.StreamWriter] = []
        listening = await asyncio.start_server(listen, "127.0.0.1", 0)
        channel = Channel(f"127.0.0.1:{listening.sockets[0].getsockname()[1]}")
        ended = start(channel)
        while not channel._connections:
            await asyncio.sleep(0)
        [connection] = channel._connections
        connection.tick(time.monotonic() + 9)
        assert not ended.done()
        connection.tick(time.monotonic() + 11)
        assert await end_of(ended) == Code.UNAVAILABLE
        await channel.close()
        listening.close()
        for writer in silent:
            writer.transport.abort()

    async def test_a_server_that_is_gone_without_a_word(self, server: RawServer, channel: Channel) -> None:
        ended = start(channel)
        peer = await server.accept()
        await peer.settled()
        [connection] = channel._connections
        connection.tick(time.monotonic() + 31)
        assert connection.session.ping_at
        connection.tick(time.monotonic() + 52)
        assert await end_of(ended) == Code.UNAVAILABLE
        await goes_well(server, channel)

    async def test_an_endless_answer_ends_by_the_callers_deadline(
        self, server: RawServer, channel: Channel
    ) -> None:
        calling = asyncio.create_task(channel.unary(PATH, b"request", timeout=0.05))
        peer = await server.accept()
        await peer.until(1, lambda heard: heard.is_ended)
        peer.send(HEAD, data(1, b"\0\1\0\0\0", 0))
        with pytest.raises(RpcError) as ended:
            await calling
        assert ended.value.code == 4
        await peer.until(1, lambda heard: heard.reset is not None)


def started(limits: Limits = Limits(), *, stream: bool = False) -> tuple[ClientSession, ClientCall]:
    """A session with one call on its way."""
    session = ClientSession(limits, 1.0, authority="hostile:1")
    session.receive(settings() + frame(SETTINGS, flags=ACK), 1.0)
    call = ClientCall(PATH.encode(), None if stream else b"request")
    assert session.open(call) if stream else session.start(call)
    session.drain()
    return session, call
