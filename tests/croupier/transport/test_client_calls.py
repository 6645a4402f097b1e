"""Calls on our client's hot path: each one is told of once, when it has ended, unless it was cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.http2_peer import (
    END_HEADERS,
    END_STREAM,
    Heard,
    RawServer,
    data,
    go_away,
    headers,
    message,
    reset,
    settings,
)
from support.serving import LOOPS, calling, start, turns
from support.waiting import eventually

from croupier.codes import Code
from croupier.transport.client import Channel
from croupier.transport.http2.client_call import ClientCall
from croupier.transport.status import RpcError

LOOP_FACTORIES = LOOPS
PATH = "/test.Raw/Call"
REFUSED_STREAM, CANCEL = 7, 8


@pytest.fixture
async def server() -> AsyncIterator[RawServer]:
    async with RawServer.listen() as server:
        yield server


@pytest.fixture
async def channel(server: RawServer) -> AsyncIterator[Channel]:
    async with calling(server.address) as channel:
        yield channel


def answer(stream: int, body: bytes = b"answer") -> bytes:
    head = headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
    last = headers(stream, [("grpc-status", "0")], END_HEADERS | END_STREAM)
    return head + data(stream, message(body), 0) + last


class Notes:
    """A `done` that notes its calls."""

    def __init__(self) -> None:
        self.ended: list[ClientCall] = []

    def __call__(self, call: ClientCall) -> None:
        self.ended.append(call)


class TestCancel:
    async def test_before_there_is_a_connection(self, server: RawServer, channel: Channel) -> None:
        notes = Notes()
        cancelled = [channel.start(PATH.encode(), b"x", None, notes) for _ in range(3)]
        kept = start(channel, PATH, b"kept")
        for call in cancelled:
            call.cancel()
        peer = await server.accept()
        # They are never sent.
        assert message(b"kept") == (await peer.heard(1)).body
        peer.send(answer(1))
        assert (await kept).code == Code.OK
        assert (notes.ended, [call.code for call in cancelled]) == ([], [Code.CANCELLED] * 3)

    async def test_before_there_is_none(self) -> None:
        notes = Notes()
        async with calling("127.0.0.1:1") as channel:
            channel.start(PATH.encode(), b"x", None, notes).cancel()
            assert (await start(channel, PATH)).code == Code.UNAVAILABLE
            # It fails at once now, which is still not inside `start`.
            channel.start(PATH.encode(), b"x", None, notes).cancel()
            await turns()
        assert notes.ended == []

    async def test_before_it_is_sent(self, server: RawServer, channel: Channel) -> None:
        peer = await connected(server, channel)
        notes = Notes()
        call = channel.start(PATH.encode(), b"x", None, notes)
        call.cancel()
        after = start(channel, PATH, b"after")
        # Its stream is reset before it began, or not used at all.
        assert message(b"after") == (await peer.heard(5)).body
        peer.send(answer(5))
        assert (await after).code == Code.OK
        assert notes.ended == []
        assert peer.streams.get(3, Heard()).body == b""

    async def test_in_flight(self, server: RawServer, channel: Channel) -> None:
        peer = await connected(server, channel)
        notes = Notes()
        call = channel.start(PATH.encode(), b"x", None, notes)
        await peer.until(3, lambda heard: heard.is_ended)
        call.cancel()
        assert (await peer.until(3, lambda heard: heard.reset is not None)).reset == CANCEL
        # An answer that crosses the reset is nobody's.
        peer.send(answer(3))
        await peer.settled()
        assert notes.ended == []

    async def test_after_its_end(self, server: RawServer, channel: Channel) -> None:
        peer = await connected(server, channel)
        notes = Notes()
        call = channel.start(PATH.encode(), b"x", None, notes)
        await peer.heard(3)
        peer.send(answer(3))
        await eventually(lambda: notes.ended)
        call.cancel()
        await peer.settled()
        assert ([call], None) == (notes.ended, peer.streams[3].reset)

    async def test_by_another_call_that_ended_with_it(self, server: RawServer, channel: Channel) -> None:
        # As when one of two hedged calls wins: the other one was refused in the same read.
        peer = await connected(server, channel)
        notes = Notes()
        calls: list[ClientCall] = []

        def first(call: ClientCall) -> None:
            notes(call)
            calls[1].cancel()

        calls += [channel.start(PATH.encode(), b"x", None, done) for done in (first, notes)]
        await peer.heard(5)
        peer.send(answer(3) + reset(5, REFUSED_STREAM))
        await eventually(lambda: notes.ended)
        await peer.settled()
        # It is not tried again for nobody.
        assert ([calls[0]], 5) == (notes.ended, max(peer.streams))


async def connected(server: RawServer, channel: Channel) -> Any:
    """A peer that has answered one call."""
    ended = start(channel, PATH, b"first")
    peer = await server.accept()
    await peer.heard(1)
    peer.send(answer(1))
    await ended
    return peer


class TestDone:
    async def test_is_never_called_from_inside_start(self, channel: Channel) -> None:
        # `start` itself asserts it, with a connection and without one.
        for _ in range(3):
            ended = start(channel, PATH)
            ended.call.cancel()  # type: ignore[attr-defined]
        await channel.close()
        assert (await start(channel, PATH)).code == Code.UNAVAILABLE

    async def test_may_start_other_calls(self, server: RawServer, channel: Channel) -> None:
        peer = await connected(server, channel)
        notes = Notes()

        def again(call: ClientCall) -> None:
            notes(call)
            if len(notes.ended) < 5:
                channel.start(PATH.encode(), b"again", None, again)

        channel.start(PATH.encode(), b"again", None, again)
        for stream in (3, 5, 7, 9, 11):
            await peer.heard(stream)
            peer.send(answer(stream))
        await eventually(lambda: len(notes.ended) == 5)
        assert [call.code for call in notes.ended] == [Code.OK] * 5

    async def test_may_try_again_what_was_broken(self) -> None:
        async with calling("127.0.0.1:1") as channel:
            notes = Notes()

            def again(call: ClientCall) -> None:
                notes(call)
                if len(notes.ended) < 5:
                    channel.start(PATH.encode(), b"again", None, again)

            channel.start(PATH.encode(), b"again", None, again)
            await eventually(lambda: len(notes.ended) == 5)
            assert [call.code for call in notes.ended] == [Code.UNAVAILABLE] * 5

    @pytest.mark.parametrize("end", ["answered", "lost"])
    async def test_that_raises_keeps_no_other_from_being_called(
        self, server: RawServer, channel: Channel, end: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        peer = await connected(server, channel)
        notes = Notes()
        for done in (lambda call: 1 / 0, notes, notes):
            channel.start(PATH.encode(), b"x", None, done)  # type: ignore[arg-type]
        await peer.heard(7)
        if end == "answered":
            peer.send(answer(3) + answer(5) + answer(7))
        else:
            await peer.close()
        await eventually(lambda: len(notes.ended) == 2)
        assert [end == "lost"] * 2 == [call.is_broken for call in notes.ended]
        assert "could not take its end" in caplog.text


class TestElsewhere:
    async def test_a_goodbye_moves_new_calls_to_a_new_connection(
        self, server: RawServer, channel: Channel
    ) -> None:
        old = await connected(server, channel)
        under_way = start(channel, PATH)
        await old.heard(3)
        old.send(go_away(2**31 - 1))
        await eventually(lambda: channel._session is not None and not channel._session.is_usable)
        new_calls = [start(channel, PATH, b"new %d" % n) for n in range(3)]
        new = await server.accept()
        for n, stream in enumerate((1, 3, 5)):
            assert message(b"new %d" % n) == (await new.heard(stream)).body
            new.send(answer(stream))
        assert [call.code for call in await asyncio.gather(*new_calls)] == [Code.OK] * 3
        assert not under_way.done()
        old.send(answer(3))
        assert (await under_way).code == Code.OK
        # It has said everything, and is closed.
        await old.ended()
        assert len(channel._connections) == 1

    @pytest.mark.parametrize("kind", ["hot", "unary"])
    async def test_a_refused_call_is_sent_once_more(
        self, server: RawServer, channel: Channel, kind: str
    ) -> None:
        peer = await connected(server, channel)
        if kind == "hot":
            ended: asyncio.Future[Any] = start(channel, PATH, b"call", 5.0)
        else:
            unary = channel.unary(PATH, b"call", timeout=5.0, metadata=iter([("x", "1")]))
            ended = asyncio.ensure_future(unary)
        first = await peer.heard(3)
        peer.send(reset(3, REFUSED_STREAM))
        second = await peer.heard(5)
        assert (first.body, first.lists[0].get("x")) == (second.body, second.lists[0].get("x"))
        peer.send(answer(5))
        answered = await ended
        assert (answered.message if kind == "hot" else answered) == b"answer"

    @pytest.mark.parametrize("kind", ["hot", "unary"])
    async def test_and_no_more_than_once(self, server: RawServer, channel: Channel, kind: str) -> None:
        peer = await connected(server, channel)
        if kind == "hot":
            ended: asyncio.Future[Any] = start(channel, PATH, b"call")
        else:
            ended = asyncio.ensure_future(channel.unary(PATH, b"call"))
        for stream in (3, 5):
            await peer.heard(stream)
            peer.send(reset(stream, REFUSED_STREAM))
        if kind == "hot":
            assert ((await ended).code, ended.result().is_broken) == (Code.UNAVAILABLE, True)
        else:
            with pytest.raises(RpcError) as error:
                await ended
            assert error.value.code == Code.UNAVAILABLE
        await peer.settled()
        assert max(peer.streams) == 5

    async def test_a_peer_that_takes_one_call_at_a_time(self, server: RawServer, channel: Channel) -> None:
        peer = await connected(server, channel)
        peer.send(settings((3, 1)))
        await peer.settled()
        calls = [start(channel, PATH, b"%d" % n) for n in range(4)]
        for n, stream in enumerate((3, 5, 7, 9)):
            assert message(b"%d" % n) == (await peer.heard(stream)).body
            await peer.settled()
            assert stream == max(peer.streams)
            peer.send(answer(stream))
        assert [call.code for call in await asyncio.gather(*calls)] == [Code.OK] * 4

    async def test_ids_that_run_out_make_a_new_connection(self, server: RawServer, channel: Channel) -> None:
        old = await connected(server, channel)
        last = 2**31 - 2**20 - 1
        (await channel.session()).skip_to(last)
        under_way = start(channel, PATH)
        await old.heard(last)
        ended = start(channel, PATH)
        new = await server.accept()
        await new.heard(1)
        new.send(answer(1))
        assert (await ended).code == Code.OK
        assert not under_way.done()
        old.send(answer(last))
        assert (await under_way).code == Code.OK
        # The old one is of no use any more, and does not stay.
        await old.ended()
        assert len(channel._connections) == 1
