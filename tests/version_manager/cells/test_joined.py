"""What a cell's record in etcd outlives: harm, a frozen map, a lost lease, a manager that stops."""

import asyncio

import pytest
from support.manager import Fleet, JoinedCell, artifact, cell_report, joined, listed, until_listed
from support.records import KEYS
from support.waiting import eventually

from croupier.errors import (
    Conflict,
    CroupierError,
    FailedPrecondition,
    Unavailable,
)
from croupier.stores.etcd import Delete, Put
from version_manager.cells.registry import Registry
from version_manager.map.mirror import Mirror
from version_manager.map.records import encode
from version_manager.model.fleet import Cell

KEY = "croupier/cells/cell-1"
PROTOCOL = f"{KEY}/protocol"


async def test_a_stopping_manager_leaves_its_cells_to_their_leases(fleet, client):
    cell = JoinedCell(client, cell_report("cell-1"))
    await anext(cell.answers)
    other = await fleet.start_manager()
    await until_listed(other, "cell-1")
    await fleet.stop_manager(0)
    with pytest.raises(CroupierError):
        await anext(cell.answers)
    assert (await fleet.raw.get(KEY)).lease
    assert (await listed(other)).keys() == {"cell-1"}
    async with joined(other, cell_report("cell-1")) as back:
        await back.say(cell_report("cell-1", used=3))
        assert (await listed(other))["cell-1"].load.used_bytes == 3


@pytest.mark.parametrize(
    "harm",
    [
        [Put(KEY, b"garbage")],
        [Put(KEY, b'{"zone": "z", "address": "127.0.0.1:1"}')],
        [Delete(KEY)],
        [Put(PROTOCOL, b"garbage")],
        [Delete(PROTOCOL)],
        [Delete(KEY), Delete(PROTOCOL)],
    ],
)
async def test_a_cell_whose_record_is_harmed_puts_it_again(fleet, client, harm):
    async with joined(client, cell_report("cell-1")) as cell:
        await until_listed(client, "cell-1")
        record, spoken = await fleet.raw.get(KEY), await fleet.raw.get(PROTOCOL)
        await fleet.raw.transact([], harm)

        async def is_put_again() -> bool:
            found = [await fleet.raw.get(key) for key in (KEY, PROTOCOL)]
            return [(one.value, one.lease) for one in found if one] == [
                (one.value, one.lease) for one in (record, spoken)
            ]

        await eventually(is_put_again)
        await until_listed(client, "cell-1")
        assert (await listed(client))["cell-1"].address == "127.0.0.1:9000"
        await cell.say(cell_report("cell-1", used=1))


async def test_a_record_is_put_again_while_the_map_is_frozen(fleet, client):
    for name in ("churn", "fraud", "spam"):
        await client.publish("acme", name, artifact())
    async with joined(client, cell_report("cell-1")):
        await until_listed(client, "cell-1")
        models = (await fleet.raw.range("croupier/models/")).items
        await fleet.raw.transact([], [*(Delete(pair.key) for pair in models), Delete(KEY)])

        async def is_put_again() -> bool:
            return await fleet.raw.get(KEY) is not None

        await eventually(is_put_again)
        await until_listed(client, "cell-1")
        with pytest.raises(FailedPrecondition):
            await client.publish("acme", "more", artifact())


async def test_a_record_that_is_harmed_over_and_over_is_put_again_at_a_pace(fleet):
    pause, pauses = asyncio.Event(), []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await pause.wait()

    mirror = Mirror(fleet.raw, KEYS)
    registry = Registry(fleet.raw, KEYS, sleep=sleep)
    tasks = [asyncio.create_task(work) for work in (mirror.run(), registry.follow(mirror))]
    await mirror.loaded()
    async with registry.join(Cell("cell-1", "a", "127.0.0.1:9000")) as session:

        async def is_whole() -> bool:
            found = await fleet.raw.get(KEY)
            return found is not None and found.value == encode(session.cell)

        await fleet.raw.put(KEY, b"1")
        await eventually(is_whole)
        for text in (b"2", b"3", b"4"):
            revision = await fleet.raw.put(KEY, text)
            assert await mirror.reached(revision, 10)
        assert (await fleet.raw.get(KEY)).value == b"4"
        assert pauses == [1.0]
        pause.set()
        await eventually(is_whole)
        session.check()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_cell_that_joined_elsewhere_is_told_at_once(fleet, client):
    other = await fleet.start_manager()
    old = JoinedCell(client, cell_report("cell-1", port=9001))
    await anext(old.answers)
    async with joined(other, cell_report("cell-1", port=9002)):
        with pytest.raises(Conflict) as superseded:
            await anext(old.answers)
        assert superseded.value.reason == "SUPERSEDED"
        assert b"9002" in (await fleet.raw.get(KEY)).value


@pytest.mark.system
async def test_a_lost_lease_is_renewed_when_etcd_is_back(tmp_path):
    async with Fleet(tmp_path, lease_seconds=1.0) as fleet:
        cell = JoinedCell(fleet.client, cell_report("cell-1"))
        await anext(cell.answers)
        lease = (await fleet.raw.get(KEY)).lease
        await fleet.etcd.wipe(new_cluster=False)

        async def is_back() -> bool:
            await cell.say(cell_report("cell-1"))
            found = await fleet.raw.get(KEY)
            return found is not None and found.lease not in {0, lease}

        await eventually(is_back)


async def test_no_cell_joins_without_etcd(fleet, client):
    fleet.etcd.sigstop()
    try:
        with pytest.raises(Unavailable):
            await anext(JoinedCell(client, cell_report("cell-1")).answers)
    finally:
        fleet.etcd.sigcont()
