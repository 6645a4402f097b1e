"""A cell's messages, one by one, and what ends their stream."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from support.manager import cell_report

from croupier.errors import Conflict, CroupierError, InvalidRequest
from protos.versions.v1 import versions_pb2 as pb
from version_manager.cells.joined import CellSilent
from version_manager.cells.reporting import Handing, ReportingCell
from version_manager.model.fleet import Cell, CellState
from version_manager.reported import answers


class Registry:
    """Remembers the last session."""

    session: ReportingCell
    is_known = False

    @asynccontextmanager
    async def join(self, cell: Cell) -> AsyncIterator[ReportingCell]:
        self.session, self.is_known = ReportingCell(cell), True
        try:
            yield self.session
        finally:
            self.is_known = False


async def messages(*reports: pb.JoinRequest, is_open: bool = False) -> AsyncIterator[pb.JoinRequest]:
    for report in reports:
        yield report
    if is_open:
        await asyncio.Event().wait()


async def test_each_message_is_taken_and_answered() -> None:
    registry = Registry()
    first, second = cell_report("cell-1"), cell_report("cell-1", state="draining", used=7)
    first.part.release = "9"
    second.cell.load.work.misses = 3
    given = answers(messages(first, second), registry.join, 5.0)
    assert (await anext(given)).lease_seconds == 5.0
    session = registry.session
    assert (session.part.release if session.part else "", session.work) == ("9", None)
    session.lift(b"x")
    assert (await anext(given)).lift == [b"x"]
    assert (session.cell.state, session.cell.load.used_bytes) == (CellState.DRAINING, 7)
    # Of what a message does not say, the last word stands.
    assert (session.part.release if session.part else "", session.work) == ("9", pb.Work(misses=3))
    assert [answer async for answer in given] == []
    assert not registry.is_known


async def test_each_answer_says_which_shard_map_deals_now() -> None:
    deals: list[int] = []
    given = answers(messages(*[cell_report("cell-1")] * 4), Registry().join, 5.0, lambda: deals)
    told = []
    for numbers in ([], [3], [4, 3], [5, 4]):
        deals[:] = numbers
        answer = await anext(given)
        told.append((answer.generation, answer.previous_generation))
    assert told == [(0, 0), (3, 0), (4, 3), (5, 4)]


@pytest.mark.parametrize("state", ["asleep", "ACTIVE"])
async def test_what_makes_no_sense_is_refused(state: str) -> None:
    with pytest.raises(InvalidRequest):
        await anext(answers(messages(), Registry().join, 5.0))
    with pytest.raises(InvalidRequest):
        await anext(answers(messages(cell_report("cell-1", state=state)), Registry().join, 5.0))


@pytest.mark.parametrize(("ends", "error"), [(False, CellSilent), (True, Conflict)])
async def test_silence_and_the_end_of_the_session_end_it(ends: bool, error: type[CroupierError]) -> None:
    registry = Registry()
    given = answers(messages(cell_report("cell-1"), is_open=True), registry.join, 0.01 if not ends else 5.0)
    await anext(given)
    if ends:
        registry.session.end(Conflict("joined again"))
    with pytest.raises(error):
        await anext(given)
    assert not registry.is_known


async def test_a_cell_that_leaves_is_told_when_others_hold_what_is_hot_there() -> None:
    registry = Registry()
    leaving = cell_report("cell-1")
    leaving.cell.leaving = True
    given = answers(messages(cell_report("cell-1"), *[leaving] * 2), registry.join, 5.0)
    assert (await anext(given)).handover == pb.HANDOVER_UNSPECIFIED
    assert (await anext(given)).handover == pb.HANDOVER_RUNNING
    registry.session.handing = Handing.DONE
    assert (await anext(given)).handover == pb.HANDOVER_DONE
    await given.aclose()
