"""Edits: what they make of a map, what they name, and what they refuse."""

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.generations import EVERYBODY, OWNERS, any_map, even, maps

from croupier.errors import CroupierError
from sharding import edits
from sharding.dealer import Dealer
from sharding.edits import NoCellLeft, SeatTaken, UnknownSeat, UnknownZone
from sharding.generation import Generation, InvalidGeneration, Override, Seat, Share, check_generation
from sharding.plan import Population, plan, refusals

FLEET = even(8, 4, 3)
SPARE = Seat("cell-100", "zone-1", 2.0)


def hand(generation: Generation, tenant: str) -> tuple[str, ...]:
    return Dealer(generation).hand(tenant)


def seat(generation: Generation, cell: str) -> Seat:
    (found,) = [seat for seat in generation.seats if seat.cell == cell]
    return found


def test_a_drained_cell_is_dealt_to_nobody_and_comes_back_as_it_was() -> None:
    drained = edits.drain(FLEET, ["cell-003"])
    assert drained.cells == ("cell-003",)
    assert seat(drained.after, "cell-003").draining
    assert all("cell-003" not in hand(drained.after, f"t{n}") for n in range(100))
    assert edits.undrain(drained.after, ["cell-003"]).after == FLEET
    assert edits.drain(drained.after, ["cell-003"]).after == drained.after


def test_a_zone_is_drained_by_its_name() -> None:
    cells = edits.in_zone(FLEET, "zone-1")
    assert cells == ("cell-001", "cell-005")
    assert {s.zone for s in edits.drain(FLEET, cells).after.active()} == {"zone-0", "zone-2", "zone-3"}
    with pytest.raises(UnknownZone, match="no seat is in zone-9: did you mean zone-"):
        edits.in_zone(FLEET, "zone-9")


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (
            lambda g: edits.drain(g, ["cell-030"]),
            r"cell-030 has no seat in generation 1: did you mean cell-0",
        ),
        (lambda g: edits.undrain(g, ["rack"]), r"rack has no seat in generation 1$"),
        (lambda g: edits.swap(g, "cell-0", SPARE), "cell-0 has no seat"),
        (lambda g: edits.remove(g, ["cell-00"]), "did you mean"),
        (lambda g: edits.rule(g, "acme", pins=["cell-08"]), "did you mean"),
        (lambda g: edits.rule(g, "acme", excludes=["cell-01"]), "did you mean"),
    ],
)
def test_a_cell_that_is_not_there_is_named_with_what_may_have_been_meant(edit, said) -> None:
    with pytest.raises(UnknownSeat, match=said):
        edit(FLEET)


def test_the_last_cell_is_not_drained() -> None:
    almost = edits.drain(FLEET, [f"cell-00{n}" for n in range(7)]).after
    with pytest.raises(NoCellLeft, match="cell-007 is the last of the cells that are dealt: add another"):
        edits.drain(almost, ["cell-007"])
    with pytest.raises(NoCellLeft, match="cell-007 is the last"):
        edits.remove(almost, ["cell-007"])
    walled = edits.isolate(FLEET, "acme", 1).after
    (own,) = hand(walled, "acme")
    with pytest.raises(NoCellLeft, match=f"{own} is the last of the cells that are dedicated to acme"):
        edits.drain(walled, [own])
    with pytest.raises(NoCellLeft, match="are all of the cells that are dealt"):
        edits.drain(FLEET, [s.cell for s in FLEET.seats])


def test_a_new_cell_takes_the_place_of_an_old_one_wherever_it_is_named() -> None:
    ruled = edits.rule(FLEET, "acme", pins=["cell-003", "cell-004"], excludes=["cell-001"]).after
    walled = edits.isolate(ruled, "globex", 1).after
    (own,) = hand(walled, "globex")
    made = edits.swap(edits.swap(walled, "cell-003", SPARE).after, own, replace(SPARE, cell="cell-101"))
    assert made.cells == (own, "cell-101")
    assert made.after.overrides["acme"].pins == ("cell-100", "cell-004")
    assert hand(made.after, "globex") == ("cell-101",)
    assert seat(made.after, "cell-100") == SPARE
    with pytest.raises(SeatTaken, match="cell-004 has a seat already"):
        edits.swap(FLEET, "cell-003", Seat("cell-004", "zone-0"))


def test_cells_are_added_and_zones_follow_them() -> None:
    stands = edits.drain(FLEET, ["cell-001"]).after
    made = edits.add(stands, [Seat("cell-001", "zone-9", 3.0), Seat("cell-002", "zone-2", 3.0), SPARE])
    assert made.cells == ("cell-001", "cell-100")
    assert seat(made.after, "cell-001") == Seat("cell-001", "zone-9", 1.0, draining=True)
    assert made.after.seats[-1] == SPARE
    assert seat(made.after, "cell-002").weight == 1.0


def test_a_seat_is_taken_away_once_it_is_drained() -> None:
    drained = edits.drain(FLEET, ["cell-001"]).after
    made = edits.remove(drained, ["cell-001"])
    assert made.refusals == ()
    assert all(hand(made.after, f"t{n}") == hand(drained, f"t{n}") for n in range(100))
    assert edits.remove(FLEET, ["cell-001"]).refusals == ("cell-001 is still dealt: drain first",)
    pinned = edits.rule(drained, "acme", pins=["cell-001"]).after
    with pytest.raises(InvalidGeneration, match="override acme names in pins what has no seat: cell-001"):
        edits.remove(pinned, ["cell-001"])


