import pytest

from bench.demo.sharing import choose, first_cell, name_for, sharing
from sharding.dealer import Dealer
from sharding.generation import Generation, Seat
from sharding.overlap import zoned_overlap
from sharding.placement import cells_for

TENANTS = [f"tenant-{number:03}" for number in range(200)]


def dealer(cells: int = 16, zones: int = 4, hand: int = 3) -> Dealer:
    seats = tuple(Seat(f"cell-{number}", f"zone-{number % zones}") for number in range(cells))
    return Dealer(Generation(number=1, seed=1, hand_size=hand, seats=seats))


def test_the_poisoned_hand_is_one_that_somebody_shares_whole_and_somebody_not_at_all() -> None:
    found = choose(dealer(), TENANTS)
    assert found.hand == dealer().hand(found.poison)
    assert sum(found.tenants) == len(TENANTS)
    assert found.tenants[0] > 0
    assert found.tenants[-1] > 0


def test_with_a_handful_of_tenants_it_is_the_nearest_to_that() -> None:
    alone = choose(dealer(), TENANTS[:1])
    assert sum(alone.tenants) == 1
    assert alone.tenants[-1] == 1


def test_what_is_expected_is_the_formulas() -> None:
    found = choose(dealer(), TENANTS)
    assert found.expected == pytest.approx([float(chance) for chance in zoned_overlap([4] * 4, 3)])
    # Zones of different sizes, too.
    assert sum(sharing(dealer(cells=7, zones=3), "poison-0", TENANTS).expected) == pytest.approx(1.0)


def test_tenants_share_what_the_dealer_dealt_both() -> None:
    found = choose(dealer(), TENANTS)
    for tenant, cells in found.shared.items():
        assert cells == len(set(found.hand) & set(dealer().hand(tenant)))


def test_a_name_is_found_for_each_cell_of_the_hand() -> None:
    deals = dealer()
    for cell in deals.hand("acme"):
        name = name_for(deals, "acme", cell, "holds")
        assert name.startswith("holds-")
        assert first_cell(deals, "acme", name) == cell == cells_for(deals, None, "acme", name)[0]
