"""The poison tenant: models that hold every thread of its hand, and models that end its cells."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bench.calling import SessionCaller
from bench.catalog import Load
from bench.demo import poison_engine
from bench.demo.asking import PREDICT
from bench.demo.sharing import Sharing, name_for
from bench.demo.stage import Stage
from croupier_client.encode import Item, encode
from croupier_client.messages import prediction as pb

# A little less than what a cell takes for a long run, which it lets others by: nothing is worse for them.
HOLD_SECONDS = 0.045
# Of one cell: its two threads, and as many that wait for them.
_AT_ONCE = 4


@dataclass(slots=True)
class Poison:
    """`holds` and `crashes` have a model for each cell of the hand, which is asked for it first."""

    sharing: Sharing
    holds: dict[str, str]
    crashes: dict[str, str]
    caller: SessionCaller
    runs: int = 0

    @property
    def tenant(self) -> str:
        return self.sharing.poison

    @asynccontextmanager
    async def holding(self) -> AsyncIterator[None]:
        """Hold all threads of the hand while in the block; leaves once the last of them is free again."""
        under_way, is_on, idle = 0, True, asyncio.Event()

        def ask(load: Load) -> None:
            nonlocal under_way
            under_way += 1
            self.caller.start(load, 0, lambda _, is_right: done(load, is_right))

        def done(load: Load, is_right: bool) -> None:
            nonlocal under_way
            under_way -= 1
            self.runs += is_right
            if is_on and is_right:
                ask(load)
            elif not under_way:
                idle.set()

        for name in self.holds.values():
            for _ in range(_AT_ONCE):
                ask(self._load(name, 1.0))
        try:
            yield
        finally:
            is_on = False
            await idle.wait()

    async def crash(self, cell: str) -> None:
        """End the cell by a request of its own, which waits for the verdict."""
        ended = asyncio.Event()
        load = self._load(self.crashes[cell], poison_engine.MARK)
        self.caller.start(load, 0, lambda _, __: ended.set())
        await ended.wait()

    def _load(self, name: str, value: float) -> Load:
        message = pb.PredictRequest(items=[encode(Item(name, [value]))]).SerializeToString()
        return Load(PREDICT, [(self.tenant.encode(), message)], b"", None)


async def prepare(stage: Stage, sharing: Sharing, caller: SessionCaller) -> Poison:
    """Publish its models, each for the cell that is to suffer from it."""
    holds, crashes = {}, {}
    for cell in sharing.hand:
        holds[cell] = name_for(stage.dealer, sharing.poison, cell, "holds")
        crashes[cell] = name_for(stage.dealer, sharing.poison, cell, "crashes")
        for name, artifact in (
            (holds[cell], poison_engine.holding(holds[cell], HOLD_SECONDS)),
            (crashes[cell], poison_engine.crashing(crashes[cell])),
        ):
            await stage.manager.publish(sharing.poison, name, artifact, release_if_first=True)
    return Poison(sharing, holds, crashes, caller)


async def culprits(stage: Stage, poison: Poison) -> dict[str, str]:
    """The signal by which each cell ended, of those whose journal has condemned the model that did it."""
    digests = {
        hashlib.sha256(poison_engine.crashing(name)).digest(): cell for cell, name in poison.crashes.items()
    }
    return {
        cell.id: one.why
        for cell in await stage.manager.list_cells()
        for one in cell.load.quarantined
        if digests.get(one.artifact) == cell.id
    }
