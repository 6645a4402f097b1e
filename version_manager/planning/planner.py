"""What operators ask of the whole population: checked on the manager's loop, counted in `worker`'s thread.

What was asked last is remembered, since operators ask again: the tenants of a catalog, and the hands that a
generation deals to them. Only the thread reads or writes that. Rates are those of the moment.
"""

from __future__ import annotations

from dataclasses import replace

from croupier.errors import InvalidRequest
from croupier.names import check_name
from protos.versions.v1 import versions_pb2 as pb
from sharding.dealer import Dealer
from sharding.generation import Generation, InvalidGeneration, check_generation
from sharding.population import Hands, deal
from version_manager.cells.registry import Registry
from version_manager.map.image import Map
from version_manager.map.mirror import Mirror
from version_manager.model import wire
from version_manager.model.catalog import Catalog
from version_manager.planning.plans import planned
from version_manager.planning.population import Members, members_of
from version_manager.planning.worker import Worker
from version_manager.rates import Rates
from version_manager.writes.pointer import StaleGeneration
from version_manager.writes.shards import Shards

# What a cell is believed to load in a second, if none has told of enough loads lately.
ASSUMED_LOADS_PER_SECOND = 200.0
_ENOUGH_LOADS = 20
# Where there is no generation yet.
_NONE = Generation(0, 0, 1, ())


class Planner:
    def __init__(self, mirror: Mirror, shards: Shards, rates: Rates, registry: Registry) -> None:
        self._mirror = mirror
        self._shards = shards
        self._rates = rates
        self._registry = registry
        self._worker = Worker()
        self._members: tuple[Catalog, Members] | None = None
        self._hands: tuple[Generation, Members, Hands] | None = None

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

    def _hands_of(self, generation: Generation, members: Members) -> Hands:
        known = self._hands
        if known is None or known[0] is not generation or known[1] is not members:
            self._hands = None
            known = generation, members, deal(Dealer(generation), members.names)
            self._hands = known
        return known[2]


def _checked(before: Generation, wanted: Generation) -> Generation:
    """`wanted` as the next generation. Raises InvalidGeneration."""
    check_generation(wanted)
    if before.number and wanted.seed != before.seed:
        raise InvalidGeneration(
            f"the seed is {before.seed} in this deployment: another one would deal every tenant a new hand",
            field="seed",
        )
    return replace(wanted, number=before.number + 1, seed_since=before.seed_since)


def _check_named(request: pb.PlanGenerationRequest, before: Generation, after: Generation) -> None:
    seated = {seat.cell for one in (before, after) for seat in one.seats}
    for cell in request.named_cells:
        check_name(cell, "named_cells")
        if cell not in seated:
            raise InvalidRequest(f"{cell} has a seat neither before nor after", field="named_cells")
