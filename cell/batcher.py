"""Requests that wait together are scored together: by artifact, and never mixed.

    score ──▶ groups[digest]      every request joins the group of its own artifact, before
                 │                anything is filled
                 │ end of the loop's tick, or a worker that comes free
                 ▼
              batches             of one artifact, up to `max_rows` rows; expired and cancelled
                 │                requests are dropped here, unexecuted
                 ▼
              one call of a worker thread for many batches, then each caller is answered alone;
              little work of native models is done at once, on the event loop

By default nobody waits for company: what queued while the workers were busy is the batch. A model may
ask for a delay (`croupier/artifacts/batching.py`): its group is ready when the first of it has waited for
so long, when it fills a call, or when one of it has no time to wait. How many rows make a call of an
expensive model is found out (`batchsize.py`); native models take `max_rows`.

Every waiting caller has its own future and its own lease, which ends after its rows were scored, so a
caller that hangs up changes nothing for the others and no model goes while it is being used.

`batch.py` has what is done in a worker thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor

from cell.batch import Job, Scored, cut, expired, nanoseconds, run
from cell.batchsize import BatchSizes
from cell.engines import Scorer
from cell.residency import Lease
from cell.signature import Arrays
from croupier.deadline import Deadline
from croupier.errors import DeadlineExceeded, Unavailable
from croupier.telemetry.metrics import Counter

_DROPPED = Counter("croupier_cell_dropped_total", "Requests dropped before they were scored", ["cause"])

_RETRY_AFTER = 0.05
# Work of native models, in nanoseconds, that is done on the event loop: a thread and the way back take more,
# and milliseconds when the event loop is busy.
_MOST_HERE = 100_000.0


class _Group:
    """Requests that wait for one artifact; `ready_at` is when it need not wait for more."""

    __slots__ = ("jobs", "most", "ready_at", "rows")

    def __init__(self, ready_at: float, most: int) -> None:
        self.jobs: list[Job] = []
        self.rows = 0
        # Of one call.
        self.most = most
        self.ready_at = ready_at

    def is_ready(self, now: float) -> bool:
        return self.rows >= self.most or now >= self.ready_at


class Batcher:
    """Scores for many callers in the threads of `pool`, at most `workers` calls at a time.

    A batch has up to `max_rows` rows, of an expensive model no more than keep its call within
    `target_seconds`; more than `max_queued_rows` waiting is overload.
    """

    def __init__(
        self,
        pool: Executor,
        *,
        workers: int,
        max_rows: int,
        max_queued_rows: int,
        clock: Callable[[], float],
        target_seconds: float = 0.02,
    ) -> None:
        self._pool = pool
        self._workers = workers
        self._max_rows = max_rows
        self._max_queued_rows = max_queued_rows
        self._clock = clock
        # Waiting requests by artifact, the group that has waited longest first.
        self._groups: dict[bytes, _Group] = {}
        self._sizes = BatchSizes(max_rows, target_seconds)
        # Wakes when the next group that waits for company is ready.
        self._timer: asyncio.TimerHandle | None = None
        self._queued_rows = 0
        self._is_scheduled = False
        self._is_closed = False
        self._calls: set[asyncio.Future[list[Scored]]] = set()

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
        job = Job(lease.share(), inputs, rows, tuple(outputs), deadline, loop.create_future())
        self._join(job)
        self._schedule(loop)
        return await job.answer

    async def close(self) -> None:
        """Refuse what waits and wait for what runs."""
        self._is_closed = True
        for _, job in self._take([*self._groups]):
            stopping = Unavailable("this cell is stopping", reason="STOPPING", retry_after=_RETRY_AFTER)
            _resolve(job, stopping)
        if self._timer is not None:
            self._timer.cancel()
        if self._calls:
            await asyncio.wait(self._calls)

    def _join(self, job: Job) -> None:
        digest, batching, now = job.lease.digest, job.lease.model.batching, self._clock()
        group = self._groups.get(digest)
        if group is None:
            delay = 0.0 if batching is None else batching.delay_seconds
            most = self._max_rows if batching is None else self._sizes.of(digest, batching.max_rows)
            group = self._groups[digest] = _Group(now + delay, most)
        if job.deadline.at <= group.ready_at:
            group.ready_at = now
        group.jobs.append(job)
        group.rows += job.rows
        self._queued_rows += job.rows

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        """Dispatch at the end of this tick, when what it brought is all here."""
        if not self._is_scheduled and len(self._calls) < self._workers:
            self._is_scheduled = True
            loop.call_soon(self._dispatch, loop)

    def _dispatch(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_scheduled = False
        now = self._clock()
        ready = [digest for digest, group in self._groups.items() if group.is_ready(now)]
        while ready and len(self._calls) < self._workers:
            idle = self._workers - len(self._calls)
            # An even share for each idle worker, so that none takes all while another has nothing.
            share = -(-len(ready) // idle)
            batches = list(cut(self._wanted(self._take(ready[:share]))))
            ready = ready[share:]
            if nanoseconds(batches) <= _MOST_HERE:
                self._answer(run(batches, self._clock))
            else:
                call = loop.run_in_executor(self._pool, run, batches, self._clock)
                self._calls.add(call)
                call.add_done_callback(self._finish)
        if self._groups and not ready:
            self._wake_later(loop, now)

    def _wake_later(self, loop: asyncio.AbstractEventLoop, now: float) -> None:
        """All groups that are left wait for company: come again when the first of them has waited enough."""
        if self._timer is not None:
            self._timer.cancel()
        seconds = min(group.ready_at for group in self._groups.values()) - now
        self._timer = loop.call_later(max(0.0, seconds), self._schedule, loop)

    def _take(self, digests: Iterable[bytes]) -> Iterator[tuple[int, Job]]:
        """The jobs of some groups, each with the rows that a call of its model may have."""
        for digest in digests:
            group = self._groups.pop(digest)
            for job in group.jobs:
                self._queued_rows -= job.rows
                yield group.most, job

    def _wanted(self, jobs: Iterable[tuple[int, Job]]) -> Iterator[tuple[int, Job]]:
        now = self._clock()
        for most, job in jobs:
            if job.answer.done():
                _DROPPED.labels("cancelled").inc()
                job.lease.release()
            elif now >= job.deadline.at:
                _resolve(job, expired())
            else:
                yield most, job

    def _finish(self, call: asyncio.Future[list[Scored]]) -> None:
        self._calls.discard(call)
        self._answer(call.result())
        if self._groups:
            self._schedule(call.get_loop())

    def _answer(self, results: Iterable[Scored]) -> None:
        for scored in results:
            if scored.rows and scored.outcomes[0][0].lease.model.batching is not None:
                self._sizes.seen(scored.digest, scored.rows, scored.seconds)
            for job, outcome in scored.outcomes:
                _resolve(job, outcome)


def _resolve(job: Job, outcome: Arrays | Exception) -> None:
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
