"""Generations to deal from: the even fleet that the published figures are for, and arbitrary ones."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from sharding.generation import (
    Generation,
    InvalidGeneration,
    Override,
    Seat,
    Share,
    Size,
    check_generation,
)

SEED = 7
TENANTS = tuple(f"tenant-{i}" for i in range(20_000))


def even(cells: int = 64, zones: int = 4, hand_size: int = 4) -> Generation:
    """`cells` of weight 1, dealt in turn over `zones`."""
    seats = tuple(Seat(f"cell-{i:03}", f"zone-{i % zones}") for i in range(cells))
    return Generation(1, SEED, hand_size, seats)


def without(generation: Generation, cell: str) -> Generation:
    seats = tuple(seat for seat in generation.seats if seat.cell != cell)
    return replace(generation, number=generation.number + 1, seats=seats)


def with_seat(generation: Generation, seat: Seat) -> Generation:
    """`seat` added, or put in the place of its cell's seat."""
    return replace(without(generation, seat.cell), seats=(*without(generation, seat.cell).seats, seat))


def draining(generation: Generation, cell: str) -> Generation:
    """The seat of `cell` draining, in its old position."""
    seats = tuple(replace(seat, draining=seat.draining or seat.cell == cell) for seat in generation.seats)
    return replace(generation, number=generation.number + 1, seats=seats)


def dedicated(generation: Generation, owner: str, *cells: str) -> Generation:
    """The seats of `cells` dedicated to `owner`; to nobody, if that is empty."""
    seats = tuple(
        replace(seat, dedicated=owner if seat.cell in cells else seat.dedicated) for seat in generation.seats
    )
    return replace(generation, number=generation.number + 1, seats=seats)


def resized(generation: Generation, hand_size: Size) -> Generation:
    return replace(generation, number=generation.number + 1, hand_size=hand_size)


def overriding(generation: Generation, tenant: str, override: Override) -> Generation:
    return replace(generation, overrides={**generation.overrides, tenant: override})


names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=12)


@st.composite
def generations(draw: st.DrawFn, *, min_active: int = 2) -> Generation:
    """Up to 24 cells in up to 5 zones, of any weights, some draining; no overrides."""
    cells = draw(st.lists(names, unique=True, min_size=min_active, max_size=24))
    seats = tuple(
        Seat(
            cell,
            f"zone-{draw(st.integers(0, 4))}",
            draw(st.floats(0.25, 8)),
            draining=index >= min_active and draw(st.booleans()),
        )
        for index, cell in enumerate(cells)
    )
    return Generation(1, draw(st.integers(0, 2**64 - 1)), draw(st.integers(1, 12)), seats)


# Tenants of `maps`, who may have rules and dedicated seats, and two that have neither.
OWNERS = ("acme", "globex", "banks")
RULED = (*OWNERS, "initech", "umbrella")
EVERYBODY = (*RULED, "plain", "other")

sizes: st.SearchStrategy[Size] = st.one_of(
    st.integers(1, 12), st.builds(Share, st.integers(1, 100), st.integers(1, 6))
)


@st.composite
def maps(draw: st.DrawFn) -> Generation:
    """Generations that can deal, with every rule: dedicated seats, shares, overrides, groups."""
    base = draw(generations())
    seats = list(base.seats[:2])
    for seat in base.seats[2:]:
        owner = draw(st.sampled_from(("", "", *OWNERS)))
        is_first = owner and owner not in {other.dedicated for other in seats}
        seats.append(replace(seat, dedicated=owner, draining=seat.draining and not is_first))
    generation = replace(base, seats=tuple(seats), hand_size=draw(sizes))
    for tenant in draw(st.lists(st.sampled_from(RULED), unique=True)):
        generation = draw(ruled(generation, tenant))
    return check_generation(generation)


@st.composite
def ruled(draw: st.DrawFn, generation: Generation, tenant: str) -> Generation:
    """`generation` with a rule about `tenant`, or as it is, if it cannot deal by that."""
    cells = [seat.cell for seat in generation.seats]
    some = st.lists(st.sampled_from(cells), max_size=4).map(tuple)
    rule = Override(
        draw(st.one_of(st.just(()), some)),
        draw(st.one_of(st.just(()), some)),
        draw(st.one_of(st.just(0), sizes)),
        draw(st.sampled_from(("", "banks", "trials"))),
    )
    try:
        return check_generation(overriding(generation, tenant, rule))
    except InvalidGeneration:
        return generation
