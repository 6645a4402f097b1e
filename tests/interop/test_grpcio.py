"""gRPC's interoperability cases between our transport and grpcio, and between two of ours."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from interop import cases, client, grpcio_peer, server
from interop import testing_pb2 as pb
from interop.messages import UNARY, zeros
from support.certificates import Authority
from support.paths import with_tests
from support.ports import free_port

from croupier.settings import ClientTls, ServerTls
from croupier.transport.http2.limits import MAX_MESSAGE_BYTES
from croupier.transport.status import RpcError

CASES = cases.CASES | {
    # A thousand of them belong to the program: they are half a gigabyte.
    "concurrent_large_unary": partial(cases.concurrent_large_unary, calls=100),
    # grpc.aio says INTERNAL when a deadline passes while it sends, as a millisecond easily does.
    "timeout_on_sleeping_server": partial(cases.timeout_on_sleeping_server, timeout=0.2),
}
DIRECTIONS = {
    "grpcio's client": (grpcio_peer.call, server.serve),
    "grpcio's server": (client.call, grpcio_peer.serve),
    "ours alone": (client.call, server.serve),
}


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", CASES)
async def test_plaintext(name: str, direction: str) -> None:
    call, serve = DIRECTIONS[direction]
    async with serve("127.0.0.1:0") as address, call(address) as caller:
        await CASES[name](caller)


@pytest.mark.parametrize("name", cases.CLIENT_COMPRESSES)
async def test_a_client_that_compresses(name: str) -> None:
    async with server.serve("127.0.0.1:0") as address, grpcio_peer.call(address) as caller:
        await cases.CLIENT_COMPRESSES[name](caller)


@pytest.mark.parametrize("name", cases.SERVER_COMPRESSES)
async def test_a_server_that_compresses(name: str) -> None:
    async with grpcio_peer.serve("127.0.0.1:0") as address, client.call(address) as caller:
        await cases.SERVER_COMPRESSES[name](caller)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize(
    "name", ["large_unary", "ping_pong", "custom_metadata", "cancel_after_first_response"]
)
async def test_tls(name: str, direction: str, tmp_path: Path) -> None:
    call, serve = DIRECTIONS[direction]
    authority = Authority(tmp_path)
    pair = authority.issue("server")
    server_tls, client_tls = ServerTls(pair.certificate, pair.key), ClientTls(authority.certificate)
    # No name: what that stands for, and which of it answers, differs by machine, and grpcio asks for longer.
    async with serve("127.0.0.1:0", server_tls) as address, call(address, client_tls) as caller:
        await CASES[name](caller)


@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_a_unix_socket(direction: str, tmp_path: Path) -> None:
    call, serve = DIRECTIONS[direction]
    async with serve(f"unix:{tmp_path}/socket") as address, call(address) as caller:
        await cases.ping_pong(caller)


@pytest.mark.parametrize("direction", ["grpcio's client", "ours alone"])
async def test_a_caller_that_is_refused_in_the_middle_hears_why(direction: str) -> None:
    call, serve = DIRECTIONS[direction]
    request = pb.SimpleRequest(payload=zeros(MAX_MESSAGE_BYTES + 1))
    async with serve("127.0.0.1:0") as address, call(address) as caller:
        with pytest.raises(RpcError) as error:
            await caller.unary(UNARY, request)
        assert error.value.code == 8
        await cases.ping_pong(caller)


def test_the_programs_of_both_sides() -> None:
    environment = os.environ | {"PYTHONPATH": with_tests()}
    program = [sys.executable, "-m", "interop.server", "--port", "0"]
    with subprocess.Popen(program, env=environment, stdout=subprocess.PIPE, text=True) as serving:
        try:
            assert serving.stdout is not None
            port = serving.stdout.readline().rpartition(":")[2].strip()
            good = _drive(environment, port, "ping_pong")
        finally:
            serving.terminate()
    assert (good.returncode, good.stdout) == (0, "ping_pong: passed\n")
    bad = _drive(environment, str(free_port()), "empty_unary")
    assert (bad.returncode, bad.stdout.startswith("empty_unary: failed: RpcError")) == (1, True)
    assert serving.returncode == 0


def _drive(environment: dict[str, str], port: str, name: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-m", "interop.client", "--port", port, "--test_case", name]
    return subprocess.run(
        program, env=environment, stdout=subprocess.PIPE, text=True, timeout=60, check=False
    )
