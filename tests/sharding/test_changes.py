"""What one shard map changes of another: a line for each thing, and none where hands stay."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from support.generations import (
    dedicated,
    draining,
    generations,
    names,
    overriding,
    resized,
    with_seat,
    without,
)

from sharding.changes import changes
from sharding.dealer import Dealer
from sharding.generation import Generation, Override, Seat, Share

BEFORE = Generation(1, 7, 2, (Seat("cell-1", "a"), Seat("cell-2", "b")), {"acme": Override(pins=("cell-1",))})
EMPTY = Generation(0, 0, 0, ())


def test_every_kind_of_change_has_a_line() -> None:
    after = Generation(
        2,
        8,
        3,
        (Seat("cell-3", "c", 0.5), Seat("cell-1", "a", 2.0, draining=True)),
        {"zeta": Override(("cell-1",), ("cell-3",), 5, "banks")},
    )
    assert changes(BEFORE, after) == [
        "seed: 7 → 8",
        "hand size: 2 → 3",
        "~ seat cell-1 in a → cell-1 in a, weight 2, draining",
        "- seat cell-2 in b",
        "+ seat cell-3 in c, weight 0.5",
        "- override acme: pins cell-1",
        "+ override zeta: pins cell-1; excludes cell-3; hand size 5; isolation group banks",
    ]


def test_a_rule_that_says_nothing_is_told_as_that() -> None:
    after = replace(BEFORE, overrides={"acme": Override()})
    assert changes(BEFORE, after) == ["~ override acme: pins cell-1 → nothing"]


def test_the_first_map_of_all_changes_no_seed() -> None:
    assert changes(EMPTY, BEFORE)[0] == "hand size: 0 → 2"


def test_shares_and_dedicated_seats() -> None:
    after = replace(dedicated(BEFORE, "acme", "cell-2"), hand_size=Share(20, 4))
    after = overriding(after, "acme", Override(hand_size=Share(50)))
    assert changes(BEFORE, after) == [
        "hand size: 2 → 20 % of the cells, at least 4",
        "~ seat cell-2 in b → cell-2 in b, dedicated to acme",
        "~ override acme: pins cell-1 → hand size 50 % of the cells, at least 1",
    ]


def test_who_made_it_and_why_is_not_what_a_map_changes() -> None:
    assert changes(BEFORE, replace(BEFORE, author="ann", reason="rack 7 burns")) == []


def test_numbers_are_not_what_a_map_changes() -> None:
    assert changes(BEFORE, replace(BEFORE, number=9, seed_since=9)) == []


def test_a_seat_that_goes_and_one_that_drains_and_one_that_moves() -> None:
    assert changes(BEFORE, without(BEFORE, "cell-2")) == ["- seat cell-2 in b"]
    assert changes(BEFORE, draining(BEFORE, "cell-2")) == ["~ seat cell-2 in b → cell-2 in b, draining"]
    moved = with_seat(BEFORE, Seat("cell-2", "c"))
    assert changes(BEFORE, moved) == ["~ seat cell-2 in b → cell-2 in c"]


@settings(max_examples=30)
@given(generations(), generations())
def test_there_and_back_are_the_same_things(one: Generation, other: Generation) -> None:
    there, back = changes(one, other), changes(other, one)
    signs = str.maketrans("+-", "-+")
    assert [line[0].translate(signs) for line in there] == [line[0] for line in back]


@settings(max_examples=30)
@given(generations(), st.randoms(use_true_random=False), names, names)
def test_what_has_no_line_deals_the_same_hands(generation: Generation, rng, tenant: str, other: str) -> None:
    before = overriding(overriding(generation, "a", Override(hand_size=1)), "b", Override(hand_size=2))
    seats = rng.sample(before.seats, len(before.seats))
    after = replace(before, seats=tuple(seats), overrides=dict(reversed(before.overrides.items())))
    assert changes(before, after) == []
    old, new = Dealer(before), Dealer(after)
    assert [old.hand(one) for one in (tenant, other, "a", "b")] == [
        new.hand(one) for one in (tenant, other, "a", "b")
    ]


@settings(max_examples=30)
@given(generations(), st.integers(1, 12))
def test_what_has_a_line_is_other(generation: Generation, size: int) -> None:
    after = resized(generation, size)
    assert (changes(generation, after) == []) == (generation.hand_size == size)
