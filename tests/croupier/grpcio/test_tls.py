"""A grpcio server's certificates are read again when their files change, and never given up for bad ones."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from support.certificates import Authority, Pair

from croupier.grpcio.channels import credentials, open_async
from croupier.grpcio.tls import server_credentials
from croupier.settings import ServerTls


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def serving(tls: ServerTls, clock: Clock) -> AsyncIterator[str]:
    async def answer(message: bytes, context: object) -> bytes:
        return message

    server = grpc.aio.server()
    methods = {"Call": grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Safe", methods),))
    port = server.add_secure_port("127.0.0.1:0", server_credentials(tls, clock))
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(0)


async def is_let_in(address: str, authority: Authority, shown: Pair) -> bool:
    tls = credentials(authority.certificate, shown.certificate, shown.key)
    async with open_async(address, tls) as channel:
        try:
            await channel.unary_unary("/test.Safe/Call")(b"x", timeout=10)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            return False
    return True


@pytest.fixture
def files(tmp_path: Path) -> ServerTls:
    return ServerTls(tmp_path / "server.crt", tmp_path / "server.key", tmp_path / "clients.pem")


def put(files: ServerTls, authority: Authority) -> None:
    pair = authority.issue("server")
    assert files.client_ca is not None
    pair.certificate.replace(files.certificate)
    pair.key.replace(files.key)
    files.client_ca.write_bytes(authority.certificate.read_bytes())


async def test_new_files_are_shown_and_asked_for(tmp_path: Path, files: ServerTls) -> None:
    clock, old, new = Clock(), Authority(tmp_path, "old"), Authority(tmp_path, "new")
    put(files, old)
    of_old, of_new = old.issue("of-old"), new.issue("of-new")
    async with serving(files, clock) as address:
        assert await is_let_in(address, old, of_old)
        assert not await is_let_in(address, old, of_new)
        put(files, new)
        # Looked at once a second at most.
        assert await is_let_in(address, old, of_old)
        clock.now += 1.0
        assert await is_let_in(address, new, of_new)
        assert not await is_let_in(address, new, of_old)
        assert not await is_let_in(address, old, of_new)


async def test_broken_files_change_nothing(
    tmp_path: Path, files: ServerTls, caplog: pytest.LogCaptureFixture
) -> None:
    clock, authority = Clock(), Authority(tmp_path)
    put(files, authority)
    caller = authority.issue("caller")
    async with serving(files, clock) as address:
        for spoil in (lambda: files.key.write_text("none"), files.certificate.unlink):
            spoil()
            clock.now += 1.0
            assert await is_let_in(address, authority, caller)
        assert caplog.text.count("stay in use") == 2
        put(files, authority)
        clock.now += 1.0
        assert await is_let_in(address, authority, caller)
