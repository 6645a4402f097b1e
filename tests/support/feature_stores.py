"""Feature stores for tests that need no real one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from croupier.stores.features import StoreDown


class MemoryFeatures:
    """A feature store in a dictionary, `held`.

    `reads` has the keys of each `get_many`; while `gate` is cleared they wait, and while `is_down` they fail.
    """

    def __init__(self) -> None:
        self.held: dict[bytes, bytes] = {}
        self.kept: dict[bytes, float | None] = {}
        self.reads: list[list[bytes]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.is_down = False

    async def get_many(self, keys: Sequence[bytes]) -> Sequence[bytes | None]:
        self.reads.append(list(keys))
        await self.gate.wait()
        self._check()
        return [self.held.get(key) for key in keys]

    async def put_many(self, items: Sequence[tuple[bytes, bytes]], keep_seconds: float | None) -> None:
        self._check()
        self.held.update(items)
        self.kept.update((key, keep_seconds) for key, _ in items)

    async def scan(self, prefix: bytes) -> AsyncIterator[bytes]:
        self._check()
        for key in list(self.held):
            if key.startswith(prefix):
                yield key

    async def delete_many(self, keys: Sequence[bytes]) -> int:
        self._check()
        return sum(self.held.pop(key, None) is not None for key in keys)

    async def change_many(self, changes: Sequence[tuple[bytes, bytes, bytes | None]]) -> int:
        self._check()
        standing = [(key, after) for key, before, after in changes if self.held.get(key) == before]
        for key, after in standing:
            if after is None:
                del self.held[key]
            else:
                self.held[key] = after
        return len(standing)

    async def types(self, keys: Sequence[bytes]) -> list[str]:
        return ["string" if key in self.held else "none" for key in keys]

    async def close(self) -> None:
        return

    def _check(self) -> None:
        if self.is_down:
            raise StoreDown("the store was taken down")
