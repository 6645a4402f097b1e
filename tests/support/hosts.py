"""A host whose loads end when they are told to."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

from support.cells import Clock, SumScorer, digest, ticks

from cell.loading.host import Host
from cell.residency.policies import Lru
from cell.residency.residency import Residency
from croupier.deadline import NEVER, Deadline

A, B, C, D = map(digest, "abcd")


class Loads:
    """A loader whose loads end when told to; makes scorers of `size` bytes."""

    def __init__(self) -> None:
        self.begun: list[bytes] = []
        self.size = 10
        # What the loaded models turn out to take, if that is not `size`.
        self.grown = 0
        self.seconds = 0.0
        self.made: dict[bytes, SumScorer] = {}
        self.cancelled: list[bytes] = []
        self._under_way: dict[bytes, tuple[Callable[[int], None], Callable[[Any], None]]] = {}

    def begin(
        self,
        digest: bytes,
        make_room: Callable[[int], None],
        done: Callable[[Any], None],
        mark: Callable[[str], None],
    ) -> Callable[[], None]:
        self.begun.append(digest)
        mark("store")
        self._under_way[digest] = make_room, done

        def cancel() -> None:
            self.cancelled.append(digest)
            self._under_way.pop(digest, None)

        return cancel

    def expected_seconds(self, digest: bytes) -> float:
        return self.seconds

    async def end(self, digest: bytes, error: Exception | None = None) -> None:
        self.finish(digest, error)
        await ticks()

    def finish(self, digest: bytes, error: Exception | None = None) -> None:
        make_room, done = self._under_way.pop(digest)
        if error is None:
            try:
                make_room(self.size)
            except Exception as failure:  # noqa: BLE001 (as a loader does)
                done(failure)
                return
            self.made[digest] = SumScorer(size=self.grown or self.size)
        done(error or self.made[digest])


class Bench:
    def __init__(self, capacity: int = 100, **limits: Any) -> None:
        self.loads = Loads()
        self.clock = Clock()
        self.residency: Residency[Any] = Residency(capacity, Lru())
        self.rng = random.Random(1)
        self.host = Host(self.residency, self.loads, clock=self.clock, rng=self.rng, **limits)

    def ask(self, key: bytes, deadline: Deadline = NEVER, owner: int = 0) -> "asyncio.Task[Any]":
        return asyncio.create_task(self.host.lease(key, deadline, owner))

    async def make_resident(self, key: bytes) -> None:
        task = self.ask(key)
        await ticks()
        await self.loads.end(key)
        task.result().release()
