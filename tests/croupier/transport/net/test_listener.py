"""The accept loop, on asyncio's own event loop and on uvloop."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import uvloop
from support.certificates import Authority
from support.fakes import metric
from support.serving import turns
from support.waiting import eventually

from croupier.settings import ClientTls, InvalidSettings, ServerTls
from croupier.transport.net import listener as module
from croupier.transport.net.listener import Listener
from croupier.transport.net.tls import ClientContext, ServerContext

REFUSED, PAUSES = "croupier_connections_refused_total", "croupier_accept_pauses_total"


LOOP_FACTORIES = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Echo(asyncio.Protocol):
    def __init__(self, house: House) -> None:
        self._house = house

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._house.made.append(self._transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._house.lost += 1
        self._house.listener.connection_closed()


class House:
    """A listener whose connections echo, and clients of it."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.stack = stack
        self.made: list[asyncio.Transport] = []
        self.lost = 0
        self.listener: Listener
        self.address = ""

    def open(self, listen: str = "127.0.0.1:0", **options: Any) -> None:
        defaults = {"tls": None, "reuse_port": False, "max_connections": 100, "handshake_timeout": 5.0}
        self.listener = Listener(listen, lambda: Echo(self), **{**defaults, **options})
        self.address = self.listener.open()

    async def connect(self, **options: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.address.startswith("unix:"):
            pair = await asyncio.open_unix_connection(self.address.removeprefix("unix:"), **options)
        else:
            host, _, port = self.address.rpartition(":")
            pair = await asyncio.open_connection(host, int(port), **options)
        self.stack.push_async_callback(hang_up, pair[1])
        return pair

    async def echo(self, **options: Any) -> bytes:
        reader, writer = await self.connect(**options)
        writer.write(b"hello")
        async with asyncio.timeout(5):
            return await reader.readexactly(5)

    async def close(self) -> None:
        await self.listener.close()
        for transport in self.made:
            transport.abort()
        await eventually(lambda: self.lost == len(self.made), "every connection is lost")


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()


@pytest.fixture
async def house() -> AsyncIterator[House]:
    async with asyncio.timeout(20), AsyncExitStack() as stack:
        house = House(stack)
        stack.push_async_callback(house.close)
        yield house


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def server_context(authority: Authority, *, callers: bool = False) -> ServerContext:
    pair = authority.issue("server")
    return ServerContext(ServerTls(pair.certificate, pair.key, authority.certificate if callers else None))


def client_context(authority: Authority) -> ssl.SSLContext:
    return ClientContext(ClientTls(authority.certificate)).current()


async def ended(reader: asyncio.StreamReader) -> bool:
    try:
        return await reader.read() == b""
    except OSError:
        return True


class TestConnections:
    async def test_tcp(self, house: House) -> None:
        house.open()
        assert await house.echo() == b"hello"
        assert house.listener.connections == 1
        connection = house.made[0].get_extra_info("socket")
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    async def test_a_unix_socket(self, house: House, tmp_path: Path) -> None:
        house.open(f"unix:{tmp_path}/s")
        assert await house.echo() == b"hello"
        await house.listener.close()
        assert not (tmp_path / "s").exists()

    async def test_many_at_once(self, house: House) -> None:
        house.open(max_connections=300)
        answers = await asyncio.gather(*(house.echo() for _ in range(200)))
        assert answers == [b"hello"] * 200
        assert house.listener.connections == 200

    async def test_two_share_a_port(self, house: House) -> None:
        house.open(reuse_port=True)
        other = House(house.stack)
        other.open(house.address, reuse_port=True)
        house.stack.push_async_callback(other.close)
        for _ in range(50):
            await house.echo()
        assert house.made
        assert other.made

    async def test_an_address_in_use(self, house: House) -> None:
        house.open()
        with pytest.raises(InvalidSettings, match="in use"):
            House(house.stack).open(house.address)


class TestLimit:
    async def test_one_too_many_is_closed_at_once(self, house: House) -> None:
        house.open(max_connections=2)
        refused = metric(REFUSED, reason="limit")
        for _ in range(2):
            assert await house.echo() == b"hello"
        for _ in range(3):
            reader, _ = await house.connect()
            assert await ended(reader)
        assert metric(REFUSED, reason="limit") == refused + 3
        assert len(house.made) == 2

    async def test_one_that_closes_makes_room(self, house: House) -> None:
        house.open(max_connections=1)
        for _ in range(3):
            _, writer = await house.connect()
            await eventually(lambda: house.listener.connections == 1, "it is taken")
            await hang_up(writer)
            await eventually(lambda: house.listener.connections == 0, "it is gone")

    async def test_failed_handshakes_make_room(self, house: House, authority: Authority) -> None:
        house.open(tls=server_context(authority), max_connections=1)
        refused = metric(REFUSED, reason="handshake")
        for _ in range(3):
            reader, writer = await house.connect()
            writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            await reader.read()
            await eventually(lambda: house.listener.connections == 0, "it is gone")
        assert metric(REFUSED, reason="handshake") == refused + 3
        assert await house.echo(ssl=client_context(authority), server_hostname="localhost") == b"hello"


class TestTls:
    async def test_h2(self, house: House, authority: Authority) -> None:
        house.open(tls=server_context(authority))
        assert await house.echo(ssl=client_context(authority)) == b"hello"
        assert house.made[0].get_extra_info("ssl_object").selected_alpn_protocol() == "h2"

    @pytest.mark.parametrize("protocols", [[], ["http/1.1"]])
    async def test_a_peer_without_h2_is_closed(
        self, house: House, authority: Authority, protocols: list[str]
    ) -> None:
        house.open(tls=server_context(authority))
        refused = metric(REFUSED, reason="protocol")
        context = ssl.create_default_context(cafile=authority.certificate)
        if protocols:
            context.set_alpn_protocols(protocols)
        reader, _ = await house.connect(ssl=context)
        assert await ended(reader)
        assert metric(REFUSED, reason="protocol") == refused + 1
        await eventually(lambda: house.listener.connections == 0, "it is gone")

    async def test_a_caller_without_a_certificate(self, house: House, authority: Authority) -> None:
        house.open(tls=server_context(authority, callers=True))
        reader, _ = await house.connect(ssl=client_context(authority))
        assert await ended(reader)
        assert not house.made
        await eventually(lambda: house.listener.connections == 0, "it is gone")

    async def test_a_silent_peer_has_its_time(self, house: House, authority: Authority) -> None:
        house.open(tls=server_context(authority), handshake_timeout=0.05)
        reader, _ = await house.connect()
        assert await ended(reader)
        assert not house.made
        await eventually(lambda: house.listener.connections == 0, "it is gone")

    @pytest.mark.parametrize("body", [b"", bytes(20_000)], ids=["GET", "POST"])
    async def test_http_in_the_clear_is_told(self, house: House, authority: Authority, body: bytes) -> None:
        house.open(tls=server_context(authority))
        refused = metric(REFUSED, reason="plain")
        reader, writer = await house.connect()
        writer.write(b"%s / HTTP/1.1\r\nHost: x\r\n\r\n%b" % (b"POST" if body else b"GET", body))
        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert answer.endswith(
            b"\r\n\r\nThis port speaks gRPC over TLS; this request was HTTP/1.1 without TLS.\n"
        )
        await hang_up(writer)
        await eventually(lambda: house.listener.connections == 0, "it is gone")
        assert metric(REFUSED, reason="plain") == refused + 1
        assert not house.made
        assert await house.echo(ssl=client_context(authority)) == b"hello"

    async def test_who_is_told_and_does_not_go_has_its_time(self, house: House, authority: Authority) -> None:
        house.open(tls=server_context(authority), handshake_timeout=0.05)
        reader, writer = await house.connect()
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 400")
        await eventually(lambda: house.listener.connections == 0, "it is gone")

    async def test_a_renewed_certificate_is_for_the_next_connection(
        self, house: House, authority: Authority
    ) -> None:
        now = 0.0
        pair = authority.issue("server")
        house.open(tls=ServerContext(ServerTls(pair.certificate, pair.key), lambda: now))

        async def serial() -> Any:
            _, writer = await house.connect(ssl=client_context(authority))
            return writer.get_extra_info("peercert")["serialNumber"]

        first = await serial()
        authority.issue("server")
        assert await serial() == first
        now = 1.0
        assert await serial() != first

    async def test_no_more_handshakes_than_allowed(self, house: House, authority: Authority) -> None:
        house.open(tls=server_context(authority), max_handshakes=2)
        silent = [await house.connect() for _ in range(2)]
        await eventually(lambda: house.listener.connections == 2, "both are taken")
        waiting = asyncio.create_task(house.echo(ssl=client_context(authority)))
        await turns()
        assert house.listener.connections == 2
        await hang_up(silent[0][1])
        assert await waiting == b"hello"


class TestFaults:
    @pytest.fixture
    def short(self) -> Iterator[list[int]]:
        """No descriptor is left in this process until the list is emptied by `free`."""
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        taken: list[int] = []
        yield taken
        free(taken)
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)

    async def test_without_descriptors_accepting_rests(
        self, house: House, short: list[int], caplog: pytest.LogCaptureFixture
    ) -> None:
        house.open()
        pauses = metric(PAUSES)
        with socket.socket() as client:
            client.setblocking(False)
            use_up(short)
            host, _, port = house.address.rpartition(":")
            await asyncio.get_running_loop().sock_connect(client, (host, int(port)))
            await eventually(lambda: metric(PAUSES) == pauses + 1, "accepting rests")
            # The socket is readable all the time; a loop that spins would count on every turn.
            for _ in range(200):
                await asyncio.sleep(0)
            assert metric(PAUSES) == pauses + 1
            await eventually(lambda: metric(PAUSES) == pauses + 2, "it is tried again")
            free(short)
            await eventually(lambda: len(house.made) == 1, "the connection is taken")
        # On a busy machine a descriptor may come free and be used up in between, which is a warning more.
        assert {r.levelno for r in caplog.records if r.name == module.__name__} == {logging.WARNING}

    async def test_a_factory_that_fails_fails_alone(
        self, house: House, caplog: pytest.LogCaptureFixture
    ) -> None:
        house.open(max_connections=1)
        house.listener._factory = lambda: 1 / 0  # type: ignore[assignment, return-value]
        reader, _ = await house.connect()
        assert await ended(reader)
        assert "could not be taken" in caplog.text
        house.listener._factory = lambda: Echo(house)
        assert await house.echo() == b"hello"


