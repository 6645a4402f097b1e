"""A cell that leaves and one that comes back: what it says of itself, and how long it waits."""

import asyncio
import random
from collections.abc import AsyncIterator

from support.cells import ticks

from cell.loading.host import HostReport
from cell.register import Endpoint, Pace, Registration
from croupier.backoff import Backoff
from protos.versions.v1 import versions_pb2 as pb

ENDPOINT = Endpoint("cell-1", "zone-a", "127.0.0.1:1234", 1.0)
REPORT = HostReport(100, 60, 3, 1, 7.5, 20, 15)
FAST = Pace(report=0.005, hurried=0.001, backoff=Backoff(0.1, 5.0), silence=5.0)


class FakeManager:
    """Says of a handover what `handover` says, which is nothing for one of the release before."""

    def __init__(self, handover: pb.Handover) -> None:
        self.handover = handover
        self.reports: list[pb.Cell] = []

    async def join(self, reports: AsyncIterator[pb.JoinRequest]) -> AsyncIterator[pb.JoinResponse]:
        async for report in reports:
            self.reports.append(report.cell)
            yield pb.JoinResponse(lease_seconds=5, handover=self.handover)

    async def report(self, reports: AsyncIterator[pb.JoinRequest]) -> AsyncIterator[pb.JoinResponse]:
        async for _ in reports:
            # One that has not got the cell knows nothing of its handover.
            yield pb.JoinResponse(lease_seconds=5)

    async def until(self, count: int) -> None:
        while len(self.reports) < count:
            await asyncio.sleep(0)


def registration(*managers: FakeManager, is_warming: bool = False) -> Registration:
    return Registration(
        managers,
        ENDPOINT,
        lambda: REPORT,
        pace=FAST,
        rng=random.Random(1),
        is_warming=is_warming,
    )


async def end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_who_leaves_is_active_until_others_hold_what_is_hot_there() -> None:
    manager = FakeManager(pb.HANDOVER_RUNNING)
    registered = registration(manager)
    running = asyncio.create_task(registered.run())
    await manager.until(1)
    await ticks()
    leaving = asyncio.create_task(registered.leave(30.0))
    await manager.until(6)
    assert not leaving.done()
    last = manager.reports[-1]
    assert (last.state, last.leaving, last.warming) == ("active", True, False)
    manager.handover = pb.HANDOVER_DONE
    await leaving
    assert await registered.drain(5.0)
    assert (manager.reports[-1].state, manager.reports[-1].leaving) == ("draining", False)
    await end(running)


async def test_a_manager_of_the_release_before_is_not_waited_for() -> None:
    manager = FakeManager(pb.HANDOVER_UNSPECIFIED)
    registered = registration(manager)
    running = asyncio.create_task(registered.run())
    await manager.until(1)
    await ticks()
    await asyncio.wait_for(registered.leave(30.0), 10.0)
    await end(running)


async def test_who_is_registered_nowhere_waits_for_nobody() -> None:
    await asyncio.wait_for(registration(FakeManager(pb.HANDOVER_RUNNING)).leave(30.0), 10.0)


async def test_a_handover_that_does_not_end_is_waited_for_so_long_and_no_longer() -> None:
    manager = FakeManager(pb.HANDOVER_RUNNING)
    registered = registration(manager)
    running = asyncio.create_task(registered.run())
    await manager.until(1)
    await ticks()
    await asyncio.wait_for(registered.leave(0.01), 10.0)
    await end(running)


async def test_who_comes_back_drains_to_others_until_it_is_warm() -> None:
    manager = FakeManager(pb.HANDOVER_RUNNING)
    registered = registration(manager, is_warming=True)
    running = asyncio.create_task(registered.run())
    handed = asyncio.create_task(registered.handed_over())
    await manager.until(3)
    assert not handed.done()
    assert {(one.state, one.warming, one.leaving) for one in manager.reports} == {("draining", True, False)}
    manager.handover = pb.HANDOVER_DONE
    await handed
    assert registered.is_warming
    registered.activate()
    assert not registered.is_warming
    count = len(manager.reports)
    await manager.until(count + 2)
    assert (manager.reports[-1].state, manager.reports[-1].warming) == ("active", False)
    await end(running)


async def test_who_is_to_go_while_it_warms_does_not_become_active_again() -> None:
    manager = FakeManager(pb.HANDOVER_DONE)
    registered = registration(manager, is_warming=True)
    running = asyncio.create_task(registered.run())
    await manager.until(1)
    # It has nothing hot that others would not hold.
    await registered.leave(30.0)
    assert await registered.drain(5.0)
    assert not any(one.leaving for one in manager.reports)
    registered.activate()
    count = len(manager.reports)
    await manager.until(count + 2)
    assert manager.reports[-1].state == "draining"
    await end(running)


async def test_only_the_manager_that_has_the_cell_says_when_it_is_handed_over() -> None:
    one, other = FakeManager(pb.HANDOVER_RUNNING), FakeManager(pb.HANDOVER_RUNNING)
    registered = registration(one, other)
    running = asyncio.create_task(registered.run())
    while not registered.is_registered:
        await asyncio.sleep(0)
    leaving = asyncio.create_task(registered.leave(30.0))
    home = one if one.reports else other
    await home.until(len(home.reports) + 5)
    assert not leaving.done()
    one.handover = other.handover = pb.HANDOVER_DONE
    await asyncio.wait_for(leaving, 10.0)
    await end(running)
