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
from contextlib import AsyncExitStack, suppress
from types import MappingProxyType

from cell.codec.fence import Fence
from cell.crash import slots
from cell.crash.journal import Journal
from cell.debug import Beliefs
from cell.engines import Engine
from cell.engines.every import engines
from cell.loading.diskcache import DiskCache
from cell.loading.fetching import FetchProcess
from cell.loading.file_reader import Reader
from cell.loading.gate import Gate
from cell.loading.host import Host
from cell.loading.hotset import HotSet
from cell.loading.loader import Loader, Readers
from cell.loading.slices import Slices
from cell.loading.sources import Folder, Source
from cell.loading.warmer import Warmer
from cell.memory.arena import Arena
from cell.memory.capacity import FRACTION
from cell.memory.keeper import Measure, MemoryKeeper, resident_bytes
from cell.register import Endpoint, Registration
from cell.residency.policies import POLICIES
from cell.residency.residency import Residency
from cell.scoring.batcher import Batcher
from cell.scoring.hot import HotPath
from cell.scoring.pipeline import Pipeline
from cell.server import INFER_PATH, Handlers
from cell.settings import CellSettings
from cell.warm import WarmHandlers
from cell.work import Work
from croupier.access import CELL, Access
from croupier.lifecycle import Lifecycle, run
from croupier.priority import step_back, take_long_slices, take_short_slices
from croupier.settings import load as load_settings
from croupier.stores.objects import local_folder
from croupier.telemetry import logs, metrics, page, stalls
from croupier.telemetry.admin import Admin, View
from croupier.telemetry.export import exporting
from croupier.telemetry.traces import Tracer
from croupier.transport.http2.limits import Limits
from croupier.transport.net.turns import turns_of
from croupier.transport.serving import Server

PROGRAM = "croupier-cell"

_log = logging.getLogger(__name__)
_STALLS = metrics.LoopHistogram(
    "croupier_cell_loop_stall_seconds",
    "Stalls of the event loop of a millisecond or more, by what they were",
    stalls.BUCKETS,
    ["kind"],
)


