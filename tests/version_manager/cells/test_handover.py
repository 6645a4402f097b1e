"""Cells that hold what is hot, load it, fail, hang, end or lie, and what a handover makes of it."""

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from prometheus_client import REGISTRY

from croupier.errors import InternalError
from croupier.transport.client import Channel
from croupier.transport.serving import Server
from protos.cell.v1 import cell_pb2 as pb
from sharding.dealer import Dealer
from sharding.generation import Generation, Seat
from version_manager.cells import handover
from version_manager.cells.handover import Handover, Progress
from version_manager.cells.moves import Hot, Standing
from version_manager.map.image import Map
from version_manager.model.catalog import Catalog
from version_manager.model.fleet import Cell, Load
from version_manager.model.release import Model, Release, Split, Version

SERVICE = "/croupier.cell.v1.Cell"
NAMES = ("a", "b", "c")


def artifact(number):
    return bytes([number]) * 32


def model(number, size=10):
    release = Release(1, (Split(1, 10_000),))
    return Model("acme", f"m{number}", {1: Version(1, artifact(number), size, "forest")}, release)


class FakeCell:
    """Holds `hot`, and resident from then on what it is told to load."""

    def __init__(self, name):
        self.name = name
        self.hot = []
        self.loaded = []
        self.proven = []
        self.hangs = False
        self.refuses = False
        self.address = ""
        self.server = Server()
        self.server.add_unary(f"{SERVICE}/Warm", self.warm)
        self.server.add_stream(f"{SERVICE}/HotList", self.hot_list)
        self.listed = 0

    async def warm(self, data, context):
        request = pb.WarmRequest.FromString(data)
        if self.hangs:
            await asyncio.Event().wait()
        if self.refuses:
            raise InternalError("no")
        self.loaded += request.artifacts
        self.proven.append(request.proven)
        told = [pb.Warmed(artifact=one, state=pb.Warmed.RESIDENT) for one in request.artifacts]
        return pb.WarmResponse(artifacts=told).SerializeToString()

    async def hot_list(self, requests, context):
        self.listed += 1
        await anext(requests)
        if self.hangs:
            await asyncio.Event().wait()
        for at in range(0, len(self.hot), 2):
            some = self.hot[at : at + 2]
            yield pb.HotListPage(
                artifacts=b"".join(some), owners=[0] * len(some), requests=[1] * len(some)
            ).SerializeToString()


class World:
    """Three cells, of which each tenant has two, and a model of acme's for each number below `models`."""

    def __init__(self, cells, models=40, seconds=5.0, room=10**6):
        self.cells = cells
        self.map = Map(
            Catalog.build(models=map(model, range(models))),
            {name: Cell(name, "zone", cell.address) for name, cell in cells.items()},
            (),
            {},
        )
        self.dealer = Dealer(Generation(1, 7, 3, tuple(Seat(name, name) for name in NAMES)))
        self.load = Load(room, 0)
        self.now = 100.0
        self.progress = Progress()
        self.handover = Handover(
            self, self, lambda cell: Channel(cell.address), seconds, clock=lambda: self.now
        )

    def find(self, name):
        return self.load and SimpleNamespace(cell=Cell(name, "zone", "x:1", load=self.load))

    async def leave(self, name, **how):
        self.progress = Progress()
        every = frozenset(NAMES)
        before, after = Standing(self.dealer, every), Standing(self.dealer, every - {name})
        await self.handover.load(before, after, self.progress, **how)

    def first(self, name, *behind):
        """The models that are asked for at `name`, and of these, if said, at `behind` after it."""
        every = Standing(self.dealer, frozenset(NAMES))
        asked = ((number, every.asked("acme", f"m{number}")) for number in range(self.map.catalog.size))
        return [artifact(number) for number, cells in asked if cells[: 1 + len(behind)] == (name, *behind)]


@asynccontextmanager
async def worlds(**how):
    cells = {name: FakeCell(name) for name in NAMES}
    for cell in cells.values():
        cell.address = await cell.server.start("127.0.0.1:0", [])
    try:
        yield World(cells, **how)
    finally:
        for cell in cells.values():
            await cell.server.stop(0)


async def test_the_next_cells_load_what_the_one_that_leaves_holds_hot_and_nobody_else_does():
    async with worlds() as world:
        a, b, c = world.cells.values()
        a.hot = [artifact(number) for number in range(40)]
        await world.leave("a")
        assert b.loaded == world.first("a", "b")
        assert c.loaded == world.first("a", "c")
        assert a.loaded == []
        assert all(b.proven)
        total = len(world.first("a"))
        assert (world.progress.warmed, world.progress.to_warm, world.progress.is_done) == (total, total, True)


async def test_garbage_in_a_hot_list_and_models_that_are_gone_are_loaded_by_nobody():
    async with worlds() as world:
        a, b, c = world.cells.values()
        a.hot = [b"\xff" * 32, artifact(99), b"x" * 31 + b"y"]
        await world.leave("a")
        assert (b.loaded, c.loaded) == ([], [])
        assert world.progress.is_done


async def test_a_hot_list_of_bytes_that_are_none_is_done_without(monkeypatch):
    async with worlds() as world:
        a = world.cells["a"]

        async def garbage(requests, context):
            await anext(requests)
            yield b"\xff\xff"

        a.server.add_stream(f"{SERVICE}/HotList", garbage)
        await world.leave("a")
        assert world.progress.is_done


