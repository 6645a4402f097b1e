"""What operators ask of the whole population: checked on the manager's loop, counted in `worker`'s thread.

What was asked last is remembered, since operators ask again: the tenants of a catalog, and the hands that a
generation deals to them. Only the thread reads or writes that. Rates are those of the moment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from croupier.errors import FailedPrecondition, InvalidRequest
from croupier.names import check_name
from protos.versions.v1 import versions_pb2 as pb
from sharding.blast import zone_cells
from sharding.dealer import Dealer
from sharding.generation import Generation, InvalidGeneration, check_generation
from sharding.optimize import MOST_PINNED, optimize
from sharding.population import Hands, cells_of, deal, merged
from sharding.ramp import WHOLE, point
from version_manager.cells.registry import Registry
from version_manager.map.image import Map
from version_manager.map.mirror import Mirror
from version_manager.model import wire
from version_manager.model.catalog import Catalog
from version_manager.planning.blasts import of_cells, of_poison
from version_manager.planning.on_cell import tenants_of
from version_manager.planning.plans import planned
from version_manager.planning.population import Members, members_of
from version_manager.planning.worker import Worker
from version_manager.rates import Rates
from version_manager.writes.pointer import StaleGeneration
from version_manager.writes.shards import Shards

# What a cell is believed to load in a second, if none has told of enough loads lately.
ASSUMED_LOADS_PER_SECOND = 200.0
_ENOUGH_LOADS = 20
MOST_ROWS = 1000
_FEW_ROWS = 20
# Of which every hand is looked at, in each trial.
MOST_POISON = 1000
# Where there is no generation yet.
_NONE = Generation(0, 0, 1, ())


class NoRates(FailedPrecondition):
    """What is wanted follows from rates, and no router tells any. The operator's."""

    reason = "NO_RATES"


class Planner:
    def __init__(self, mirror: Mirror, shards: Shards, rates: Rates, registry: Registry) -> None:
        self._mirror = mirror
        self._shards = shards
        self._rates = rates
        self._registry = registry
        self._worker = Worker()
        self._members: tuple[Catalog, Members] | None = None
        self._hands: tuple[Members, tuple[Generation, ...], int, Hands] | None = None

    def close(self) -> None:
        """Begin nothing more."""
        self._worker.close()

    async def plan(self, request: pb.PlanGenerationRequest) -> pb.Plan:
        """What a generation would do if it dealt in place of the active one.

        Raises:
            InvalidGeneration: it cannot deal, or has another seed than the deployment.
            StaleGeneration: another generation than the expected one is active.
            UnknownGeneration: there is none of the number whose content is asked for.
            InvalidRequest: a cell that is named has a seat in neither.
            Busy: too many plans wait already.
        """
        served, asked = self._mirror.map, self._rates.asked()
        before = served.generations[0] if served.generations else _NONE
        if before.number != request.expected_number:
            raise StaleGeneration(
                f"generation {before.number} is active, not {request.expected_number}",
                current=str(before.number),
            )
        content = self._shards.get(request.rollback_to) if request.rollback_to else None
        pace = self._pace(served)

        def count() -> pb.Plan:
            wanted = content or wire.generation_from_pb(request.generation)
            if content is not None:
                wanted = replace(content, seed=before.seed)
            after = _checked(before, wanted)
            _check_named(request, before, after)
            members = self._members_of(served.catalog)
            return planned(before, after, members, members.rates(asked), [*request.named_cells], pace)

        return await self._worker.run(count)

    async def optimize(self, request: pb.OptimizeShardsRequest) -> pb.OptimizeShardsResponse:
        """Pins that would spread the load of the heaviest tenants.

        Raises:
            UnknownGeneration, ShardMapDamaged: none is active.
            InvalidRequest: more are asked for than may be.
            NoRates: routers tell of no requests.
            Busy: too much is being counted already.
        """
        served, asked, active = self._mirror.map, self._rates.asked(), self._shards.get(0)
        if request.most > MOST_PINNED:
            raise InvalidRequest(f"pins are proposed for {MOST_PINNED} tenants at most", field="most")

        def count() -> pb.OptimizeShardsResponse:
            members = self._members_of(served.catalog)
            rates = members.rates(asked)
            if rates is None:
                raise NoRates("no router tells of requests lately, so nobody is known to be heavy")
            found = optimize(active, members.population(rates), request.most or MOST_PINNED)
            told = wire.generation_to_pb(replace(active, overrides=found.overrides)).overrides
            return pb.OptimizeShardsResponse(
                active=active.number,
                overrides=told,
                balance_before=found.balance_before,
                balance_after=found.balance_after,
            )

        return await self._worker.run(count)

    async def blast(self, request: pb.GetBlastRequest) -> pb.Blast:
        """Who is hurt when cells break, those of a zone, of a tenant's hand, or of tenants at random.

        Raises:
            UnknownGeneration, ShardMapDamaged: no generation is active.
            InvalidRequest: not one of these is asked for, or there is no such cell or zone, or not as many.
            Busy: too much is being counted already.
        """
        served, asked, active = self._mirror.map, self._rates.asked(), self._shards.get(0)
        said = [bool(one) for one in (request.cells, request.zone, request.tenant, request.poison)]
        if said.count(True) != 1:
            raise InvalidRequest("say what breaks: cells, a zone, a tenant's hand, or so many tenants'")
        _check_broken(request, active)

        def count() -> pb.Blast:
            members, hands = self._dealt(served)
            rates = members.rates(asked)
            if request.poison:
                if request.poison >= len(members):
                    raise InvalidRequest(f"there are {len(members)} tenants", field="poison")
                return of_poison(active, members, hands, rates, request.poison)
            cells, tenant = {*request.cells} or {*zone_cells(active, request.zone)}, -1
            if request.tenant:
                tenant = members.find(request.tenant)
                cells = {*(hands.hand(tenant) if tenant >= 0 else Dealer(active).hand(request.tenant))}
            return of_cells(active, members, hands, rates, cells, tenant)

        return await self._worker.run(count)

    async def cell_tenants(self, request: pb.ListCellTenantsRequest) -> pb.ListCellTenantsResponse:
        """The tenants that have a cell in their hand.

        Raises:
            UnknownGeneration, ShardMapDamaged: no generation is active.
            InvalidRequest: no generation that deals has a seat for the cell, or too many are asked for.
            Busy: too much is being counted already.
        """
        check_name(request.cell, "cell")
        served, asked, active = self._mirror.map, self._rates.asked(), self._shards.get(0)
        if request.top > MOST_ROWS:
            raise InvalidRequest(f"at most {MOST_ROWS} tenants are told at once", field="top")
        if request.cell not in cells_of(*served.generations):
            raise InvalidRequest(f"{request.cell} has no seat in the shard map", field="cell")

        def count() -> pb.ListCellTenantsResponse:
            members, hands = self._dealt(served)
            rates, top = members.rates(asked), request.top or _FEW_ROWS
            found = tenants_of(request.cell, served.catalog, members, hands, rates, asked, top)
            found.generation = active.number
            return found

        return await self._worker.run(count)

    def _pace(self, served: Map) -> float:
        """Loads a second of a cell that loads one after the other, by what cells did lately."""
        works = [session.work for cell in served.cells if (session := self._registry.find(cell))]
        loads = sum(work.loaded for work in works if work is not None)
        seconds = sum(work.load_seconds for work in works if work is not None)
        return loads / seconds if loads >= _ENOUGH_LOADS and seconds > 0 else ASSUMED_LOADS_PER_SECOND

    def _members_of(self, catalog: Catalog) -> Members:
        if self._members is None or self._members[0] is not catalog:
            self._members = None
            self._members = catalog, members_of(catalog)
        return self._members[1]

    def _dealt(self, served: Map) -> tuple[Members, Hands]:
        """Everybody with the hand of today: while a ramp runs, of one generation or the other."""
        members, ramp = self._members_of(served.catalog), served.ramp
        generations = served.generations[: 1 if ramp >= WHOLE else 2]
        known = self._hands
        if known is None or known[:3] != (members, generations, ramp):
            self._hands = None
            known = members, generations, ramp, _dealt(generations, members, ramp)
            self._hands = known
        return members, known[3]


