"""When cells load what others hold hot: what begins it, once, and what is told when it is done."""

import asyncio
from types import SimpleNamespace

import pytest
from support.cells import ticks

from sharding.generation import Generation, Seat
from version_manager.cells.moves import Move
from version_manager.cells.reporting import Handing, ReportingCell
from version_manager.handovers import Handovers
from version_manager.map.records import Active
from version_manager.model.fleet import Cell, CellState
from version_manager.rates import Asked


def generation(number, *cells):
    return Generation(number, 7, 2, tuple(Seat(cell, cell) for cell in cells))


def cell(name, state=CellState.ACTIVE):
    return Cell(name, "zone", "x:1", state=state)


class World:
    """A map, a registry, rates and a handover that ends when it is told to."""

    def __init__(self, seconds=60.0):
        self.now = 100.0
        self.seconds = seconds
        self.generations = (generation(2, "a", "b", "c"), generation(1, "a", "b"))
        self.ramp = 10_000
        self.cells = {name: cell(name) for name in "abc"}
        self.sessions = {}
        self.gone = []
        self.loads = []
        self.ends = asyncio.Event()
        self.handovers = Handovers(self, self, self, self, clock=lambda: self.now)

    # The mirror.
    @property
    def map(self):
        dealing = self.generations[: 1 if self.ramp == 10_000 else 2]
        return SimpleNamespace(
            cells=self.cells, generations=self.generations, dealing=dealing, ramp=self.ramp
        )

    # The registry.
    @property
    def joined(self):
        return [*self.sessions.values()]

    @property
    def heard(self):
        return self.sessions

    def take_gone(self):
        gone, self.gone = self.gone, []
        return gone

    def asked(self):
        return Asked({"busy": 9.0}, 9.0)

    # The handover.
    async def load(self, before, after, progress, *, hot=None, only=""):
        self.loads.append((before, after, hot, only))
        await self.ends.wait()
        progress.is_done = True

    def session(self, name, state=CellState.ACTIVE, *, leaving=False):
        session = self.sessions[name] = ReportingCell(cell(name, state), lambda: self.now)
        session.hear(state, is_leaving=leaving)
        return session

    async def turn(self):
        self.handovers.turn()
        await ticks()


async def test_a_cell_that_leaves_is_handed_over_once_and_told_when_it_is_done():
    world = World()
    session = world.session("a", leaving=True)
    assert session.handing is Handing.WANTED
    await world.turn()
    await world.turn()
    ((before, after, hot, only),) = world.loads
    assert (before.awake, after.awake) == (frozenset("abc"), frozenset("bc"))
    assert (hot, only) == (None, "")
    assert session.handing is Handing.RUNNING
    world.ends.set()
    await ticks()
    assert session.handing is Handing.DONE
    # What it says again changes nothing, and what it says then does.
    session.hear(CellState.ACTIVE, is_leaving=True)
    assert session.handing is Handing.DONE
    session.hear(CellState.DRAINING, is_leaving=False)
    assert session.handing is Handing.NONE
    await world.turn()
    assert len(world.loads) == 1


async def test_a_cell_that_joins_another_manager_meanwhile_is_handed_over_by_that_one():
    world = World()
    world.session("a", leaving=True)
    await world.turn()
    world.session("a", leaving=True)
    await world.turn()
    assert len(world.loads) == 2


async def test_of_two_that_leave_none_is_handed_the_others_models():
    world = World()
    world.session("a", leaving=True)
    world.session("b", leaving=True)
    await world.turn()
    assert [after.awake for _, after, _, _ in world.loads] == [frozenset("c")] * 2


async def test_a_cell_that_is_warming_loads_alone_what_others_hold_for_it():
    world = World()
    world.cells["a"] = cell("a", CellState.DRAINING)
    session = world.session("a", CellState.WARMING)
    await world.turn()
    ((before, after, _, only),) = world.loads
    assert (before.awake, after.awake, only) == (frozenset("bc"), frozenset("abc"), "a")
    # It was in time without us.
    session.hear(CellState.ACTIVE, is_leaving=False)
    world.ends.set()
    await ticks()
    assert session.handing is Handing.NONE


