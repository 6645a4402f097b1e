from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.backoff import Backoff, Pauses

SECONDS = st.floats(min_value=0.001, max_value=1000.0)
BACKOFF = st.builds(lambda first, factor: Backoff(first, first * factor), SECONDS, st.floats(1.0, 1e6))


def test_a_pause_doubles_up_to_the_longest():
    backoff = Backoff(first=0.5, longest=3.0)
    assert [backoff.after(failures) for failures in range(6)] == [0.0, 0.5, 1.0, 2.0, 3.0, 3.0]


@given(BACKOFF, st.integers(1, 10**9))
def test_a_pause_never_gets_shorter_nor_too_long(backoff, failures):
    assert backoff.first <= backoff.after(failures) <= backoff.after(failures + 1) <= backoff.longest


@given(BACKOFF, st.integers(1, 10**9), st.integers())
def test_a_spread_pause_lies_between_half_the_first_and_the_whole(backoff, failures, seed):
    assert backoff.first / 2 <= backoff.spread(failures, Random(seed)) <= backoff.after(failures)


def test_without_a_failure_there_is_no_pause():
    assert Backoff(1.0, 2.0).after(0) == 0.0
    assert Backoff(1.0, 2.0).spread(0, Random(1)) == 0.0


def test_who_failed_together_does_not_come_back_in_step():
    rng = Random(7)
    assert len({round(Backoff(0.1, 5.0).spread(6, rng), 3) for _ in range(50)}) > 40


def test_pauses_grow_and_begin_anew_when_it_has_worked():
    # As if the highest number were drawn each time.
    highest = Random()
    highest.uniform = lambda least, most: most
    pauses = Pauses(Backoff(0.5, 3.0), highest)
    assert [pauses.next() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    pauses.reset()
    assert pauses.next() == pytest.approx(0.5)
