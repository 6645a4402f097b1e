"""Our client's streams: messages both ways, metadata, compression, and every early end of a call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from support.echo import STREAM
from support.echo import serving as echoing
from support.http2_peer import (
    END_HEADERS,
    END_STREAM,
    RawPeer,
    RawServer,
    data,
    headers,
    message,
    packed,
    reset,
)
from support.serving import LOOPS, calling, turns

from croupier.codes import Code
from croupier.errors import InternalError
from croupier.transport.client import Channel
from croupier.transport.status import RpcError
from croupier.transport.stream import Stream

LOOP_FACTORIES = LOOPS
PATH = "/test.Raw/Call"
CANCEL = 8
HEAD = [(":status", "200"), ("content-type", "application/grpc")]
LAST = END_HEADERS | END_STREAM


@pytest.fixture
async def server() -> AsyncIterator[RawServer]:
    async with RawServer.listen() as server:
        yield server


@pytest.fixture
async def channel(server: RawServer) -> AsyncIterator[Channel]:
    async with calling(server.address) as channel:
        yield channel


async def opened(server: RawServer, channel: Channel, **options: Any) -> tuple[Stream, RawPeer]:
    """A stream that has sent a message, and its peer that has it."""
    stream = channel.stream(PATH, **options)
    await stream.send(b"request")
    peer = await server.accept()
    await peer.until(1, lambda heard: bool(heard.body))
    return stream, peer


class TestMessages:
    async def test_go_and_come(self) -> None:
        async with echoing() as address, calling(address) as channel, channel.stream(STREAM) as stream:
            for one in (b"one", b"", b"three" * 100_000):
                await stream.send(one)
                assert one == await stream.receive()
            stream.end()
            assert [await stream.receive(), await stream.receive()] == [None, None]

    async def test_come_as_an_iteration(self) -> None:
        async with echoing() as address, calling(address) as channel, channel.stream(STREAM) as stream:
            for n in range(5):
                await stream.send(b"%d" % n)
            stream.end()
            assert [one async for one in stream] == [b"0", b"1", b"2", b"3", b"4"]

    async def test_may_be_none_at_all(self) -> None:
        async with echoing() as address, calling(address) as channel, channel.stream(STREAM) as stream:
            stream.end()
            assert await stream.receive() is None

    async def test_are_ignored_after_the_end(self, server: RawServer, channel: Channel) -> None:
        stream, peer = await opened(server, channel)
        stream.end()
        stream.end()
        await stream.send(b"too late")
        assert message(b"request") == (await peer.heard(1)).body
        peer.send(headers(1, [*HEAD, ("grpc-status", "0")], LAST))
        assert await stream.receive() is None
        await stream.send(b"much too late")
        assert await stream.receive() is None

    async def test_of_several_tasks(self) -> None:
        async with echoing() as address, calling(address) as channel, channel.stream(STREAM) as stream:
            sending = [stream.send(bytes([n]) * 50_000) for n in range(20)]
            receiving = [stream.receive() for _ in range(20)]
            _, *got = await asyncio.gather(asyncio.gather(*sending), *receiving)
            assert [bytes([n]) * 50_000 for n in range(20)] == sorted(got)

    @pytest.mark.parametrize("messages", [0, 2])
    async def test_exactly_one_is_what_a_unary_call_has(
        self, server: RawServer, channel: Channel, messages: int
    ) -> None:
        stream, peer = await opened(server, channel)
        body = message(b"answer") * messages
        peer.send(headers(1, HEAD), data(1, body, 0), headers(1, [("grpc-status", "0")], LAST))
        with pytest.raises(RpcError, match="not exactly one message") as error:
            await stream.receive_only()
        assert error.value.code == Code.INTERNAL
        stream.cancel()


class TestMetadata:
    async def test_both_ways(self, server: RawServer, channel: Channel) -> None:
        sent = (("x", "1"), ("x", "2"), ("y-bin", b"\0\xff"))
        stream, peer = await opened(server, channel, metadata=iter(sent))
        fields = peer.streams[1].lists[0]
        assert (
            fields["x"],
            fields["y-bin"],
            fields["grpc-accept-encoding"],
        ) == ("2", "AP8", "identity,deflate,gzip")
        peer.send(headers(1, [*HEAD, ("a", "1"), ("b-bin", "AP8=")]))
        # They are there ahead of any message.
        assert await stream.initial_metadata() == (("a", "1"), ("b-bin", b"\0\xff"))
        peer.send(headers(1, [("grpc-status", "0"), ("t", "1"), ("t", "2")], LAST))
        assert await stream.receive() is None
        assert stream.trailing_metadata == (("t", "1"), ("t", "2"))
        assert await stream.initial_metadata() == (("a", "1"), ("b-bin", b"\0\xff"))

    async def test_of_trailers_alone(self, server: RawServer, channel: Channel) -> None:
        stream, peer = await opened(server, channel)
        peer.send(headers(1, [*HEAD, ("grpc-status", "5"), ("grpc-message", "no"), ("t", "1")], LAST))
        assert await stream.initial_metadata() == ()
        with pytest.raises(RpcError) as error:
            await stream.receive()
        assert (
            error.value.code,
            error.value.message,
            error.value.trailing_metadata,
        ) == (Code.NOT_FOUND, "no", (("t", "1"),))

    async def test_that_cannot_be_read(self, server: RawServer, channel: Channel) -> None:
        stream, peer = await opened(server, channel)
        peer.send(headers(1, [*HEAD, ("a-bin", "!!!")]))
        with pytest.raises(RpcError, match="cannot be read") as error:
            await stream.initial_metadata()
        assert error.value.code == Code.INTERNAL
        stream.cancel()

    @pytest.mark.parametrize(
        "pair", [("X", "1"), ("grpc-x", "1"), ("x", "\n"), ("x-bin", "text"), ("x", b"bytes")]
    )
    async def test_that_cannot_be_sent(self, channel: Channel, pair: tuple[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"."):
            channel.stream(PATH, metadata=[pair])
        with pytest.raises(ValueError, match=r"."):
            await channel.unary(PATH, b"", metadata=[pair])
        assert not channel._connections

    async def test_that_are_too_many(self, channel: Channel) -> None:
        with pytest.raises(InternalError, match="too many"):
            await channel.unary(PATH, b"", metadata=[("x", "1")] * 100)


class TestCompression:
    @pytest.mark.parametrize("encoding", ["gzip", "deflate"])
    async def test_is_for_the_peer_to_choose(
        self, server: RawServer, channel: Channel, encoding: str
    ) -> None:
        stream, peer = await opened(server, channel)
        stream.end()
        heard = await peer.heard(1)
        assert heard.lists[0]["grpc-accept-encoding"] == "identity,deflate,gzip"
        assert "grpc-encoding" not in heard.lists[0]
        assert heard.body == message(b"request")
        squeezed = message(packed(encoding, b"answer" * 1000), 1)
        peer.send(headers(1, [*HEAD, ("grpc-encoding", encoding)]), data(1, squeezed + message(b"plain"), 0))
        peer.send(headers(1, [("grpc-status", "0")], LAST))
        assert [one async for one in stream] == [b"answer" * 1000, b"plain"]


class TestCancel:
    async def test_resets_the_call(self, server: RawServer, channel: Channel) -> None:
        stream, peer = await opened(server, channel)
        receiving = asyncio.ensure_future(stream.receive())
        await turns()
        stream.cancel()
        with pytest.raises(RpcError) as error:
            await receiving
        assert error.value.code == Code.CANCELLED
        assert (await peer.heard(1)).reset == CANCEL
        stream.cancel()
        await stream.send(b"never")

    async def test_is_what_leaving_the_block_does(self, server: RawServer, channel: Channel) -> None:
        async with channel.stream(PATH) as stream:
            await stream.send(b"request")
            peer = await server.accept()
            await peer.until(1, lambda heard: bool(heard.body))
        assert (await peer.heard(1)).reset == CANCEL

        async def fail() -> None:
            async with channel.stream(PATH) as stream:
                await stream.send(b"request")
                await peer.until(3, lambda heard: bool(heard.body))
                raise KeyError("mine")

        with pytest.raises(KeyError, match="mine"):
            await fail()
        assert (await peer.heard(3)).reset == CANCEL

    async def test_is_not_what_leaving_an_ended_call_does(self, server: RawServer, channel: Channel) -> None:
        async with channel.stream(PATH) as stream:
            await stream.send(b"request")
            stream.end()
            peer = await server.accept()
            await peer.heard(1)
            peer.send(headers(1, [*HEAD, ("grpc-status", "0")], LAST))
            assert await stream.receive() is None
        await peer.settled()
        assert peer.streams[1].reset is None

    @pytest.mark.parametrize("waiting", ["receive", "send", "initial_metadata"])
    async def test_of_the_task_that_waits(self, server: RawServer, channel: Channel, waiting: str) -> None:
        stream, peer = await opened(server, channel)

        async def work() -> None:
            async with stream:
                if waiting == "send":
                    await stream.send(bytes(2**20))
                elif waiting == "receive":
                    await stream.receive()
                else:
                    await stream.initial_metadata()

        task = asyncio.ensure_future(work())
        await turns()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await peer.heard(1)).reset == CANCEL

    async def test_by_the_server(self, server: RawServer, channel: Channel) -> None:
        stream, peer = await opened(server, channel)
        peer.send(headers(1, HEAD), data(1, message(b"one"), 0), reset(1, CANCEL))
        assert await stream.receive() == b"one"
        with pytest.raises(RpcError) as error:
            await stream.receive()
        assert error.value.code == Code.CANCELLED


Do = Callable[[Stream], Awaitable[Any]]
WAYS: dict[str, Do] = {
    "send": lambda stream: stream.send(b"request"),
    "receive": lambda stream: stream.receive(),
    "initial_metadata": lambda stream: stream.initial_metadata(),
}


class TestWithoutConnection:
    """The peer takes the connection and never ends its TLS handshake: nobody waits for it in vain."""

    @pytest.fixture
    async def stuck(self) -> AsyncIterator[Channel]:
        never = asyncio.Event()
        channel = Channel("127.0.0.1:1")
        channel._make_connection = never.wait  # type: ignore[method-assign, assignment]
        yield channel
        await channel.close()

    @pytest.mark.parametrize("way", WAYS)
    async def test_a_deadline_holds(self, stuck: Channel, way: str) -> None:
        stream = stuck.stream(PATH, timeout=0.02)
        async with asyncio.timeout(5):
            if way == "receive":
                with pytest.raises(RpcError) as error:
                    await WAYS[way](stream)
                assert error.value.code == Code.DEADLINE_EXCEEDED
            else:
                await WAYS[way](stream)
        with pytest.raises(RpcError, match="the deadline has passed"):
            await stream.receive()

    @pytest.mark.parametrize("way", WAYS)
    async def test_a_cancel_ends_the_wait(self, stuck: Channel, way: str) -> None:
        stream = stuck.stream(PATH)
        waiting = [asyncio.ensure_future(WAYS[way](stream)) for _ in range(3)]
        await turns()
        stream.cancel()
        async with asyncio.timeout(5):
            ends = await asyncio.gather(*waiting, return_exceptions=True)
        assert [RpcError if way == "receive" else type(ends[0])] * 3 == [type(end) for end in ends]

    @pytest.mark.parametrize("way", WAYS)
    async def test_a_task_that_is_cancelled_leaves_the_call_to_others(self, stuck: Channel, way: str) -> None:
        stream = stuck.stream(PATH)
        first, second = (asyncio.ensure_future(WAYS[way](stream)) for _ in range(2))
        await turns()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        await turns()
        assert not second.done()
        await stuck.close()
        await asyncio.gather(second, return_exceptions=True)
        with pytest.raises(RpcError, match="the channel is closed"):
            await stream.receive()


class TestDeadline:
    async def test_is_told_and_kept(self, server: RawServer, channel: Channel) -> None:
        stream, peer = await opened(server, channel, timeout=0.1)
        assert peer.streams[1].lists[0]["grpc-timeout"] == "100000u"
        with pytest.raises(RpcError, match="the deadline has passed") as error:
            await stream.receive()
        assert error.value.code == Code.DEADLINE_EXCEEDED
        assert (await peer.heard(1)).reset == CANCEL

    async def test_ends_a_send_that_waits(self, server: RawServer, channel: Channel) -> None:
        stream, _ = await opened(server, channel, timeout=1000.0)
        sending = asyncio.ensure_future(stream.send(bytes(2**20)))
        await turns()
        assert not sending.done()
        # The deadline is over now, whatever the clock says.
        stream._expire()
        await sending
        with pytest.raises(RpcError, match="the deadline has passed"):
            await stream.receive()

    async def test_of_a_call_that_has_ended_does_nothing(self, server: RawServer, channel: Channel) -> None:
        stream, peer = await opened(server, channel, timeout=1000.0)
        peer.send(headers(1, [*HEAD, ("grpc-status", "5")], LAST))
        with pytest.raises(RpcError) as error:
            await stream.receive()
        assert (error.value.code, stream._timer) == (Code.NOT_FOUND, None)

    @pytest.mark.parametrize(
        ("left", "code"),
        [(0.0, Code.DEADLINE_EXCEEDED), (1000.0, Code.CANCELLED)],
        ids=["at", "before"],
    )
    async def test_the_servers_reset(
        self, server: RawServer, channel: Channel, left: float, code: Code
    ) -> None:
        stream, peer = await opened(server, channel, timeout=1000.0)
        stream._stop_timer()
        until = asyncio.get_running_loop().time() + left
        stream._timer = SimpleNamespace(when=lambda: until, cancel=lambda: None)  # type: ignore[assignment]
        peer.send(reset(1, CANCEL))
        with pytest.raises(RpcError) as error:
            await stream.receive()
        assert error.value.code == code

    async def test_of_unary_calls(self, server: RawServer, channel: Channel) -> None:
        with pytest.raises(RpcError) as error:
            await channel.unary(PATH, b"", timeout=0.05)
        assert error.value.code == Code.DEADLINE_EXCEEDED


async def test_a_server_that_is_not_there() -> None:
    async with calling("127.0.0.1:1") as channel:
        for way in ("send", "initial_metadata", "receive"):
            stream = channel.stream(PATH)
            if way != "receive":
                await WAYS[way](stream)
            with pytest.raises(RpcError, match="cannot connect") as error:
                await stream.receive()
            assert error.value.code == Code.UNAVAILABLE
            assert stream.trailing_metadata == ()
