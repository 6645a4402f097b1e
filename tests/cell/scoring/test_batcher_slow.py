"""Runs that take longer than a turn and cannot be cut: a thread is left for others."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.batchers import Bench, Slow, sums
from support.cells import SumScorer, resident, ticks

from cell.residency.residency import Lease


@pytest.fixture(params=[1, 2])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    bench = Bench(workers=request.param, max_rows=64)
    yield bench
    await run(bench)
    await bench.batcher.close()


async def run(bench: Bench) -> None:
    await ticks()
    while bench.threads.run():
        await ticks()


async def known(bench: Bench, scorer: SumScorer, name: str) -> Lease[Any]:
    """A model of which it was seen what it takes."""
    lease = resident(scorer, name)
    for _ in range(3):
        bench.ask(lease, *[1.0] * 8)
        await run(bench)
    return lease


async def test_while_slow_runs_of_one_hold_all_threads_one_is_for_others(bench: Bench) -> None:
    slow = await known(bench, Slow(bench, batchable=False), "slow")
    workers = bench.batcher._workers
    mine = [bench.ask(slow, *[1.0] * 8, owner=1) for _ in range(5)]
    await ticks()
    assert len(bench.threads.held) == workers
    others = [bench.ask(resident(SumScorer(), f"{owner}"), 5, owner=owner) for owner in (2, 3)]
    await ticks()
    # For one of them, who is not in any yet.
    assert len(bench.threads.held) == workers + 1
    *slow_ones, other = bench.threads.held
    bench.threads.held = [other]
    bench.threads.run()
    await ticks()
    assert (sums(others[0]), [task.done() for task in mine]) == ([5], [False] * 5)
    bench.threads.held += slow_ones
    await run(bench)
    assert all(task.exception() is None for task in (*mine, *others))


async def test_threads_of_what_is_not_known_to_be_slow_are_waited_for(bench: Bench) -> None:
    workers = bench.batcher._workers
    leases = [resident(SumScorer(), f"{number}") for number in range(workers)]
    mine = [bench.ask(lease, *[1.0] * 8, owner=1) for lease in leases]
    await ticks()
    other = bench.ask(resident(SumScorer(), "other"), 5, owner=2)
    await ticks()
    assert (len(bench.threads.held), len(mine)) == (workers, workers)
    await run(bench)
    assert sums(other) == [5]
