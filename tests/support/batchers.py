"""A batcher whose threads wait to be told, and models for it."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from support.cells import Clock, HeldThreads, SumScorer, ticks

from cell.codec.signature import Arrays
from cell.residency.residency import Lease
from cell.scoring.batch import Job
from cell.scoring.batcher import Batcher
from croupier.deadline import NEVER, Deadline


class Bench:
    """A batcher whose threads wait to be told."""

    def __init__(self, **limits: Any) -> None:
        self.threads = HeldThreads()
        self.clock = Clock()
        settings = {"workers": 1, "max_rows": 8, "max_queued_rows": 100, **limits}
        self.batcher = Batcher(self.threads, clock=self.clock, **settings)

    def ask(
        self,
        lease: Lease[Any],
        *rows: float,
        outputs: tuple[str, ...] = ("sum",),
        deadline: Deadline = NEVER,
        owner: int = 0,
        at_work: Callable[[], None] | None = None,
        priority: int = 0,
    ) -> "asyncio.Task[Mapping[str, Any]]":
        """Score rows (row, 0)."""
        inputs = {"input": np.array([[row, 0] for row in rows], np.float32)}
        return asyncio.create_task(
            self.batcher.score(lease, inputs, len(rows), outputs, deadline, owner, at_work, priority)
        )

    def look(self) -> None:
        """As the batcher's timer does."""
        self.batcher._look(asyncio.get_running_loop())

    async def run(self) -> None:
        """Go round until no call waits."""
        await ticks()
        while self.threads.run():
            await ticks()


def job_of(
    lease: Lease[Any],
    *rows: float,
    deadline: Deadline = NEVER,
    outputs: tuple[str, ...] = ("sum",),
    owner: int = 0,
    priority: int = 0,
    since: float = 0.0,
) -> Job:
    """Rows (row, 0) for the model that `lease` holds."""
    inputs = {"input": np.array([[row, 0] for row in rows], np.float32)}
    answer: asyncio.Future[Arrays] = asyncio.get_running_loop().create_future()
    return Job(lease, inputs, len(rows), outputs, deadline, answer, owner, since=since, priority=priority)


def sums(task: "asyncio.Task[Mapping[str, Any]]") -> list[float]:
    return [float(value) for value in task.result()["sum"]]


class Slow(SumScorer):
    """Takes a millisecond a row."""

    def __init__(self, bench: Bench, **parts: Any) -> None:
        super().__init__(**parts)
        self.bench = bench

    def score(self, inputs: Any, outputs: Any, stop: Any = None) -> Any:
        self.bench.clock.advance(len(inputs["input"]) * 0.001)
        return super().score(inputs, outputs)
