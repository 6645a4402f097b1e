"""Who is hurt when cells break: counted on the map, beside the published chances."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.fakes import model
from support.generations import EVERYBODY, TENANTS, even, maps

from sharding.dealer import Dealer
from sharding.generation import Generation
from sharding.population import deal
from version_manager.model.catalog import Catalog
from version_manager.planning.blasts import MOST_TENANTS, TRIALS, heaviest, of_cells, of_poison
from version_manager.planning.population import Members, members_of
from version_manager.rates import Asked


def members(names) -> Members:
    return members_of(Catalog.build(models=[model(name) for name in names]))


MANY = members(TENANTS)
FEW = members((*EVERYBODY, *TENANTS[:30]))


def dealt(generation: Generation, known: Members):
    return deal(Dealer(generation), known.names)


# Of FIELD_NOTES: cells, zones, hand, and the chances that two hands share 0, 1, ….
FIGURES = [
    (8, 1, 2, (0.535714285714, 0.428571428571, 0.0357142857143)),
    (50, 1, 4, (0.708575770734, 0.263656100738, 0.0269648284846, 7.98957881025e-4, 4.34216239687e-6)),
    (64, 1, 4, (0.767474692151, 0.215431492534, 0.0167145123517, 3.77729092695e-4, 1.57387121956e-6)),
    (64, 4, 4, (0.772476196289, 0.205993652344, 0.0205993652344, 9.1552734375e-4, 1.52587890625e-5)),
    (100, 1, 5, (0.769589953288, 0.211425811343, 0.0183848531603, 5.93059779363e-4, 6.30914658897e-6)),
]


@pytest.mark.parametrize(("cells", "zones", "size", "chances"), FIGURES)
def test_a_tenants_hand_is_shared_as_is_published(cells, zones, size, chances):
    generation = even(cells, zones, size)
    hands = dealt(generation, MANY)
    tenant = MANY.find("tenant-7")
    told = of_cells(generation, MANY, hands, None, hands.hand(tenant), tenant)
    others = len(MANY) - 1
    assert sum(told.overlap) == others
    for j, chance in enumerate(chances):
        assert told.expected_overlap[j] == pytest.approx(others * chance, rel=1e-9)
        counted = told.overlap[j] if j < len(told.overlap) else 0
        assert abs(counted - others * chance) <= 5 * math.sqrt(others * chance * (1 - chance)) + 1
    assert told.expected_whole == told.expected_overlap[size]
    assert told.whole == (told.overlap[size] if size < len(told.overlap) else 0)
    assert told.whole + told.partial == others - told.overlap[0]


@settings(deadline=None)
@given(maps(), st.sets(st.integers(0, 23)))
def test_it_counts_what_the_dealer_deals(generation, broken):
    dealer = Dealer(generation)
    cells = {generation.seats[at].cell for at in broken if at < len(generation.seats)}
    told = of_cells(generation, FEW, dealt(generation, FEW), None, cells)
    lost = {name: len({*dealer.hand(name)} & cells) for name in FEW.names}
    size = {name: len(dealer.hand(name)) for name in FEW.names}
    assert {*told.whole_tenants} == {name for name, count in lost.items() if count and count == size[name]}
    assert {one.tenant: one.left for one in told.partial_tenants} == pytest.approx(
        {name: 1 - count / size[name] for name, count in lost.items() if 0 < count < size[name]}
    )
    assert (told.whole, told.partial) == (len(told.whole_tenants), len(told.partial_tenants))
    assert [*told.cells] == sorted(cells)
    slots = {one.cell: one.slots for one in told.loads}
    assert slots == {cell: sum(cell in dealer.hand(name) for name in FEW.names) for cell in slots}


def test_the_first_are_the_heaviest():
    generation = even(8, 1, 2)
    rates = MANY.rates(Asked({"tenant-5": 900.0, "tenant-9": 800.0}, 2_000.0))
    cells = [cell for name in ("tenant-5", "tenant-9") for cell in Dealer(generation).hand(name)]
    told = of_cells(generation, MANY, dealt(generation, MANY), rates, cells)
    assert [*told.whole_tenants[:2]] == ["tenant-5", "tenant-9"]
    assert len(told.whole_tenants) == len(told.partial_tenants) == MOST_TENANTS < told.whole
    assert told.by_rates
    assert sum(one.load for one in told.loads) == pytest.approx(2_000)


def test_of_equals_those_come_first_that_stand_first():
    numbers = MANY.keys.argsort()[::-1][:5]
    assert heaviest(numbers, None, 2) == numbers[:2].tolist()
    assert heaviest(numbers, MANY.rates(Asked({}, 5.0)), 9) == numbers.tolist()


def test_poison_hurts_as_many_as_the_chances_say():
    generation = even(16, 4, 2)
    told = of_poison(generation, MANY, dealt(generation, MANY), None, 3)
    # Trials are of other tenants and one map, so they differ by more than chance has for one of them.
    assert told.whole == pytest.approx(told.expected_whole, rel=0.05)
    assert told.partial == pytest.approx(told.expected_partial, rel=0.05)
    assert told.worst_whole >= told.whole
    assert told.worst_partial >= told.partial
    assert TRIALS * told.whole == pytest.approx(round(TRIALS * told.whole))
    assert told == of_poison(generation, MANY, dealt(generation, MANY), None, 3)
