"""What stands in etcd cannot be trusted: garbage, loss, restarts, through the whole manager."""

import asyncio
from contextlib import aclosing

import pytest
from prometheus_client import REGISTRY
from support.manager import Fleet, artifact, cell_report, generation, joined, release
from support.waiting import eventually

from croupier.errors import FailedPrecondition
from croupier.stores.etcd import Put
from protos.versions.v1 import versions_pb2 as pb
from version_manager.map.keys import Keys
from version_manager.map.records import encode
from version_manager.model.release import Release, Split

KEYS = Keys()


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"croupier_version_manager_{name}", labels) or 0.0


@pytest.fixture
async def stocked(fleet, client):
    """Three models, a generation, a joined cell."""
    for name in ("churn", "fraud", "spam"):
        await client.publish("acme", name, artifact(name), release_if_first=True)
    await client.set_generation(generation("cell-1"), 0)
    async with joined(client, cell_report("cell-1")):

        async def is_listed() -> bool:
            return bool(await client.list_cells())

        await eventually(is_listed)
        yield fleet


async def everything(client) -> list[object]:
    return [
        await client.list_models(pb.ListModelsRequest()),
        await client.get_generation(),
        await client.list_cells(),
    ]


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        (KEYS.version("acme", "churn", 1), "version"),
        (KEYS.release("acme", "churn"), "release"),
        (KEYS.generation(1), "generation"),
        (KEYS.active, "active"),
        # Of a cell that is registered, the record is put again at once: see test_registry.
        (KEYS.cell("cell-9"), "cell"),
        (KEYS.spent("acme", "churn"), "spent"),
        ("croupier/something/else", "unknown"),
    ],
)
async def test_garbage_under_any_key_keeps_the_last_good_value(stocked, client, key, kind):
    before = await everything(client)
    counted = metric("bad_records_total", kind=kind)
    found = await stocked.raw.get(key)
    await stocked.raw.put(key, b"\xff{garbage")
    await eventually(lambda: metric("bad_records_total", kind=kind) == counted + 1)
    assert await everything(client) == before
    # A cell's session puts its record again by itself.
    if kind != "cell":
        assert metric("bad_keys") == 1
    if found is None:
        await stocked.raw.delete(key)
    elif kind != "cell":
        await stocked.raw.put(key, found.value)
    await eventually(lambda: metric("bad_keys") == 0)
    assert await everything(client) == before


async def test_a_good_value_put_by_hand_after_garbage_is_taken(stocked, client):
    key = KEYS.release("acme", "churn")
    await stocked.raw.put(key, b"?")
    await stocked.raw.put(key, encode(Release(7, (Split(1, 10_000),), {"by-hand": 1})))

    async def is_taken() -> bool:
        return (await client.get_model("acme", "churn")).release.number == 7

    await eventually(is_taken)
    assert (await client.set_release(release("acme", "churn", (1, 10_000), expected=7))).number == 8


async def test_a_prefix_deleted_by_hand_freezes_the_map(stocked, client):
    before = await everything(client)
    saved = (await stocked.raw.range("croupier/models/")).items
    await stocked.raw.delete("croupier/models/", prefix=True)
    await eventually(lambda: metric("frozen") == 1)
    assert await everything(client) == before
    for mutation in (
        client.publish("acme", "new", artifact("new")),
        client.set_generation(generation("cell-1"), 1),
        # What is listed is there, whatever etcd lacks.
        client.set_release(release("acme", "churn", (1, 10_000))),
        client.delete_model("acme", "churn"),
        client.set_residency(pb.SetResidencyRequest(tenant="acme", pinned=["churn"])),
    ):
        with pytest.raises(FailedPrecondition) as frozen:
            await mutation
        assert frozen.value.reason == "MAP_FROZEN"

    await stocked.raw.transact([], [Put(pair.key, pair.value) for pair in saved])
    await eventually(lambda: metric("frozen") == 0)
    assert await everything(client) == before
    await client.publish("acme", "new", artifact("new"))


