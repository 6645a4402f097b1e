"""What waits becomes batches: fairly, of one artifact each, and every row once."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.batchers import job_of
from support.cells import SumScorer, resident

from cell.scoring.batch import Job
from cell.scoring.jobqueue import JobQueue, Sizes, Taken
from croupier.deadline import NEVER, Deadline

NOW = 1000.0


def queue_of(
    call: int = 8, slice_: int = 3, row_seconds: float = 0.001, turn_seconds: float = 0.01
) -> JobQueue:
    return JobQueue(lambda job: Sizes(call, slice_, row_seconds), turn_seconds)


def leases(count: int, *, batchable: bool = True) -> list[Any]:
    return [resident(SumScorer(batchable=batchable), f"model-{number}") for number in range(count)]


def taken_rows(taken: Taken) -> list[list[tuple[Job, int]]]:
    """Of each batch the jobs with how many of their rows."""
    return [[(piece.job, piece.rows) for piece in batch.pieces] for batch in taken.batches]


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(1, 12)), max_size=25),
    st.integers(1, 10),
    st.integers(1, 10),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_every_row_is_given_once_in_batches_of_one_artifact(
    asked: Sequence[tuple[int, int, int]], call: int, slice_: int, batchable: bool, seed: int
) -> None:
    rng = random.Random(seed)

    async def check() -> None:
        queue, models = queue_of(call, slice_), leases(3, batchable=batchable)
        jobs, waiting = [], [*asked]
        given_rows: dict[int, list[tuple[int, int]]] = defaultdict(list)
        order: dict[tuple[int, bytes], list[int]] = defaultdict(list)
        while waiting or len(queue):
            if waiting and rng.random() < 0.7:
                owner, model, rows = waiting.pop()
                jobs.append(job_of(models[model], *range(rows), owner=owner))
                queue.put(jobs[-1])
                continue
            taken = queue.take(NOW)
            assert taken.dropped == []
            for batch in taken.batches:
                assert {piece.job.lease.digest for piece in batch.pieces} == {batch.digest}
                if batchable:
                    assert batch.rows <= max(call, slice_)
                    assert all(piece.rows <= slice_ for piece in batch.pieces)
                else:
                    assert [piece.rows for piece in batch.pieces] == [batch.pieces[0].job.rows]
                for piece in batch.pieces:
                    given_rows[id(piece.job)].append((piece.begin, piece.end))
                    order[piece.job.owner, batch.digest].append(jobs.index(piece.job))
        for job in jobs:
            ends = [0, *(end for _, end in given_rows[id(job)])]
            assert [begin for begin, _ in given_rows[id(job)]] == ends[:-1]
            assert ends[-1] == job.rows == job.given
        # The oldest of an owner's for one artifact comes first.
        assert all(found == sorted(found) for found in order.values())
        assert queue.take(NOW) == Taken()

    asyncio.run(check())


async def test_a_turn_has_about_so_much_work() -> None:
    queue = queue_of(call=4, row_seconds=0.001, turn_seconds=0.01)
    (lease,) = leases(1)
    for _ in range(20):
        queue.put(job_of(lease, 1))
    taken = queue.take(NOW)
    assert [batch.rows for batch in taken.batches] == [4, 4, 4]
    assert taken.seconds == pytest.approx(0.012)
    assert len(queue) == 1


async def test_owners_take_turns_by_what_they_cost() -> None:
    """One with large requests and one with small ones, each of a model of its own."""
    queue = queue_of(call=100, slice_=8, turn_seconds=0.0001)
    large, small = leases(2)
    for _ in range(4):
        queue.put(job_of(large, *range(8), owner=1))
    for _ in range(32):
        queue.put(job_of(small, 1, owner=2))
    rows = {1: 0, 2: 0}
    for _ in range(4):
        for batch in taken_rows(queue.take(NOW)):
            for job, count in batch:
                rows[job.owner] += count
    assert rows == {1: 32, 2: 32}


async def test_who_waits_for_the_same_artifact_joins_where_there_is_room() -> None:
    queue = queue_of(call=4)
    one, other = leases(2)
    first, joins, waits = job_of(one, 1, 2, owner=1), job_of(one, 3, owner=2), job_of(one, 4, 5, owner=3)
    apart = job_of(other, 6, owner=2)
    for job in (first, joins, waits, apart):
        queue.put(job)
    # Who joined has been served, and comes after whom there was no room for.
    assert taken_rows(queue.take(NOW)) == [[(first, 2), (joins, 1)], [(waits, 2)], [(apart, 1)]]
    assert len(queue) == 0


async def test_between_slices_it_is_somebody_else_s_turn() -> None:
    queue = queue_of(call=100, slice_=5, turn_seconds=0.001)
    lease, other = leases(2)
    large, small = job_of(lease, *range(12), owner=1), job_of(other, 1, owner=2)
    for job in (large, small):
        queue.put(job)
    turns = [taken_rows(queue.take(NOW)) for _ in range(4)]
    assert turns == [[[(large, 5)]], [[(small, 1)]], [[(large, 5)]], [[(large, 2)]]]


async def test_the_model_that_waited_longest_of_an_owner_comes_first() -> None:
    queue = queue_of(turn_seconds=0.001)
    one, two = leases(2)
    jobs = [job_of(lease, 1, 2, 3) for lease in (one, two, one)]
    for job in jobs:
        queue.put(job)
    found = [taken_rows(queue.take(NOW)) for _ in range(2)]
    assert found == [[[(jobs[0], 3), (jobs[2], 3)]], [[(jobs[1], 3)]]]


async def test_who_may_not_is_passed_over() -> None:
    queue = queue_of()
    one, two = leases(2)
    job, other = job_of(one, 1, owner=1), job_of(two, 2, owner=2)
    queue.put(job)
    queue.put(other)
    assert taken_rows(queue.take(NOW, lambda owner: owner != 1)) == [[(other, 1)]]
    assert queue.take(NOW, lambda owner: owner != 1) == Taken()
    assert taken_rows(queue.take(NOW)) == [[(job, 1)]]


def late(lease: Any) -> Job:
    return job_of(lease, 1, deadline=Deadline(NOW))


def gone(lease: Any) -> Job:
    job = job_of(lease, 1)
    job.answer.cancel()
    return job


@pytest.mark.parametrize("ended", [late, gone])
async def test_what_nobody_waits_for_is_handed_back(ended: Callable[[Any], Job]) -> None:
    queue = queue_of()
    (lease,) = leases(1)
    first, fine, last = ended(lease), job_of(lease, 2, deadline=Deadline(NOW + 1)), ended(lease)
    for job in (first, fine, last):
        queue.put(job)
    taken = queue.take(NOW)
    assert (taken_rows(taken), taken.dropped) == ([[(fine, 1)]], [first, last])
    assert (fine.given, first.given, last.given) == (1, 0, 0)
    queue.put(ended(lease))
    alone = queue.take(NOW)
    assert (alone.batches, len(alone.dropped), len(queue)) == ([], 1, 0)


async def test_what_a_batch_took_is_what_its_owners_pay() -> None:
    """One whose model turns out dear waits for longer than one whose model is what it was thought to be."""
    queue = queue_of(call=1, turn_seconds=0.001)
    models = leases(2)
    for _ in range(12):
        for owner, lease in enumerate(models, 1):
            queue.put(job_of(lease, 1, owner=owner))
    served = []
    for _ in range(12):
        (batch,) = queue.take(NOW).batches
        (piece,) = batch.pieces
        served.append(piece.job.owner)
        queue.settle(batch, 0.005 if piece.job.owner == 1 else 0.001)
    assert served.count(2) >= 4 * served.count(1)


async def test_all_that_waits_is_taken_back_at_the_end() -> None:
    queue = queue_of()
    one, two = leases(2)
    jobs = [job_of(lease, *range(20), owner=owner) for owner in (1, 2) for lease in (one, two)]
    for job in jobs:
        queue.put(job)
    begun = {id(job) for batch in taken_rows(queue.take(NOW)) for job, _ in batch}
    assert begun
    # Whatever was begun and has rows left is among them.
    assert sorted(map(id, queue.take_all())) == sorted(map(id, jobs))
    assert (len(queue), queue.take_all(), queue.take(NOW)) == (0, [], Taken())
    queue.put(job_of(one, 1, deadline=NEVER))
    assert len(queue.take(NOW).batches) == 1


async def test_what_takes_longer_than_a_turn_joins_none_that_has_something_in_it() -> None:
    quick, slow = leases(2)
    queue = JobQueue(lambda job: Sizes(8, 8, 0.02 if job.lease is slow else 0.0001), 0.01)
    jobs = [job_of(lease, 1, owner=owner) for owner, lease in enumerate((quick, slow, quick))]
    for job in jobs:
        queue.put(job)
    turns = [taken_rows(queue.take(NOW)) for _ in range(3)]
    assert turns == [[[(jobs[0], 1), (jobs[2], 1)]], [[(jobs[1], 1)]], []]
