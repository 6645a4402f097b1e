"""Who is hurt when cells break, counted one by one, and near the chance of it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.generations import EVERYBODY, TENANTS, dedicated, even, maps, overriding

from sharding.blast import blast, chances, poison, zone_cells
from sharding.dealer import Dealer
from sharding.generation import Generation, Override
from sharding.overlap import zoned_overlap
from sharding.population import deal

HANDS = deal(Dealer(even()), TENANTS)


@given(maps(), st.integers(0, 2**24 - 1))
def test_whole_and_partial_are_as_counted(generation: Generation, chosen: int) -> None:
    dealer = Dealer(generation)
    cells = {seat.cell for n, seat in enumerate(generation.seats) if chosen >> n & 1}
    hurt = blast(deal(dealer, EVERYBODY), cells, [0])
    hands = {n: {*dealer.hand(name)} for n, name in enumerate(EVERYBODY) if n}
    assert hurt.whole.tolist() == [n for n, hand in hands.items() if hand <= cells]
    partial = [n for n, hand in hands.items() if hand & cells and not hand <= cells]
    assert hurt.partial.tolist() == partial
    assert hurt.left.tolist() == pytest.approx([len(hands[n] - cells) / len(hands[n]) for n in partial])
    assert hurt.cells == tuple(sorted(cells))
    shared = [len(hand & cells) for hand in hands.values()]
    assert (hurt.tenants, [*hurt.shared]) == (len(hands), np.bincount(shared).tolist())


def test_a_zone_hurts_all_partly_and_those_wholly_who_are_pinned_into_it() -> None:
    generation = overriding(even(), "tenant-5", Override(pins=("cell-000", "cell-004")))
    hurt = blast(deal(Dealer(generation), TENANTS), zone_cells(generation, "zone-0"))
    assert hurt.whole.tolist() == [5]
    assert len(hurt.partial) == len(TENANTS) - 1
    assert (hurt.left == 0.75).all()


def test_a_dedicated_hand_hurts_its_owner_alone() -> None:
    generation = dedicated(even(), "tenant-5", "cell-000", "cell-001")
    hands = deal(Dealer(generation), TENANTS)
    hurt = blast(hands, hands.hand(5))
    assert (hurt.whole.tolist(), hurt.partial.tolist()) == ([5], [])
    assert float(chances(generation, hands.hand(5))[0]) == 1.0


def test_chances_of_a_hand_are_the_closed_form() -> None:
    assert chances(even(), Dealer(even()).hand("acme")) == zoned_overlap([16] * 4, 4)
    assert chances(even(), ()) == (1, 0, 0, 0, 0)


def test_counts_are_near_the_chances() -> None:
    for cells in (HANDS.hand(0), zone_cells(even(), "zone-1"), [f"cell-{n:03}" for n in range(30)]):
        odds = [float(chance) for chance in chances(even(), cells)]
        hurt = blast(HANDS, cells)
        for seen, chance in ((hurt.whole, odds[-1]), (hurt.partial, 1 - odds[0] - odds[-1])):
            sigma = (len(TENANTS) * chance * (1 - chance)) ** 0.5
            assert abs(len(seen) - len(TENANTS) * chance) < 5 * sigma + 2


def test_one_poison_tenant_takes_hardly_another_with_it() -> None:
    """Of 99,999 others 1.5 on average: here a fifth of them, and three together."""
    one = poison(HANDS, even(), 1, 300, np.random.default_rng(5))
    expected = (len(TENANTS) - 1) * float(zoned_overlap([16] * 4, 4)[4])
    assert one.expected_whole == pytest.approx(expected)
    assert expected * 5 == pytest.approx(1.5, abs=0.03)
    assert abs(one.whole.mean() - expected) < 5 * (expected / 300) ** 0.5
    assert one.partial.mean() == pytest.approx(one.expected_partial, rel=0.02)
    three = poison(HANDS, even(), 3, 50, np.random.default_rng(5))
    assert three.whole.mean() == pytest.approx(three.expected_whole, rel=0.3)
    with pytest.raises(ValueError, match="larger sample"):
        poison(HANDS, even(), len(TENANTS) + 1, 1, np.random.default_rng(5))


def test_exact_chances_that_take_long_are_those_of_the_first_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    every = poison(HANDS, even(), 1, 50, np.random.default_rng(5))
    first = poison(HANDS, even(), 1, 1, np.random.default_rng(5))
    monkeypatch.setattr("sharding.blast._MOST_REACHES", 1)
    some = poison(HANDS, even(), 1, 50, np.random.default_rng(5))
    assert (some.whole == every.whole).all()
    assert some.expected_partial == first.expected_partial
