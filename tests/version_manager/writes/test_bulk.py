"""Many models at a time in a real etcd: batched, each as it would be alone, and none holds up the others."""

import asyncio
import json
from dataclasses import replace

import pytest
from support.manager import artifact
from support.records import KEYS
from support.writers import ACTOR, MemoryStore, bulk, publisher, releases

from croupier.artifacts.checked import with_checked
from croupier.artifacts.comparison import Comparison
from croupier.artifacts.format import digest_of
from croupier.errors import Conflict, Unavailable
from croupier.stores.etcd import Etcd, EtcdConfig, Put
from version_manager.map.keys import BadRecord, ReleaseKey
from version_manager.map.mirror import MapFrozen
from version_manager.map.records import Spent, decode, encode
from version_manager.map.schema import CURRENT
from version_manager.model.release import Release, Split, Version
from version_manager.writes.bulk import Order, Pending, Published, VersionVanished
from version_manager.writes.limits import Why
from version_manager.writes.publisher import ComparisonDemanded, DigestMismatch, Upload, VersionSpent
from version_manager.writes.releases import KEPT, Change

ORDER = Order(ACTOR)
RELEASE = Order(ACTOR, Why("retrained", "nightly"), release=True)
COMPARED = Comparison("xgboost", "3.2.0", 5, 31_500, 1e-7)


class Counting(Etcd):
    """Counts transactions; `before` is called before each with its number."""

    def __init__(self, endpoint, before=None):
        super().__init__(EtcdConfig((endpoint,)))
        self.count = 0
        self.before = before

    async def transact(self, compares, ops):
        self.count += 1
        if self.before is not None:
            await self.before(self.count)
        return await super().transact(compares, ops)


@pytest.fixture
async def etcd(fleet):
    async with Counting(fleet.etcd.endpoint) as opened:
        yield opened


@pytest.fixture
def store():
    return MemoryStore()


def uploads(count, text="a"):
    data = [artifact(f"{text}{number}") for number in range(count)]
    return [Upload("acme", f"model-{at}", 0, digest_of(one), one) for at, one in enumerate(data)]


def without_data(many):
    return [Upload(one.tenant, one.name, one.version, one.digest, b"") for one in many]


async def publish(writes, order, many):
    """As if they had been looked at too long ago to know how their models stood."""
    return await writes.publish(order, [Pending(one, bool(one.data)) for one in many])


async def looks(writes, order, many):
    """What is done already, and of the others whether they are wanted."""
    found = await writes.look(order, without_data(many))
    return [one.is_wanted if isinstance(one, Pending) else one for one in found]


async def entries(etcd):
    pairs = (await etcd.range("croupier-audit/")).items
    return [found for found in map(json.loads, [pair.value for pair in pairs]) if found["what"] != "edit"]


async def release_of(etcd, number):
    pair = await etcd.get(KEYS.release("acme", f"model-{number}"))
    return decode(ReleaseKey("acme", f"model-{number}"), pair.value)


async def test_many_are_written_by_few_transactions_each_with_its_entry(etcd, store):
    many = uploads(300)
    found = await publish(bulk(etcd, store), ORDER, many)
    assert [one.version.number for one in found] == [1] * 300
    assert [one.version.artifact for one in found] == [one.digest for one in many]
    assert not any(one.is_known or one.release for one in found)
    # 127 operations beside the entry, 128 compares, of which each model has two.
    assert etcd.count == 5
    audited = await entries(etcd)
    assert len(audited) == 5
    told = [model for entry in audited for model in entry["models"]]
    assert {one["model"] for one in told} == {f"acme/model-{number}" for number in range(300)}
    assert {(entry["what"], entry["who"]) for entry in audited} == {("publish many", "tester")}


async def test_releases_are_in_the_same_transactions_with_the_ones_before_beside_them(etcd, store):
    writes = bulk(etcd, store, CURRENT)
    for turn in (1, 2):
        before = etcd.count
        found = await publish(writes, RELEASE, uploads(60, f"turn {turn} "))
        assert {(one.version.number, one.release) for one in found} == {(turn, turn)}
        assert etcd.count - before <= 3
    release = await release_of(etcd, 7)
    assert (release.number, release.splits, release.reason) == (2, (Split(2, 10_000),), "retrained")
    history = await releases(etcd, CURRENT).history("acme", "model-7")
    assert [one.number for one in history] == [2, 1]


