"""What a connection tells its owner: what comes, whether it was of use, and that it is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

import pytest
from support import http2_peer as http2
from support.serving import LOOPS

from croupier.codes import Code
from croupier.transport.client_connection import ClientConnection
from croupier.transport.http2.client_call import ClientCall
from croupier.transport.http2.client_session import ClientSession
from croupier.transport.http2.limits import Limits

LOOP_FACTORIES = LOOPS
HEAD = [(":status", "200"), ("content-type", "application/grpc")]
LAST = http2.END_HEADERS | http2.END_STREAM


class Owner:
    def __init__(self) -> None:
        self.told: list[str] = []
        self.codes: list[int] = []
        self.changed = asyncio.Event()

    def opened(self, connection: ClientConnection) -> None:
        self._note("opened")

    def closed(self, connection: ClientConnection) -> None:
        self._note("closed")

    def ended(self, call: ClientCall) -> None:
        self.codes.append(call.code)
        self._note("ended")

    def begun(self, calls: Iterable[ClientCall]) -> None:
        self._note(*("begun" for _ in calls))

    def _note(self, *what: str) -> None:
        self.told += what
        self.changed.set()

    async def until(self, what: str) -> None:
        async with asyncio.timeout(10):
            while what not in self.told:
                self.changed.clear()
                await self.changed.wait()


Ends = tuple[Owner, ClientConnection, http2.RawPeer]


@pytest.fixture
async def ends() -> AsyncIterator[Ends]:
    owner, loop = Owner(), asyncio.get_running_loop()
    session = ClientSession(Limits(), loop.time(), authority="peer:1")
    async with http2.RawServer.listen() as server:
        host, _, port = server.address.rpartition(":")
        _, connection = await loop.create_connection(
            lambda: ClientConnection(owner, session, loop, loop.time), host, int(port)
        )
        yield owner, connection, await server.accept()
        connection.transport.abort()
        await owner.until("closed")


def start(connection: ClientConnection) -> ClientCall:
    call = ClientCall(b"/a/B", b"request")
    assert connection.session.start(call)
    return call


async def test_the_beginning_and_the_end_of_an_answer(ends: Ends) -> None:
    owner, connection, peer = ends
    assert owner.told == ["opened"]
    start(connection)
    await peer.until(1, lambda heard: bool(heard.body))
    peer.send(http2.headers(1, HEAD, http2.END_HEADERS))
    await owner.until("begun")
    peer.send(http2.data(1, http2.message(b"answer"), 0), http2.headers(1, [("grpc-status", "0")], LAST))
    await owner.until("ended")
    assert (owner.codes, connection.is_useless) == ([Code.OK], False)


async def test_a_connection_is_of_no_use_when_no_call_of_it_was_answered(ends: Ends) -> None:
    owner, connection, peer = ends
    assert not connection.is_useless
    start(connection)
    await peer.until(1, lambda heard: bool(heard.body))
    peer.send(http2.reset(1, 2))
    await owner.until("ended")
    assert (owner.codes, connection.is_useless) == ([Code.INTERNAL], True)


async def test_who_retires_answers_what_is_under_way_and_is_gone_then(ends: Ends) -> None:
    owner, connection, peer = ends
    start(connection)
    connection.retire()
    assert not connection.session.is_usable
    await peer.until(1, lambda heard: bool(heard.body))
    peer.send(http2.headers(1, [*HEAD, ("grpc-status", "5")], LAST))
    await owner.until("closed")
    assert (owner.told, owner.codes) == (["opened", "ended", "closed"], [Code.NOT_FOUND])


async def test_what_is_ended_now_has_ended_its_calls_when_that_returns(ends: Ends) -> None:
    owner, connection, _ = ends
    start(connection)
    connection.end_now()
    assert owner.codes == [Code.UNAVAILABLE]