class Cell:
    """The parts of a cell, built and closed in order.

    `start` first; then `address` is where it serves. `stop` drains. `engines` are further ones, by the name
    that artifacts give.
    """

    def __init__(
        self, settings: CellSettings, life: Lifecycle, engines: Mapping[str, Engine] = MappingProxyType({})
    ) -> None:
        self._settings = settings
        self._life = life
        self._engines = engines
        self._stack = AsyncExitStack()
        self._registration: Registration | None = None
        self._membership: asyncio.Task[None] | None = None
        self._hot_set: HotSet
        self._fence = Fence()
        self._is_draining = False
        # Routers are the callers, and cancel what they have hedged or given up: many resets are no attack.
        limits = Limits(reset_burst=100_000, reset_rate=100_000)
        self._server = Server(limits=limits, tls=settings.server_tls, access=Access(CELL, settings.roles))
        self.address = ""
        # Filled by `start`.
        self.debug: dict[str, View] = {}

    def why_not_ready(self) -> str:
        """Why routers should not ask this cell; empty if they may."""
        if self._is_draining:
            return "it drains"
        if not self.address:
            return "it is starting"
        if self._settings.manager and not (self._registration and self._registration.is_registered):
            return "no version manager has it registered"
        # Whoever restarts cells one after another waits for this.
        if self._registration is not None and self._registration.is_warming:
            return "it loads what was hot"
        return ""

    async def start(self) -> None:
        """Build everything and serve.

        Raises:
            CroupierError, OSError: a setting or a folder that cannot be used.
        """
        settings = self._settings
        settings.check()
        tracer = await exporting(settings, PROGRAM, self._stack)
        journal = Journal.open(settings.folder, time.time)
        self._stack.callback(journal.close)
        slots.watch(settings.run_seconds + settings.hang_seconds, settings.load_hang_seconds)
        slices = Slices(time.perf_counter, turns_of(asyncio.get_running_loop()).wait)
        disk = await DiskCache.open(settings.folder, settings.cache_bytes)
        self._stack.push_async_callback(disk.close)
        host, loader, keeper = await self._build_host(journal, disk, slices)
        self._hot_set = HotSet(settings.folder, host, disk)
        self._stack.push_async_callback(self._hot_set.close)
        batcher = self._build_batcher()
        self.debug |= Beliefs(host, journal.quarantine, batcher, keeper, self._fence).views
        services = self._register_services(host, batcher, slices, tracer)
        # Closed in the opposite order: the cell stays registered until its last request has ended.
        self._stack.push_async_callback(self._leave)
        self.address = await self._server.start(settings.listen, services)
        self._stack.push_async_callback(self._server.stop, settings.grace_seconds)
        if settings.manager:
            endpoint = Endpoint(
                settings.id, settings.zone, settings.advertised(self.address), settings.weight
            )
            work = Work(host, loader, batcher)
            self._membership = self._life.spawn(self._belong(endpoint, host, journal, work), "registration")
        self._hot_set.start()

    async def stop(self) -> None:
        """Have others load what is hot here, say that this cell drains, end what runs, close the parts."""
        wait = self._settings.drain_seconds
        if self._registration is not None:
            await self._registration.leave(self._settings.handover_seconds)
            self._is_draining = True
            if await self._registration.drain(wait):
                await asyncio.sleep(wait)
        await self._stack.aclose()

    async def _build_host(
        self, journal: Journal, disk: DiskCache, slices: Slices
    ) -> tuple[Host, Loader, MemoryKeeper]:
        settings = self._settings
        measure = Measure.of(settings.memory_limit_bytes)
        capacity = settings.capacity_bytes or int(measure.limit * FRACTION)
        arena = Arena(capacity)
        keeper = MemoryKeeper(measure, capacity, arena, base=resident_bytes())
        loader = await self._build_loader(disk, slices, arena, capacity)

        def check_loadable(digest: bytes) -> None:
            journal.quarantine.refuse(digest)
            keeper.check()

        host = Host(
            Residency(capacity, POLICIES[settings.eviction_policy](), guard=settings.churn_guard),
            loader,
            clock=time.monotonic,
            rng=random.Random(os.urandom(16)),  # noqa: S311 (jitter)
            slots=settings.load_slots,
            max_waiting=settings.max_loads,
            refusal_seconds=settings.refusal_seconds,
            check_loadable=check_loadable,
        )
        self._stack.push_async_callback(host.close)
        self._life.spawn(keeper.run(host), "memory")
        return host, loader, keeper

    async def _build_loader(self, disk: DiskCache, slices: Slices, arena: Arena, most: int) -> Loader:
        settings = self._settings
        threads = settings.load_threads
        source = await self._open_source()
        gate = Gate()
        loader = Loader(
            source,
            disk,
            engines(arena, self._engines),
            self._threads(threads, "build", initializer=step_back),
            Readers(Reader(gate, threads), Reader(gate, threads), slices),
            slices,
            arena=arena,
            most=most,
            fetch_timeout=settings.fetch_seconds,
        )
        self._stack.push_async_callback(loader.close)
        return loader

    def _register_services(
        self, host: Host, batcher: Batcher, slices: Slices, tracer: Tracer | None
    ) -> list[str]:
        """Have the server serve; the names of what it serves."""
        settings = self._settings
        pipeline = Pipeline(
            host, batcher, max_rows=settings.max_rows, clock=time.monotonic, fence=self._fence
        )
        hot_path = HotPath(
            host,
            infer_path=INFER_PATH,
            max_rows=settings.max_rows,
            clock=time.monotonic,
            fence=self._fence,
        )
        handlers = Handlers(
            pipeline,
            hot_path,
            host,
            slices,
            lambda: not self._is_draining,
            clock=time.perf_counter,
            tracer=tracer,
            is_late=batcher.is_late,
        )
        warmer = Warmer(host)
        self._stack.push_async_callback(warmer.close)
        return [*handlers.add_to(self._server), *WarmHandlers(host, warmer, tracer).add_to(self._server)]

    def _build_batcher(self) -> Batcher:
        settings = self._settings
        batcher = Batcher(
            # As many again for long runs.
            self._threads(2 * settings.score_threads, "score", initializer=take_long_slices),
            workers=settings.score_threads,
            max_rows=settings.max_rows,
            max_queued_rows=settings.max_queued_rows,
            max_queued_bytes=settings.max_queued_bytes,
            most_seconds=settings.run_seconds,
            target_seconds=settings.batch_target_seconds,
            clock=time.monotonic,
        )
        self._stack.push_async_callback(batcher.close)
        return batcher

    async def _open_source(self) -> Source:
        url = self._settings.store_url
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

    async def _belong(self, endpoint: Endpoint, host: Host, journal: Journal, work: Work) -> None:
        """Be registered, until cancelled."""
        settings = self._settings
        # In a thread, for importing grpcio takes long, and nobody waits for this.
        await asyncio.to_thread(importlib.import_module, "croupier.grpcio.manager")
        from croupier.grpcio.channels import credentials
        from croupier.grpcio.manager import VersionManagerClient
        from croupier.grpcio.part import OwnPart

        tls = settings.peer_tls
        channel = credentials(tls.ca, tls.certificate, tls.key) if tls else None
        async with AsyncExitStack() as clients:
            managers = [
                await clients.enter_async_context(VersionManagerClient(target, channel))
                for target in settings.manager
            ]
            self._registration = Registration(
                managers,
                endpoint,
                host.report,
                quarantine=journal.quarantine,
                lift=journal.lift,
                rng=random.Random(os.urandom(16)),  # noqa: S311 (jitter)
                part=OwnPart(settings, read_once=("peer_ca", "peer_certificate")).told,
                work=work.told,
                fence=self._fence,
                is_warming=not self._hot_set.is_empty(),
            )
            async with asyncio.TaskGroup() as group:
                group.create_task(self._registration.run())
                group.create_task(self._warm_up(self._registration))

    async def _warm_up(self, registration: Registration) -> None:
        """Be asked first once what was hot is back, and what others held for this cell; or in any case."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.warming_seconds):
                await self._hot_set.restored()
                await registration.handed_over()
        registration.activate()

    async def _leave(self) -> None:
        if self._membership is not None:
            self._membership.cancel()
            await asyncio.wait([self._membership])


def _spare_collections() -> None:
    """Keep the garbage collector away from what was imported, from models, and from requests.

    No request is answered meanwhile. Models bring no object that it knows of, so that young objects are few
    and old ones fewer: a look at so many is short. Nothing is collected here,
    for imports leave little to find.
    """
    gc.freeze()
    gc.set_threshold(2_000, 50, 100)


async def serve(
    settings: CellSettings, life: Lifecycle, engines: Mapping[str, Engine] = MappingProxyType({})
) -> None:
    """Run one cell, with further `engines`, until the process is to stop."""
    take_short_slices()
    admin = Admin()
    page.serve(settings.metrics_listen, admin)
    cell = Cell(settings, life, engines)
    recorder = stalls.Stalls(_STALLS.labels)
    cell.debug |= recorder.views
    admin.debug, admin.ready = cell.debug, cell.why_not_ready
    recorder.start()
    try:
        await cell.start()
        _spare_collections()
        life.ready(f"{PROGRAM} {settings.id} on {cell.address}")
        await life.stopped()
    finally:
        await cell.stop()
        recorder.close()


def main() -> int:
    """The program `croupier-cell`."""
    settings = load_settings(CellSettings, PROGRAM)
    logs.configure(PROGRAM, settings.log_level, settings.log_format)
    return run(lambda life: serve(settings, life))


if __name__ == "__main__":
    sys.exit(main())
