import math
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.generations import EVERYBODY, dedicated, draining, even, maps, overriding, resized

from croupier.errors import InvalidRequest
from sharding.dealer import Dealer
from sharding.generation import (
    Generation,
    InvalidGeneration,
    Override,
    Seat,
    Share,
    check_generation,
    dealt_as,
    size_of,
)

GOOD = even(cells=4, zones=2, hand_size=2)
ALL = tuple(seat.cell for seat in GOOD.seats)


def test_a_good_generation_is_returned() -> None:
    generation = overriding(GOOD, "acme", Override(pins=ALL[:1], excludes=ALL[1:2], isolation_group="g"))
    assert check_generation(generation) is generation


@pytest.mark.parametrize(
    ("generation", "field", "says"),
    [
        (replace(GOOD, seats=()), "seats", "no seat is left to deal"),
        (replace(GOOD, seats=(*GOOD.seats, GOOD.seats[0])), "seats[4].cell", "cell-000 has 2 seats"),
        (replace(GOOD, seats=(Seat("a", "z", draining=True),)), "seats", "no seat is left to deal"),
        (dedicated(GOOD, "acme", *ALL), "seats", "no seat is left to deal; the others are dedicated"),
        (
            draining(dedicated(GOOD, "acme", ALL[3]), ALL[3]),
            "seats",
            "every seat that is dedicated to acme drains: it has no cell left",
        ),
        (replace(GOOD, hand_size=0), "hand_size", "the hand size is 0, and has to be 1 at least"),
        (resized(GOOD, Share(0)), "hand_size.percent", "the hand size is 0 %, and has to be from 1 to 100 %"),
        (resized(GOOD, Share(101)), "hand_size.percent", "is 101 %"),
        (resized(GOOD, Share(5, 0)), "hand_size.min", "the hand size is 0 cells at least"),
        (replace(GOOD, seed=-1), "seed", "the seed -1 is not an unsigned 64-bit number"),
        (replace(GOOD, seed=2**64), "seed", "64-bit"),
        (replace(GOOD, seats=(Seat("a", "z", 0.0),)), "seats[0].weight", "seat a: the weight is 0"),
        (replace(GOOD, seats=(Seat("a", "z", math.inf),)), "seats[0].weight", "the weight is inf"),
        (replace(GOOD, seats=(Seat("a", "z", math.nan),)), "seats[0].weight", "the weight is nan"),
        (
            overriding(GOOD, "acme", Override(pins=("ghost", ALL[0], "g2"))),
            "overrides.acme.pins",
            "override acme names in pins what has no seat: ghost, g2",
        ),
        (
            overriding(GOOD, "acme", Override(excludes=("ghost",))),
            "overrides.acme.excludes",
            "override acme names in excludes what has no seat: ghost",
        ),
        (
            overriding(GOOD, "acme", Override(hand_size=-1)),
            "overrides.acme.hand_size",
            "override acme: the hand size is -1",
        ),
        (
            overriding(GOOD, "acme", Override(hand_size=Share(0))),
            "overrides.acme.hand_size.percent",
            "override acme: the hand size is 0 %",
        ),
        (
            overriding(GOOD, "acme", Override(excludes=ALL)),
            "overrides.acme.excludes",
            "override acme leaves no cell to deal: it excludes all",
        ),
        (
            overriding(dedicated(GOOD, "globex", ALL[3]), "acme", Override(pins=(ALL[0], ALL[3]))),
            "overrides.acme.pins",
            "override acme pins cell-003, which is dedicated to globex",
        ),
        (
            overriding(dedicated(GOOD, "acme", ALL[3]), "acme", Override(excludes=ALL[3:])),
            "overrides.acme.excludes",
            "override acme leaves no cell",
        ),
        (replace(GOOD, author="a" * 1001), "author", "the author has 1001 characters, and may have 1000"),
        (replace(GOOD, reason="a" * 1001), "reason", "the reason has 1001 characters"),
    ],
)
def test_a_generation_that_cannot_deal(generation: Generation, field: str, says: str) -> None:
    with pytest.raises(InvalidGeneration) as caught:
        check_generation(generation)
    assert field == caught.value.field
    assert says in caught.value.message


@pytest.mark.parametrize(
    "generation",
    [
        replace(GOOD, seats=(Seat("../a", "z"),)),
        replace(GOOD, seats=(Seat("a", ""),)),
        overriding(GOOD, "a\0b", Override()),
        overriding(GOOD, "acme", Override(isolation_group="a\0b")),
        dedicated(GOOD, "a/b", ALL[0]),
    ],
)
def test_names_are_checked(generation: Generation) -> None:
    with pytest.raises(InvalidRequest):
        check_generation(generation)


def test_who_may_pin_a_dedicated_cell() -> None:
    """Its owner, and the members of a group that owns it."""
    generation = dedicated(GOOD, "banks", ALL[3])
    check_generation(overriding(generation, "banks", Override(pins=(ALL[3],))))
    check_generation(overriding(generation, "acme", Override(pins=(ALL[3],), isolation_group="banks")))


def test_what_is_dedicated_to_another_may_be_excluded() -> None:
    check_generation(overriding(dedicated(GOOD, "globex", ALL[3]), "acme", Override(excludes=(ALL[3],))))


def test_an_exclusion_of_all_that_is_not_dedicated_leaves_ones_own() -> None:
    check_generation(overriding(dedicated(GOOD, "acme", ALL[3]), "acme", Override(excludes=ALL[:3])))


@given(st.integers(1, 100), st.integers(1, 20), st.integers(0, 3_000))
def test_a_share_is_rounded_up_and_bounded(percent: int, least: int, cells: int) -> None:
    size = Share(percent, least).of(cells)
    assert size == min(cells, max(least, math.ceil(Fraction(percent * cells, 100))))
    assert 0 <= Share(percent, least).of(cells + 1) - size <= 1


def test_what_a_share_comes_to() -> None:
    assert [Share(20, 4).of(cells) for cells in (3, 10, 20, 21, 64, 256)] == [3, 4, 4, 5, 13, 52]
    assert (size_of(7, 3), size_of(Share(100), 3)) == (7, 3)


def test_whose_name_a_tenant_is_dealt_by() -> None:
    banks = Override(isolation_group="banks")
    assert dealt_as("acme", Override(), frozenset()) == "acme"
    assert dealt_as("acme", banks, frozenset({"globex"})) == "banks"
    assert dealt_as("acme", banks, frozenset({"acme", "banks"})) == "acme"


@given(maps())
def test_a_map_deals_a_cell_to_everybody(generation: Generation) -> None:
    dealer = Dealer(generation)
    assert all(dealer.hand(tenant) for tenant in EVERYBODY)


def test_a_drain_that_would_leave_a_tenant_without_cells() -> None:
    generation = overriding(GOOD, "acme", Override(excludes=ALL[1:]))
    check_generation(generation)
    with pytest.raises(InvalidGeneration, match="leaves no cell"):
        check_generation(draining(generation, ALL[0]))


def test_an_active_pin_outranks_the_exclusion_of_everything() -> None:
    check_generation(overriding(GOOD, "acme", Override(pins=ALL[:1], excludes=ALL)))
