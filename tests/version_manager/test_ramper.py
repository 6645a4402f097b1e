"""What a manager does of a ramp by itself, and when: with a clock of the test's own."""

import asyncio
import json
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import AsyncMock

import pytest
from prometheus_client import REGISTRY
from support.manager import Fleet, generation
from support.records import KEYS
from support.waiting import eventually

from croupier.latencies import BUCKETS, bucket_of
from protos.versions.v1 import versions_pb2 as pb
from sharding.ramp import WHOLE
from version_manager.cells.handover import Progress
from version_manager.map.records import Active
from version_manager.model.fleet import Load
from version_manager.ramp_bounds import Bounds
from version_manager.ramper import Ramper
from version_manager.writes.ramping import SWITCH_SECONDS, stepped

RISING = Active(2, 1, 0, 600.0)


class World:
    """The map, what writes it, and what routers and cells tell."""

    def __init__(self, pointer: Active | None) -> None:
        self.now = 100.0
        self.map = SimpleNamespace(pointer=pointer)
        self.revision = 5
        self.is_frozen = False
        self.bad_keys: set[str] = set()
        # Of a hundred requests how many find their model, and how long the others' loads take.
        self.traffic = (100, 0.1)
        work = pb.Work(load_buckets=[0] * BUCKETS)
        self.cell = SimpleNamespace(cell=SimpleNamespace(load=Load()), work=work)
        self.heard = {"a": self.cell}
        self.counts = (0, 0)
        self.done: list[str] = []
        # What cells load before a ramp rises, and how long it waits for that.
        self.progress = Progress(is_done=True)
        self.seconds = 30.0
        self.ramper = Ramper(
            *(self, KEYS, self, self, self, Bounds(least_requests=100), 60.0, self), clock=lambda: self.now
        )

    def serve(self) -> None:
        """A second of it: a hundred requests and as many loads."""
        hits, took = self.traffic
        cell, buckets = self.cell.cell, self.cell.work.load_buckets
        cell.load = Load(requests=cell.load.requests + 100, hits=cell.load.hits + hits)
        buckets[bucket_of(took)] += 100

    def of_ramp(self, pointer: Active) -> Progress:
        return self.progress

    def mod_revision(self, key: str) -> int:
        assert key == KEYS.active
        return self.revision

    def all_failed(self) -> tuple[int, int]:
        return self.counts

    async def step(self, seen: Active, revision: int) -> bool:
        return self.write(stepped(seen), revision, "step")

    async def hold(self, seen: Active, revision: int, why: str) -> bool:
        return self.write(replace(seen, paused=why), revision, "hold")

    async def end(self, seen: Active, revision: int) -> bool:
        return self.write(replace(seen, previous=0, seconds=0.0), revision, "end")

    def write(self, pointer: Active, revision: int, what: str) -> bool:
        assert revision == self.revision
        self.done.append(what)
        self.map.pointer, self.revision = pointer, revision + 1
        return True

    async def after(self, seconds: float) -> list[str]:
        """What is done by then, looked for once a second."""
        self.done = []
        await self.ramper.turn()
        for _ in range(round(seconds)):
            self.now += 1.0
            self.serve()
            await self.ramper.turn()
        return self.done


async def seeing(pointer: Active) -> World:
    """One whose manager has looked before `pointer` came."""
    world = World(None)
    await world.after(0)
    world.map.pointer = pointer
    return world


async def test_it_takes_the_steps_that_are_due_until_all_are_taken_over():
    world = await seeing(RISING)
    assert await world.after(5) == []
    assert await world.after(1) == ["step"]
    assert world.map.pointer.ramp == 100
    await world.after(6 * 99)
    assert (world.map.pointer.ramp, world.map.pointer.previous) == (WHOLE, 1)
    assert await world.after(59) == []
    assert REGISTRY.get_sample_value("croupier_version_manager_ramp_basis_points") == WHOLE
    assert await world.after(1) == ["end"]
    assert world.map.pointer.previous == 0
    assert await world.after(1_000) == []


async def test_a_step_counts_from_when_the_pointer_was_seen_and_from_no_clock_of_others():
    world = await seeing(replace(RISING, at=1e12))
    assert await world.after(6) == ["step"]
    # Another manager was faster.
    await world.after(4)
    world.map.pointer, world.revision = replace(world.map.pointer, at=1.0), 99
    assert await world.after(5) == []
    assert await world.after(1) == ["step"]


async def test_a_ramp_waits_at_its_beginning_for_cells_that_load_but_not_for_ever():
    world = await seeing(RISING)
    world.progress = Progress()
    assert await world.after(29) == []
    world.progress.is_done = True
    assert await world.after(0) == ["step"]
    # The steps behind the first wait for nothing but their time.
    world.progress.is_done = False
    assert await world.after(6) == ["step"]
    stuck = await seeing(RISING)
    stuck.progress = Progress()
    assert await stuck.after(30) == ["step"]


