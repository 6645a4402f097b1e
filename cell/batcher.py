"""Requests that wait together are scored together: by artifact, and never mixed.

    score ──▶ groups[digest]      every request joins the group of its own artifact, before
                 │                anything is filled
                 │ end of the loop's tick, or a worker that comes free
                 ▼
              batches             of one artifact, up to `max_rows` rows; expired and cancelled
                 │                requests are dropped here, unexecuted
                 ▼
              one call of a worker thread for many batches, then each caller is answered alone

There is no delay to wait for company: what queued while the workers were busy is the batch. Every
waiting caller has its own future and its own lease, which ends after its rows were scored, so a
caller that hangs up changes nothing for the others and no model goes while it is being used.

A batch that fails is scored again one request at a time, so that a culprit harms only itself.
Rows of a model must not depend on each other: the artifact format's first dimension, the batch,
says so. Models with a fixed first dimension are scored one request at a time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from cell.engines import Mixed, Scorer, ScoringFailed
from cell.residency import Lease
from cell.signature import Arrays
from croupier.deadline import Deadline
from croupier.errors import DeadlineExceeded, Unavailable
from croupier.telemetry.metrics import Counter, Histogram

_log = logging.getLogger(__name__)

_BATCH_ROWS = Histogram(
    "croupier_cell_batch_rows", "Rows of one scoring call", buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256)
)
_DROPPED = Counter("croupier_cell_dropped_total", "Requests dropped before they were scored", ["cause"])
_RETRIED = Counter("croupier_cell_split_batches_total", "Batches that failed and were scored one by one")

_RETRY_AFTER = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    lease: Lease[Scorer]
    inputs: Arrays
    rows: int
    outputs: tuple[str, ...]
    deadline: Deadline
    answer: asyncio.Future[Arrays]


@dataclass(frozen=True, slots=True)
class _Batch:
    digest: bytes
    jobs: tuple[_Job, ...]


_Outcome: TypeAlias = tuple[_Job, Arrays | Exception]


class Batcher:
    """Scores for many callers in the threads of `pool`, at most `workers` calls at a time.

    A batch has up to `max_rows` rows; more than `max_queued_rows` waiting is overload.
    """

    def __init__(
        self,
        pool: Executor,
        *,
        workers: int,
        max_rows: int,
        max_queued_rows: int,
        clock: Callable[[], float],
    ) -> None:
        self._pool = pool
        self._workers = workers
        self._max_rows = max_rows
        self._max_queued_rows = max_queued_rows
        self._clock = clock
        # Waiting requests by artifact, the group that has waited longest first.
        self._groups: dict[bytes, list[_Job]] = {}
        self._queued_rows = 0
        self._is_scheduled = False
        self._is_closed = False
        self._calls: set[asyncio.Future[list[_Outcome]]] = set()

    async def score(
        self, lease: Lease[Scorer], inputs: Arrays, rows: int, outputs: Sequence[str], deadline: Deadline
    ) -> Arrays:
        """The named outputs for `rows` rows of `inputs`, which fit the model's signature.

        The model is held by a lease of the batcher's own until its rows are scored.

        Raises:
            DeadlineExceeded: the deadline passed before its turn; nothing was scored.
            Unavailable: too much is waiting, or the cell is stopping.
            ScoringFailed: the model failed on these rows.
        """
        if self._is_closed:
            raise Unavailable("this cell is stopping", reason="STOPPING", retry_after=_RETRY_AFTER)
        # With nothing before it a request is taken at any size, or it would be told to try again for ever.
        if self._queued_rows and self._queued_rows + rows > self._max_queued_rows:
            raise Unavailable("this cell is overloaded", reason="OVERLOADED", retry_after=_RETRY_AFTER)
        loop = asyncio.get_running_loop()
        job = _Job(lease.share(), inputs, rows, tuple(outputs), deadline, loop.create_future())
        self._groups.setdefault(job.lease.digest, []).append(job)
        self._queued_rows += rows
        self._schedule(loop)
        return await job.answer

    async def close(self) -> None:
        """Refuse what waits and wait for what runs."""
        self._is_closed = True
        for job in self._take(len(self._groups)):
            stopping = Unavailable("this cell is stopping", reason="STOPPING", retry_after=_RETRY_AFTER)
            _resolve(job, stopping)
        if self._calls:
            await asyncio.wait(self._calls)

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        """Dispatch at the end of this tick, when what it brought is all here."""
        if not self._is_scheduled and len(self._calls) < self._workers:
            self._is_scheduled = True
            loop.call_soon(self._dispatch, loop)

    def _dispatch(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_scheduled = False
        while self._groups and len(self._calls) < self._workers:
            idle = self._workers - len(self._calls)
            # An even share for each idle worker, so that none takes all while another has nothing.
            share = -(-len(self._groups) // idle)
            batches = list(_cut(self._wanted(self._take(share)), self._max_rows))
            if batches:
                call = loop.run_in_executor(self._pool, _run, batches, self._clock)
                self._calls.add(call)
                call.add_done_callback(self._finish)

    def _take(self, groups: int) -> Iterator[_Job]:
        for digest in list(self._groups)[:groups]:
            for job in self._groups.pop(digest):
                self._queued_rows -= job.rows
                yield job

    def _wanted(self, jobs: Iterable[_Job]) -> Iterator[_Job]:
        now = self._clock()
        for job in jobs:
            if job.answer.done():
                _DROPPED.labels("cancelled").inc()
                job.lease.release()
            elif now >= job.deadline.at:
                _resolve(job, _expired())
            else:
                yield job

    def _finish(self, call: asyncio.Future[list[_Outcome]]) -> None:
        self._calls.discard(call)
        for job, outcome in call.result():
            _resolve(job, outcome)
        if self._groups:
            self._schedule(call.get_loop())


def _resolve(job: _Job, outcome: Arrays | Exception) -> None:
    """Answer one caller, if it is still there, and give its lease back."""
    job.lease.release()
    if isinstance(outcome, DeadlineExceeded):
        _DROPPED.labels("expired").inc()
    if job.answer.done():
        return
    if isinstance(outcome, Exception):
        job.answer.set_exception(outcome)
    else:
        job.answer.set_result(outcome)


def _cut(jobs: Iterable[_Job], max_rows: int) -> Iterator[_Batch]:
    """Batches of neighbouring jobs of one artifact; a job is never split."""
    batch: list[_Job] = []
    rows = 0
    for job in jobs:
        joins = batch and job.lease.digest == batch[0].lease.digest and job.lease.model.batchable
        if batch and not (joins and rows + job.rows <= max_rows):
            yield _Batch(batch[0].lease.digest, tuple(batch))
            batch, rows = [], 0
        batch.append(job)
        rows += job.rows
    if batch:
        yield _Batch(batch[0].lease.digest, tuple(batch))


# From here on everything runs in a worker thread.


def _run(batches: Sequence[_Batch], clock: Callable[[], float]) -> list[_Outcome]:
    return [outcome for batch in batches for outcome in _run_batch(batch, clock)]


def _run_batch(batch: _Batch, clock: Callable[[], float]) -> list[_Outcome]:
    """The outcome for each job; the batches before this one in the call may have taken a while."""
    now = clock()
    expired: list[_Outcome] = [(job, _expired()) for job in batch.jobs if now >= job.deadline.at]
    jobs = [job for job in batch.jobs if now < job.deadline.at]
    if not jobs:
        return expired
    try:
        scored = _score(batch.digest, jobs)
    except Exception as error:  # noqa: BLE001 (it is the answer to these callers)
        if isinstance(error, Mixed):
            _log.error("a batch was refused", exc_info=error)
        if len(jobs) == 1:
            return [*expired, (jobs[0], error)]
        _RETRIED.inc()
        alone = (_Batch(batch.digest, (job,)) for job in jobs)
        return [*expired, *(outcome for each in alone for outcome in _run_batch(each, clock))]
    return [*expired, *zip(jobs, scored, strict=True)]


def _score(digest: bytes, jobs: Sequence[_Job]) -> list[Arrays]:
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


def _split(jobs: Sequence[_Job], outputs: Arrays) -> list[Arrays]:
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


def _expired() -> DeadlineExceeded:
    return DeadlineExceeded("the deadline passed before the model was scored")
