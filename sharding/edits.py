"""Edits of a shard map as an operator thinks of them: drain this cell, give that tenant six.

Each makes the generation that is wanted of the one that deals, and names the cells that it is about: their
slots may move, and hardly any others (`plan.refusals`). What an operator probably mistyped or did not mean
is refused here, by name; `check_generation` has been asked of everything that is returned. Pure, and no edit
looks at who is there: seats for new cells are brought along.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from croupier.errors import AlreadyExists, FailedPrecondition, NotFound
from sharding.dealer import Dealer
from sharding.generation import (
    NO_OVERRIDE,
    Generation,
    Override,
    Seat,
    Share,
    Size,
    check_generation,
    dealt_as,
)

# Suggestions for a name that is none, and how like it they are: as difflib has it.
_MOST_GUESSES = 3
_LIKENESS = 0.8


class UnknownSeat(NotFound):
    """No cell of that name has a seat. The operator's: a typing error, most of the time."""

    reason = "UNKNOWN_SEAT"


class UnknownZone(NotFound):
    """No seat is in that zone. The operator's."""

    reason = "UNKNOWN_ZONE"


class SeatTaken(AlreadyExists):
    """The cell has a seat already. The operator's: it can be drained and undrained, but not added."""

    reason = "SEAT_TAKEN"


class NoCellLeft(FailedPrecondition):
    """Nothing would be left to deal to somebody. The operator's: add or undrain a cell first."""

    reason = "NO_CELL_LEFT"


@dataclass(frozen=True, slots=True)
class Edit:
    """What is wanted, and the `cells` that it names. `refusals` say why it is not to be done unforced."""

    after: Generation
    cells: tuple[str, ...]
    refusals: tuple[str, ...] = ()


def drain(generation: Generation, cells: Sequence[str]) -> Edit:
    """Deal `cells` to nobody. Their seats stay, so that this can be called off.

    Raises:
        UnknownSeat: one has no seat.
        NoCellLeft: a tenant with dedicated seats, or who has none, would be left without a cell.
    """
    known(generation, cells)
    after = _with_seats(generation, cells, draining=True)
    pools = after.pools()
    for owner, pool in generation.pools().items():
        if pool and not pools[owner]:
            whose = f"that are dedicated to {owner}" if owner else "that are dealt"
            last = ", ".join(seat.cell for seat in pool)
            raise NoCellLeft(
                f"{last} {'is the last of the cells' if len(pool) == 1 else 'are all of the cells'} {whose}: "
                "add another or undrain one before"
            )
    return _edit(after, cells)


def undrain(generation: Generation, cells: Sequence[str]) -> Edit:
    """Deal `cells` again: every hand is as it was before they drained.

    Raises:
        UnknownSeat: one has no seat.
    """
    known(generation, cells)
    return _edit(_with_seats(generation, cells, draining=False), cells)


