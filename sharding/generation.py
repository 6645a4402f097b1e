"""A generation: one immutable shard map, from which every hand follows; and whether it can deal.

What `check_generation` refuses is named as it stands in the record: key, field and fault.

    overrides.acme.pins    override acme pins cell-7, which is dedicated to globex
    seats[3].weight        seat cell-9: the weight is 0, and has to be above 0 and finite

What is allowed and probably not meant is no matter of this file: whoever knows the tenants and the cells
that are there tells an operator of it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from croupier.errors import InvalidRequest
from croupier.names import check_name

# Words for people: of an author, and of a reason.
MAX_WORDS = 1_000


class InvalidGeneration(InvalidRequest):
    """A shard map that cannot deal. The operator's."""


@dataclass(frozen=True, slots=True)
class Share:
    """A hand's size as `percent` (1 to 100) of the cells that may be dealt to it, and `min` cells at least.

    Rounded up, in whole numbers, and never to zones. A share follows the fleet: each time that it comes to
    one cell more, every hand of that size grows by one.
    """

    percent: int
    min: int = 1

    def of(self, cells: int) -> int:
        """The size where so many cells may be dealt: at most all of them."""
        return min(max(self.min, -(-cells * self.percent // 100)), cells)

    def __str__(self) -> str:
        return f"{self.percent} % of the cells, at least {self.min}"


Size: TypeAlias = int | Share


def size_of(size: Size, cells: int) -> int:
    """How many cells `size` asks for where so many may be dealt. A number may ask for more than there are."""
    return size.of(cells) if isinstance(size, Share) else size


@dataclass(frozen=True, slots=True)
class Seat:
    """A cell's place in a generation. A draining seat keeps its place in the map, and is dealt to nobody.

    One that is `dedicated` is dealt to the tenant or the isolation group of that name alone, and for all
    others it is as if it were not there.
    """

    cell: str
    zone: str
    weight: float = 1.0
    draining: bool = False
    dedicated: str = ""


@dataclass(frozen=True, slots=True)
class Override:
    """What an operator said about one tenant. Precedence: pins, excludes, hand_size (0: none of its own).

    With `isolation_group`, the tenant is dealt the group's hand.
    """

    pins: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    hand_size: Size = 0
    isolation_group: str = ""


NO_OVERRIDE = Override()


@dataclass(frozen=True, slots=True)
class Generation:
    """`seed` keys the hash: it must not change from one generation of a deployment to the next.

    If it was changed all the same, and meant, `seed_since` is the generation from which on it holds; else 0.
    `author`, `reason` and `at` are for people: who made it, what for, and when, in seconds since 1970.
    """

    number: int
    seed: int
    hand_size: Size
    seats: tuple[Seat, ...]
    overrides: Mapping[str, Override] = field(default_factory=dict)
    seed_since: int = 0
    author: str = ""
    reason: str = ""
    at: float = 0.0

    def owners(self) -> frozenset[str]:
        """The tenants and groups that have dedicated seats."""
        return frozenset(seat.dedicated for seat in self.seats if seat.dedicated)

    def pools(self) -> dict[str, list[Seat]]:
        """The seats that are dealt, by the owner of dedicated ones; "": to all who have none."""
        found: dict[str, list[Seat]] = {"": []}
        for seat in self.seats:
            pool = found.setdefault(seat.dedicated, [])
            if not seat.draining:
                pool.append(seat)
        return found

    def active(self) -> list[Seat]:
        """The seats that are dealt to all who have no dedicated ones."""
        return self.pools()[""]


def dealt_as(tenant: str, override: Override, owners: frozenset[str]) -> str:
    """The name that a tenant is dealt by: its own if it has dedicated seats, else its group's, if it has one.

    Who is dealt by the name of an owner of dedicated seats is dealt these alone.
    """
    return tenant if tenant in owners else override.isolation_group or tenant


def check_generation(generation: Generation) -> Generation:
    """Return `generation` if it can deal.

    Raises:
        InvalidGeneration: a cell is seated twice; a weight is not above 0; a size is none; no seat is left to
            deal to tenants without dedicated seats, or to who has some; an override names a cell without a
            seat, pins one that is dedicated to another, or leaves none to deal; author or reason is overlong.
        InvalidName: something has a name that is none.
    """
    _check_seats(generation)
    if not 0 <= generation.seed < 2**64:
        raise _invalid("seed", f"the seed {generation.seed} is not an unsigned 64-bit number")
    _check_size(generation.hand_size, "hand_size", "the hand size", least=1)
    for name, words in (("author", generation.author), ("reason", generation.reason)):
        if len(words) > MAX_WORDS:
            raise _invalid(name, f"the {name} has {len(words)} characters, and may have {MAX_WORDS}")
    seats = {seat.cell: seat for seat in generation.seats}
    owners = generation.owners()
    active = {owner: {seat.cell for seat in pool} for owner, pool in generation.pools().items()}
    for owner in sorted(owners):
        if not active[owner]:
            raise _invalid("seats", f"every seat that is dedicated to {owner} drains: it has no cell left")
    if not active[""]:
        also = "; the others are dedicated" if owners else ""
        raise _invalid("seats", f"no seat is left to deal{also}")
    for tenant, override in generation.overrides.items():
        check_name(tenant, "overrides")
        _check_override(tenant, override, seats)
        name = dealt_as(tenant, override, owners)
        dealt = active[name if name in owners else ""]
        if dealt <= {*override.excludes} and all(seats[pin].draining for pin in override.pins):
            raise _invalid(
                f"overrides.{tenant}.excludes", f"override {tenant} leaves no cell to deal: it excludes all"
            )
    return generation


def _check_seats(generation: Generation) -> None:
    for index, seat in enumerate(generation.seats):
        where = f"seats[{index}]"
        check_name(seat.cell, f"{where}.cell")
        check_name(seat.zone, f"{where}.zone")
        if seat.dedicated:
            check_name(seat.dedicated, f"{where}.dedicated")
        if not (seat.weight > 0 and math.isfinite(seat.weight)):
            fault = f"the weight is {seat.weight:g}, and has to be above 0 and finite"
            raise _invalid(f"{where}.weight", f"seat {seat.cell}: {fault}")
    tally = Counter(seat.cell for seat in generation.seats)
    for index, seat in reversed([*enumerate(generation.seats)]):
        if tally[seat.cell] > 1:
            raise _invalid(f"seats[{index}].cell", f"{seat.cell} has {tally[seat.cell]} seats")


def _check_override(tenant: str, override: Override, seats: dict[str, Seat]) -> None:
    where = f"overrides.{tenant}"
    for name, cells in (("pins", override.pins), ("excludes", override.excludes)):
        if unknown := [cell for cell in dict.fromkeys(cells) if cell not in seats]:
            fault = f"override {tenant} names in {name} what has no seat: {', '.join(unknown)}"
            raise _invalid(f"{where}.{name}", fault)
    _check_size(override.hand_size, f"{where}.hand_size", f"override {tenant}: the hand size", least=0)
    if override.isolation_group:
        check_name(override.isolation_group, f"{where}.isolation_group")
    for pin in override.pins:
        owner = seats[pin].dedicated
        if owner not in {"", tenant, override.isolation_group}:
            fault = f"override {tenant} pins {pin}, which is dedicated to {owner}"
            raise _invalid(f"{where}.pins", fault)


def _check_size(size: Size, where: str, what: str, *, least: int) -> None:
    if not isinstance(size, Share):
        if size < least:
            raise _invalid(where, f"{what} is {size}, and has to be {least} at least")
        return
    if not 1 <= size.percent <= 100:
        raise _invalid(f"{where}.percent", f"{what} is {size.percent} %, and has to be from 1 to 100 %")
    if size.min < 1:
        raise _invalid(f"{where}.min", f"{what} is {size.min} cells at least, and has to be 1 at least")


def _invalid(field: str, message: str) -> InvalidGeneration:
    return InvalidGeneration(message, field=field)
