"""What a writer says of a change that it refuses."""

import asyncio

from support.records import KEYS, FakeEtcd, cell, shard_keys

from version_manager.map.mirror import Mirror
from version_manager.map.records import encode
from version_manager.writes.shards import StaleGeneration
from version_manager.writes.writer import MapBehind, Writer

STALE = StaleGeneration("generation 3 is active, not 2")


def writer_of(mirror: Mirror, patience: float) -> Writer:
    return Writer(None, mirror, KEYS, lambda: 1, patience=patience)


async def test_a_change_against_an_older_record_is_stale():
    etcd, mirror = FakeEtcd(shard_keys(2, 1)), Mirror(None, KEYS)
    mirror.take(etcd.listed())
    assert await writer_of(mirror, 0).refusal(KEYS.active, 10, STALE) is STALE


async def test_nobody_changed_anything_where_the_map_lags_behind():
    etcd, mirror = FakeEtcd(shard_keys(2, 1)), Mirror(None, KEYS)
    mirror.take(etcd.listed())
    refused = await writer_of(mirror, 0.001).refusal(KEYS.active, 12, STALE)
    assert isinstance(refused, MapBehind)
    assert refused.message == "the map has not got as far as etcd: generation 3 is active, not 2"


async def test_a_map_that_catches_up_says_what_is_stale():
    etcd, mirror = FakeEtcd(shard_keys(2, 1)), Mirror(None, KEYS)
    mirror.take(etcd.listed())
    asking = asyncio.create_task(writer_of(mirror, 10).refusal(KEYS.active, 11, STALE))
    await asyncio.sleep(0)
    mirror.take(etcd.put(shard_keys(3, 2) | {KEYS.cell("cell-1"): encode(cell())}))
    assert await asking is STALE