def test_rules_of_a_tenant_are_set_kept_and_cleared() -> None:
    one = edits.rule(FLEET, "acme", size=2, group="banks").after
    two = edits.rule(one, "acme", excludes=["cell-003"]).after
    assert two.overrides["acme"] == Override(excludes=("cell-003",), hand_size=2, isolation_group="banks")
    three = edits.rule(two, "acme", size=Share(50, 2), clear=True).after
    assert three.overrides["acme"] == Override(hand_size=Share(50, 2))
    assert edits.rule(three, "acme", size=0).after == FLEET
    assert edits.rule(two, "acme", clear=True).after == FLEET


def test_a_hand_that_is_larger_than_the_fleet_is_probably_not_meant() -> None:
    assert edits.rule(FLEET, "acme", size=44).refusals == (
        "a hand of 44 is larger than all that is dealt, 8 cells",
    )
    assert edits.resize(FLEET, 9).refusals
    assert edits.resize(FLEET, 8).refusals == edits.rule(FLEET, "acme", size=Share(100)).refusals == ()
    walled = edits.isolate(FLEET, "acme", 2).after
    assert edits.rule(walled, "acme", size=3).refusals
    with pytest.raises(InvalidGeneration, match="120 %"):
        edits.resize(FLEET, Share(120))


def test_who_is_isolated_keeps_the_cells_that_are_warm() -> None:
    was = hand(FLEET, "acme")
    made = edits.isolate(FLEET, "acme", 5)
    assert {*was} <= {*hand(made.after, "acme")}
    assert len(hand(made.after, "acme")) == 5
    assert {*made.cells} == {*hand(made.after, "acme")}
    fewer = edits.isolate(made.after, "acme", 2)
    assert {*hand(fewer.after, "acme")} < {*was}
    assert edits.isolate(fewer.after, "acme", 0).after == FLEET
    assert edits.isolate(made.after, "acme", 5).after == made.after


def test_what_others_need_is_not_dedicated() -> None:
    pinned = hand(FLEET, "acme")[0]
    ruled = edits.rule(FLEET, "globex", pins=[pinned]).after
    shut = edits.rule(ruled, "acme", size=4, excludes=[hand(FLEET, "acme")[1]]).after
    made = edits.isolate(shut, "acme", 4)
    assert not {*made.after.overrides["acme"].excludes, pinned} & {*hand(made.after, "acme")}
    assert len(hand(made.after, "acme")) == 4
    with pytest.raises(NoCellLeft, match="6 cells can be dedicated to acme, and not 7"):
        edits.isolate(shut, "acme", 7)
    with pytest.raises(NoCellLeft, match="none is left for all others"):
        edits.isolate(FLEET, "acme", 8)


def test_a_whole_map_names_what_it_changes_but_no_cell_that_it_leaves_out() -> None:
    drained = edits.drain(FLEET, ["cell-001"]).after
    wanted = replace(
        edits.rule(drained, "acme", size=1).after,
        seats=(*(s for s in drained.seats if s.cell not in {"cell-001", "cell-002"}), SPARE),
    )
    named = {*edits.between(drained, wanted).cells}
    assert named == {"cell-001", "cell-100", *hand(drained, "acme"), *hand(wanted, "acme")}
    left_out = replace(FLEET, seats=FLEET.seats[1:])
    assert edits.between(FLEET, left_out).cells == ()
    assert edits.between(FLEET, FLEET).cells == ()


EDITS = (
    lambda g, rng: edits.drain(g, [_cell(g, rng)]),
    lambda g, rng: edits.undrain(g, [_cell(g, rng)]),
    lambda g, rng: edits.swap(g, _cell(g, rng), Seat(f"n{rng.randrange(10**9)}", "zone-0")),
    lambda g, rng: edits.add(g, [Seat(f"n{rng.randrange(10**9)}", "zone-1", rng.uniform(0.5, 4))]),
    lambda g, rng: edits.remove(g, [_cell(g, rng)]),
    lambda g, rng: edits.isolate(g, rng.choice(OWNERS), rng.randrange(4)),
    lambda g, rng: edits.rule(g, rng.choice(EVERYBODY), pins=[_cell(g, rng)]),
    lambda g, rng: edits.rule(g, rng.choice(EVERYBODY), size=rng.randrange(5), clear=rng.random() < 0.5),
)


def _cell(generation: Generation, rng: random.Random) -> str:
    return rng.choice(generation.seats).cell


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_whatever_is_edited_can_deal_and_moves_little_beside_what_it_names(seed: int) -> None:
    """Sizes that are a share of the fleet are the exception: they are no cell's, and plans refuse them."""
    rng = random.Random(seed)
    generation = replace(any_map(rng), hand_size=3)
    everybody = Population([*EVERYBODY, *(f"t{n}" for n in range(30))])
    for _ in range(6):
        try:
            edit = rng.choice(EDITS)(generation, rng)
        except CroupierError:
            continue
        assert check_generation(edit.after) is edit.after
        planned = plan(generation, edit.after, everybody)
        if not any(isinstance(rule.hand_size, Share) for rule in edit.after.overrides.values()):
            members = {rule.isolation_group for rule in edit.after.overrides.values()}
            # Who is of the group of one with other seats is dealt these too.
            if not members & {*OWNERS}:
                assert refusals(planned, edit.cells) == []
        generation = edit.after


@settings(max_examples=30)
@given(maps(), maps())
def test_two_maps_can_always_be_compared(before: Generation, after: Generation) -> None:
    assert edits.between(before, after).after is after
