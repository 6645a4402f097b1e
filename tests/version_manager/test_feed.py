import asyncio
from contextlib import aclosing
from dataclasses import fields

import pytest
from google.protobuf.message import Message
from support.records import KEYS, FakeEtcd, cell, generation, model_keys, shard_keys, version

from protos.versions.v1 import versions_pb2 as pb
from version_manager.feed import MODELS_A_CHUNK, Feed, delta_of, snapshot
from version_manager.map.mirror import Mirror
from version_manager.map.records import Thaw, encode
from version_manager.model.family import Config, Family
from version_manager.model.history import Change
from version_manager.model.limits import Limits
from version_manager.model.wire import cell_from_pb, generation_from_pb, model_from_pb

HEARTBEAT = 0.02


class NoEtcd:
    pass


@pytest.fixture
def etcd() -> FakeEtcd:
    return FakeEtcd(model_keys("acme", "churn") | shard_keys(2, 1) | {KEYS.cell("cell-1"): encode(cell())})


@pytest.fixture
def mirror(etcd) -> Mirror:
    mirror = Mirror(NoEtcd(), KEYS, history=3)
    mirror.take(etcd.listed())
    return mirror


@pytest.fixture
def feed(mirror) -> Feed:
    return Feed(mirror, heartbeat=HEARTBEAT)


async def read(events, count: int) -> list[pb.WatchEvent]:
    async with asyncio.timeout(10):
        return [pb.WatchEvent.FromString(await anext(events)) for _ in range(count)]


async def next_delta(events) -> bytes:
    async with asyncio.timeout(10):
        while not pb.WatchEvent.FromString(event := await anext(events)).HasField("delta"):
            pass
        return event


async def until_not(events, kind: str) -> pb.WatchEvent:
    async with asyncio.timeout(10):
        while (event := pb.WatchEvent.FromString(await anext(events))).WhichOneof("event") == kind:
            pass
        return event


def told(change: Change) -> pb.WatchEvent.Delta:
    return pb.WatchEvent.FromString(delta_of(change)).delta


def kinds(events) -> list[str]:
    return [event.WhichOneof("event") for event in events]


def cell_put(etcd: FakeEtcd, name: str):
    return etcd.put({KEYS.cell(name): encode(cell(name))})


async def test_a_new_watcher_gets_everything_then_changes(feed, mirror, etcd):
    async with aclosing(feed.watch("", 0)) as events:
        begin, first, models, end = await read(events, 4)
        assert kinds([begin, first, models, end]) == ["begin", "chunk", "chunk", "end"]
        assert (begin.begin.catalog, begin.begin.revision) == (mirror.map.catalog.name, 10)
        assert [cell_from_pb(one) for one in first.chunk.cells] == [cell()]
        assert [generation_from_pb(one) for one in first.chunk.generations] == [generation(2), generation(1)]
        assert [model_from_pb(one) for one in models.chunk.models] == list(mirror.map.catalog)
        assert end.end.models == 1

        mirror.take(etcd.put({KEYS.version("acme", "churn", 2): encode(version(2))}))
        (delta,) = await read(events, 1)
        assert list(map(model_from_pb, delta.delta.models)) == list(mirror.map.catalog)
        assert delta.delta.revision == 11
        assert not delta.delta.generations


async def test_watchers_are_sent_the_same_bytes(feed, mirror, etcd):
    async with aclosing(feed.watch("", 0)) as first, aclosing(feed.watch("", 0)) as second:
        await read(first, 4), await read(second, 4)
        for number in range(2, 40):
            mirror.take(etcd.put({KEYS.version("acme", "churn", number): encode(version(number))}))
            sent = [await next_delta(events) for events in (first, second)]
            assert sent[0] is sent[1]
            assert number in [
                one.number for one in pb.WatchEvent.FromString(sent[0]).delta.models[0].versions
            ]
    assert len(feed._deltas) == 16


async def test_a_quiet_watcher_gets_heartbeats(feed, mirror):
    async with aclosing(feed.watch(mirror.map.catalog.name, 10)) as events:
        assert [event.heartbeat.revision for event in await read(events, 3)] == [10, 10, 10]


async def test_a_watcher_that_comes_back_gets_what_it_missed(feed, mirror, etcd):
    mirror.take(cell_put(etcd, "cell-2"))
    mirror.take(cell_put(etcd, "cell-3"))
    async with aclosing(feed.watch(mirror.map.catalog.name, 11)) as events:
        missed, beat = await read(events, 2)
        assert (missed.delta.revision, [one.id for one in missed.delta.cells]) == (12, ["cell-3"])
        assert beat.heartbeat.revision == 12


