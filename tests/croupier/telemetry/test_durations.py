"""The native histogram beside `bisect`, and durations by code."""

import time
from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.codes import Code
from croupier.telemetry.durations import Durations, Series

VALUES = st.floats(allow_nan=False, width=64)


@given(st.lists(st.floats(-1e9, 1e9), unique=True, max_size=32).map(sorted), st.lists(VALUES))
def test_values_fall_where_bisect_puts_them(bounds: list[float], values: list[float]) -> None:
    series, counts, total = Series(bounds), [0] * (len(bounds) + 1), 0.0
    for value in values:
        series.observe(value)
        counts[bisect_left(bounds, value)] += 1
        # Not `sum`, which makes good from Python 3.12 on what rounding loses.
        total += value
    assert series.counts == counts
    assert series.sum == pytest.approx(total, nan_ok=True)


def test_a_bound_belongs_to_its_bucket() -> None:
    series = Series((1.0, 2.0))
    for value in (1.0, 2.0, 2.0000001):
        series.observe(value)
    assert series.counts == [1, 1, 1]


@pytest.mark.parametrize("bounds", [range(33), (1.0, 1.0), (2.0, 1.0)])
def test_bounds_that_are_none(bounds: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="histogram"):
        Series(bounds)


def test_durations_are_apart_by_code_and_made_when_seen() -> None:
    made: dict[str, Series] = {}

    def labels(code: str) -> Series:
        made[code] = Series((0.5, 1.0))
        return made[code]

    durations = Durations(labels)
    durations.took(Code.OK, 0.7)
    durations.took(Code.OK, 0.1)
    durations.took(Code.UNAVAILABLE, 3.0)
    # Whatever a peer says that is no code.
    for number in (-1, 17, 2**31 - 1):
        durations.took(number, 0.2)
    assert {code: series.counts for code, series in made.items()} == {
        "OK": [1, 1, 0],
        "UNAVAILABLE": [0, 0, 1],
        "UNKNOWN": [3, 0, 0],
    }


def test_what_ends_now_began_on_the_monotonic_clock() -> None:
    series = Series((99.0, 3_600.0))
    Durations(lambda code: series).ended(Code.OK, time.monotonic() - 100.0)
    assert series.counts == [0, 1, 0]
