"""The message of a plan: of what is long the first come, and the totals count all."""

from dataclasses import replace

from support.fakes import model
from support.generations import TENANTS, even, overriding

from sharding.generation import Override
from version_manager.model.catalog import Catalog
from version_manager.planning.plans import MOST_CELLS, MOST_CHANGES, MOST_MOVES, planned
from version_manager.planning.population import members_of

MEMBERS = members_of(Catalog.build(models=[model(tenant) for tenant in TENANTS[:1_000]]))


def test_a_large_change_is_told_in_part():
    before = even(600)
    seats = tuple(replace(seat, cell=f"new-{seat.cell}") for seat in before.seats)
    told = planned(before, replace(before, number=2, seats=seats), MEMBERS, None, (), 1.0)
    assert (told.tenants_moved, told.slots_moved) == (1_000, 4_000)
    assert (len(told.moves), len(told.cells), len(told.changes)) == (MOST_MOVES, MOST_CELLS, MOST_CHANGES)
    assert told.changes_total == 1_200
    most = [max(one.gained, one.lost) for one in told.cells]
    assert most == sorted(most, reverse=True)


def test_a_long_change_is_cut():
    cells = tuple(seat.cell for seat in even(300).seats)
    told = planned(even(300), overriding(even(300), "acme", Override(cells)), MEMBERS, None, (), 1.0)
    (line,) = told.changes
    assert line.startswith("+ override acme: pins cell-000, ")
    assert len(line) == 500
