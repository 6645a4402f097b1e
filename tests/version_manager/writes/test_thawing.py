"""The way out of a freeze, through real gRPC on a real etcd, and what it makes of batches of every kind."""

import asyncio
import json
from contextlib import aclosing

import pytest
from support.manager import Fleet, artifact, generation, release
from support.records import KEYS, FakeEtcd, model_keys, shard_keys, whole
from support.waiting import eventually

from croupier.errors import Conflict, FailedPrecondition, InvalidRequest
from croupier.stores.etcd import Put
from protos.versions.v1 import versions_pb2 as pb
from version_manager.map import snapshot
from version_manager.map.mirror import Mirror
from version_manager.map.records import Spent, Thaw, encode


def models(*names: str) -> dict[str, bytes]:
    content: dict[str, bytes] = {}
    for name in names:
        content |= model_keys("acme", name)
    return content


@pytest.fixture
def etcd() -> FakeEtcd:
    return FakeEtcd(models("a", "b", "c", "d") | shard_keys(2, 1))


@pytest.fixture
def mirror(etcd) -> Mirror:
    mirror = Mirror(None, KEYS, history=100)
    mirror.take(etcd.listed())
    return mirror


def thaw_of(etcd: FakeEtcd, revision: int, number: int = 1) -> dict[str, bytes]:
    return {KEYS.thaw: encode(Thaw(number, etcd.cluster_id, revision, "meant"))}


def names(mirror: Mirror) -> set[str]:
    return {model.name for model in mirror.map.catalog}


def test_a_thaw_loses_what_was_lost(mirror, etcd):
    mirror.take(etcd.delete(*models("a", "b", "c")))
    assert mirror.is_frozen
    mirror.take(etcd.put(thaw_of(etcd, 11)))
    assert not mirror.is_frozen
    assert names(mirror) == {"d"}
    assert mirror.map.catalog.name == "0000000000000001.t1"
    assert mirror.map.thaw.reason == "meant"
    # Watchers get the whole of it, with the thaw.
    assert mirror.place_of("0000000000000001", 10) is None


def test_what_was_lost_after_the_look_is_not_covered(mirror, etcd):
    mirror.take(etcd.delete(*models("a", "b")))
    mirror.take(etcd.delete(*models("c", "d")))
    mirror.take(etcd.put(thaw_of(etcd, 11)))
    assert mirror.is_frozen
    assert mirror.held.lost.keys() == {("acme", "c"), ("acme", "d")}
    mirror.take(etcd.put(thaw_of(etcd, 13, 2)))
    assert not mirror.is_frozen
    assert names(mirror) == set()


def test_a_thaw_of_another_cluster_is_none(mirror, etcd):
    mirror.take(etcd.delete(*models("a", "b", "c")))
    mirror.take(etcd.put({KEYS.thaw: encode(Thaw(1, 99, 50))}))
    assert mirror.is_frozen


def test_a_thaw_while_the_content_comes_back_loses_nothing(mirror, etcd):
    mirror.take(etcd.delete(*models("a", "b", "c")))
    mirror.take(etcd.put(models("a", "b", "c")))
    assert not mirror.is_frozen
    mirror.take(etcd.put(thaw_of(etcd, 11)))
    assert names(mirror) == {"a", "b", "c", "d"}
    # And no more than that one loss is meant.
    mirror.take(etcd.delete(*models("a", "b", "c")))
    assert mirror.is_frozen


def test_half_of_it_back_is_kept(mirror, etcd):
    mirror.take(etcd.delete(*models("a", "b", "c")))
    mirror.take(etcd.put(models("a")))
    mirror.take(etcd.put(thaw_of(etcd, 11)))
    assert names(mirror) == {"a", "d"}


def test_a_backup_that_was_restored_is_taken(mirror):
    restored = FakeEtcd(models("a") | {KEYS.release("acme", "a"): encode(whole(1, 1, x=1))}, revision=5)
    mirror.take(restored.listed())
    assert mirror.is_frozen
    mirror.take(restored.put(thaw_of(restored, 5)))
    assert not mirror.is_frozen
    assert names(mirror) == {"a"}
    assert mirror.map.catalog.get("acme", "a").release == whole(1, 1, x=1)
    # The shard map is not lost, though the backup has none.
    assert [one.number for one in mirror.map.generations] == [2, 1]


def test_managers_agree_over_restarts(mirror, etcd, tmp_path):
    asleep = tmp_path / "asleep"
    snapshot.write(asleep, mirror.snapshot())
    mirror.take(etcd.delete(*models("a", "b", "c")))
    mirror.take(etcd.put(thaw_of(etcd, 11)))
    snapshot.write(tmp_path / "awake", mirror.snapshot())
    for known in (snapshot.read(asleep), snapshot.read(tmp_path / "awake"), None):
        again = Mirror(None, KEYS)
        if known is not None:
            again.restore(known)
        again.take(etcd.listed())
        assert not again.is_frozen
        assert names(again) == {"d"}
        assert again.map.catalog.name == mirror.map.catalog.name
        assert again.map.thaw == mirror.map.thaw


def test_a_backup_from_before_the_thaw_freezes_the_map_again(mirror, etcd):
    mirror.take(etcd.delete(*models("a", "b", "c")))
    mirror.take(etcd.put(thaw_of(etcd, 11)))
    before = FakeEtcd(models("a", "b", "c", "d") | shard_keys(2, 1), revision=5)
    mirror.take(before.listed())
    assert mirror.is_frozen
    mirror.take(before.put(thaw_of(before, 5, 2)))
    assert names(mirror) == {"a", "b", "c", "d"}


