import math
from dataclasses import replace

import pytest
from support.generations import draining, even, overriding

from croupier.errors import InvalidRequest
from sharding.generation import Generation, InvalidGeneration, Override, Seat, check_generation

GOOD = even(cells=4, zones=2, hand_size=2)
ALL = tuple(seat.cell for seat in GOOD.seats)


def test_a_good_generation_is_returned() -> None:
    generation = overriding(GOOD, "acme", Override(pins=ALL[:1], excludes=ALL[1:2], isolation_group="g"))
    assert check_generation(generation) is generation


@pytest.mark.parametrize(
    ("generation", "field", "says"),
    [
        (replace(GOOD, seats=()), "seats", "no seat is left"),
        (replace(GOOD, seats=(*GOOD.seats, GOOD.seats[0])), "seats", "two seats"),
        (replace(GOOD, seats=(Seat("a", "z", draining=True),)), "seats", "no seat is left"),
        (replace(GOOD, hand_size=0), "hand_size", "at least one"),
        (replace(GOOD, seed=-1), "seed", "64-bit"),
        (replace(GOOD, seed=2**64), "seed", "64-bit"),
        (replace(GOOD, seats=(Seat("a", "z", 0.0),)), "seats", "weight of a"),
        (replace(GOOD, seats=(Seat("a", "z", math.inf),)), "seats", "weight of a"),
        (replace(GOOD, seats=(Seat("a", "z", math.nan),)), "seats", "weight of a"),
        (overriding(GOOD, "acme", Override(pins=("ghost",))), "overrides", "acme names cells.*ghost"),
        (overriding(GOOD, "acme", Override(excludes=("ghost",))), "overrides", "acme names cells.*ghost"),
        (overriding(GOOD, "acme", Override(hand_size=-1)), "overrides", "negative"),
        (overriding(GOOD, "acme", Override(excludes=ALL)), "overrides", "acme leaves no cell"),
    ],
)
def test_a_generation_that_cannot_deal(generation: Generation, field: str, says: str) -> None:
    with pytest.raises(InvalidGeneration, match=says) as caught:
        check_generation(generation)
    assert field == caught.value.field


@pytest.mark.parametrize(
    "generation",
    [
        replace(GOOD, seats=(Seat("../a", "z"),)),
        replace(GOOD, seats=(Seat("a", ""),)),
        overriding(GOOD, "a\0b", Override()),
        overriding(GOOD, "acme", Override(isolation_group="a\0b")),
    ],
)
def test_names_are_checked(generation: Generation) -> None:
    with pytest.raises(InvalidRequest):
        check_generation(generation)


def test_a_drain_that_would_leave_a_tenant_without_cells() -> None:
    generation = overriding(GOOD, "acme", Override(excludes=ALL[1:]))
    check_generation(generation)
    with pytest.raises(InvalidGeneration, match="leaves no cell"):
        check_generation(draining(generation, ALL[0]))


def test_an_active_pin_outranks_the_exclusion_of_everything() -> None:
    check_generation(overriding(GOOD, "acme", Override(pins=ALL[:1], excludes=ALL)))
