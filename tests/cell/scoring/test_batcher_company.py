"""How long requests wait for company, and how large their calls become."""

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import ExtraTreesRegressor
from support.batchers import Bench, Slow, sums
from support.cells import SumScorer, resident, ticks
from support.natives import load

from cell.residency.residency import Lease
from cell.scoring.batcher import Batcher
from croupier.artifacts.batching import Batching
from croupier.artifacts.format import view
from croupier.artifacts.packers.forest import pack_forest
from croupier.deadline import NEVER, Deadline


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.batcher.close()


def waiting(seconds: float, rows: int = 0, name: str = "model") -> tuple[SumScorer, Lease[Any]]:
    """A model whose requests wait for company."""
    scorer = SumScorer(batching=Batching(seconds, rows))
    return scorer, resident(scorer, name)


async def pass_time(bench: Bench, seconds: float) -> None:
    """For the batcher's clock; the loop's timer has no part in it."""
    bench.clock.advance(seconds)
    bench.batcher._schedule(asyncio.get_running_loop())
    await bench.run()


async def test_requests_wait_for_company_as_long_as_their_model_says(bench: Bench) -> None:
    scorer, lease = waiting(10.0)
    first = bench.ask(lease, 1)
    await bench.run()
    await pass_time(bench, 9.0)
    second = bench.ask(lease, 2)
    await bench.run()
    assert scorer.calls == []
    await pass_time(bench, 1.0)
    assert [sums(first), sums(second)] == [[1], [2]]
    assert [len(call["input"]) for call in scorer.calls] == [2]


async def test_the_timer_ends_the_wait() -> None:
    _, lease = waiting(0.001)
    with ThreadPoolExecutor(1) as pool:
        batcher = Batcher(pool, workers=1, max_rows=8, max_queued_rows=10, clock=time.monotonic)
        scored = await batcher.score(lease, {"input": np.ones((1, 2), np.float32)}, 1, ("sum",), NEVER)
        await batcher.close()
    assert scored["sum"].tolist() == [2.0]


async def test_a_full_call_does_not_wait(bench: Bench) -> None:
    scorer, lease = waiting(10.0, rows=3)
    tasks = [bench.ask(lease, 1), bench.ask(lease, 2, 3)]
    await bench.run()
    assert [sums(task) for task in tasks] == [[1], [2, 3]]
    assert [len(call["input"]) for call in scorer.calls] == [3]


async def test_who_has_no_time_takes_the_others_along(bench: Bench) -> None:
    scorer, lease = waiting(10.0)
    patient = bench.ask(lease, 1)
    hasty = bench.ask(lease, 2, deadline=Deadline(bench.clock() + 5))
    await bench.run()
    assert [sums(patient), sums(hasty)] == [[1], [2]]
    assert len(scorer.calls) == 1


async def test_nobody_else_waits_for_them(bench: Bench) -> None:
    _, waits = waiting(10.0, name="waits")
    other = resident(SumScorer(), "other")
    late, soon = bench.ask(waits, 1), bench.ask(other, 2)
    await bench.run()
    assert (late.done(), sums(soon)) == (False, [2])
    await pass_time(bench, 10.0)
    assert sums(late) == [1]


async def test_calls_of_an_expensive_model_become_as_large_as_they_may() -> None:
    bench = Bench(max_rows=64)

    scorer = Slow(bench, batching=Batching())
    lease = resident(scorer)
    for _ in range(40):
        tasks = [bench.ask(lease, 1) for _ in range(64)]
        await bench.run()
        assert all(sums(task) == [1] for task in tasks)
    # The target is 20 ms, a row takes 1.
    assert {len(call["input"]) for call in scorer.calls[-40:]} <= {*range(1, 23)}
    assert max(len(call["input"]) for call in scorer.calls[-40:]) >= 18


async def test_a_model_that_is_not_batchable_waits_for_no_company(bench: Bench) -> None:
    lease = resident(SumScorer(batchable=False, batching=Batching(delay_seconds=0.5)))
    task = bench.ask(lease, 1)
    await bench.run()
    assert sums(task) == [1]


async def test_company_in_a_native_model_is_no_more_than_a_turn_of_a_thread() -> None:
    """Its rows cost no less together: in a longer call who was scored first would wait for the last one."""
    X = np.random.default_rng(1).normal(size=(200, 2)).astype(np.float32)
    forest = ExtraTreesRegressor(200, max_depth=6, random_state=1).fit(X, X.sum(axis=1))
    scorer = load(view(pack_forest(forest)))
    rows = int(0.001 / (scorer.row_cost * 1e-9))
    bench = Bench(max_rows=100 * rows, max_queued_rows=100 * rows)
    lease = resident(scorer, capacity=10**6)
    asked = [bench.ask(lease, *[1.0] * rows, outputs=("value",), owner=owner) for owner in range(12)]
    await ticks()
    done = []
    while bench.threads.run():
        await ticks()
        done.append(sum(task.done() for task in asked))
    assert done == [4, 8, 12]
    await bench.batcher.close()