async def test_only_so_many_earlier_releases_are_kept(etcd, store):
    writes = bulk(etcd, store, CURRENT)
    for turn in range(KEPT + 3):
        await publish(writes, RELEASE, uploads(2, f"turn {turn} "))
    assert len((await etcd.range(KEYS.old_releases("acme", "model-1"))).items) == KEPT


async def test_labels_and_the_salt_stay_where_they_are(etcd, store):
    writes = bulk(etcd, store, CURRENT)
    await publish(writes, RELEASE, uploads(1))
    change = Change((Split(1, 10_000),), {"stable": 1}, salt="s")
    await releases(etcd, CURRENT).set("acme", "model-0", change, ACTOR)
    await publish(writes, RELEASE, uploads(1, "b"))
    release = await release_of(etcd, 0)
    assert (release.splits, release.labels, release.salt) == ((Split(2, 10_000),), {"stable": 1}, "s")


async def test_to_do_it_again_changes_nothing(etcd, store):
    writes = bulk(etcd, store, CURRENT)
    many = uploads(50)
    first = await publish(writes, RELEASE, many)
    revision = (await etcd.get(KEYS.release("acme", "model-0"))).mod_revision
    again = await publish(writes, RELEASE, many)
    assert again == [Published(one.version, is_known=True, release=1) for one in first]
    assert (await etcd.get(KEYS.release("acme", "model-0"))).mod_revision == revision
    assert etcd.count <= 2


async def test_a_look_tells_what_has_to_be_sent(etcd, store):
    writes = bulk(etcd, store, CURRENT)
    many = uploads(4)
    made = await publish(writes, ORDER, many[:2])
    assert await looks(writes, ORDER, many) == [
        Published(made[0].version, is_known=True),
        Published(made[1].version, is_known=True),
        True,
        True,
    ]
    assert (await looks(writes, RELEASE, many))[:3] == [False, False, True]
    (released,) = await publish(writes, RELEASE, without_data(many[:1]))
    assert released == Published(made[0].version, is_known=True, release=1)


async def test_what_the_store_lost_is_wanted_again(etcd, store):
    writes = bulk(etcd, store)
    (upload,) = uploads(1)
    await publish(writes, ORDER, [upload])
    store.kept.clear()
    assert await looks(writes, ORDER, [upload]) == [True]
    (mended,) = await publish(writes, ORDER, [upload])
    assert (mended.is_known, mended.version.number) == (True, 1)
    assert store.kept == {upload.digest: upload.data}


async def test_an_artifact_of_another_tenant_is_wanted_all_the_same(etcd, store):
    """Whoever knows a digest would have the model."""
    writes = bulk(etcd, store)
    (upload,) = uploads(1)
    await publish(writes, ORDER, [upload])
    theirs = Upload("globex", "mine", 0, upload.digest, b"")
    assert await looks(writes, ORDER, [theirs]) == [True]
    (found,) = await publish(writes, ORDER, [theirs])
    assert isinstance(found, VersionVanished)


async def test_what_is_wrong_with_one_is_told_of_that_one(etcd, store):
    many = uploads(6)
    await etcd.put(KEYS.spent("acme", "model-1"), encode(Spent(5)))
    await etcd.put(KEYS.spent("acme", "model-2"), b"?")
    many[0] = Upload("acme", "model-0", 0, bytes(32), many[0].data)
    many[1] = Upload("acme", "model-1", 3, many[1].digest, many[1].data)
    garbage = b"CROUPIER but nothing else, for so many bytes as a header has"
    many[3] = Upload("acme", "model-3", 0, digest_of(garbage), garbage)
    found = await publish(bulk(etcd, store), ORDER, many)
    kinds = [type(one) for one in found]
    assert kinds[:3] == [DigestMismatch, VersionSpent, BadRecord]
    assert found[3].reason == "INVALID_ARTIFACT"
    assert kinds[4:] == [Published, Published]
    assert garbage not in store.kept.values()


