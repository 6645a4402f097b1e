"""Releases against each other, against what others left in etcd, and behind cells that load first."""

import asyncio

import msgspec
import pytest
from support.manager import artifact, release
from support.records import KEYS, version
from support.writers import ACTOR, releases

from croupier.errors import Conflict, FailedPrecondition, InvalidRequest
from croupier.stores.etcd import Etcd, EtcdConfig
from version_manager.cells.warming import NotWarm
from version_manager.map import schema
from version_manager.map.audit import Actor
from version_manager.map.keys import ReleaseKey
from version_manager.map.records import decode, encode
from version_manager.model.catalog import UnknownModel
from version_manager.model.release import Release, Split, Version
from version_manager.writes.limits import Why
from version_manager.writes.releases import KEPT, Change, UnknownRelease
from version_manager.writes.writer import TooManyWriters


class Interfering(Etcd):
    """etcd in which somebody else writes just before each of the first `times` transactions."""

    def __init__(self, config: EtcdConfig, times: int, key: str) -> None:
        super().__init__(config)
        self.left = times
        self.key = key
        self.number = 0

    async def transact(self, compares, ops):
        if self.left:
            self.left -= 1
            self.number += 1
            whole = Release(self.number, (Split(1, 10_000),))
            await self.put(self.key, encode(whole))
        return await super().transact(compares, ops)


async def test_a_change_made_meanwhile_is_seen_and_the_write_tried_again(fleet):
    config = EtcdConfig((fleet.etcd.endpoint,))
    async with Interfering(config, 2, KEYS.release("acme", "churn")) as etcd:
        await etcd.put(KEYS.version("acme", "churn", 1), encode(Version(1, bytes(32), 1, "onnx")))
        wanted = Change((Split(1, 10_000),), {"canary": 1})
        made = await releases(etcd).set("acme", "churn", wanted, ACTOR)
        assert made == Release(3, wanted.splits, wanted.labels)


async def test_a_change_that_never_gets_through_is_a_conflict(fleet):
    config = EtcdConfig((fleet.etcd.endpoint,))
    async with Interfering(config, 99, KEYS.release("acme", "churn")) as etcd:
        await etcd.put(KEYS.version("acme", "churn", 1), encode(Version(1, bytes(32), 1, "onnx")))
        with pytest.raises(TooManyWriters):
            await releases(etcd).set("acme", "churn", Change((Split(1, 10_000),), {}), ACTOR)


async def test_one_of_two_releases_made_from_the_same_one_is_refused(client):
    for text in "12":
        await client.publish("acme", "churn", artifact(text), release_if_first=True)
    results = await asyncio.gather(
        *(client.set_release(release("acme", "churn", (n, 10_000), expected=1)) for n in (1, 2)),
        return_exceptions=True,
    )
    assert sorted(isinstance(result, Conflict) for result in results) == [False, True]


async def test_a_release_that_names_nothing_is_replaced_by_the_next_one(fleet, client):
    await client.publish("acme", "churn", artifact(), release_if_first=True)
    await fleet.raw.put(KEYS.release("acme", "churn"), encode(Release(9, (Split(5, 10_000),))))
    # Release 1 is served, so it is what a change is made against and what version 1 is used by.
    with pytest.raises(FailedPrecondition) as used:
        await client.delete_version("acme", "churn", 1)
    assert used.value.reason == "VERSION_IN_USE"
    made = await client.set_release(release("acme", "churn", (1, 10_000), expected=1))
    assert made.number == 2


async def test_a_garbage_release_is_replaced_by_the_next_one(fleet, client):
    for text in "12":
        await client.publish("acme", "churn", artifact(text), release_if_first=True)
    await client.set_release(release("acme", "churn", (2, 10_000)))
    await fleet.raw.put(KEYS.release("acme", "churn"), b"?")
    # What it says is gone, what is served is not: version 2 stays in use, the numbers go on.
    await client.publish("acme", "churn", artifact("3"), release_if_first=True)
    assert (await client.get_model("acme", "churn")).release.number == 2
    with pytest.raises(Conflict):
        await client.set_release(release("acme", "churn", (1, 10_000), expected=1))
    made = await client.set_release(release("acme", "churn", (1, 10_000), expected=2))
    assert made.number == 3


class Cells:
    """Loads, as cells would: `asked` has whom for what, and a version in `broken` cannot be loaded."""

    def __init__(self, *broken):
        self.asked = []
        self.broken = set(broken)

    async def __call__(self, tenant, versions):
        numbers = [one.number for one in versions]
        self.asked.append((tenant, numbers))
        if self.broken.intersection(numbers):
            raise NotWarm("a cell did not load it", cells="cell-1")


@pytest.fixture
async def etcd(fleet):
    """With two versions of acme's churn, the first of which is served as release 1."""
    for number in (1, 2):
        await fleet.raw.put(KEYS.version("acme", "churn", number), encode(version(number)))
    await fleet.raw.put(KEYS.release("acme", "churn"), encode(Release(1, (Split(1, 10_000),))))
    return fleet.raw


