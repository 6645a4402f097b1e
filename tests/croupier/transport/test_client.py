"""Our client: when it connects, what happens to calls while it does not, how it is lost and closed."""

from __future__ import annotations

import asyncio
import gc
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import grpc
import pytest
from hyperframe.frame import GoAwayFrame, HeadersFrame
from support.echo import STREAM, UNARY
from support.echo import serving as echoing
from support.http2_peer import END_HEADERS, END_STREAM, RawServer, data, headers, message
from support.ports import free_port
from support.serving import LOOPS, calling, serving, start, turns
from support.waiting import eventually

from croupier.codes import Code
from croupier.transport import client as module
from croupier.transport.client import Channel
from croupier.transport.http2.client_call import ClientCall
from croupier.transport.http2.limits import Limits
from croupier.transport.serving import Server
from croupier.transport.status import RpcError

LOOP_FACTORIES = LOOPS
PATH = "/test.Raw/Call"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """What the channel takes for the time."""
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
async def address() -> AsyncIterator[str]:
    async with echoing() as address:
        yield address


def answer(stream: int, body: bytes = b"answer") -> bytes:
    head = headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
    last = headers(stream, [("grpc-status", "0")], END_HEADERS | END_STREAM)
    return head + data(stream, message(body), 0) + last


class TestConnecting:
    async def test_on_the_first_call_and_not_before(self) -> None:
        async with RawServer.listen() as server, calling(server.address) as channel:
            await turns(50)
            assert not channel._connections
            ended = start(channel, PATH)
            peer = await server.accept()
            await peer.heard(1)
            peer.send(answer(1))
            assert (await ended).message == b"answer"

    async def test_many_calls_wait_for_one_connection(self) -> None:
        async with RawServer.listen() as server, calling(server.address) as channel:
            hot = [start(channel, PATH, b"%d" % n) for n in range(50)]
            streams = [asyncio.ensure_future(channel.unary(PATH, b"%d" % n)) for n in range(50, 60)]
            peer = await server.accept()
            bodies = {(await peer.heard(stream)).body for stream in range(1, 121, 2)}
            assert {message(b"%d" % n) for n in range(60)} == bodies
            assert len(channel._connections) == 1
            peer.send(*(answer(stream) for stream in range(1, 121, 2)))
            assert [call.message for call in await asyncio.gather(*hot)] == [b"answer"] * 50
            assert await asyncio.gather(*streams) == [b"answer"] * 10

    async def test_to_grpcio_by_every_way(self, tmp_path: Path) -> None:
        async def echo(request: bytes, context: Any) -> bytes:
            return request

        server = grpc.aio.server()
        method = grpc.unary_unary_rpc_method_handler(echo)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Raw", {"Call": method}),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.add_insecure_port(f"unix:{tmp_path}/socket")
        await server.start()
        try:
            for target in (f"127.0.0.1:{port}", f"localhost:{port}", f"unix:{tmp_path}/socket"):
                async with calling(target) as channel:
                    assert await channel.unary(PATH, b"ordinary") == b"ordinary"
                    assert (await start(channel, PATH, b"hot")).message == b"hot"
        finally:
            await server.stop(0)

    async def test_who_we_say_that_we_are(self) -> None:
        for options, authority, agent in (
            ({}, None, "croupier"),
            ({"authority": "name:1", "user_agent": "me/1"}, "name:1", "me/1"),
        ):
            async with RawServer.listen() as server, calling(server.address, **options) as channel:
                ended = start(channel, PATH)
                peer = await server.accept()
                fields = (await peer.heard(1)).lists[0]
                assert (authority or server.address, agent, "http") == (
                    fields[":authority"],
                    fields["user-agent"],
                    fields[":scheme"],
                )
                peer.send(answer(1))
                await ended


