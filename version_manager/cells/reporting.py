"""A cell that tells this manager of itself: what it said last, and what it is to be told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from enum import Enum, auto

from protos.versions.v1 import versions_pb2 as pb
from version_manager.model.fleet import Cell, CellState, Load


class Handing(Enum):
    """Whether others load what a cell holds hot that leaves, or it what others do, as it has come back."""

    NONE = auto()
    WANTED = auto()
    RUNNING = auto()
    DONE = auto()


class ReportingCell:
    """A cell that reports here, and is registered by another manager unless this is a `Session`.

    `ended` is set once this is over without the cell's doing; `check` then says why.
    """

    def __init__(self, cell: Cell, clock: Callable[[], float] = time.monotonic) -> None:
        self.cell = cell
        # What runs it, as it says; None of one of a release that does not tell.
        self.part: pb.Part | None = None
        # What it is at, in the same way.
        self.work: pb.Work | None = None
        # It is about to drain; and what is done about that, or about its having come back.
        self.is_leaving = False
        self.handing = Handing.NONE
        self._clock = clock
        self._heard_at = clock()
        self.ended = asyncio.Event()
        self._error: BaseException | None = None
        # Artifacts that the cell is to serve again, and has not been told of.
        self._lifts: list[bytes] = []

    def check(self) -> None:
        """Raises the error that ended this, if it has ended."""
        if self._error is not None:
            raise self._error

    async def report(self, state: CellState, load: Load) -> None:
        """Take what the cell says of itself."""
        self.check()
        self._heard_at = self._clock()
        self.cell = replace(self.cell, state=state, load=load)

    def hear(self, state: CellState, *, is_leaving: bool) -> None:
        """Take whether the cell is about to go, or has just come back in `state`."""
        if is_leaving != self.is_leaving or not (is_leaving or state is CellState.WARMING):
            self.handing = Handing.NONE
        self.is_leaving = is_leaving
        if self.handing is Handing.NONE and (is_leaving or state is CellState.WARMING):
            self.handing = Handing.WANTED

    @property
    def silence(self) -> float:
        """Seconds since the cell was heard."""
        return self._clock() - self._heard_at

    def lift(self, artifact: bytes) -> None:
        """Tell the cell, with the next answer, to serve a quarantined artifact again."""
        if artifact not in self._lifts:
            self._lifts.append(artifact)

    def take_lifts(self) -> list[bytes]:
        """What the cell is to be told; it is told once."""
        lifts, self._lifts = self._lifts, []
        return lifts

    def end(self, error: BaseException) -> None:
        """Be over because of `error`, for whoever feeds this."""
        self._error = self._error or error
        self.ended.set()
