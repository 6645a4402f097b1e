from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from itertools import pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.generations import (
    EVERYBODY,
    SEED,
    TENANTS,
    draining,
    even,
    maps,
    names,
    overriding,
    resized,
    with_seat,
    without,
)

from sharding.dealer import Dealer
from sharding.generation import Generation, Override, Seat, check_generation
from sharding.placement import cells_for, lookback, order
from sharding.ramp import WHOLE, which

HAND = ("a", "b", "c", "d")


def test_an_order_has_every_cell_once_whatever_the_hands_own_order() -> None:
    expected = order(HAND, "acme", "churn", SEED)
    assert sorted(expected) == sorted(HAND)
    for hand in permutations(HAND):
        assert expected == order(hand, "acme", "churn", SEED)


@given(st.lists(names, unique=True, min_size=1, max_size=10), names, names, st.data())
def test_a_cell_that_leaves_the_hand_leaves_the_order_of_the_others(
    hand: list[str], tenant: str, model: str, data: st.DataObject
) -> None:
    gone = data.draw(st.sampled_from(hand))
    rest = [cell for cell in hand if cell != gone]
    assert order(rest, tenant, model) == tuple(c for c in order(hand, tenant, model) if c != gone)


def test_models_spread_evenly_over_the_hand() -> None:
    count = 20_000
    tally = Counter(order(HAND, "acme", f"model-{i}", SEED) for i in range(count))
    assert len(tally) == 24
    sigma = (count / 24 * 23 / 24) ** 0.5
    assert max(abs(n - count / 24) for n in tally.values()) < 5 * sigma


def test_tenant_model_and_seed_each_have_a_say() -> None:
    base = [order(HAND, f"t{i}", f"m{i}", 0) for i in range(50)]
    assert base != [order(HAND, "t", f"m{i}", 0) for i in range(50)]
    assert base != [order(HAND, f"t{i}", "m", 0) for i in range(50)]
    assert base != [order(HAND, f"t{i}", f"m{i}", 1) for i in range(50)]


def test_an_empty_hand_has_an_empty_order() -> None:
    assert order((), "acme", "churn") == ()


def test_without_a_previous_generation() -> None:
    dealer = Dealer(even())
    assert cells_for(dealer, None, "acme", "churn") == order(dealer.hand("acme"), "acme", "churn", SEED)


def test_current_cells_come_first_and_each_cell_once() -> None:
    before, after = even(), without(without(even(), "cell-017"), "cell-018")
    previous, current = Dealer(before), Dealer(after)
    longer = 0
    for tenant in TENANTS[:2_000]:
        cells = cells_for(current, previous, tenant, "churn")
        hand = current.hand(tenant)
        assert cells[: len(hand)] == order(hand, tenant, "churn", SEED)
        assert set(cells[len(hand) :]) == set(previous.hand(tenant)) - set(hand)
        assert len(set(cells)) == len(cells)
        longer += len(cells) > len(hand)
    assert longer > 0


def test_a_thousand_shrinks_lose_no_cell_that_may_hold_the_model() -> None:
    rng = random.Random(5)
    missed = 0
    for tenant in TENANTS[:1_000]:
        size = rng.randrange(2, 12)
        larger = overriding(even(), tenant, Override(hand_size=size))
        smaller = overriding(even(), tenant, Override(hand_size=rng.randrange(1, size)))
        previous, current = Dealer(larger), Dealer(smaller)
        held = set(previous.hand(tenant)) | set(current.hand(tenant))
        missed += not held <= set(cells_for(current, previous, tenant, "churn"))
    assert missed == 0


@given(maps(), maps(), st.sampled_from(EVERYBODY), st.integers(0, WHOLE))
def test_on_a_ramp_who_deals_comes_first_and_the_other_hand_is_behind(
    one: Generation, other: Generation, tenant: str, ramp: int
) -> None:
    previous, current = Dealer(one), Dealer(replace(other, number=2))
    dealer = which(current, previous, ramp, tenant)
    cells = cells_for(current, previous, tenant, "churn", ramp)
    hand = dealer.hand(tenant)
    assert cells[: len(hand)] == order(hand, tenant, "churn", dealer.generation.seed)
    assert {*cells} == {*current.hand(tenant), *previous.hand(tenant)}
    assert len({*cells}) == len(cells)


def test_before_a_ramp_begins_everybody_is_asked_where_he_was() -> None:
    previous, current = Dealer(even()), Dealer(without(even(), "cell-017"))
    for tenant in TENANTS[:500]:
        hand = previous.hand(tenant)
        before = cells_for(previous, None, tenant, "churn")
        assert cells_for(current, previous, tenant, "churn", 0)[: len(hand)] == before
        assert cells_for(current, previous, tenant, "churn", WHOLE) == cells_for(
            current, previous, tenant, "churn"
        )


def changed(generation: Generation, rng: random.Random, step: int) -> Generation:
    """The next generation: a cell lost, drained, added or reweighted, or another size of hand."""
    seat = rng.choice(generation.seats)
    match rng.randrange(5):
        case 0:
            return without(generation, seat.cell)
        case 1:
            return draining(generation, seat.cell)
        case 2:
            return with_seat(generation, Seat(f"new-{step}", f"zone-{rng.randrange(3)}"))
        case 3:
            return with_seat(generation, replace(seat, weight=rng.uniform(0.5, 2)))
        case _:
            return resized(generation, rng.randrange(1, 12))


@pytest.mark.parametrize("seed", range(5))
def test_a_lookback_holds_every_hand_of_the_period(seed: int) -> None:
    rng = random.Random(seed)
    history = [even(cells=40, zones=3, hand_size=6)]
    for step in range(20):
        history.append(check_generation(changed(history[-1], rng, step)))
    dealers = [Dealer(generation) for generation in reversed(history)]
    for tenant in TENANTS[:100]:
        period = lookback(dealers, tenant)
        assert period[: len(dealers[0].hand(tenant))] == dealers[0].hand(tenant)
        assert len(set(period)) == len(period)
        assert set(period) == {cell for dealer in dealers for cell in dealer.hand(tenant)}
        for current, previous in pairwise(dealers):
            assert set(lookback((current, previous, None), tenant)) == set(
                cells_for(current, previous, tenant, "churn")
            )
