"""The routers that report here, each once a second: how current is what they serve?

A router reports to every manager and watches one of them, so each manager knows of all. One that falls silent
is told of for a while, for its process may hang, and then forgotten; one that ends says so, and one that was
killed is not told of once it was started again at its address.

**Behind** is who lacks a change that this manager told its watchers of some seconds before: less than that
is on its way.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from croupier.bounded import Bounded
from croupier.errors import InvalidRequest
from protos.versions.v1 import versions_pb2 as pb
from version_manager.kept import kept
from version_manager.map.mirror import Mirror

MOST = 1000
_MOST_WORDS = 300
# Seconds that a change may be on its way.
_ON_ITS_WAY = 2.0
# Seconds of silence after which a router may be no more, and after which it is forgotten.
_SILENT = 5.0
_FORGOTTEN = 300.0
# What a router said that was heard longer ago says nothing of now.
_LATELY = 10.0


@dataclass(frozen=True, slots=True)
class HeardRouter:
    """When it was heard last, and first, is on the clock of `Routers`."""

    report: pb.RouterReport
    heard_at: float
    since: float
    is_behind: bool


class Routers:
    """`clock` is monotonic, in seconds."""

    def __init__(self, mirror: Mirror, clock: Callable[[], float] = time.monotonic) -> None:
        self._mirror = mirror
        self._clock = clock
        # The one that was heard longest ago first.
        self._heard: Bounded[str, HeardRouter] = Bounded(MOST)
        # When watchers had what to take: catalog and revision, oldest first.
        self._told: deque[tuple[float, str, int]] = deque()

    def report(self, report: pb.RouterReport) -> None:
        """Take what a router says of itself. Raises InvalidRequest."""
        if not report.id:
            raise InvalidRequest("a router that reports says which it is", field="id")
        if max(map(len, (report.id, report.address, report.catalog))) > _MOST_WORDS:
            raise InvalidRequest(f"a name has at most {_MOST_WORDS} characters", field="id")
        if report.leaving:
            self._forget_killed()
            self._heard.pop(report.id, None)
            return
        now = self._clock()
        known = self._heard.get(report.id)
        since = known.since if known is not None else now
        self._heard[report.id] = HeardRouter(kept(report), now, since, self._is_behind(report, now))

    def all(self) -> list[tuple[HeardRouter, float]]:
        """Each router, and seconds since it was heard."""
        now = self._clock()
        while self._heard and now - next(iter(self._heard.values())).heard_at > _FORGOTTEN:
            self._heard.popitem(last=False)
        self._forget_killed()
        return [(router, now - router.heard_at) for router in self._heard.values()]

    def present(self) -> set[str]:
        """The ids of those that were heard within the last seconds."""
        self._forget_killed()
        since = self._clock() - _SILENT
        return {name for name, router in self._heard.items() if router.heard_at >= since}

    def mark_limited(self, rows: Iterable[pb.RateRow]) -> None:
        """Say in `rows` of tenants for which of their limits a router has refused them lately."""
        at: dict[str, set[str]] = {}
        for router, silence in self.all():
            if silence > _LATELY:
                continue
            for tenant in router.report.troubles.tenants:
                told = [one.limit for one in tenant.limits if one.refused]
                at.setdefault(tenant.tenant, set()).update(told, ["in_flight"] if tenant.refused else [])
        for row in rows:
            row.at_limits.extend(sorted(at.get(row.tenant, ())))

    def _forget_killed(self) -> None:
        """Those that have a successor, which began to report from their address after their last word."""
        latest: dict[tuple[str, str], float] = {}
        for router in self._heard.values():
            place = _place(router.report)
            latest[place] = max(router.since, latest.get(place, router.since))
        for name, router in list(self._heard.items()):
            if router.report.address and latest[_place(router.report)] > router.heard_at:
                del self._heard[name]

    def _is_behind(self, report: pb.RouterReport, now: float) -> bool:
        catalog, revision = self._mirror.map.catalog.name, self._mirror.told_revision
        if not self._told or self._told[-1][1:] != (catalog, revision):
            self._told.append((now, catalog, revision))
        # The last that was told long enough ago stands first.
        while len(self._told) > 1 and now - self._told[1][0] > _ON_ITS_WAY:
            self._told.popleft()
        told_at, catalog, revision = self._told[0]
        if now - told_at <= _ON_ITS_WAY:
            return False
        later = {name for _, name, _ in self._told}
        if report.catalog not in later:
            return True
        return report.catalog == catalog and report.revision < revision


def _place(report: pb.RouterReport) -> tuple[str, str]:
    """Its host, which stands in its id before the process, and its address there."""
    return report.id.rpartition(":")[0], report.address
