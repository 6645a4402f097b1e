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

from croupier.errors import FailedPrecondition, InvalidRequest
from protos.versions.v1 import versions_pb2 as pb
from sharding.dealer import Dealer
from sharding.generation import InvalidGeneration, Override
from sharding.ramp import which
from version_manager.map.records import Active
from version_manager.model import wire
from version_manager.planning.planner import ASSUMED_LOADS_PER_SECOND, NoRates
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


def heavy(world, *tenants):
    world.ask(dict.fromkeys(tenants, 10000), more=1_000)


async def test_pins_are_proposed_from_rates_and_change_nothing():
    world = PlannedWorld(even(8, 2, 2), TENANTS[:200])
    with pytest.raises(NoRates):
        await world.planner.optimize(pb.OptimizeShardsRequest())
    # All on one cell, by chance.
    cell = even(8, 2, 2).seats[0].cell
    unlucky = [name for name in TENANTS[:200] if cell in Dealer(even(8, 2, 2)).hand(name)][:4]
    heavy(world, *unlucky)
    told = await world.planner.optimize(pb.OptimizeShardsRequest())
    assert (told.active, told.balance_after < told.balance_before) == (1, True)
    assert {*told.overrides} <= {*unlucky}
    rules = {tenant: Override(tuple(rule.pins)) for tenant, rule in told.overrides.items()}
    after = replace(even(8, 2, 2), overrides=rules)
    plan = await world.planner.plan(request(after, 1))
    assert (plan.balance_before, plan.balance_after) == (told.balance_before, told.balance_after)
    assert len((await world.planner.optimize(pb.OptimizeShardsRequest(most=1))).overrides) <= 1
    with pytest.raises(InvalidRequest):
        await world.planner.optimize(pb.OptimizeShardsRequest(most=257))


async def test_what_breaks_may_be_cells_a_zone_a_hand_or_poison():
    world = PlannedWorld(even(), TENANTS[:300])
    hand = Dealer(even()).hand("tenant-7")
    by_tenant = await world.planner.blast(pb.GetBlastRequest(tenant="tenant-7"))
    by_cells = await world.planner.blast(pb.GetBlastRequest(cells=hand))
    assert [*by_tenant.cells] == [*by_cells.cells] == sorted(hand)
    # It is hurt itself where it is not the culprit.
    assert by_cells.whole == by_tenant.whole + 1
    assert "tenant-7" in by_cells.whole_tenants
    zone = await world.planner.blast(pb.GetBlastRequest(zone="zone-1"))
    assert (len(zone.cells), zone.whole, zone.partial, zone.generation) == (16, 0, 300, 1)
    assert zone.expected_partial == pytest.approx(300)
    poison = await world.planner.blast(pb.GetBlastRequest(poison=2))
    assert 0 < poison.partial <= poison.worst_partial <= 298
    stranger = await world.planner.blast(pb.GetBlastRequest(tenant="stranger"))
    assert [*stranger.cells] == sorted(Dealer(even()).hand("stranger"))


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (pb.GetBlastRequest(), ""),
        (pb.GetBlastRequest(zone="zone-1", poison=1), ""),
        (pb.GetBlastRequest(cells=["cell-000", "cell-999"]), "cells"),
        (pb.GetBlastRequest(zone="zone-9"), "zone"),
        (pb.GetBlastRequest(tenant="a/b"), "tenant"),
        (pb.GetBlastRequest(poison=20), "poison"),
        (pb.GetBlastRequest(poison=1_001), "poison"),
    ],
)
async def test_what_cannot_break_is_refused(asked, field):
    with pytest.raises(InvalidRequest) as refused:
        await PlannedWorld(even(), TENANTS[:20]).planner.blast(asked)
    assert refused.value.field == field


async def test_who_is_on_a_cell_is_told_by_the_generation_that_deals_to_each():
    """While a ramp runs, by one or by the other."""
    before, after = even(), replace(draining(even(), "cell-003"), number=2)
    world = PlannedWorld(before, TENANTS[:500])
    on_it = {name for name in TENANTS[:500] if "cell-003" in Dealer(before).hand(name)}

    async def told():
        found = await world.planner.cell_tenants(pb.ListCellTenantsRequest(cell="cell-003", top=1_000))
        assert found.tenants_total == len(found.tenants)
        return {one.tenant for one in found.tenants}

    assert await told() == on_it
    for ramp in (0, 5_000, 9_000, 10_000):
        world.serve(after, before, pointer=Active(2, 1, ramp=ramp))
        left = {
            name for name in on_it if which(Dealer(after), Dealer(before), ramp, name).generation is before
        }
        assert await told() == left
        assert (len(left) == len(on_it), bool(left)) == (ramp == 0, ramp < 10_000)


async def test_a_cell_without_a_seat_has_nobody_to_tell_of():
    world = PlannedWorld(even(), TENANTS[:50])
    with pytest.raises(InvalidRequest, match="cell-999 has no seat"):
        await world.planner.cell_tenants(pb.ListCellTenantsRequest(cell="cell-999"))
    with pytest.raises(InvalidRequest):
        await world.planner.cell_tenants(pb.ListCellTenantsRequest(cell="cell-000", top=1_001))
    told = await world.planner.cell_tenants(pb.ListCellTenantsRequest(cell="cell-000"))
    assert (told.generation, len(told.tenants)) == (1, told.tenants_total)
    with pytest.raises(UnknownGeneration):
        await PlannedWorld(None, ()).planner.blast(pb.GetBlastRequest(zone="zone-1"))


async def test_a_catalog_that_moves_on_is_looked_at_anew():
    world = PlannedWorld(even(), TENANTS[:50])
    assert (await world.planner.blast(pb.GetBlastRequest(zone="zone-1"))).tenants == 50
    world.mirror.map = PlannedWorld(even(), TENANTS[:60]).mirror.map
    assert (await world.planner.blast(pb.GetBlastRequest(zone="zone-1"))).tenants == 60
    world.serve(resized(even(), 8), even())
    assert (await world.planner.blast(pb.GetBlastRequest(zone="zone-1"))).generation == 2


async def test_the_rest_is_told_through_the_api(client):
    for number in range(4):
        await client.publish(f"tenant-{number}", "churn", artifact(str(number)), release_if_first=True)
    await client.set_generation(generation("a", "b"), 0)
    told = await client.list_cell_tenants(pb.ListCellTenantsRequest(cell="a"))
    assert [(one.models, one.size) for one in told.tenants] == [(1, 2)] * 4
    blast = await client.get_blast(pb.GetBlastRequest(cells=["a"]))
    assert (blast.whole, blast.partial, blast.tenants) == (0, 4, 4)
    with pytest.raises(FailedPrecondition) as refused:
        await client.optimize_shards()
    assert refused.value.reason == "NO_RATES"
