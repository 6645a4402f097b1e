"""Our server's connections: who may have one, who keeps it, and what a peer that does not read costs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import grpc
import pytest
from hyperframe.frame import PingFrame
from support.http2_peer import (
    RawPeer,
    data,
    headers,
    message,
    request_fields,
    settings,
    window_update,
)
from support.serving import LOOPS, Spy, calling, serving, start, turns
from support.waiting import eventually

from croupier.codes import Code
from croupier.settings import InvalidSettings
from croupier.transport.context import Context
from croupier.transport.http2.limits import Limits
from croupier.transport.net.connection import HIGH_WATER
from croupier.transport.serving import Server
from croupier.transport.status import RpcError

LOOP_FACTORIES = LOOPS
BATCH, ECHO, POUR = "/test.House/Batch", "/test.House/Echo", "/test.House/Pour"
LIMITS = Limits(keepalive_seconds=30, keepalive_timeout=20, handshake_seconds=10, request_seconds=60)
SIZE = 16_384


class House:
    """A server whose handlers echo, or pour out messages until nobody takes them."""

    def __init__(self, **options: Any) -> None:
        self.server = Server(**{"limits": LIMITS, **options})
        self.server.add_batch([BATCH], lambda calls: [call.reply(call.message) for call in calls])  # type: ignore[arg-type]
        self.server.add_stream(ECHO, self.echo)
        self.server.add_stream(POUR, self.pour)
        self.poured = 0
        self.is_cancelled = False

    async def echo(self, messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        async for one in messages:
            yield one

    async def pour(self, messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        try:
            async for one in messages:
                for _ in range(int(one)):
                    self.poured += 1
                    yield bytes(SIZE)
        except (asyncio.CancelledError, GeneratorExit):
            self.is_cancelled = True
            raise

    @property
    def connection(self) -> Any:
        [connection] = self.server._connections
        return connection


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
async def address(house: House) -> AsyncIterator[str]:
    async with serving(house.server) as address:
        yield address


class TestBackPressure:
    async def test_a_client_that_does_not_take_stops_the_handler(self, house: House, address: str) -> None:
        narrow = Limits(stream_window=2**16, connection_window=2**20)
        async with calling(address, limits=narrow) as channel, channel.stream(POUR) as stream:
            await stream.send(b"1000")
            stream.end()
            # Its window, the server's queue, and what the handler has in hand.
            await eventually(lambda: house.poured >= 4 and not house.connection.session.has_more)
            await turns(200)
            assert house.poured < (2**16 + LIMITS.stream_queue) // SIZE + 3
            assert await channel.unary(BATCH, b"others go on") == b"others go on"
            assert len([one async for one in stream]) == 1000

    async def test_a_handler_that_does_not_take_stops_the_client(self) -> None:
        narrow = Limits(stream_window=2**16, connection_window=2**20)
        gate = asyncio.Event()

        async def slow(messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
            await gate.wait()
            async for one in messages:
                yield b"%d" % len(one)

        server = Server(limits=narrow)
        server.add_stream(ECHO, slow)
        async with serving(server) as address, calling(address) as channel, channel.stream(ECHO) as stream:
            sent = 0

            async def send() -> None:
                nonlocal sent
                for _ in range(1000):
                    await stream.send(bytes(SIZE))
                    sent += 1
                stream.end()

            sending = asyncio.ensure_future(send())
            await eventually(lambda: sent >= 4)
            await turns(200)
            assert sent < (2**16 + Limits().stream_queue) // SIZE + 3
            gate.set()
            assert [one async for one in stream] == [b"%d" % SIZE] * 1000
            await sending

    async def test_a_socket_that_nobody_reads_stops_everything(self, house: House, address: str) -> None:
        async with RawPeer.connect(address) as peer:
            # Windows that hold nothing back: the socket alone does.
            peer.send(settings((4, 2**31 - 1)), window_update(0, 2**31 - 2**16))
            peer.send(headers(1, request_fields(POUR)), data(1, message(b"100000"), 0))
            await eventually(lambda: house.connection._paused_at, "writing is paused")
            await turns(200)
            poured, transport = house.poured, house.connection.transport
            held = house.connection.session.held
            assert transport.get_write_buffer_size() < 2 * HIGH_WATER + 2 * SIZE
            assert held < LIMITS.stream_queue + 2 * HIGH_WATER + 4 * SIZE
            await turns(200)
            assert (poured, held) == (house.poured, house.connection.session.held)
            # It goes on as soon as somebody reads, and nothing is missing.
            async with asyncio.timeout(20):
                await peer.until(1, lambda heard: len(heard.body) > (poured + 200) * (SIZE + 5))
            assert house.poured > poured
            assert set(peer.streams[1].body[5 : 5 + SIZE]) == {0}
        await eventually(lambda: house.is_cancelled, "the handler hears that its caller is gone")

    async def test_who_does_not_read_for_too_long_is_left(self, house: House, address: str) -> None:
        async with RawPeer.connect(address) as peer:
            peer.send(settings((4, 2**31 - 1)), window_update(0, 2**31 - 2**16))
            peer.send(headers(1, request_fields(POUR)), data(1, message(b"100000"), 0))
            await eventually(lambda: house.connection._paused_at, "writing is paused")
            connection = house.connection
            connection.tick(connection._paused_at + LIMITS.request_seconds - 1)
            assert not connection.transport.is_closing()
            connection.tick(connection._paused_at + LIMITS.request_seconds + 1)
            await eventually(lambda: not house.server.connections, "the connection is lost")
            await eventually(lambda: house.is_cancelled, "the handler is cancelled")


class TestSilence:
    async def test_a_peer_that_answers_pings_is_kept(self, house: House, address: str) -> None:
        async with RawPeer.connect(address) as peer:
            await peer.settled()
            connection = house.connection
            for _ in range(3):
                now = connection.last_heard + LIMITS.keepalive_seconds
                connection.tick(now - 1)
                assert connection.session.ping_at == 0
                connection.tick(now + 1)
                assert now + 1 == connection.session.ping_at
                assert isinstance(await peer.receive(), PingFrame)
                await eventually(lambda: not connection.session.ping_at, "the answer is there")
            assert house.server.connections == 1

    async def test_a_peer_that_does_not_is_gone(self, house: House, address: str) -> None:
        async with RawPeer.connect(address) as peer:
            peer.send(headers(1, request_fields(POUR)))
            await peer.settled()
            connection = house.connection
            asked = connection.last_heard + LIMITS.keepalive_seconds + 1
            connection.tick(asked)
            connection.tick(asked + LIMITS.keepalive_timeout - 1)
            assert not connection.transport.is_closing()
            connection.tick(asked + LIMITS.keepalive_timeout + 1)
            await eventually(lambda: not house.server.connections, "the connection is lost")
            await eventually(lambda: house.is_cancelled, "the handler is cancelled")

    async def test_a_peer_that_never_says_its_first_frame(self, house: House, address: str) -> None:
        async with RawPeer.connect(address, b"") as peer:
            await eventually(lambda: house.server.connections)
            connection = house.connection
            connection.tick(connection.made + LIMITS.handshake_seconds - 1)
            assert not connection.transport.is_closing()
            connection.tick(connection.made + LIMITS.handshake_seconds + 1)
            assert await peer.ended() is None

    async def test_a_peer_that_does_not_end_its_headers(self, house: House, address: str) -> None:
        async with RawPeer.connect(address) as peer:
            await peer.settled()
            peer.send(headers(1, request_fields(BATCH), 0))
            connection = house.connection
            await eventually(lambda: connection.session.headers_since)
            connection.tick(connection.session.headers_since + LIMITS.handshake_seconds + 1)
            assert await peer.ended() is None

    async def test_a_peer_that_sent_bad_headers_is_kept(self, house: House, address: str) -> None:
        async with RawPeer.connect(address) as peer:
            peer.send(headers(1, [*request_fields(BATCH), ("X-Upper", "1")]))
            assert (await peer.heard(1)).reset == 1
            connection = house.connection
            connection.tick(connection.last_heard + LIMITS.handshake_seconds + 1)
            peer.send(headers(3, request_fields(BATCH)), data(3, message(b"call")))
            assert (await peer.heard(3)).body == message(b"call")

    async def test_a_request_that_does_not_come_to_an_end(self, house: House, address: str) -> None:
        async with RawPeer.connect(address) as peer:
            peer.send(headers(1, request_fields(BATCH)), data(1, message(b"call")[:3], 0))
            await peer.settled()
            house.connection.tick(house.connection.last_heard + LIMITS.request_seconds + 1)
            assert (await peer.heard(1)).status == ("200", "4")

    async def test_the_last_of_what_is_sent_is_not_waited_for_for_ever(
        self, house: House, address: str
    ) -> None:
        async with RawPeer.connect(address) as peer:
            await peer.settled()
            connection = house.connection
            # As when the peer has stopped to read: whatever is written stays.
            connection.transport = _Stuck(connection.transport)
            connection.session.go_away()
            await eventually(lambda: connection._give_up_at)
            connection.tick(connection._give_up_at - 1)
            assert house.server.connections == 1
            connection.tick(connection._give_up_at + 1)
            await eventually(lambda: not house.server.connections)


class TestAge:
    @pytest.mark.parametrize("seed", range(3))
    async def test_an_old_connection_ends_between_calls(self, seed: int) -> None:
        house = House(limits=Limits(max_age_seconds=1000), rng=Random(seed))
        age = 1000 * Random(seed).uniform(0.9, 1.1)
        async with serving(house.server) as address, calling(address) as channel:
            async with channel.stream(ECHO) as stream:
                await stream.send(b"before")
                assert await stream.receive() == b"before"
                old = house.connection
                old.tick(old.made + age - 1)
                assert not old._ending
                old.tick(old.made + age + 1)
                await eventually(lambda: old.session.is_going_away, "it takes no more calls")
                # New calls go to a new connection, and the old one's go on.
                assert await channel.unary(BATCH, b"new") == b"new"
                assert house.server.connections == 2
                await stream.send(b"after")
                assert await stream.receive() == b"after"
                stream.end()
                assert await stream.receive() is None
            await eventually(lambda: old.is_lost, "it closes once its calls have ended")
            assert house.server.connections == 1

    async def test_without_an_age_it_never_ends(self, house: House, address: str) -> None:
        async with calling(address) as channel:
            assert await channel.unary(BATCH, b"call") == b"call"
            house.connection.last_heard = 1e12
            house.connection.tick(1e12)
            assert not house.connection._ending


class TestAddresses:
    async def test_a_unix_socket(self, tmp_path: Path) -> None:
        house = House()
        async with (
            serving(house.server, f"unix:{tmp_path}/socket") as address,
            calling(address) as channel,
            grpc.aio.insecure_channel(address) as grpcio,
        ):
            assert await channel.unary(BATCH, b"ours") == b"ours"
            assert await grpcio.unary_unary(ECHO)(b"grpcio") == b"grpcio"
        assert not (tmp_path / "socket").exists()

    async def test_two_servers_share_a_port(self) -> None:
        first, second = House(reuse_port=True), House(reuse_port=True)
        async with serving(first.server) as address, serving(second.server, address) as same:
            assert address == same
            for _ in range(40):
                async with calling(address) as channel:
                    assert await channel.unary(BATCH, b"call") == b"call"
                    assert first.server.connections + second.server.connections == 1
                await eventually(lambda: not first.server.connections + second.server.connections)

    async def test_an_address_in_use(self, house: House, address: str) -> None:
        for options in ({}, {"reuse_port": True}):
            other = House(**options)
            with pytest.raises(InvalidSettings, match=r"cannot serve on .*in use"):
                await other.server.start(address)
            await other.server.stop(0)

    async def test_a_connection_too_many(self) -> None:
        house = House(limits=Limits(max_connections=1))
        async with serving(house.server) as address, calling(address) as first:
            assert await first.unary(BATCH, b"call") == b"call"
            async with calling(address) as second:
                with pytest.raises(RpcError) as error:
                    await second.unary(BATCH, b"call")
                assert error.value.code == Code.UNAVAILABLE
                await first.close()
                await eventually(lambda: not house.server.connections, "there is room again")
                second._blocked_until = 0.0
                assert await second.unary(BATCH, b"call") == b"call"

    async def test_the_peer_is_known_by_its_address(self) -> None:
        seen: list[str] = []

        async def note(request: bytes, context: Context) -> bytes:
            seen.append(context.peer)
            return request

        server = Server()
        server.add_unary(ECHO, note)
        async with serving(server, "[::1]:0") as address, calling(address) as channel:
            await channel.unary(ECHO, b"")
        assert seen[0].startswith("[::1]:")


async def test_a_message_over_the_limit_is_an_answer_to_grpcio_too(house: House, address: str) -> None:
    options = [("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(address, options=options) as grpcio:
        for path in (BATCH, ECHO):
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await grpcio.unary_unary(path)(bytes(LIMITS.max_message_bytes + 1))
            assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_bug_in_writing_ends_one_connection_alone(
    house: House, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with calling(address) as channel, RawPeer.connect(address) as peer:
        assert await channel.unary(BATCH, b"call") == b"call"
        await peer.settled()
        broken = next(iter(house.server._connections))
        broken.session = _Broken(broken.session)  # type: ignore[assignment]
        broken.flush()
        await eventually(lambda: broken.is_lost, "it is closed")
        assert house.server.connections == 1
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


class _Stuck(Spy):
    """Its buffer does not get empty, so closing it does not come to an end."""

    def close(self) -> None:
        self.is_closing = lambda: True


class _Broken:
    def __init__(self, session: Any) -> None:
        self._session = session

    def drain(self) -> bytes:
        raise AssertionError("a bug")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


async def test_a_call_after_the_stop_is_refused(house: House) -> None:
    async with serving(house.server) as address, calling(address) as channel:
        assert await channel.unary(BATCH, b"call") == b"call"
        await house.server.stop(1)
        call = await start(channel, BATCH)
        assert (call.code, call.is_broken) == (Code.UNAVAILABLE, True)
