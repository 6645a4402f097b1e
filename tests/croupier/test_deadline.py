import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.deadline import NEVER, Deadline
from croupier.errors import DeadlineExceeded

moments = st.floats(0, 1e9)


def test_after() -> None:
    deadline = Deadline.after(2.0, now=10.0)
    assert deadline.at == 12.0
    assert deadline.remaining(11.5) == deadline.timeout(11.5) == 0.5


def test_never() -> None:
    assert Deadline.after(None, now=10.0) is NEVER
    assert NEVER.timeout(1e12) is None
    assert NEVER.remaining(1e12) == math.inf
    NEVER.check(1e12)


@pytest.mark.parametrize("now", [12.0, 12.1, 1e9])
def test_passed(now: float) -> None:
    deadline = Deadline(12.0)
    assert deadline.remaining(now) == deadline.timeout(now) == 0.0
    with pytest.raises(DeadlineExceeded):
        deadline.check(now)


@given(moments, moments, moments)
def test_a_deadline_is_passed_exactly_when_nothing_remains(seconds: float, start: float, now: float) -> None:
    deadline = Deadline.after(seconds, start)
    assert 0 <= deadline.remaining(now) <= max(0.0, deadline.at - now)
    if deadline.remaining(now) > 0:
        deadline.check(now)
    else:
        with pytest.raises(DeadlineExceeded):
            deadline.check(now)


def test_a_timeout_that_is_over_before_it_began() -> None:
    with pytest.raises(DeadlineExceeded):
        Deadline.after(-1.0, now=10.0).check(10.0)
