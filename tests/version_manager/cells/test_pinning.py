"""Sweeps over fake cells behind real connections, on a clock of the test's own."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from support.manager import artifact, cell_report, joined, release
from support.manager import generation as generation_to_pb
from support.records import KEYS, version, whole
from support.waiting import eventually

from croupier.errors import FailedPrecondition
from croupier.items import item_status
from croupier.transport.client import Channel
from croupier.transport.serving import Server
from protos.cell.v1 import cell_pb2 as pb
from protos.versions.v1 import versions_pb2
from sharding.generation import Generation, Override, Seat
from version_manager.cells.pinning import Pinning
from version_manager.map.image import Map
from version_manager.map.records import Active
from version_manager.model.catalog import Catalog
from version_manager.model.fleet import Cell, CellState
from version_manager.model.release import Model
from version_manager.model.residency import ResidencyRule

A, B, C = (bytes([number]) * 32 for number in (1, 2, 3))


class FakeCell:
    """Keeps what it is told; `failing` artifacts do not load, `refused` groups get no floor."""

    def __init__(self, cell_id):
        self.id = cell_id
        self.pinned, self.floors, self.calls = set(), {}, 0
        self.failing, self.refused = set(), set()
        self.server = Server()
        self.server.add_unary("/croupier.cell.v1.Cell/Warm", self.warm)
        self.server.add_unary("/croupier.cell.v1.Cell/Unpin", self.unpin)
        self.address = ""

    async def warm(self, data, context):
        request = pb.WarmRequest.FromString(data)
        self.calls += 1
        if request.group in self.refused:
            raise FailedPrecondition("pins and floors would keep too much")
        self.floors[request.group] = request.floor_bytes
        assert request.pin or not request.artifacts
        self.pinned |= set(request.artifacts) - self.failing
        return pb.WarmResponse(
            artifacts=[
                pb.Warmed(
                    artifact=digest, state=pb.Warmed.FAILED, status=item_status(FailedPrecondition("bad"))
                )
                if digest in self.failing
                else pb.Warmed(artifact=digest, state=pb.Warmed.RESIDENT)
                for digest in request.artifacts
            ]
        ).SerializeToString()

    async def unpin(self, data, context):
        self.calls += 1
        self.pinned -= set(pb.UnpinRequest.FromString(data).artifacts)
        return b""

    def restart(self):
        self.pinned, self.floors = set(), {}


class World:
    """Cells `a` and `b`; acme is dealt `a` alone, others both. `churn` 1 and `fraud` 2 are released."""

    def __init__(self, cells):
        self.now = 0.0
        self.revisions = dict.fromkeys((KEYS.cell(cell.id) for cell in cells), 1)
        models = [
            Model("acme", name, {n: version(n) for n in (1, 2, 3)}, whole(number))
            for name, number in (("churn", 1), ("fraud", 2))
        ]
        models.append(Model("beta", "churn", {1: version(1)}, whole(1)))
        self.map = Map(
            Catalog.build("", 1, models),
            {cell.id: Cell(cell.id, "zone", cell.address) for cell in cells},
            (dealt_to("a"),),
            {},
        )
        self.pinning = Pinning(self, KEYS, lambda cell: Channel(cell.address), lambda: self.now)

    def mod_revision(self, key):
        return self.revisions.get(key, 0)

    def keep(self, **residencies):
        self.map = replace(self.map, residencies=residencies)

    async def sweep(self):
        return await self.pinning.sweep()


def dealt_to(cell, number=1):
    seats = tuple(Seat(name, name) for name in "ab")
    excluded = tuple(name for name in "ab" if name != cell)
    return Generation(number, 7, 2, seats, {"acme": Override((cell,), excluded, 1, "")})


@asynccontextmanager
async def worlds():
    cells = [FakeCell("a"), FakeCell("b")]
    try:
        for cell in cells:
            cell.address = await cell.server.start("127.0.0.1:0", [])
        yield World(cells), *cells
    finally:
        for cell in cells:
            await cell.server.stop(0)


async def test_the_cells_of_the_hand_keep_what_the_record_says_and_are_told_once():
    async with worlds() as (world, a, b):
        world.keep(acme=ResidencyRule(10, ("churn", "fraud")), beta=ResidencyRule(20))
        await world.sweep()
        assert (a.pinned, a.floors) == ({A, B}, {"acme": 10, "beta": 20})
        assert (b.pinned, b.floors) == (set(), {"beta": 20})
        calls = a.calls, b.calls
        assert await world.sweep() == 300.0
        assert (a.calls, b.calls) == calls


async def test_nothing_is_told_without_records_or_without_a_generation():
    async with worlds() as (world, a, b):
        await world.sweep()
        world.keep(acme=ResidencyRule(10, ("churn",)))
        world.map = replace(world.map, generations=())
        await world.sweep()
        assert a.calls == b.calls == 0


async def test_what_is_no_longer_wanted_goes():
    async with worlds() as (world, a, _):
        world.keep(acme=ResidencyRule(10, ("churn", "fraud")), beta=ResidencyRule(0, ("churn",)))
        await world.sweep()
        world.keep(acme=ResidencyRule(0, ("fraud",)), beta=ResidencyRule(0, ("churn",)))
        await world.sweep()
        # Beta's churn is the same artifact.
        assert (a.pinned, a.floors) == ({A, B}, {"acme": 0, "beta": 0})
        world.keep()
        await world.sweep()
        assert a.pinned == set()


async def test_a_release_moves_the_pin():
    async with worlds() as (world, a, _):
        world.keep(acme=ResidencyRule(0, ("churn", "unknown")))
        await world.sweep()
        model = replace(world.map.catalog.get("acme", "churn"), release=whole(3, 2, canary=2))
        world.map = replace(world.map, catalog=Catalog.build("", 2, [model]))
        await world.sweep()
        assert a.pinned == {B, C}


async def test_another_generation_moves_pins_and_floors():
    async with worlds() as (world, a, b):
        world.keep(acme=ResidencyRule(10, ("churn",)))
        await world.sweep()
        world.map = replace(world.map, generations=(dealt_to("b", 2),))
        await world.sweep()
        assert (a.pinned, a.floors) == (set(), {"acme": 0})
        assert (b.pinned, b.floors) == ({A}, {"acme": 10})


async def test_while_a_generation_takes_over_the_cells_of_both_hands_keep_it():
    async with worlds() as (world, a, b):
        world.keep(acme=ResidencyRule(10, ("churn",)))
        both = dealt_to("b", 2), dealt_to("a")
        world.map = replace(world.map, generations=both, pointer=Active(2, 1, ramp=1))
        await world.sweep()
        assert (a.pinned, b.pinned) == ({A}, {A})
        world.map = replace(world.map, pointer=Active(2, 1))
        await world.sweep()
        assert (a.pinned, b.pinned) == (set(), {A})


async def test_a_cell_that_joins_again_is_told_again():
    async with worlds() as (world, a, _):
        world.keep(acme=ResidencyRule(10, ("churn",)))
        await world.sweep()
        a.restart()
        world.revisions[KEYS.cell("a")] = 2
        await world.sweep()
        assert (a.pinned, a.floors) == ({A}, {"acme": 10})
        a.restart()
        before = world.map
        drained = replace(before.cells["a"], state=CellState.DRAINING)
        world.map = replace(before, cells=before.cells | {"a": drained})
        await world.sweep()
        assert a.pinned == set()
        world.map = before
        await world.sweep()
        assert a.pinned == {A}


async def test_a_manager_that_starts_unpins_what_the_record_does_not_name():
    async with worlds() as (world, a, _):
        a.pinned = {A, C}
        world.keep(acme=ResidencyRule(0, ("fraud",)))
        await world.sweep()
        assert a.pinned == {B}


async def test_what_a_cell_lost_is_told_again_in_time():
    async with worlds() as (world, a, _):
        world.keep(acme=ResidencyRule(10, ("churn",)))
        await world.sweep()
        a.restart()
        world.now = 299.0
        await world.sweep()
        assert a.pinned == set()
        world.now = 300.0
        await world.sweep()
        assert (a.pinned, a.floors) == ({A}, {"acme": 10})


async def test_a_failure_is_tried_again_with_back_off_and_keeps_nobody_else_waiting(caplog):
    async with worlds() as (world, a, b):
        a.failing, b.refused = {A}, {"beta"}
        world.keep(acme=ResidencyRule(10, ("churn", "fraud")), beta=ResidencyRule(20))
        assert await world.sweep() == 1.0
        assert (a.pinned, a.floors) == ({B}, {"acme": 10, "beta": 20})
        assert "tenant acme: bad" in caplog.text
        assert "tenant beta: pins and floors" in caplog.text
        for pause, due in ((1.0, 2.0), (2.0, 4.0), (4.0, 8.0)):
            calls = a.calls
            await world.sweep()
            assert a.calls == calls
            world.now += pause
            assert await world.sweep() == due
            assert a.calls > calls
        for _ in range(10):
            world.now += 60.0
            await world.sweep()
        assert await world.sweep() <= 60.0
        a.failing.clear()
        world.now += 60.0
        await world.sweep()
        assert a.pinned == {A, B}


async def test_another_record_does_not_wait_for_the_back_off():
    async with worlds() as (world, a, _):
        a.refused = {"acme"}
        world.keep(acme=ResidencyRule(10**18, ("churn",)))
        await world.sweep()
        a.refused = set()
        world.keep(acme=ResidencyRule(10, ("churn",)))
        await world.sweep()
        assert (a.pinned, a.floors) == ({A}, {"acme": 10})


async def test_a_cell_that_is_away_is_tried_again():
    async with worlds() as (world, a, b):
        await a.server.stop(0)
        world.keep(acme=ResidencyRule(10, ("churn",)), beta=ResidencyRule(20))
        assert await world.sweep() == 1.0
        assert b.floors == {"beta": 20}


async def test_what_may_have_ended_a_cell_is_asked_of_no_other_for_a_minute():
    async def die(reader, writer):
        await reader.read(1)
        writer.transport.abort()

    async with worlds() as (world, _, b), await asyncio.start_server(die, "127.0.0.1", 0) as dying:
        address = "{}:{}".format(*dying.sockets[0].getsockname())
        ended = replace(world.map.cells["a"], address=address)
        world.map = replace(world.map, cells={"a": ended, "b": world.map.cells["b"]})
        world.keep(beta=ResidencyRule(20, ("churn",)), gamma=ResidencyRule(30))
        await world.sweep()
        assert (b.pinned, b.floors) == (set(), {"beta": 20, "gamma": 30})
        world.map = replace(world.map, cells={"b": world.map.cells["b"]})
        world.now = 59.0
        await world.sweep()
        assert b.pinned == set()
        world.now = 120.0
        await world.sweep()
        assert b.pinned == {A}


@pytest.mark.parametrize("restarts", [False, True])
async def test_a_manager_has_its_cells_pin(fleet, client, restarts):
    cell = FakeCell("a")
    cell.address = await cell.server.start("127.0.0.1:0", [])
    try:
        report = cell_report("a", port=int(cell.address.rpartition(":")[2]))
        made = await client.publish("acme", "churn", artifact(), release_if_first=True)
        wanted = versions_pb2.SetResidencyRequest(tenant="acme", pinned=["churn"], floor_bytes=5)
        if restarts:
            await client.set_residency(wanted)
            await client.set_generation(generation_to_pb("a"), 0)
            client = await fleet.start_manager()
        async with joined(client, report):
            if not restarts:
                await client.set_generation(generation_to_pb("a"), 0)
                await client.set_residency(wanted)
            await eventually(lambda: cell.pinned == {made.artifact} and cell.floors == {"acme": 5})
            await client.set_release(release("acme", "churn", (1, 10_000)))
    finally:
        await cell.server.stop(0)
