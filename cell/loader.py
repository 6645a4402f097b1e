"""From a digest to a scorer: local disk, else object store; checked; then the engine's work.

The host decides which loads run, how many at a time, and where the room comes from. A cell needs nobody
but the object store for this: the digest in the request is the address there. There are three ways:

    small, in the kernel's page cache   all of it on the event loop, if its engine only copies
    on the disk                         a thread reads and checks; then the engine
    in the store                        fetched; a thread checks and keeps it on the disk; then the engine

A small model of an engine that only copies is loaded on the event loop, any other in a thread. A model of
16 kB whose file is in the page cache takes 60 µs of the event loop. A thread would take the same time,
and then wait for the interpreter lock at each of its turns: with the event loop busy half of the time that
was 0.4 ms at the median and 4 ms or far more at the 99th percentile, against 0.5 ms without a thread.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar, TypeVarTuple

from cell.diskcache import SMALL, DiskCache
from cell.engines import ArtifactRefused, Engine, Engines, Scorer
from cell.loadtimes import DISK, STORE, LoadTimes
from croupier.artifacts.format import Artifact, InvalidArtifact, view
from croupier.errors import Unavailable
from croupier.stores.objects import ObjectStore
from croupier.telemetry.metrics import Histogram

_FETCH_SECONDS = Histogram("croupier_cell_fetch_seconds", "Time to fetch an artifact from the object store")
_BUILD_SECONDS = Histogram("croupier_cell_build_seconds", "Time of an engine to make an artifact ready")
_LOAD_SECONDS = Histogram(
    "croupier_cell_load_seconds",
    "Time of a load from its turn until the model is ready, by where the artifact came from",
    ["source"],
    buckets=(
        0.0001,
        0.0002,
        0.0003,
        0.0005,
        0.0007,
        0.001,
        0.002,
        0.005,
        0.01,
        0.02,
        0.05,
        0.1,
        0.2,
        0.5,
        1,
        5,
        30,
    ),
)
_BY_SOURCE = {source: _LOAD_SECONDS.labels(source) for source in (DISK, STORE)}

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

# Makes room for so many bytes, or raises.
MakeRoom = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class _Checked:
    """An artifact, its engine, what it needs, and the bytes of its file."""

    artifact: Artifact
    engine: Engine
    room: int
    size: int


class Loader:
    """Loads artifacts; engines, and what waits for a disk, work in the threads of `pool`."""

    def __init__(
        self,
        store: ObjectStore,
        disk: DiskCache,
        engines: Engines,
        pool: Executor,
        *,
        fetch_timeout: float = 30.0,
    ) -> None:
        self._store = store
        self._disk = disk
        self._engines = engines
        self._pool = pool
        self._fetch_timeout = fetch_timeout
        self._times = LoadTimes()

    def expected_seconds(self, digest: bytes) -> float:
        """How long a load of `digest` takes once it is begun; 0 when nothing was measured."""
        return self._times.expected(STORE if self._disk.holds(digest) is False else DISK)

    async def load(self, digest: bytes, make_room: MakeRoom) -> Scorer:
        """The model of `digest`, ready to score; `make_room` is called before memory is taken for it.

        Raises:
            NotFound: the object store has no such artifact.
            DataLoss: what it has does not match the digest.
            Unavailable: it cannot be reached in time.
            FailedPrecondition: the artifact is refused, or no engine here loads it.
            And what `make_room` raises.
        """
        scorer = self.load_now(digest, make_room)
        if scorer is not None:
            return scorer
        began = time.perf_counter()
        source = DISK
        checked = await self._from_disk(digest)
        if checked is None:
            source = STORE
            checked = await self._from_store(digest)
        make_room(checked.room)
        scorer = await self._build(checked, digest)
        self._measured(source, began)
        return scorer

    def load_now(self, digest: bytes, make_room: MakeRoom) -> Scorer | None:
        """The model of `digest` if loading it waits for nothing; None says only that `load` has to.

        Raises:
            FailedPrecondition: the artifact is refused, or no engine here loads it.
            And what `make_room` raises.
        """
        began = time.perf_counter()
        data = self._disk.read_cached(digest)
        if data is None:
            return None
        artifact, engine = self._view(data)
        if not engine.only_copies:
            return None
        make_room(engine.estimate(artifact))
        scorer = engine.load(artifact, digest)
        self._measured(DISK, began)
        return scorer

    async def _from_disk(self, digest: bytes) -> _Checked | None:
        if self._disk.holds(digest) is False:
            return None
        checked = await self._in_thread(self._read, digest)
        if checked is None:
            self._disk.lost(digest)
        else:
            self._disk.found(digest, checked.size)
        return checked

    async def _from_store(self, digest: bytes) -> _Checked:
        with _FETCH_SECONDS.time():
            try:
                async with asyncio.timeout(self._fetch_timeout):
                    data = await self._store.get(digest)
            except TimeoutError as error:
                raise Unavailable("the object store does not answer", reason="STORE_TIMEOUT") from error
        checked, is_kept = await self._in_thread(self._check_and_keep, digest, data)
        if is_kept:
            self._disk.kept(digest, len(data))
        return checked

    async def _build(self, checked: _Checked, digest: bytes) -> Scorer:
        began = time.perf_counter()
        load = checked.engine.load
        if checked.engine.only_copies and checked.size <= SMALL:
            scorer = load(checked.artifact, digest)
        else:
            scorer = await self._in_thread(load, checked.artifact, digest)
        _BUILD_SECONDS.observe(time.perf_counter() - began)
        return scorer

    def _read(self, digest: bytes) -> _Checked | None:
        data = self._disk.read(digest)
        return None if data is None else self._check(data)

    def _check_and_keep(self, digest: bytes, data: bytes) -> tuple[_Checked, bool]:
        return self._check(data), self._disk.write(digest, data)

    def _check(self, data: bytes) -> _Checked:
        artifact, engine = self._view(data)
        return _Checked(artifact, engine, engine.estimate(artifact), len(data))

    def _view(self, data: bytes) -> tuple[Artifact, Engine]:
        try:
            artifact = view(data)
        except InvalidArtifact as error:
            raise ArtifactRefused(error.message) from error
        return artifact, self._engines.get(artifact.engine)

    def _measured(self, source: str, began: float) -> None:
        seconds = time.perf_counter() - began
        self._times.note(source, seconds)
        _BY_SOURCE[source].observe(seconds)

    async def _in_thread(self, function: Callable[[*Ts], T], *arguments: *Ts) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)
