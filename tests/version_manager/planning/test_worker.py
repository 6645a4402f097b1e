"""The thread of plans: one thing at a time, of a bounded number, and the loop goes on."""

import asyncio
import sys
import threading

import pytest

from version_manager.planning.worker import MOST, Busy, Worker


@pytest.fixture
def worker():
    found = Worker()
    yield found
    found.close()


async def test_what_is_counted_is_returned_and_what_fails_is_raised(worker):
    assert await worker.run(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        await worker.run(lambda: 1 // 0)


async def test_so_many_may_wait_and_no_more(worker):
    go, running = threading.Event(), []

    def work():
        running.append(threading.get_ident())
        go.wait()

    tasks = [asyncio.create_task(worker.run(work)) for _ in range(MOST)]
    await asyncio.sleep(0)
    with pytest.raises(Busy) as refused:
        await worker.run(work)
    assert refused.value.retry_after > 0
    # One that waits is forgotten when its caller hangs up, and makes room.
    tasks.pop().cancel()
    await asyncio.wait_for(_room(worker), 60)
    go.set()
    await asyncio.gather(*tasks)
    assert len(running) == MOST - 1
    assert len({*running}) == 1
    assert await worker.run(lambda: 1) == 1


async def test_one_that_runs_takes_its_place_until_it_ends(worker):
    go, began = threading.Event(), threading.Event()

    def work():
        began.set()
        go.wait()

    task = asyncio.create_task(worker.run(work))
    await asyncio.to_thread(began.wait)
    task.cancel()
    await asyncio.wait([task])
    assert worker._pending == 1
    go.set()
    await asyncio.wait_for(_idle(worker), 60)


async def test_the_loop_is_given_way_to_meanwhile(worker):
    usual = sys.getswitchinterval()
    assert await worker.run(sys.getswitchinterval) < usual
    with pytest.raises(ZeroDivisionError):
        await worker.run(lambda: 1 // 0)
    assert sys.getswitchinterval() == usual


async def _room(worker):
    while worker._pending == MOST:
        await asyncio.sleep(0)


async def _idle(worker):
    while worker._pending:
        await asyncio.sleep(0)
