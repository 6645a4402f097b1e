"""TLS with client certificates, and user and password, against a real etcd."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from support.certificates import Authority
from support.etcd import EtcdServer, value_of
from support.waiting import eventually

from croupier.errors import Unavailable
from croupier.stores.etcd import Changed, Etcd, EtcdConfig, Listed
from croupier.stores.etcd_errors import EtcdPermissionDenied, EtcdUnauthenticated

pytestmark = pytest.mark.system


@pytest.fixture
async def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def tls_server(tmp_path: Path, authority: Authority) -> AsyncIterator[EtcdServer]:
    pair = authority.issue("server")
    flags = [
        f"--cert-file={pair.certificate}",
        f"--key-file={pair.key}",
        f"--trusted-ca-file={authority.certificate}",
        "--client-cert-auth",
    ]
    async with EtcdServer(tmp_path, flags=flags, scheme="https") as server:
        yield server


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EtcdServer]:
    """One that knows root and reader, with tokens that live for a second."""
    async with EtcdServer(tmp_path, flags=["--auth-token-ttl=1", "--bcrypt-cost=4"]) as server:
        await server.etcdctl("user", "add", "root:secret")
        await server.etcdctl("user", "add", "reader:secret")
        await server.etcdctl("role", "add", "reader")
        await server.etcdctl("role", "grant-permission", "reader", "--prefix=true", "read", "a/")
        await server.etcdctl("user", "grant-role", "reader", "reader")
        await server.etcdctl("user", "grant-role", "root", "root")
        await server.etcdctl("auth", "enable")
        yield server


def _as(server: EtcdServer, user: str, password: str = "secret") -> Etcd:
    return Etcd(EtcdConfig(endpoints=(server.endpoint,), user=user, password=password))


async def test_tls(tls_server: EtcdServer, authority: Authority) -> None:
    mine = authority.issue("client")
    config = EtcdConfig(
        endpoints=(tls_server.endpoint,), ca=authority.certificate, certificate=mine.certificate, key=mine.key
    )
    async with Etcd(config) as etcd:
        await etcd.put("a", b"1")
        async with aclosing(etcd.follow("a")) as events:
            assert isinstance(await anext(events), Listed)
            await etcd.put("a", b"2")
            assert isinstance(await anext(events), Changed)


async def test_tls_without_a_certificate(tls_server: EtcdServer, authority: Authority) -> None:
    config = EtcdConfig(endpoints=(tls_server.endpoint,), ca=authority.certificate, timeout=0.5)
    async with Etcd(config) as etcd:
        with pytest.raises(Unavailable):
            await etcd.get("a")


async def test_tls_of_an_unknown_authority(tls_server: EtcdServer, tmp_path: Path) -> None:
    other = Authority(tmp_path, "other")
    config = EtcdConfig(endpoints=(tls_server.endpoint,), ca=other.certificate, timeout=0.5)
    async with Etcd(config) as etcd:
        with pytest.raises(Unavailable):
            await etcd.get("a")


async def test_user_and_password(server: EtcdServer) -> None:
    async with _as(server, "root") as root, _as(server, "reader") as reader:
        await root.put("a/1", b"1")
        assert await value_of(reader, "a/1") == b"1"
        with pytest.raises(EtcdPermissionDenied):
            await reader.put("a/1", b"2")
        with pytest.raises(EtcdPermissionDenied):
            await reader.get("b")


@pytest.mark.parametrize(("user", "password"), [("", ""), ("root", "wrong"), ("nobody", "secret")])
async def test_wrong_credentials(server: EtcdServer, user: str, password: str) -> None:
    async with _as(server, user, password) as etcd:
        with pytest.raises(EtcdUnauthenticated):
            await etcd.get("a/1")
        with pytest.raises(EtcdUnauthenticated):
            await etcd.put("a/1", b"1")


async def test_expired_token_is_renewed(server: EtcdServer) -> None:
    loop = asyncio.get_running_loop()
    async with _as(server, "root") as etcd, aclosing(etcd.follow("a/")) as events:
        await anext(events)
        first = etcd._connection._token
        # Asking etcd about the token would renew it. It sweeps once a second.
        expired_at = loop.time() + 2.5
        await eventually(lambda: loop.time() > expired_at)
        await asyncio.gather(*(etcd.put(f"a/{number}", b"") for number in range(5)))
        assert etcd._connection._token != first
        assert isinstance(await anext(events), Changed)


async def test_follower_renews_its_token_after_a_restart(server: EtcdServer) -> None:
    async with (
        _as(server, "reader") as reader,
        _as(server, "root") as root,
        aclosing(reader.follow("a/")) as events,
    ):
        await anext(events)
        waiting = asyncio.create_task(anext(events))
        # Switched off and on, authentication forgets every token, as a restart may.
        await server.etcdctl("--user=root:secret", "auth", "disable")
        await server.etcdctl("auth", "enable")
        await server.restart()
        await root.get("a/1")
        await root.put("a/1", b"1")
        assert isinstance(await waiting, Changed)


async def test_user_where_none_is_asked_for(tmp_path: Path) -> None:
    async with EtcdServer(tmp_path) as server, _as(server, "root") as etcd:
        await etcd.put("a", b"1")
        assert await value_of(etcd, "a") == b"1"


async def test_authentication_switched_on_later(server: EtcdServer) -> None:
    await server.etcdctl("--user=root:secret", "auth", "disable")
    async with _as(server, "root") as etcd:
        await etcd.put("a", b"1")
        await server.etcdctl("auth", "enable")
        await etcd.put("a", b"2")
