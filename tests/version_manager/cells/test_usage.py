"""What the cells of a tenant say of a model, and what is told of those that say nothing."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from support.manager import artifact, cell_report, generation, joined, release

from croupier.errors import NotFound
from croupier.transport.client import Channel
from croupier.transport.serving import Server
from protos.cell.v1 import cell_pb2 as pb
from sharding.dealer import Dealer
from version_manager.cells.usage import CellUsage, Usage, Used
from version_manager.map.image import Map
from version_manager.model.catalog import Catalog
from version_manager.model.fleet import Cell
from version_manager.model.release import Model, Version
from version_manager.model.wire import generation_from_pb

USAGE = "/croupier.cell.v1.Cell/Usage"
FIRST, SECOND = Version(1, b"1" * 32, 10, "onnx"), Version(2, b"2" * 32, 10, "onnx")
HAND = Dealer(generation_from_pb(generation("a", "b", "c"))).hand("acme")


class FakeCell:
    """Has used `resident` so often."""

    def __init__(self, resident, knows_usage=True):
        self.resident = resident
        self.asked = []
        self.server = Server()
        if knows_usage:
            self.server.add_unary(USAGE, self.usage)

    async def usage(self, data, context):
        request = pb.UsageRequest.FromString(data)
        self.asked.append([*request.artifacts])
        told = [
            pb.Used(artifact=digest, requests=self.resident[digest], idle_seconds=1.5)
            for digest in request.artifacts
            if digest in self.resident
        ]
        return pb.UsageResponse(resident=told).SerializeToString()


async def told(cells, version=0):
    """What `cells`, by their names, say of acme's churn."""
    async with AsyncExitStack() as stack:
        found = {}
        for name, cell in cells.items():
            address = await cell.server.start("127.0.0.1:0", [])
            stack.push_async_callback(cell.server.stop, 0)
            found[name] = Cell(name, "zone", address)
        catalog = Catalog.build(models=[Model("acme", "churn", {1: FIRST, 2: SECOND})])
        mirror = type("Mirror", (), {})()
        mirror.map = Map(catalog, found, (generation_from_pb(generation("a", "b", "c")),), {})
        usage = Usage(mirror, lambda cell: Channel(cell.address))
        return await usage.of("acme", "churn", version)


async def test_every_cell_of_the_hand_and_no_other_says_what_it_has():
    first, second = HAND
    (other,) = {"a", "b", "c"} - {first, second}
    cells = {
        first: FakeCell({FIRST.artifact: 5, SECOND.artifact: 0, b"3" * 32: 9}),
        second: FakeCell({}),
        other: FakeCell({FIRST.artifact: 7}),
    }
    assert await told(cells) == [
        CellUsage(first, {1: Used(5, 1.5), 2: Used(0, 1.5)}),
        CellUsage(second, {}),
    ]
    assert cells[other].asked == []


async def test_of_one_version():
    first, second = HAND
    cells = {first: FakeCell({FIRST.artifact: 5, SECOND.artifact: 3}), second: FakeCell({})}
    assert [cell.versions for cell in await told(cells, 2)] == [{2: Used(3, 1.5)}, {}]
    assert cells[first].asked == [[SECOND.artifact]]
    with pytest.raises(NotFound, match="no version 3"):
        await told(cells, 3)


async def test_of_cells_of_the_release_before_and_those_that_are_gone_it_is_told_why():
    first, second = HAND
    cells = {first: FakeCell({}, knows_usage=False), second: FakeCell({FIRST.artifact: 1})}
    gone, other = await told(cells)
    assert (gone.versions, other.versions) == ({}, {1: Used(1, 1.5)})
    assert "Usage" in gone.failure or "method" in gone.failure


async def test_many_who_ask_at_once_make_so_many_connections_at_most():
    """Each of 40 asks two cells, which answer once nobody else comes."""
    opened, most = 0, 0
    mirror = type("Mirror", (), {})()
    catalog = Catalog.build(models=[Model("acme", "churn", {1: FIRST})])
    cells = {name: Cell(name, "zone", f"{name}:1") for name in HAND}
    mirror.map = Map(catalog, cells, (generation_from_pb(generation("a", "b", "c")),), {})

    class Busy:
        async def session(self):
            nonlocal opened, most
            opened += 1
            most = max(most, opened)
            for _ in range(200):
                await asyncio.sleep(0)
            raise ConnectionError("busy")

        async def close(self):
            nonlocal opened
            opened -= 1

    usage = Usage(mirror, lambda cell: Busy())
    found = await asyncio.gather(*(usage.of("acme", "churn") for _ in range(40)))
    assert {cell.failure for cells in found for cell in cells} == {"busy"}
    assert (most, opened) == (64, 0)


async def test_a_manager_asks_the_cells_that_joined(client):
    """There is nobody behind the address: it says so."""
    published = await client.publish("acme", "churn", artifact())
    await client.set_release(release("acme", "churn", (published.number, 10_000)))
    await client.set_generation(generation("a", "b", "c"), 0)
    assert list((await client.get_usage("acme", "churn")).cells) == []
    async with joined(client, cell_report(HAND[0], port=1)):
        async with asyncio.timeout(10.0):
            while not (usage := await client.get_usage("acme", "churn")).cells:
                await asyncio.sleep(0)
    (cell,) = usage.cells
    assert (cell.cell, bool(cell.failure), len(cell.versions)) == (HAND[0], True, 0)
    with pytest.raises(NotFound):
        await client.get_usage("acme", "nothing")
    with pytest.raises(NotFound):
        await client.get_usage("acme", "churn", 9)