class TestFailure:
    @pytest.mark.parametrize("target", ["port", "name", "path", "nonsense"])
    async def test_is_told_at_once(self, target: str, tmp_path: Path) -> None:
        targets = {
            "port": f"127.0.0.1:{free_port()}",
            "name": "a..b:80",
            "path": f"unix:{tmp_path}/nobody",
            "nonsense": "nonsense",
        }
        async with calling(targets[target]) as channel:
            hot = [start(channel, PATH) for _ in range(3)]
            with pytest.raises(RpcError, match=f"cannot connect to {targets[target]}") as error:
                await channel.unary(PATH, b"")
            assert error.value.code == Code.UNAVAILABLE
            with pytest.raises(ConnectionError):
                await channel.session()
            for call in await asyncio.gather(*hot):
                assert (call.code, call.is_broken, call.is_unprocessed) == (Code.UNAVAILABLE, True, False)
                assert call.status_message.startswith(f"cannot connect to {targets[target]}: ")

    async def test_rests_longer_each_time_and_then_tries_again(self, clock: Clock) -> None:
        port, rng = free_port(), Random(7)
        async with calling(f"127.0.0.1:{port}", rng=Random(7)) as channel:
            for attempt in range(1, 12):
                assert (await start(channel, PATH)).code == Code.UNAVAILABLE
                # As long as these draws of the generator say.
                rest = rng.uniform(0.05, min(5.0, 0.05 * 2.0**attempt))
                assert clock.now + rest == pytest.approx(channel._blocked_until)
                clock.now += rest - 0.001
                # Nothing is tried before.
                ended = start(channel, PATH)
                assert channel._connecting is None
                assert ((await ended).code, ended.result().is_broken) == (Code.UNAVAILABLE, True)
                clock.now += 0.002
            server = Server()
            server.add_batch([PATH], lambda calls: [call.reply(b"there") for call in calls])  # type: ignore[arg-type]
            async with serving(server, f"127.0.0.1:{port}"):
                assert (await start(channel, PATH)).message == b"there"
                await channel.unary(PATH, b"")
            await eventually(lambda: not channel._connections)
            # A connection that was good begins the row anew.
            assert (await start(channel, PATH)).code == Code.UNAVAILABLE
            assert channel._failures == 1

    async def test_a_server_that_drops_connections_is_left_alone(self, clock: Clock) -> None:
        accepted = 0

        async def drop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal accepted
            accepted += 1
            writer.transport.abort()

        listening = await asyncio.start_server(drop, "127.0.0.1", 0)
        host, port = listening.sockets[0].getsockname()
        async with calling(f"{host}:{port}") as channel:
            for _ in range(5):
                assert (
                    (ended := await start(channel, PATH)).code,
                    ended.is_broken,
                ) == (Code.UNAVAILABLE, True)
            assert accepted == 1
            clock.now += 10
            with pytest.raises(RpcError):
                await channel.unary(PATH, b"")
            assert accepted == 2
        listening.close()
        await listening.wait_closed()

    async def test_a_server_that_says_nothing(self) -> None:
        # Its TCP connection is there, its TLS handshake never is.
        silent: list[asyncio.StreamWriter] = []
        listening = await asyncio.start_server(lambda reader, writer: silent.append(writer), "127.0.0.1", 0)
        host, port = listening.sockets[0].getsockname()
        tls = _TrustAll()
        async with calling(f"{host}:{port}", limits=Limits(handshake_seconds=0.05)) as channel:
            channel._tls = tls  # type: ignore[assignment]
            assert (await start(channel, PATH)).code == Code.UNAVAILABLE
        listening.close()
        for writer in silent:
            writer.transport.abort()


class _TrustAll:
    def current(self) -> ssl.SSLContext:
        return ssl.create_default_context()


class TestLoss:
    async def test_a_server_that_is_killed_in_the_middle(self) -> None:
        async with RawServer.listen() as server, calling(server.address) as channel:
            hot, stream = start(channel, PATH), channel.stream(PATH)
            await stream.send(b"request")
            peer = await server.accept()
            await peer.until(3, lambda heard: bool(heard.body))
            await peer.close()
            call = await hot
            assert (call.code, call.is_broken, call.is_unprocessed) == (Code.UNAVAILABLE, True, False)
            with pytest.raises(RpcError) as error:
                await stream.receive()
            assert error.value.code == Code.UNAVAILABLE
            # The next call makes a connection at once.
            again = start(channel, PATH)
            other = await server.accept()
            await other.heard(1)
            other.send(answer(1))
            assert (await again).code == Code.OK

    async def test_a_server_that_falls_silent(self, clock: Clock) -> None:
        limits = Limits(keepalive_seconds=30, keepalive_timeout=20)
        async with RawServer.listen() as server, calling(server.address, limits=limits) as channel:
            ended = start(channel, PATH)
            peer = await server.accept()
            await peer.settled()
            [connection] = channel._connections
            clock.now += 31
            connection.tick(clock.now)
            # The ping is answered, since somebody reads.
            await peer.settled()
            await eventually(lambda: not connection.session.ping_at)
            clock.now += 31
            connection.tick(clock.now)
            connection.tick(clock.now + 19)
            assert not ended.done()
            connection.tick(clock.now + 21)
            assert ((await ended).code, ended.result().is_broken) == (Code.UNAVAILABLE, True)