def _dealt(generations: Sequence[Generation], members: Members, ramp: int) -> Hands:
    cells = cells_of(*generations)
    hands = [deal(Dealer(one, cached=1), members.names, cells) for one in generations]
    if len(hands) == 1:
        return hands[0]
    taken = np.fromiter(
        (point(generations[0], name) < ramp for name in members.names), np.bool_, len(members)
    )
    return merged(hands[0], hands[1], taken)


def _checked(before: Generation, wanted: Generation) -> Generation:
    """`wanted` as the next generation. Raises InvalidGeneration."""
    check_generation(wanted)
    if before.number and wanted.seed != before.seed:
        raise InvalidGeneration(
            f"the seed is {before.seed} in this deployment: another one would deal every tenant a new hand",
            field="seed",
        )
    return replace(wanted, number=before.number + 1, seed_since=before.seed_since)


def _check_broken(request: pb.GetBlastRequest, active: Generation) -> None:
    seats = {seat.cell for seat in active.seats}
    if missing := [cell for cell in request.cells if cell not in seats]:
        raise InvalidRequest(f"{missing[0]} has no seat in the shard map", field="cells")
    if request.zone and not zone_cells(active, request.zone):
        raise InvalidRequest(f"no seat is in zone {request.zone}", field="zone")
    if request.tenant:
        check_name(request.tenant, "tenant")
    if request.poison > MOST_POISON:
        raise InvalidRequest(f"at most {MOST_POISON} tenants are drawn", field="poison")


def _check_named(request: pb.PlanGenerationRequest, before: Generation, after: Generation) -> None:
    seated = {seat.cell for one in (before, after) for seat in one.seats}
    for cell in request.named_cells:
        check_name(cell, "named_cells")
        if cell not in seated:
            raise InvalidRequest(f"{cell} has a seat neither before nor after", field="named_cells")
