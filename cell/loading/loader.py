"""From a digest to a scorer: local disk, else object store; checked; then the engine's work.

The host decides which loads run, how many at a time, and where the room comes from. A cell needs nobody
but the object store for this: the digest in the request is the address there.

    begin ──▶ a reader's thread, without the interpreter: the disk's file or the store's; digest, check
                  │ done: a slice of the event loop (`slices.py`)
                  ▼
              small, of a native engine    room, a copy into the arena, done on the event loop
              any other                    the engine in a thread of `pool`; then the same

    load_now  all of it on the event loop, for a small model of an engine that only copies, whose file is in
              the kernel's page cache: sooner than anybody else is woken. Its caller bounds how many
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import TypeAlias, TypeVar, TypeVarTuple

from cell.engines import ArtifactRefused, Engine, Engines, Scorer
from cell.loading.diskcache import SMALL, DiskCache
from cell.loading.file_image import ABSENT, CORRUPT, READ, TOO_LARGE, Image
from cell.loading.file_reader import Reader
from cell.loading.loadtimes import DISK, STORE, LoadTimes
from cell.loading.slices import Slices
from cell.loading.sources import Folder, Source, Store
from cell.loading.storereads import Reading, StoreReads
from cell.memory.arena import Arena
from cell.residency.residency import ModelTooLarge
from croupier.artifacts.format import Artifact, InvalidArtifact, view
from croupier.errors import CroupierError, DataLoss, InternalError, Unavailable, to_keep
from croupier.recent import Times, Took
from croupier.telemetry.metrics import LoopHistogram

_BUCKETS = (
    *(0.0001, 0.0002, 0.0003, 0.0005, 0.0007, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05),
    *(0.1, 0.2, 0.5, 1.0, 5.0, 30.0),
)
_FETCH_SECONDS = LoopHistogram(
    "croupier_cell_fetch_seconds", "Time to fetch an artifact from the object store", _BUCKETS
).labels()
_BUILD_SECONDS = LoopHistogram(
    "croupier_cell_build_seconds", "Time of an engine to make an artifact ready", _BUCKETS
).labels()
_LOAD_SECONDS = LoopHistogram(
    "croupier_cell_load_seconds",
    "Time of a load from its turn until the model is ready, by where the artifact came from",
    _BUCKETS,
    ["source"],
)
_BY_SOURCE = {source: _LOAD_SECONDS.labels(source) for source in (DISK, STORE)}

# Bytes of tables that are described on the event loop.
_MOST_TABLES = 16 * 1024

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

# Makes room for so many bytes, or raises.
MakeRoom = Callable[[int], None]
# Is told what a load has come to.
Done: TypeAlias = Callable[[Scorer | Exception], None]


class Readers:
    """The threads that read for a loader, as callbacks in slices of the event loop.

    One reader for the disk and one for the store: a file server that hangs keeps nobody from the disk.
    """

    def __init__(self, disk: Reader, store: Reader, slices: Slices) -> None:
        self.disk = disk
        self.store = store
        self._slices = slices
        self._reading: dict[tuple[Reader, int], Callable[[Image], None]] = {}
        self._loop = asyncio.get_running_loop()
        for reader in (disk, store):
            self._loop.add_reader(reader.fileno(), self._take, reader)

    def read(self, reader: Reader, done: Callable[[Image], None], digest: bytes, **how: object) -> None:
        """As `Reader.submit`; `done` gets the image."""
        number = reader.submit(digest, **how)  # type: ignore[arg-type]
        self._reading[reader, number] = done

    async def close(self) -> None:
        """Read nothing more, and wait a moment for what is being read."""
        for reader in (self.disk, self.store):
            self._loop.remove_reader(reader.fileno())
            await asyncio.to_thread(reader.close)
        self._reading.clear()

    def _take(self, reader: Reader) -> None:
        for image in reader.take():
            self._slices.add(partial(self._reading.pop((reader, image.number)), image))


class Loader:
    """Loads artifacts of at most `most` bytes; engines that do more than copy work in threads of `pool`.

    `arena` is where native engines keep their models.
    """

    def __init__(
        self,
        source: Source,
        disk: DiskCache,
        engines: Engines,
        pool: Executor,
        readers: Readers,
        slices: Slices,
        *,
        arena: Arena | None = None,
        most: int = 2**62,
        fetch_timeout: float = 30.0,
    ) -> None:
        self.source = source
        self.disk = disk
        self.engines = engines
        self.readers = readers
        self.slices = slices
        self.most = most
        self.fetch_timeout = fetch_timeout
        self._pool = pool
        self._arena = arena
        self.times = LoadTimes()
        self._took = Times()
        self.store_reads = StoreReads()
        self._tasks: set[asyncio.Task[None]] = set()

    def expected_seconds(self, digest: bytes) -> float:
        """How long a load of `digest` takes once it is begun; 0 when nothing was measured."""
        return self.times.expected(STORE if self.disk.holds(digest) is False else DISK)

    def begin(
        self, digest: bytes, make_room: MakeRoom, done: Done, mark: Callable[[str], None]
    ) -> Callable[[], None]:
        """Load the model of `digest`; returns how to cancel that.

        `make_room` is called before memory is taken, and `mark` at the end of each step (`marks.py`).

        `done` is told later, in a slice, the scorer or one of:
            NotFound: the object store has no such artifact.
            DataLoss: what it has does not match the digest.
            Unavailable: it cannot be reached in time.
            FailedPrecondition: the artifact is refused, or no engine here loads it.
            And what `make_room` raises.
        """
        load = _Load(self, digest, make_room, done, mark)
        load.begin()
        return load.cancel

    def load_now(self, digest: bytes, make_room: MakeRoom) -> Scorer | None:
        """The model of `digest` if loading it waits for nothing; None says only that `begin` has to.

        Raises:
            FailedPrecondition: the artifact is refused, or no engine here loads it.
            And what `make_room` raises.
        """
        began = time.perf_counter()
        data = self.disk.read_cached(digest)
        if data is None:
            return None
        artifact, engine = self.described(data)
        if not engine.only_copies:
            return None
        make_room(engine.estimate(artifact))
        scorer = engine.load(artifact, digest)
        self.measured(DISK, began)
        return scorer

    def lately(self) -> tuple[Took, Reading]:
        """How long loads took that were done lately, and how the store does."""
        now = time.perf_counter()
        return self._took.told(now), self.store_reads.told(now)

    async def close(self) -> None:
        """Wait for what is under way in threads; nothing may be begun any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.readers.close()

    # For loads

    def described(self, data: bytes | Image) -> tuple[Artifact, Engine]:
        """Raises FailedPrecondition."""
        try:
            artifact = view(memoryview(data))
        except InvalidArtifact as error:
            raise ArtifactRefused(error.message) from error
        return artifact, self.engines.get(artifact.engine)

    def measured(self, source: str, began: float) -> None:
        now = time.perf_counter()
        seconds = now - began
        self.times.note(source, seconds)
        self._took.note(seconds, now)
        _BY_SOURCE[source].observe(seconds)

    def spawn(self, load: _Load, work: Callable[[], object]) -> asyncio.Task[None]:
        """Have `work`, a coroutine's function, done in a task, whose failure is the load's."""
        task = asyncio.create_task(load.run(work), name="load")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def make_ready(self) -> None:
        """Have the arena's next segment ready before a load needs it."""
        if self._arena is not None and (memory := self._arena.make_ready()) is not None:
            self.readers.disk.populate(*memory)

    async def in_thread(self, function: Callable[[*Ts], T], *arguments: *Ts) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)


