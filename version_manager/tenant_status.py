"""What bears on one tenant, for `croupierctl why`: is there one, which cells serve it, what is refused?

Facts alone, as in `status`, and about no other tenant: but for the names of those that are spelt much the
same, where there is none of that name, and the caller may know them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

from croupier.names import check_name
from protos.versions.v1 import versions_pb2 as pb
from sharding.dealer import Dealer
from version_manager.cells.registry import Registry
from version_manager.map.image import Map
from version_manager.map.keys import Keys
from version_manager.map.mirror import Mirror
from version_manager.model import wire
from version_manager.model.fleet import Quarantined
from version_manager.model.release import Model
from version_manager.model.residency import ResidencyRule
from version_manager.routers import Routers

_MOST_VERSIONS = 100
_MOST_REQUESTS = 50
_MOST_TROUBLES = 100
_MOST_HOT = 100
_MOST_ALIKE = 3
# What a router that is silent for longer did is of the past.
_SILENT = 5.0
# Of a name's letters, so many for each that may be another.
_LETTERS = 4


class TenantStatuses:
    def __init__(self, mirror: Mirror, keys: Keys, registry: Registry, routers: Routers) -> None:
        self._mirror = mirror
        self._keys = keys
        self._registry = registry
        self._routers = routers

    async def get(self, tenant: str, *, with_alike: bool = False) -> pb.TenantStatus:
        """Raises InvalidName."""
        check_name(tenant, "tenant")
        served = self._mirror.map
        models = list(served.catalog.of_tenant(tenant))
        rule = served.residencies.get(tenant, ResidencyRule())
        revision = self._mirror.mod_revision(self._keys.residency(tenant))
        status = pb.TenantStatus(
            models=len(models),
            residency=wire.residency_to_pb(tenant, rule, revision),
            limits=wire.limits_to_pb(served.limits.of(tenant)),
        )
        hands = [(dealt.number, Dealer(dealt, cached=1).hand(tenant)) for dealt in served.generations]
        for (number, hand), before in zip(hands, (False, True), strict=False):
            if before:
                status.previous = number
                status.previous_hand.extend(hand)
            else:
                status.generation = number
                status.hand.extend(hand)
        cells = dict.fromkeys(cell for _, hand in hands for cell in hand)
        self._add_what_cells_say(status, models, cells)
        self._add_what_routers_say(status, tenant)
        self._add_what_routers_do(status, tenant, cells)
        if not models and with_alike:
            # In a thread: where tenants are many, looking at all of them takes long.
            status.alike.extend(await asyncio.to_thread(alike, tenant, _tenants(served)))
        return status

    def _add_what_cells_say(
        self, status: pb.TenantStatus, models: Iterable[Model], cells: Iterable[str]
    ) -> None:
        refused: dict[bytes, list[tuple[str, Quarantined]]] = {}
        running: dict[bytes, list[tuple[str, pb.LongRun]]] = {}
        for cell in cells:
            session = self._registry.find(cell)
            for one in session.cell.load.quarantined if session else ():
                refused.setdefault(one.artifact, []).append((cell, one))
            if session is not None and session.work is not None and session.work.HasField("run"):
                running.setdefault(session.work.run.artifact, []).append((cell, session.work.run))
        # Nearly always there are none, and then no model has to be looked at.
        looked_at = models if refused or running else ()
        named = [(model.name, version) for model in looked_at for version in model.versions.values()]
        for name, version in named:
            for cell, one in refused.get(version.artifact, ()):
                told = pb.Quarantined(artifact=one.artifact, since=one.since, why=one.why, phase=one.phase)
                status.refused.add(model=name, version=version.number, cell=cell, quarantined=told)
            for cell, run in running.get(version.artifact, ()):
                status.running.add(model=name, version=version.number, cell=cell, run=run)
        del status.refused[_MOST_VERSIONS:]
        del status.running[_MOST_VERSIONS:]

    def _add_what_routers_say(self, status: pb.TenantStatus, tenant: str) -> None:
        troubles, requests = [], []
        for router, silence in self._routers.all():
            status.routers += 1
            if not router.report.HasField("troubles"):
                continue
            status.routers_telling += 1
            who = router.report.address or router.report.id
            for one in router.report.troubles.tenants:
                if one.tenant == tenant:
                    trouble = pb.TenantTrouble(router=who)
                    trouble.MergeFrom(one)
                    troubles.append(trouble)
            for ended in router.report.troubles.requests:
                if ended.tenant == tenant:
                    request = pb.EndedRequest(router=who)
                    request.MergeFrom(ended)
                    request.ago += silence
                    requests.append(request)
        troubles.sort(key=lambda one: -one.refused)
        requests.sort(key=lambda one: one.ago)
        status.troubles.extend(troubles[:_MOST_TROUBLES])
        status.requests.extend(requests[:_MOST_REQUESTS])

    def _add_what_routers_do(self, status: pb.TenantStatus, tenant: str, cells: Iterable[str]) -> None:
        """Of all routers that were heard within the last seconds, added up."""
        uses = {cell: pb.CellUse(cell=cell) for cell in cells}
        hot: dict[str, pb.HotModel] = {}
        for router, silence in self._routers.all():
            if silence > _SILENT:
                continue
            for told in router.report.troubles.uses:
                if (use := uses.get(told.cell)) is not None:
                    use.routers += 1
                    use.in_flight += told.in_flight
                    use.limit += told.limit
                    use.limiting += bool(told.limit)
                    use.latency_seconds = max(use.latency_seconds, told.latency_seconds)
            for one in router.report.troubles.hot:
                if one.tenant == tenant:
                    known = hot.setdefault(one.model, pb.HotModel(tenant=tenant, model=one.model))
                    known.copies = max(known.copies, one.copies)
                    known.requests_per_second += one.requests_per_second
        status.uses.extend(use for use in uses.values() if use.routers)
        busiest = sorted(hot.values(), key=lambda one: -one.requests_per_second)
        status.hot.extend(busiest[:_MOST_HOT])


def _tenants(served: Map) -> Iterator[str]:
    before = ""
    for tenant, _ in served.catalog.names():
        if tenant != before:
            before = tenant
            yield before


def alike(name: str, names: Iterable[str]) -> list[str]:
    """Of `names` those that may be meant by `name`, the most alike first: a letter in four may be another."""
    most = max(1, len(name) // _LETTERS)
    wanted, letters = name.casefold(), set(name.casefold())
    found: set[tuple[int, str]] = set()
    for other in names:
        # What rules out most of them is looked at first.
        if abs(len(other) - len(name)) > most:
            continue
        folded = other.casefold()
        if len(letters.symmetric_difference(folded)) > 2 * most:
            continue
        if (distance := _distance(wanted, folded, most)) <= most:
            found.add((distance, other))
    return [other for _, other in sorted(found)[:_MOST_ALIKE]]


def _distance(left: str, right: str, most: int) -> int:
    """Levenshtein's, where two letters that changed places count once; above `most` it is not exact."""
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        previous, row, two = row, [i], before
        for j, b in enumerate(right, 1):
            best = min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                best = min(best, two[j - 2] + 1)
            row.append(best)
        if min(row) > most:
            return most + 1
        before = previous
    return row[-1]
