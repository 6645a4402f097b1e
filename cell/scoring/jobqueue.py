"""What waits to be scored: by owner, and of every owner by artifact.

    put ──▶ owner ──▶ artifact ──▶ jobs, oldest first
                                     │ take: the owner whose turn it is, its artifact that waited longest;
                                     ▼       others who wait for the same artifact join, where there is room
                                   batches, as many as make a turn of a thread

A job that is larger than a slice is taken in slices, and between them it is somebody else's turn. Every batch
is of one artifact before anything is filled. Jobs that nobody waits for any more are handed back unscored.

Pure: times are arguments, in seconds.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from cell.scoring.batch import Batch, Job, Piece
from cell.scoring.fairness import Shares, anybody


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

    def __init__(self, sizes_of: Callable[[Job], Sizes], turn_seconds: float) -> None:
        self._sizes_of = sizes_of
        self._turn_seconds = turn_seconds
        self._shares = Shares()
        # The artifact that waited longest comes first.
        self._groups: dict[int, OrderedDict[bytes, deque[Job]]] = {}
        # Who waits for an artifact, in the order of their coming.
        self._owners: dict[bytes, dict[int, None]] = {}

    def __len__(self) -> int:
        """Owners that wait."""
        return len(self._shares)

    def put(self, job: Job) -> None:
        digest = job.lease.digest
        groups = self._groups.setdefault(job.owner, OrderedDict())
        groups.setdefault(digest, deque()).append(job)
        self._owners.setdefault(digest, {})[job.owner] = None
        self._shares.join(job.owner)

    def take(self, now: float, may: Callable[[int], bool] = anybody) -> Taken:
        """Work for one turn, of owners who `may`, by whose turn it is."""
        taken = Taken()
        while taken.seconds < self._turn_seconds and (owner := self._shares.next(may)) is not None:
            self._take_batch(owner, now, taken)
        return taken

    def take_all(self) -> list[Job]:
        jobs = [job for groups in self._groups.values() for group in groups.values() for job in group]
        for owner in self._groups:
            self._shares.leave(owner)
        self._groups.clear()
        self._owners.clear()
        return jobs

    def settle(self, batch: Batch, seconds: float) -> None:
        """A batch took so long: it is charged what it cost, not what it was thought to."""
        rows = max(1, batch.rows)
        for piece in batch.pieces:
            self._shares.charge(piece.job.owner, piece.rows * (seconds / rows - batch.row_seconds))

    def _take_batch(self, owner: int, now: float, taken: Taken) -> None:
        digest = next(iter(self._groups[owner]))
        sizes = self._sizes_of(self._groups[owner][digest][0])
        pieces: list[Piece] = []
        room = sizes.call
        for other in [owner, *self._owners[digest]]:
            if digest in self._groups.get(other, ()):
                room = self._fill(other, digest, now, sizes, room, pieces, taken)
            if room <= 0:
                break
        if pieces:
            taken.batches.append(Batch(digest, tuple(pieces), sizes.row_seconds))

    def _fill(
        self,
        owner: int,
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
                taken.dropped.append(jobs.popleft())
                continue
            batchable = job.lease.model.batchable
            left = job.rows - job.given
            rows = min(left, sizes.slice) if batchable else left
            if pieces and rows > room:
                room = 0
                break
            pieces.append(job.give(rows))
            self._shares.charge(owner, rows * sizes.row_seconds)
            room = room - rows if batchable else 0
            if rows < left:
                # Its other rows are for another call.
                room = 0
            else:
                jobs.popleft()
        self._rest(owner, digest)
        return room

    def _rest(self, owner: int, digest: bytes) -> None:
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
            self._shares.leave(owner)
