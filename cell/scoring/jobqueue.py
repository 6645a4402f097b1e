"""What waits to be scored: by priority and owner, and of every owner by artifact.

    put ──▶ priority, owner ──▶ artifact ──▶ jobs, oldest first
                                     │ take: whose turn it is (`croupier/fairness.py`), its artifact that
                                     ▼ waited longest; others who wait for the same one join, if there is room
                                   batches, as many as make a turn of a thread

While a priority's queue stands (`croupier/codel.py`), its newest are not taken in. What is full gives up the
newest of the lowest priority for what is higher.

A job that is larger than a slice is taken in slices, and between them it is somebody else's turn. Every batch
is of one artifact before anything is filled. Jobs that nobody waits for any more are handed back unscored.

Pure: times are arguments, in seconds.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from cell.scoring.batch import Batch, Job, Piece
from croupier.codel import TARGET, Codel
from croupier.fairness import Ranks, Who
from croupier.priorities import PRIORITIES

# Runs before it that nobody minds to wait for: where each takes long, the queue may too.
_RUNS = 8
_SMOOTHED_OVER = 16


@dataclass(frozen=True, slots=True)
class Sizes:
    """What goes into one call of a model: rows of all, rows of one job at most, and seconds of a row,
    about.
    """

    call: int
    slice: int
    row_seconds: float


@dataclass(slots=True)
class Taken:
    """Batches for one turn, and jobs that are not to be scored."""

    batches: list[Batch] = field(default_factory=list)
    dropped: list[Job] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return sum(batch.seconds for batch in self.batches)


class JobQueue:
    """`sizes_of` says what fits one call of a job's model; a turn has about `turn_seconds` of work."""

    def __init__(
        self, sizes_of: Callable[[Job], Sizes], turn_seconds: float, codel: Callable[[], Codel] = Codel
    ) -> None:
        self._sizes_of = sizes_of
        self._turn_seconds = turn_seconds
        self._ranks = Ranks()
        # The artifact that waited longest comes first.
        self._groups: dict[Who, OrderedDict[bytes, deque[Job]]] = {}
        # Who waits for an artifact, in the order of their coming.
        self._owners: dict[bytes, dict[Who, None]] = {}
        self._codels = [codel() for _ in range(PRIORITIES)]
        # What a batch takes, smoothed.
        self._run_seconds = 0.0
        # By priority, what may be shed, in the order of its coming: nothing of the highest.
        self._lower: list[dict[Job, None]] = [{} for _ in range(PRIORITIES)]

    def __len__(self) -> int:
        """Owners that wait; with several priorities they count with each."""
        return len(self._ranks)

    def put(self, job: Job) -> None:
        digest, who = job.lease.digest, job.who
        groups = self._groups.setdefault(who, OrderedDict())
        groups.setdefault(digest, deque()).append(job)
        self._owners.setdefault(digest, {})[who] = None
        self._ranks.join(*who)
        if job.priority:
            self._lower[job.priority][job] = None

    def is_late(self, who: Who, now: float) -> bool:
        """Whether the queue stands, and what waits of `who` has for too long: no more is taken in of it."""
        codel = self._codels[who[0]]
        if not codel.is_standing or (groups := self._groups.get(who)) is None:
            return False
        return now - next(iter(groups.values()))[0].since > codel.target

    def waiting_below(self, priority: int) -> Iterator[Job]:
        """What is lower, and of which nothing was given out: the lowest first, and of that the newest."""
        for jobs in reversed(self._lower[priority + 1 :]):
            yield from reversed(jobs)

    def remove(self, job: Job) -> None:
        """It does not wait any more."""
        del self._lower[job.priority][job]
        jobs = self._groups[job.who][job.lease.digest]
        if jobs[-1] is job:
            jobs.pop()
        else:
            jobs.remove(job)
        self._rest(job.who, job.lease.digest)

    def take(self, now: float, may: Callable[[int], bool] | None = None) -> Taken:
        """Work for one turn, of owners who `may`, by whose turn it is."""
        taken = Taken()
        while taken.seconds < self._turn_seconds and (who := self._ranks.next(may)) is not None:
            if taken.batches and self._least_seconds(who) > self._turn_seconds:
                # Those before it would be answered only after it.
                break
            self._ranks.turn(who[0])
            self._take_batch(who, now, taken)
        return taken

    def take_all(self) -> list[Job]:
        jobs = [job for groups in self._groups.values() for group in groups.values() for job in group]
        for who in self._groups:
            self._ranks.leave(*who)
        self._groups.clear()
        self._owners.clear()
        for lower in self._lower:
            lower.clear()
        return jobs

    def settle(self, batch: Batch, seconds: float) -> None:
        """A batch took so long: it is charged what it cost, not what it was thought to."""
        rows = max(1, batch.rows)
        self._run_seconds += (seconds - self._run_seconds) / _SMOOTHED_OVER
        for codel in self._codels:
            codel.target = max(TARGET, _RUNS * self._run_seconds)
        for piece in batch.pieces:
            self._ranks.charge(*piece.job.who, piece.rows * (seconds / rows - batch.row_seconds))

    def _least_seconds(self, who: Who) -> float:
        """What the next run of an owner takes, about."""
        job = next(iter(self._groups[who].values()))[0]
        sizes = self._sizes_of(job)
        return min(job.rows - job.given, sizes.slice) * sizes.row_seconds

    def _take_batch(self, owner: Who, now: float, taken: Taken) -> None:
        digest = next(iter(self._groups[owner]))
        sizes = self._sizes_of(self._groups[owner][digest][0])
        pieces: list[Piece] = []
        room = sizes.call
        others = self._owners[digest]
        for other in [owner, *(sorted(others, key=_priority) if any(self._lower) else others)]:
            if digest in self._groups.get(other, ()):
                room = self._fill(other, digest, now, sizes, room, pieces, taken)
            if room <= 0:
                break
        if pieces:
            taken.batches.append(Batch(digest, tuple(pieces), sizes.row_seconds))

    def _fill(
        self,
        owner: Who,
        digest: bytes,
        now: float,
        sizes: Sizes,
        room: int,
        pieces: list[Piece],
        taken: Taken,
    ) -> int:
        """Add what waits of one owner to a batch; returns the room that is left."""
        jobs = self._groups[owner][digest]
        while jobs and room > 0:
            job = jobs[0]
            if job.answer.done() or now >= job.deadline.at:
                self._lower[job.priority].pop(job, None)
                taken.dropped.append(jobs.popleft())
                continue
            if not job.given:
                self._lower[job.priority].pop(job, None)
                self._codels[owner[0]].waited(now - job.since, now)
            batchable = job.lease.model.batchable
            left = job.rows - job.given
            rows = min(left, sizes.slice) if batchable else left
            if pieces and rows > room:
                room = 0
                break
            pieces.append(job.give(rows))
            self._ranks.charge(*owner, rows * sizes.row_seconds)
            room = room - rows if batchable else 0
            if rows < left:
                # Its other rows are for another call.
                room = 0
            else:
                jobs.popleft()
        self._rest(owner, digest)
        return room

    def _rest(self, owner: Who, digest: bytes) -> None:
        """Others of the owner's models come first now, or nothing of it waits."""
        groups = self._groups[owner]
        if groups[digest]:
            groups.move_to_end(digest)
            return
        del groups[digest]
        waiting = self._owners[digest]
        del waiting[owner]
        if not waiting:
            del self._owners[digest]
        if not groups:
            del self._groups[owner]
            self._ranks.leave(*owner)
            if not self._ranks.count(owner[0]):
                self._codels[owner[0]].emptied()


def _priority(who: Who) -> int:
    return who[0]
