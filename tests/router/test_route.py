from dataclasses import replace

import pytest
from support.fakes import generation, view

from router.route import NOWHERE, NoShardMap, point_of, route
from sharding.dealer import Dealer
from sharding.ramp import point

CELLS = [f"cell-{n}" for n in range(8)]
OLD, NEW = generation(CELLS, hand_size=3), generation(CELLS[2:], hand_size=2, number=2)


def test_a_route_is_the_hand_in_the_models_order() -> None:
    found = view(generations=(OLD,))
    orders = {route(found, "acme", f"model-{n}") for n in range(50)}
    assert {frozenset(order) for order in orders} == {frozenset(Dealer(OLD).hand("acme"))}
    assert len({order[0] for order in orders}) == 3


def test_the_previous_generation_comes_after_the_current_one() -> None:
    found = view(generations=(NEW, OLD))
    current, previous = Dealer(NEW).hand("acme"), Dealer(OLD).hand("acme")
    order = route(found, "acme", "churn")
    assert set(order[:2]) == set(current)
    assert set(order[2:]) == set(previous) - set(current)


def test_without_a_shard_map_there_is_no_route() -> None:
    with pytest.raises(NoShardMap) as caught:
        route(view(), "acme", "churn")
    assert caught.value.retry_after > 0


def test_a_tenant_that_the_ramp_has_not_come_to_is_dealt_to_by_the_generation_before() -> None:
    found = view(generations=(NEW, OLD))
    stands = point_of(found, "acme")
    assert stands == point(NEW, "acme") >= 0
    for ramp, hand, other in ((stands, OLD, NEW), (stands + 1, NEW, OLD)):
        order, size = route(replace(found, ramp=ramp), "acme", "churn"), len(Dealer(hand).hand("acme"))
        assert {*order[:size]} == {*Dealer(hand).hand("acme")}
        assert {*order[size:]} == {*Dealer(other).hand("acme")} - {*order[:size]}


def test_where_nothing_takes_over_nobody_waits_for_a_ramp() -> None:
    assert point_of(view(generations=(NEW,)), "acme") == point_of(view(), "acme") == NOWHERE < 0
