"""Real readers for tests, and what they need around them."""

from __future__ import annotations

import asyncio
import select
import time
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from contextlib import asynccontextmanager
from typing import Any

from cell.engines import Engines
from cell.loading.diskcache import DiskCache
from cell.loading.file_image import Image
from cell.loading.file_reader import Reader
from cell.loading.gate import Gate
from cell.loading.loader import Loader, Readers
from cell.loading.slices import Slices
from cell.loading.sources import Folder, in_memory, unreadable
from croupier.errors import CroupierError
from croupier.stores.objects import ObjectStore
from croupier.transport.net.turns import turns_of

_SECONDS = 10.0


class Asked:
    """An object store as a cell asks one, in this process."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def failure(self, error: OSError, digest: bytes) -> CroupierError:
        return unreadable(error)

    async def fetch(self, digest: bytes) -> int:
        return await asyncio.to_thread(in_memory, await self._store.get(digest))


def read(reader: Reader, digest: bytes, **how: Any) -> Image:
    """What one reading comes to, waited for."""
    number = reader.submit(digest, how.pop("most", 10**9), **how)
    assert select.select([reader], [], [], _SECONDS)[0]
    (image,) = reader.take()
    assert image.number == number
    return image


@asynccontextmanager
async def open_loader(
    source: Any, disk: DiskCache, engines: Engines, pool: Executor, **told: Any
) -> AsyncIterator[Loader]:
    """A loader with threads of its own; `source` may be a store."""
    gate = Gate()
    slices = Slices(time.perf_counter, turns_of(asyncio.get_running_loop()).wait)
    readers = Readers(Reader(gate, 1), Reader(gate, 1), slices)
    if not isinstance(source, Folder):
        source = Asked(source)
    loader = Loader(source, disk, engines, pool, readers, slices, **told)
    try:
        yield loader
    finally:
        await loader.close()
