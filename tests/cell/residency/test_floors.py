"""Pins and floors, through the residency that keeps to them."""

import pytest
from support.cells import digest
from support.residency import admit, evict, filled, resident

from cell.residency.floors import Kept, KeptTooMuch
from cell.residency.policies import POLICIES
from cell.residency.residency import NoRoom, Residency
from croupier.errors import NotFound

A, B, C, D, E = map(digest, "abcde")


def grouped(**sizes: int) -> Residency[str]:
    """A, B, ... of 10 bytes each, in the named groups so many, in a cell of 100 bytes."""
    residency: Residency[str] = Residency(100)
    names = [group for group, count in sizes.items() for _ in range(count)]
    for now, (name, group) in enumerate(zip("abcdefghij", names, strict=False)):
        admit(residency, digest(name), 10, now, group=group).release()
    return residency


def test_a_pinned_model_is_passed_over_until_it_is_unpinned() -> None:
    residency = filled(30, 30, 30)
    residency.pin(A)
    residency.pin(A)
    assert residency.plan(40).victims == (B,)
    assert residency._floors.kept == Kept(pinned=30, floors=0)
    residency.unpin(A)
    residency.unpin(A)
    # It was the next to go when it was passed over, and is again.
    assert residency.plan(40).victims == (A,)
    assert residency._floors.kept == Kept(0, 0)


def test_a_pinned_model_is_found_as_ever() -> None:
    residency = filled(30, 30, 30)
    residency.pin(A)
    residency.plan(40)
    assert residency.find(A, 9.0) == A.hex()
    residency.unpin(A)
    assert residency.plan(100).victims == (B, C, A)


def test_only_what_is_resident_can_be_pinned() -> None:
    with pytest.raises(NotFound):
        filled(30).pin(B)


def test_pins_may_not_take_more_than_their_share() -> None:
    residency = filled(30, 30)
    residency.pin(A)
    with pytest.raises(KeptTooMuch, match="60 bytes"):
        residency.pin(B)
    assert residency._floors.kept.pinned == 30
    residency.unpin(A)
    evict(residency, A)
    residency.pin(B)
    assert residency._floors.kept.pinned == 30


def test_floors_and_pins_share_the_share() -> None:
    residency = filled(30, 30)
    residency.set_floor("g", 40)
    with pytest.raises(KeptTooMuch):
        residency.pin(A)
    with pytest.raises(KeptTooMuch):
        residency.set_floor("h", 11)
    residency.set_floor("g", 20)
    residency.set_floor("h", 30)
    assert residency._floors.kept == Kept(0, 50)
    with pytest.raises(ValueError, match="below 0"):
        residency.set_floor("h", -1)


def test_a_group_does_not_sink_below_its_floor() -> None:
    residency = grouped(g=4, h=6)
    residency.set_floor("g", 20)
    # Two of g's four, then h's.
    assert residency.plan(40).victims == tuple(map(digest, "abef"))
    with pytest.raises(NoRoom):
        residency.plan(90)
    assert len(residency.plan(80).victims) == 8


def test_a_group_at_its_floor_is_not_met_again_and_again() -> None:
    residency = grouped(g=4, h=6)
    residency.set_floor("g", 40)
    assert residency.plan(20).victims == (E, digest("f"))
    # The oldest four were parked: the policy does not name them any more.
    assert next(residency._policy.victims()).digest == E
    assert resident(residency)[-4:] == [A, B, C, D]


def test_parked_models_go_first_once_their_group_has_grown() -> None:
    residency = grouped(g=4, h=6)
    residency.set_floor("g", 40)
    residency.reserve(digest("new"), residency.plan(10))
    residency.admit(digest("new"), "new", 10, 20.0, group="g")[0].release()
    assert residency.plan(20).victims == (A, digest("f"))


def test_parked_models_go_first_once_their_floor_has_sunk() -> None:
    residency = grouped(g=4, h=6)
    residency.set_floor("g", 40)
    residency.plan(10)
    residency.set_floor("g", 25)
    assert residency.plan(20).victims == (A, E)
    residency.set_floor("g", 0)
    assert residency.plan(20).victims == (A, B)


def test_a_parked_model_that_is_used_is_as_good_as_any() -> None:
    residency = grouped(g=2, h=8)
    residency.set_floor("g", 20)
    residency.plan(10)
    residency.find(A, 30.0)
    residency.set_floor("g", 0)
    assert residency.plan(100).victims == (B, *map(digest, "cdefghij"), A)


def test_bulk_loads_below_a_floor_stand_in_no_searchs_way() -> None:
    residency: Residency[str] = Residency(100)
    residency.set_floor("g", 30)
    for key in (A, B, C, D):
        admit(residency, key, 10, aged=True, group="g").release()
    # D is one more than the floor needs.
    assert [entry.digest for entry in residency._policy.first] == [D]
    assert residency.plan(70).victims == (D,)
    with pytest.raises(NoRoom):
        residency.plan(80)


def test_a_model_that_went_counts_for_its_group_no_more() -> None:
    residency = grouped(g=3, h=7)
    residency.set_floor("g", 20)
    assert evict(residency, A) == [A.hex()]
    assert residency.plan(20).victims == (D,)


def test_a_group_without_models_and_floor_is_forgotten() -> None:
    residency = grouped(g=2, h=1)
    residency.set_floor("h", 10)
    for key in (A, B, C):
        evict(residency, key)
    assert list(residency._floors._groups) == ["h"]
    residency.set_floor("h", 0)
    assert not residency._floors._groups


@pytest.mark.parametrize("name", POLICIES)
def test_who_is_kept_stays_under_every_policy(name: str) -> None:
    residency: Residency[str] = Residency(100, POLICIES[name]())
    for key in (A, B, C, D):
        admit(residency, key, 10, group="g").release()
    residency.pin(A)
    residency.set_floor("g", 30)
    for number in range(100):
        admit(residency, digest(str(number)), 10).release()
        residency.find(digest(str(number // 2)), 1.0)
    assert A in residency
    assert sum(key in residency for key in (A, B, C, D)) == 3
