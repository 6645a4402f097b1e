"""Cells that join, report, change state, fall silent, come back: on a real etcd, through real gRPC."""

import asyncio
import json
from contextlib import aclosing
from dataclasses import replace

import pytest
from support.manager import Fleet, JoinedCell, cell_report, joined, listed, until_listed
from support.records import KEYS
from support.waiting import eventually

from croupier.errors import (
    Conflict,
    CroupierError,
    DeadlineExceeded,
    InvalidRequest,
    NotFound,
)
from croupier.protocol import CURRENT, FIRST
from version_manager.cells.registry import Registry
from version_manager.model.fleet import Cell, CellState, Load

KEY = "croupier/cells/cell-1"


async def test_a_joined_cell_is_listed_until_its_stream_ends(fleet, client):
    cell = JoinedCell(client, cell_report("cell-1"))
    assert (await anext(cell.answers)).lease_seconds == 10
    await until_listed(client, "cell-1")
    record = await fleet.raw.get(KEY)
    assert json.loads(record.value) == {
        "zone": "zone-a",
        "address": "127.0.0.1:9000",
        "weight": 1.0,
        "state": "active",
    }
    assert record.lease
    cell.hang_up()
    assert [answer async for answer in cell.answers] == []
    await until_listed(client)
    assert await fleet.raw.get(KEY) is None


async def test_a_cell_that_announces_what_it_speaks_is_known_by_it(fleet, client):
    report = cell_report("cell-1")
    report.cell.protocol = CURRENT
    async with joined(client, report), aclosing(client.watch()) as events:
        async for event in events:
            if protocols := [cell.protocol for cell in (*event.chunk.cells, *event.delta.cells)]:
                break
        assert protocols == [CURRENT]
        assert (await listed(client))["cell-1"].protocol == CURRENT
        record, spoken = await fleet.raw.get(KEY), await fleet.raw.get(f"{KEY}/protocol")
        assert (json.loads(spoken.value), spoken.lease) == ({"protocol": CURRENT}, record.lease)
    await until_listed(client)
    assert not (await fleet.raw.range(KEY)).items


async def test_a_cell_of_the_release_before_joins_and_takes_back_what_a_newer_one_announced(client):
    newer = cell_report("cell-1")
    newer.cell.protocol = CURRENT
    before = JoinedCell(client, newer)
    await anext(before.answers)
    async with joined(client, cell_report("cell-1")):

        async def is_old() -> bool:
            return [cell.protocol for cell in (await listed(client)).values()] == [FIRST]

        await eventually(is_old)


async def test_a_cancelled_stream_leaves_too(client):
    cell = JoinedCell(client, cell_report("cell-1"))
    await anext(cell.answers)
    await until_listed(client, "cell-1")
    reading = asyncio.create_task(anext(cell.answers))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises((asyncio.CancelledError, CroupierError)):
        await reading
    await until_listed(client)


async def test_loads_are_listed_and_cost_etcd_nothing(fleet, client):
    async def is_announced() -> bool:
        return bool((await fleet.raw.range("croupier/managers/")).items)

    await eventually(is_announced)
    async with joined(client, cell_report("cell-1")) as cell:
        await until_listed(client, "cell-1")
        async with aclosing(client.watch(protocol=CURRENT)) as events:
            while (await anext(events)).WhichOneof("event") != "end":
                pass
            before = (await fleet.raw.range("croupier/")).revision
            for used in range(1, 20):
                await cell.say(cell_report("cell-1", used=used))
            assert (await listed(client))["cell-1"].load.used_bytes == 19
            assert (await anext(events)).WhichOneof("event") == "heartbeat"
        assert (await fleet.raw.range("croupier/")).revision == before


async def test_a_quarantined_artifact_is_lifted_at_the_cells_that_report_it(client):
    artifact, other = bytes(32), bytes([1]) * 32
    report = cell_report("cell-1")
    report.cell.load.quarantined.add(artifact=artifact, why="SIGSEGV", phase="score")
    async with joined(client, report) as sick, joined(client, cell_report("cell-2")) as well:
        await until_listed(client, "cell-1", "cell-2")
        assert (await listed(client))["cell-1"].load.quarantined[0].why == "SIGSEGV"
        with pytest.raises(NotFound, match="reports"):
            await client.lift_quarantine(other)
        with pytest.raises(NotFound, match="cell-3"):
            await client.lift_quarantine(artifact, "cell-3")
        with pytest.raises(InvalidRequest):
            await client.lift_quarantine(b"short")
        assert await client.lift_quarantine(artifact) == ["cell-1"]
        assert await client.lift_quarantine(other, "cell-2") == ["cell-2"]
        assert (await sick.say(report)).lift == [artifact]
        assert (await sick.say(report)).lift == []
        assert (await well.say(cell_report("cell-2"))).lift == [other]


