from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from support.certificates import Authority
from support.ports import free_port
from support.proxy import TcpProxy
from support.waiting import eventually

from croupier.errors import InvalidRequest
from croupier.grpcio import channels
from croupier.grpcio.channels import credentials, open_async
from croupier.grpcio.server import Server
from croupier.settings import ServerTls


async def check(address: str, tls: grpc.ChannelCredentials | None) -> int:
    async with open_async(address, tls) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=5)
        return int(answer.status)


def test_no_authority_means_plaintext() -> None:
    assert credentials(None) is None


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"ca\.pem"):
        credentials(tmp_path / "ca.pem")


@pytest.mark.parametrize("half", [(Path("a.pem"), None), (None, Path("a.key"))])
def test_a_certificate_and_its_key_go_together(half: tuple[Path | None, Path | None]) -> None:
    with pytest.raises(InvalidRequest, match="go together"):
        credentials(Path("ca.pem"), *half)


async def test_in_the_clear() -> None:
    server = Server()
    address = await server.start("127.0.0.1:0", [])
    assert await check(address, None) == 1
    await server.stop(0)


async def test_over_tls(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair, caller = authority.issue("server"), authority.issue("caller")
    server = Server()
    tls = ServerTls(pair.certificate, pair.key, authority.certificate)
    address = await server.start("127.0.0.1:0", [], tls)
    shown = credentials(authority.certificate, caller.certificate, caller.key)
    assert await check(address, shown) == 1
    await server.stop(0)


async def test_nobody_there_is_unavailable_at_once() -> None:
    async with open_async(f"127.0.0.1:{free_port()}") as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Check(health_pb2.HealthCheckRequest(), timeout=5)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_connection_may_take_its_time_to_stand() -> None:
    server = Server()
    address = await server.start("127.0.0.1:0", [])
    try:
        async with TcpProxy(address) as proxy, open_async(proxy.endpoint) as channel:
            proxy.hang()
            stub: Any = health_pb2_grpc.HealthStub(channel)
            call = asyncio.ensure_future(stub.Check(health_pb2.HealthCheckRequest(), timeout=30))
            # As long as a far one may take; one that is given up ends the call before.
            await asyncio.wait([call], timeout=0.3)
            await proxy.mend()
            assert (await call).status == 1
    finally:
        await server.stop(0)


async def test_a_channel_finds_its_server_again() -> None:
    port = free_port()
    async with open_async(f"127.0.0.1:{port}") as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        for _ in range(2):
            server = Server()
            await server.start(f"127.0.0.1:{port}", [])
            response = await stub.Check(health_pb2.HealthCheckRequest(), timeout=10, wait_for_ready=True)
            assert response.status == 1
            await server.stop(0)


async def test_channels_to_one_server_share_no_connection() -> None:
    peers: list[str] = []
    server = Server()

    async def who(request: bytes, context: Any) -> bytes:
        peers.append(context.peer())
        return b""

    handler = grpc.method_handlers_generic_handler(
        "test.Who", {"Who": grpc.unary_unary_rpc_method_handler(who)}
    )
    server.grpc_server.add_generic_rpc_handlers((handler,))
    address = await server.start("127.0.0.1:0", [])
    async with open_async(address) as one, open_async(address) as other:
        for channel in (one, one, other):
            await channel.unary_unary("/test.Who/Who")(b"", timeout=5)
    await server.stop(0)
    assert peers[0] == peers[1] != peers[2]


async def test_a_connection_that_carries_nothing_any_more_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quick = [(name, 200 if name.endswith("timeout_ms") else value) for name, value in channels._OPTIONS]
    monkeypatch.setattr(channels, "_OPTIONS", quick)
    server = Server()
    async with (
        TcpProxy(await server.start("127.0.0.1:0", [])) as proxy,
        open_async(proxy.endpoint) as channel,
    ):
        stub: Any = health_pb2_grpc.HealthStub(channel)
        await stub.Check(health_pb2.HealthCheckRequest(), timeout=5)
        proxy.strand()
        codes = set()

        async def is_answered() -> bool:
            try:
                await stub.Check(health_pb2.HealthCheckRequest(), timeout=5)
            except grpc.aio.AioRpcError as error:
                codes.add(error.code())
                return False
            return True

        await eventually(is_answered)
        # No DEADLINE_EXCEEDED: no call waits out its time on a dead connection.
        assert codes == {grpc.StatusCode.UNAVAILABLE}
    await server.stop(0)
