"""Whom servers of both kinds take a caller for, by real certificates; and our client a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from support.certificates import Authority, Pair
from support.serving import LOOPS, calling, serving, start

from croupier.access import Access, Rule
from croupier.codes import Code
from croupier.grpcio import server as grpcio_server
from croupier.grpcio.certificate import alt_names
from croupier.roles import AltNames, Role, RoleNames
from croupier.settings import ClientTls, ServerTls
from croupier.transport.serving import Server
from croupier.transport.status import RpcError

LOOP_FACTORIES = LOOPS
PATH = "/test.Safe/Call"
ACCESS = Access({PATH: Rule(frozenset({Role.CELL}))})
CELL = "croupier://cell/cell-1"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture(params=["ours", "grpcio"])
async def address(request: Any, authority: Authority) -> AsyncIterator[str]:
    """A server that lets cells in."""
    pair = authority.issue("server")
    tls = ServerTls(pair.certificate, pair.key, authority.certificate)
    if request.param == "ours":
        async with serving(ours(tls)) as found:
            yield found
        return
    server = grpcio_server.Server(access=ACCESS)

    async def answer(message: bytes, context: object) -> bytes:
        return b"there"

    methods = {"Call": grpc.unary_unary_rpc_method_handler(answer)}
    server.grpc_server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Safe", methods),))
    found = await server.start("127.0.0.1:0", [], tls)
    yield found
    await server.stop(0)


def ours(tls: ServerTls) -> Server:
    server = Server(tls=tls, access=ACCESS)
    server.add_batch([PATH], lambda calls: [call.reply(b"there") for call in calls])  # type: ignore[arg-type]
    return server


async def outcome(address: str, authority: Authority, shown: Pair) -> int:
    tls = ClientTls(authority.certificate, shown.certificate, shown.key)
    async with calling(address, tls=tls) as channel:
        try:
            await channel.unary(PATH, b"x", timeout=10)
        except RpcError as error:
            # A server of ours says why; a connection that was not made does not.
            return error.code if error.details else Code.UNAVAILABLE
        except ConnectionError:
            return Code.UNAVAILABLE
    return Code.OK


@pytest.mark.parametrize(
    ("names", "code"),
    [
        ({"uris": [CELL]}, Code.OK),
        ({"dns": ["cell-1.cell.croupier"]}, Code.OK),
        ({"uris": ["croupier://router/r-1"]}, Code.PERMISSION_DENIED),
        ({"uris": [CELL, "croupier://operator/x"]}, Code.UNAUTHENTICATED),
        # A NUL ends no name, whatever the library below makes of it.
        ({"uris": [CELL + "\0x"]}, Code.UNAUTHENTICATED),
        ({"dns": ["cell-1.cell.croupier\0.evil.example"]}, Code.UNAUTHENTICATED),
        # Neither the common name nor an e-mail address is a name of ours.
        ({"name": "cell-1.cell.croupier"}, Code.UNAUTHENTICATED),
        ({"emails": [CELL]}, Code.UNAUTHENTICATED),
        ({"uris": [CELL], "starts": -48, "ends": -24}, Code.UNAVAILABLE),
        ({"uris": [CELL], "starts": 24, "ends": 48}, Code.UNAVAILABLE),
    ],
    ids=str,
)
async def test_a_certificate_opens_what_its_one_role_may(
    address: str, authority: Authority, names: dict[str, Any], code: int
) -> None:
    assert await outcome(address, authority, authority.issue(**{"name": "caller", **names})) == code


async def test_another_authority_names_nobody(address: str, authority: Authority, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "stranger")
    assert await outcome(address, authority, stranger.issue("caller", uris=[CELL])) == Code.UNAVAILABLE


async def test_who_is_refused_sends_no_message(authority: Authority) -> None:
    pair, shown = authority.issue("server"), authority.issue("caller", uris=["croupier://viewer/x"])
    tls = ClientTls(authority.certificate, shown.certificate, shown.key)
    server = ours(ServerTls(pair.certificate, pair.key, authority.certificate))
    async with (
        serving(server) as address,
        calling(address, tls=tls) as channel,
        channel.stream(PATH, timeout=10) as stream,
    ):
        # Nothing is sent but the headers.
        with pytest.raises(RpcError, match="not for the role viewer") as caught:
            await stream.receive()
        assert caught.value.code == Code.PERMISSION_DENIED


async def test_whom_nobody_could_look_at_is_not_let_in(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(transport: object) -> AltNames:
        raise RuntimeError("a bug")

    monkeypatch.setattr("croupier.transport.server.alt_names", fail)
    pair, shown = authority.issue("server"), authority.issue("caller", uris=[CELL])
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    async with serving(ours(ServerTls(pair.certificate, pair.key, authority.certificate))) as address:
        assert await outcome(address, authority, shown) != Code.OK


def test_what_cannot_be_read_has_no_names() -> None:
    assert alt_names(b"") == AltNames()
    assert alt_names(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n") == AltNames()


class TestServers:
    @asynccontextmanager
    async def called(self, authority: Authority, *uris: str, cell: str = "cell-1") -> AsyncIterator[Any]:
        pair = authority.issue("server", uris=uris)
        server = ours(ServerTls(pair.certificate, pair.key))
        check = RoleNames().expect(Role.CELL, cell)
        async with (
            serving(server) as address,
            calling(address, tls=ClientTls(authority.certificate), check_peer=check) as channel,
        ):
            yield await start(channel, PATH)

    async def test_the_one_that_was_meant(self, authority: Authority) -> None:
        async with self.called(authority, CELL) as ended:
            assert (ended.code, ended.message) == (Code.OK, b"there")

    @pytest.mark.parametrize(
        ("uris", "why"),
        [
            (["croupier://cell/cell-10"], "that of cell/cell-10, and not of cell/cell-1"),
            (["croupier://router/cell-1"], "that of router/cell-1, and not of cell/cell-1"),
            ([], "names no role"),
            ([CELL, "croupier://cell/cell-10"], "more than one role"),
        ],
    )
    async def test_another_one_gets_no_request(self, authority: Authority, uris: list[str], why: str) -> None:
        async with self.called(authority, *uris) as ended:
            assert (ended.code, ended.is_broken) == (Code.UNAVAILABLE, True)
            assert why in ended.status_message