async def test_a_new_state_is_written_and_watched(fleet, client):
    async with joined(client, cell_report("cell-1")) as cell:
        await cell.say(cell_report("cell-1", state="draining", used=5))
        record = await fleet.raw.get(KEY)
        assert json.loads(record.value)["state"] == "draining"
        assert record.lease

        async def is_draining() -> bool:
            return (await listed(client))["cell-1"].state == "draining"

        await eventually(is_draining)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"id": ""}, "id"),
        ({"id": "../x"}, "id"),
        ({"id": "a\0b"}, "id"),
        ({"zone": ""}, "zone"),
        ({"address": ""}, "address"),
        ({"address": "here"}, "address"),
        ({"weight": 0.0}, "weight"),
        ({"weight": float("nan")}, "weight"),
        ({"state": "asleep"}, "state"),
    ],
)
async def test_a_cell_that_describes_itself_wrongly_is_refused(fleet, client, change, field):
    request = cell_report("cell-1")
    for name, value in change.items():
        setattr(request.cell, name, value)
    with pytest.raises(InvalidRequest) as refused:
        await anext(JoinedCell(client, request).answers)
    assert refused.value.field == field
    assert not await fleet.kept()


async def test_a_wrong_state_later_ends_the_stream(client):
    cell = JoinedCell(client, cell_report("cell-1"))
    await anext(cell.answers)
    with pytest.raises(InvalidRequest):
        await cell.say(cell_report("cell-1", state="asleep"))
    await until_listed(client)


async def test_a_stream_without_a_message_is_refused(client):
    async def nothing():
        return
        yield

    with pytest.raises(InvalidRequest):
        await anext(client.join(nothing()))


async def test_a_silent_cell_is_taken_for_gone(tmp_path):
    async with Fleet(tmp_path, lease_seconds=0.5) as fleet:
        cell = JoinedCell(fleet.client, cell_report("cell-1"))
        await anext(cell.answers)
        await until_listed(fleet.client, "cell-1")
        with pytest.raises(DeadlineExceeded) as gone:
            await anext(cell.answers)
        assert gone.value.reason == "CELL_SILENT"
        await until_listed(fleet.client)
        silent = JoinedCell(fleet.client, cell_report("cell-1"))
        silent._reports.get_nowait()
        with pytest.raises(DeadlineExceeded):
            await anext(silent.answers)


async def test_the_newest_join_of_an_id_wins(fleet, client):
    old = JoinedCell(client, cell_report("cell-1", port=9001))
    await anext(old.answers)
    async with joined(client, cell_report("cell-1", port=9002)):
        with pytest.raises(Conflict) as superseded:
            await anext(old.answers)
        assert superseded.value.reason == "SUPERSEDED"
        assert b"9002" in (await fleet.raw.get(KEY)).value

        async def is_new() -> bool:
            return (await listed(client))["cell-1"].address == "127.0.0.1:9002"

        await eventually(is_new)


async def test_a_cell_moves_to_another_manager(fleet, client):
    other = await fleet.start_manager()
    old = JoinedCell(client, cell_report("cell-1", port=9001))
    await anext(old.answers)
    async with joined(other, cell_report("cell-1", port=9002)):
        # The old stream finds out when it has to write; its end takes nothing away.
        with pytest.raises(Conflict):
            await old.say(cell_report("cell-1", state="draining", port=9001))
        await until_listed(client, "cell-1")
        assert b"9002" in (await fleet.raw.get(KEY)).value


