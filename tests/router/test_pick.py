from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.pick import Health, is_reachable, pick
from router.view import KnownCell
from version_manager.model.fleet import Cell, CellState

ORDER = ("a", "b", "c", "d")


def known(name: str, state: CellState = CellState.ACTIVE, *, departed: bool = False) -> KnownCell:
    return KnownCell(Cell(name, "zone", "host:1", state=state), departed)


CELLS = {name: known(name) for name in ORDER}


@pytest.fixture
def health() -> Health:
    return Health(threshold=3, first=1.0, longest=4.0, probe=2.0)


def test_healthy_cells_keep_their_order(health: Health) -> None:
    assert pick(ORDER, CELLS, health, 0.0) == ORDER


def test_cells_stand_by_what_is_known_of_them(health: Health) -> None:
    health.unreachable("a", 0.0)
    cells = {
        "a": known("a"),
        "b": known("b", departed=True),
        "c": known("c", CellState.DRAINING),
        "d": known("d"),
        "e": known("e", CellState.DRAINED),
    }
    assert pick(("e", *ORDER), cells, health, 0.5) == ("d", "c", "a", "e", "b")
    health.unreachable("e", 0.0)
    health.unreachable("b", 0.0)
    assert pick(("b", "e", "a"), cells, health, 0.5) == ("a", "e", "b")


def test_a_cell_without_an_address_is_no_candidate_and_none_is_added(health: Health) -> None:
    assert pick(("a", "x"), CELLS, health, 0.0) == ("a",)
    assert pick((), CELLS, health, 0.0) == ()


@given(
    st.permutations(ORDER),
    st.dictionaries(st.sampled_from(ORDER), st.sampled_from(["down", "departed", "draining", "unknown"])),
)
def test_a_pick_is_the_hand_in_another_order(order: list[str], troubles: dict[str, str]) -> None:
    health = Health()
    cells = dict(CELLS)
    for name, trouble in troubles.items():
        if trouble == "down":
            health.unreachable(name, 0.0)
        elif trouble == "unknown":
            del cells[name]
        else:
            state = CellState.DRAINING if trouble == "draining" else CellState.ACTIVE
            cells[name] = known(name, state, departed=trouble == "departed")
    assert sorted(pick(order, cells, health, 0.1)) == sorted(name for name in order if name in cells)


def test_a_cell_that_cannot_be_reached_cools_down_longer_each_time(health: Health) -> None:
    now, waits = 0.0, []
    for _ in range(4):
        health.started("a", now)
        health.unreachable("a", now)
        began = now
        while health.is_cooling("a", now):
            now += 0.25
        waits.append(now - began)
    assert waits == [1.0, 2.0, 4.0, 4.0]


def test_requests_that_fail_together_are_one_failure(health: Health) -> None:
    for _ in range(20):
        health.unreachable("a", 0.0)
    assert health.is_cooling("a", 0.9)
    assert not health.is_cooling("a", 1.0)


def test_one_request_probes_while_the_others_pass_by(health: Health) -> None:
    health.unreachable("a", 0.0)
    assert pick(("a", "b"), CELLS, health, 1.0) == ("a", "b")
    health.started("a", 1.0)
    assert pick(("a", "b"), CELLS, health, 1.0) == ("b", "a")
    health.answered("a", 1.5)
    assert pick(("a", "b"), CELLS, health, 1.5) == ("a", "b")


def test_a_probe_that_fails_starts_the_next_period(health: Health) -> None:
    health.unreachable("a", 0.0)
    health.started("a", 1.0)
    health.refused("a", 1.5)
    assert health.is_cooling("a", 3.4)
    assert not health.is_cooling("a", 3.5)


def test_a_probe_that_is_never_heard_of_again_makes_room_for_another(health: Health) -> None:
    health.unreachable("a", 0.0)
    health.started("a", 1.0)
    assert not health.is_cooling("a", 3.0)


def test_refusals_in_a_row_cool_a_cell_down_and_an_answer_breaks_the_row(health: Health) -> None:
    health.refused("a", 0.0)
    health.refused("a", 0.1)
    health.answered("a", 0.2)
    health.refused("a", 0.3)
    health.refused("a", 0.4)
    assert not health.is_cooling("a", 0.4)
    health.refused("a", 0.5)
    assert health.is_cooling("a", 1.4)
    assert not health.is_cooling("a", 1.5)


def test_an_answer_heals_completely(health: Health) -> None:
    for now in (0.0, 1.0, 3.0):
        health.started("a", now)
        health.unreachable("a", now)
    health.answered("a", 3.0)
    assert not health.is_cooling("a", 3.0)
    health.unreachable("a", 4.0)
    assert not health.is_cooling("a", 5.0)


def test_a_silent_cell_cools_down_unless_it_answered_somebody_meanwhile(health: Health) -> None:
    health.answered("a", 5.0)
    health.silent("a", 4.0, 6.0, whole=True)
    assert not health.is_cooling("a", 6.0)
    health.silent("a", 5.5, 6.5, whole=True)
    assert health.is_cooling("a", 7.4)


def test_silences_too_short_to_tell_count_in_a_row(health: Health) -> None:
    for now in (1.0, 2.0):
        health.silent("a", now - 0.1, now, whole=False)
        assert not health.is_cooling("a", now)
    health.silent("a", 2.9, 3.0, whole=False)
    assert health.is_cooling("a", 3.5)


def test_a_forgotten_cell_is_a_new_one(health: Health) -> None:
    health.unreachable("a", 0.0)
    health.forget(["a", "never heard of"])
    assert not health.is_cooling("a", 0.0)


def test_reachable_is_what_should_answer(health: Health) -> None:
    assert is_reachable(known("a"), health, 0.0)
    assert is_reachable(known("a", CellState.DRAINING), health, 0.0)
    assert not is_reachable(known("a", CellState.DRAINED), health, 0.0)
    assert not is_reachable(replace(known("a"), departed=True), health, 0.0)
    health.unreachable("a", 0.0)
    assert not is_reachable(known("a"), health, 0.5)
