"""How many cells serve a model, by how often it is asked for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from router.copies import MOST_COPIES, Copies

NAME = ("acme", "churn")
MEAN = 1000.0


def ask(copies: Copies, rate: float, seconds: int, now: float, mean: float = MEAN) -> float:
    """Ask for the model at a rate for so long, noted each second; returns when that ends."""
    for _ in range(seconds):
        now += 1.0
        copies.note(NAME, int(rate), mean, now)
    return now


def count(copies: Copies, now: float) -> int:
    return copies.note(NAME, 0, MEAN, now)


def test_a_model_that_is_a_small_part_of_its_cells_work_has_one_cell_and_is_not_remembered() -> None:
    copies = Copies()
    ask(copies, 0.15 * MEAN, 100, 0.0)
    assert not copies.hot


def test_a_hot_model_gets_a_second_cell_and_a_hotter_one_more() -> None:
    copies = Copies()
    now = ask(copies, 0.3 * MEAN, 2, 0.0)
    assert count(copies, now) == 1
    now = ask(copies, 0.3 * MEAN, 1, now)
    assert count(copies, now) == 2
    now = ask(copies, 0.3 * MEAN, 100, now)
    assert count(copies, now) == 2
    now = ask(copies, 0.5 * MEAN, 2, now)
    assert count(copies, now) == 3
    now = ask(copies, 100 * MEAN, 100, now)
    assert count(copies, now) == MOST_COPIES == 4


def test_one_busy_second_is_no_reason() -> None:
    copies = Copies()
    now = 0.0
    for _ in range(20):
        now = ask(copies, 5 * MEAN, 1, now)
        now = ask(copies, 0.1 * MEAN, 2, now)
    assert count(copies, now) == 1


def test_a_copy_is_taken_back_only_after_a_while_well_below() -> None:
    copies = Copies()
    now = ask(copies, 0.3 * MEAN, 3, 0.0)
    # Below what made it hot, but not well below.
    now = ask(copies, 0.15 * MEAN, 100, now)
    assert count(copies, now) == 2
    now = ask(copies, 0.1 * MEAN, 25, now)
    now = ask(copies, 0.15 * MEAN, 1, now)
    now = ask(copies, 0.1 * MEAN, 25, now)
    assert count(copies, now) == 2
    now = ask(copies, 0.1 * MEAN, 7, now)
    assert not copies.known(now)


def test_on_a_fleet_that_has_nothing_to_do_no_model_is_hot() -> None:
    copies = Copies()
    ask(copies, 40, 100, 0.0, mean=10.0)
    assert not copies.known(100.0)


def test_routes_of_one_model_add_up() -> None:
    copies = Copies()
    for second in range(1, 9):
        for part in range(3):
            copies.note(NAME, int(0.1 * MEAN), MEAN, second + part / 10)
    assert copies.known(9.0)[NAME].copies == 2


def test_what_is_not_asked_for_any_more_is_forgotten() -> None:
    copies = Copies()
    now = ask(copies, 5 * MEAN, 10, 0.0)
    assert copies.known(now + 10)[NAME].copies == MOST_COPIES
    assert not copies.known(now + 100)
    assert not copies.hot


def test_however_many_models_are_hot_a_bounded_number_is_remembered() -> None:
    copies = Copies(most=10)
    for second in (1.0, 2.0, 3.0, 4.0):
        for number in range(100):
            copies.note(("acme", str(number)), 10_000, MEAN, second)
    assert len(copies.hot) == 10


@given(st.lists(st.tuples(st.integers(0, 5000), st.floats(0, 3000), st.floats(0.01, 100))))
def test_there_are_one_to_four_and_they_change_by_one(
    steps: list[tuple[int, float, float]],
) -> None:
    copies, now, before = Copies(), 0.0, 1
    for asked, mean, seconds in steps:
        now += seconds
        found = copies.note(NAME, asked, mean, now)
        assert 1 <= found <= MOST_COPIES
        assert abs(found - before) <= 1
        before = found