@pytest.mark.system
@pytest.mark.parametrize("new_cluster", [True, False])
async def test_a_wiped_etcd_freezes_the_map_until_it_is_restored(tmp_path, new_cluster):
    async with Fleet(tmp_path) as fleet:
        client = fleet.client
        await client.publish("acme", "churn", artifact(), release_if_first=True)
        await client.set_release(release("acme", "churn", (1, 10_000)))
        await client.set_generation(generation("cell-1"), 0)
        before = await everything(client)
        saved = (await fleet.raw.range("croupier/")).items
        async with aclosing(client.watch()) as events:
            begun = (await anext(events)).begin
            await fleet.etcd.wipe(new_cluster=new_cluster)
            await eventually(lambda: metric("frozen") == 1)
            assert await everything(client) == before

            await fleet.raw.transact([], [Put(pair.key, pair.value) for pair in saved])
            await eventually(lambda: metric("frozen") == 0)
            assert await everything(client) == before

            while (event := await anext(events)).WhichOneof("event") != "begin":
                assert not event.delta.removed_models
            assert event.begin.catalog != begun.catalog
        assert (await client.set_release(release("acme", "churn", (1, 10_000)))).number == 3


@pytest.mark.system
async def test_reads_go_on_without_etcd_and_writes_after_it(tmp_path):
    async with Fleet(tmp_path) as fleet:
        client = fleet.client
        await client.publish("acme", "churn", artifact("1"), release_if_first=True)
        before = await everything_but_generation(client)
        await fleet.etcd.kill()
        assert await everything_but_generation(client) == before
        assert (await client.resolve(pb.ResolveRequest(tenant="acme", name="churn"))).version.number == 1
        publishing = asyncio.create_task(client.publish("acme", "churn", artifact("2")))
        await fleet.etcd.start()
        assert (await publishing).number == 2


async def everything_but_generation(client) -> pb.ListModelsResponse:
    return await client.list_models(pb.ListModelsRequest())


async def news(events) -> pb.WatchEvent:
    """The next event that is more than a sign of life."""
    while (event := await anext(events)).WhichOneof("event") == "heartbeat":
        pass
    return event


async def test_a_watcher_sees_every_mutation_and_resumes_at_another_manager(fleet, client):
    await client.publish("acme", "churn", artifact("1"), release_if_first=True)
    async with aclosing(client.watch()) as events:
        begin = (await anext(events)).begin
        while (await anext(events)).WhichOneof("event") != "end":
            pass
        other = await fleet.start_manager()
        await client.publish("acme", "churn", artifact("2"))
        delta = (await news(events)).delta
        assert [len(model.versions) for model in delta.models] == [2]
    await client.set_generation(generation("cell-1"), 0)
    await client.delete_model("acme", "churn")

    async with aclosing(other.watch(delta.revision, begin.catalog)) as events:
        first, second = await news(events), await news(events)
        assert [one.number for one in first.delta.generations] == [1]
        assert [key.name for key in second.delta.removed_models] == ["churn"]
    for known in ((delta.revision, "other"), (0, begin.catalog), (1, begin.catalog)):
        async with aclosing(other.watch(*known)) as events:
            assert (await anext(events)).WhichOneof("event") == "begin"


async def test_a_generation_number_taken_by_garbage_is_passed_over(fleet, client):
    await client.set_generation(generation("a"), 0)
    await fleet.raw.put(KEYS.generation(2), b"?")
    await eventually(lambda: metric("bad_keys") == 1)
    assert (await client.set_generation(generation("a", "b"), 1)).number == 3


@pytest.mark.parametrize("spoil", [b"?", None])
async def test_a_spoilt_pointer_is_replaced_by_the_next_generation(fleet, client, spoil):
    await client.set_generation(generation("a"), 0)
    if spoil is None:
        await fleet.raw.delete(KEYS.active)
    else:
        await fleet.raw.put(KEYS.active, spoil)
    made = await client.set_generation(generation("a", "b"), 1)
    assert made.number == 2
    assert await client.get_generation() == made
