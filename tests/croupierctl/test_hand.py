from fractions import Fraction

import pytest

from croupierctl.hand import blast_radius, overlap_of
from sharding.dealer import Dealer
from sharding.generation import Generation, Override, Seat
from version_manager.wire import generation_to_pb


def generation(zones=4, each=16, size=4, **overrides):
    seats = tuple(Seat(f"cell-{z}-{n}", f"zone-{z}") for z in range(zones) for n in range(each))
    return Generation(1, 7, size, seats, overrides)


def test_the_hand_is_the_dealers(fleet, run, ask):
    run("shards", "set", "--from-cells", "--hand-size", 3)
    fleet.cells[0].state = "draining"
    printed = ask("hand", "acme")
    cells = [cell["cell"] for cell in printed["cells"]]
    assert len({cell["zone"] for cell in printed["cells"]}) == 3
    assert [cell["place"] for cell in printed["cells"]] == [1, 2, 3]
    assert printed["size_rule"] == "default"
    assert len(printed["overlap"]) == 4
    shown = run("hand", "acme").out
    assert all(cell in shown for cell in cells)
    assert "generation 1 deals acme 3 cells (the generation's hand size)" in shown


def test_a_cell_that_is_gone_is_still_in_the_hand(fleet, run, ask):
    run("shards", "set", "--from-cells")
    fleet.cells = []
    assert {cell["state"] for cell in ask("hand", "acme")["cells"]} == {"not registered"}


def test_rules_of_a_tenant_are_told(fleet, run):
    rules = {
        "pinned": Override(pins=("cell-0-1", "cell-1-1")),
        "member": Override(isolation_group="banks", hand_size=2, excludes=("cell-0-0",)),
    }
    fleet.generations.append(generation_to_pb(generation(**rules)))
    assert "2 cells (they are pinned)" in run("hand", "pinned").out
    told = run("hand", "member").out
    assert "2 cells (the tenant's own hand size)" in told
    assert "isolation group banks" in told
    assert "kept out: cell-0-0" in told


def test_the_blast_radius_is_exact():
    """4 zones of 16 cells, one of each: FIELD_NOTES' P(0) and P(4)."""
    shared = overlap_of(generation(), 4)
    assert float(shared[0]) == pytest.approx(0.772476196289)
    assert shared[4] == Fraction(1, 65536)
    assert blast_radius(shared) == (
        "another tenant shares none of them with a chance of 77.2476%, all 4: 1 in 65,536"
    )


def test_draining_cells_do_not_count():
    seats = (*generation(1, 8, 2).seats, Seat("old", "zone-0", draining=True))
    assert overlap_of(Generation(1, 7, 2, seats), 2)[2] == Fraction(1, 28)


def test_uneven_zones_are_taken_together():
    seats = tuple(Seat(f"c{n}", "a" if n < 5 else "b") for n in range(8))
    assert overlap_of(Generation(1, 7, 3, seats), 3)[3] == Fraction(1, 56)


def test_a_hand_of_one_and_of_none():
    assert blast_radius((Fraction(7, 8), Fraction(1, 8))).endswith("it: 1 in 8")
    assert blast_radius((Fraction(1),)) == ""
    assert Dealer(generation(1, 1, 4)).hand("t") == ("cell-0-0",)


def test_a_name_that_is_none(run):
    assert "tenant has a slash" in run("hand", "../other", code=1).err