class _Load:
    """One load on its way: the disk, then the store, then the engine."""

    def __init__(
        self, loader: Loader, digest: bytes, make_room: MakeRoom, done: Done, mark: Callable[[str], None]
    ) -> None:
        self._loader = loader
        self._digest = digest
        self._make_room = make_room
        self._done = done
        self._mark = mark
        self._began = time.perf_counter()
        self._source = DISK
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_over = False

    def begin(self) -> None:
        disk = self._loader.disk
        if disk.holds(self._digest) is False:
            self._from_store()
        else:
            self._read(
                self._loader.readers.disk,
                self._read_from_disk,
                path=disk.path_of(self._digest),
                drops_corrupt=True,
            )

    def cancel(self) -> None:
        """`done` is not told any more."""
        self._loader.store_reads.forget(self)
        self._end()
        if self._task is not None:
            self._task.cancel()

    async def run(self, work: Callable[[], object]) -> None:
        """Do `work`; its failure is this load's."""
        try:
            await work()  # type: ignore[misc]
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 (it is told to whoever waits)
            self._loader.slices.add(partial(self._finish, to_keep(error)))

    def _read(self, reader: Reader, done: Callable[[Image], None], **how: object) -> None:
        def go_on(image: Image) -> None:
            if not self._is_over:
                try:
                    done(image)
                except Exception as error:  # noqa: BLE001 (it is told to whoever waits)
                    self._finish(to_keep(error))

        self._loader.readers.read(reader, go_on, self._digest, most=self._loader.most, **how)

    def _read_from_disk(self, image: Image) -> None:
        disk = self._loader.disk
        self._mark("disk")
        if image.outcome == READ:
            disk.found(self._digest, image.size)
            self._build(image)
            return
        if image.outcome == CORRUPT:
            disk.corrupt(self._digest)
        elif image.outcome != ABSENT:
            disk.unreadable(image.error if image.outcome != TOO_LARGE else OSError("it is too large"))
        disk.lost(self._digest)
        self._from_store()

    def _from_store(self) -> None:
        loader = self._loader
        self._source = STORE
        loader.store_reads.begin(self, time.perf_counter())
        self._timer = asyncio.get_running_loop().call_later(loader.fetch_timeout, self._give_up)
        source = loader.source
        if isinstance(source, Folder):
            self._read_what_store_has(path=source.path(self._digest))
        else:
            self._task = loader.spawn(self, partial(self._fetch, source))

    async def _fetch(self, store: Store) -> None:
        self._read_what_store_has(file=await store.fetch(self._digest))

    def _read_what_store_has(self, **where: object) -> None:
        keep, part = self._loader.disk.keeping(self._digest)
        self._read(
            self._loader.readers.store,
            self._read_from_store,
            **where,
            keep=keep,
            part=part,
            keep_most=self._loader.disk.bound,
        )

    def _give_up(self) -> None:
        self._finish(Unavailable("the object store does not answer", reason="STORE_TIMEOUT"))
        if self._task is not None:
            self._task.cancel()

    def _read_from_store(self, image: Image) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._mark("store")
        now = time.perf_counter()
        _FETCH_SECONDS.observe(now - self._began)
        name = self._digest.hex()
        if image.outcome == CORRUPT:
            raise DataLoss(f"the store holds {image.size} other bytes under artifact {name}", artifact=name)
        if image.outcome != READ and image.outcome != TOO_LARGE:
            raise self._loader.source.failure(image.error, self._digest)
        self._loader.store_reads.end(self, now)
        if image.is_kept:
            self._loader.disk.kept(self._digest, image.size)
        elif image.keep_error is not None:
            self._loader.disk.not_kept(image.keep_error)
        self._build(image)

    def _build(self, image: Image) -> None:
        if image.outcome == TOO_LARGE:
            raise ModelTooLarge(f"the model's file has {image.size} bytes and this cell {self._loader.most}")
        if image.size > SMALL or image.tables_size > _MOST_TABLES:
            self._task = self._loader.spawn(self, partial(self._build_in_thread, image))
            return
        artifact, engine = self._loader.described(image)
        if not engine.only_copies:
            self._task = self._loader.spawn(self, partial(self._build_in_thread, image))
            return
        self._mark("check")
        began = time.perf_counter()
        self._make_room(engine.estimate(artifact))
        scorer = engine.load(artifact, self._digest)
        _BUILD_SECONDS.observe(time.perf_counter() - began)
        self._mark("build")
        self._finish(scorer)

    async def _build_in_thread(self, image: Image) -> None:
        artifact, engine, room = await self._loader.in_thread(self._check, image)
        self._mark("check")
        self._make_room(room)
        began = time.perf_counter()
        building = asyncio.ensure_future(self._loader.in_thread(engine.load, artifact, self._digest))
        try:
            scorer = await asyncio.shield(building)
        except asyncio.CancelledError:
            building.add_done_callback(_close)
            raise
        _BUILD_SECONDS.observe(time.perf_counter() - began)
        self._mark("build")
        self._loader.slices.add(partial(self._finish, scorer))

    def _check(self, image: Image) -> tuple[Artifact, Engine, int]:
        artifact, engine = self._loader.described(image)
        return artifact, engine, engine.estimate(artifact)

    def _finish(self, result: Scorer | Exception) -> None:
        if self._is_over:
            if not isinstance(result, Exception):
                result.close()
            return
        self._end()
        if isinstance(result, Exception):
            # Of what was read already, that is another matter.
            reason = result.reason if isinstance(result, CroupierError) else InternalError.reason
            self._loader.store_reads.end(self, time.perf_counter(), reason)
        else:
            self._loader.measured(self._source, self._began)
            self._loader.make_ready()
        self._done(result)

    def _end(self) -> None:
        self._is_over = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _close(building: asyncio.Future[Scorer]) -> None:
    """A model that nobody waits for any more when its engine is done."""
    if not building.cancelled() and building.exception() is None:
        building.result().close()