@pytest.mark.parametrize("known", [("other", 10), ("", 10), (None, 9), (None, 0)])
async def test_a_watcher_that_cannot_resume_gets_a_snapshot(feed, mirror, known):
    name = mirror.map.catalog.name if known[0] is None else known[0]
    async with aclosing(feed.watch(name, known[1])) as events:
        assert kinds(await read(events, 4)) == ["begin", "chunk", "chunk", "end"]


async def test_a_watcher_that_is_slower_than_the_history_gets_a_new_snapshot(feed, mirror, etcd):
    async with aclosing(feed.watch("", 0)) as events:
        await read(events, 4)
        for number in range(2, 9):
            mirror.take(cell_put(etcd, f"cell-{number}"))
        begin, cells, *_ = await read(events, 4)
        assert begin.begin.revision == 17
        assert len(cells.chunk.cells) == 8


async def test_a_snapshot_in_progress_does_not_see_what_changes(feed, mirror, etcd):
    async with aclosing(feed.watch("", 0)) as events:
        await read(events, 1)
        mirror.take(cell_put(etcd, "cell-2"))
        cells, _, _, delta = await read(events, 4)
        assert [one.id for one in cells.chunk.cells] == ["cell-1"]
        assert [one.id for one in delta.delta.cells] == ["cell-2"]


async def test_a_watcher_ahead_of_this_manager_waits_for_it(feed, mirror, etcd):
    async with aclosing(feed.watch(mirror.map.catalog.name, 11)) as events:
        waiting = asyncio.create_task(anext(events))
        await asyncio.sleep(0)
        mirror.take(cell_put(etcd, "cell-2"))
        assert pb.WatchEvent.FromString(await waiting).HasField("heartbeat")


async def test_another_catalog_begins_with_a_snapshot_in_the_same_stream(feed, mirror, etcd):
    content = {key: pair.value for key, pair in etcd.content.items()}
    async with aclosing(feed.watch("", 0)) as events:
        await read(events, 4)
        mirror.take(FakeEtcd(content, cluster_id=9, revision=2).listed())
        begin = await until_not(events, "heartbeat")
        assert (begin.begin.catalog, begin.begin.revision) == (mirror.map.catalog.name, 2)


async def test_a_cancelled_watcher_leaves_the_others(feed, mirror, etcd):
    name = mirror.map.catalog.name
    async with aclosing(feed.watch(name, 10)) as first, aclosing(feed.watch(name, 10)) as second:
        gone = asyncio.create_task(until_not(first, "heartbeat"))
        await read(second, 1)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        mirror.take(cell_put(etcd, "cell-2"))
        assert (await until_not(second, "heartbeat")).delta.revision == 11


def test_large_catalogs_come_in_chunks():
    content: dict[str, bytes] = {}
    for number in range(2 * MODELS_A_CHUNK + 1):
        content[KEYS.version("acme", f"model-{number}", 1)] = encode(version())
    mirror = Mirror(NoEtcd(), KEYS)
    mirror.take(FakeEtcd(content).listed())
    events = list(map(pb.WatchEvent.FromString, snapshot(mirror.map)))
    assert [len(event.chunk.models) for event in events[1:-1]] == [0, MODELS_A_CHUNK, MODELS_A_CHUNK, 1]
    assert events[-1].end.models == 2 * MODELS_A_CHUNK + 1


def test_limits_come_in_chunks_and_deltas_have_what_changed():
    content = {
        KEYS.limits(f"tenant-{number}"): encode(Limits(rate=5)) for number in range(MODELS_A_CHUNK + 1)
    }
    mirror, etcd = Mirror(NoEtcd(), KEYS), FakeEtcd(content)
    mirror.take(etcd.listed())
    events = list(map(pb.WatchEvent.FromString, snapshot(mirror.map)))
    assert [len(event.chunk.limits) for event in events[1:-1]] == [0, MODELS_A_CHUNK, 1]
    # That there is no default is said, or a router would take this for a manager that knows of no limits.
    assert events[1].chunk.HasField("default_limits")
    mirror.take(etcd.put({KEYS.limits("tenant-7"): encode(Limits(rate=6))}))
    mirror.take(etcd.delete(KEYS.limits("tenant-8")))
    changes = mirror.after(mirror.place_of(mirror.map.catalog.name, 10))
    assert [list(told(change).limits) for change in changes] == [
        [pb.TenantLimits(tenant="tenant-7", limits=pb.Limits(rate=6))],
        [pb.TenantLimits(tenant="tenant-8", limits=pb.Limits())],
    ]
    assert not any(told(change).HasField("default_limits") for change in changes)


