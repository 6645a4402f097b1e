"""Artifacts on the local disk, so that a restart or an eviction does not ask the object store again.

One file an artifact, named by its digest, in 256 folders. A file is whole or absent, and only its owner
reads it (`croupier/files.py`); every read is checked against the digest, so nothing is ever
flushed by force: what a power cut tears is dropped when it is read. The least recently used files
go when the bound is reached; the order outlives a restart in the files' modification times, which
are written now and then and not with every read.

The cell serves before it knows what lies here. A scan of names, sizes and times, a folder at a time
in a thread of the cache's own, takes its time where files are many; until it has ended, a
read tries the file, and nothing is evicted.

    read_cached         on the event loop: the bytes if they lie in the kernel's page cache
    path_of, keeping    where a reader's thread (`file_reader.pyx`) reads, and where it keeps what a store had
    found, kept, lost   on the event loop, afterwards: what came of it

The disk is a cache, and no trouble with it fails a load: it is logged and the object store is asked.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar, TypeVarTuple

from cell.loading.cached_file import read_cached
from cell.loading.fileindex import FileIndex, Found
from croupier.artifacts.format import digest_of
from croupier.files import own_folder
from croupier.names import DIGEST_BYTES
from croupier.priority import step_back
from croupier.telemetry.metrics import Counter, Gauge, LoopCounter

_log = logging.getLogger(__name__)

_HIT, _MISS, _CORRUPT = ("hit",), ("miss",), ("corrupt",)
_READS = LoopCounter(
    "croupier_cell_disk_reads_total",
    "Artifacts looked up on the local disk",
    ["outcome"],
    [_HIT, _MISS, _CORRUPT],
)
_WRITE_FAILURES = Counter("croupier_cell_disk_write_failures_total", "Artifacts that could not be written")
_INDEXED = Gauge("croupier_cell_disk_indexed", "1 once the scan of the local disk has ended")

_UNFINISHED = ".part"

# What the event loop may read and hash.
SMALL = 128 * 1024

# Files that one step of the event loop takes into the index.
_SLICE = 500

# Reads between two writes of modification times, and seconds after which the next read brings one.
_MOST_UNWRITTEN = 4096
_WRITE_TIMES_SECONDS = 60.0

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class DiskCache:
    """At most `bound` bytes of artifacts in `folder`, which belongs to this cell alone. Open it with `open`.

    `housekeeping` scans, removes and writes times, in a thread that no load waits for.
    """

    def __init__(
        self, folder: Path, bound: int, housekeeping: Executor, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder = folder
        self._prefix = os.fsencode(folder) + b"/"
        self.bound = bound
        self._housekeeping = housekeeping
        self._clock = clock
        # What this process has put here, until the scan has ended; then everything.
        self._index = FileIndex(bound)
        self._is_complete = False
        self._scan: asyncio.Task[None] | None = None
        # Gone since the scan began, though it may have seen them.
        self._lost: set[bytes] = set()
        # Read since modification times were last written, in order.
        self._unwritten: dict[bytes, None] = {}
        self._written_at = clock()
        # Tells our unfinished files from those of a process that has ended.
        self._ours = f".{os.urandom(6).hex()}{_UNFINISHED}"

    @classmethod
    async def open(cls, folder: Path, bound: int) -> DiskCache:
        """The cache in `folder`, which is made when absent; the scan of what lies there begins.

        Raises:
            OSError: the folder cannot be made.
        """
        await asyncio.to_thread(own_folder, folder)
        cache = cls(folder, bound, ThreadPoolExecutor(1, thread_name_prefix="disk", initializer=step_back))
        cache.start()
        return cache

    def start(self) -> None:
        """Begin the scan."""
        self._scan = asyncio.create_task(self._build_index(), name="disk-scan")

    async def close(self) -> None:
        """End the scan, write what is not written. No read or write may be under way."""
        if self._scan is not None:
            self._scan.cancel()
            await asyncio.wait([self._scan])
        self._write_times()
        await asyncio.to_thread(self._housekeeping.shutdown)

    async def indexed(self) -> None:
        """Wait until the scan has ended."""
        if self._scan is not None:
            await asyncio.shield(self._scan)

    async def settled(self) -> None:
        """Wait until what is due to be removed is removed."""
        await self._in_housekeeping(lambda: None)

    @property
    def used(self) -> int:
        """Bytes on the disk, as far as they are known."""
        return self._index.used

    def holds(self, digest: bytes) -> bool | None:
        """Whether `digest` lies here; None when that is not known yet."""
        if digest in self._index:
            return True
        return False if self._is_complete or digest in self._lost else None

    def read_cached(self, digest: bytes) -> bytes | None:
        """The artifact if it is small and there without waiting; None says only that a reader may have it."""
        data = read_cached(self.path_of(digest), SMALL)
        if data is None or digest_of(data) != digest:
            return None
        self.found(digest, len(data))
        return data

    def path_of(self, digest: bytes) -> bytes:
        """Where `digest` lies if it is here."""
        return _path_of(self._prefix, digest)

    def keeping(self, digest: bytes) -> tuple[bytes, bytes]:
        """Where a reader keeps `digest`, and where the file grows until it is whole."""
        path = self.path_of(digest)
        return path, path + self._ours.encode()

    def present(self, digests: Iterable[bytes]) -> list[bytes]:
        """Those of `digests` that have a file. Runs in a thread."""
        return [digest for digest in digests if self._path(digest).exists()]

    def corrupt(self, digest: bytes) -> None:
        """A reader has found another digest, and removed the file."""
        _READS.values[_CORRUPT] += 1
        _log.warning("%s is corrupt on the local disk and is dropped", digest.hex())

    def unreadable(self, error: OSError) -> None:
        """A reader could not read a file."""
        _log.warning("cannot read an artifact from the local disk: %s", error)

    def not_kept(self, error: OSError) -> None:
        """A reader could not keep a copy."""
        _WRITE_FAILURES.inc()
        _log.warning("cannot keep an artifact on the local disk: %s", error)

    def found(self, digest: bytes, size: int) -> None:
        """A reader had it."""
        _READS.values[_HIT] += 1
        if not self._index.touch(digest):
            self._index.add(digest, size)
        self._unwritten.pop(digest, None)
        self._unwritten[digest] = None
        if (
            len(self._unwritten) >= _MOST_UNWRITTEN
            or self._clock() - self._written_at >= _WRITE_TIMES_SECONDS
        ):
            self._write_times()

    def lost(self, digest: bytes) -> None:
        """A reader did not have it."""
        _READS.values[_MISS] += 1
        self._index.remove(digest)
        self._unwritten.pop(digest, None)
        if not self._is_complete:
            self._lost.add(digest)

    def kept(self, digest: bytes, size: int) -> None:
        """A reader has kept it."""
        self._lost.discard(digest)
        self._index.add(digest, size)
        self._evict()

    def _evict(self) -> None:
        if not self._is_complete:
            return
        victims = self._index.shrink()
        for victim in victims:
            self._unwritten.pop(victim, None)
        if victims:
            self._housekeeping.submit(_remove, [self.path_of(victim) for victim in victims])

    def _write_times(self) -> None:
        """So that a later process finds the order of use; a crash loses a minute of it."""
        self._written_at = self._clock()
        if self._unwritten:
            digests, self._unwritten = self._unwritten, {}
            self._housekeeping.submit(_write_times, self._prefix, digests, time.time_ns())

    async def _build_index(self) -> None:
        began = self._clock()
        found = Found()
        for number in range(256):
            await self._in_housekeeping(_scan, self._folder / f"{number:02x}", found, self._ours)
        index = await self._sorted(found)
        for digest in self._lost:
            index.remove(digest)
        index.take_over(self._index)
        self._index, self._is_complete = index, True
        self._lost.clear()
        self._evict()
        _INDEXED.set(1)
        _log.info(
            "%d artifacts of %d bytes on the local disk, found in %.1f s",
            len(index),
            index.used,
            self._clock() - began,
        )

    async def _sorted(self, found: Found) -> FileIndex:
        """On the event loop by slices: a thread that computes for long takes the interpreter from it."""
        index = FileIndex(self.bound)
        order = await self._in_housekeeping(found.order)
        for begin in range(0, len(order), _SLICE):
            found.move(order[begin : begin + _SLICE], index)
            await asyncio.sleep(0)
        return index

    def _path(self, digest: bytes) -> Path:
        name = digest.hex()
        return self._folder / name[:2] / name

    async def _in_housekeeping(self, function: Callable[[*Ts], T], *arguments: *Ts) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._housekeeping, function, *arguments)


def _path_of(prefix: bytes, digest: bytes) -> bytes:
    name = digest.hex()
    return prefix + f"{name[:2]}/{name}".encode()


# What follows runs in the thread of housekeeping.


def _scan(folder: Path, found: Found, ours: str) -> None:
    """Note the artifacts in `folder`; remove what an ended process left unfinished."""
    try:
        entries = os.scandir(folder)
    except OSError:
        return
    with entries:
        for entry in entries:
            name = entry.name
            if len(name) == 2 * DIGEST_BYTES:
                try:
                    digest, status = bytes.fromhex(name), entry.stat(follow_symlinks=False)
                except (ValueError, OSError):
                    continue
                if stat.S_ISREG(status.st_mode):
                    found.add(digest, status.st_size, status.st_mtime_ns)
            elif name.endswith(_UNFINISHED) and not name.endswith(ours):
                _remove([entry.path])


def _write_times(prefix: bytes, digests: Iterable[bytes], now: int) -> None:
    for place, digest in enumerate(digests):
        with suppress(OSError):
            os.utime(_path_of(prefix, digest), ns=(now + place, now + place))


def _remove(paths: Iterable[bytes | str]) -> None:
    for path in paths:
        with suppress(OSError):
            os.unlink(path)