class TestClose:
    async def test_connections_that_stand_stay(self, house: House) -> None:
        house.open()
        reader, writer = await house.connect()
        await eventually(lambda: bool(house.made), "it is taken")
        await house.listener.close()
        with pytest.raises(OSError, match=r".*"):
            await house.connect()
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"

    async def test_a_handshake_under_way_is_given_up(self, house: House, authority: Authority) -> None:
        house.open(tls=server_context(authority))
        reader, _ = await house.connect()
        await eventually(lambda: house.listener.connections == 1, "it is taken")
        await house.listener.close()
        assert await ended(reader)
        assert house.listener.connections == 0

    async def test_twice_and_before_open(self, house: House) -> None:
        house.open()
        await house.listener.close()
        await house.listener.close()
        idle = Listener(
            "127.0.0.1:0",
            asyncio.Protocol,
            tls=None,
            reuse_port=False,
            max_connections=1,
            handshake_timeout=1,
        )
        await idle.close()

    async def test_while_accepting_rests(self, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
        house.open()
        house.listener._rest(OSError("none left"))
        await house.listener.close()
        with pytest.raises(OSError, match=r".*"):
            await house.connect()


def use_up(taken: list[int]) -> None:
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
    with suppress(OSError):
        while True:
            taken.append(os.dup(0))


def free(taken: list[int]) -> None:
    while taken:
        os.close(taken.pop())
