import asyncio

import pytest
from support.etcd import EtcdServer
from support.proxy import TcpProxy
from support.waiting import eventually

from croupier.errors import InvalidRequest, Unavailable
from croupier.stores.etcd import Etcd, EtcdConfig, KeyValue

pytestmark = pytest.mark.system


async def test_key_lives_as_long_as_its_lease(etcd: Etcd) -> None:
    async with etcd.lease(60) as lease:
        await etcd.put("cells/1", b"", lease=lease.id)
        pair = await etcd.get("cells/1")
        assert pair == KeyValue("cells/1", b"", 2, 2, lease.id)
        assert lease.ttl == 60
        assert not lease.lost.is_set()
    assert await etcd.get("cells/1") is None
    assert lease.lost.is_set()


async def test_is_kept_alive(etcd: Etcd) -> None:
    loop = asyncio.get_running_loop()
    async with etcd.lease(0.5) as lease:
        await etcd.put("cells/1", b"", lease=lease.id)
        # etcd ends leases up to half a second late, so one life long is not enough to know.
        proven_at = loop.time() + 2 * lease.ttl + 0.5
        await eventually(lambda: loop.time() > proven_at)
        assert [pair.lease for pair in (await etcd.range("cells/")).items] == [lease.id]
        assert not lease.lost.is_set()


async def test_is_lost_when_etcd_has_revoked_it(etcd: Etcd, server: EtcdServer) -> None:
    async with etcd.lease(1) as lease, asyncio.timeout(5):
        await server.etcdctl("lease", "revoke", f"{lease.id:x}")
        await lease.lost.wait()


async def test_is_lost_and_quickly_left_when_etcd_is_away(etcd: Etcd, server: EtcdServer) -> None:
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(10):
        async with etcd.lease(1) as lease:
            granted_at = loop.time()
            await server.kill()
            await lease.lost.wait()
            left_at = loop.time()
            assert left_at - granted_at < 2 * lease.ttl
        # The client's timeout of 5 s is no reason to keep a stopping process.
        assert loop.time() - left_at < 3


async def test_is_lost_when_etcd_hangs_for_its_life(server: EtcdServer) -> None:
    loop = asyncio.get_running_loop()
    async with (
        TcpProxy(server.endpoint) as proxy,
        Etcd(EtcdConfig(endpoints=(proxy.endpoint,))) as etcd,
        etcd.lease(1) as lease,
        asyncio.timeout(5),
    ):
        granted_at = loop.time()
        proxy.hang()
        await lease.lost.wait()
        assert loop.time() - granted_at < 2 * lease.ttl


async def test_is_kept_alive_past_a_hanging_endpoint(server: EtcdServer) -> None:
    loop = asyncio.get_running_loop()
    async with (
        TcpProxy(server.endpoint) as proxy,
        Etcd(EtcdConfig(endpoints=(proxy.endpoint, server.endpoint))) as etcd,
        etcd.lease(2) as lease,
    ):
        proxy.hang()
        proven_at = loop.time() + lease.ttl + 0.5
        await eventually(lambda: loop.time() > proven_at)
        assert not lease.lost.is_set()


async def test_outlives_a_restart(etcd: Etcd, server: EtcdServer) -> None:
    loop = asyncio.get_running_loop()
    async with etcd.lease(2) as lease:
        await etcd.put("cells/1", b"", lease=lease.id)
        await server.restart()
        proven_at = loop.time() + lease.ttl + 0.5
        await eventually(lambda: loop.time() > proven_at)
        assert not lease.lost.is_set()
        assert [pair.lease for pair in (await etcd.range("cells/")).items] == [lease.id]


async def test_cancelled_holder_revokes(etcd: Etcd) -> None:
    async def hold() -> None:
        async with etcd.lease(60) as lease:
            await etcd.put("cells/1", b"", lease=lease.id)
            held.set()
            await asyncio.Event().wait()

    held = asyncio.Event()
    holder = asyncio.create_task(hold())
    await held.wait()
    holder.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holder
    assert await etcd.get("cells/1") is None


async def test_is_not_granted(server: EtcdServer) -> None:
    async with Etcd(EtcdConfig(endpoints=(server.endpoint,), timeout=0.3)) as etcd:
        with pytest.raises(InvalidRequest, match="more than 0"):
            async with etcd.lease(0):
                pass
        await server.kill()
        with pytest.raises(Unavailable):
            async with etcd.lease(1):
                pass
