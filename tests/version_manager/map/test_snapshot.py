"""What a manager knew survives its restart, whatever became of etcd or of the file meanwhile."""

import asyncio
import stat
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from support.irregular import KINDS, put
from support.manager import artifact, generation
from support.records import KEYS, FakeEtcd, cell, model_keys, shard_keys, version, whole
from support.records import generation as shard_map
from support.waiting import eventually

from croupier.sealed import CorruptFile, write_sealed
from croupier.stores.etcd import KeyValue
from protos.versions.v1 import versions_pb2 as pb
from version_manager.map import snapshot
from version_manager.map.mirror import Mirror
from version_manager.map.records import Active, Spent, encode
from version_manager.map.seed import Era, Seed
from version_manager.map.snapshot import Snapshot
from version_manager.model.residency import ResidencyRule

IGNORED = "croupier_version_manager_ignored_snapshots_total"

CONTENT = (
    model_keys("acme", "churn")
    | model_keys("acme", "fraud")
    | model_keys("globex", "churn")
    | shard_keys(2, 1)
    | {
        KEYS.seed: encode(Seed((Era(7),))),
        KEYS.spent("acme", "fraud"): encode(Spent(5, 5)),
        KEYS.residency("acme"): encode(ResidencyRule(10, ("churn",))),
    }
)


def mirror_of(etcd: FakeEtcd, known: Snapshot | None = None) -> Mirror:
    mirror = Mirror(None, KEYS, history=100)
    if known is not None:
        mirror.restore(known)
    mirror.take(etcd.listed())
    return mirror


def saved(mirror: Mirror, path) -> Snapshot:
    """What the next run finds on the disk."""
    snapshot.write(path, mirror.snapshot())
    return snapshot.read(path)


def restarted(mirror: Mirror, etcd: FakeEtcd, path) -> Mirror:
    return mirror_of(etcd, saved(mirror, path))


def served(mirror: Mirror) -> tuple[object, ...]:
    found = mirror.map
    models = sorted(found.catalog, key=lambda model: (model.tenant, model.name))
    return models, found.generations, found.seed, found.residencies, mirror._image.spent


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "snapshot"


def test_what_was_written_is_read(path):
    known = mirror_of(FakeEtcd(CONTENT)).snapshot()
    pairs = tuple(known.pairs)
    snapshot.write(path, Snapshot(known.prefix, known.cluster_id, known.catalog, known.revision, pairs))
    assert snapshot.read(path) == Snapshot("croupier/", 1, "0000000000000001", 10, pairs)
    assert {pair.key: pair.value for pair in pairs} == CONTENT
    assert {pair.mod_revision for pair in pairs} == {10}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("key", CONTENT)
@pytest.mark.parametrize("garbage", [b"", b"\xff{", b"{}"])
def test_a_restart_on_garbage_serves_what_was_served(path, key, garbage):
    etcd = FakeEtcd(CONTENT)
    mirror = mirror_of(etcd)
    before = served(mirror)
    # Written while it ran, and seen, or while it was away.
    seen = FakeEtcd(CONTENT)
    aware = mirror_of(seen)
    aware.take(seen.put({key: garbage}))
    etcd.put({key: garbage})
    for again in (restarted(mirror, etcd, path), restarted(aware, seen, path)):
        assert served(again) == before
        assert again.bad_keys == {key}
        assert not again.is_frozen
        # And once more: what is kept is what was good, however often.
        twice = restarted(again, etcd, path)
        assert (served(twice), twice.bad_keys) == (before, {key})


@pytest.mark.parametrize("key", [KEYS.active, KEYS.seed, KEYS.generation(1), KEYS.generation(2)])
def test_the_shard_map_outlives_its_keys(path, key):
    etcd = FakeEtcd(CONTENT)
    mirror = mirror_of(etcd)
    before = served(mirror)
    etcd.delete(key)
    again = restarted(mirror, etcd, path)
    assert served(again) == before
    assert served(restarted(again, etcd, path)) == before


