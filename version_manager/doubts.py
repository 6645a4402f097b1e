"""What is allowed and probably not meant: an operator is told, and nothing is refused.

A tenant may get its rules before its first model, and a map its seats before the cells are there, so none of
this is an error; most of the time it is a typing error. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from sharding.generation import Generation, Override, Share, Size, dealt_as
from version_manager.map.image import Map
from version_manager.model.family import Config, FamilyKey
from version_manager.model.limits import NO_LIMITS, TenantLimits
from version_manager.model.residency import ResidencyRule
from version_manager.rates import Used

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


def of_limits(tenant: str, limits: TenantLimits, used: Mapping[str, Used], served: Map) -> list[str]:
    """What to say about `limits` once they hold, where those of `tenant` (empty: of everybody) are new."""
    said = []
    if tenant and not _is_known(tenant, served) and limits.tenants.get(tenant, NO_LIMITS) != NO_LIMITS:
        said.append(f"there is no tenant {tenant}: none has a model here")
    # Whoever has limits of its own may still go by the default in some of them.
    asked = (
        [(tenant, used.get(tenant, Used()))] if tenant else sorted(used.items(), key=lambda one: -one[1][0])
    )
    return [*said, *islice((words for one in asked for words in _of_use(*one, limits)), MOST - len(said))]


def of_family(key: FamilyKey, config: Config, served: Map) -> list[str]:
    """What to say about a `config` once it holds."""
    tenant, name = key
    if config.family is None:
        left = served.configs.families.families.get(name) if tenant else None
        return [f"family {name} holds for it from now on, config {left.number}"] if left else []
    if tenant and served.catalog.find(tenant, name) is None:
        return [f"tenant {tenant} has no model {name}"]
    return []


def _of_use(tenant: str, used: Used, limits: TenantLimits) -> Iterator[str]:
    held = limits.of(tenant)
    for most, rate, what in (
        (held.rate, used.requests, "requests"),
        (held.cold_loads, used.cold, "cold answers"),
    ):
        if most is not None and rate > most:
            yield f"{tenant} has {rate:.3g} {what}/s now, more than the {most:g}/s that it may have"


def _of_generation(generation: Generation, served: Map) -> Iterator[str]:
    dealt = len(generation.active())
    if _least(generation.hand_size) > dealt:
        yield f"hands of {_least(generation.hand_size)} are larger than the fleet: {dealt} seats are dealt"
    for seat in generation.seats:
        cell = served.cells.get(seat.cell)
        if cell is None:
            yield f"seat {seat.cell}: no such cell is registered"
        elif cell.zone != seat.zone:
            yield f"seat {seat.cell} is in {seat.zone}, and its cell says that it is in {cell.zone}"
    yield from _of_overrides(generation, served)


def _of_overrides(generation: Generation, served: Map) -> Iterator[str]:
    owners = generation.owners()
    active = {owner: {seat.cell for seat in pool} for owner, pool in generation.pools().items()}
    for tenant, rule in generation.overrides.items():
        name = dealt_as(tenant, rule, owners)
        owner = name if name in owners else ""
        yield from _of_rule(tenant, rule, owner, active[owner])
        if rule.isolation_group not in {"", name}:
            yield f"override {tenant}: it has dedicated seats, so group {rule.isolation_group} has no say"
        if rule.isolation_group == name and name in owners and _is_known(name, served):
            yield f"override {tenant}: its group is tenant {name}, whose dedicated seats it is dealt too"
        if not _is_known(tenant, served):
            yield f"override {tenant}: there is no such tenant, none has a model here"
    groups = {rule.isolation_group for rule in generation.overrides.values()}
    for owner in sorted(owners):
        if owner not in groups and not _is_known(owner, served):
            yield f"seats are dedicated to {owner}: there is no such tenant or isolation group"


def _of_rule(tenant: str, rule: Override, owner: str, seats: set[str]) -> Iterator[str]:
    """`seats` are what may be dealt to the tenant: those that are dedicated to `owner`, if there is one."""
    least = _least(rule.hand_size)
    if least > len(seats):
        whose = f"what is dedicated to {owner}" if owner else "the fleet"
        yield f"override {tenant}: a hand of {least} is larger than {whose}, {len(seats)} seats"
    if owner == tenant and 0 < least < len(seats) and not isinstance(rule.hand_size, Share):
        yield f"override {tenant}: a hand of {least} leaves {len(seats) - least} of its dedicated seats idle"
    if owner and (strange := sorted({*rule.pins} - seats)):
        yield f"override {tenant} pins {', '.join(strange)}, not an active seat dedicated to {owner}"


def _least(size: Size) -> int:
    """How many cells a hand of `size` wants at least."""
    return size.min if isinstance(size, Share) else size


def _is_known(tenant: str, served: Map) -> bool:
    return next(served.catalog.names(tenant), None) is not None
