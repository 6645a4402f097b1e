"""Threads and the queue are shared over owners, and what is large is scored in slices."""

from collections.abc import AsyncIterator

import pytest
from support.batchers import Bench, Slow, sums
from support.cells import SumScorer, resident, ticks
from support.fakes import metric

from cell.scoring.queuebounds import Overloaded
from croupier.artifacts.batching import Batching
from croupier.errors import QuotaExceeded


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.batcher.close()


async def test_an_owner_waits_for_nothing_that_others_have_queued(bench: Bench) -> None:
    """Large requests of one, then a small one of another."""
    heavy, light = resident(Slow(bench), "heavy"), resident(SumScorer(), "light")
    many = [bench.ask(heavy, *[1.0] * 8, owner=1) for _ in range(5)]
    await ticks()
    one = bench.ask(light, 5, owner=2)
    await ticks()
    bench.threads.run()
    await ticks()
    assert not one.done()
    bench.threads.run()
    await ticks()
    assert (sums(one), [task.done() for task in many]) == ([5], [True, *[False] * 4])
    await bench.run()
    assert all(task.done() for task in many)


async def test_a_large_request_is_scored_in_slices() -> None:
    bench = Bench(max_rows=1000, max_queued_rows=10_000)

    scorer = Slow(bench, batching=Batching())
    heavy, light = resident(scorer, "heavy"), resident(SumScorer(), "light")
    large = bench.ask(heavy, *range(500), owner=1)
    await ticks()
    one = bench.ask(light, 5, owner=2)
    await ticks()
    for _ in range(2):
        bench.threads.run()
        await ticks()
    assert (sums(one), large.done()) == ([5], False)
    await bench.run()
    assert sums(large) == [*range(500)]
    assert max(len(call["input"]) for call in scorer.calls) <= 40
    await bench.batcher.close()


async def test_a_slice_that_fails_is_the_end_of_its_request() -> None:
    bench = Bench(max_rows=1000, max_queued_rows=10_000)
    lease = resident(SumScorer(batching=Batching(), poison=13))
    entry = lease._entry
    assert entry is not None
    large = bench.ask(lease, *range(500))
    await bench.run()
    assert isinstance(large.exception(), ValueError)
    assert entry.leases == 1
    assert not bench.batcher._bounds._owners
    await bench.batcher.close()


async def test_an_owner_has_half_of_the_threads_where_others_wait() -> None:
    bench = Bench(workers=2)
    leases = [resident(SumScorer(), str(number)) for number in range(4)]
    alone = [bench.ask(lease, 1, owner=1) for lease in leases]
    await ticks()
    assert len(bench.threads.held) == 2
    other = bench.ask(resident(SumScorer(), "other"), 1, owner=2)
    await ticks()
    # Both are busy with the first; then one of them is for the other.
    bench.threads.run()
    await ticks()
    bench.threads.run()
    await ticks()
    assert (sums(other), sum(task.done() for task in alone)) == ([1], 3)
    await bench.run()
    await bench.batcher.close()


async def test_an_owner_cannot_fill_the_queue(bench: Bench) -> None:
    lease = resident(SumScorer())
    tasks = [bench.ask(lease, *[1.0] * 8, owner=1) for _ in range(12)]
    await ticks()
    refused = [task for task in tasks if task.done()]
    assert len(refused) == 6
    assert all(isinstance(task.exception(), QuotaExceeded) for task in refused)
    other = bench.ask(lease, *[1.0] * 8, owner=2)
    await bench.run()
    assert len(sums(other)) == 8


async def test_a_full_queue_gives_up_what_is_lowest_for_what_is_higher() -> None:
    bench = Bench(max_queued_rows=40)
    lease, before = resident(SumScorer(), "model"), shed("batch")
    running = bench.ask(lease, *[1.0] * 8)
    await ticks()
    batch = [bench.ask(lease, *[2.0] * 8, owner=owner, priority=4) for owner in (1, 2)]
    await ticks()
    shadow = bench.ask(lease, *[3.0] * 8, owner=3, priority=2)
    await ticks()
    live = [bench.ask(lease, *[4.0] * 8, owner=owner) for owner in (4, 5)]
    await ticks()
    # The newest of the lowest went, and told so at once; who is alike gets no place of anybody.
    assert [task.done() for task in batch] == [False, True]
    assert isinstance(batch[1].exception(), Overloaded)
    assert shed("batch") == before + 1
    other = bench.ask(lease, *[5.0] * 8, owner=6, priority=4)
    await ticks()
    assert isinstance(other.exception(), Overloaded)
    await bench.run()
    assert all(task.exception() is None for task in (running, batch[0], shadow, *live))
    assert bench.batcher.told()["waiting_rows"] == 0


async def test_nothing_is_shed_for_what_would_not_fit_all_the_same() -> None:
    bench = Bench(max_queued_rows=40)
    lease = resident(SumScorer(), "model")
    running = bench.ask(lease, *[1.0] * 30)
    await ticks()
    batch = bench.ask(lease, *[2.0] * 8, owner=1, priority=4)
    await ticks()
    large = bench.ask(lease, *[4.0] * 20, owner=4)
    await ticks()
    assert isinstance(large.exception(), Overloaded)
    await bench.run()
    assert (running.exception(), batch.exception()) == (None, None)


async def test_what_is_lower_is_scored_last() -> None:
    bench = Bench()
    order: list[str] = []
    tasks = []
    for name, priority in (("first", 0), ("batch", 4), ("shadow", 2), ("live", 0)):
        task = bench.ask(resident(Slow(bench), name), *[1.0] * 8, owner=1, priority=priority)
        task.add_done_callback(lambda _, name=name: order.append(name))  # type: ignore[misc]
        tasks.append(task)
        await ticks()
    await bench.run()
    assert order == ["first", "live", "shadow", "batch"]


async def test_while_the_queue_stands_the_newest_of_who_waits_are_refused_at_once() -> None:
    bench = Bench(max_queued_rows=1000)
    leases = [resident(Slow(bench), f"model {owner}") for owner in range(3)]
    waiting = []
    for _ in range(12):
        waiting.append(bench.ask(leases[1], *[1.0] * 8, owner=1))
        await ticks()
    for _ in range(7):
        bench.clock.advance(0.1)
        bench.threads.run()
        await ticks()
    late, other = bench.ask(leases[1], 1, owner=1), bench.ask(leases[2], 1, owner=2)
    await ticks()
    assert isinstance(late.exception(), Overloaded)
    await bench.run()
    assert all(task.exception() is None for task in (*waiting, other))
    again = bench.ask(leases[1], 1, owner=1)
    await bench.run()
    assert sums(again) == [1]


def shed(priority: str) -> float:
    return metric("croupier_cell_shed_total", priority=priority)