async def test_where_nothing_is_to_be_handed_over_nobody_waits_for_it():
    world = World(seconds=0.0)
    session = world.session("a", leaving=True)
    world.gone = ["b"]
    del world.cells["b"]
    await world.turn()
    world.now += 1.0
    await world.turn()
    assert session.handing is Handing.DONE
    assert world.handovers.of_ramp(Active(2, 1, 0, 600.0)).is_done
    await ticks()
    assert world.loads == []


async def test_before_any_map_deals_there_is_nothing_to_hand_over():
    world = World()
    world.generations = ()
    session = world.session("a", leaving=True)
    await world.turn()
    assert session.handing is Handing.DONE
    assert world.handovers.of_ramp(Active(2, 1, 0, 600.0)).is_done


async def test_a_lost_cells_models_are_loaded_by_what_busy_tenants_have():
    world = World()
    world.gone = ["a"]
    await world.turn()
    assert world.loads == []
    del world.cells["a"]
    world.now += 0.3
    await world.turn()
    ((before, after, hot, _),) = world.loads
    assert (before.awake, after.awake) == (frozenset("abc"), frozenset("bc"))
    moves = {
        name.encode(): [Move(name, 1, 1, frozenset("a"), "a", ("b",))] for name in ("idle", "busy", "other")
    }
    told = hot(moves)
    assert [*told] == ["a"]
    assert told["a"][0].digest == b"busy"


async def test_a_cell_is_lost_once_and_a_moment_after_it_was_gone():
    world = World()
    world.gone = ["a"]
    del world.cells["a"]
    world.ends.set()
    begun = []
    for _ in range(4):
        await world.turn()
        begun.append(len(world.loads))
        world.now += 0.125
    assert begun == [0, 0, 1, 1]


async def test_who_drains_or_leaves_is_asked_first_no_more_and_who_has_joined_is():
    world = World()
    world.cells["b"] = cell("b", CellState.DRAINING)
    world.cells["d"] = cell("d")
    world.session("a", leaving=True)
    world.session("c")
    world.session("d", leaving=True)
    await world.turn()
    assert [(before.awake, after.awake) for before, after, _, _ in world.loads] == [
        (frozenset("ac"), frozenset("c")),
        (frozenset("cd"), frozenset("c")),
    ]


async def test_a_cell_that_is_back_at_once_or_elsewhere_is_not_lost():
    world = World()
    world.gone = ["a"]
    for _ in range(40):
        await world.turn()
        world.now += 0.1
    del world.cells["a"]
    await world.turn()
    assert world.loads == []


async def test_cells_that_are_lost_one_after_another_do_not_pile_up_work():
    world = World()
    for name in "ab":
        world.gone = [name]
        del world.cells[name]
        await world.turn()
        world.now += 0.3
        await world.turn()
    assert len(world.loads) == 1
    world.ends.set()
    await ticks()
    await world.turn()
    assert [after.awake for _, after, _, _ in world.loads] == [frozenset("bc"), frozenset("c")]


async def test_a_ramp_is_seen_to_once_and_by_every_manager_that_sees_it():
    world = World()
    pointer = Active(2, 1, 0, 600.0)
    progress = world.handovers.of_ramp(pointer)
    assert world.handovers.of_ramp(pointer) is progress
    await ticks()
    ((before, after, _, _),) = world.loads
    assert (before.active.generation.number, after.active.generation.number) == (1, 2)
    assert before.awake == after.awake == frozenset("abc")
    assert not progress.is_done
    assert world.handovers.progress(pointer) is progress
    assert world.handovers.progress(Active(3, 2, 0, 600.0)) is None
    world.ends.set()
    await ticks()
    assert progress.is_done


@pytest.mark.parametrize(("active", "previous"), [(9, 8), (9, 1), (2, 8)])
async def test_a_pointer_to_a_map_that_is_not_there_waits_for_nothing(active, previous):
    assert World().handovers.of_ramp(Active(active, previous, 0, 600.0)).is_done


async def test_it_ends_with_what_it_has_begun():
    world = World()
    world.session("a", leaving=True)
    running = asyncio.create_task(world.handovers.run())
    await ticks()
    assert len(world.loads) == 1
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [task for task in asyncio.all_tasks() if task.get_name() == "handover"] == []


async def test_what_has_ended_is_held_no_more():
    world = World()
    world.ends.set()
    world.session("a", leaving=True)
    await world.turn()
    assert len(world.loads) == 1
    assert not world.handovers._tasks
