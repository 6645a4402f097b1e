import asyncio

import pytest
from prometheus_client import REGISTRY
from support.records import KEYS, FakeEtcd, cell, model_keys, shard_keys, version, whole

from version_manager.map.mirror import MapFrozen, Mirror
from version_manager.map.records import encode
from version_manager.model.history import Change


def models(count: int) -> dict[str, bytes]:
    content: dict[str, bytes] = {}
    for number in range(count):
        content |= model_keys("acme", f"model-{number}")
    return content


class Following:
    """In place of etcd's client: gives the events that it was told."""

    def __init__(self):
        self.events = asyncio.Queue()

    async def follow(self, prefix):
        assert prefix == "croupier/"
        while True:
            yield await self.events.get()


@pytest.fixture
def mirror() -> Mirror:
    return Mirror(Following(), KEYS, history=100)


@pytest.fixture
def etcd() -> FakeEtcd:
    return FakeEtcd(models(3) | shard_keys(2, 1))


@pytest.fixture
def loaded(mirror, etcd) -> Mirror:
    mirror.take(etcd.listed())
    return mirror


def metric(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"croupier_version_manager_{name}", labels) or 0.0


def test_the_first_listing_is_believed(mirror):
    mirror.take(FakeEtcd(cluster_id=0xAB).listed())
    assert mirror.is_loaded
    assert (mirror.map.catalog.name, mirror.map.catalog.revision) == ("00000000000000ab", 10)
    assert len(mirror.map.catalog) == 0


def test_changes_are_kept_for_those_who_missed_them(loaded, etcd):
    name = loaded.map.catalog.name
    loaded.take(etcd.put({KEYS.cell("cell-1"): encode(cell())}))
    assert since(loaded, name, 10) == (Change(11, cells=(cell(),)),)
    assert since(loaded, name, 11) == ()
    assert since(loaded, name, 9) is None
    assert since(loaded, "other", 11) is None
    assert metric("revision") == 11


def test_garbage_raises_the_metrics(loaded, etcd):
    before = metric("bad_records_total", kind="release")
    key = KEYS.release("acme", "model-1")
    loaded.take(etcd.put({key: b"?"}))
    assert metric("bad_records_total", kind="release") == before + 1
    assert metric("bad_keys") == 1
    assert loaded.bad_keys == {key}
    assert loaded.map.catalog.get("acme", "model-1").release == whole(1)
    loaded.take(etcd.put({key: encode(whole(1, 2))}))
    assert metric("bad_keys") == 0
    assert loaded.map.catalog.get("acme", "model-1").release == whole(1, 2)


def test_a_flood_of_garbage_is_logged_in_a_few_lines(loaded, etcd, caplog):
    loaded.take(etcd.put({f"croupier/x{number}": b"?" for number in range(1_000)}))
    assert len(caplog.records) < 30
    assert "980 more" in caplog.text


def test_a_line_about_a_record_says_which_and_what_of_it(loaded, etcd, caplog):
    key = KEYS.release("acme", "model-1")
    loaded.take(etcd.put({key: b'{"number": 1, "splits": [], "lables": {}}'}))
    assert [record.fields for record in caplog.records] == [{"key": key, "field": "lables"}]


def since(mirror: Mirror, catalog: str, revision: int):
    """What a watcher gets that comes with `revision` of `catalog`."""
    place = mirror.place_of(catalog, revision)
    return mirror.after(place) if place else None


def assert_frozen(mirror: Mirror, models: int = 3) -> None:
    assert mirror.is_frozen
    assert metric("frozen") == 1
    assert len(mirror.map.catalog) == models
    with pytest.raises(MapFrozen):
        mirror.check_writable()


def test_a_prefix_deleted_at_once_freezes_the_map(loaded, etcd):
    held = loaded.map
    loaded.take(etcd.delete(*models(3)))
    assert_frozen(loaded)
    loaded.take(etcd.put({KEYS.version("acme", "model-9", 1): encode(version())}))
    assert loaded.map.catalog is held.catalog


def test_cells_come_and_go_while_the_map_is_frozen(loaded, etcd):
    name, watching = loaded.map.catalog.name, loaded.place
    loaded.take(etcd.put({KEYS.cell("cell-1"): encode(cell())}))
    loaded.take(etcd.delete(*models(3)))
    assert_frozen(loaded)
    moved = loaded.next_move()
    loaded.take(etcd.put({KEYS.cell("cell-1"): encode(cell(port=9001)), KEYS.release("acme", "x"): b"?"}))
    loaded.take(etcd.change({KEYS.cell("cell-2"): encode(cell("cell-2"))}, KEYS.cell("cell-1")))
    assert_frozen(loaded)
    assert moved.is_set()
    assert loaded.map.cells == {"cell-2": cell("cell-2")}
    assert loaded.map.catalog.revision == 11
    # One that watches all along, one that comes back with what it had, and one of the time before.
    came = (
        Change(11, cells=(cell(port=9001),)),
        Change(11, cells=(cell("cell-2"),), removed_cells=("cell-1",)),
    )
    assert loaded.after(watching) == since(loaded, name, 10) == (Change(11, cells=(cell(),)), *came)
    assert since(loaded, name, 11) == came


