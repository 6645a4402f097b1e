"""Who waits for a load: for how long, before whom, how many at most, and what comes of who hangs up."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.cells import digest, ticks
from support.hosts import A, B, Bench, C, D

from cell.loading.singleflight import LoadQueueFull, LoadTooSlow
from croupier.deadline import NEVER, Deadline
from croupier.errors import DeadlineExceeded, NotFound


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.host.close()


async def test_a_waiter_that_hangs_up_takes_nobody_along(bench: Bench) -> None:
    gone, stays = bench.ask(A), bench.ask(A)
    await ticks()
    gone.cancel()
    await ticks()
    await bench.loads.end(A)
    stays.result().release()
    assert gone.cancelled()
    assert bench.residency.plan(100).victims == (A,)


async def test_a_begun_load_that_nobody_waits_for_is_finished(bench: Bench) -> None:
    task = bench.ask(A)
    await ticks()
    task.cancel()
    await ticks()
    await bench.loads.end(A)
    assert A in bench.residency
    assert bench.residency.plan(100).victims == (A,)


async def test_a_queued_load_that_nobody_waits_for_is_given_up() -> None:
    bench = Bench(slots=1)
    first, queued = bench.ask(A), bench.ask(B)
    await ticks()
    queued.cancel()
    await ticks()
    assert bench.host.report().loading == 1
    await bench.loads.end(A)
    first.result().release()
    assert bench.loads.begun == [A]
    await bench.make_resident(B)


async def test_only_so_many_loads_run_at_a_time() -> None:
    bench = Bench(slots=2)
    tasks = [bench.ask(key) for key in (A, B, C)]
    await ticks()
    assert bench.loads.begun == [A, B]
    await bench.loads.end(A)
    assert bench.loads.begun == [A, B, C]
    await bench.loads.end(B)
    await bench.loads.end(C)
    for task in tasks:
        task.result().release()


async def test_only_so_many_requests_may_wait() -> None:
    bench = Bench(slots=1, max_waiting=3)
    tasks = [bench.ask(key) for key in (A, B, B)]
    await ticks()
    for key in (B, C):
        with pytest.raises(LoadQueueFull) as caught:
            await bench.host.lease(key, NEVER)
        assert caught.value.retry_after > 0
    tasks.pop().cancel()
    await ticks()
    tasks.append(bench.ask(C))
    await ticks()
    for key in (A, B, C):
        await bench.loads.end(key)
    for task in tasks:
        task.result().release()


async def test_so_many_loads_as_can_end_in_time_are_admitted_and_no_fixed_number() -> None:
    bench = Bench(capacity=100_000, slots=1)
    bench.loads.seconds = 1.0
    deadline = Deadline(bench.clock.now + 768.5)
    keys = [digest(f"{number}") for number in range(800)]
    tasks = [bench.ask(key, deadline) for key in keys]
    await ticks()
    refused = [task for task in tasks if task.done()]
    assert [type(task.exception()) for task in refused] == [LoadTooSlow] * 32
    for key in keys[:768]:
        await bench.loads.end(key)
    for task in tasks[:768]:
        task.result().release()


async def test_a_waiter_whose_load_ends_as_it_hangs_up_leaves_no_lease(bench: Bench) -> None:
    task = bench.ask(A)
    await ticks()
    bench.loads.finish(A)
    task.cancel()
    await ticks()
    assert task.cancelled()
    assert bench.residency.plan(100).victims == (A,)


async def test_who_waits_without_a_task_is_told_once(bench: Bench) -> None:
    told: list[Any] = []
    is_told = asyncio.Event()
    for key, error in ((A, None), (B, NotFound("gone"))):
        assert bench.host.wait(key, NEVER, 0, told.append) is not None
        assert told == []
        await bench.loads.end(key, error)
        outcome = told.pop()
        if error is None:
            assert outcome.digest == key
            outcome.release()
        else:
            assert outcome is error

    def tell(outcome: Any) -> None:
        told.append(outcome)
        is_told.set()

    late = bench.host.wait(C, Deadline.after(0.001, bench.clock.now), 0, tell)
    gone = bench.host.wait(D, NEVER, 0, told.append)
    assert late is not None
    assert gone is not None
    gone.cancel()
    await is_told.wait()
    await bench.loads.end(C)
    await bench.loads.end(D)
    (outcome,) = told
    assert isinstance(outcome, DeadlineExceeded)
    assert bench.host.wait(C, NEVER, 0, told.append) is None
    told.pop().release()
    assert bench.residency.plan(100).victims == (A, D, C)


async def test_a_deadline_ends_the_wait_and_not_the_load(bench: Bench) -> None:
    with pytest.raises(DeadlineExceeded):
        await bench.host.lease(A, Deadline.after(0.001, bench.clock.now))
    await bench.loads.end(A)
    (await bench.host.lease(A, NEVER)).release()
    assert bench.loads.begun == [A]


async def test_who_is_due_first_loads_first() -> None:
    bench = Bench(slots=1)
    running = bench.ask(A)
    await ticks()
    late, soon = bench.ask(B, Deadline(bench.clock.now + 1.0)), bench.ask(C, Deadline(bench.clock.now + 0.5))
    await ticks()
    await bench.loads.end(A)
    await bench.loads.end(C)
    await bench.loads.end(B)
    assert bench.loads.begun == [A, C, B]
    for task in (running, late, soon):
        task.result().release()


async def test_owners_share_the_slots() -> None:
    bench = Bench(capacity=1000, slots=1)
    keys = [digest(f"a{number}") for number in range(20)]
    tasks = [bench.ask(key, owner=1) for key in keys]
    await ticks()
    tasks.append(bench.ask(B, owner=2))
    await ticks()
    for key in (keys[0], B, *keys[1:]):
        await bench.loads.end(key)
    assert bench.loads.begun == [keys[0], B, *keys[1:]]
    for task in tasks:
        task.result().release()


async def test_a_load_that_cannot_end_in_time_is_refused_at_once_and_done_in_the_background(
    bench: Bench,
) -> None:
    bench.loads.seconds = 0.2
    with pytest.raises(LoadTooSlow) as caught:
        await bench.host.lease(A, Deadline(bench.clock.now + 0.1))
    assert caught.value.retry_after == 0.2
    assert caught.value.reason == "LOAD_TOO_SLOW"
    await ticks()
    await bench.loads.end(A)
    (await bench.host.lease(A, Deadline(bench.clock.now + 0.1))).release()
    assert bench.loads.begun == [A]


async def test_the_loads_ahead_count_against_the_deadline() -> None:
    bench = Bench(slots=2)
    bench.loads.seconds = 0.1
    tasks = [bench.ask(A), bench.ask(B), bench.ask(C, Deadline(bench.clock.now + 0.2))]
    await ticks()
    # Three loads ahead on two slots and its own: 0.25 s.
    with pytest.raises(LoadTooSlow):
        await bench.host.lease(D, Deadline(bench.clock.now + 0.24))
    joins = bench.ask(D, Deadline(bench.clock.now + 0.26))
    await ticks()
    for key in (A, B, C, D):
        await bench.loads.end(key)
    assert bench.loads.begun == [A, B, C, D]
    for task in (*tasks, joins):
        task.result().release()


async def test_one_that_joins_a_load_under_way_is_never_refused(bench: Bench) -> None:
    first = bench.ask(A)
    await ticks()
    bench.loads.seconds = 5.0
    joins = bench.ask(A, Deadline(bench.clock.now + 1.0))
    await ticks()
    await bench.loads.end(A)
    for task in (first, joins):
        task.result().release()
