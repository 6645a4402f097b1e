"""Requests as they are scored: jobs, pieces of them, batches of pieces, and what a thread does with those.

A batch that fails is scored again one piece at a time, so that a culprit harms only itself.

Rows of different requests share a call, and a large request is scored in pieces, which leaves room for others
in between, only where a model's rows are known to be independent of each other (`Scorer.batchable`). All
others are scored one whole request at a time. Either way the rows of a reply are the rows of its request, or
the request fails.

A run is stopped when its last caller's deadline passes or gives up, and after `most_seconds` in any case
(`engines/stop.py`).
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from cell.codec.signature import Arrays
from cell.engines import Mixed, Scorer, ScoringFailed
from cell.engines.stop import Stop, Stopped
from cell.residency.residency import Lease
from croupier.deadline import Deadline
from croupier.errors import DeadlineExceeded, to_keep
from croupier.fairness import Who
from croupier.telemetry.metrics import Counter, Histogram
from croupier.telemetry.traces import Span

_log = logging.getLogger(__name__)

_BATCH_ROWS = Histogram(
    "croupier_cell_batch_rows", "Rows of one scoring call", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256)
)
_MERGED = Counter("croupier_cell_merged_requests_total", "Requests that shared a scoring call with others")
_RETRIED = Counter("croupier_cell_split_batches_total", "Batches that failed and were scored one by one")


@dataclass(slots=True, eq=False)
class Job:
    """One request: `rows` rows of `inputs`, scored while `lease` holds the model; whose it is says `owner`.

    `at_work` is called when a run of it has become a long one; it waits `since` that moment.
    """

    lease: Lease[Scorer]
    inputs: Arrays
    rows: int
    outputs: tuple[str, ...]
    deadline: Deadline
    answer: asyncio.Future[Arrays]
    owner: int = 0
    # Of its inputs and its answer.
    size: int = 0
    at_work: Callable[[], None] | None = None
    since: float = 0.0
    priority: int = 0
    # What is traced of its wait and its run.
    span: Span | None = None
    # Rows that went to threads; pieces that are there now; outputs of those that are back, by their first
    # row.
    given: int = 0
    running: int = 0
    parts: dict[int, Arrays] = field(default_factory=dict)

    @property
    def who(self) -> Who:
        return self.priority, self.owner

    def give(self, rows: int) -> Piece:
        """Its next rows."""
        piece = Piece(self, self.given, self.given + rows)
        self.given += rows
        self.running += 1
        return piece

    def collect(self, piece: Piece, outputs: Arrays) -> Arrays | None:
        """All its outputs, once those of every piece are there."""
        if piece.rows == self.rows:
            return outputs
        self.parts[piece.begin] = outputs
        if self.running or self.given < self.rows:
            return None
        parts = [self.parts[begin] for begin in sorted(self.parts)]
        self.parts.clear()
        return {name: np.concatenate([part[name] for part in parts]) for name in self.outputs}


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """The rows of a job from `begin` to `end`."""

    job: Job
    begin: int
    end: int

    @property
    def rows(self) -> int:
        return self.end - self.begin

    @property
    def inputs(self) -> Arrays:
        inputs = self.job.inputs
        if self.rows == self.job.rows:
            return inputs
        return {name: array[self.begin : self.end] for name, array in inputs.items()}


@dataclass(frozen=True, slots=True)
class Batch:
    """Pieces that go through one call of the model of `digest`, about `row_seconds` a row."""

    digest: bytes
    pieces: tuple[Piece, ...]
    row_seconds: float = 0.0

    @property
    def rows(self) -> int:
        return sum(piece.rows for piece in self.pieces)

    @property
    def seconds(self) -> float:
        return self.rows * self.row_seconds


Outcome: TypeAlias = tuple[Piece, Arrays | Exception]


@dataclass(frozen=True, slots=True)
class Scored:
    """What came of a batch; `rows` were scored in `seconds`. `is_stopped`: it did not come to its end."""

    batch: Batch
    outcomes: Sequence[Outcome]
    rows: int
    seconds: float
    is_stopped: bool


class Turn:
    """What a thread does at one go: it takes `batches` off one by one, and puts what came of them into
    `done`.

    `stop` is for the run that it is in, set by the thread.
    """

    __slots__ = ("batches", "done", "most_seconds", "stop")

    def __init__(self, batches: Iterable[Batch], most_seconds: float = math.inf) -> None:
        self.batches = deque(batches)
        self.done: deque[Scored] = deque()
        self.most_seconds = most_seconds
        self.stop: Stop | None = None

    def run(self, clock: Callable[[], float]) -> None:
        """Runs in the thread; whoever waits for it may take away what it has not begun, and what is done."""
        while True:
            try:
                batch = self.batches.popleft()
            except IndexError:
                return
            self.done.append(_timed(batch, clock, self))

    def take_back(self) -> list[Batch]:
        """The batches that were not begun."""
        left: list[Batch] = []
        while True:
            try:
                left.append(self.batches.pop())
            except IndexError:
                return left[::-1]

    def take_done(self) -> Iterator[Scored]:
        """What came of batches, as far as they are done."""
        while self.done:
            yield self.done.popleft()


def _timed(batch: Batch, clock: Callable[[], float], turn: Turn) -> Scored:
    began = clock()
    outcomes = _run_batch(batch.digest, batch.pieces, clock, turn)
    rows = sum(piece.rows for piece, outcome in outcomes if not isinstance(outcome, Exception))
    is_stopped = any(isinstance(outcome, Stopped) for _, outcome in outcomes)
    return Scored(batch, outcomes, rows, clock() - began, is_stopped)


def _run_batch(
    digest: bytes, pieces: Sequence[Piece], clock: Callable[[], float], turn: Turn
) -> list[Outcome]:
    """The outcome for each piece; the batches before this one in the turn may have taken a while."""
    now = clock()
    late: list[Outcome] = [(piece, expired()) for piece in pieces if now >= piece.job.deadline.at]
    pieces = [piece for piece in pieces if now < piece.job.deadline.at]
    if not pieces:
        return late
    # Its callers are other ones than those of the runs before.
    stop = Stop(now, min(now + turn.most_seconds, max(piece.job.deadline.at for piece in pieces)))
    turn.stop = stop
    try:
        scored = _score(digest, pieces, stop)
    except Stopped as error:
        return [*late, *((piece, Stopped(error.message)) for piece in pieces)]
    except Exception as error:  # noqa: BLE001 (it is the answer to these callers)
        if isinstance(error, Mixed):
            _log.error("a batch was refused", exc_info=error)
        if len(pieces) == 1:
            return [*late, (pieces[0], to_keep(error))]
        _RETRIED.inc()
        alone = [_run_batch(digest, [piece], clock, turn) for piece in pieces]
        return [*late, *(outcome for outcomes in alone for outcome in outcomes)]
    finally:
        turn.stop = None
    return [*late, *zip(pieces, scored, strict=True)]


def _score(digest: bytes, pieces: Sequence[Piece], stop: Stop) -> list[Arrays]:
    """What each of `pieces` asked for, from one call of their model."""
    scorer = pieces[0].job.lease.model
    if any(piece.job.lease.digest != digest or piece.job.lease.model is not scorer for piece in pieces):
        raise Mixed("a batch has rows of two models")
    if len(pieces) == 1 or not scorer.batchable:
        return [_run(scorer, [piece], piece.inputs, piece.job.outputs, stop)[0] for piece in pieces]
    _MERGED.inc(len(pieces))
    parts = [piece.inputs for piece in pieces]
    inputs = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    wanted = tuple(dict.fromkeys(name for piece in pieces for name in piece.job.outputs))
    return _run(scorer, pieces, inputs, wanted, stop)


def _run(
    scorer: Scorer, pieces: Sequence[Piece], inputs: Arrays, outputs: Sequence[str], stop: Stop
) -> list[Arrays]:
    """One call of the model; its answer has a row for each row of `pieces`, or is none."""
    rows = sum(piece.rows for piece in pieces)
    _BATCH_ROWS.observe(rows)
    scored = scorer.score(inputs, outputs, stop)
    for name, array in scored.items():
        if array.shape[:1] != (rows,):
            raise ScoringFailed(f"output {name!r} has shape {list(array.shape)} for {rows} rows")
    parts: list[Arrays] = []
    begin = 0
    for piece in pieces:
        parts.append({name: scored[name][begin : begin + piece.rows] for name in piece.job.outputs})
        begin += piece.rows
    return parts


def expired() -> DeadlineExceeded:
    return DeadlineExceeded("the deadline passed before the model was scored")
