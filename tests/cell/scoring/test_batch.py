"""What a thread does with batches: pieces of jobs are scored together, and each job has its own rows back."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.batchers import job_of
from support.cells import SUM, Clock, SumScorer, resident, signature_of

from cell.engines import Mixed, ScoringFailed
from cell.engines.stop import Stopped
from cell.scoring.batch import Batch, Piece, Scored, Turn, expired
from croupier.artifacts.format import Tensor
from croupier.deadline import Deadline
from croupier.errors import DeadlineExceeded


def run(*pieces: Piece, clock: Clock | None = None, most_seconds: float = math.inf) -> Scored:
    """What came of one batch."""
    turn = Turn([Batch(pieces[0].job.lease.digest, pieces)], most_seconds)
    turn.run(clock or Clock())
    (scored,) = turn.take_done()
    return scored


def sums(outcome: Any) -> list[float]:
    found: list[float] = outcome["sum"].tolist()
    return found


@settings(max_examples=50)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_a_job_is_whole_once_all_its_pieces_are_back_in_any_order(sizes: Sequence[int], random: Any) -> None:
    async def check() -> None:
        rows = [*range(sum(sizes))]
        job = job_of(resident(SumScorer()), *rows)
        pieces = [job.give(size) for size in sizes]
        assert [row for piece in pieces for row in range(piece.begin, piece.end)] == rows
        assert (job.running, job.given) == (len(pieces), len(rows))
        random.shuffle(pieces)
        for left, piece in zip(reversed(range(len(pieces))), pieces, strict=True):
            job.running -= 1
            ((_, outcome),) = run(piece).outcomes
            assert not isinstance(outcome, Exception)
            whole = job.collect(piece, outcome)
            assert (whole is None) == (left > 0)
        assert sums(whole) == rows
        assert not job.parts

    asyncio.run(check())


async def test_a_batch_is_one_call_and_everybody_gets_the_own_rows_and_outputs() -> None:
    outputs = [*SUM, Tensor("other", "FP32", (-1,))]
    scorer = SumScorer(signature=signature_of(outputs=outputs))
    lease = resident(scorer)
    jobs = [
        job_of(lease, 1, 2),
        job_of(lease, 3, outputs=("other",)),
        job_of(lease, 4, outputs=("other", "sum")),
    ]
    scored = run(*(job.give(job.rows) for job in jobs))
    assert [{name: array.tolist() for name, array in found.items()} for _, found in scored.outcomes] == [
        {"sum": [1, 2]},
        {"other": [3]},
        {"other": [4], "sum": [4]},
    ]
    assert (len(scorer.calls), scored.rows, scored.is_stopped) == (1, 4, False)


async def test_a_culprit_is_found_by_scoring_again_one_by_one() -> None:
    scorer = SumScorer(poison=13)
    lease = resident(scorer)
    jobs = [job_of(lease, 1), job_of(lease, 13), job_of(lease, 2)]
    scored = run(*(job.give(1) for job in jobs))
    (_, first), (_, culprit), (_, last) = scored.outcomes
    assert (sums(first), sums(last), len(scorer.calls)) == ([1], [2], 4)
    assert isinstance(culprit, ValueError)
    assert scored.rows == 2


async def test_late_pieces_are_not_scored_and_harm_nobody() -> None:
    scorer, clock = SumScorer(), Clock()
    lease = resident(scorer)
    late, fine = job_of(lease, 1, deadline=Deadline(clock.now)), job_of(lease, 2)
    outcomes = {
        piece.job.rows and id(piece.job): found for piece, found in run(late.give(1), fine.give(1)).outcomes
    }
    assert isinstance(outcomes[id(late)], DeadlineExceeded)
    assert sums(outcomes[id(fine)]) == [2]
    assert [call["input"].tolist() for call in scorer.calls] == [[[2, 0]]]
    assert str(expired()) == str(outcomes[id(late)])
    alone = run(job_of(lease, 3, deadline=Deadline(clock.now)).give(1))
    assert (len(scorer.calls), alone.rows) == (1, 0)


@pytest.mark.parametrize("other", ["digest", "model"])
async def test_rows_of_two_models_never_meet(other: str) -> None:
    """Whether they have another digest, or the same and are another object."""
    one, two = SumScorer(), SumScorer(bias=9.0)
    leases = [resident(one, "a"), resident(two, "b" if other == "digest" else "a")]
    jobs = [job_of(lease, 1) for lease in leases]
    turn = Turn([Batch(leases[0].digest, tuple(job.give(1) for job in jobs))])
    turn.run(Clock())
    (scored,) = turn.take_done()
    (_, right), (_, wrong) = scored.outcomes
    assert sums(right) == [1]
    # Alone, a piece of the same digest is of its own model.
    assert isinstance(wrong, Mixed) if other == "digest" else sums(wrong) == [10]
    assert not any(len(call["input"]) > 1 for call in [*one.calls, *two.calls])


class Wrong(SumScorer):
    """Gives another number of rows than it was asked for."""

    def score(self, inputs: Any, outputs: Any, stop: Any = None) -> Any:
        found = super().score(inputs, outputs)["sum"]
        return {"sum": np.concatenate([found, found[:1]])}


async def test_an_answer_with_other_rows_is_none() -> None:
    lease = resident(Wrong())
    for pieces in ([job_of(lease, 1).give(1)], [job_of(lease, 1).give(1), job_of(lease, 2, 3).give(2)]):
        for _, outcome in run(*pieces).outcomes:
            assert isinstance(outcome, ScoringFailed)
            assert "rows" in outcome.message
            # It is kept until its caller looks, and must not hold everybody's rows until then.
            assert outcome.__traceback__ is None


class Stops(SumScorer):
    """Remembers how long its runs may take, and is stopped."""

    def __init__(self, turn: list[Turn]) -> None:
        super().__init__()
        self.turn = turn
        self.stops: list[Any] = []

    def score(self, inputs: Any, outputs: Any, stop: Any = None) -> Any:
        self.stops.append(stop)
        assert self.turn[0].stop is stop
        raise Stopped("stopped")


@pytest.mark.parametrize(
    ("deadlines", "ends_in"), [((3.0, 5.0), 5.0), ((3.0, 50.0), 10.0), ((math.inf,), 10.0)]
)
async def test_a_run_ends_with_its_last_caller_or_when_it_has_to(
    deadlines: Sequence[float], ends_in: float
) -> None:
    turns: list[Turn] = []
    scorer, clock = Stops(turns), Clock()
    lease = resident(scorer)
    jobs = [job_of(lease, 1, deadline=Deadline(clock.now + seconds)) for seconds in deadlines]
    turns.append(Turn([Batch(lease.digest, tuple(job.give(1) for job in jobs))], most_seconds=10.0))
    turns[0].run(clock)
    (scored,) = turns[0].take_done()
    assert scored.is_stopped
    assert all(isinstance(outcome, Stopped) for _, outcome in scored.outcomes)
    # Each has an error of its own: one that is raised twice gathers both tracebacks.
    assert len({id(outcome) for _, outcome in scored.outcomes}) == len(jobs)
    # Nobody is scored again one by one.
    (stop,) = scorer.stops
    assert (stop.began, stop.until) == (clock.now, clock.now + ends_in)
    assert turns[0].stop is None


async def test_what_a_turn_has_not_begun_is_taken_back_in_order() -> None:
    lease = resident(SumScorer())
    batches = [Batch(lease.digest, (job_of(lease, row).give(1),), 0.5) for row in range(4)]
    assert [(batch.rows, batch.seconds) for batch in batches] == [(1, 0.5)] * 4
    turn = Turn(batches)
    assert turn.take_back() == batches
    assert turn.take_back() == []
    turn.run(Clock())
    assert [*turn.take_done()] == []


async def test_a_model_whose_rows_depend_on_each_other_gets_whole_requests() -> None:
    scorer = SumScorer(batchable=False)
    lease = resident(scorer)
    scored = run(job_of(lease, 1, 2).give(2), job_of(lease, 3).give(1))
    assert [sums(found) for _, found in scored.outcomes] == [[1, 2], [3]]
    assert [len(call["input"]) for call in scorer.calls] == [2, 1]