@pytest.mark.parametrize("other", [{"cluster_id": 2, "revision": 50}, {"revision": 3}, {"revision": 50}])
def test_cells_of_a_wiped_etcd_are_those_that_join_it(loaded, etcd, other):
    loaded.take(etcd.put({KEYS.cell("cell-1"): encode(cell()), KEYS.cell("cell-2"): encode(cell("cell-2"))}))
    wiped = FakeEtcd({KEYS.cell("cell-2"): encode(cell("cell-2", port=9002))}, **other)
    loaded.take(wiped.listed())
    assert_frozen(loaded)
    assert loaded.map.cells == {"cell-2": cell("cell-2", port=9002)}
    loaded.take(wiped.put({KEYS.cell("cell-1"): encode(cell(port=9001))}))
    assert_frozen(loaded)
    assert loaded.map.cells == {"cell-1": cell(port=9001), "cell-2": cell("cell-2", port=9002)}
    loaded.take(wiped.listed())
    assert len(loaded.map.cells) == 2


def test_the_map_moves_again_once_the_content_is_back(loaded, etcd):
    loaded.take(etcd.delete(*models(3)))
    loaded.take(etcd.put(model_keys("acme", "model-0") | {KEYS.cell("cell-1"): encode(cell())}))
    assert_frozen(loaded)
    loaded.take(etcd.put(models(3)))
    assert not loaded.is_frozen
    assert metric("frozen") == 0
    loaded.check_writable()
    # Nothing about the models changed in the end; the cell came while the map was frozen.
    assert since(loaded, loaded.map.catalog.name, 10) == (Change(10, cells=(cell(),)),)
    assert loaded.map.catalog.revision == 13


def test_a_shrunken_listing_freezes_the_map_until_a_whole_one(loaded, etcd):
    loaded.take(FakeEtcd(revision=50).listed())
    assert_frozen(loaded)
    etcd.revision = 60
    loaded.take(etcd.listed())
    assert not loaded.is_frozen
    assert loaded.map.catalog.revision == 60


def test_a_frozen_map_does_not_thaw_for_a_listing_of_the_same_loss(loaded, etcd):
    loaded.take(etcd.delete(*model_keys("acme", "model-0"), *model_keys("acme", "model-1")))
    assert_frozen(loaded)
    loaded.take(etcd.listed())
    assert_frozen(loaded)


@pytest.mark.parametrize("other", [{"cluster_id": 2, "revision": 50}, {"revision": 3}])
def test_another_or_a_rewound_etcd_freezes_the_map(loaded, other):
    name = loaded.map.catalog.name
    restored = FakeEtcd(model_keys("acme", "model-0") | shard_keys(2, 1), **other)
    loaded.take(restored.listed())
    assert_frozen(loaded)
    assert (loaded.map.catalog.name, loaded.map.catalog.revision) == (name, 10)

    # Listed again, and it has even got beyond the old revision: still the other one.
    restored.revision = 90
    loaded.take(restored.listed())
    assert_frozen(loaded)

    loaded.take(restored.put(models(3)))
    assert not loaded.is_frozen
    assert loaded.map.catalog.name != name
    assert loaded.map.catalog.revision == 91
    assert since(loaded, name, 10) is None
    assert since(loaded, loaded.map.catalog.name, 91) == ()
    loaded.take(restored.put({KEYS.version("acme", "model-0", 2): encode(version(2))}))
    assert len(loaded.map.catalog.get("acme", "model-0").versions) == 2


def test_another_etcd_with_the_whole_content_is_taken_at_once(loaded, etcd):
    name = loaded.map.catalog.name
    restored = FakeEtcd({key: pair.value for key, pair in etcd.content.items()}, cluster_id=2, revision=5)
    loaded.take(restored.listed())
    assert not loaded.is_frozen
    assert (loaded.map.catalog.revision, len(loaded.map.catalog)) == (5, 3)
    assert loaded.map.catalog.name != name


def test_models_can_be_deleted_one_by_one(loaded, etcd):
    for number in range(3):
        loaded.take(etcd.delete(*model_keys("acme", f"model-{number}")))
    assert not loaded.is_frozen
    assert len(loaded.map.catalog) == 0


async def test_waiting_for_a_revision(loaded, etcd):
    assert await loaded.reached(10, timeout=0)
    assert not await loaded.reached(11, timeout=0.01)
    waiting = asyncio.create_task(loaded.reached(12, timeout=10))
    await asyncio.sleep(0)
    loaded.take(etcd.put({KEYS.cell("cell-1"): encode(cell())}))
    await asyncio.sleep(0)
    assert not waiting.done()
    loaded.take(etcd.put({KEYS.cell("cell-2"): encode(cell("cell-2"))}))
    assert await waiting


async def test_run_follows_until_it_is_cancelled(mirror, etcd):
    running = asyncio.create_task(mirror.run())
    waiting = asyncio.create_task(mirror.loaded())
    await asyncio.sleep(0)
    assert not waiting.done()
    mirror._etcd.events.put_nowait(etcd.listed())
    await asyncio.wait_for(waiting, 5)
    mirror._etcd.events.put_nowait(etcd.put({KEYS.cell("cell-1"): encode(cell())}))
    assert await mirror.reached(11, timeout=5)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
