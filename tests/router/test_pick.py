from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.breakers import Breakers
from router.pick import is_connected, is_reachable, pick, speaking
from router.view import KnownCell
from version_manager.model.fleet import Cell, CellState

ORDER = ("a", "b", "c", "d")


def known(name: str, state: CellState = CellState.ACTIVE, *, departed: bool = False) -> KnownCell:
    return KnownCell(Cell(name, "zone", "host:1", state=state), departed)


CELLS = {name: known(name) for name in ORDER}


@pytest.fixture
def breakers() -> Breakers:
    return Breakers(threshold=3, first=1.0, longest=4.0, probe=2.0)


def test_healthy_cells_keep_their_order(breakers: Breakers) -> None:
    assert pick(ORDER, CELLS, breakers, 0.0) == ORDER


def test_cells_stand_by_what_is_known_of_them(breakers: Breakers) -> None:
    breakers.unreachable("a", 0.0)
    cells = {
        "a": known("a"),
        "b": known("b", departed=True),
        "c": known("c", CellState.DRAINING),
        "d": known("d"),
        "e": known("e", CellState.DRAINED),
    }
    assert pick(("e", *ORDER), cells, breakers, 0.5) == ("d", "c", "a", "e", "b")
    breakers.unreachable("e", 0.0)
    breakers.unreachable("b", 0.0)
    assert pick(("b", "e", "a"), cells, breakers, 0.5) == ("a", "e", "b")


def test_a_cell_without_an_address_is_no_candidate_and_none_is_added(breakers: Breakers) -> None:
    assert pick(("a", "x"), CELLS, breakers, 0.0) == ("a",)
    assert pick((), CELLS, breakers, 0.0) == ()


def test_those_that_know_enough_are_asked_and_all_if_none_does() -> None:
    cells = {
        name: KnownCell(replace(CELLS[name].cell, protocol=number))
        for name, number in zip("abc", (7, 6, 8), strict=True)
    }
    assert speaking(ORDER, cells, 7) == ("a", "c")
    assert speaking(ORDER, cells, 9) == ORDER


@given(
    st.permutations(ORDER),
    st.dictionaries(st.sampled_from(ORDER), st.sampled_from(["down", "departed", "draining", "unknown"])),
)
def test_a_pick_is_the_hand_in_another_order(order: list[str], troubles: dict[str, str]) -> None:
    breakers = Breakers()
    cells = dict(CELLS)
    for name, trouble in troubles.items():
        if trouble == "down":
            breakers.unreachable(name, 0.0)
        elif trouble == "unknown":
            del cells[name]
        else:
            state = CellState.DRAINING if trouble == "draining" else CellState.ACTIVE
            cells[name] = known(name, state, departed=trouble == "departed")
    assert sorted(pick(order, cells, breakers, 0.1)) == sorted(name for name in order if name in cells)


def test_reachable_is_what_should_answer(breakers: Breakers) -> None:
    assert is_reachable(known("a"), breakers, 0.0)
    assert is_reachable(known("a", CellState.DRAINING), breakers, 0.0)
    assert not is_reachable(known("a", CellState.DRAINED), breakers, 0.0)
    assert not is_reachable(replace(known("a"), departed=True), breakers, 0.0)
    breakers.unreachable("a", 0.0)
    assert not is_reachable(known("a"), breakers, 0.5)


def test_requests_get_to_a_cell_that_is_silent_or_refuses() -> None:
    breakers = Breakers(threshold=1, first=1.0)
    assert is_connected(known("a", CellState.WARMING), breakers, 0.0)
    assert not is_connected(known("a", CellState.DRAINED), breakers, 0.0)
    assert not is_connected(replace(known("a"), departed=True), breakers, 0.0)
    breakers.silent("a", 0.0, 1.0, whole=True)
    breakers.refused("b", 1.0)
    breakers.unreachable("c", 1.0)
    assert [is_reachable(known(name), breakers, 1.5) for name in "abc"] == [False] * 3
    assert [is_connected(known(name), breakers, 1.5) for name in "abc"] == [True, True, False]
    # Its turn to be probed has come.
    assert is_connected(known("c"), breakers, 2.0)
