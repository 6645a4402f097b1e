"""Artifacts on the local disk, so that a restart or an eviction does not ask the object store again.

One file an artifact, named by its digest, in 256 folders. A file is written under a temporary name
and renamed, so it is whole or absent; every read is checked against the digest, so nothing is ever
flushed by force: what a power cut tears is dropped when it is read. The least recently used files
go when the bound is reached; the order outlives a restart in the files' modification times.

The disk is a cache, and no trouble with it fails a load: it is logged and the object store is asked.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar, TypeVarTuple

from croupier.artifacts.format import digest_of
from croupier.names import DIGEST_BYTES
from croupier.telemetry.metrics import Counter

_log = logging.getLogger(__name__)

_READS = Counter("croupier_cell_disk_reads_total", "Artifacts looked up on the local disk", ["outcome"])
_WRITE_FAILURES = Counter("croupier_cell_disk_write_failures_total", "Artifacts that could not be written")

_UNFINISHED = ".part"

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class FileIndex:
    """Which artifacts lie on the disk and how large they are, least recently used first. Pure."""

    def __init__(self, bound: int) -> None:
        self.bound = bound
        self.used = 0
        self._sizes: OrderedDict[bytes, int] = OrderedDict()

    def __contains__(self, digest: bytes) -> bool:
        return digest in self._sizes

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._sizes)

    def touch(self, digest: bytes) -> bool:
        """Make `digest` the most recently used; False when it is not here."""
        if digest not in self._sizes:
            return False
        self._sizes.move_to_end(digest)
        return True

    def add(self, digest: bytes, size: int) -> list[bytes]:
        """Take `digest` in; returns who is out for it, itself when it is larger than the bound."""
        self.remove(digest)
        self._sizes[digest] = size
        self.used += size
        if size > self.bound:
            self.remove(digest)
            return [digest]
        victims = []
        while self.used > self.bound:
            victim = next(iter(self._sizes))
            self.remove(victim)
            victims.append(victim)
        return victims

    def remove(self, digest: bytes) -> None:
        self.used -= self._sizes.pop(digest, 0)


class DiskCache:
    """At most `bound` bytes of artifacts in `folder`, which belongs to this cell alone.

    Files are read and written in the threads of `pool`; open it with `open`.
    """

    def __init__(self, folder: Path, bound: int, pool: Executor) -> None:
        self._folder = folder
        self._pool = pool
        self._index = FileIndex(bound)

    @classmethod
    async def open(cls, folder: Path, bound: int, pool: Executor) -> DiskCache:
        """The cache in `folder`, which is made when absent; what an ended process left there counts.

        Raises:
            OSError: the folder cannot be made or read.
        """
        cache = cls(folder, bound, pool)
        found = await cache._in_thread(_scan, folder)
        for digest, size in found:
            await cache._unlink(cache._index.add(digest, size))
        return cache

    @property
    def used(self) -> int:
        """Bytes on the disk."""
        return self._index.used

    async def get(self, digest: bytes) -> bytes | None:
        """The artifact's bytes, which have that digest; None when they are not here."""
        if not self._index.touch(digest):
            _READS.labels("miss").inc()
            return None
        data = await self._in_thread(_read, self._path(digest), digest)
        if data is None:
            _READS.labels("corrupt").inc()
            self._index.remove(digest)
            await self._unlink([digest])
            return None
        _READS.labels("hit").inc()
        return data

    async def put(self, digest: bytes, data: bytes) -> None:
        """Keep `data`, whose digest was checked."""
        victims = self._index.add(digest, len(data))
        await self._unlink(victims)
        if digest in victims:
            return
        try:
            await self._in_thread(_write, self._path(digest), data)
        except OSError as error:
            _WRITE_FAILURES.inc()
            _log.warning("cannot keep an artifact on the local disk: %s", error)
            self._index.remove(digest)
            return
        if digest not in self._index:
            # Other artifacts pushed it out while it was being written.
            await self._unlink([digest])

    async def _unlink(self, digests: Iterable[bytes]) -> None:
        paths = [self._path(digest) for digest in digests]
        if paths:
            await self._in_thread(_remove, paths)

    def _path(self, digest: bytes) -> Path:
        name = digest.hex()
        return self._folder / name[:2] / name

    async def _in_thread(self, function: Callable[[*Ts], T], *arguments: *Ts) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)


# What follows runs in threads.


def _scan(folder: Path) -> list[tuple[bytes, int]]:
    """Digests and sizes of the artifacts in `folder`, oldest first; removes unfinished files."""
    folder.mkdir(parents=True, exist_ok=True)
    found = []
    for path in folder.glob("??/*"):
        if path.name.endswith(_UNFINISHED):
            path.unlink(missing_ok=True)
            continue
        with suppress(ValueError):
            digest = bytes.fromhex(path.name)
            if len(digest) == DIGEST_BYTES:
                status = path.stat()
                found.append((status.st_mtime_ns, digest, status.st_size))
    return [(digest, size) for _, digest, size in sorted(found)]


def _read(path: Path, digest: bytes) -> bytes | None:
    try:
        data = path.read_bytes()
        os.utime(path)
    except OSError as error:
        _log.warning("cannot read an artifact from the local disk: %s", error)
        return None
    if digest_of(data) != digest:
        _log.warning("%s is corrupt on the local disk and is dropped", path.name)
        return None
    return data


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    unfinished = path.with_name(path.name + _UNFINISHED)
    try:
        unfinished.write_bytes(data)
        unfinished.replace(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink(missing_ok=True)