async def test_comparisons_are_demanded_and_kept(etcd, store):
    plain, compared = artifact("a"), with_checked(artifact("b"), COMPARED)
    many = [Upload("acme", name, 0, digest_of(data), data) for name, data in (("a", plain), ("b", compared))]
    writes = bulk(etcd, store, CURRENT, demands_comparison=True)
    refused, made = await publish(writes, ORDER, many)
    assert isinstance(refused, ComparisonDemanded)
    assert made.version.checked == COMPARED
    assert list(store.kept) == [digest_of(compared)]


async def test_parts_of_the_release_before_are_told_what_they_understand(etcd, store):
    data = with_checked(artifact(), COMPARED)
    (made,) = await publish(
        bulk(etcd, store, 1), RELEASE, [Upload("acme", "model-0", 0, digest_of(data), data)]
    )
    assert made.version.checked is None
    assert (await release_of(etcd, 0)).reason == ""


async def test_a_number_may_be_chosen_and_is_taken_once(etcd, store):
    first, second = uploads(1), uploads(1, "b")
    chosen = [Upload("acme", "model-0", 7, first[0].digest, first[0].data)]
    other = [Upload("acme", "model-0", 7, second[0].digest, second[0].data)]
    writes = bulk(etcd, store)
    assert (await publish(writes, ORDER, chosen))[0].version.number == 7
    (refused,) = await publish(writes, ORDER, other)
    assert refused.reason == "ALREADY_EXISTS"
    (refused,) = await looks(writes, ORDER, other)
    assert refused.reason == "ALREADY_EXISTS"


async def test_a_conflict_falls_back_to_that_model_alone(fleet, store):
    async def interfere(count):
        if count == 1:
            other = Version(1, bytes(32), 1, "onnx")
            await fleet.raw.put(KEYS.version("acme", "model-3", 1), encode(other))

    async with Counting(fleet.etcd.endpoint, interfere) as etcd:
        found = await publish(bulk(etcd, store), ORDER, uploads(20))
        assert [one.version.number for one in found] == [1, 1, 1, 2, *[1] * 16]
        # The one that failed, the nineteen others together, and the one alone.
        assert etcd.count == 3


async def test_one_that_never_gets_through_holds_up_no_other(fleet, store):
    key = KEYS.release("acme", "model-3")
    await fleet.raw.put(KEYS.version("acme", "model-3", 1), encode(Version(1, bytes(32), 1, "onnx")))

    async def interfere(count):
        await fleet.raw.put(key, encode(Release(count, (Split(1, 10_000),))))

    async with Counting(fleet.etcd.endpoint, interfere) as etcd:
        found = await publish(bulk(etcd, store, CURRENT), RELEASE, uploads(20))
        assert isinstance(found[3], Conflict)
        assert all(isinstance(one, Published) for at, one in enumerate(found) if at != 3)


async def test_a_record_of_a_later_release_keeps_what_is_not_known_here(etcd, store):
    writes = bulk(etcd, store, CURRENT)
    await publish(writes, ORDER, uploads(2))
    later = {"schema": CURRENT + 1, "number": 4, "splits": [{"version": 1, "basis_points": 10_000}], "new": 1}
    far = later | {"schema": CURRENT + 2}
    await etcd.put(KEYS.release("acme", "model-0"), json.dumps(later).encode())
    await etcd.put(KEYS.release("acme", "model-1"), json.dumps(far).encode())
    kept, refused = await publish(writes, RELEASE, uploads(2, "b"))
    assert kept.release == 5
    said = json.loads((await etcd.get(KEYS.release("acme", "model-0"))).value)
    assert (said["number"], said["new"]) == (5, 1)
    assert json.loads((await etcd.get(KEYS.old_release("acme", "model-0", 4))).value)["new"] == 1
    assert refused.reason == "NEWER_RECORD"


async def test_a_model_of_many_versions_is_read_by_itself(etcd, store):
    many = [
        Put(KEYS.version("acme", "model-0", n), encode(Version(n, bytes(32), 1, "onnx")))
        for n in range(1, 121)
    ]
    await etcd.transact([], many)
    found = await publish(bulk(etcd, store, CURRENT), RELEASE, uploads(3))
    assert [one.version.number for one in found] == [121, 1, 1]


