import pytest
from support.fakes import generation, view

from router.route import NoShardMap, route
from sharding.dealer import Dealer

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