async def test_what_is_to_deal_at_once_deals_as_soon_as_cells_have_loaded():
    world = World(replace(RISING, seconds=SWITCH_SECONDS))
    world.progress = Progress()
    assert await world.after(3) == []
    world.progress.is_done = True
    assert await world.after(0) == ["step"]
    assert world.map.pointer.ramp == WHOLE


@pytest.mark.parametrize(
    "pointer",
    [
        None,
        Active(1),
        Active(2, 1),
        replace(RISING, paused="it was asked for"),
        # By hand, and so for as long as a hand wants it.
        replace(RISING, ramp=500, seconds=0.0),
        # It has taken over from nobody.
        Active(2, 0, WHOLE, 600.0),
    ],
)
async def test_what_does_not_rise_is_left_alone(pointer):
    assert await World(pointer).after(1_000) == []


async def test_while_the_map_is_frozen_or_the_pointer_is_garbage_nothing_is_done():
    world = await seeing(RISING)
    world.is_frozen = True
    assert await world.after(60) == []
    world.is_frozen, world.bad_keys = False, {KEYS.active}
    assert await world.after(60) == []


async def test_it_holds_what_does_harm_and_says_so(caplog):
    world = World(Active(1))
    world.counts = (1_000, 0)
    await world.after(1)
    world.map.pointer, world.revision = RISING, 6
    assert await world.after(1) == []
    world.counts, pauses = (2_000, 500), "croupier_version_manager_ramp_pauses_total"
    before = REGISTRY.get_sample_value(pauses)
    assert await world.after(1) == ["hold"]
    assert REGISTRY.get_sample_value(pauses) == before + 1
    why = "50.0 % of the requests fail, and 0.0 % did before"
    assert (world.map.pointer.paused, why in caplog.text) == (why, True)
    assert await world.after(100) == []
    assert REGISTRY.get_sample_value("croupier_version_manager_ramp_paused") == 1


async def test_a_manager_that_starts_in_a_ramp_takes_no_step_before_its_baseline_is_whole():
    world = World(replace(RISING, ramp=3_000))
    assert await world.after(59) == []
    assert await world.after(1) == ["step"]
    assert await world.after(6) == ["step"]


async def test_meanwhile_another_manager_takes_them_and_errors_hold_it():
    world = World(RISING)
    await world.after(30)
    world.map.pointer, world.revision = stepped(RISING), 6
    assert await world.after(29) == []
    world.counts = (1_000, 20)
    assert await world.after(0) == ["hold"]
    assert world.map.pointer.paused == "2.0 % of the requests fail, and 0.0 % did before"


async def test_a_baseline_is_taken_while_the_ramp_is_held_too():
    world = World(replace(RISING, ramp=3_000, paused="it was asked for"))
    assert await world.after(60) == []
    world.map.pointer, world.revision = replace(RISING, ramp=3_000), 6
    assert await world.after(6) == ["step"]


async def test_a_ramp_of_one_step_waits_for_no_baseline():
    assert await World(replace(RISING, seconds=SWITCH_SECONDS)).after(0) == ["step"]


@pytest.mark.parametrize(
    ("hits", "took", "why"),
    [
        (50, 0.1, "find their model in memory, and 90.0 % did before"),
        (90, 9.0, "s, and up to 0.1 s before"),
    ],
)
async def test_a_manager_that_starts_in_a_ramp_holds_it_for_what_becomes_worse(hits, took, why):
    world = World(replace(RISING, ramp=3_000))
    world.traffic = (90, 0.1)
    assert await world.after(61) == ["step"]
    world.traffic = (hits, took)
    assert "hold" in await world.after(60)
    assert world.map.pointer.paused.endswith(why)


async def test_between_two_looks_it_waits_until_the_map_moves(monkeypatch):
    monkeypatch.setattr("version_manager.ramper._LOOK_SECONDS", 3_600.0)
    monkeypatch.setattr("version_manager.ramper._PACE_SECONDS", 0.0)
    world, moved, looks = World(Active(1)), asyncio.Event(), []
    world.next_move = lambda: moved
    monkeypatch.setattr(world.ramper, "turn", AsyncMock(side_effect=lambda: looks.append(1)))
    task = asyncio.create_task(world.ramper.run())
    for expected in (1, 2):
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(looks) == expected
        moved.set()
        moved = asyncio.Event()
    task.cancel()


async def test_two_managers_have_a_generation_take_over(tmp_path):
    async with Fleet(tmp_path, ramp_settle_seconds=0.0) as fleet:
        await fleet.start_manager()
        await fleet.client.set_generation(generation("a"), 0)
        await fleet.client.change_shards(
            pb.SetGenerationRequest(generation=generation("a", "b"), expected_number=1, ramp_seconds=1.5)
        )
        assert (await fleet.client.get_status()).ramp.basis_points == 0

        async def is_over() -> bool:
            return (await fleet.client.get_generation()).previous == 0

        await eventually(is_over)
        assert not (await fleet.client.get_status()).HasField("ramp")
        assert Counter(json.loads(one)["what"] for one in await fleet.audit()) == {
            "set generation": 2,
            "ramp": 2,
            "end ramp": 1,
        }
