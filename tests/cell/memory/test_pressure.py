"""How the books and what is measured make a capacity."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cell.memory.pressure import Pressure, Verdict

LIMIT, CONFIGURED, BASE = 1000, 640, 100
CALM, SHED = 920, 960


def pressure() -> Pressure:
    return Pressure(LIMIT, CONFIGURED, BASE)


def test_with_enough_memory_it_is_what_was_configured() -> None:
    assert pressure().reconcile(measured=400, used=300) == Verdict(CONFIGURED, sheds=False)


def test_what_the_books_do_not_know_is_taken_from_the_models() -> None:
    assert pressure().reconcile(measured=900, used=500) == Verdict(CALM - 400, sheds=False)


def test_a_process_that_takes_less_than_at_its_start_has_not_measured_right() -> None:
    """Models of which nothing was touched yet are in the books only."""
    large = Pressure(LIMIT, 2000, BASE)
    assert large.reconcile(measured=200, used=500) == Verdict(CALM - BASE, sheds=False)


def test_it_shrinks_at_once_and_grows_by_steps() -> None:
    press = pressure()
    assert press.reconcile(measured=920, used=520).capacity == 520
    grown = [press.reconcile(measured=300, used=200).capacity for _ in range(8)]
    assert grown == [540, 560, 580, 600, 620, 640, 640, 640]


def test_it_does_not_swing_with_a_few_bytes() -> None:
    press = pressure()
    press.reconcile(measured=920, used=520)
    assert {press.reconcile(measured=920 - few, used=520).capacity for few in range(19)} == {520}


def test_new_loads_are_refused_near_the_limit_and_until_it_is_calm_again() -> None:
    press = pressure()
    measured = [SHED, SHED + 1, SHED, CALM + 1, CALM, SHED]
    # As much as is measured more is unknown to the books.
    assert [press.reconcile(each, used=500).sheds for each in measured] == [
        False,
        True,
        True,
        True,
        False,
        False,
    ]


def test_without_room_for_models_loads_are_refused_and_a_part_of_the_capacity_stays() -> None:
    press = pressure()
    assert press.reconcile(measured=900, used=10) == Verdict(CONFIGURED // 8, sheds=True)
    assert press.verdict == Verdict(CONFIGURED // 8, sheds=True)
    assert press.reconcile(measured=300, used=10) == Verdict(CONFIGURED // 8 + 20, sheds=False)


@given(
    st.integers(1, 2000),
    st.lists(st.tuples(st.integers(0, 1500), st.integers(0, 1500)), min_size=1, max_size=30),
)
def test_a_capacity_never_allows_more_than_the_limit(
    configured: int, readings: list[tuple[int, int]]
) -> None:
    press = Pressure(LIMIT, configured, BASE)
    most = min(configured, CALM - BASE)
    for measured, used in readings:
        verdict = press.reconcile(measured, used)
        assert most // 8 <= verdict.capacity <= most
        unknown = max(measured - used, BASE)
        assert verdict.sheds or unknown + verdict.capacity <= CALM
        assert verdict == press.verdict


@pytest.mark.parametrize("others", [0, 100, 200])
def test_a_process_that_fills_what_it_may_ends_within_the_limit(others: int) -> None:
    """Models come until the capacity is full, and each costs 5 % more than the books say."""
    press, used = pressure(), 0
    for _ in range(50):
        measured = BASE + others + used * 105 // 100
        assert measured <= LIMIT
        capacity = press.reconcile(measured, used).capacity
        used = min(used + 40, capacity)
    assert used > 500
