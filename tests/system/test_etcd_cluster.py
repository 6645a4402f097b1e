"""The etcd client against a real cluster of three that loses members."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from support.etcd import EtcdCluster
from support.waiting import eventually

from croupier.errors import Unavailable
from croupier.stores.etcd import Changed, Compare, Etcd, EtcdConfig, Listed, Put

pytestmark = pytest.mark.system


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[EtcdCluster]:
    async with EtcdCluster(tmp_path) as cluster:
        yield cluster


def _reconnects() -> float:
    return REGISTRY.get_sample_value("croupier_etcd_watch_reconnects_total") or 0.0


async def _write(etcd: Etcd, key: str) -> None:
    """Write `key` once, whatever becomes of the answers."""
    while True:
        try:
            await etcd.transact([Compare(key, 0)], [Put(key, b"")])
        except Unavailable:
            continue
        return


async def test_follower_survives_each_member_in_turn(cluster: EtcdCluster) -> None:
    config = EtcdConfig(endpoints=cluster.endpoints, timeout=1.0, silence=1.0)
    async with (
        Etcd(config) as etcd,
        aclosing(etcd.follow("a/")) as events,
        asyncio.timeout(30),
    ):
        listed = await anext(events)
        assert isinstance(listed, Listed)
        for number, server in enumerate(cluster.servers):
            await server.kill()
            await _write(etcd, f"a/{number}")
            changed = await anext(events)
            assert isinstance(changed, Changed)
            assert [f"a/{number}"] == [pair.key for pair in changed.puts]
            await server.start()


async def test_member_without_its_cluster_is_not_believed(cluster: EtcdCluster) -> None:
    alone, *others = cluster.servers
    config = EtcdConfig(endpoints=(alone.endpoint,), timeout=0.5, silence=20.0)
    async with Etcd(config) as etcd, aclosing(etcd.follow("a/")) as events, asyncio.timeout(30):
        await anext(events)
        before = _reconnects()
        waiting = asyncio.create_task(anext(events))
        for server in others:
            await server.kill()
        # Far sooner than by silence, and though the member would answer progress requests.
        await eventually(lambda: _reconnects() > before)
        with pytest.raises(Unavailable):
            await etcd.get("a/1")
        await asyncio.gather(*(server.start() for server in others))
        await _write(etcd, "a/1")
        assert isinstance(await waiting, Changed)
