"""What this manager holds and has heard, of everybody, for `croupierctl status`.

Facts alone: whether they are well is judged there, over all managers. Nobody is asked but etcd, whose members
may hang, so at most for a second, and once for all who want to know at a time.

A name in a key is its tenant's. A caller who is restricted to tenants is told of what is bad under their
keys, and how much is bad in all; and of tenants that are refused, how many there are, and which of them are
the caller's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice
from typing import TypeVar

from croupier.stores.etcd import Etcd
from croupier.stores.etcd_status import MemberStatus
from protos.versions.v1 import versions_pb2 as pb
from sharding.generation import Seat
from version_manager.cells.handover import Progress
from version_manager.cells.registry import Registry
from version_manager.map.keys import Keys
from version_manager.map.mirror import Mirror
from version_manager.map.problems import Problem
from version_manager.map.records import Active
from version_manager.model import wire
from version_manager.model.fleet import Cell
from version_manager.routers import Routers
from version_manager.shard_answers import ramp_to_pb

# Of each kind.
MOST = 1000
_MOST_BAD = 200
_MOST_KEY = 500
_MOST_QUARANTINED = 3
# Of what routers have trouble with: of one router, and of all.
_LEAST_ROWS = 3
_MOST_ROWS = 2_000
_ETCD_SECONDS = 0.75
# So long after it was asked, etcd's answer is good for others.
_FRESH_SECONDS = 1.5

T = TypeVar("T")


class Probe:
    """Asks etcd's members how they are, once for all who want to know at a time."""

    def __init__(self, etcd: Etcd, clock: Callable[[], float] = time.monotonic) -> None:
        self._etcd = etcd
        self._clock = clock
        self._asking: asyncio.Task[list[MemberStatus]] | None = None
        self._asked_at = 0.0

    async def members(self) -> list[MemberStatus]:
        if self._asking is None or self._clock() - self._asked_at > _FRESH_SECONDS:
            self._asked_at = self._clock()
            self._asking = asyncio.create_task(self._etcd.status(_ETCD_SECONDS))
        # Whoever hangs up must not end it for the others.
        return await asyncio.shield(self._asking)

    def watched(self) -> tuple[int, float | None]:
        """As `Etcd.watched`, with None for the seconds before the first sign of life."""
        return self._etcd.watched() or (0, None)

    async def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])


