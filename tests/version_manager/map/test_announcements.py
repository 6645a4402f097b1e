"""What a manager believes that everybody understands; with a real etcd, what managers tell each other."""

import json
from contextlib import aclosing

import pytest
from support.manager import artifact, cell_report, generation, joined, release
from support.records import KEYS, FakeEtcd, cell
from support.waiting import eventually

from croupier.protocol import CURRENT, FIRST
from croupier.stores.etcd import Delete
from version_manager.map import schema
from version_manager.map.announcements import Announcements
from version_manager.map.mirror import Mirror
from version_manager.map.records import Announced, Spoken, encode

MANAGERS = "croupier/managers/"


@pytest.fixture
def etcd() -> FakeEtcd:
    return FakeEtcd({KEYS.manager("00ab"): encode(Announced(CURRENT, CURRENT))})


@pytest.fixture
def mirror(etcd) -> Mirror:
    mirror = Mirror(None, KEYS)
    mirror.take(etcd.listed())
    return mirror


def test_it_is_the_least_that_any_part_announced(mirror, etcd):
    announcements = Announcements(mirror)
    assert announcements.lowest() == CURRENT
    mirror.take(etcd.change({KEYS.cell("cell-1"): encode(cell())}, lease=7))
    assert announcements.lowest() == FIRST
    mirror.take(etcd.change({KEYS.protocol("cell-1"): encode(Spoken(CURRENT))}, lease=7))
    assert announcements.lowest() == CURRENT
    mirror.take(etcd.put({KEYS.manager("00cd"): encode(Announced(CURRENT, FIRST))}))
    assert announcements.lowest() == FIRST
    mirror.take(etcd.delete(KEYS.manager("00cd")))
    mirror.take(etcd.put({KEYS.manager("00cd"): encode(Announced(FIRST, CURRENT))}))
    assert announcements.lowest() == FIRST
    mirror.take(etcd.delete(KEYS.manager("00cd")))
    with announcements.watching(CURRENT), announcements.watching(FIRST):
        assert announcements.lowest() == FIRST
    assert announcements.lowest() == CURRENT
    assert announcements.understood() == schema.CURRENT


def test_garbage_of_a_manager_is_passed_over(mirror, etcd):
    mirror.take(etcd.put({KEYS.manager("00ab"): b"{}", KEYS.manager("00cd"): b"?"}))
    assert Announcements(mirror).lowest() == CURRENT


async def test_managers_tell_each_other_who_watches(fleet, client):
    await fleet.start_manager()

    async def told() -> list[int]:
        items = (await fleet.raw.range(MANAGERS)).items
        assert all(pair.lease for pair in items)
        return sorted(json.loads(pair.value)["watchers"] for pair in items)

    async def is_told(*numbers: int) -> bool:
        return await told() == list(numbers)

    await eventually(lambda: is_told(CURRENT, CURRENT))
    async with aclosing(client.watch(protocol=CURRENT)) as today, aclosing(client.watch()) as before:
        await anext(today)
        await anext(before)
        await eventually(lambda: is_told(FIRST, CURRENT))
    await eventually(lambda: is_told(CURRENT, CURRENT))
    await fleet.stop_manager()
    await eventually(lambda: is_told(CURRENT))


async def test_a_manager_puts_its_record_again(fleet, client):
    async def keys() -> list[str]:
        return [pair.key for pair in (await fleet.raw.range(MANAGERS)).items]

    async def stands() -> bool:
        return len(await keys()) == 1

    await eventually(stands)
    (key,) = await keys()
    await fleet.raw.transact([], [Delete(key)])
    await eventually(stands)


async def test_what_the_next_release_wrote_is_served_and_stays(fleet, client):
    """A release and a shard map with fields that this release does not know."""
    await client.publish("acme", "churn", artifact(), release_if_first=True)
    key, active = KEYS.release("acme", "churn"), KEYS.generation(1)
    async with joined(client, cell_report("cell-1")):
        await client.set_generation(generation("cell-1"), 0)
    splits = [{"version": 1, "basis_points": 10_000, "ramp": "slow"}]
    value = {"schema": schema.CURRENT + 1, "number": 7, "splits": splits, "labels": {}, "shadows": [9]}
    await fleet.raw.put(key, json.dumps(value).encode())
    shards = json.loads((await fleet.raw.get(active)).value)
    await fleet.raw.put(
        active, json.dumps({"schema": schema.CURRENT + 1, **shards, "planner": "greedy"}).encode()
    )

    async def is_served() -> bool:
        return (await client.get_model("acme", "churn")).release.number == 7

    await eventually(is_served)
    await client.set_release(release("acme", "churn", (1, 10_000), expected=7, canary=1))
    found = json.loads((await fleet.raw.get(key)).value)
    assert found == value | {"number": 8, "labels": {"canary": 1}, "at": found["at"]}
    await client.set_generation(generation("cell-1", "cell-2"), 1)
    following = json.loads((await fleet.raw.get(KEYS.generation(2))).value)
    assert (following["schema"], following["planner"]) == (schema.CURRENT + 1, "greedy")
    assert len(following["seats"]) == 2
