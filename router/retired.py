"""Catalogs that another one took the place of, given back bit by bit.

To free half a million records at once takes a tenth of a second, in which the loop answers nobody. So what a
catalog is made of is held here until nobody reads it any more, and then let go of, a few buckets in a turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from weakref import ref

from croupier.transport.net.turns import next_turn
from version_manager.model.catalog import Catalog

# Of a catalog of half a million models, 1,000 of them: what is freed at once.
_BUCKETS_A_TURN = 8
_FEW_MODELS = 1_000
_LOOK_SECONDS = 0.1


class Retired:
    """`rest` passes the time until it is looked again whether a catalog is read; `few` models go at once."""

    def __init__(
        self,
        rest: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(_LOOK_SECONDS),
        *,
        few: int = _FEW_MODELS,
    ) -> None:
        self._rest = rest
        self._few = few
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """How many catalogs are not let go of yet."""
        return len(self._tasks)

    def take(self, catalog: Catalog) -> None:
        if catalog.size > self._few:
            task = asyncio.create_task(self._let_go(ref(catalog), catalog.parts()))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _let_go(self, read: ref[Catalog], parts: list[object]) -> None:
        while read() is not None:
            await self._rest()
        while parts:
            del parts[-_BUCKETS_A_TURN:]
            await next_turn()