def swap(generation: Generation, old: str, new: Seat) -> Edit:
    """Put `new` in the place of `old`: also where overrides name it, and if its seat is dedicated.

    Raises:
        UnknownSeat: `old` has no seat.
        SeatTaken: `new` has one already.
    """
    known(generation, [old])
    if new.cell in {seat.cell for seat in generation.seats}:
        raise SeatTaken(
            f"{new.cell} has a seat already, so it cannot take that of {old}: drain {old} instead"
        )

    def renamed(cells: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(new.cell if cell == old else cell for cell in cells)

    seats = tuple(
        replace(new, draining=False, dedicated=seat.dedicated) if seat.cell == old else seat
        for seat in generation.seats
    )
    overrides = {
        tenant: replace(rule, pins=renamed(rule.pins), excludes=renamed(rule.excludes))
        for tenant, rule in generation.overrides.items()
    }
    return _edit(replace(generation, seats=seats, overrides=overrides), [old, new.cell])


def add(generation: Generation, seats: Sequence[Seat]) -> Edit:
    """Seat cells that have none; where one has, only its zone becomes that of the cell."""
    standing = {seat.cell: seat for seat in generation.seats}
    wanted = {seat.cell: replace(standing.get(seat.cell, seat), zone=seat.zone) for seat in seats}
    named = [cell for cell, seat in wanted.items() if standing.get(cell) != seat]
    after = (*(wanted.pop(seat.cell, seat) for seat in generation.seats), *wanted.values())
    return _edit(replace(generation, seats=after), named)


def remove(generation: Generation, cells: Sequence[str]) -> Edit:
    """Take the seats of `cells` away. Of drained ones that moves nothing; of others it is refused unforced.

    Raises:
        UnknownSeat: one has no seat.
        NoCellLeft: as for `drain`.
    """
    drained = drain(generation, cells)
    seats = {seat.cell: seat for seat in generation.seats}
    dealt = [cell for cell in dict.fromkeys(cells) if not seats[cell].draining]
    is_or_are = "is" if len(dealt) == 1 else "are"
    refusals = (f"{', '.join(dealt)} {is_or_are} still dealt: drain first",) if dealt else ()
    kept = tuple(seat for seat in drained.after.seats if seat.cell not in cells)
    return replace(_edit(replace(drained.after, seats=kept), cells), refusals=refusals)


def in_zone(generation: Generation, zone: str) -> tuple[str, ...]:
    """The cells of a zone. Raises UnknownZone."""
    found = tuple(seat.cell for seat in generation.seats if seat.zone == zone)
    if not found:
        raise UnknownZone(f"no seat is in {zone}{guess(zone, {seat.zone for seat in generation.seats})}")
    return found


def rule(
    generation: Generation,
    tenant: str,
    *,
    size: Size | None = None,
    pins: Sequence[str] = (),
    excludes: Sequence[str] = (),
    group: str | None = None,
    clear: bool = False,
) -> Edit:
    """Say what holds for one tenant; what is not mentioned stays, unless it is cleared first.

    Raises:
        UnknownSeat: a pin or an exclusion has no seat.
    """
    known(generation, [*pins, *excludes])
    stands = NO_OVERRIDE if clear else generation.overrides.get(tenant, NO_OVERRIDE)
    wanted = Override(
        tuple(dict.fromkeys(pins)) or stands.pins,
        tuple(dict.fromkeys(excludes)) or stands.excludes,
        stands.hand_size if size is None else size,
        stands.isolation_group if group is None else group,
    )
    edit = _ruled(generation, generation, tenant, wanted)
    owner = dealt_as(tenant, wanted, generation.owners())
    pools = generation.pools()
    return replace(edit, refusals=_too_large(size, len(pools.get(owner) or pools[""])))


def isolate(generation: Generation, tenant: str, count: int) -> Edit:
    """Dedicate `count` seats to a tenant: those that it is dealt, then the next of its ranking; 0: none.

    It is dealt exactly these, so pins and a size of its own go. What it excludes, what others pin and what is
    dedicated to others is passed over.

    Raises:
        NoCellLeft: there are not as many seats to be had, or none would be left for all others.
    """
    stands = generation.overrides.get(tenant, NO_OVERRIDE)
    own = [seat.cell for seat in generation.seats if seat.dedicated == tenant]
    kept = own if not count else _ranking(generation, tenant, stands)[:count]
    if len(kept) < count:
        raise NoCellLeft(
            f"{len(kept)} cells can be dedicated to {tenant}, and not {count}: "
            "the others drain, are dedicated or pinned to others, or it excludes them"
        )
    after = _with_seats(generation, own, dedicated="")
    if count:
        after = _with_seats(after, kept, dedicated=tenant)
    if not after.active():
        raise NoCellLeft(f"with {count} cells for {tenant}, none is left for all others")
    wanted = replace(stands, pins=(), hand_size=0) if count else stands
    edit = _ruled(generation, after, tenant, wanted)
    return replace(edit, cells=tuple(dict.fromkeys((*own, *kept, *edit.cells))))


def resize(generation: Generation, size: Size) -> Edit:
    """The size of hands of tenants without one of their own: it is about every cell."""
    edit = _edit(replace(generation, hand_size=size), [seat.cell for seat in generation.seats])
    return replace(edit, refusals=_too_large(size, len(generation.active())))


def between(before: Generation, after: Generation) -> Edit:
    """What a whole map is about: the seats that it changes, and the hands of tenants with other rules.

    It does not name a cell that it takes away while it is still dealt, since somebody may have left it out.
    """
    old = {seat.cell: seat for seat in before.seats}
    new = {seat.cell: seat for seat in after.seats}
    named = [
        cell
        for cell in (*old, *(cell for cell in new if cell not in old))
        if old.get(cell) != new.get(cell) and (cell in new or old[cell].draining)
    ]
    check_generation(after)
    ruled = [
        tenant
        for tenant in dict.fromkeys((*before.overrides, *after.overrides))
        if before.overrides.get(tenant) != after.overrides.get(tenant)
    ]
    dealers = [Dealer(one, cached=1) for one in (before, after)] if ruled and before.seats else []
    hands = (cell for tenant in ruled for dealer in dealers for cell in dealer.hand(tenant))
    return _edit(after, [*named, *hands])


def known(generation: Generation, cells: Iterable[str]) -> None:
    """Raises UnknownSeat for the first of `cells` that has no seat."""
    seats = {seat.cell for seat in generation.seats}
    for cell in cells:
        if cell not in seats:
            raise UnknownSeat(f"{cell} has no seat in generation {generation.number}{guess(cell, seats)}")


def guess(name: str, names: Collection[str]) -> str:
    """What may have been meant by `name`, in words; "" if nothing is like it."""
    close = get_close_matches(name, names, _MOST_GUESSES, _LIKENESS)
    return f": did you mean {' or '.join(close)}?" if close else ""


def _ranking(generation: Generation, tenant: str, rule: Override) -> list[str]:
    """The seats that may be dedicated to a tenant, those that it is dealt now first."""
    pinned = {cell for other, rule in generation.overrides.items() if other != tenant for cell in rule.pins}
    own = {seat.cell for seat in generation.seats if seat.dedicated == tenant and not seat.draining}
    free = {seat.cell for seat in generation.active() if seat.cell not in pinned} | own
    # By the name that it will be dealt by, from all that is free to it, and nothing else.
    pool = tuple(replace(seat, dedicated="") for seat in generation.seats if seat.cell in free)
    ranked = Dealer(replace(generation, seats=pool, hand_size=max(len(pool), 1), overrides={})).hand(tenant)
    now = [cell for cell in Dealer(generation, cached=1).hand(tenant) if cell in free]
    order = dict.fromkeys((*(cell for cell in ranked if cell in own), *now, *ranked))
    return [cell for cell in order if cell not in rule.excludes]


def _ruled(before: Generation, after: Generation, tenant: str, wanted: Override) -> Edit:
    """`after` with the rule `wanted` for a tenant; it names the cells of its hands."""
    overrides = {**after.overrides, tenant: wanted}
    if wanted == NO_OVERRIDE:
        del overrides[tenant]
    made = check_generation(replace(after, overrides=overrides))
    hands = (Dealer(one, cached=1).hand(tenant) for one in (before, made))
    return _edit(made, [cell for hand in hands for cell in hand])


def _too_large(size: Size | None, cells: int) -> tuple[str, ...]:
    least = size.min if isinstance(size, Share) else size or 0
    return (f"a hand of {least} is larger than all that is dealt, {cells} cells",) if least > cells else ()


def _with_seats(generation: Generation, cells: Collection[str], **changed: Any) -> Generation:
    """`generation`, with something other about the seats of `cells`."""
    seats = tuple(replace(seat, **changed) if seat.cell in cells else seat for seat in generation.seats)
    return replace(generation, seats=seats)


def _edit(after: Generation, cells: Iterable[str]) -> Edit:
    return Edit(check_generation(after), tuple(dict.fromkeys(cells)))
