from dataclasses import replace
from fractions import Fraction

import pytest

from croupierctl.hand import blast_radius, overlap_of
from protos.versions.v1 import versions_pb2 as pb
from sharding.dealer import Dealer
from sharding.generation import Generation, Override, Seat
from sharding.overlap import shared_with
from version_manager.model.wire import generation_to_pb


def generation(zones=4, each=16, size=4, **overrides):
    seats = tuple(Seat(f"cell-{z}-{n}", f"zone-{z}") for z in range(zones) for n in range(each))
    return Generation(1, 7, size, seats, overrides)


def test_the_hand_is_the_dealers(fleet, run, ask):
    run("cells", "add", "--all", "--hand-size", 3)
    fleet.cells[0].state = "draining"
    fleet.models["acme", "churn"] = pb.Model(tenant="acme", name="churn")
    printed = ask("hand", "acme")
    cells = [cell["cell"] for cell in printed["cells"]]
    assert len({cell["zone"] for cell in printed["cells"]}) == 3
    assert [cell["place"] for cell in printed["cells"]] == [1, 2, 3]
    assert printed["size_rule"] == "default"
    assert len(printed["overlap"]) == 4
    shown = run("hand", "acme").out
    assert all(cell in shown for cell in cells)
    assert "generation 1 deals acme 3 cells (the generation's hand size)" in shown


def test_a_tenant_without_models_is_not_there(fleet, run, ask):
    run("cells", "add", "--all", "--hand-size", 3)
    fleet.models["acme", "churn"] = pb.Model(tenant="acme", name="churn")
    assert ask("hand", "acme")["has_models"] is True
    assert run("hand", "acme").err == ""
    nosuch = ask("hand", "nosuch")
    assert nosuch["has_models"] is False
    assert len(nosuch["cells"]) == 3
    said = run("hand", "nosuch")
    assert "there is no tenant nosuch" in said.err
    assert "generation 1 would deal nosuch 3 cells" in said.out


def test_a_cell_that_is_gone_is_still_in_the_hand(fleet, run, ask):
    run("cells", "add", "--all")
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


def test_dedicated_seats_are_told_and_shared_with_nobody(fleet, run, ask):
    seats = (*generation().seats, Seat("mine-1", "zone-0", dedicated="acme"))
    fleet.generations.append(generation_to_pb(replace(generation(), seats=seats)))
    assert "1 cell (all that are dedicated to it)" in run("hand", "acme").out
    told = ask("hand", "acme")
    assert (told["size_rule"], told["overlap"]) == ("dedicated", [1.0])
    assert "shares no cell of this hand with a chance of 100" in run("hand", "acme").out


def explained(generation, tenant="acme"):
    return Dealer(generation).explain(tenant)


def test_the_blast_radius_is_exact():
    """4 zones of 16 cells, one of each: FIELD_NOTES' P(0) and P(4)."""
    shared = overlap_of(generation(), explained(generation()))
    assert float(shared[0]) == pytest.approx(0.772476196289)
    assert shared[4] == Fraction(1, 65536)
    assert blast_radius(generation(), explained(generation())) == (
        "another tenant shares no cell of this hand with a chance of 77.2476%, "
        "all 4 of its cells with a chance of 1 in 65,536"
    )


def test_draining_cells_do_not_count():
    seats = (*generation(1, 8, 2).seats, Seat("old", "zone-0", draining=True))
    drained = Generation(1, 7, 2, seats)
    assert overlap_of(drained, explained(drained))[2] == Fraction(1, 28)


def test_zones_of_different_sizes_are_exact_too():
    """One cell of each of two zones of 5 and 3, and a third of the zone whose second cell is better."""
    seats = tuple(Seat(f"c{n}", "a" if n < 5 else "b") for n in range(8))
    uneven = Generation(1, 7, 3, seats)
    zones = [place.zone for place in explained(uneven).places]
    held = [zones.count("a"), zones.count("b")]
    assert overlap_of(uneven, explained(uneven)) == shared_with(held, [5, 3], 3)


def test_a_hand_that_rules_made_is_met_by_hands_of_the_common_size():
    rules = {"small": Override(pins=("cell-0-1",)), "large": Override(hand_size=8)}
    fleet = generation(**rules)
    assert overlap_of(fleet, explained(fleet, "small")) == (Fraction(15, 16), Fraction(1, 16))
    assert blast_radius(fleet, explained(fleet, "small")).endswith("all 4 of its cells never")
    assert overlap_of(fleet, explained(fleet, "large"))[4] == Fraction(1, 8**4)


def test_a_hand_of_one_and_of_none():
    single = generation(1, 8, 1)
    assert blast_radius(single, explained(single)).endswith("its only cell with a chance of 1 in 8")
    nobody = Override(pins=("cell-0-0",), hand_size=1)
    empty = replace(generation(1, 1, 1, acme=nobody), seats=(Seat("cell-0-0", "zone-0", draining=True),))
    assert blast_radius(empty, explained(empty)) == ""


def test_cells_of_different_weights_are_told():
    seats = (*generation(1, 7, 2).seats, Seat("big", "zone-0", weight=3.0))
    weighted = Generation(1, 7, 2, seats)
    assert blast_radius(weighted, explained(weighted)).endswith("(as if all cells had one weight)")


def test_a_name_that_is_none(run):
    assert "tenant has a slash" in run("hand", "../other", code=1).err


def test_what_tenants_share_of_it_is_counted_where_that_is_asked_for(fleet, run, ask, tmp_path):
    run("cells", "add", "--all", "--hand-size", 3)
    fleet.blast = pb.Blast(tenants=101, overlap=[60, 30, 10], expected_overlap=[59.5, 30.5, 9.5, 0.5])
    assert "blast" not in ask("hand", "acme")
    assert fleet.asked is None
    assert ask("hand", "acme", "--overlaps")["blast"]["overlap"] == [60, 30, 10]
    assert fleet.asked.tenant == "acme"
    lines = [" ".join(line.split()) for line in run("hand", "acme", "--overlaps").out.splitlines()]
    assert lines[-5:] == ["shared cells tenants expected", "0 60 59.5", "1 30 30.5", "2 10 9.5", "3 0 0.5"]
    picture = tmp_path / "hand.svg"
    assert f"drawn: {picture}" in run("hand", "acme", "--plot", picture).err
    assert "the hand of acme" in picture.read_text()
