"""Our server behind TLS: who gets in, with which certificate, and how it is renewed while calls go on."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from support.certificates import Authority, Pair
from support.http2_peer import PREFACE, settings
from support.serving import LOOPS, calling, serving, start
from support.waiting import eventually

from croupier.codes import Code
from croupier.settings import ClientTls, InvalidSettings, ServerTls
from croupier.transport.context import Context
from croupier.transport.http2.limits import Limits
from croupier.transport.serving import Server
from croupier.transport.status import RpcError

LOOP_FACTORIES = LOOPS
BATCH, STREAM = "/test.Safe/Batch", "/test.Safe/Stream"
MEGABYTE = 2**20


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def pair(authority: Authority) -> Pair:
    return authority.issue("server")


def safe(tls: ServerTls, **options: Any) -> Server:
    async def echo(messages: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
        async for one in messages:
            yield one

    server = Server(tls=tls, **options)
    server.add_batch([BATCH], lambda calls: [call.reply(call.message) for call in calls])  # type: ignore[arg-type]
    server.add_stream(STREAM, echo)
    return server


@asynccontextmanager
async def grpcio(address: str, ca: Path, shown: Pair | None = None) -> AsyncIterator[Any]:
    key, certificate = (shown.key.read_bytes(), shown.certificate.read_bytes()) if shown else (None, None)
    credentials = grpc.ssl_channel_credentials(ca.read_bytes(), key, certificate)
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.secure_channel(address, credentials, options=options) as channel:
        yield channel


async def certificate_of(address: str, ca: Path) -> bytes:
    """What a new connection is shown."""
    context = ssl.create_default_context(cafile=ca)
    context.set_alpn_protocols(["h2"])
    host, _, port = address.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    try:
        shown: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return shown
    finally:
        writer.transport.abort()


class TestServed:
    async def test_by_both_clients(self, authority: Authority, pair: Pair) -> None:
        ca = authority.certificate
        async with (
            serving(safe(ServerTls(pair.certificate, pair.key)), "localhost:0") as address,
            calling(address, tls=ClientTls(ca)) as ours,
            grpcio(address, ca) as theirs,
        ):
            large = bytes(range(256)) * (3 * MEGABYTE // 256)
            for path in (BATCH, STREAM):
                assert await ours.unary(path, large) == large
                assert await theirs.unary_unary(path)(large[:MEGABYTE]) == large[:MEGABYTE]

    async def test_with_certificates_of_both_ends(self, authority: Authority, pair: Pair) -> None:
        caller, ca = authority.issue("caller"), authority.certificate
        tls = ClientTls(ca, caller.certificate, caller.key)
        async with (
            serving(safe(ServerTls(pair.certificate, pair.key, ca)), "localhost:0") as address,
            calling(address, tls=tls) as ours,
            grpcio(address, ca, caller) as theirs,
        ):
            assert await ours.unary(BATCH, b"ours") == b"ours"
            assert await theirs.unary_unary(BATCH)(b"grpcio") == b"grpcio"

    async def test_many_calls_at_once(self, authority: Authority, pair: Pair) -> None:
        async with (
            serving(safe(ServerTls(pair.certificate, pair.key)), "localhost:0") as address,
            calling(address, tls=ClientTls(authority.certificate)) as channel,
        ):
            requests = [b"%d" % n * 1000 for n in range(300)]
            calls = await asyncio.gather(*(start(channel, BATCH, request) for request in requests))
            assert requests == [call.message for call in calls]

    async def test_a_stop_says_goodbye(self, authority: Authority, pair: Pair) -> None:
        server = safe(ServerTls(pair.certificate, pair.key))
        async with (
            serving(server, "localhost:0") as address,
            calling(address, tls=ClientTls(authority.certificate)) as channel,
        ):
            assert await channel.unary(BATCH, b"call") == b"call"
            async with asyncio.timeout(5):
                await server.stop(60)
            assert server.connections == 0
            await eventually(lambda: not channel._connections, "the client has heard it")


class TestRefused:
    async def test_who_shows_no_certificate(self, authority: Authority, pair: Pair) -> None:
        ca = authority.certificate
        server = safe(ServerTls(pair.certificate, pair.key, ca))
        async with serving(server, "localhost:0") as address:
            async with calling(address, tls=ClientTls(ca)) as ours:
                with pytest.raises(RpcError) as error:
                    await ours.unary(BATCH, b"ours")
                assert error.value.code == Code.UNAVAILABLE
            async with grpcio(address, ca) as theirs:
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await theirs.unary_unary(BATCH)(b"grpcio")
                assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
            await eventually(lambda: not server.connections)

    async def test_who_shows_one_of_another_authority(
        self, authority: Authority, pair: Pair, tmp_path: Path
    ) -> None:
        stranger = Authority(tmp_path, "stranger").issue("caller")
        ca = authority.certificate
        tls = ClientTls(ca, stranger.certificate, stranger.key)
        async with (
            serving(safe(ServerTls(pair.certificate, pair.key, ca)), "localhost:0") as address,
            calling(address, tls=tls) as channel,
        ):
            with pytest.raises(RpcError) as error:
                await channel.unary(BATCH, b"ours")
            assert error.value.code == Code.UNAVAILABLE

    async def test_who_speaks_plaintext(self, authority: Authority, pair: Pair) -> None:
        server = safe(ServerTls(pair.certificate, pair.key))
        async with serving(server, "localhost:0") as address:
            host, _, port = address.rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(PREFACE + settings())
            async with asyncio.timeout(5):
                # An alert at most, and the end.
                assert len(await reader.read()) < 100
            writer.transport.abort()
            async with calling(address) as channel:
                with pytest.raises(RpcError) as error:
                    await channel.unary(BATCH, b"")
                assert error.value.code == Code.UNAVAILABLE
            assert server.connections == 0

    async def test_who_does_not_agree_on_http2(self, authority: Authority, pair: Pair) -> None:
        server = safe(ServerTls(pair.certificate, pair.key))
        context = ssl.create_default_context(cafile=authority.certificate)
        async with serving(server, "localhost:0") as address:
            host, _, port = address.rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
            async with asyncio.timeout(5):
                while await reader.read(1000):
                    pass
            writer.transport.abort()
            await eventually(lambda: not server.connections)

    async def test_who_does_not_finish_the_handshake(self, authority: Authority, pair: Pair) -> None:
        tls = ServerTls(pair.certificate, pair.key)
        async with serving(safe(tls, limits=Limits(handshake_seconds=0.05)), "localhost:0") as address:
            host, _, port = address.rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            async with asyncio.timeout(5):
                assert await reader.read() == b""
            writer.transport.abort()

    async def test_files_that_cannot_be_used_are_told_at_the_start(self, pair: Pair, tmp_path: Path) -> None:
        for tls in (ServerTls(tmp_path / "none.pem", pair.key), ServerTls(pair.key, pair.key)):
            server = safe(tls)
            with pytest.raises(InvalidSettings, match="TLS files"):
                await server.start("localhost:0")
            await server.stop(0)


class TestRenewed:
    @pytest.fixture(autouse=True)
    def look_always(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("croupier.transport.net.tls.CHECK_SECONDS", 0.0)

    async def test_new_connections_see_the_new_certificate(self, authority: Authority, pair: Pair) -> None:
        server = safe(ServerTls(pair.certificate, pair.key))
        ca = authority.certificate
        async with serving(server, "localhost:0") as address, calling(address, tls=ClientTls(ca)) as old:
            async with old.stream(STREAM) as stream:
                await stream.send(b"before")
                assert await stream.receive() == b"before"
                first = await certificate_of(address, ca)
                assert first == await certificate_of(address, ca)
                authority.issue("server")
                second = await certificate_of(address, ca)
                assert first != second
                # The connection that stands goes on with what it began with, as do its calls.
                await stream.send(b"after")
                assert await stream.receive() == b"after"
                assert first == seen_by(old)
            async with calling(address, tls=ClientTls(ca)) as new:
                assert await new.unary(BATCH, b"new") == b"new"
                assert second == seen_by(new)

    async def test_broken_files_are_not_used(self, authority: Authority, pair: Pair) -> None:
        ca = authority.certificate
        async with serving(safe(ServerTls(pair.certificate, pair.key)), "localhost:0") as address:
            first = await certificate_of(address, ca)
            pair.certificate.write_text("half a certif")
            assert first == await certificate_of(address, ca)
            authority.issue("server")
            assert first != await certificate_of(address, ca)


def seen_by(channel: Any) -> bytes:
    [connection] = channel._connections
    shown: bytes = connection.transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return shown
