"""What is served goes back to where etcd lost it, through real gRPC on a real etcd."""

import pytest
from prometheus_client import REGISTRY
from support.manager import artifact, generation, release
from support.waiting import eventually

from croupier.errors import FailedPrecondition, NotFound
from version_manager.map.keys import Keys

KEYS = Keys()


def bad_keys() -> float:
    return REGISTRY.get_sample_value("croupier_version_manager_bad_keys")


@pytest.fixture
async def stocked(fleet, client):
    for name in ("churn", "fraud"):
        await client.publish("acme", name, artifact(name), release_if_first=True)
    await client.set_generation(generation("a"), 0)
    await client.set_generation(generation("a", "b"), 1)
    await eventually(lambda: not bad_keys())
    return fleet


async def content(fleet) -> dict[str, bytes]:
    return {
        pair.key: pair.value
        for pair in (await fleet.raw.range("croupier/")).items
        if "manage" not in pair.key
    }


async def test_garbage_under_every_key_is_repaired(stocked, client):
    before = await content(stocked)
    for key in before:
        await stocked.raw.put(key, b"\xff{garbage")
    await stocked.raw.put("croupier/what", b"?")
    await eventually(lambda: bad_keys() == len(before) + 1)
    done = await client.repair()
    assert set(done.repaired) == before.keys()
    assert done.left == ["croupier/what"]
    assert await content(stocked) == before | {"croupier/what": b"?"}
    await eventually(lambda: bad_keys() == 1)
    assert not (await client.repair()).repaired
    assert b'"repair"' in b"".join(await stocked.audit())
    assert (await client.set_release(release("acme", "churn", (1, 10_000)))).number == 2


async def test_the_shard_map_alone_can_be_repaired(stocked, client):
    before = await content(stocked)
    await stocked.raw.delete(KEYS.shards, prefix=True)
    await stocked.raw.put(KEYS.release("acme", "churn"), b"?")
    await eventually(lambda: bad_keys() >= 1)
    done = await client.repair(shards_only=True)
    assert {KEYS.active, KEYS.generation(2), KEYS.generation(1)} <= {*done.repaired}
    assert not done.left
    assert await content(stocked) == before | {KEYS.release("acme", "churn"): b"?"}


async def test_managers_that_remember_nothing_take_the_newest_map_that_etcd_has(stocked, client):
    await client.set_generation(generation("a", "b", "c"), 2)
    await stocked.stop_manager()
    stocked.snapshot().unlink()
    await stocked.raw.put(KEYS.active, b"?")
    await stocked.raw.put(KEYS.generation(3), b"?")
    client = await stocked.start_manager()
    with pytest.raises(FailedPrecondition):
        await client.get_generation()
    done = await client.repair(shards_only=True)
    assert (list(done.repaired), list(done.left)) == ([KEYS.active], [KEYS.generation(3)])
    active = await client.get_generation()
    assert (active.number, active.previous) == (2, 1)


async def test_there_is_nothing_to_repair_in_an_empty_etcd(client):
    assert not (await client.repair()).repaired
    with pytest.raises(NotFound):
        await client.get_generation()
