"""Generations to deal from: the even fleet that the published figures are for, and arbitrary ones."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from sharding.generation import Generation, Override, Seat

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


def resized(generation: Generation, hand_size: int) -> Generation:
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