async def test_two_publishers_at_once(fleet, etcd, store):
    async with Counting(fleet.etcd.endpoint) as second:
        sides = [bulk(etcd, store, CURRENT), bulk(second, store, CURRENT)]
        same, other = uploads(100), uploads(100, "b")
        found = await asyncio.gather(
            publish(sides[0], RELEASE, same),
            publish(sides[1], RELEASE, same),
            publish(sides[1], RELEASE, other),
        )
        assert all(isinstance(one, Published) for side in found for one in side)
        for number in range(100):
            versions = {side[number].version.number for side in found}
            assert versions == {1, 2}
            release = await release_of(etcd, number)
            assert release.versions() <= versions
            # Two of the three released the same version: once, unless the other came between them.
            assert release.number in (2, 3)


async def test_an_etcd_that_is_gone_fails_what_was_under_way_and_invites_a_retry(fleet, store):
    async with Etcd(EtcdConfig((fleet.etcd.endpoint,), timeout=0.5)) as etcd:
        writes = bulk(etcd, store)
        await fleet.etcd.kill()
        found = await publish(writes, ORDER, uploads(3))
        assert all(isinstance(one, Unavailable) for one in found)
        with pytest.raises(Unavailable):
            await writes.look(ORDER, without_data(uploads(3)))
        await fleet.etcd.start()


async def test_a_store_that_is_full_fails_what_was_sent_and_nothing_is_recorded(etcd, store):
    async def full(many):
        raise Unavailable("No space left on device")

    writes = bulk(etcd, store)
    known, *others = uploads(3)
    await publish(writes, ORDER, [known])
    store.put_many = full
    found = await publish(writes, RELEASE, [*without_data([known]), *others])
    assert [type(one) for one in found] == [Published, Unavailable, Unavailable]
    assert (await etcd.range(KEYS.model("acme", "model-1"))).items == ()


async def test_a_frozen_map_ends_all_of_it(etcd, store, monkeypatch):
    def frozen(self):
        raise MapFrozen("the map is frozen")

    writes = bulk(etcd, store)
    monkeypatch.setattr("support.writers.OpenMirror.check_writable", frozen)
    with pytest.raises(MapFrozen):
        await writes.look(ORDER, without_data(uploads(1)))
    with pytest.raises(MapFrozen):
        await publish(writes, ORDER, uploads(1))
    assert not store.kept


async def test_the_publisher_alone_and_many_at_a_time_agree(etcd, store):
    (upload,) = uploads(1)
    alone = await publisher(etcd, store, CURRENT).publish(upload, ACTOR)
    (found,) = await publish(bulk(etcd, store, CURRENT), ORDER, [upload])
    assert found == Published(alone, is_known=True)


async def test_what_changed_since_it_was_looked_at_is_seen(etcd, store):
    """Of these a version was published meanwhile, a release made, the known version deleted, and nothing."""
    writes, many = bulk(etcd, store, CURRENT), uploads(4)
    await publish(writes, ORDER, [uploads(3, "before")[2]])
    looked = await writes.look(RELEASE, without_data([*many[:2], uploads(3, "before")[2], many[3]]))
    assert [one.is_wanted for one in looked if isinstance(one, Pending)] == [True, True, False, True]
    alone = publisher(etcd, store, CURRENT)
    for upload in uploads(2, "meanwhile"):
        await alone.publish(upload, ACTOR)
    await releases(etcd, CURRENT).set("acme", "model-1", Change((Split(1, 10_000),), {"canary": 1}), ACTOR)
    await alone.delete_model("acme", "model-2", ACTOR)
    data = [many[0].data, many[1].data, b"", many[3].data]
    came = [replace(one, upload=replace(one.upload, data=data[at])) for at, one in enumerate(looked)]
    count = etcd.count
    found = await writes.publish(RELEASE, came)
    assert [one.version.number for one in (found[0], found[1], found[3])] == [2, 2, 1]
    assert isinstance(found[2], VersionVanished)
    release = await release_of(etcd, 1)
    assert (release.number, release.labels) == (2, {"canary": 1})
    # Together in vain, the one that stands, and two alone.
    assert etcd.count - count == 4


async def test_large_models_are_read_again_when_their_artifacts_are_there(etcd, store):
    many = [
        Put(KEYS.version("acme", "model-0", n), encode(Version(n, bytes(32), 1, "onnx")))
        for n in range(1, 30)
    ]
    await etcd.transact([], many)
    looked = await bulk(etcd, store).look(ORDER, without_data(uploads(2)))
    assert [one.read is None for one in looked] == [True, False]