def whole_of(number, expected=1, **labels):
    return Change((Split(number, 10_000),), labels, expected)


async def test_cells_load_what_is_new_before_anybody_is_sent_to_it(etcd):
    cells = Cells()
    writes = releases(etcd, warm=cells)
    await writes.set("acme", "churn", whole_of(1, 1, canary=2), ACTOR)
    await writes.set("acme", "churn", whole_of(2, 2), ACTOR)
    assert cells.asked == [("acme", [2]), ("acme", [])]


async def test_what_cells_did_not_load_is_not_served_unless_nobody_waits(etcd):
    writes = releases(etcd, warm=Cells(2))
    with pytest.raises(NotWarm):
        await writes.set("acme", "churn", whole_of(2, 1), ACTOR)
    assert (await writes._models.read("acme", "churn")).release.number == 1
    made = await writes.set("acme", "churn", whole_of(2, 1), ACTOR, skip_warming=True)
    assert made == Release(2, (Split(2, 10_000),))


async def test_cells_load_nothing_for_what_will_be_refused(etcd):
    cells = Cells()
    writes = releases(etcd, warm=cells)
    with pytest.raises(Conflict) as stale:
        await writes.set("acme", "churn", whole_of(2, 7), ACTOR)
    assert (stale.value.reason, stale.value.metadata) == ("STALE_RELEASE", {"current": "1"})
    with pytest.raises(InvalidRequest):
        await writes.set("acme", "churn", whole_of(9, 1), ACTOR)
    with pytest.raises(UnknownModel):
        await writes.set("acme", "nothing", whole_of(1, 0), ACTOR)
    assert cells.asked == [("acme", []), ("acme", []), ("acme", [])]


async def test_the_first_release_waits_for_its_cells_and_says_that_the_version_is_there(fleet):
    await fleet.raw.put(KEYS.version("acme", "churn", 1), encode(version(1)))
    cells = Cells(1)
    writes = releases(fleet.raw, warm=cells)
    with pytest.raises(NotWarm, match=r"^version 1 is published, but not released: a cell did not") as cold:
        await writes.set_first("acme", "churn", version(1), ACTOR)
    assert cold.value.metadata == {"cells": "cell-1"}
    assert (await writes._models.read("acme", "churn")).release is None
    cells.broken.clear()
    await writes.set_first("acme", "churn", version(1), ACTOR)
    assert (await writes._models.read("acme", "churn")).release == Release(1, (Split(1, 10_000),))


@pytest.mark.parametrize("stands", [encode(Release(1, (Split(1, 10_000),))), b"?"])
async def test_a_release_that_was_is_not_the_first(etcd, stands):
    await etcd.put(KEYS.release("acme", "churn"), stands)
    cells = Cells()
    await releases(etcd, warm=cells).set_first("acme", "churn", version(2), ACTOR)
    assert cells.asked == []
    assert (await etcd.get(KEYS.release("acme", "churn"))).value == stands


async def test_a_number_that_was_spent_is_not_given_to_a_release_again(etcd):
    await etcd.put(KEYS.spent("acme", "churn"), b'{"version":2,"release":8}')
    made = await releases(etcd).set("acme", "churn", whole_of(2, 1), ACTOR)
    assert made.number == 9


async def test_a_release_of_more_versions_than_a_transaction_compares_is_refused(etcd):
    many = Change(tuple(Split(number, 1) for number in range(1, 102)), {}, 1)
    with pytest.raises(InvalidRequest, match="at most 100 versions") as refused:
        await releases(etcd).set("acme", "churn", many, ACTOR)
    assert refused.value.field == "splits"


OPERATOR = Actor("operator/ann", "here")
# All understand what came with the newest schema.
NEW = schema.CURRENT


def shares(**points):
    return tuple(Split(int(version[1:]), part) for version, part in points.items())


async def three_versions(etcd):
    await etcd.put(KEYS.version("acme", "churn", 3), encode(version(3)))


async def test_a_release_says_who_made_it_and_what_stood_before_is_kept_beside_it(etcd):
    writes = releases(etcd, NEW)
    made = await writes.set("acme", "churn", whole_of(2, 1, canary=1), OPERATOR, Why("better", "bob"))
    assert (made.author, made.reason, made.at) == ("operator/ann", "better", 1_700_000_000.0)
    assert await writes.history("acme", "churn") == [made, Release(1, (Split(1, 10_000),))]
    kept = await etcd.get(KEYS.old_release("acme", "churn", 1))
    assert decode(ReleaseKey("acme", "churn"), kept.value) == Release(1, (Split(1, 10_000),))