def test_a_version_that_is_released_outlives_its_key(path):
    etcd = FakeEtcd(CONTENT)
    mirror = mirror_of(etcd)
    mirror.take(etcd.delete(KEYS.version("acme", "churn", 1)))
    again = restarted(mirror, etcd, path)
    assert again.map.catalog.get("acme", "churn").versions == {1: version()}
    assert again.bad_keys == {KEYS.release("acme", "churn")}


def test_all_of_it_garbage_at_once(path):
    etcd = FakeEtcd(CONTENT)
    mirror = mirror_of(etcd)
    before = served(mirror)
    etcd.put(dict.fromkeys(CONTENT, b"?"))
    again = restarted(mirror, etcd, path)
    assert served(again) == before
    assert again.bad_keys == CONTENT.keys()


def test_a_good_change_meanwhile_is_taken(path):
    etcd = FakeEtcd(CONTENT)
    mirror = mirror_of(etcd)
    etcd.put({KEYS.release("acme", "churn"): encode(whole(1, 2)), KEYS.cell("cell-1"): encode(cell())})
    etcd.put({KEYS.generation(3): encode(shard_map(3)), KEYS.active: encode(Active(3, 2))})
    again = restarted(mirror, etcd, path)
    assert again.map.catalog.get("acme", "churn").release == whole(1, 2)
    assert [one.number for one in again.map.generations] == [3, 2]
    assert again.map.cells == {"cell-1": cell()}
    assert (again.map.catalog.name, again.map.catalog.revision) == ("0000000000000001", 12)
    assert not again.bad_keys


def test_a_loss_while_it_was_away_freezes_the_map(path):
    etcd = FakeEtcd(CONTENT)
    mirror = mirror_of(etcd)
    before = served(mirror)
    etcd.delete(*(key for key in CONTENT if "models" in key))
    again = restarted(mirror, etcd, path)
    assert again.is_frozen
    assert again.is_loaded
    assert served(again) == before
    # What watchers are told then is that nothing changed.
    place = again.place_of("0000000000000001", 10)
    assert place is not None
    assert again.after(place) == ()
    back = {key: value for key, value in CONTENT.items() if "models" in key}
    again.take(etcd.put(back))
    assert not again.is_frozen
    assert served(again) == before


def test_an_etcd_that_went_back_freezes_the_map(path):
    mirror = mirror_of(FakeEtcd(CONTENT, revision=90))
    older = {key: value for key, value in CONTENT.items() if "fraud" not in key}
    again = mirror_of(FakeEtcd(older, revision=50), saved(mirror, path))
    assert again.is_frozen
    assert (again.map.catalog.name, again.map.catalog.revision) == ("0000000000000001", 90)


def test_managers_that_saw_the_same_rewind_call_the_catalog_the_same(path):
    first = mirror_of(FakeEtcd(CONTENT, revision=90))
    second = mirror_of(FakeEtcd(CONTENT, revision=50), saved(first, path))
    first.take(FakeEtcd(CONTENT, revision=52).listed())
    assert first.map.catalog.name == second.map.catalog.name != "0000000000000001"
    # A restart does not forget it.
    third = mirror_of(FakeEtcd(CONTENT, revision=60), saved(second, path))
    assert third.map.catalog.name == second.map.catalog.name
    fourth = mirror_of(FakeEtcd(CONTENT, revision=40), saved(third, path))
    assert fourth.map.catalog.name not in {third.map.catalog.name, "0000000000000001"}


def test_a_snapshot_of_another_cluster_is_not_believed(path):
    mirror = mirror_of(FakeEtcd(CONTENT))
    other = FakeEtcd(model_keys("zeta", "own") | shard_keys(1), cluster_id=2, revision=3)
    again = mirror_of(other, saved(mirror, path))
    assert again.has_forgotten
    assert not again.is_frozen
    assert served(again) == served(mirror_of(other))
    assert again.map.catalog.name == "0000000000000002"


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(CONTENT)), st.sampled_from(["good", "bad", "gone"])), max_size=25
    )
)
def test_a_restart_changes_nothing(steps):
    """Whatever happened to etcd: with its snapshot, a manager goes on as if it had not stopped."""
    etcd = FakeEtcd(CONTENT)
    mirror = mirror_of(etcd)
    for key, what in steps:
        if what == "good":
            mirror.take(etcd.put({key: CONTENT[key]}))
        elif what == "bad":
            mirror.take(etcd.put({key: b"?"}))
        elif key in etcd.content:
            mirror.take(etcd.delete(key))
    known = mirror.snapshot()
    again = mirror_of(etcd, known)
    assert again.is_frozen == mirror.is_frozen
    assert served(again) == served(mirror)


