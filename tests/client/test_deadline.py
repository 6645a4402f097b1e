"""The SDK's deadlines are those of `croupier.deadline`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier import deadline as fleet
from croupier_client import deadline as sdk
from croupier_client.errors import DeadlineExceeded

MOMENTS = st.floats(0, 1e9)


@given(st.none() | MOMENTS, MOMENTS, MOMENTS)
def test_it_is_reckoned_as_inside_a_fleet(seconds, now, later):
    ours, theirs = sdk.Deadline.after(seconds, now), fleet.Deadline.after(seconds, now)
    assert ours.at == theirs.at
    assert ours.remaining(later) == theirs.remaining(later)
    assert ours.timeout(later) == theirs.timeout(later)


def test_a_moment_that_has_passed():
    sdk.Deadline(10.0).check(9.9)
    sdk.NEVER.check(1e300)
    with pytest.raises(DeadlineExceeded):
        sdk.Deadline(10.0).check(10.0)