async def test_while_a_part_of_the_release_before_runs_the_audit_alone_says_who(etcd):
    writes = releases(etcd, NEW - 1)
    made = await writes.set("acme", "churn", whole_of(2, 1), ACTOR, Why("better", "bob"))
    assert made == Release(2, (Split(2, 10_000),))
    pairs = (await etcd.range(KEYS.audits)).items
    (entry,) = [one for pair in pairs if (one := msgspec.json.decode(pair.value))["who"] == "tester"]
    assert entry["reason"] == "better"
    with pytest.raises(FailedPrecondition) as refused:
        await writes.set("acme", "churn", Change((Split(2, 10_000),), {}, 2, "autumn"), ACTOR)
    assert refused.value.reason == "NOT_UNDERSTOOD"


async def test_what_served_before_is_served_again_as_the_next_release(etcd):
    await three_versions(etcd)
    writes, one = releases(etcd, NEW), shares(v1=7_000, v2=2_000, v3=1_000)
    first = await writes.set("acme", "churn", Change(one, {"stable": 1}, salt="autumn"), OPERATOR)
    moved = await writes.set("acme", "churn", Change(shares(v1=4_000, v2=2_000, v3=4_000), {}), OPERATOR)
    assert moved.ranges
    assert moved.salt == "autumn"
    last = await writes.set("acme", "churn", whole_of(3, 3), OPERATOR)
    back = await writes.rollback("acme", "churn", 0, 0, OPERATOR)
    assert (back.number, back.restores, back.reason) == (5, 3, "roll back to release 3")
    assert (back.spans(), back.salt) == (moved.spans(), "autumn")
    farther = await writes.rollback("acme", "churn", 2, 5, OPERATOR, Why("worse"))
    assert (farther.splits, farther.labels, farther.spans()) == (one, {"stable": 1}, first.spans())
    # Of what was a way back itself, the origin is told.
    again = await writes.rollback("acme", "churn", 5, 6, OPERATOR)
    assert (again.number, again.restores, again.spans()) == (7, 3, moved.spans())
    assert last in await writes.history("acme", "churn")


async def test_the_latest_twenty_are_kept_beside_the_one_that_is_served(etcd):
    writes = releases(etcd, NEW)
    for number in range(1, KEPT + 4):
        await writes.set("acme", "churn", whole_of(1 + number % 2, number), ACTOR)
    found = await writes.history("acme", "churn")
    assert [one.number for one in found] == list(range(KEPT + 4, 3, -1))
    assert len((await etcd.range(KEYS.old_releases("acme", "churn"))).items) == KEPT
    with pytest.raises(UnknownRelease) as gone:
        await writes.rollback("acme", "churn", 3, 0, ACTOR)
    assert gone.value.reason == "UNKNOWN_RELEASE"


async def test_the_way_back_loads_first_and_compares(etcd):
    cells = Cells()
    writes = releases(etcd, NEW, warm=cells)
    await writes.set("acme", "churn", whole_of(2, 1), ACTOR)
    with pytest.raises(Conflict):
        await writes.rollback("acme", "churn", 1, 1, ACTOR)
    await writes.rollback("acme", "churn", 1, 2, ACTOR)
    assert cells.asked == [("acme", [2]), ("acme", []), ("acme", [1])]


async def test_there_is_no_way_back_to_a_version_that_was_deleted(etcd):
    writes = releases(etcd, NEW)
    await writes.set("acme", "churn", whole_of(2, 1), ACTOR)
    await etcd.delete(KEYS.version("acme", "churn", 1))
    with pytest.raises(FailedPrecondition, match="version 1, which was deleted") as gone:
        await writes.rollback("acme", "churn", 0, 0, ACTOR)
    assert gone.value.reason == "VERSION_GONE"


async def test_garbage_beside_is_passed_over(etcd):
    writes = releases(etcd, NEW)
    await writes.set("acme", "churn", whole_of(2, 1), ACTOR)
    await etcd.put(KEYS.old_release("acme", "churn", 1), b"?")
    await etcd.put(KEYS.old_releases("acme", "churn") + "x", b"?")
    assert [one.number for one in await writes.history("acme", "churn")] == [2]
    with pytest.raises(UnknownRelease):
        await writes.rollback("acme", "churn", 0, 0, ACTOR)


async def test_a_model_that_was_never_released_has_no_history(fleet):
    await fleet.raw.put(KEYS.version("acme", "churn", 1), encode(version(1)))
    with pytest.raises(UnknownRelease):
        await releases(fleet.raw, NEW).history("acme", "churn")


async def test_what_was_kept_goes_with_the_model(fleet, client):
    await client.publish("acme", "churn", artifact("1"), release_if_first=True)
    await client.set_release(release("acme", "churn", (1, 10_000), expected=1))
    assert (await fleet.raw.range(KEYS.old_releases("acme", "churn"))).items
    await client.delete_model("acme", "churn")
    assert not (await fleet.raw.range(KEYS.old_releases("acme", "churn"))).items
