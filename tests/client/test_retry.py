import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier_client.deadline import NEVER, Deadline
from croupier_client.errors import InvalidRequest, NotFound, QuotaExceeded, Unavailable
from croupier_client.retry import RetryPolicy

GONE = Unavailable("gone")
TWICE = RetryPolicy(2)


def wait(error, failures=1, *, policy=TWICE, deadline=NEVER, now=0.0, seed=1):
    return policy.wait([error], failures, deadline, now, random.Random(seed))


@pytest.mark.parametrize("error", [NotFound("no"), QuotaExceeded("slow down", retry_after=1.0)])
def test_only_unavailable_is_tried_again(error):
    assert wait(error) is None
    assert 0 <= wait(GONE) <= 0.05


def test_attempts_run_out():
    assert 0 <= wait(GONE, 2) <= 0.1
    assert wait(GONE, 3) is None
    assert wait(GONE, 1, policy=RetryPolicy(0)) is None


@given(st.integers(1, 10), st.integers())
def test_waits_double_up_to_a_second(failures, seed):
    seconds = wait(GONE, failures, policy=RetryPolicy(10), seed=seed)
    assert 0.0 <= seconds <= min(1.0, 0.05 * 2 ** (failures - 1))


@given(st.floats(0.01, 100.0), st.integers())
def test_retry_after_is_a_floor_and_is_spread(retry_after, seed):
    seconds = wait(Unavailable("overload", retry_after=retry_after), seed=seed)
    assert retry_after <= seconds <= max(0.05, retry_after * 1.25)


@given(st.floats(0.0, 0.1), st.integers())
def test_no_wait_reaches_the_deadline(left, seed):
    seconds = wait(GONE, 2, deadline=Deadline(10.0 + left), now=10.0, seed=seed)
    assert seconds is None or seconds < left


def test_the_longest_retry_after_counts():
    several = [Unavailable("a", retry_after=0.1), NotFound("b"), Unavailable("c", retry_after=3.0)]
    assert RetryPolicy().wait(several, 1, NEVER, 0.0, random.Random(1)) >= 3.0


def test_a_negative_count_is_refused():
    with pytest.raises(InvalidRequest):
        RetryPolicy(-1)


def test_what_must_not_be_tried_again_is_not():
    assert wait(Unavailable("gone", retry_after=math.inf)) is None
