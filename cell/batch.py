"""Batches of requests for one artifact, and what a worker thread does with them.

A batch that fails is scored again one request at a time, so that a culprit harms only itself. Rows of a model
must not depend on each other: the artifact format's first dimension, the batch, says so. Models with a fixed
first dimension are scored one request at a time.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from cell.engines import Mixed, Scorer, ScoringFailed
from cell.engines.native import Native
from cell.residency import Lease
from cell.signature import Arrays
from croupier.deadline import Deadline
from croupier.errors import CroupierError, DeadlineExceeded
from croupier.telemetry.metrics import Counter, Histogram

_log = logging.getLogger(__name__)

_BATCH_ROWS = Histogram(
    "croupier_cell_batch_rows", "Rows of one scoring call", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256)
)
_RETRIED = Counter("croupier_cell_split_batches_total", "Batches that failed and were scored one by one")


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """One request: `rows` rows of `inputs`, scored while `lease` holds the model."""

    lease: Lease[Scorer]
    inputs: Arrays
    rows: int
    outputs: tuple[str, ...]
    deadline: Deadline
    answer: asyncio.Future[Arrays]


@dataclass(frozen=True, slots=True)
class Batch:
    digest: bytes
    jobs: tuple[Job, ...]


Outcome: TypeAlias = tuple[Job, Arrays | Exception]


@dataclass(frozen=True, slots=True)
class Scored:
    """What came of a batch; `rows` were scored in `seconds`."""

    digest: bytes
    outcomes: Sequence[Outcome]
    rows: int
    seconds: float


def cut(jobs: Iterable[tuple[int, Job]]) -> Iterator[Batch]:
    """Batches of neighbouring jobs of one artifact, each up to its model's rows; a job is never split."""
    batch: list[Job] = []
    rows = 0
    for most, job in jobs:
        joins = batch and job.lease.digest == batch[0].lease.digest and job.lease.model.batchable
        if batch and not (joins and rows + job.rows <= most):
            yield Batch(batch[0].lease.digest, tuple(batch))
            batch, rows = [], 0
        batch.append(job)
        rows += job.rows
    if batch:
        yield Batch(batch[0].lease.digest, tuple(batch))


def nanoseconds(batches: Sequence[Batch]) -> float:
    """About what scoring takes; infinity when the models do not say."""
    return sum(
        job.rows * job.lease.model.row_cost if isinstance(job.lease.model, Native) else math.inf
        for batch in batches
        for job in batch.jobs
    )


def run(batches: Sequence[Batch], clock: Callable[[], float]) -> list[Scored]:
    return [_timed(batch, clock) for batch in batches]


def _timed(batch: Batch, clock: Callable[[], float]) -> Scored:
    began = clock()
    outcomes = _run_batch(batch, clock)
    rows = sum(job.rows for job, outcome in outcomes if not isinstance(outcome, Exception))
    return Scored(batch.digest, outcomes, rows, clock() - began)


def _run_batch(batch: Batch, clock: Callable[[], float]) -> list[Outcome]:
    """The outcome for each job; the batches before this one in the call may have taken a while."""
    now = clock()
    late: list[Outcome] = [(job, expired()) for job in batch.jobs if now >= job.deadline.at]
    jobs = [job for job in batch.jobs if now < job.deadline.at]
    if not jobs:
        return late
    try:
        scored = _score(batch.digest, jobs)
    except Exception as error:  # noqa: BLE001 (it is the answer to these callers)
        if isinstance(error, Mixed):
            _log.error("a batch was refused", exc_info=error)
        if len(jobs) == 1:
            return [*late, (jobs[0], error.without_frames() if isinstance(error, CroupierError) else error)]
        _RETRIED.inc()
        alone = (Batch(batch.digest, (job,)) for job in jobs)
        return [*late, *(outcome for each in alone for outcome in _run_batch(each, clock))]
    return [*late, *zip(jobs, scored, strict=True)]


def _score(digest: bytes, jobs: Sequence[Job]) -> list[Arrays]:
    """What each of `jobs` asked for, from one call of their model."""
    scorer = jobs[0].lease.model
    if any(job.lease.digest != digest or job.lease.model is not scorer for job in jobs):
        raise Mixed("a batch has rows of two models")
    _BATCH_ROWS.observe(sum(job.rows for job in jobs))
    if not scorer.batchable:
        return [scorer.score(job.inputs, job.outputs) for job in jobs]
    if len(jobs) == 1:
        return _split(jobs, scorer.score(jobs[0].inputs, jobs[0].outputs))
    inputs = {name: np.concatenate([job.inputs[name] for job in jobs]) for name in jobs[0].inputs}
    wanted = tuple(dict.fromkeys(name for job in jobs for name in job.outputs))
    return _split(jobs, scorer.score(inputs, wanted))


def _split(jobs: Sequence[Job], outputs: Arrays) -> list[Arrays]:
    rows = sum(job.rows for job in jobs)
    for name, array in outputs.items():
        if array.shape[:1] != (rows,):
            raise ScoringFailed(f"output {name!r} has shape {list(array.shape)} for {rows} rows")
    parts: list[Arrays] = []
    begin = 0
    for job in jobs:
        parts.append({name: outputs[name][begin : begin + job.rows] for name in job.outputs})
        begin += job.rows
    return parts


def expired() -> DeadlineExceeded:
    return DeadlineExceeded("the deadline passed before the model was scored")
