"""Requests that wait together are scored together: by artifact, and never mixed.

    score ──▶ gathering          only for models that ask for a delay: until it is over or a call is full
                 ▼
              jobqueue           by owner and artifact; who has been served least comes first
                 │ end of the loop's turn, or a thread that comes free
                 ▼
              a turn             batches for some milliseconds of a thread, in which nobody is scored who is
                 │               not waited for any more; then each caller is answered alone
                 ▼
              look               while turns run: who has run for too long is stopped

By default nobody waits for company: what queued while the threads were busy is the batch. A model may
ask for a delay (`croupier/artifacts/batching.py`): its requests are ready when the first has waited for
so long, when they fill a call, or when one of them has no time to wait. How many rows make a call of an
expensive model is found out (`batchsize.py`); of a native one, those of a slice. Little work of native
models is done at once, on the event loop.

**Owners share.** The queue, and the threads, are divided by who asks (`croupier/fairness.py`): an owner may
have as much waiting as the whole queue has left, so that some is left for whoever comes next; a large request
is cut into slices; and where others wait an owner has half of the threads. What is of a lower priority gives
up its place in a full queue. What cannot be cut, one run of an expensive model, may still hold a thread for
long. Once it does, the thread is not counted: another one, of as many again, takes its place, and what stood
behind it in its turn. And while all threads are in one owner's runs of models that are known to take longer
than a turn, one more is for others.

**What does not end** is stopped at its deadline, when nobody waits for it any more, or after `most_seconds`,
and its model refused for a while (`overruns.py`). What does not stop then is the watchdog's
(`engines/slots.pyx`).

Every waiting caller has its own future and its own lease, which ends after its rows were scored, so a
caller that hangs up changes nothing for the others and no model goes while it is being used.

`batch.py` has what is done in a thread.

It is long because whatever begins, ends or gives way is noted in the same few tables.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter as Counts
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor

from cell.codec.signature import Arrays
from cell.engines import Scorer
from cell.engines.native import Native
from cell.residency.residency import Lease
from cell.scoring.batch import Batch, Job, Piece, Scored, Turn, expired
from cell.scoring.batchsize import BatchSizes
from cell.scoring.gathering import Gathering
from cell.scoring.jobqueue import JobQueue, Sizes
from cell.scoring.latency import BATCH_QUEUE, BATCH_SCORE
from cell.scoring.overruns import Overruns
from cell.scoring.queuebounds import SHED, Overloaded, QueueBounds
from croupier.deadline import Deadline
from croupier.errors import Unavailable
from croupier.fairness import Who
from croupier.priorities import NAMES
from croupier.telemetry.metrics import Counter
from croupier.transport.steps import step

_DROPPED = Counter("croupier_cell_dropped_total", "Requests dropped before they were scored", ["cause"])
_STOPPED = Counter("croupier_cell_stopped_total", "Runs that were stopped before their end")

_RETRY_AFTER = 0.05
# Work of native models, in seconds, that is done on the event loop: a thread and the way back take more,
# and milliseconds when the event loop is busy.
_MOST_HERE = 100e-6
# What a thread does before it is somebody else's turn: the way there and back takes a twentieth of it.
_TURN = 0.002
# A run that takes longer holds up nobody else. It is looked at so often.
_LONG = 0.05
# Bytes of what one call gives.
_MOST_ANSWER = 16 * 2**20


class _Call:
    """A turn in a thread."""

    __slots__ = ("batches", "is_long", "jobs", "owners", "turn")

    def __init__(self, batches: Sequence[Batch], most_seconds: float) -> None:
        self.batches = batches
        self.turn = Turn(batches, most_seconds)
        self.jobs = [piece.job for batch in batches for piece in batch.pieces]
        self.owners = {job.owner for job in self.jobs}
        self.is_long = False


class Batcher:
    """Scores for many callers in the threads of `pool`: `workers` turns at a time, and as many that are long.

    A batch has up to `max_rows` rows, of an expensive model no more than keep its call within
    `target_seconds`, of a native one within a turn; more than `max_queued_rows` or `max_queued_bytes` waiting
    is overload. A run is stopped after `most_seconds`.
    """

    def __init__(
        self,
        pool: Executor,
        *,
        workers: int,
        max_rows: int,
        max_queued_rows: int,
        clock: Callable[[], float],
        max_queued_bytes: int = 128 * 2**20,
        target_seconds: float = 0.02,
        most_seconds: float = 10.0,
    ) -> None:
        self._pool = pool
        self._workers = workers
        self._max_rows = max_rows
        self._clock = clock
        self._most_seconds = most_seconds
        self._bounds = QueueBounds(max_queued_rows, max_queued_bytes)
        self._overruns = Overruns(most_seconds)
        self._sizes = BatchSizes(max_rows, target_seconds)
        self._queue = JobQueue(self._sizes_of, _TURN)
        # By artifact, what has waited longest first; and what wakes when the next one is ready.
        self._gathering: dict[bytes, Gathering] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._is_scheduled = False
        self._is_closed = False
        self._calls: dict[asyncio.Future[None], _Call] = {}
        # How many turns, and long ones, each owner is in; and how many of all are long.
        self._turns_of: Counts[int] = Counts()
        self._long_of: Counts[int] = Counts()
        self._long = 0
        # Batches that stood behind a run that became a long one.
        self._held_up: list[Batch] = []
        self._looking: asyncio.TimerHandle | None = None

    async def score(
        self,
        lease: Lease[Scorer],
        inputs: Arrays,
        rows: int,
        outputs: Sequence[str],
        deadline: Deadline,
        owner: int = 0,
        at_work: Callable[[], None] | None = None,
        priority: int = 0,
    ) -> Arrays:
        """The named outputs for `rows` rows of `inputs`, which fit the model's signature.

        The model is held by a lease of the batcher's own until its rows are scored. `at_work` is called if
        that becomes a long run. What has a lower `priority` (a higher number) is shed for it.

        Raises:
            DeadlineExceeded: the deadline passed before its turn, and nothing was scored, or in it.
            Unavailable: too much is waiting, or the cell is stopping.
            QuotaExceeded: too much of this owner's is waiting.
            Overran: the model had to be stopped too often.
            ScoringFailed: the model failed on these rows.
        """
        if self._is_closed:
            raise _stopping()
        now = self._clock()
        self._overruns.check(lease.digest, now)
        loop = asyncio.get_running_loop()
        size = sum(array.nbytes for array in inputs.values()) + rows * lease.model.signature.row_bytes
        self._make_room(priority, owner, rows, size, now)
        self._bounds.enter(owner, rows, size)
        answer: asyncio.Future[Arrays] = loop.create_future()
        job = Job(
            lease.share(), inputs, rows, tuple(outputs), deadline, answer, owner, size, at_work, now, priority
        )
        with step("batch", {"rows": rows}) as job.span:
            self._join(job)
            self._schedule(loop)
            return await answer

    def _make_room(self, priority: int, owner: int, rows: int, size: int, now: float) -> None:
        """Shed what is lower, if that lets so much in. Raises Overloaded while what waits stands."""
        if self._queue.is_late((priority, owner), now):
            SHED.values[NAMES[priority],] += 1
            raise Overloaded
        if self._bounds.has_room(owner, rows, size):
            return
        shed: list[Job] = []
        has_room = False
        for job in self._queue.waiting_below(priority):
            shed.append(job)
            self._bounds.leave(job.owner, job.rows, job.size)
            if has_room := self._bounds.has_room(owner, rows, size):
                break
        for job in shed:
            self._bounds.put_back(job.owner, job.rows, job.size)
        for job in shed if has_room else ():
            SHED.values[NAMES[job.priority],] += 1
            self._queue.remove(job)
            self._resolve(job, Overloaded())

    def is_late(self, who: Who) -> bool:
        """Whether it would be refused, since what waits of the same has waited for too long."""
        return self._queue.is_late(who, self._clock())

    def told(self) -> dict[str, int]:
        """What waits here and what runs, in numbers."""
        rows, size, owners = self._bounds.waiting
        return {
            "waiting_rows": rows,
            "waiting_bytes": size,
            "owners": owners,
            "gathering": len(self._gathering),
            "turns": len(self._calls),
            "long_turns": self._long,
        }

    def longest_run(self) -> tuple[bytes, float] | None:
        """The artifact of the run that takes longest now, and its seconds, if any run takes long."""
        now = self._clock()
        runs = [
            (now - stop.began, call.jobs[0].lease.digest)
            for call in self._calls.values()
            if call.is_long and call.jobs and (stop := call.turn.stop) is not None
        ]
        if not runs:
            return None
        seconds, digest = max(runs)
        return digest, seconds

    def stopped(self) -> tuple[bytes, int]:
        """As `Overruns.lately`."""
        return self._overruns.lately(self._clock())

    async def close(self) -> None:
        """Refuse what waits and wait for what runs, which is told to stop if it can."""
        self._is_closed = True
        gathered = [job for group in self._gathering.values() for job in group.jobs]
        self._gathering.clear()
        for job in [*gathered, *self._queue.take_all()]:
            self._resolve(job, _stopping())
        held_up, self._held_up = self._held_up, []
        for piece in (piece for batch in held_up for piece in batch.pieces):
            self._settle(piece, _stopping())
        if self._timer is not None:
            self._timer.cancel()
        for call in self._calls.values():
            call.turn.most_seconds = 0.0
            if call.turn.stop is not None:
                call.turn.stop.until = -math.inf
        if self._calls:
            self._look(asyncio.get_running_loop())
            await asyncio.wait(self._calls)
        if self._looking is not None:
            self._looking.cancel()

    def _join(self, job: Job) -> None:
        model, digest, now = job.lease.model, job.lease.digest, self._clock()
        batching = model.batching
        if batching is None or not batching.delay_seconds or not model.batchable:
            self._queue.put(job)
            return
        group = self._gathering.get(digest)
        if group is None:
            most = self._sizes.of(digest, batching.max_rows)
            group = self._gathering[digest] = Gathering(now + batching.delay_seconds, most)
        group.add(job, now)

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        """Dispatch at the end of this turn, when what it brought is all here."""
        if not self._is_scheduled and (self._may_begin() or self._is_one_owners()):
            self._is_scheduled = True
            loop.call_soon(self._dispatch, loop)

    def _may_begin(self) -> bool:
        """Whether a thread is free: a long run takes none of the workers, but one of as many again."""
        return len(self._calls) - self._long < self._workers and len(self._calls) < 2 * self._workers

    def _is_one_owners(self) -> bool:
        """Whether one owner's slow runs are in all the threads, and in no more: one is for somebody else."""
        running = [call for call in self._calls.values() if not call.is_long]
        return (
            len(running) == self._workers
            and len(self._calls) < 2 * self._workers
            and all(self._is_slow(call.batches) for call in running)
            and len(set().union(*(call.owners for call in running))) == 1
        )

    def _is_slow(self, batches: Iterable[Batch]) -> bool:
        """Whether a run among them is known to take longer than a turn."""
        return any(_takes_long(batch) and self._sizes.is_known(batch.digest) for batch in batches)

    def _dispatch(self, loop: asyncio.AbstractEventLoop) -> None:
        self._is_scheduled = False
        now = self._clock()
        for digest in [digest for digest, group in self._gathering.items() if group.is_ready(now)]:
            for job in self._gathering.pop(digest).jobs:
                self._queue.put(job)
        while batches := self._next_turn(now):
            if _is_little(batches):
                turn = Turn(batches)
                turn.run(self._clock)
                self._answer(turn.take_done())
            else:
                self._begin(batches, loop)
        if self._gathering:
            self._wake_later(loop, now)

    def _next_turn(self, now: float) -> list[Batch]:
        """What the next thread is to do; nothing where none is free, or nobody waits who may have it."""
        if self._may_begin():
            batches, self._held_up = self._held_up, []
            return batches or self._take(now, self._may_have) or self._take(now, self._may_have_more)
        return self._take(now, self._is_idle) if self._is_one_owners() else []

    def _take(self, now: float, may: Callable[[int], bool]) -> list[Batch]:
        taken = self._queue.take(now, may)
        for job in taken.dropped:
            _DROPPED.labels("cancelled" if job.answer.done() else "expired").inc()
            self._resolve(job, expired())
        for piece in (piece for batch in taken.batches for piece in batch.pieces):
            if not piece.begin:
                BATCH_QUEUE.observe(now - piece.job.since)
        return taken.batches

    def _may_have(self, owner: int) -> bool:
        """Whether one more thread is the owner's: half of them are, where others wait."""
        share = self._workers if len(self._queue) == 1 else max(1, self._workers // 2)
        return self._turns_of[owner] < share

    def _may_have_more(self, owner: int) -> bool:
        """The same where a thread would be idle: who is in a long run might not give it back."""
        return self._turns_of[owner] < self._workers and not self._long_of[owner]

    def _is_idle(self, owner: int) -> bool:
        """Whether the owner is in no thread."""
        return not self._turns_of[owner]

    def _begin(self, batches: Sequence[Batch], loop: asyncio.AbstractEventLoop) -> None:
        call = _Call(batches, self._most_seconds)
        future = loop.run_in_executor(self._pool, call.turn.run, self._clock)
        self._calls[future] = call
        self._turns_of.update(call.owners)
        future.add_done_callback(self._finish)
        if self._looking is None:
            self._looking = loop.call_later(_LONG, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Stop what has run for as long as it may; let others by what has run for long."""
        now = self._clock()
        for call in self._calls.values():
            stop = call.turn.stop
            if stop is None:
                continue
            if now - stop.began >= _LONG and not call.is_long:
                self._let_others_by(call)
            if now >= stop.until or all(job.answer.done() for job in call.jobs):
                stop.ask()
        self._looking = loop.call_later(_LONG, self._look, loop) if self._calls else None
        if self._held_up or len(self._queue):
            self._schedule(loop)

    def _let_others_by(self, call: _Call) -> None:
        """Nobody waits for it but those whose own run it is."""
        call.is_long = True
        self._long += 1
        self._long_of.update(call.owners)
        self._answer(call.turn.take_done())
        left = call.turn.take_back()
        self._held_up += left
        behind = {piece.job for batch in left for piece in batch.pieces}
        call.jobs = [job for job in call.jobs if job not in behind]
        for job in call.jobs:
            if job.at_work is not None and not job.answer.done():
                job.at_work()
                job.at_work = None

    def _wake_later(self, loop: asyncio.AbstractEventLoop, now: float) -> None:
        """What is left waits for company: come again when the first of it has waited enough."""
        if self._timer is not None:
            self._timer.cancel()
        seconds = min(group.ready_at for group in self._gathering.values()) - now
        self._timer = loop.call_later(max(0.0, seconds), self._schedule, loop)

    def _finish(self, future: asyncio.Future[None]) -> None:
        call = self._calls.pop(future)
        self._turns_of -= Counts(call.owners)
        if call.is_long:
            self._long_of -= Counts(call.owners)
            self._long -= 1
        future.result()
        self._answer(call.turn.take_done())
        if self._held_up or len(self._queue) or self._gathering:
            self._schedule(future.get_loop())

    def _answer(self, results: Iterable[Scored]) -> None:
        for scored in results:
            digest = scored.batch.digest
            self._queue.settle(scored.batch, scored.seconds)
            BATCH_SCORE.observe(scored.seconds)
            if scored.is_stopped:
                _STOPPED.inc()
                self._overruns.stopped(digest, scored.seconds, self._clock())
            elif scored.rows:
                self._overruns.ended(digest)
                if not isinstance(scored.batch.pieces[0].job.lease.model, Native):
                    self._sizes.seen(digest, scored.rows, scored.seconds)
            for piece, outcome in scored.outcomes:
                if piece.job.span is not None:
                    piece.job.span.past("score", scored.seconds, rows=scored.rows)
                self._settle(piece, outcome)

    def _settle(self, piece: Piece, outcome: Arrays | Exception) -> None:
        job = piece.job
        job.running -= 1
        whole = outcome if isinstance(outcome, Exception) else job.collect(piece, outcome)
        if whole is not None:
            self._resolve(job, whole)
        elif job.answer.done() and not job.running:
            job.lease.release()

    def _resolve(self, job: Job, outcome: Arrays | Exception) -> None:
        """Answer one caller, if it is still there, and give its lease back once no thread uses it."""
        if not job.running:
            job.lease.release()
        if job.size >= 0:
            self._bounds.leave(job.owner, job.rows, job.size)
            job.size = -1
        if job.answer.done():
            return
        if isinstance(outcome, Exception):
            job.answer.set_exception(outcome)
        else:
            job.answer.set_result(outcome)

    def _sizes_of(self, job: Job) -> Sizes:
        model, digest = job.lease.model, job.lease.digest
        if isinstance(model, Native):
            # In a call of its own a row costs no more; who shares a longer one waits until all are scored.
            row_seconds, least = model.row_cost * 1e-9, 1
            call = max(1, min(self._max_rows, int(_TURN / row_seconds)))
        else:
            row_seconds, call = self._sizes.row_seconds(digest), self._max_rows
            # What is known to fit the target is not cut, nor is what nothing is known of.
            least = self._sizes.of(digest)
            if model.batching is not None:
                call = self._sizes.of(digest, model.batching.max_rows)
        # As many rows as have an answer of the size that one may have.
        most = max(1, _MOST_ANSWER // max(1, model.signature.row_bytes))
        slice_rows = max(least, int(_TURN / row_seconds)) if row_seconds else self._max_rows
        return Sizes(min(call, most), min(slice_rows, most), row_seconds)


def _is_little(batches: Sequence[Batch]) -> bool:
    """Whether the event loop may do it."""
    models = (piece.job.lease.model for batch in batches for piece in batch.pieces)
    return sum(batch.seconds for batch in batches) <= _MOST_HERE and all(
        isinstance(m, Native) for m in models
    )


def _takes_long(batch: Batch) -> bool:
    """Whether its run is expected to take longer than a turn, and cannot be cut."""
    return batch.seconds > _TURN and not isinstance(batch.pieces[0].job.lease.model, Native)


def _stopping() -> Unavailable:
    return Unavailable("this cell is stopping", reason="STOPPING", retry_after=_RETRY_AFTER)
