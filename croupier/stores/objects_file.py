"""Bytes by key in a folder, for one machine or a shared file system.

A file appears whole or not at all, and is flushed to the disk first, so that neither a crash nor a full
disk leaves half an artifact under its name. All of it runs in threads, for a disk can take its time.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from croupier.errors import CroupierError, NotFound, Unavailable
from croupier.files import EVERYBODY_READS, read_regular, write_whole
from croupier.stores.refused import StoreRefused

T = TypeVar("T")


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

    async def exists(self, key: str) -> bool:
        return await self._run(key, Path.exists)

    async def delete(self, key: str) -> None:
        await self._run(key, lambda path: path.unlink(missing_ok=True))

    async def _run(self, key: str, act: Callable[[Path], T]) -> T:
        return await asyncio.to_thread(self._translated, key, act)

    def _translated(self, key: str, act: Callable[[Path], T]) -> T:
        try:
            return act(self._folder / key)
        except OSError as error:
            raise meaning_of(error, key, self._folder) from error

    def _write(self, path: Path, data: bytes) -> None:
        # Not the store's own folder: if that is gone, a file system is not mounted.
        for parent in reversed(path.relative_to(self._folder).parents[:-1]):
            (self._folder / parent).mkdir(exist_ok=True)
        # Several publishers may write the same artifact, and the cells may run as somebody else.
        unfinished = path.with_name(f".{path.name}.{os.urandom(6).hex()}.part")
        write_whole(path, data, mode=self._mode, is_durable=True, unfinished=unfinished)


def meaning_of(error: OSError, key: str, folder: Path) -> CroupierError:
    """What an error of the disk means for whoever wants `key` of the store in `folder`."""
    if isinstance(error, FileNotFoundError) and folder.is_dir():
        return NotFound(f"the store has no {key}")
    if isinstance(error, PermissionError):
        return StoreRefused(f"the store's folder may not be used: {error}")
    # Also when the folder is gone, a file system that is not mounted say: its files are not lost.
    return Unavailable(f"the store's folder cannot be used: {error}")
