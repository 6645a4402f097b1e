"""Plans as operators ask for them: what they count is what then happens, and what is refused."""

import asyncio
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.generations import EVERYBODY, TENANTS, draining, even, maps, resized, without
from support.manager import artifact, cell_report, generation, joined
from support.planning import PlannedWorld

from croupier.errors import InvalidRequest
from protos.versions.v1 import versions_pb2 as pb
from sharding.dealer import Dealer
from sharding.generation import InvalidGeneration
from version_manager.model import wire
from version_manager.planning.planner import ASSUMED_LOADS_PER_SECOND
from version_manager.writes.pointer import StaleGeneration, UnknownGeneration

NAMES = (*EVERYBODY, *TENANTS[:40])


def request(after, expected=1, *named, **fields):
    return pb.PlanGenerationRequest(
        generation=wire.generation_to_pb(after), expected_number=expected, named_cells=named, **fields
    )


@settings(max_examples=20, deadline=None)
@given(st.lists(maps(), min_size=2, max_size=4))
def test_what_a_plan_counts_is_what_then_happens(steps):
    """Over any edits, one after the other: tenant by tenant, as each of them is dealt before and after."""
    steps = [replace(step, number=number, seed=7) for number, step in enumerate(steps, 1)]
    world = PlannedWorld(steps[0], NAMES)

    async def follow():
        for before, after in pairwise(steps):
            told = await world.planner.plan(request(after, before.number))
            _compare(told, before, after)
            world.serve(after, before)
        world.planner.close()

    asyncio.run(follow())


def _compare(told, before, after):
    old, new = Dealer(before), Dealer(after)
    hands = {name: ({*old.hand(name)}, {*new.hand(name)}) for name in NAMES}
    moved = {name: (a - b, b - a) for name, (a, b) in hands.items() if a != b}
    assert (told.active, told.tenants, told.slots) == (
        before.number,
        len(NAMES),
        sum(len(a) for a, _ in hands.values()),
    )
    assert told.tenants_moved == len(moved) == len(told.moves)
    assert {one.tenant: ({*one.lost}, {*one.gained}) for one in told.moves} == moved
    assert told.slots_moved == sum(max(map(len, one)) for one in moved.values())
    gained = Counter(cell for _, cells in moved.values() for cell in cells)
    lost = Counter(cell for cells, _ in moved.values() for cell in cells)
    assert {one.cell: one.gained for one in told.cells if one.gained} == gained
    assert {one.cell: one.lost for one in told.cells if one.lost} == lost
    counts = Counter(cell for _, cells in hands.values() for cell in cells)
    assert all(one.slots_after == counts[one.cell] for one in told.cells)
    assert told.stranded_total == sum(1 for _, cells in hands.values() if not cells)


async def test_a_change_is_refused_that_moves_more_than_it_names():
    world = PlannedWorld(even(), TENANTS[:500])
    told = await world.planner.plan(request(draining(even(), "cell-003"), 1, "cell-003"))
    assert (list(told.refusals), list(told.changes), told.changes_total) == (
        [],
        ["~ seat cell-003 in zone-3 → cell-003 in zone-3, draining"],
        1,
    )
    told = await world.planner.plan(request(resized(even(), 8), 1, "cell-003"))
    assert told.slots_moved == 2_000
    (why,) = told.refusals
    assert why.startswith("it moves 2000 slots; the cells that it names have ")


async def test_the_first_generation_moves_nobody_away():
    told = await PlannedWorld(None, TENANTS[:50]).planner.plan(request(even(), 0))
    assert (told.active, told.tenants_moved, told.slots, list(told.refusals)) == (0, 50, 0, [])
    assert (told.balance_before, len(told.overlap_after) > 0) == (0, True)


async def test_without_tenants_there_is_nothing_to_move():
    told = await PlannedWorld(even(), ()).planner.plan(request(without(even(), "cell-003")))
    assert (told.tenants, told.slots, told.slots_moved, told.cold_loads, list(told.refusals)) == (
        0,
        0,
        0,
        0,
        [],
    )
    assert told.changes_total == 1


async def test_loads_are_those_of_rates_where_routers_tell_them():
    world = PlannedWorld(even(), ("acme", "globex"))
    told = await world.planner.plan(request(even(cells=60)))
    assert not told.by_rates
    world.ask({"acme": 400}, more=40)
    told = await world.planner.plan(request(draining(even(), Dealer(even()).hand("acme")[0])))
    assert told.by_rates
    assert told.moves[0].tenant == "acme"
    (lost,) = [one for one in told.cells if one.lost]
    assert lost.load_before == pytest.approx(10)


async def test_warming_takes_as_long_as_cells_took_lately():
    world = PlannedWorld(even(4, 4, 1), TENANTS[:400])
    after = draining(even(4, 4, 1), "cell-003")
    told = await world.planner.plan(request(after))
    most = max(one.cold_loads for one in told.cells)
    assert told.warming_seconds == pytest.approx(most / ASSUMED_LOADS_PER_SECOND)
    assert told.cold_bytes == pytest.approx(100 * told.cold_loads)
    world.serve(even(4, 4, 1), cells={"cell-000": None, "cell-001": None})
    world.works = {
        "cell-000": pb.Work(loaded=30, load_seconds=3.0),
        "cell-001": pb.Work(loaded=10, load_seconds=1),
    }
    assert (await world.planner.plan(request(after))).warming_seconds == pytest.approx(most / 10)


async def test_the_content_of_an_older_generation_is_planned_under_the_seed_of_today():
    first, second = even(), replace(resized(even(), 6), seed=9)
    world = PlannedWorld(first, TENANTS[:50])
    world.serve(second, first)
    told = await world.planner.plan(pb.PlanGenerationRequest(expected_number=2, rollback_to=1))
    assert list(told.changes) == ["hand size: 6 → 4"]
    assert told.slots_moved == 100
    with pytest.raises(UnknownGeneration):
        await world.planner.plan(pb.PlanGenerationRequest(expected_number=2, rollback_to=7))


async def test_what_cannot_deal_is_not_planned():
    world = PlannedWorld(even(), TENANTS[:5])
    with pytest.raises(StaleGeneration) as stale:
        await world.planner.plan(request(even(), 7))
    assert stale.value.metadata["current"] == "1"
    with pytest.raises(InvalidGeneration) as other:
        await world.planner.plan(request(replace(even(), seed=8)))
    assert other.value.field == "seed"
    with pytest.raises(InvalidGeneration):
        await world.planner.plan(request(even(0)))
    with pytest.raises(InvalidRequest, match="cell-999 has a seat neither before nor after"):
        await world.planner.plan(request(even(), 1, "cell-999"))


async def test_a_plan_through_the_api_is_what_then_happens(client):
    for number in range(6):
        await client.publish(f"tenant-{number}", "churn", artifact(str(number)), release_if_first=True)
    await client.set_generation(generation("a", "b", "c"), 0)
    async with joined(client, cell_report("a")):
        wanted = generation("b", "c", "d")
        told = await client.plan_generation(
            pb.PlanGenerationRequest(generation=wanted, expected_number=1, named_cells=["a", "d"])
        )
    assert (told.tenants, told.slots, list(told.refusals)) == (6, 12, [])
    before = {one.tenant: (await client.get_tenant(one.tenant)).hand for one in told.moves}
    await client.set_generation(wanted, 1)
    for one in told.moves:
        hand = (await client.get_tenant(one.tenant)).hand
        assert {*before[one.tenant]} - {*hand} == {*one.lost}
        assert {*hand} - {*before[one.tenant]} == {*one.gained}
    assert len(told.moves) == told.tenants_moved > 0