async def test_a_cell_that_never_answers_holds_nothing_up_for_ever():
    async with worlds(seconds=0.3) as world:
        a, b, c = world.cells.values()
        a.hot = [artifact(number) for number in range(40)]
        b.hangs = True
        await world.leave("a")
        assert world.progress.is_done
        assert c.loaded == world.first("a", "c")
        a.hangs = True
        await world.leave("a")
        assert world.progress.is_done


async def test_a_cell_that_refuses_or_is_not_there_takes_nobody_along():
    async with worlds() as world:
        a, b, c = world.cells.values()
        a.hot = [artifact(number) for number in range(40)]
        b.refuses = True
        before = counted()
        await world.leave("a")
        assert c.loaded == world.first("a", "c")
        assert counted() == (before[0] + len(c.loaded), before[1] + 1)
        await b.server.stop(0)
        c.loaded.clear()
        await world.leave("a")
        assert c.loaded == world.first("a", "c")


async def test_what_may_have_ended_one_cell_is_asked_of_no_other(monkeypatch):
    monkeypatch.setattr(handover, "_A_CALL", 1)

    async def die(reader, writer):
        await reader.read(1)
        writer.transport.abort()

    async with worlds() as world, await asyncio.start_server(die, "127.0.0.1", 0) as dying:
        a, _, c = world.cells.values()
        a.hot = [artifact(number) for number in range(40)]
        address = "{}:{}".format(*dying.sockets[0].getsockname())
        world.map.cells["b"] = Cell("b", "zone", address)
        poison, *rest = world.first("a", "b")
        await world.leave("a")
        # b is gone: what it was asked for comes to c, but for what it was loading when it ended.
        every = frozenset(NAMES)
        before, after = (Standing(world.dealer, every - gone) for gone in ({"a"}, {"a", "b"}))
        hot = [Hot(digest) for digest in world.first("a") + world.first("b")]
        c.loaded.clear()
        await world.handover.load(before, after, Progress(), hot=lambda moves: {"b": hot})
        assert set(c.loaded) == {*rest, *world.first("b")}
        assert poison not in c.loaded
        world.now += handover._SUSPECT_SECONDS
        await world.handover.load(before, after, Progress(), hot=lambda moves: {"b": hot})
        assert poison in c.loaded


async def test_a_cell_is_given_no_more_than_it_has_room_for():
    async with worlds(room=80) as world:
        a, b, c = world.cells.values()
        a.hot = [artifact(number) for number in range(40)]
        await world.leave("a")
        # What is free, and half of the capacity, in models of ten bytes.
        assert (len(b.loaded), len(c.loaded)) == (
            min(12, len(world.first("a", "b"))),
            len(world.first("a", "c")[:12]),
        )


@pytest.mark.parametrize(
    ("load", "most"), [(Load(80, 60), 6), (Load(80, 99), 4), (Load(0, 0), 40), (None, 40)]
)
async def test_what_is_used_is_no_room_and_of_whom_nothing_is_known_takes_all(load, most):
    async with worlds() as world:
        a, b, _ = world.cells.values()
        a.hot = [artifact(number) for number in range(40)]
        world.load = load
        await world.leave("a")
        assert b.loaded == world.first("a", "b")[:most]


async def test_a_cell_that_is_gone_by_then_is_told_nothing_and_where_nothing_moves_nobody_is_asked():
    async with worlds() as world:
        a, b, c = world.cells.values()
        a.hot = [artifact(number) for number in range(40)]
        del world.map.cells["b"]
        before = counted()
        await world.leave("a")
        assert (b.loaded, c.loaded) == ([], world.first("a", "c"))
        assert counted() == (before[0] + len(c.loaded), before[1])
        alike = Standing(world.dealer, frozenset(NAMES))
        await world.handover.load(alike, alike, world.progress, hot=lambda moves: 1 / 0)
        assert counted()[1] == before[1]


async def test_who_comes_back_loads_alone():
    async with worlds() as world:
        a, b, c = world.cells.values()
        b.hot = c.hot = [artifact(number) for number in range(40)]
        every = frozenset(NAMES)
        without, having = Standing(world.dealer, every - {"a"}), Standing(world.dealer, every)
        await world.handover.load(without, having, Progress(), only="a")
        assert a.loaded == world.first("a")
        assert (b.loaded, c.loaded) == ([], [])
        assert a.listed == 0


async def test_two_managers_do_it_side_by_side_and_one_goes_on_where_the_other_ends(monkeypatch):
    monkeypatch.setattr(handover, "_A_CALL", 1)
    async with worlds() as world:
        a, b, _ = world.cells.values()
        a.hot = [artifact(number) for number in range(40)]
        other = World(world.cells)
        first = asyncio.create_task(world.leave("a"))
        while not b.loaded:
            await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        await other.leave("a")
        assert set(b.loaded) == set(world.first("a", "b"))
        assert other.progress.warmed == other.progress.to_warm == len(world.first("a"))


def counted():
    """Models that were handed over, and cells that did not take part."""
    names = ("handed_over", "handover_failures")
    return tuple(REGISTRY.get_sample_value(f"croupier_version_manager_{name}_total") or 0 for name in names)


async def test_a_bug_of_ours_costs_hits_and_holds_up_nothing(caplog):
    async with worlds() as world:
        await world.leave("a", hot=lambda moves: 1 / 0)
        assert world.progress.is_done
        assert "not handed over" in caplog.text