class Statuses:
    """`part` tells what this process runs, `progress` how far cells have loaded for a ramp.

    `clock` gives seconds since 1970.
    """

    def __init__(
        self,
        mirror: Mirror,
        keys: Keys,
        registry: Registry,
        routers: Routers,
        probe: Probe,
        part: Callable[[], pb.Part],
        *,
        progress: Callable[[Active], Progress | None] = lambda pointer: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._mirror = mirror
        self._keys = keys
        self._registry = registry
        self._routers = routers
        self._probe = probe
        self._part = part
        self._progress = progress
        self._clock = clock

    async def get(self, tenants: frozenset[str] = frozenset()) -> pb.Status:
        """For a caller who is restricted to `tenants`, unless that is empty."""
        members = await self._probe.members()
        served, mirror = self._mirror.map, self._mirror
        watched = self._probe.watched()
        numbers = [generation.number for generation in served.generations]
        active, previous, *_ = [*numbers, 0, 0]
        status = pb.Status(
            part=self._part(),
            now=self._clock(),
            etcd=pb.EtcdStatus(
                members=map(_member, members), watched_revision=watched[0], watched=watched[1]
            ),
            catalog=served.catalog.name,
            revision=served.catalog.revision,
            models=len(served.catalog),
            generation=active,
            previous=previous,
            frozen=mirror.frozen_for,
            frozen_since=mirror.frozen_since,
        )
        if served.pointer is not None and served.pointer.is_ramping:
            status.ramp.CopyFrom(ramp_to_pb(served.pointer, self._progress(served.pointer)))
        self._add_bad_records(status, tenants)
        self._add_cells(status)
        self._add_routers(status, tenants)
        status.managers_total = len(served.managers)
        status.managers.extend(
            pb.ManagerStatus(id=name, protocol=one.protocol, watchers=one.watchers)
            for name, one in islice(sorted(served.managers.items()), MOST)
        )
        return status

    def _add_bad_records(self, status: pb.Status, tenants: frozenset[str]) -> None:
        problems = self._mirror.problems
        status.bad_records_total = len(problems)
        seen: Iterable[Problem] = problems.values()
        if tenants:
            seen = (problem for problem in seen if self._keys.tenant_of(problem.key) in tenants)
        for problem in sorted(islice(seen, _MOST_BAD), key=lambda one: one.key):
            status.bad_records.add(
                key=_text(problem.key),
                kind=problem.kind,
                field=_text(problem.field),
                message=_text(problem.message),
                revision=self._mirror.mod_revision(problem.key),
            )

    def _add_cells(self, status: pb.Status) -> None:
        cells = self._mirror.map.cells
        active = self._mirror.map.generations[:1]
        seats = {seat.cell: seat for generation in active for seat in generation.seats}
        names = sorted({*cells, *seats}, key=lambda name: (*self._is_well(name), name))
        status.cells_total = len(names)
        status.cells.extend(self._cell(cells.get(name), seats.get(name)) for name in names[:MOST])

    def _is_well(self, name: str) -> tuple[bool, float]:
        """What sorts those that are most likely wrong first."""
        heard = self._registry.find(name)
        return name in self._mirror.map.cells, -heard.silence if heard else 0.0

    def _cell(self, cell: Cell | None, seat: Seat | None) -> pb.CellStatus:
        if cell is None:
            assert seat is not None, "it is registered, or has a seat"
            missing = pb.Cell(id=seat.cell, zone=seat.zone, weight=seat.weight)
            return pb.CellStatus(
                cell=missing,
                seated=True,
                seat_zone=seat.zone,
                seat_draining=seat.draining,
                left=self._registry.left(seat.cell),
            )
        heard = self._registry.find(cell.id)
        told = self._registry.with_load(cell)
        latest = replace(told.load, quarantined=told.load.quarantined[-_MOST_QUARANTINED:])
        message = wire.cell_to_pb(replace(told, load=latest))
        if heard is not None and heard.work is not None:
            message.load.work.CopyFrom(heard.work)
        return pb.CellStatus(
            cell=message,
            part=heard.part if heard else None,
            registered=True,
            seated=seat is not None,
            seat_zone=seat.zone if seat else "",
            seat_draining=seat is not None and seat.draining,
            heard=heard.silence if heard else None,
        )

    def _add_routers(self, status: pb.Status, tenants: frozenset[str]) -> None:
        found = sorted(self._routers.all(), key=lambda one: (not one[0].is_behind, -one[1]))
        status.routers_total = len(found)
        # The more of them there are, the fewer rows of each: the worst stand first.
        most = max(_LEAST_ROWS, _MOST_ROWS // max(1, len(found)))
        status.routers.extend(
            pb.RouterStatus(
                report=_shown(router.report, tenants, most), heard=silence, behind=router.is_behind
            )
            for router, silence in found[:MOST]
        )


def _shown(report: pb.RouterReport, tenants: frozenset[str], most: int) -> pb.RouterReport:
    """A report for a caller of `tenants`, with `most` rows of each kind."""
    shown = pb.RouterReport()
    shown.CopyFrom(report)
    if not report.HasField("troubles"):
        return shown
    troubles = shown.troubles
    del troubles.cells[most:]
    # One by one, in `GetTenant`.
    for one_by_one in (troubles.requests, troubles.uses, troubles.hot):
        del one_by_one[:]
    own = [one for one in report.troubles.tenants if not tenants or one.tenant in tenants]
    del troubles.tenants[:]
    troubles.tenants.extend(own[:most])
    return shown


def _member(member: MemberStatus) -> pb.EtcdMember:
    return pb.EtcdMember(
        endpoint=member.endpoint,
        failure=member.failure,
        version=member.version,
        revision=member.revision,
        size_bytes=member.size_bytes,
        used_bytes=member.used_bytes,
        quota_bytes=member.quota_bytes,
        has_leader=member.has_leader,
        errors=member.errors,
    )


def _text(words: str) -> str:
    """What may have bytes that are no text, and no end."""
    shown = words if len(words) <= _MOST_KEY else f"{words[:_MOST_KEY]}…"
    return shown.encode("utf-8", "backslashreplace").decode()
