"""What a cell hears of the shard map with the answers to its reports."""

import asyncio
import random
from collections.abc import AsyncIterator

from support.waiting import eventually

from cell.codec.fence import Fence
from cell.loading.host import HostReport
from cell.register import Endpoint, Pace, Registration
from croupier.backoff import Backoff
from protos.versions.v1 import versions_pb2 as pb

ENDPOINT = Endpoint("cell-1", "zone-a", "127.0.0.1:1234", 2.0)
PACE = Pace(report=0.005, backoff=Backoff(0.001, 0.01), silence=5.0)


class Manager:
    """Answers `answers` reports of each stream with the shard maps that deal."""

    def __init__(self, *deals: int) -> None:
        self.deals = deals
        self.answers = 10**9
        self.streams = 0

    def join(self, reports: AsyncIterator[pb.JoinRequest]) -> AsyncIterator[pb.JoinResponse]:
        return self.report(reports)

    async def report(self, reports: AsyncIterator[pb.JoinRequest]) -> AsyncIterator[pb.JoinResponse]:
        self.streams += 1
        for _ in range(self.answers):
            await anext(reports)
            generation, previous = self.deals
            yield pb.JoinResponse(lease_seconds=5, generation=generation, previous_generation=previous)


class Registered:
    """A cell that reports to `managers` inside a `with` block."""

    def __init__(self, *managers: Manager) -> None:
        self.fence = Fence()
        report = HostReport(100, 60, 3, 1, 7.5, 20, 15)
        self.registration = Registration(
            managers, ENDPOINT, lambda: report, pace=PACE, rng=random.Random(1), fence=self.fence
        )

    async def __aenter__(self) -> Fence:
        self.task = asyncio.create_task(self.registration.run())
        return self.fence

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


async def test_the_manager_that_is_furthest_on_counts_whether_or_not_it_has_the_cell() -> None:
    one, other = Manager(4, 3), Manager(6, 5)
    async with Registered(one, other) as fence:
        await eventually(lambda: fence.floor == 5, "both told")
        one.deals = (8, 7)
        await eventually(lambda: fence.floor == 7, "a later map")


async def test_a_manager_that_answers_no_more_is_believed_only_while_nobody_else_does() -> None:
    manager = Manager(9, 8)
    manager.answers = 1
    async with Registered(manager) as fence:
        await eventually(lambda: manager.streams > 1, "it hung up, and was joined again")
        manager.answers = 0
        streams = manager.streams
        await eventually(lambda: manager.streams > streams + 1, "it answers nothing")
        assert fence.floor == 8
        manager.deals, manager.answers = (4, 3), 10**9
        await eventually(lambda: fence.floor == 3, "it answers again")