async def test_a_cell_reports_to_a_manager_that_it_is_not_joined_to(fleet, client):
    other = await fleet.start_manager()
    artifact = bytes(32)
    async with joined(client, cell_report("cell-1")) as cell:
        await until_listed(other, "cell-1")
        record = await fleet.raw.get(KEY)
        reporting = JoinedCell(other, cell_report("cell-1", used=5), method="report")
        assert (await anext(reporting.answers)).lease_seconds == 10
        assert (await listed(other))["cell-1"].load.used_bytes == 5
        sick = cell_report("cell-1", state="draining", used=6)
        sick.cell.load.quarantined.add(artifact=artifact)
        assert not (await reporting.say(sick)).lift
        assert (await listed(other))["cell-1"].load.used_bytes == 6
        # What is said here is told by the manager that the cell is joined to, or not at all.
        assert (await listed(other))["cell-1"].state == "active"
        assert await other.lift_quarantine(artifact) == ["cell-1"]
        assert (await reporting.say(sick)).lift == [artifact]
        assert await fleet.raw.get(KEY) == record
        await cell.say(cell_report("cell-1", used=7))
        reporting.hang_up()
        assert [answer async for answer in reporting.answers] == []
        # It may be about to join here.
        assert (await listed(other))["cell-1"].load.used_bytes == 6
        assert await fleet.raw.get(KEY) == record


async def test_a_cell_that_only_reports_is_not_registered(fleet, client):
    reporting = JoinedCell(client, cell_report("cell-1"), method="report")
    await anext(reporting.answers)
    assert await listed(client) == {}
    again = JoinedCell(client, cell_report("cell-1"), method="report")
    await anext(again.answers)
    with pytest.raises(Conflict):
        await anext(reporting.answers)
    again.hang_up()
    async for _ in again.answers:
        pass


async def test_a_cell_joins_where_it_only_reported(client):
    reporting = JoinedCell(client, cell_report("cell-1", used=1), method="report")
    await anext(reporting.answers)
    async with joined(client, cell_report("cell-1", used=2)):
        await until_listed(client, "cell-1")
        assert (await listed(client))["cell-1"].load.used_bytes == 2
        reporting.hang_up()
        async for _ in reporting.answers:
            pass
        assert (await listed(client))["cell-1"].load.used_bytes == 2


async def test_a_load_is_believed_for_a_lease_after_its_stream_ended(fleet):
    now = 100.0
    registry = Registry(fleet.raw, KEYS, lease_seconds=10.0, clock=lambda: now)
    cells = [Cell(f"cell-{n}", "zone-a", "127.0.0.1:9000", 1.0, CellState.ACTIVE, Load()) for n in range(3)]
    load = Load(capacity_bytes=5)
    for cell in cells[:2]:
        async with registry.listen(cell) as listener:
            await listener.report(CellState.DRAINING, load)
    # As another manager has it, or this one from the stream that comes next, but for the load.
    assert registry.with_load(cells[0]) == replace(cells[0], load=load)
    now = 105.0
    async with registry.listen(cells[0]):
        assert registry.with_load(cells[0]) == cells[0]
    now = 110.0
    assert registry.with_load(cells[1]) == cells[1]
    async with registry.listen(cells[2]):
        pass
    # Whoever comes no more is forgotten, not only disbelieved.
    assert set(registry._silent) == {"cell-0", "cell-2"}


async def test_a_cell_that_is_warming_drains_in_etcd_and_says_what_it_is_to_who_asks(fleet, client):
    report = cell_report("cell-1", state="draining")
    report.cell.warming = True
    async with joined(client, report):
        await until_listed(client, "cell-1")
        (listed_cell,) = await client.list_cells()
        assert (listed_cell.state, listed_cell.warming) == ("draining", True)
        assert json.loads((await fleet.raw.get(KEY)).value)["state"] == "draining"


@pytest.mark.parametrize(
    ("state", "is_leaving", "gone"),
    [(CellState.ACTIVE, False, ["cell-1"]), (CellState.ACTIVE, True, []), (CellState.DRAINING, False, [])],
)
async def test_a_cell_that_goes_without_a_word_is_told_once(fleet, state, is_leaving, gone):
    registry = Registry(fleet.raw, KEYS)
    async with registry.join(Cell("cell-1", "a", "127.0.0.1:9000", state=state)) as session:
        session.hear(state, is_leaving=is_leaving)
        assert registry.joined == [session]
        assert registry.take_gone() == []
    assert registry.take_gone() == gone
    assert registry.take_gone() == []
    await registry.close()
