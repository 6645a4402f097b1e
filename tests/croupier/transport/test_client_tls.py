"""Our client behind TLS: whom it trusts, what it speaks, and that nobody can hold it up."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest
from support.certificates import Authority
from support.echo import serving as echoing
from support.http2_peer import settings
from support.serving import LOOPS, calling, serving, start
from support.waiting import eventually

from croupier.codes import Code
from croupier.settings import ClientTls, ServerTls
from croupier.transport.net.tls import ServerContext
from croupier.transport.serving import Server

LOOP_FACTORIES = LOOPS
PATH = "/test.Raw/Call"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.mark.parametrize(
    ("authority_name", "is_good"),
    [("", True), ("localhost", True), ("localhost:1", True), ("127.0.0.1:1", True), ("other:1", False)],
)
async def test_the_certificate_has_to_name_the_server(
    authority: Authority, authority_name: str, is_good: bool
) -> None:
    pair = authority.issue("server")
    server = Server(tls=ServerTls(pair.certificate, pair.key))
    server.add_batch([PATH], lambda calls: [call.reply(b"there") for call in calls])  # type: ignore[arg-type]
    tls = ClientTls(authority.certificate)
    async with (
        serving(server, "localhost:0") as address,
        calling(address, tls=tls, authority=authority_name) as channel,
    ):
        ended = await start(channel, PATH)
        assert (Code.OK if is_good else Code.UNAVAILABLE, not is_good) == (ended.code, ended.is_broken)
        assert is_good or "certificate" in ended.status_message


async def test_an_authority_that_is_not_trusted(authority: Authority, tmp_path: Path) -> None:
    pair = authority.issue("server")
    stranger = Authority(tmp_path, "stranger")
    server = Server(tls=ServerTls(pair.certificate, pair.key))
    async with (
        serving(server, "localhost:0") as address,
        calling(address, tls=ClientTls(stranger.certificate)) as channel,
    ):
        ended = await start(channel, PATH)
        assert (ended.code, ended.is_broken) == (Code.UNAVAILABLE, True)


@pytest.mark.parametrize("protocols", [[], ["http/1.1"]])
async def test_a_server_that_does_not_speak_http2(authority: Authority, protocols: list[str]) -> None:
    pair = authority.issue("server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    if protocols:
        context.set_alpn_protocols(protocols)
    writers: list[asyncio.StreamWriter] = []
    listening = await asyncio.start_server(
        lambda _, writer: writers.append(writer), "localhost", 0, ssl=context
    )
    port = listening.sockets[0].getsockname()[1]
    async with calling(f"localhost:{port}", tls=ClientTls(authority.certificate)) as channel:
        ended = await start(channel, PATH)
        assert (ended.code, ended.is_broken) == (Code.UNAVAILABLE, True)
        assert "does not speak HTTP/2" in ended.status_message
        assert channel._failures == 1
    listening.close()
    for writer in writers:
        writer.transport.abort()


async def test_a_server_that_does_not_read_does_not_hold_up_a_close(authority: Authority) -> None:
    # It will not hear that TLS ends, and not say so either.
    pair = authority.issue("server")
    writers: list[asyncio.StreamWriter] = []

    def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(settings())
        writer.transport.pause_reading()
        writers.append(writer)

    context = ServerContext(ServerTls(pair.certificate, pair.key)).current()
    listening = await asyncio.start_server(greet, "localhost", 0, ssl=context)
    port = listening.sockets[0].getsockname()[1]
    async with calling(f"localhost:{port}", tls=ClientTls(authority.certificate)) as channel:
        session = await channel.session()
        await eventually(lambda: session.is_settled)
        async with asyncio.timeout(5):
            await channel.close(0.05)
    listening.close()
    for writer in writers:
        writer.transport.abort()


async def test_a_server_in_the_clear(authority: Authority) -> None:
    async with echoing() as address, calling(address, tls=ClientTls(authority.certificate)) as channel:
        ended = await start(channel, PATH)
        assert (ended.code, ended.is_broken) == (Code.UNAVAILABLE, True)
