from dataclasses import replace
from typing import Any

import pytest
from support.fakes import generation, no_change, view

from router.route import Deal, NoShardMap, deal, owner_of, route
from sharding.dealer import Dealer
from sharding.ramp import point
from version_manager.model.fleet import Cell, CellState

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
    stands = point(NEW, "acme")
    for ramp, hand, other in ((stands, OLD, NEW), (stands + 1, NEW, OLD)):
        order, size = route(replace(found, ramp=ramp), "acme", "churn"), len(Dealer(hand).hand("acme"))
        assert {*order[:size]} == {*Dealer(hand).hand("acme")}
        assert {*order[size:]} == {*Dealer(other).hand("acme")} - {*order[:size]}


# Deals

FLEET = [Cell(name, "zone-0", f"{name}:1") for name in CELLS]
FOUND = view(generations=(OLD,), cells=FLEET)
TENANTS = [f"tenant-{n}" for n in range(50)]


def changed(**parts: Any) -> set[str]:
    after = FOUND.after(no_change(**parts))
    assert after is not FOUND
    return {name for name in TENANTS if deal(after, name).basis != deal(FOUND, name).basis}


def having(cell: str, *dealers: Dealer) -> set[str]:
    return {name for name in TENANTS for dealer in dealers if cell in dealer.hand(name)}


@pytest.mark.parametrize(
    "cell",
    [
        Cell("cell-3", "zone-0", "cell-3:1", state=CellState.DRAINING),
        Cell("cell-3", "zone-0", "cell-3:1", protocol=5),
    ],
)
def test_a_cell_that_stands_elsewhere_is_one_of_some_deals(cell: Cell) -> None:
    assert changed(cells=(cell,)) == having("cell-3", Dealer(OLD)) != set()
    assert changed(removed_cells=("cell-3",)) == having("cell-3", Dealer(OLD))


def test_an_address_is_no_part_of_a_deal() -> None:
    assert changed(cells=(Cell("cell-3", "zone-0", "elsewhere:1"),)) == set()


def test_a_generation_that_deals_the_same_changes_its_number_alone() -> None:
    after = FOUND.after(no_change(generations=(replace(OLD, number=2), OLD)))
    for name in TENANTS:
        assert deal(after, name) == replace(deal(FOUND, name), generation=2)


def test_a_generation_changes_the_deals_of_those_whose_hands_it_changes() -> None:
    """The cells behind a hand are a part of it."""
    fewer = replace(OLD, number=2, seats=OLD.seats[1:])
    assert changed(generations=(fewer, OLD)) == having("cell-0", Dealer(OLD))


def test_a_deal_has_an_owner_and_none_without_a_map() -> None:
    found = deal(FOUND, "acme")
    assert found.owner == owner_of(FOUND, "acme") != owner_of(FOUND, "globex")
    assert (found.generation, deal(view(), "acme")) == (1, Deal())
