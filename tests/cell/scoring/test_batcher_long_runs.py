"""Runs that do not end by themselves: stopped at their deadline, and in nobody's way."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from support.batchers import Bench, sums
from support.cells import SumScorer, resident, ticks

from cell.engines.stop import Stopped
from cell.scoring.overruns import Overran
from croupier.deadline import Deadline
from croupier.errors import DeadlineExceeded


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    yield bench
    await bench.batcher.close()


class Endless(SumScorer):
    """A run of a row below 0 ends when it is stopped."""

    def __init__(self, bench: Bench, **parts: Any) -> None:
        super().__init__(**parts)
        self.bench = bench
        self.stops: list[Any] = []

    def score(self, inputs: Any, outputs: Any, stop: Any = None) -> Any:
        if (inputs["input"][:, 0] < 0).any():
            self.stops.append(stop)
            # What the event loop sees meanwhile; a real run goes on in its thread.
            while not stop.is_asked:
                self.bench.clock.advance(1.0)
                self.bench.look()
            raise Stopped("stopped")
        return super().score(inputs, outputs)


async def test_a_run_is_stopped_at_its_deadline(bench: Bench) -> None:
    lease = resident(Endless(bench))
    began = bench.clock()
    late = bench.ask(lease, -1, deadline=Deadline(began + 3))
    await bench.run()
    assert isinstance(late.exception(), DeadlineExceeded)
    assert bench.clock() == began + 3


async def test_a_run_of_several_goes_on_while_one_of_them_waits(bench: Bench) -> None:
    lease = resident(Endless(bench))
    began = bench.clock()
    tasks = [bench.ask(lease, -1, deadline=Deadline(began + seconds)) for seconds in (2, 5)]
    await bench.run()
    assert all(isinstance(task.exception(), DeadlineExceeded) for task in tasks)
    assert bench.clock() == began + 5


async def test_a_run_without_a_deadline_is_stopped_and_its_model_refused(bench: Bench) -> None:
    lease = resident(Endless(bench))
    began = bench.clock()
    endless = bench.ask(lease, -1)
    await bench.run()
    assert isinstance(endless.exception(), DeadlineExceeded)
    assert bench.clock() == began + 10
    again = bench.ask(lease, 1)
    await bench.run()
    assert isinstance(again.exception(), Overran)
    bench.clock.advance(31.0)
    later = bench.ask(lease, 1)
    await bench.run()
    assert sums(later) == [1]


async def test_a_run_that_nobody_waits_for_is_stopped(bench: Bench) -> None:
    lease = resident(Endless(bench))
    began = bench.clock()
    gone = bench.ask(lease, -1)
    await ticks()
    gone.cancel()
    await bench.run()
    assert bench.clock() == began + 1


async def test_a_long_run_holds_up_nobody(bench: Bench) -> None:
    """Neither who waits for the thread nor who stands behind it in its turn."""
    at_work: list[str] = []
    endless = resident(Endless(bench), "endless")
    known = resident(SumScorer(), "known")
    for _ in range(2):
        # Its cost is known from then on, to be nothing: it joins the turns of others.
        warm = bench.ask(known, 1, owner=2)
        await bench.run()
        assert warm.done()
    both = [
        bench.ask(known, 7, owner=2, at_work=lambda: at_work.append("known")),
        bench.ask(endless, -1, owner=1, at_work=lambda: at_work.append("endless")),
    ]
    others: list[Any] = []
    scorer = endless.model

    def meanwhile(inputs: Any, outputs: Any, stop: Any = None) -> Any:
        bench.clock.advance(0.06)
        bench.look()
        others.append(len(bench.batcher._held_up))
        raise Stopped("stopped")

    scorer.score = meanwhile
    behind = bench.ask(known, 8, owner=3)
    await bench.run()
    assert isinstance(both[1].exception(), DeadlineExceeded)
    assert (sums(both[0]), sums(behind)) == ([7], [8])
    assert at_work == ["endless"]
    assert bench.batcher._long == 0
    assert not bench.batcher._turns_of


async def test_closing_stops_what_runs() -> None:
    bench = Bench()
    lease = resident(Endless(bench))
    runs = bench.ask(lease, -1)
    await ticks()
    closing = asyncio.create_task(bench.batcher.close())
    await ticks()
    began = bench.clock()
    await bench.run()
    await closing
    assert isinstance(runs.exception(), DeadlineExceeded)
    assert bench.clock() <= began + 1


async def test_the_run_that_takes_longest_is_known_while_it_does(bench: Bench) -> None:
    lease = resident(Endless(bench))
    seen: list[Any] = []
    look = bench.look

    def look_and_see() -> None:
        seen.append(bench.batcher.longest_run())
        look()

    bench.look = look_and_see  # type: ignore[method-assign]
    bench.ask(lease, -1, deadline=Deadline(bench.clock() + 3))
    assert bench.batcher.longest_run() is None
    await bench.run()
    # Only once it has been looked at is it known to be long.
    assert seen == [None, (lease.digest, 2.0), (lease.digest, 3.0)]
    assert bench.batcher.longest_run() is None
    assert bench.batcher.stopped() == (lease.digest, 1)
