"""The cell's process: builds the parts, serves, drains.

On SIGTERM the cell says that it drains, keeps serving for `drain_seconds` while the routers hear of
it, lets running requests end, and leaves the registry. Training libraries and the S3 client are
not imported here; ONNX Runtime is with the first artifact that needs it, and grpcio, in a thread, once the
cell serves. So a cell starts in the time that the interpreter and NumPy take.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import os
import random
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from cell.crash import slots as lane
from cell.crash.journal import Journal
from cell.engines import Engine, Engines, packed
from cell.engines.late import LateEngine
from cell.loading.diskcache import DiskCache
from cell.loading.fetching import FetchProcess
from cell.loading.file_reader import Reader
from cell.loading.gate import Gate
from cell.loading.host import Host
from cell.loading.hotset import HotSet
from cell.loading.loader import Loader, Readers
from cell.loading.priority import step_back, take_short_slices
from cell.loading.slices import Slices
from cell.loading.sources import Folder, Source
from cell.memory.arena import Arena
from cell.memory.capacity import FRACTION
from cell.memory.keeper import Measure, MemoryKeeper, resident_bytes
from cell.register import Identity, Registration
from cell.residency.policies import POLICIES
from cell.residency.residency import Residency
from cell.scoring.batcher import Batcher
from cell.scoring.hot import Ticks
from cell.scoring.pipeline import Pipeline
from cell.server import INFER_PATH, Handlers
from cell.warm import Warmer, WarmHandlers
from croupier import settings
from croupier.access import CELL, Access
from croupier.lifecycle import Lifecycle, run
from croupier.names import check_name
from croupier.settings import InvalidSettings, PeerSettings, ServerSettings, option
from croupier.stores.objects import local_folder
from croupier.telemetry import logs, metrics
from croupier.transport.http2.limits import Limits
from croupier.transport.net.turns import turns_of
from croupier.transport.server import Server

PROGRAM = "croupier-cell"

_log = logging.getLogger(__name__)

_MIB = 2**20
_GIB = 2**30
_ONNX = "onnx"


@dataclass(frozen=True, kw_only=True)
class CellSettings(ServerSettings, PeerSettings):
    """What a cell can be told."""

    id: str = option("cell-0", "this cell's name; it keeps its place in every hand by it")
    zone: str = option("zone-0", "what fails together with this cell")
    weight: float = option(1.0, "its share of tenants against other cells")
    store: str = option(
        "", "object store: file:///folder or s3://bucket/prefix?endpoint=...; empty for the local stack's"
    )
    cache_dir: Path | None = option(
        None, "folder for artifacts, this cell's alone; one in the local stack if unset"
    )
    cache_bytes: int = option(10 * _GIB, "how much of the disk they may take")
    capacity_bytes: int = option(0, "memory for models; 0 for a part of what this process may use")
    memory_limit_bytes: int = option(
        0, "what this process may use; 0 for its control group's or the machine's"
    )
    eviction_policy: str = option("s3-fifo", "which model goes when another needs its room", tuple(POLICIES))
    churn_guard: float = option(
        10.0, "times a load's duration that models are safe from it after a use; 0 for not at all"
    )
    manager: tuple[str, ...] = option(
        ("127.0.0.1:8400",),
        "version managers: host:port[,host:port...]; empty to stay unregistered",
    )
    advertise: str = option("", "host:port at which routers reach this cell; empty for the bound one")
    score_threads: int = option(2, "scoring calls at a time")
    load_slots: int = option(16, "models loading at a time")
    load_threads: int = option(2, "threads that read and build models, at a lower priority than requests")
    max_loads: int = option(16_384, "requests that may wait for models; more are refused")
    max_rows: int = option(1024, "rows or items of one request, and rows of one scoring call")
    max_queued_rows: int = option(65_536, "rows waiting to be scored; more are refused")
    max_queued_bytes: int = option(128 * _MIB, "what waits to be scored, and its answers; more is refused")
    run_seconds: float = option(10.0, "how long one run of a model may take; it is stopped then")
    hang_seconds: float = option(
        5.0, "what a run that is stopped may take to end; then this process ends, and the model is refused"
    )
    load_hang_seconds: float = option(
        60.0, "the same for an engine that loads a model; 0 for as long as it takes"
    )
    batch_target_seconds: float = option(0.02, "what one call of an expensive model may take; sizes follow")
    fetch_seconds: float = option(30.0, "how long the object store may take for an artifact")
    refusal_seconds: float = option(
        900.0, "how long a model that its engine refused is refused at once; half as long for one in use"
    )
    supervise: bool = option(True, "have a parent process that starts this cell again when it crashes")
    drain_seconds: float = option(1.0, "how long to keep serving after saying that this cell drains")
    grace_seconds: float = option(10.0, "how long running requests may take at the end")

    def advertised(self, bound: str) -> str:
        """The address that routers are told, of a cell that is bound to `bound`.

        Raises:
            InvalidSettings: `bound` is every address of this machine, which is none to connect to.
        """
        address = self.advertise or bound
        if address.rpartition(":")[0] in {"", "0.0.0.0", "[::]"}:  # noqa: S104 (refused)
            raise InvalidSettings(
                f"routers cannot connect to {address}: --advertise says where they reach this cell"
            )
        return address

    @property
    def folder(self) -> Path:
        return self.cache_dir or settings.home() / "cache" / self.id

    @property
    def store_url(self) -> str:
        return self.store or f"file://{settings.home() / 'objects'}"

    def check(self) -> None:
        """Raises InvalidName or InvalidSettings, saying which setting is wrong."""
        check_name(self.id, "--id")
        check_name(self.zone, "--zone")
        for name in (
            "weight",
            "score_threads",
            "load_slots",
            "load_threads",
            "max_loads",
            "max_rows",
            "max_queued_rows",
            "max_queued_bytes",
            "run_seconds",
            "hang_seconds",
            "batch_target_seconds",
        ):
            if not getattr(self, name) > 0:
                raise InvalidSettings(f"--{name.replace('_', '-')} must be above 0")
        for name in (
            "capacity_bytes",
            "memory_limit_bytes",
            "cache_bytes",
            "churn_guard",
            "load_hang_seconds",
        ):
            if not getattr(self, name) >= 0:
                raise InvalidSettings(f"--{name.replace('_', '-')} cannot be below 0")
        self.check_exposure()


class Cell:
    """The parts of a cell, built and closed in order.

    `start` first; then `address` is where it serves. `stop` drains. `engines` are further ones, by the name
    that artifacts give.
    """

    def __init__(
        self, told: CellSettings, life: Lifecycle, engines: Mapping[str, Engine] = MappingProxyType({})
    ) -> None:
        self._told = told
        self._life = life
        self._engines = engines
        self._stack = AsyncExitStack()
        self._registration: Registration | None = None
        self._membership: asyncio.Task[None] | None = None
        self._hot_set: HotSet
        self._slices: Slices
        self._is_draining = False
        # Routers are the callers, and cancel what they have hedged or given up: many resets are no attack.
        limits = Limits(reset_burst=100_000, reset_rate=100_000)
        self._server = Server(limits=limits, tls=told.server_tls, access=Access(CELL, told.roles))
        self.address = ""

    async def start(self) -> None:
        """Build everything and serve.

        Raises:
            CroupierError, OSError: a setting or a folder that cannot be used.
        """
        told = self._told
        told.check()
        journal = Journal.open(told.folder, time.time)
        self._stack.callback(journal.close)
        lane.watch(told.run_seconds + told.hang_seconds, told.load_hang_seconds)
        host = await self._build_host(journal)
        batcher = Batcher(
            # As many again for long runs.
            self._threads(2 * told.score_threads, "score"),
            workers=told.score_threads,
            max_rows=told.max_rows,
            max_queued_rows=told.max_queued_rows,
            max_queued_bytes=told.max_queued_bytes,
            most_seconds=told.run_seconds,
            target_seconds=told.batch_target_seconds,
            clock=time.monotonic,
        )
        self._stack.push_async_callback(batcher.close)
        pipeline = Pipeline(host, batcher, max_rows=told.max_rows, clock=time.monotonic)
        ticks = Ticks(host, infer_path=INFER_PATH, max_rows=told.max_rows, clock=time.monotonic)
        handlers = Handlers(
            pipeline, ticks, host, self._slices, lambda: not self._is_draining, clock=time.perf_counter
        )
        services = handlers.add_to(self._server)
        warmer = Warmer(host)
        self._stack.push_async_callback(warmer.close)
        services += WarmHandlers(host, warmer).add_to(self._server)
        # Closed in the opposite order: the cell stays registered until its last request has ended.
        self._stack.push_async_callback(self._leave)
        self.address = await self._server.start(told.listen, services)
        self._stack.push_async_callback(self._server.stop, told.grace_seconds)
        if told.manager:
            identity = Identity(told.id, told.zone, told.advertised(self.address), told.weight)
            self._membership = self._life.spawn(self._belong(identity, host, journal), "registration")
        self._hot_set.start()

    async def stop(self) -> None:
        """Say that this cell drains, let the routers hear it, end what runs, close the parts."""
        self._is_draining = True
        wait = self._told.drain_seconds
        if self._registration is not None and await self._registration.drain(wait):
            await asyncio.sleep(wait)
        await self._stack.aclose()

    async def _build_host(self, journal: Journal) -> Host:
        told = self._told
        turns = turns_of(asyncio.get_running_loop())
        self._slices = Slices(time.perf_counter, turns.wait)
        source = await self._open_source()
        disk = await DiskCache.open(told.folder, told.cache_bytes)
        self._stack.push_async_callback(disk.close)
        measure = Measure.of(told.memory_limit_bytes)
        capacity = told.capacity_bytes or int(measure.limit * FRACTION)
        arena = Arena(capacity)
        keeper = MemoryKeeper(measure, capacity, arena, base=resident_bytes())
        engines = Engines(
            {
                _ONNX: LateEngine(_onnx),
                packed.FOREST: packed.PackedEngine(packed.FOREST, arena),
                packed.LINEAR: packed.PackedEngine(packed.LINEAR, arena),
                **self._engines,
            }
        )

        def refuse(digest: bytes) -> None:
            journal.quarantine.refuse(digest)
            keeper.check()

        gate, threads = Gate(), told.load_threads
        readers = Readers(Reader(gate, threads), Reader(gate, threads), self._slices)
        loader = Loader(
            source,
            disk,
            engines,
            self._threads(threads, "build", initializer=step_back),
            readers,
            self._slices,
            arena=arena,
            most=capacity,
            fetch_timeout=told.fetch_seconds,
        )
        self._stack.push_async_callback(loader.close)
        host = Host(
            Residency(capacity, POLICIES[told.eviction_policy](), guard=told.churn_guard),
            loader,
            clock=time.monotonic,
            rng=random.Random(os.urandom(16)),  # noqa: S311 (jitter)
            slots=told.load_slots,
            max_waiting=told.max_loads,
            refusal_seconds=told.refusal_seconds,
            refuse=refuse,
        )
        self._stack.push_async_callback(host.close)
        self._hot_set = HotSet(told.folder, host, disk)
        self._stack.push_async_callback(self._hot_set.close)
        self._life.spawn(keeper.run(host), "memory")
        return host

    async def _open_source(self) -> Source:
        url = self._told.store_url
        folder = local_folder(url)
        if folder is not None:
            # Not made here: a file system that is not mounted has lost nothing.
            if not await asyncio.to_thread(folder.is_dir):
                _log.warning("the object store's folder %s is not there", folder)
            return Folder(folder)
        process = FetchProcess(url, time.monotonic)
        self._stack.push_async_callback(process.close)
        await process.start()
        return process

    def _threads(self, count: int, name: str, *, initializer: Callable[[], None] | None = None) -> Executor:
        return self._stack.enter_context(
            ThreadPoolExecutor(count, thread_name_prefix=name, initializer=initializer)
        )

    async def _belong(self, identity: Identity, host: Host, journal: Journal) -> None:
        """Be registered, until cancelled."""
        told = self._told
        # In a thread, for importing grpcio takes long, and nobody waits for this.
        await asyncio.to_thread(importlib.import_module, "croupier.grpcio.manager")
        from croupier.grpcio.channels import credentials
        from croupier.grpcio.manager import VersionManagerClient

        tls = told.peer_tls
        channel = credentials(tls.ca, tls.certificate, tls.key) if tls else None
        async with AsyncExitStack() as clients:
            managers = [
                await clients.enter_async_context(VersionManagerClient(target, channel))
                for target in told.manager
            ]
            self._registration = Registration(
                managers,
                identity,
                host.load,
                quarantine=journal.quarantine,
                lift=journal.lift,
                rng=random.Random(os.urandom(16)),  # noqa: S311 (jitter)
            )
            await self._registration.run()

    async def _leave(self) -> None:
        if self._membership is not None:
            self._membership.cancel()
            await asyncio.wait([self._membership])


def _onnx() -> Engine:
    # ONNX Runtime takes long to import.
    from cell.engines.onnx import OnnxEngine

    return OnnxEngine()


def _spare_collections() -> None:
    """Keep the garbage collector away from what was imported, from models, and from requests.

    No request is answered meanwhile. Models bring no object that it knows of, so that young objects are few
    and old ones fewer: a look at so many is short. Nothing is collected here,
    for imports leave little to find.
    """
    gc.freeze()
    gc.set_threshold(2_000, 50, 100)


async def serve(
    told: CellSettings, life: Lifecycle, engines: Mapping[str, Engine] = MappingProxyType({})
) -> None:
    """Run one cell, with further `engines`, until the process is told to stop."""
    take_short_slices()
    metrics.serve(told.metrics_listen)
    cell = Cell(told, life, engines)
    try:
        await cell.start()
        _spare_collections()
        life.ready(f"{PROGRAM} {told.id} on {cell.address}")
        await life.stopped()
    finally:
        await cell.stop()


def main() -> int:
    """The program `croupier-cell`."""
    told = settings.load(CellSettings, PROGRAM)
    logs.configure(PROGRAM, told.log_level)
    return run(lambda life: serve(told, life))


if __name__ == "__main__":
    sys.exit(main())
