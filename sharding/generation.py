"""A generation: one immutable shard map, from which every hand follows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from croupier.errors import InvalidRequest
from croupier.names import check_name


class InvalidGeneration(InvalidRequest):
    """A shard map that cannot deal. The operator's."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A cell's place in a generation. A draining seat keeps its place in the ranking, deals no hand."""

    cell: str
    zone: str
    weight: float = 1.0
    draining: bool = False


@dataclass(frozen=True, slots=True)
class Override:
    """What an operator said about one tenant. Precedence: pins, excludes, hand_size (0: the default).

    With `isolation_group`, the tenant is dealt the group's hand.
    """

    pins: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    hand_size: int = 0
    isolation_group: str = ""


@dataclass(frozen=True, slots=True)
class Generation:
    """`seed` keys the hash: it must not change from one generation of a deployment to the next.

    If it was changed all the same, and meant, `seed_since` is the generation from which on it holds; else 0.
    """

    number: int
    seed: int
    hand_size: int
    seats: tuple[Seat, ...]
    overrides: Mapping[str, Override] = field(default_factory=dict)
    seed_since: int = 0


def check_generation(generation: Generation) -> Generation:
    """Return `generation` if it can deal.

    Raises:
        InvalidGeneration: no seat to deal, a cell seated twice, a weight that is not above 0,
            a hand of no cell, or an override that names a cell without a seat or leaves none to deal.
    """
    cells = [seat.cell for seat in generation.seats]
    if len(set(cells)) != len(cells):
        raise InvalidGeneration("a cell has two seats", field="seats")
    if all(seat.draining for seat in generation.seats):
        raise InvalidGeneration("no seat is left to deal", field="seats")
    if generation.hand_size < 1:
        raise InvalidGeneration("a hand has at least one cell", field="hand_size")
    if not 0 <= generation.seed < 2**64:
        raise InvalidGeneration("the seed is not an unsigned 64-bit number", field="seed")
    for seat in generation.seats:
        check_name(seat.cell, "cell")
        check_name(seat.zone, "zone")
        if not (seat.weight > 0 and math.isfinite(seat.weight)):
            raise InvalidGeneration(f"the weight of {seat.cell} is not above 0", field="seats")
    active = {seat.cell for seat in generation.seats if not seat.draining}
    for tenant, override in generation.overrides.items():
        check_name(tenant, "tenant")
        _check_override(tenant, override, set(cells), active)
    return generation


def _check_override(tenant: str, override: Override, seated: set[str], active: set[str]) -> None:
    unknown = {*override.pins, *override.excludes} - seated
    if unknown:
        raise InvalidGeneration(
            f"the override of {tenant} names cells without a seat: {', '.join(sorted(unknown))}",
            field="overrides",
        )
    if override.hand_size < 0:
        raise InvalidGeneration(f"the hand size of {tenant} is negative", field="overrides")
    if override.isolation_group:
        check_name(override.isolation_group, "isolation_group")
    if active.isdisjoint(override.pins) and active <= {*override.excludes}:
        raise InvalidGeneration(f"the override of {tenant} leaves no cell to deal", field="overrides")
