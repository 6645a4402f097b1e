"""What members of etcd say of themselves, and what is said of those that do not answer."""

from contextlib import suppress
from pathlib import Path

import pytest
from support.etcd import EtcdCluster, EtcdServer
from support.ports import free_port
from support.waiting import eventually

from croupier.stores.etcd import Etcd, EtcdConfig
from croupier.stores.etcd_errors import OutOfSpace

pytestmark = pytest.mark.system


async def test_a_member_says_how_full_it_is_and_one_that_is_not_there_why(
    server: EtcdServer,
) -> None:
    gone = f"127.0.0.1:{free_port()}"
    async with Etcd(EtcdConfig((server.endpoint, gone))) as etcd:
        revision = await etcd.put("a", b"1")
        there, missing = await etcd.status(2.0)
    assert (there.endpoint, there.failure, there.revision) == (server.endpoint, "", revision)
    assert there.version.startswith("3.")
    assert there.has_leader
    assert there.size_bytes >= there.used_bytes > 0
    assert not there.errors
    assert (missing.endpoint, missing.failure) == (gone, "it cannot be connected to")


async def test_a_member_that_hangs_keeps_nobody_waiting(server: EtcdServer) -> None:
    async with Etcd(EtcdConfig((server.endpoint,))) as etcd:
        await etcd.put("a", b"1")
        server.sigstop()
        (status,) = await etcd.status(0.1)
        server.sigcont()
    assert status.failure == "it does not answer within 0.1 s"


async def test_a_full_database_is_told(tmp_path: Path) -> None:
    async with (
        EtcdServer(tmp_path, flags=("--quota-backend-bytes=32768",)) as server,
        Etcd(EtcdConfig((server.endpoint,))) as etcd,
    ):

        async def is_full() -> bool:
            with suppress(OutOfSpace):
                await etcd.put("a", b"x" * 10_000)
            (status,) = await etcd.status(2.0)
            return any("NOSPACE" in error for error in status.errors)

        await eventually(is_full)


async def test_a_member_without_a_leader_says_so(tmp_path: Path) -> None:
    async with EtcdCluster(tmp_path) as cluster, Etcd(EtcdConfig(cluster.endpoints)) as etcd:
        await etcd.put("a", b"1")
        for server in cluster.servers[1:]:
            await server.kill()

        async def is_alone() -> bool:
            left, *gone = await etcd.status(1.0)
            return not left.failure and not left.has_leader and all(one.failure for one in gone)

        await eventually(is_alone)


async def test_a_watch_tells_when_it_was_last_heard(etcd: Etcd) -> None:
    assert etcd.watched() is None
    events = etcd.follow("a/")
    await anext(events)
    revision = await etcd.put("a/1", b"")
    await anext(events)
    watched = etcd.watched()
    assert watched is not None
    assert watched[0] == revision
    await events.aclose()
