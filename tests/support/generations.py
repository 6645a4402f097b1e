"""Generations to deal from: the even fleet that the published figures are for, and arbitrary ones."""

from __future__ import annotations

import random
from collections.abc import Callable
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


def generations() -> st.SearchStrategy[Generation]:
    """Up to 24 cells in up to 5 zones, of any weights, some draining; no overrides."""
    return _of_numbers(any_generation)


def _of_numbers(make: Callable[[random.Random], Generation]) -> st.SearchStrategy[Generation]:
    """What is made of a number, since drawing each part of it would take fifty times as long."""
    return st.integers(0, 2**32 - 1).map(lambda seed: make(random.Random(seed)))


def any_generation(rng: random.Random) -> Generation:
    seats = tuple(
        Seat(
            f"c{rng.randrange(10**9)}",
            f"zone-{rng.randrange(5)}",
            rng.choice((1.0, 1.0, rng.uniform(0.25, 8))),
            draining=index > 1 and rng.random() < 0.4,
        )
        for index in range(rng.randrange(2, 25))
    )
    return Generation(1, rng.getrandbits(64), rng.randrange(1, 13), seats)


# Tenants of `maps`, who may have rules and dedicated seats, and two that have neither.
OWNERS = ("acme", "globex", "banks")
RULED = (*OWNERS, "initech", "umbrella")
EVERYBODY = (*RULED, "plain", "other")

sizes: st.SearchStrategy[Size] = st.one_of(
    st.integers(1, 12), st.builds(Share, st.integers(1, 100), st.integers(1, 6))
)


def any_map(rng: random.Random) -> Generation:
    """One that can deal, with every rule there is: dedicated seats, shares, overrides, groups."""
    base = any_generation(rng)
    seats: list[Seat] = [*base.seats[:2]]
    for seat in base.seats[2:]:
        owner = rng.choice(("", "", *OWNERS))
        is_first = owner and owner not in {other.dedicated for other in seats}
        seats.append(replace(seat, dedicated=owner, draining=seat.draining and not is_first))
    generation = replace(base, hand_size=any_size(rng), seats=tuple(seats))
    for tenant in RULED:
        if rng.random() < 0.5:
            generation = ruled(generation, tenant, rng)
    return check_generation(generation)


def any_size(rng: random.Random) -> Size:
    return rng.choice((rng.randrange(1, 13), Share(rng.randrange(1, 101), rng.randrange(1, 7))))


def ruled(generation: Generation, tenant: str, rng: random.Random) -> Generation:
    """`generation` with a rule about `tenant`, or as it is, if it could not deal by that."""
    cells = [seat.cell for seat in generation.seats]
    rule = Override(
        tuple(rng.choices(cells, k=rng.choice((0, 0, 1, 4)))),
        tuple(rng.choices(cells, k=rng.choice((0, 0, 1, 4)))),
        rng.choice((0, any_size(rng))),
        rng.choice(("", "banks", "trials")),
    )
    try:
        return check_generation(overriding(generation, tenant, rule))
    except InvalidGeneration:
        return generation


def maps() -> st.SearchStrategy[Generation]:
    """Any of `any_map`."""
    return _of_numbers(any_map)
