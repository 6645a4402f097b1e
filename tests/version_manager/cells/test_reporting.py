"""What a cell said last, and what it is told."""

import pytest

from croupier.errors import Cancelled, Conflict
from version_manager.cells.reporting import Handing, ReportingCell
from version_manager.model.fleet import Cell, CellState, Load

CELL = Cell("cell-1", "a", "127.0.0.1:9000")
FIRST, SECOND = bytes(32), b"\1" * 32


async def test_what_it_says_last_counts_and_who_it_is_stays():
    now = 10.0
    cell = ReportingCell(CELL, lambda: now)
    assert (cell.cell, cell.silence) == (CELL, 0.0)
    now = 12.5
    assert cell.silence == 2.5
    await cell.report(CellState.DRAINING, Load(used_bytes=5))
    await cell.report(CellState.DRAINED, Load(used_bytes=6))
    assert cell.cell == Cell("cell-1", "a", "127.0.0.1:9000", 1.0, CellState.DRAINED, Load(used_bytes=6))
    assert cell.silence == 0.0


async def test_a_lift_is_told_once_however_often_it_is_asked_for():
    cell = ReportingCell(CELL)
    for artifact in (FIRST, SECOND, FIRST):
        cell.lift(artifact)
    assert cell.take_lifts() == [FIRST, SECOND]
    assert cell.take_lifts() == []
    # It may have crashed over the artifact once more since.
    cell.lift(FIRST)
    assert cell.take_lifts() == [FIRST]


async def test_what_ended_it_is_what_ended_it_first():
    cell = ReportingCell(CELL)
    cell.check()
    assert not cell.ended.is_set()
    cell.end(Conflict("it joined elsewhere"))
    cell.end(Cancelled("the session was closed"))
    assert cell.ended.is_set()
    for _ in range(2):
        with pytest.raises(Conflict, match="it joined elsewhere"):
            cell.check()


async def test_nothing_is_taken_of_one_that_is_over():
    cell = ReportingCell(CELL)
    cell.end(Conflict("it joined elsewhere"))
    with pytest.raises(Conflict):
        await cell.report(CellState.DRAINING, Load(used_bytes=5))
    assert cell.cell == CELL


def test_what_is_done_for_a_cell_begins_when_it_says_that_it_goes_and_ends_when_it_does_not():
    session = ReportingCell(CELL)
    assert session.handing is Handing.NONE
    session.hear(CellState.ACTIVE, is_leaving=True)
    assert session.handing is Handing.WANTED
    session.handing = Handing.DONE
    session.hear(CellState.ACTIVE, is_leaving=True)
    assert session.handing is Handing.DONE
    session.hear(CellState.ACTIVE, is_leaving=False)
    assert session.handing is Handing.NONE
    session.hear(CellState.WARMING, is_leaving=False)
    session.handing = Handing.RUNNING
    # It is to go before it is warm: that is another matter.
    session.hear(CellState.ACTIVE, is_leaving=True)
    assert session.handing is Handing.WANTED
