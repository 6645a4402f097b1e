"""What is allowed and probably not meant: an operator is told, and nothing is refused.

A tenant may get its rules before its first model, and a map its seats before the cells are there, so none of
this is an error; most of the time it is a typing error. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from sharding.generation import Generation
from version_manager.map.image import Map
from version_manager.model.residency import ResidencyRule

# Told at most: who has more has one cause.
MOST = 20


def of_generation(generation: Generation, served: Map) -> list[str]:
    """What to say about `generation` beside the tenants and cells of `served`."""
    return list(islice(_of_generation(generation, served), MOST))


def of_residency(tenant: str, residency: ResidencyRule, served: Map) -> list[str]:
    """What to say about a tenant's `residency`."""
    if residency == ResidencyRule() or _is_known(tenant, served):
        return []
    return [f"there is no tenant {tenant}: none has a model here"]


def _of_generation(generation: Generation, served: Map) -> Iterator[str]:
    dealt = sum(not seat.draining for seat in generation.seats)
    if generation.hand_size > dealt:
        yield f"hands of {generation.hand_size} are larger than the fleet: {dealt} seats are dealt"
    for seat in generation.seats:
        cell = served.cells.get(seat.cell)
        if cell is None:
            yield f"seat {seat.cell}: no such cell is registered"
        elif cell.zone != seat.zone:
            yield f"seat {seat.cell} is in {seat.zone}, and its cell says that it is in {cell.zone}"
    for tenant, rule in generation.overrides.items():
        if rule.hand_size > dealt:
            yield f"override {tenant}: a hand of {rule.hand_size} is larger than the fleet, {dealt} seats"
        if not _is_known(tenant, served):
            yield f"override {tenant}: there is no such tenant, none has a model here"


def _is_known(tenant: str, served: Map) -> bool:
    return next(served.catalog.of_tenant(tenant), None) is not None