def test_models_that_were_removed_by_a_manager_meanwhile_are_not_lost(tmp_path):
    content = models(*(f"m{number}" for number in range(20)))
    etcd = FakeEtcd(content)
    mirror = Mirror(None, KEYS)
    mirror.take(etcd.listed())
    for number in range(15):
        spent = {KEYS.spent("acme", f"m{number}"): encode(Spent(1, 1))}
        etcd.change(spent, *models(f"m{number}"))
    for is_told in (True, False):
        again = Mirror(None, KEYS)
        again.restore(mirror.snapshot())
        if not is_told:
            for number in range(15):
                etcd.delete(KEYS.spent("acme", f"m{number}"))
        again.take(etcd.listed())
        assert again.is_frozen is not is_told


async def stock(client) -> None:
    for name in ("churn", "fraud", "spam"):
        await client.publish("acme", name, artifact(name), release_if_first=True)
    await client.set_generation(generation("a"), 0)


async def frozen(client) -> pb.Freeze:
    async def is_frozen() -> bool:
        return (await client.get_freeze()).frozen

    await eventually(is_frozen)
    return await client.get_freeze()


async def test_an_operator_sees_what_is_lost_and_accepts_it(fleet, client):
    await stock(client)
    other = await fleet.start_manager()
    assert not (await client.get_freeze()).frozen
    await fleet.raw.delete("croupier/models/", prefix=True)
    seen = await frozen(client)
    await frozen(other)
    assert (seen.lost_models, {one.name for one in seen.models}) == (3, {"churn", "fraud", "spam"})
    assert "etcd lost 3 of 3 models" in seen.why
    with pytest.raises(InvalidRequest):
        await client.thaw(seen, "")
    elsewhere = pb.Freeze(cluster="1", revision=seen.revision)
    with pytest.raises(Conflict):
        await client.thaw(elsewhere, "meant")
    assert not (await client.thaw(seen, "a drill")).frozen

    async def is_moving() -> bool:
        return not (await other.get_freeze()).frozen

    await eventually(is_moving)
    for manager in (client, other):
        assert not (await manager.list_models(pb.ListModelsRequest())).models
        assert (await manager.get_generation()).number == 1
    (entry,) = [one for one in map(json.loads, await fleet.audit()) if one["what"] == "thaw"]
    assert (entry["reason"], entry["lost_models"]) == ("a drill", 3)
    assert "acme/churn" in entry["models"]
    with pytest.raises(FailedPrecondition) as again:
        await client.thaw(seen, "a drill")
    assert again.value.reason == "NOT_FROZEN"
    await client.publish("acme", "churn", artifact("churn"), release_if_first=True)


async def test_of_two_who_thaw_at_once_no_more_is_lost(fleet, client):
    await stock(client)
    await fleet.raw.delete("croupier/models/acme/churn/", prefix=True)
    await client.publish("acme", "late", artifact("late"), release_if_first=True)
    await fleet.raw.delete("croupier/models/", prefix=True)
    seen = await frozen(client)
    results = await asyncio.gather(client.thaw(seen, "one"), client.thaw(seen, "two"), return_exceptions=True)
    assert any(isinstance(result, pb.Freeze) for result in results)
    assert all(isinstance(result, (pb.Freeze, Conflict, FailedPrecondition)) for result in results)
    assert not (await client.get_freeze()).frozen


@pytest.mark.system
@pytest.mark.parametrize("is_thawed", [False, True])
async def test_who_remembers_nothing_is_told_by_a_router_that_etcd_went_back(tmp_path, is_thawed):
    """And does not say of a change that it is made, which no router would take."""
    async with Fleet(tmp_path) as fleet:
        client = fleet.client
        await stock(client)
        saved = (await fleet.raw.range("croupier/")).items
        if is_thawed:
            await fleet.raw.delete("croupier/models/", prefix=True)
            await client.thaw(await frozen(client), "a drill")
        for number in range(20):
            await client.publish("acme", f"later-{number}", artifact(f"later {number}"))
        async with aclosing(client.watch()) as events:
            held = (await anext(events)).begin
        await fleet.stop_manager()
        fleet.snapshot().unlink()
        await fleet.etcd.wipe(new_cluster=False)
        await fleet.raw.transact([], [Put(pair.key, pair.value) for pair in saved])
        client = await fleet.start_manager()
        assert not (await client.get_freeze()).frozen
        async with aclosing(client.watch(held.revision, held.catalog)) as events:
            assert (await anext(events)).begin.thaw == 0
        seen = await frozen(client)
        assert "etcd went back in time: a router has" in seen.why
        with pytest.raises(FailedPrecondition) as refused:
            await client.set_release(release("acme", "churn", (1, 10_000)))
        assert refused.value.reason == "MAP_FROZEN"
        assert not (await client.thaw(seen, "the backup is what we have")).frozen
        async with aclosing(client.watch(held.revision, held.catalog)) as events:
            assert (await anext(events)).begin.thaw > held.thaw
        await client.set_release(release("acme", "churn", (1, 10_000)))


@pytest.mark.system
async def test_an_older_backup_freezes_the_map_and_a_thaw_takes_it(tmp_path):
    async with Fleet(tmp_path) as fleet:
        client = fleet.client
        await stock(client)
        saved = (await fleet.raw.range("croupier/")).items
        await client.publish("acme", "later", artifact("later"), release_if_first=True)
        await fleet.stop_manager()
        await fleet.etcd.wipe(new_cluster=False)
        await fleet.raw.transact([], [Put(pair.key, pair.value) for pair in saved])
        client = await fleet.start_manager()
        seen = await frozen(client)
        assert seen.missing_keys == 2
        assert "croupier/models/acme/later/release" in seen.missing
        assert len((await client.list_models(pb.ListModelsRequest())).models) == 4
        assert not (await client.thaw(seen, "the backup is what we have")).frozen
        assert len((await client.list_models(pb.ListModelsRequest())).models) == 3
