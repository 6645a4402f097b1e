"""The version manager's process: builds the parts, serves, stops.

It serves once it has a map, so it waits for etcd at the start. At the stop it leaves the cells'
records to their leases: see `registry`.
"""

from __future__ import annotations

import asyncio
import gc
import random
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any

from croupier import malloc
from croupier.access import VERSION_MANAGER, Access
from croupier.grpcio.part import OwnPart
from croupier.grpcio.server import Server
from croupier.lifecycle import Lifecycle, run
from croupier.roles import Role
from croupier.settings import load
from croupier.stores.etcd import Etcd
from croupier.stores.objects import ManyObjects, open_store
from croupier.telemetry import logs, page
from croupier.telemetry.admin import Admin, View
from croupier.telemetry.export import exporting
from croupier.transport.client import Channel
from version_manager.cells.handover import Handover
from version_manager.cells.pinning import Pinning
from version_manager.cells.registry import Registry
from version_manager.cells.usage import Usage
from version_manager.cells.warming import Warming
from version_manager.debug import Beliefs
from version_manager.dividing import Dividing
from version_manager.feed import Feed
from version_manager.fits import Fits
from version_manager.handovers import Handovers
from version_manager.map import snapshot
from version_manager.map.announcements import Announcements
from version_manager.map.audit import Audit
from version_manager.map.keys import Keys
from version_manager.map.mirror import Mirror
from version_manager.model.fleet import Cell
from version_manager.planning.planner import Planner
from version_manager.ramper import Ramper
from version_manager.rates import Rates
from version_manager.routers import Routers
from version_manager.server import SERVICE, Parts, VersionManagerService, add_to
from version_manager.settings import ManagerSettings
from version_manager.shares import Shares
from version_manager.status import Probe, Statuses
from version_manager.tenant_status import TenantStatuses
from version_manager.uploads import UploadLimits
from version_manager.writes.bulk import BulkPublisher
from version_manager.writes.families import FamilyRecords
from version_manager.writes.limits import LimitRecords
from version_manager.writes.publisher import Publisher
from version_manager.writes.ramping import Ramping
from version_manager.writes.releases import Releases
from version_manager.writes.repair import Repairs
from version_manager.writes.shards import Shards
from version_manager.writes.stored_models import StoredModels
from version_manager.writes.tenants import Tenants
from version_manager.writes.thawing import Thawing
from version_manager.writes.writer import Writer

PROGRAM = "croupier-version-manager"


