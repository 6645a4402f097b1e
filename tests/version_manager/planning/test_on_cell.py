"""Who has a cell in its hand."""

from hypothesis import given, settings
from support.fakes import model
from support.generations import EVERYBODY, TENANTS, even, maps

from sharding.dealer import Dealer
from sharding.population import deal
from version_manager.model.catalog import Catalog
from version_manager.planning.on_cell import tenants_of
from version_manager.planning.population import members_of
from version_manager.rates import Asked

CATALOG = Catalog.build(models=[model(name, f"m{n}") for name in (*EVERYBODY, *TENANTS[:30]) for n in (1, 2)])
MEMBERS = members_of(CATALOG)
NOBODY = Asked({}, 0.0)


@settings(deadline=None)
@given(maps())
def test_everybody_is_named_who_is_dealt_it(generation):
    dealer, hands = Dealer(generation), deal(Dealer(generation), MEMBERS.names)
    for seat in generation.seats:
        told = tenants_of(seat.cell, CATALOG, MEMBERS, hands, None, NOBODY, 1_000)
        hit = {name: dealer.hand(name) for name in MEMBERS.names if seat.cell in dealer.hand(name)}
        assert told.tenants_total == len(hit)
        assert {one.tenant: (one.place, one.size, one.models) for one in told.tenants} == {
            name: (hand.index(seat.cell) + 1, len(hand), 2) for name, hand in hit.items()
        }
        assert not any(one.HasField("rate") for one in told.tenants)


def test_the_heaviest_come_first_with_their_rates():
    generation = even(1, 1, 1)
    hands = deal(Dealer(generation), MEMBERS.names)
    asked = Asked({"plain": 3.0, "acme": 7.0}, 100.0)
    told = tenants_of("cell-000", CATALOG, MEMBERS, hands, MEMBERS.rates(asked), asked, 3)
    assert [(one.tenant, one.rate) for one in told.tenants[:2]] == [("acme", 7.0), ("plain", 3.0)]
    assert (len(told.tenants), told.tenants_total) == (3, len(MEMBERS))
    assert not told.tenants[2].HasField("rate")
