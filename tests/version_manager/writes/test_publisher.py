"""Publishers against each other and what others left in etcd; the plain ways are in test_server."""

import asyncio
import json
import os

import pytest
from support.manager import artifact, release
from support.records import KEYS
from support.writers import ACTOR, MemoryStore, publisher

from croupier.artifacts.checked import with_checked
from croupier.artifacts.comparison import UNCHECKED, Comparison
from croupier.artifacts.format import digest_of
from croupier.artifacts.repack import with_section
from croupier.errors import AlreadyExists, FailedPrecondition, InvalidRequest, NotFound
from croupier.names import MAX_VERSION
from croupier.priority import NICE
from croupier.stores.etcd import Delete, Put
from version_manager.map.records import encode
from version_manager.model.release import Version
from version_manager.writes.publisher import ComparisonDemanded, DigestMismatch, Upload

COMPARED = Comparison("xgboost", "3.2.0", 5, 31_500, 1e-7)


async def test_an_artifact_with_another_digest_never_reaches_the_store(fleet):
    store = MemoryStore()
    upload = Upload("acme", "churn", 0, bytes(32), artifact())
    with pytest.raises(DigestMismatch):
        await publisher(fleet.raw, store).publish(upload, ACTOR)
    assert not store.kept


async def test_digests_are_made_behind_everybody_else(fleet, monkeypatch):
    def digest(data):
        priorities.append(os.getpriority(os.PRIO_PROCESS, 0))
        return digest_of(data)

    priorities, own = [], os.getpriority(os.PRIO_PROCESS, 0)
    monkeypatch.setattr("version_manager.writes.publisher.digest_of", digest)
    data = artifact()
    await publisher(fleet.raw, MemoryStore()).publish(
        Upload("acme", "churn", 0, digest_of(data), data), ACTOR
    )
    assert priorities == [min(19, own + NICE)]
    assert os.getpriority(os.PRIO_PROCESS, 0) == own


async def test_the_record_has_the_time_and_the_entry_the_name(fleet):
    data = artifact()
    upload = Upload("acme", "churn", 0, digest_of(data), data)
    made = await publisher(fleet.raw, MemoryStore()).publish(upload, ACTOR)
    assert made == Version(1, digest_of(data), len(data), "onnx", 1_700_000_000.0)
    (entry,) = await fleet.audit()
    assert b'"who":"tester"' in entry
    assert b'"at":"2023-11-14T22:13:20.000+00:00"' in entry


@pytest.mark.parametrize(("understood", "kept"), [(1, None), (2, COMPARED)])
async def test_what_it_was_compared_with_is_kept_once_everybody_understands_it(fleet, understood, kept):
    data = with_checked(artifact(), COMPARED)
    upload = Upload("acme", "churn", 0, digest_of(data), data)
    made = await publisher(fleet.raw, MemoryStore(), understood).publish(upload, ACTOR)
    assert made.checked == kept
    (pair,) = (await fleet.raw.range(KEYS.model("acme", "churn"))).items
    assert (b"xgboost" in pair.value) == (kept is not None)


async def test_a_comparison_that_says_nonsense_is_refused(client):
    with pytest.raises(InvalidRequest, match="no JSON"):
        await client.publish("acme", "churn", with_section(artifact(), "checked", b"{"))


@pytest.mark.parametrize("silent", [False, True])
async def test_what_was_not_compared_is_refused_where_that_is_demanded(fleet, silent):
    store = MemoryStore()
    demanding = publisher(fleet.raw, store, 2, demands_comparison=True)
    data = artifact() if silent else with_checked(artifact(), UNCHECKED)
    with pytest.raises(ComparisonDemanded, match="croupierctl models publish"):
        await demanding.publish(Upload("acme", "churn", 0, digest_of(data), data), ACTOR)
    assert not store.kept
    data = with_checked(artifact(), COMPARED)
    made = await demanding.publish(Upload("acme", "churn", 0, digest_of(data), data), ACTOR)
    assert made.checked == COMPARED


async def test_operators_see_what_a_version_was_compared_with(client):
    await client.publish("acme", "churn", artifact())
    (version,) = (await client.get_model("acme", "churn")).versions
    assert version.HasField("checked")
    assert version.checked.library == ""


