"""Requests that end otherwise than with an answer: hung up, late, failed, refused, closed."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from support.batchers import Bench, sums
from support.cells import SumScorer, resident, ticks

from cell.engines import ScoringFailed
from croupier.deadline import Deadline
from croupier.errors import DeadlineExceeded, Unavailable


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.batcher.close()


async def test_a_caller_that_hangs_up_while_waiting_is_not_scored(bench: Bench) -> None:
    scorer = SumScorer()
    lease = resident(scorer)
    first = bench.ask(lease, 1)
    await ticks()
    gone, stays = bench.ask(lease, 2), bench.ask(lease, 3)
    await ticks()
    gone.cancel()
    await bench.run()
    assert (sums(first), sums(stays), gone.cancelled()) == ([1], [3], True)
    assert [call["input"][:, 0].tolist() for call in scorer.calls] == [[1], [3]]


async def test_a_caller_that_hangs_up_while_scored_harms_nobody(bench: Bench) -> None:
    lease = resident(SumScorer())
    gone, stays = bench.ask(lease, 1), bench.ask(lease, 2)
    await ticks()
    gone.cancel()
    await bench.run()
    assert (sums(stays), gone.cancelled()) == ([2], True)


async def test_expired_work_is_dropped_unexecuted(bench: Bench) -> None:
    scorer = SumScorer()
    lease = resident(scorer)
    blocking = bench.ask(lease, 0)
    await ticks()
    late = bench.ask(lease, 1, deadline=Deadline.after(1.0, bench.clock.now))
    stays = bench.ask(lease, 2, deadline=Deadline.after(3.0, bench.clock.now))
    await ticks()
    bench.clock.advance(2.0)
    await bench.run()
    with pytest.raises(DeadlineExceeded):
        late.result()
    assert (sums(blocking), sums(stays)) == ([0], [2])
    assert [call["input"][:, 0].tolist() for call in scorer.calls] == [[0], [2]]


async def test_work_that_expires_on_the_way_to_the_thread_is_dropped(bench: Bench) -> None:
    scorer = SumScorer()
    late = bench.ask(resident(scorer), 1, deadline=Deadline.after(1.0, bench.clock.now))
    await ticks()
    bench.clock.advance(1.0)
    await bench.run()
    with pytest.raises(DeadlineExceeded):
        late.result()
    assert scorer.calls == []


async def test_a_culprit_harms_only_itself(bench: Bench) -> None:
    lease = resident(SumScorer(poison=13))
    tasks = [bench.ask(lease, 1), bench.ask(lease, 13), bench.ask(lease, 2)]
    await bench.run()
    assert (sums(tasks[0]), sums(tasks[2])) == ([1], [2])
    with pytest.raises(ValueError, match="poisoned"):
        tasks[1].result()


async def test_a_model_that_loses_rows_is_caught(bench: Bench) -> None:
    class Forgetful(SumScorer):
        def score(self, inputs: Any, outputs: Any, stop: Any = None) -> Any:
            return {name: np.zeros(1, np.float32) for name in outputs}

    lease = resident(Forgetful())
    alone, pair = bench.ask(lease, 1), bench.ask(lease, 1, 2)
    await bench.run()
    assert sums(alone) == [0]
    with pytest.raises(ScoringFailed):
        pair.result()


async def test_a_lease_is_held_until_the_rows_are_scored(bench: Bench) -> None:
    lease = resident(SumScorer(size=1000))
    entry = lease._entry
    assert entry is not None
    task = bench.ask(lease, 1)
    await ticks()
    task.cancel()
    await ticks()
    lease.release()
    assert entry.leases == 1
    await bench.run()
    assert entry.leases == 0


async def test_leases_end_however_a_request_ends(bench: Bench) -> None:
    lease = resident(SumScorer(poison=13))
    entry = lease._entry
    assert entry is not None
    first = bench.ask(lease, 13)
    await ticks()
    late = bench.ask(lease, 1, deadline=Deadline.after(1.0, bench.clock.now))
    gone = bench.ask(lease, 2)
    fine = bench.ask(lease, 3)
    await ticks()
    gone.cancel()
    bench.clock.advance(1.0)
    await bench.run()
    await asyncio.wait([first, late, gone, fine])
    assert isinstance(first.exception(), ValueError)
    assert isinstance(late.exception(), DeadlineExceeded)
    assert entry.leases == 1


async def test_too_much_waiting_is_refused(bench: Bench) -> None:
    lease = resident(SumScorer())
    tasks = [bench.ask(lease, 1)]
    await ticks()
    tasks += [bench.ask(lease, *[1.0] * 8) for _ in range(12)]
    await ticks()
    refused = bench.ask(lease, *[1.0] * 8)
    await ticks()
    with pytest.raises(Unavailable) as caught:
        refused.result()
    assert caught.value.retry_after > 0
    await bench.run()
    assert all(task.exception() is None for task in tasks)
    again = bench.ask(lease, *[1.0] * 8)
    await bench.run()
    assert len(sums(again)) == 8


async def test_a_request_over_the_limit_is_taken_when_nothing_waits() -> None:
    bench = Bench(max_queued_rows=3)
    lease = resident(SumScorer())
    alone = bench.ask(lease, 1, 2, 3, 4)
    await bench.run()
    assert sums(alone) == [1, 2, 3, 4]
    await bench.batcher.close()


async def test_closing_refuses_what_waits_and_ends_what_runs() -> None:
    bench = Bench()
    lease = resident(SumScorer())
    runs = bench.ask(lease, 1)
    await ticks()
    waits = bench.ask(lease, 2)
    await ticks()
    closing = asyncio.create_task(bench.batcher.close())
    await bench.run()
    await closing
    assert sums(runs) == [1]
    for task in (waits, bench.ask(lease, 3)):
        with pytest.raises(Unavailable):
            await task
    assert lease._entry is not None
    assert lease._entry.leases == 1