def test_a_delta_carries_every_kind_of_change():
    change = Change(5, (), (("acme", "churn"),), (cell(),), ("cell-2",), (generation(2), generation(1)))
    message = told(change)
    assert [(key.tenant, key.name) for key in message.removed_models] == [("acme", "churn")]
    assert [one.id for one in message.cells] == ["cell-1"]
    assert list(message.removed_cells) == ["cell-2"]
    assert [one.number for one in message.generations] == [2, 1]


async def test_families_are_told_to_those_who_know_of_them(mirror, etcd):
    def put(key: tuple[str, str], config: Config):
        return etcd.put({KEYS.config(*key): encode(config)})

    mirror.take(put(("", "churn"), Config(1, Family("churn", 1), "ada", "new", 5.0)))
    mirror.take(put(("acme", "churn"), Config(4, Family("churn", 4, tenant="acme"))))
    feed = Feed(mirror, heartbeat=60.0)
    for protocol, told in ((6, []), (7, [("", 1), ("acme", 4)])):
        async with aclosing(feed.watch("", 0, protocol)) as events:
            chunks = (await read(events, 4 + len(told)))[1:-1]
            assert [chunk.chunk.knows_families for chunk in chunks] == [protocol >= 7] + [False] * (
                len(chunks) - 1
            )
            found = [one for chunk in chunks for one in chunk.chunk.families]
            assert [(one.tenant, one.number) for one in found] == told
            assert not any(one.author or one.reason or one.at for one in found)
            await until_not(events, "delta")
            number = protocol
            mirror.take(put(("acme", "churn"), Config(number, None)))
            (delta,) = await read(events, 1)
            assert delta.delta.revision == mirror.map.catalog.revision
            assert [one.removed for one in delta.delta.families] == [True] * bool(told)
            mirror.take(put(("acme", "churn"), Config(4, Family("churn", 4, tenant="acme"))))


def filled(message: Message) -> set[str]:
    return {field.name for field, _ in message.ListFields()}


def test_every_field_of_a_change_is_told(mirror):
    (record,) = mirror.map.catalog.records()
    limits = (("acme", Limits(rate=5)),)
    change = Change(
        5,
        (record,),
        (("acme", "old"),),
        (cell(),),
        ("cell-2",),
        (generation(1),),
        250,
        limits,
        Limits(rows=9),
        ((("", "churn"), Family("churn", 1)),),
    )
    assert [field.name for field in fields(Change) if not getattr(change, field.name)] == []
    assert filled(told(change)) == set(pb.WatchEvent.Delta.DESCRIPTOR.fields_by_name)


def test_every_field_of_a_snapshot_is_told(mirror, etcd):
    limits = {KEYS.limits("acme"): encode(Limits(rate=5))}
    family = {KEYS.config("", "churn"): encode(Config(1, Family("churn", 1)))}
    mirror.take(etcd.put({KEYS.thaw: encode(Thaw(3, 1, 11)), **limits, **family}))
    begin, *chunks, end = map(pb.WatchEvent.FromString, snapshot(mirror.map))
    assert filled(begin.begin) == set(pb.WatchEvent.Begin.DESCRIPTOR.fields_by_name)
    told = set().union(*(filled(chunk.chunk) for chunk in chunks))
    assert told == set(pb.WatchEvent.Chunk.DESCRIPTOR.fields_by_name)
    assert filled(end.end) == set(pb.WatchEvent.End.DESCRIPTOR.fields_by_name)


async def test_who_was_told_what_is_new_hears_at_once_that_it_is_all(etcd, mirror) -> None:
    feed, place = Feed(mirror, heartbeat=60.0), mirror.map.catalog
    for changes in ([], ["cell-2", "cell-3"]):
        for name in changes:
            mirror.take(cell_put(etcd, name))
        async with aclosing(feed.watch(place.name, place.revision)) as events:
            found = await read(events, len(changes) + 1)
        assert kinds(found) == ["delta"] * len(changes) + ["heartbeat"]
        assert found[-1].heartbeat.revision == mirror.map.catalog.revision
