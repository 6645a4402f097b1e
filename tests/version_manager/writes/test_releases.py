"""Releases against each other, against what others left in etcd, and behind cells that load first."""

import asyncio

import pytest
from support.manager import artifact, release
from support.records import KEYS, version
from support.writers import ACTOR, releases

from croupier.errors import Conflict, FailedPrecondition, InvalidRequest
from croupier.stores.etcd import Etcd, EtcdConfig
from version_manager.cells.warming import NotWarm
from version_manager.map.records import encode
from version_manager.model.catalog import UnknownModel
from version_manager.model.release import Release, Split, Version
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
        wanted = Release(0, (Split(1, 10_000),), {"canary": 1})
        made = await releases(etcd).set("acme", "churn", wanted, 0, ACTOR)
        assert made == Release(3, wanted.splits, wanted.labels)


async def test_a_change_that_never_gets_through_is_a_conflict(fleet):
    config = EtcdConfig((fleet.etcd.endpoint,))
    async with Interfering(config, 99, KEYS.release("acme", "churn")) as etcd:
        await etcd.put(KEYS.version("acme", "churn", 1), encode(Version(1, bytes(32), 1, "onnx")))
        with pytest.raises(TooManyWriters):
            await releases(etcd).set("acme", "churn", Release(0, (Split(1, 10_000),)), 0, ACTOR)


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


def whole_of(number, **labels):
    return Release(0, (Split(number, 10_000),), labels)


async def test_cells_load_what_is_new_before_anybody_is_sent_to_it(etcd):
    cells = Cells()
    writes = releases(etcd, warm=cells)
    await writes.set("acme", "churn", whole_of(1, canary=2), 1, ACTOR)
    await writes.set("acme", "churn", whole_of(2), 2, ACTOR)
    assert cells.asked == [("acme", [2]), ("acme", [])]


async def test_what_cells_did_not_load_is_not_served_unless_nobody_waits(etcd):
    writes = releases(etcd, warm=Cells(2))
    with pytest.raises(NotWarm):
        await writes.set("acme", "churn", whole_of(2), 1, ACTOR)
    assert (await writes._models.read("acme", "churn")).release.number == 1
    made = await writes.set("acme", "churn", whole_of(2), 1, ACTOR, skip_warming=True)
    assert made == Release(2, (Split(2, 10_000),))


async def test_cells_load_nothing_for_what_will_be_refused(etcd):
    cells = Cells()
    writes = releases(etcd, warm=cells)
    with pytest.raises(Conflict) as stale:
        await writes.set("acme", "churn", whole_of(2), 7, ACTOR)
    assert (stale.value.reason, stale.value.metadata) == ("STALE_RELEASE", {"current": "1"})
    with pytest.raises(InvalidRequest):
        await writes.set("acme", "churn", whole_of(9), 1, ACTOR)
    with pytest.raises(UnknownModel):
        await writes.set("acme", "nothing", whole_of(1), 0, ACTOR)
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
    made = await releases(etcd).set("acme", "churn", whole_of(2), 1, ACTOR)
    assert made.number == 9


async def test_a_release_of_more_versions_than_a_transaction_compares_is_refused(etcd):
    many = Release(0, tuple(Split(number, 1) for number in range(1, 102)))
    with pytest.raises(InvalidRequest, match="at most 100 versions") as refused:
        await releases(etcd).set("acme", "churn", many, 1, ACTOR)
    assert refused.value.field == "splits"
