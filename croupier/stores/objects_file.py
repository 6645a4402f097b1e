"""Bytes by key in a folder, for one machine or a shared file system.

A file appears whole or not at all, and is flushed to the disk first, so that neither a crash nor a full
disk leaves half an artifact under its name. All of it runs in threads, for a disk can take its time.

Of many at a time (`create_each`) the files are flushed by several threads, for a disk makes one flush of many
that wait for it: twenty times as many files in the same time, with sixteen threads. Their names are flushed
when all have one, each folder once. What it returns from is as durable as what `create` does.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from croupier.errors import CroupierError, NotFound, Unavailable
from croupier.files import EVERYBODY_READS, read_regular, sync_folder, write_whole
from croupier.stores.refused import StoreRefused

T = TypeVar("T")
U = TypeVar("U")

_FLUSHING = 16


class FileBlobs:
    """Every key is a path below `folder`, which must exist; files have `mode`."""

    def __init__(self, folder: Path, mode: int = EVERYBODY_READS) -> None:
        self._folder, self._mode = folder, mode

    async def read(self, key: str) -> bytes:
        return await self._run(key, read_regular)

    async def create(self, key: str, data: bytes) -> None:
        await self.replace(key, data)

    async def replace(self, key: str, data: bytes) -> None:
        await self._run(key, lambda path: self._write(path, data))

    async def create_each(self, blobs: Mapping[str, bytes]) -> None:
        """`create` each of `blobs`: all of them, or it raises and some are there."""
        one_of_each = {key.rpartition("/")[0]: self._folder / key for key in blobs}
        await self._spread(self._make_folder, one_of_each.values())
        await self._spread(lambda key: self._put(self._folder / key, blobs[key], names_later=True), blobs)
        await self.settle(blobs)

    async def settle(self, keys: Collection[str]) -> None:
        """Have the names of what is there under `keys` on the disk, whoever wrote it."""
        paths = [self._folder / key for key in keys]
        folders = {path.parent for path in paths} | {path.parent.parent for path in paths}
        await self._spread(sync_folder, folders)

    async def exists(self, key: str) -> bool:
        return await self._run(key, Path.exists)

    async def exist(self, keys: Collection[str]) -> list[bool]:
        """Whether there is something under each of `keys`."""

        def look(key: str) -> list[bool]:
            return [(self._folder / key).exists() for key in keys]

        return await asyncio.to_thread(self._guarded, "", look)

    async def delete(self, key: str) -> None:
        await self._run(key, lambda path: path.unlink(missing_ok=True))

    async def _run(self, key: str, act: Callable[[Path], T]) -> T:
        return await asyncio.to_thread(self._guarded, key, lambda key: act(self._folder / key))

    async def _spread(self, act: Callable[[U], object], items: Iterable[U]) -> None:
        """`act` on each of `items`, in several threads, which end before it returns. Raises as `act` does."""
        waiting = iter(list(items))

        def work(key: str) -> None:
            # To take the next one is atomic.
            for item in waiting:
                act(item)

        loop = asyncio.get_running_loop()
        working = [loop.run_in_executor(self._flushing, self._guarded, "", work) for _ in range(_FLUSHING)]
        for found in await asyncio.gather(*working, return_exceptions=True):
            if isinstance(found, BaseException):
                raise found

    @cached_property
    def _flushing(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(_FLUSHING, thread_name_prefix="flush")

    def _guarded(self, key: str, act: Callable[[str], T]) -> T:
        try:
            return act(key)
        except OSError as error:
            raise meaning_of(error, key, self._folder) from error

    def _write(self, path: Path, data: bytes) -> None:
        self._make_folder(path)
        self._put(path, data)

    def _make_folder(self, path: Path) -> None:
        # Not the store's own folder: if that is gone, a file system is not mounted.
        for parent in reversed(path.relative_to(self._folder).parents[:-1]):
            (self._folder / parent).mkdir(exist_ok=True)

    def _put(self, path: Path, data: bytes, *, names_later: bool = False) -> None:
        # Several publishers may write the same artifact, and the cells may run as somebody else.
        unfinished = path.with_name(f".{path.name}.{os.urandom(6).hex()}.part")
        write_whole(
            *(path, data), mode=self._mode, is_durable=True, names_later=names_later, unfinished=unfinished
        )


def meaning_of(error: OSError, key: str, folder: Path) -> CroupierError:
    """What an error of the disk means for whoever wants `key` of the store in `folder`."""
    if isinstance(error, FileNotFoundError) and folder.is_dir():
        return NotFound(f"the store has no {key}")
    if isinstance(error, PermissionError):
        return StoreRefused(f"the store's folder may not be used: {error}")
    # Also when the folder is gone, a file system that is not mounted say: its files are not lost.
    return Unavailable(f"the store's folder cannot be used: {error}")
