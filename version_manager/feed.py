"""The events that one watcher gets: a snapshot in chunks or what it missed, then every change.

    resumable? ──yes──▶ delta, delta, …              heartbeat when nothing else was to say
        │no                  ▲
        └──▶ begin, chunk…, end                      again from here when the history does not
                                                     reach back to what the watcher has

A snapshot is one immutable map, sent piece by piece while the map moves on; what it missed meanwhile follows
as deltas. Events are bytes: of models they are what the catalog has, joined, and a delta is the same ones for
all who watch. Load reports of cells are no part of the map and make no events.

After a manager's start, etcd may not know cells that serve: their leases ran out while no manager kept
them. Watchers are not kept waiting for them to join again: a router goes on asking cells that departed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from itertools import islice

from croupier.protocol import CURRENT, FAMILIES
from croupier.telemetry.metrics import Counter, Gauge
from protos.versions.v1 import versions_pb2 as pb
from version_manager.map.image import Map
from version_manager.map.mirror import Mirror
from version_manager.model import wire
from version_manager.model.encode import chunk_event, delta_event
from version_manager.model.encoded import told
from version_manager.model.family_wire import family_to_pb
from version_manager.model.history import Change

_SNAPSHOTS = Counter("croupier_version_manager_snapshots_total", "Whole catalogs sent to watchers")
_WATCHERS = Gauge("croupier_version_manager_watchers", "Watch streams open now")

MODELS_A_CHUNK = 500
_KEPT_DELTAS = 16
# How long a watcher that is ahead of this manager (it watched another one) may have to wait.
_CATCH_UP_SECONDS = 2.0


class Feed:
    """Makes the events of `mirror`'s map; `heartbeat` is the longest silence, in seconds."""

    def __init__(self, mirror: Mirror, *, heartbeat: float = 2.0) -> None:
        self._mirror = mirror
        self._heartbeat = heartbeat
        # The latest deltas as they were sent, each with its change: all watchers are sent the same ones.
        self._deltas: dict[tuple[int, bool], tuple[Change, bytes]] = {}

    async def watch(
        self, catalog: str, revision: int, protocol: int = CURRENT
    ) -> AsyncGenerator[bytes, None]:
        """The WatchEvents after `revision` of `catalog`, for who speaks `protocol`; never ends by itself."""
        with_families = protocol >= FAMILIES
        with _WATCHERS.track_inprogress():
            await self._mirror.doubt(catalog, revision, _CATCH_UP_SECONDS)
            place = self._mirror.place_of(catalog, revision)
            is_told = False
            while True:
                moved = self._mirror.next_move()
                changes = self._mirror.after(place) if place else None
                if place is None or changes is None:
                    served, place = self._mirror.map, self._mirror.place
                    revision = served.catalog.revision
                    for event in snapshot(served, with_families=with_families):
                        yield event
                    continue
                for change in changes:
                    yield self._delta(change, with_families)
                    revision = change.revision
                place = place.behind(len(changes))
                # The first one at once: what was new has been told.
                if not is_told or not await _is_set(moved, self._heartbeat):
                    is_told = True
                    beat = pb.WatchEvent.Heartbeat(revision=revision)
                    yield pb.WatchEvent(heartbeat=beat).SerializeToString()

    def _delta(self, change: Change, with_families: bool) -> bytes:
        key = (id(change), with_families)
        if key not in self._deltas:
            if len(self._deltas) >= _KEPT_DELTAS:
                del self._deltas[next(iter(self._deltas))]
            self._deltas[key] = change, delta_of(change, with_families=with_families)
        return self._deltas[key][1]


def snapshot(served: Map, *, with_families: bool = True) -> Iterator[bytes]:
    """WatchEvents: begin, chunks of at most 500 models or limits (the first has cells and generations), end.

    Families come one by one, for one may have hundreds of features.
    """
    _SNAPSHOTS.inc()
    for event in _without_models(served, with_families):
        yield event.SerializeToString()
    records = served.catalog.records()
    while chunk := list(islice(records, MODELS_A_CHUNK)):
        yield chunk_event(list(map(told, chunk)))
    yield pb.WatchEvent(end=pb.WatchEvent.End(models=len(served.catalog))).SerializeToString()


def _without_models(served: Map, with_families: bool) -> Iterator[pb.WatchEvent]:
    catalog, thaw = served.catalog, served.thaw.number if served.thaw else 0
    yield pb.WatchEvent(begin=pb.WatchEvent.Begin(catalog=catalog.name, revision=catalog.revision, thaw=thaw))
    yield pb.WatchEvent(
        chunk=pb.WatchEvent.Chunk(
            cells=map(wire.cell_to_pb, served.cells.values()),
            generations=map(wire.generation_to_pb, served.generations),
            ramp=served.ramp,
            default_limits=wire.limits_to_pb(served.limits.default),
            knows_families=with_families,
        )
    )
    for family in served.configs.families.all() if with_families else ():
        yield pb.WatchEvent(chunk=pb.WatchEvent.Chunk(families=[family_to_pb(family.key, family)]))
    limits = iter(served.limits.tenants.items())
    while some := list(islice(limits, MODELS_A_CHUNK)):
        yield pb.WatchEvent(chunk=pb.WatchEvent.Chunk(limits=map(wire.tenant_limits_to_pb, some)))


def delta_of(change: Change, *, with_families: bool = True) -> bytes:
    """The WatchEvent that tells of `change`."""
    others = pb.WatchEvent.Delta(
        revision=change.revision,
        removed_models=[pb.ModelKey(tenant=tenant, name=name) for tenant, name in change.removed],
        cells=map(wire.cell_to_pb, change.cells),
        removed_cells=change.removed_cells,
        generations=map(wire.generation_to_pb, change.generations),
        ramp=change.ramp,
        limits=map(wire.tenant_limits_to_pb, change.limits),
        default_limits=None if change.default_limits is None else wire.limits_to_pb(change.default_limits),
        families=[family_to_pb(*one) for one in change.families] if with_families else (),
    )
    return delta_event(others.SerializeToString(), list(change.records))


async def _is_set(event: asyncio.Event, timeout: float) -> bool:
    try:
        async with asyncio.timeout(timeout):
            await event.wait()
    except TimeoutError:
        return False
    return True