@pytest.mark.parametrize("body", [b"", b"[]\n", b'{"prefix":"croupier/"}\n', b"\xff\n", b"[" * 5000])
def test_a_rightly_sealed_file_without_a_snapshot_is_refused(path, body):
    write_sealed(path, snapshot._MAGIC, [body])
    with pytest.raises(CorruptFile):
        snapshot.read(path)


def test_a_value_in_a_snapshot_is_checked_like_one_in_etcd():
    pairs = [KeyValue(KEYS.active, b"{}", 3, 0, 0), KeyValue("croupier/what", b"1", 3, 0, 0)]
    mirror = Mirror(None, KEYS)
    mirror.restore(Snapshot("croupier/", 1, "c", 5, pairs))
    assert mirror.map.generations == ()


@pytest.mark.parametrize("kind", [*KINDS, "garbage", "prefix"])
def test_what_cannot_be_used_is_set_aside(path, kind):
    known = mirror_of(FakeEtcd(CONTENT)).snapshot()
    pairs = list(known.pairs)
    known = replace(known, pairs=pairs)
    if kind == "prefix":
        snapshot.write(path, Snapshot("staging/", 1, "c", 5, known.pairs))
    elif kind == "garbage":
        path.parent.mkdir()
        path.write_bytes(b"?")
    else:
        put(kind, path)
    before = REGISTRY.get_sample_value(IGNORED)
    assert snapshot.read_if_good(path, "croupier/") is None
    assert REGISTRY.get_sample_value(IGNORED) == before + 1
    assert not path.exists()
    assert path.with_name("snapshot.ignored").is_symlink() == ("link" in kind)
    assert snapshot.read_if_good(path, "croupier/") is None
    snapshot.write(path, known)
    kept = snapshot.read_if_good(path, "croupier/")
    assert (kept.cluster_id, kept.catalog, kept.revision) == (known.cluster_id, known.catalog, known.revision)
    assert {pair.key: pair.value for pair in kept.pairs} == {pair.key: pair.value for pair in pairs}


async def test_the_file_follows_the_map(path):
    etcd = FakeEtcd(CONTENT)
    mirror = mirror_of(etcd)
    keeping = asyncio.create_task(snapshot.keep(path, mirror.snapshot, mirror.next_move, delay=0.001))
    await eventually(path.exists)
    mirror.take(etcd.put({KEYS.release("acme", "churn"): encode(whole(1, 2))}))
    await eventually(lambda: snapshot.read(path).revision == 11)
    # The last one is written at the end.
    mirror.take(etcd.put({KEYS.release("acme", "churn"): encode(whole(1, 3))}))
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping
    assert snapshot.read(path).revision == 12


async def everything(client) -> list[object]:
    return [await client.list_models(pb.ListModelsRequest()), await client.get_generation()]


async def test_a_manager_that_restarts_on_garbage_serves_what_it_served(fleet, client):
    for name in ("churn", "fraud"):
        await client.publish("acme", name, artifact(name), release_if_first=True)
    await client.set_generation(generation("a"), 0)
    await client.set_generation(generation("a", "b"), 1)
    before = await everything(client)
    await fleet.stop_manager()
    for pair in (await fleet.raw.range("croupier/")).items:
        await fleet.raw.put(pair.key, b"\xff{garbage")
    client = await fleet.start_manager()
    assert await everything(client) == before
    # And writes begin from there.
    assert (await client.set_generation(generation("a", "b", "c"), 2)).previous == 2