class TestClosing:
    @pytest.mark.parametrize("stage", ["unused", "connecting", "idle", "calls under way", "failed"])
    async def test_nothing_is_left(self, stage: str, address: str) -> None:
        async with RawServer.listen() as raw:
            targets = {"connecting": raw.address, "failed": f"127.0.0.1:{free_port()}"}
            before = asyncio.all_tasks()
            channel = Channel(targets.get(stage, address))
            ended: list[asyncio.Future[ClientCall]] = []
            if stage in ("idle", "calls under way"):
                assert await channel.unary(UNARY, b"call") == b"call"
            if stage not in ("unused", "idle"):
                ended = [start(channel, STREAM) for _ in range(3)]
            if stage == "failed":
                await asyncio.gather(*ended)
            await channel.close()
            # Its calls have ended by now, not some time later.
            assert [Code.UNAVAILABLE] * len(ended) == [future.result().code for future in ended]
            assert (before, set()) == (asyncio.all_tasks(), channel._connections)
            assert channel._ticker is None or channel._ticker.cancelled()
            gc.collect()

    async def test_calls_under_way_have_their_time(self) -> None:
        async with RawServer.listen() as server, calling(server.address) as channel:
            hot, stream = start(channel, PATH), channel.stream(PATH)
            await stream.send(b"request")
            stream.end()
            peer = await server.accept()
            await peer.heard(3)
            closing = asyncio.ensure_future(channel.close(20))
            await turns()
            late = start(channel, PATH)
            assert ((await late).code, late.result().status_message) == (
                Code.UNAVAILABLE,
                "the channel is closed",
            )
            with pytest.raises(RpcError, match="the channel is closed"):
                await channel.unary(PATH, b"")
            assert not closing.done()
            peer.send(answer(1), answer(3))
            assert (await hot).code == Code.OK
            assert [one async for one in stream] == [b"answer"]
            async with asyncio.timeout(5):
                await closing
            assert await peer.ended() == 0

    async def test_what_was_just_started_is_sent_ahead_of_the_goodbye(self) -> None:
        # A server that is told goodbye and knows of no call may close at once.
        async with RawServer.listen() as server, calling(server.address) as channel:
            first = start(channel, PATH)
            peer = await server.accept()
            await peer.heard(1)
            peer.send(answer(1))
            await first
            before = len(peer.frames)

            async def serve() -> None:
                await peer.heard(3)
                peer.send(answer(3))
                assert await peer.ended() == 0

            serving = asyncio.ensure_future(serve())
            ended = start(channel, PATH)
            await channel.close(20)
            assert ended.result().code == Code.OK
            await serving
        kinds = [type(frame) for frame in peer.frames[before:]]
        assert kinds.index(HeadersFrame) < kinds.index(GoAwayFrame)

    async def test_when_the_time_is_over(self) -> None:
        async with RawServer.listen() as server, calling(server.address) as channel:
            ended = start(channel, PATH)
            peer = await server.accept()
            await peer.heard(1)
            await channel.close(0.05)
            assert (ended.result().code, ended.result().is_broken) == (Code.UNAVAILABLE, True)

    async def test_twice(self, address: str) -> None:
        async with calling(address) as channel:
            await channel.unary(UNARY, b"call")
            await asyncio.gather(channel.close(1), channel.close(1))
            await channel.close()

    async def test_a_peer_that_does_not_read_does_not_hold_it_up(self) -> None:
        async with RawServer.listen() as server, calling(server.address) as channel:
            stream = channel.stream(PATH)
            await stream.send(b"request")
            await server.accept()
            [connection] = channel._connections
            connection.transport.write(bytes(2**24))
            assert connection.transport.get_write_buffer_size()
            async with asyncio.timeout(5):
                await channel.close()
