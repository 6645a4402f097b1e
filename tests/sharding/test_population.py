"""A population is dealt what the dealer deals each of its tenants, and counted as one would by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.generations import EVERYBODY, TENANTS, even, maps, without

from sharding.dealer import Dealer
from sharding.generation import Generation
from sharding.population import Hands, cells_of, deal, merged


@given(maps(), st.permutations((*EVERYBODY, *TENANTS[:20])))
def test_every_hand_is_the_dealers(generation: Generation, tenants: list[str]) -> None:
    dealer = Dealer(generation)
    hands = deal(dealer, tenants)
    assert [hands.hand(index) for index in range(len(tenants))] == [dealer.hand(name) for name in tenants]
    assert len(hands) == len(tenants)
    assert hands.sizes.tolist() == [len(dealer.hand(name)) for name in tenants]


def test_cells_of_two_generations_have_one_number_each() -> None:
    before, after = even(), without(even(), "cell-005")
    cells = cells_of(before, after)
    for generation in (before, after):
        dealer = Dealer(generation)
        hands = deal(dealer, TENANTS[:100], cells)
        assert [hands.hand(index) for index in range(100)] == [dealer.hand(name) for name in TENANTS[:100]]
    with pytest.raises(KeyError, match="cell-005"):
        deal(Dealer(before), TENANTS[:100], cells_of(after))


def test_nobody_has_hands_too() -> None:
    hands = deal(Dealer(even()), ())
    assert (len(hands), hands.slots.tolist()) == (0, [])
    assert not hands.count().any()


HANDS = Hands(("a", "b", "c"), np.array([0, 2, 2, 3, 6]), np.array([0, 2, 1, 2, 1, 0], np.int32))


def test_what_is_counted_by_tenant_and_by_cell() -> None:
    assert HANDS.marked(np.array([True, False, False])).tolist() == [1, 0, 0, 1]
    assert HANDS.totals(np.array([True, False, True, False, False, True])).tolist() == [1, 0, 1, 1]
    assert HANDS.count().tolist() == [2, 2, 2]
    assert HANDS.count(np.array([True, False, True, False, False, True])).tolist() == [2, 1, 0]
    said, other = np.array([1.0, 9.0, 2.0, 3.0]), np.array([10.0, 90.0, 20.0, 30.0])
    assert HANDS.per_cell(said).tolist() == [4, 5, 4]
    assert HANDS.per_cell(said, other, np.array([1, 0, 0, 0, 0, 1], np.bool_)).tolist() == [40, 5, 4]
    assert HANDS.loads().tolist() == pytest.approx([1 / 2 + 1 / 3, 1 + 1 / 3, 1 / 2 + 1 / 3])
    rates = np.array([4.0, 100.0, 2.0, 3.0])
    assert HANDS.loads(rates).tolist() == [3, 3, 3]


@given(maps(), maps(), st.integers(1, 5))
def test_what_is_shared_and_what_is_new(one: Generation, other: Generation, shift: int) -> None:
    cells = cells_of(one, other)
    before, after = (deal(Dealer(generation), EVERYBODY, cells) for generation in (one, other))
    some = np.arange(len(EVERYBODY))
    others = np.roll(some, shift)
    shared = [len({*after.hand(a)} & {*after.hand(b)}) for a, b in zip(some, others, strict=True)]
    assert after.shared(some, others).tolist() == shared
    new = [cell not in before.hand(t) for t in range(len(EVERYBODY)) for cell in after.hand(t)]
    assert after.new_since(before).tolist() == new


@given(maps(), maps(), st.sets(st.sampled_from(EVERYBODY)))
def test_two_generations_deal_to_each_tenant_by_one_of_them(
    active: Generation, previous: Generation, over: set[str]
) -> None:
    cells = cells_of(active, previous)
    dealers = Dealer(active), Dealer(previous)
    taken = np.array([name in over for name in EVERYBODY])
    hands = merged(*(deal(dealer, EVERYBODY, cells) for dealer in dealers), taken)
    expected = [dealers[name not in over].hand(name) for name in EVERYBODY]
    assert [hands.hand(index) for index in range(len(EVERYBODY))] == expected