async def test_publishers_at_once_get_numbers_of_their_own(fleet, client):
    other = await fleet.start_manager()
    made = await asyncio.gather(
        *(who.publish("acme", "churn", artifact(f"{n}")) for n, who in enumerate([client, other] * 2))
    )
    assert sorted(version.number for version in made) == [1, 2, 3, 4]


async def test_deleting_and_releasing_the_same_version_at_once_leaves_no_broken_release(fleet, client):
    for text in "12":
        await client.publish("acme", "churn", artifact(text), release_if_first=True)
    await asyncio.gather(
        client.set_release(release("acme", "churn", (2, 10_000))),
        client.delete_version("acme", "churn", 2),
        return_exceptions=True,
    )
    model = await client.get_model("acme", "churn")
    assert {split.version for split in model.release.splits} <= {one.number for one in model.versions}


async def test_a_model_of_many_versions_goes_in_parts(fleet, client):
    many = [
        Put(KEYS.version("acme", "churn", n), encode(Version(n, bytes(32), 1, "onnx"))) for n in range(1, 241)
    ]
    for first in range(0, len(many), 120):
        await fleet.raw.transact([], many[first : first + 120])
    await client.publish("acme", "churn", artifact())
    assert (await client.get_model("acme", "churn")).versions[-1].number == 241
    await client.delete_model("acme", "churn")
    (left,) = await fleet.kept("croupier/")
    assert (left.key, left.value) == ("croupier/spent/acme/churn", b'{"version":241,"release":0}')
    # What came by hand is audited too, as soon as it is seen.
    by_us = [one for one in map(json.loads, await fleet.audit()) if one["what"] != "edit"]
    assert len(by_us) == 1 + 3


async def test_a_number_taken_by_garbage_is_taken(fleet, client):
    await fleet.raw.put(KEYS.version("acme", "churn", 1), b"?")
    assert (await client.publish("acme", "churn", artifact())).number == 2
    with pytest.raises(AlreadyExists):
        await client.publish("acme", "churn", artifact(), version=1)
    await client.delete_version("acme", "churn", 1)
    assert (await client.publish("acme", "churn", artifact("b"))).number == 3


async def test_the_highest_number_of_all_is_not_overwritten(client):
    last = await client.publish("acme", "churn", artifact("a"), version=MAX_VERSION)
    with pytest.raises(FailedPrecondition) as full:
        await client.publish("acme", "churn", artifact("b"))
    assert full.value.reason == "NO_NUMBER_LEFT"
    # Of the answer to publishing alone.
    last.ClearField("revision")
    assert list((await client.get_model("acme", "churn")).versions) == [last]


async def test_deleting_and_publishing_at_once_never_gives_a_number_twice(fleet, client):
    other = await fleet.start_manager()
    await client.publish("acme", "churn", artifact("0"))
    made = []
    for turn in range(5):
        last = (await client.get_model("acme", "churn")).versions[-1]
        published, _ = await asyncio.gather(
            other.publish("acme", "churn", artifact(f"{turn}-")),
            client.delete_version("acme", "churn", last.number),
        )
        made.append(published.number)
    assert made == sorted(set(made))


async def test_an_artifact_whose_store_lost_it_is_mended_by_publishing_again(fleet, client):
    made = await client.publish("acme", "churn", artifact())
    (kept,) = [path for path in (fleet.folder / "objects").rglob("*") if path.is_file()]
    kept.unlink()
    assert await client.publish("acme", "churn", artifact()) == made
    assert kept.read_bytes() == artifact()


async def test_a_cancelled_publish_leaves_etcd_as_it_was_or_whole(fleet, client):
    publishing = asyncio.create_task(client.publish("acme", "churn", artifact(), release_if_first=True))
    await asyncio.sleep(0)
    publishing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await publishing
    # Nothing, the version, or its release too.
    assert len(await fleet.kept("croupier/")) in {0, 1, 2}


async def test_a_transaction_is_one_even_if_a_key_is_not_there(fleet):
    outcome = await fleet.raw.transact([], [Put("croupier-x/1", b"1"), Delete("croupier-x/2")])
    assert outcome.succeeded
    with pytest.raises(NotFound):
        await fleet.client.delete_model("acme", "nothing")