class VersionManager:
    """The parts of a version manager, built and closed in order.

    `start` first; then `address` is where it serves. The clock is the system's: entries of the
    audit and versions carry its time. `on_loaded` is called once there is a map, before anybody is served.
    """

    def __init__(
        self, settings: ManagerSettings, life: Lifecycle, *, on_loaded: Callable[[], None] = lambda: None
    ) -> None:
        self._settings = settings
        self._life = life
        self._on_loaded = on_loaded
        self._stack = AsyncExitStack()
        self._server = Server(access=Access(VERSION_MANAGER, settings.roles))
        self.address = ""
        # Filled by `start`.
        self.debug: dict[str, View] = {}

    async def start(self) -> bool:
        """Build everything, wait for the map, serve; False if told to stop before there is a map.

        Raises:
            CroupierError, OSError: a setting that cannot be used.
        """
        settings = self._settings
        settings.check()
        self._server.tracer = await exporting(settings, PROGRAM, self._stack)
        keys = Keys(settings.prefix)
        store = await self._stack.enter_async_context(open_store(settings.store_url))
        etcd = Etcd(settings.etcd_config)
        registry = Registry(etcd, keys, lease_seconds=settings.lease_seconds)
        # Closed after etcd's client, so that no session can revoke its lease.
        self._stack.push_async_callback(registry.close)
        await self._stack.enter_async_context(etcd)
        mirror = Mirror(etcd, keys, history=settings.history)
        announcements = Announcements(mirror)
        self.debug |= Beliefs(mirror, announcements).views
        if not await self._follow(mirror, keys):
            return False
        self._on_loaded()
        self._spawn(registry.follow(mirror), "registry")
        self._spawn(announcements.keep(etcd, keys, settings.lease_seconds), "announcements")
        await self._serve(self._parts(etcd, store, keys, mirror, registry, announcements))
        self._stack.callback(registry.stop)
        return True

    def _parts(
        self,
        etcd: Etcd,
        store: ManyObjects,
        keys: Keys,
        mirror: Mirror,
        registry: Registry,
        announcements: Announcements,
    ) -> Parts:
        """What the service delegates to; what it does unasked is spawned."""
        settings = self._settings
        tls = settings.peer_tls

        def open_channel(cell: Cell) -> Channel:
            return Channel(cell.address, tls=tls, check_peer=settings.roles.expect(Role.CELL, cell.id))

        writer = Writer(etcd, mirror, keys, announcements.understood)
        audit = Audit(keys, time.time_ns, random.Random())  # noqa: S311
        self._spawn(mirror.outside.keep(etcd, audit), "outside")
        self._spawn(mirror.edits.keep(etcd, audit, time.time_ns), "edits")
        warming = Warming(mirror, open_channel, settings.warm_seconds)
        self._spawn(Pinning(mirror, keys, open_channel, time.monotonic).run(), "pinning")
        shards = Shards(etcd, mirror, writer, keys, audit)
        self._spawn(shards.keep_seed(), "seed")
        models = StoredModels(etcd, mirror, keys)
        releases = Releases(models, writer, keys, audit, clock=time.time, warm=warming.warm)
        routers = Routers(mirror)
        probe = Probe(etcd)
        self._stack.push_async_callback(probe.close)
        shares = Shares(lambda: mirror.map.limits)
        rates = Rates(shares=shares)
        planner = Planner(mirror, shards, rates, registry)
        self._stack.callback(planner.close)
        ramping = Ramping(etcd, mirror, writer, keys, audit)
        handover = Handover(mirror, registry, open_channel, settings.handover_seconds)
        handovers = Handovers(mirror, registry, handover, rates)
        self._spawn(handovers.run(), "handovers")
        ramper = Ramper(
            *(mirror, keys, ramping, registry, rates),
            settings.ramp_bounds,
            settings.ramp_settle_seconds,
            handovers,
        )
        self._spawn(ramper.run(), "ramper")
        part = OwnPart(settings, read_once=("etcd_ca", "etcd_certificate"))
        publisher = Publisher(
            *(models, releases, store, mirror, writer, keys, audit),
            clock=time.time_ns,
            demands_comparison=settings.demand_comparison,
        )
        return Parts(
            mirror=mirror,
            publisher=publisher,
            bulk=BulkPublisher(models, publisher, releases, store, mirror, writer, keys, audit),
            releases=releases,
            shards=shards,
            ramping=ramping,
            thawing=Thawing(etcd, mirror, keys, audit, clock=time.time_ns),
            repairs=Repairs(mirror, writer, keys, audit),
            tenants=Tenants(etcd, mirror, writer, keys, audit),
            limits=LimitRecords(etcd, mirror, writer, keys, audit),
            families=FamilyRecords(etcd, mirror, writer, keys, audit, clock=time.time),
            fits=Fits(store, lambda: mirror.map.catalog, time.monotonic),
            registry=registry,
            feed=Feed(mirror),
            announcements=announcements,
            usage=Usage(mirror, open_channel),
            routers=routers,
            rates=rates,
            dividing=Dividing(routers, rates, shares),
            statuses=Statuses(
                *(mirror, keys, registry, routers, probe, part.told), progress=handovers.progress
            ),
            tenant_statuses=TenantStatuses(mirror, keys, registry, routers),
            planner=planner,
            handovers=handovers,
        )

    async def stop(self) -> None:
        """End the streams, let running requests end, close."""
        await self._stack.aclose()

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run `work` until the parts built before it are closed."""
        task = self._life.spawn(work, name)

        async def end() -> None:
            task.cancel()
            await asyncio.wait([task])

        self._stack.push_async_callback(end)

    async def _follow(self, mirror: Mirror, keys: Keys) -> bool:
        """Have `mirror` follow etcd from where the last run was; returns whether there is a map."""
        path = self._settings.snapshot_path
        known = await asyncio.to_thread(snapshot.read_if_good, path, keys.prefix)
        if known is not None:
            mirror.restore(known)
        self._spawn(mirror.run(), "mirror")
        if not await self._loaded(mirror):
            return False
        if mirror.has_forgotten:
            snapshot.set_aside(path)
        self._spawn(snapshot.keep(path, mirror.snapshot, mirror.next_move), "snapshot")
        return True

    async def _loaded(self, mirror: Mirror) -> bool:
        waits = [asyncio.create_task(wait) for wait in (mirror.loaded(), self._life.stopped())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return mirror.is_loaded

    async def _serve(self, parts: Parts) -> None:
        largest = self._settings.max_artifact_bytes
        uploads = UploadLimits(max_bytes=largest, total_bytes=2 * largest)
        service = VersionManagerService(parts, self._server.caller, uploads=uploads)
        add_to(self._server.grpc_server, service)
        self._stack.push_async_callback(self._server.stop, self._settings.grace_seconds)
        self.address = await self._server.start(self._settings.listen, [SERVICE], self._settings.server_tls)


def _spare_collections() -> None:
    """Keep the garbage collector away from what a start leaves.

    Of the catalog it has nothing to look at (decision 80); of tenants with limits and residencies it has, and
    holds the interpreter's lock meanwhile, whichever thread made it due.
    """
    gc.collect()
    gc.freeze()


async def serve(life: Lifecycle, settings: ManagerSettings) -> None:
    """Run a version manager until `life` is told to stop."""
    admin = Admin()
    admin.ready = lambda: "there is no map yet"
    manager = VersionManager(settings, life, on_loaded=_spare_collections)
    admin.debug = manager.debug
    try:
        page.serve(settings.metrics_listen, admin)
        if await manager.start():
            admin.ready = lambda: "it is stopping" if life.stopping else ""
            life.ready(f"{PROGRAM} on {manager.address}")
            await life.stopped()
    finally:
        await manager.stop()


def main() -> int:
    """The command `croupier-version-manager`."""
    malloc.give_back_what_is_freed()
    settings = load(ManagerSettings, PROGRAM)
    logs.configure(PROGRAM, settings.log_level, settings.log_format)
    return run(lambda life: serve(life, settings))


if __name__ == "__main__":
    sys.exit(main())
