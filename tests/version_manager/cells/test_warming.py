"""Cells that load, fail, hang or are not there, and what a release makes of it."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from support.manager import artifact, cell_report, generation, joined, release

from croupier.errors import FailedPrecondition, NotFound, Unavailable
from croupier.items import item_status
from croupier.transport.client import Channel
from croupier.transport.serving import Server
from protos.cell.v1 import cell_pb2 as pb
from sharding.dealer import Dealer
from sharding.generation import Override
from version_manager.cells.warming import NotWarm, Warming
from version_manager.map.image import Map
from version_manager.map.records import Active
from version_manager.model.catalog import Catalog
from version_manager.model.fleet import Cell, CellState
from version_manager.model.release import Version
from version_manager.model.wire import generation_from_pb

WARM = "/croupier.cell.v1.Cell/Warm"
VERSION = Version(2, bytes(32), 10, "onnx")


class FakeCell:
    """Answers Warm with `state`; notes what it is asked."""

    def __init__(self, cell_id):
        self.id = cell_id
        self.state = pb.Warmed.RESIDENT
        self.status = None
        self.hangs = False
        self.requests = []
        self.server = Server()
        self.server.add_unary(WARM, self.warm)
        self.address = ""

    async def warm(self, data, context):
        request = pb.WarmRequest.FromString(data)
        self.requests.append(request)
        if self.hangs:
            await asyncio.Event().wait()
        return pb.WarmResponse(
            artifacts=[
                pb.Warmed(artifact=digest, state=self.state, status=self.status)
                for digest in request.artifacts
            ]
        ).SerializeToString()


@asynccontextmanager
async def fake_cells(*ids):
    cells = [FakeCell(cell_id) for cell_id in ids]
    try:
        for cell in cells:
            cell.address = await cell.server.start("127.0.0.1:0", [])
        yield cells
    finally:
        for cell in cells:
            await cell.server.stop(0)


class FixedMirror:
    """A map with these cells in a generation of hands of two."""

    def __init__(self, *cells, has_generation=True):
        dealt = generation_from_pb(generation("a", "b", "c"))
        self.map = Map(
            Catalog.build(),
            {cell.id: cell for cell in cells},
            (dealt,) if has_generation else (),
            {},
        )
        self.hand = Dealer(dealt).hand("acme")


def registered(cell, state=CellState.ACTIVE):
    return Cell(cell.id, "zone", cell.address, 1.0, state)


def warming(mirror, seconds=5.0):
    return Warming(mirror, lambda cell: Channel(cell.address), seconds)


async def test_every_cell_of_the_hand_and_no_other_is_asked():
    async with fake_cells("a", "b", "c") as cells:
        mirror = FixedMirror(*map(registered, cells))
        await warming(mirror).warm("acme", [VERSION])
        assert {cell.id for cell in cells if cell.requests} == set(mirror.hand)
        (request,) = next(cell.requests for cell in cells if cell.id in mirror.hand)
        assert list(request.artifacts) == [VERSION.artifact]
        assert request.wait_seconds == 5.0


@pytest.mark.parametrize(
    ("state", "status", "words"),
    [
        (pb.Warmed.LOADING, None, "still loading"),
        (pb.Warmed.FAILED, item_status(NotFound("no such artifact")), "no such artifact"),
    ],
)
async def test_a_cell_that_has_not_loaded_it_is_named(state, status, words):
    async with fake_cells("a", "b", "c") as cells:
        mirror = FixedMirror(*map(registered, cells))
        (bad,) = [cell for cell in cells if cell.id == mirror.hand[1]]
        bad.state, bad.status = state, status
        with pytest.raises(NotWarm, match=words) as caught:
            await warming(mirror).warm("acme", [VERSION])
        assert caught.value.metadata == {"cells": bad.id}
        assert f"cell {bad.id}" in str(caught.value)
        assert "version 2" in str(caught.value)


async def test_cells_that_are_away_or_know_no_warming_are_named(monkeypatch):
    monkeypatch.setattr("version_manager.cells.warming._CALL_SECONDS", 0.05)
    async with fake_cells("a", "b", "c") as cells:
        mirror = FixedMirror(*map(registered, cells))
        first, second = (next(cell for cell in cells if cell.id == name) for name in mirror.hand)
        first.hangs = True
        await second.server.stop(0)
        with pytest.raises(NotWarm) as caught:
            await warming(mirror, 0.05).warm("acme", [VERSION])
        assert set(caught.value.metadata["cells"].split(",")) == {first.id, second.id}


async def test_a_version_that_ends_the_first_cell_is_not_tried_on_the_others():
    async def die(reader, writer):
        await reader.read(1)
        writer.transport.abort()

    async with fake_cells("a", "b", "c") as cells, await asyncio.start_server(die, "127.0.0.1", 0) as dying:
        address = "{}:{}".format(*dying.sockets[0].getsockname())
        first, second = FixedMirror(*map(registered, cells)).hand
        mirror = FixedMirror(
            *(registered(cell) for cell in cells if cell.id != first),
            Cell(first, "zone", address, 1.0, CellState.ACTIVE),
        )
        with pytest.raises(NotWarm, match="broke") as caught:
            await warming(mirror).warm("acme", [VERSION])
        assert caught.value.metadata == {"cells": first}
        assert not any(cell.requests for cell in cells if cell.id == second)


class Restarting:
    """A cell whose connection breaks `times` when it is asked, and that comes back at another address."""

    def __init__(self, mirror, cell, times):
        self.mirror = mirror
        self.cell = cell
        self.left = times
        self.asked = 0

    async def die(self, reader, writer):
        await reader.read(1)
        self.asked += 1
        self.left -= 1
        if not self.left:
            self.mirror.map.cells[self.cell.id] = registered(self.cell)
        writer.transport.abort()


@asynccontextmanager
async def restarting(mirror, cell, times=1):
    made = Restarting(mirror, cell, times)
    async with await asyncio.start_server(made.die, "127.0.0.1", 0) as dying:
        address = "{}:{}".format(*dying.sockets[0].getsockname())
        mirror.map.cells[cell.id] = Cell(cell.id, "zone", address, 1.0, CellState.ACTIVE)
        yield made


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr("version_manager.cells.warming._AGAIN_SECONDS", 0.001)


@pytest.mark.parametrize("place", [0, 1])
async def test_a_cell_that_restarts_just_then_is_asked_again_where_it_comes_back(place, at_once):
    async with fake_cells("a", "b", "c") as cells:
        mirror = FixedMirror(*map(registered, cells))
        (cell,) = [cell for cell in cells if cell.id == mirror.hand[place]]
        async with restarting(mirror, cell) as broken:
            await warming(mirror).warm("acme", [VERSION])
        assert broken.asked == 1
        assert {cell.id: len(cell.requests) for cell in cells if cell.requests} == dict.fromkeys(
            mirror.hand, 1
        )


async def test_a_cell_that_is_away_from_the_map_for_a_moment_is_waited_for(at_once):
    async with fake_cells("a", "b", "c") as cells:
        mirror = FixedMirror(*map(registered, cells))
        (second,) = [cell for cell in cells if cell.id == mirror.hand[1]]
        stopping = Unavailable("this cell is stopping", reason="STOPPING")

        async def stop(data, context):
            del mirror.map.cells[second.id]
            asyncio.get_running_loop().call_later(
                0.02, mirror.map.cells.update, {second.id: registered(second)}
            )
            raise stopping

        server = Server()
        server.add_unary(WARM, stop)
        mirror.map.cells[second.id] = replace(
            registered(second), address=await server.start("127.0.0.1:0", [])
        )
        await warming(mirror).warm("acme", [VERSION])
        await server.stop(0)
        assert len(second.requests) == 1


async def test_a_version_that_ends_a_cell_twice_is_given_up(at_once):
    async with fake_cells("a", "b", "c") as cells:
        mirror = FixedMirror(*map(registered, cells))
        first, second = (next(cell for cell in cells if cell.id == name) for name in mirror.hand)
        async with restarting(mirror, first, times=9) as broken:
            with pytest.raises(NotWarm, match="broke"):
                await warming(mirror).warm("acme", [VERSION])
        assert broken.asked == 2
        assert not second.requests


async def test_cells_that_do_not_serve_are_not_asked():
    async with fake_cells("a", "b") as cells:
        mirror = FixedMirror(*(registered(cell, CellState.DRAINING) for cell in cells))
        await warming(mirror).warm("acme", [VERSION])
        assert not any(cell.requests for cell in cells)


async def test_while_a_generation_takes_over_the_cells_of_both_hands_load_it():
    async with fake_cells("a", "b", "c") as cells:
        mirror = FixedMirror(*map(registered, cells))
        (left,) = {"a", "b", "c"} - {*mirror.hand}
        (before,) = mirror.map.generations
        other = replace(before, number=2, overrides={"acme": Override(pins=(left,))})
        mirror.map = replace(mirror.map, generations=(other, before), pointer=Active(2, 1, ramp=1))
        await warming(mirror).warm("acme", [VERSION])
        assert all(cell.requests for cell in cells)


async def test_without_a_generation_nobody_is_asked():
    async with fake_cells("a", "b", "c") as cells:
        await warming(FixedMirror(*map(registered, cells), has_generation=False)).warm("acme", [VERSION])
        assert not any(cell.requests for cell in cells)


async def test_no_versions_or_no_time_is_no_warming():
    async with fake_cells("a", "b", "c") as cells:
        mirror = FixedMirror(*map(registered, cells))
        await warming(mirror).warm("acme", [])
        await warming(mirror, 0.0).warm("acme", [VERSION])
        assert not any(cell.requests for cell in cells)


async def test_a_release_moves_only_to_what_the_hand_has_loaded(client):
    async with fake_cells("a", "b") as (one, two):
        ports = [int(cell.address.rpartition(":")[2]) for cell in (one, two)]
        async with (
            joined(client, cell_report("a", port=ports[0])),
            joined(client, cell_report("b", port=ports[1])),
        ):
            await client.set_generation(generation("a", "b"), 0)
            versions = [
                await client.publish("acme", "churn", artifact(text), release_if_first=True) for text in "12"
            ]
            # The first one is released, so it was loaded before; the second is not.
            assert [list(request.artifacts) for request in two.requests] == [[versions[0].artifact]]
            two.state = pb.Warmed.LOADING
            with pytest.raises(FailedPrecondition) as caught:
                await client.set_release(release("acme", "churn", (2, 10_000)))
            assert (caught.value.reason, caught.value.metadata["cells"]) == ("NOT_WARM", "b")
            assert (await client.get_model("acme", "churn")).release.number == 1

            forced = release("acme", "churn", (1, 9_000), (2, 1_000))
            forced.skip_warming = True
            assert (await client.set_release(forced)).number == 2
            asked = len(two.requests)
            # What is released already is loaded by whoever asks for it.
            await client.set_release(release("acme", "churn", (1, 5_000), (2, 5_000)))
            assert len(two.requests) == asked

            two.state = pb.Warmed.RESIDENT
            await client.set_release(release("acme", "churn", (1, 10_000)))
            await client.set_release(release("acme", "churn", (1, 10_000), canary=2))
            assert list(two.requests[-1].artifacts) == [versions[1].artifact]


async def test_a_first_version_that_no_cell_loads_is_published_and_not_released(client):
    async with fake_cells("a", "b") as (one, two):
        ports = [int(cell.address.rpartition(":")[2]) for cell in (one, two)]
        async with (
            joined(client, cell_report("a", port=ports[0])),
            joined(client, cell_report("b", port=ports[1])),
        ):
            await client.set_generation(generation("a", "b"), 0)
            two.state, two.status = pb.Warmed.FAILED, item_status(FailedPrecondition("no such operator"))
            with pytest.raises(FailedPrecondition) as caught:
                await client.publish("acme", "churn", artifact(), release_if_first=True)
            assert (caught.value.reason, caught.value.metadata["cells"]) == ("NOT_WARM", "b")
            assert caught.value.message == (
                "version 1 is published, but not released: version 1 is not loaded: cell b: no such operator"
            )
            model = await client.get_model("acme", "churn")
            assert [version.number for version in model.versions] == [1]
            assert not model.HasField("release")

            # Whoever tries again once the cells are well gets what was asked for.
            two.state = pb.Warmed.RESIDENT
            made = await client.publish("acme", "churn", artifact(), release_if_first=True)
            model = await client.get_model("acme", "churn")
            assert made.number == 1
            assert [(split.version, split.basis_points) for split in model.release.splits] == [(1, 10_000)]

            # With a release, nothing is loaded for one that does not come.
            asked = len(two.requests)
            await client.publish("acme", "churn", artifact("2"), release_if_first=True)
            assert len(two.requests) == asked


async def test_a_release_that_is_refused_anyway_warms_nothing(client):
    async with fake_cells("a", "b") as (one, two):
        port = int(one.address.rpartition(":")[2])
        async with joined(client, cell_report("a", port=port)):
            await client.set_generation(generation("a", "b"), 0)
            for text in "12":
                await client.publish("acme", "churn", artifact(text), release_if_first=True)
            assert len(one.requests) == 1
            for refused in (
                release("acme", "churn", (2, 10_000), expected=9),
                release("acme", "churn", (7, 10_000)),
                release("acme", "nobody", (1, 10_000)),
            ):
                with pytest.raises(Exception, match=r"release|version|model"):
                    await client.set_release(refused)
            assert len(one.requests) == 1
            assert two.requests == []
