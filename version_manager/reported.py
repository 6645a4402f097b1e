"""The stream by which a cell joins or reports: its messages, and an answer to each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

from croupier.errors import InvalidRequest
from croupier.protocol import announced
from protos.versions.v1 import versions_pb2 as pb
from version_manager.cells.joined import CellSilent
from version_manager.cells.reporting import Handing, ReportingCell
from version_manager.kept import kept
from version_manager.model import wire
from version_manager.model.fleet import Cell, CellState

_HANDOVERS = {
    Handing.NONE: pb.HANDOVER_UNSPECIFIED,
    Handing.WANTED: pb.HANDOVER_RUNNING,
    Handing.RUNNING: pb.HANDOVER_RUNNING,
    Handing.DONE: pb.HANDOVER_DONE,
}

# What has the cell known for a block: `Registry.join` or `Registry.listen`.
Begin: TypeAlias = Callable[[Cell], AbstractAsyncContextManager[ReportingCell]]


async def answers(
    requests: AsyncIterator[pb.JoinRequest],
    begin: Begin,
    seconds: float,
    deals: Callable[[], Sequence[int]] = tuple,
) -> AsyncGenerator[pb.JoinResponse, None]:
    """An answer to each message, the first of which says who it is; `seconds` of silence are the end.

    `deals` tells the number of the generation that deals, and of the one before it, if there are any.

    Raises:
        InvalidRequest: a message makes no sense.
        CellSilent, and what `begin` raises.
    """
    first = await _next_report(requests, None, seconds)
    if first is None:
        raise InvalidRequest("the first message says who joins", field="cell")
    async with begin(_joining_cell(first)) as session:
        _take_further(session, first)
        yield _answer(seconds, deals(), session)
        while (report := await _next_report(requests, session, seconds)) is not None:
            _take_further(session, report)
            await session.report(_state(report.cell), wire.load_from_pb(report.cell.load))
            yield _answer(seconds, deals(), session)


def _answer(seconds: float, deals: Sequence[int], session: ReportingCell) -> pb.JoinResponse:
    generation, previous, *_ = *deals, 0, 0
    return pb.JoinResponse(
        lease_seconds=seconds,
        lift=session.take_lifts(),
        generation=generation,
        previous_generation=previous,
        handover=_HANDOVERS[session.handing],
    )


def _state(cell: pb.Cell) -> CellState:
    try:
        return wire.state_of(cell) if cell.state else CellState.ACTIVE
    except ValueError as error:
        raise InvalidRequest("a cell is active, draining or drained", field="state") from error


def _take_further(session: ReportingCell, report: pb.JoinRequest) -> None:
    session.hear(_state(report.cell), is_leaving=report.cell.leaving)
    if report.HasField("part"):
        session.part = kept(report.part)
    if report.cell.load.HasField("work"):
        session.work = kept(report.cell.load.work)


def _joining_cell(request: pb.JoinRequest) -> Cell:
    cell = request.cell
    load, protocol = wire.load_from_pb(cell.load), announced(cell.protocol)
    return Cell(cell.id, cell.zone, cell.address, cell.weight, _state(cell), load, protocol)


async def _next_report(
    requests: AsyncIterator[pb.JoinRequest], session: ReportingCell | None, patience: float
) -> pb.JoinRequest | None:
    """The next message; None once the cell has said all.

    Raises:
        CellSilent: none came in `patience` seconds.
        CroupierError: `session` has ended, for the reason that it gives.
    """
    reading: asyncio.Task[Any] = asyncio.ensure_future(anext(aiter(requests), None))
    waits: set[asyncio.Task[Any]] = {reading}
    if session is not None:
        waits.add(asyncio.create_task(session.ended.wait()))
    try:
        await asyncio.wait(waits, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
        if session is not None:
            session.check()
        if not reading.done():
            raise CellSilent(f"no message in {patience:g} s")
        report: pb.JoinRequest | None = reading.result()
        return report
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
