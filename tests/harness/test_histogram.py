from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier_bench.histogram import BUCKETS, EDGES, Histogram, indices

SECONDS = st.floats(0, 8000, allow_nan=False)


def of(seconds: list[float]) -> Histogram:
    histogram = Histogram()
    histogram.record(seconds)
    return histogram


def test_the_layout_is_that_of_hdr_histogram() -> None:
    # HdrHistogram's own countsArrayIndex, of 1 to 2^33 - 1 with three digits.
    known = {
        0: 0,
        1: 1,
        2047: 2047,
        2048: 2048,
        2049: 2048,
        4095: 3071,
        4096: 3072,
        (1 << 33) - 1: BUCKETS - 1,
    }
    assert indices([us * 1e-6 for us in known]).tolist() == [*known.values()]


@given(st.lists(SECONDS, max_size=50))
def test_each_value_lies_in_its_bucket(seconds: list[float]) -> None:
    values = np.array(seconds)
    places = indices(values)
    assert (EDGES[places] <= values + 2e-9).all()
    assert (values < EDGES[places + 1]).all()


def test_a_bucket_is_narrow() -> None:
    widths = np.diff(EDGES)
    assert (widths > 0).all()
    assert (widths[2048:] <= EDGES[2048:-1] / 1000).all()
    assert len(EDGES) == BUCKETS + 1


@given(
    st.lists(st.floats(1e-4, 100), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99, 0.999, 1.0])
)
def test_quantiles_are_those_of_the_values(seconds: list[float], share: float) -> None:
    found = of(seconds).quantile(share)
    exact = float(np.quantile(seconds, share, method="inverted_cdf"))
    assert found == pytest.approx(exact, rel=1.1e-3, abs=1.1e-6)


@given(st.lists(SECONDS, max_size=30), st.lists(SECONDS, max_size=30))
def test_what_two_have_counted_adds_up(one: list[float], other: list[float]) -> None:
    merged, both = of(one), of([*one, *other])
    merged.merge(of(other))
    assert merged.counts.tolist() == both.counts.tolist()
    assert (merged.count, merged.max) == (len(one) + len(other), max([0.0, *one, *other]))
    assert merged.sum == pytest.approx(both.sum)


@given(st.lists(SECONDS, max_size=30))
def test_json_has_all_of_it(seconds: list[float]) -> None:
    histogram = of(seconds)
    again = Histogram.from_json(json.loads(json.dumps(histogram.to_json())))
    assert again.counts.tolist() == histogram.counts.tolist()
    assert again.sum == pytest.approx(histogram.sum, abs=1e-8)
    assert again.max == pytest.approx(histogram.max, abs=1e-8)


def test_json_of_others_has_no_sum() -> None:
    again = Histogram.from_json({"unit_us": 1, "counts": [[100, 2], [4000, 1]]})
    assert again.count == 3
    assert again.mean() == pytest.approx((2 * 100.5 + EDGES[4000] * 1e6 + 2) / 3 * 1e-6)
    assert again.max == pytest.approx(EDGES[4000] + 2e-6)


@pytest.mark.parametrize("data", [{"counts": []}, {"unit_us": 10}, {"unit_us": 1, "counts": [[BUCKETS, 1]]}])
def test_another_layout_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="histogram"):
        Histogram.from_json(data)


def test_nothing_has_no_quantile_and_no_mean() -> None:
    empty = of([])
    assert math.isnan(empty.quantile(0.5))
    assert math.isnan(empty.mean())
    assert (empty.count, empty.above(0.0), empty.pairs()) == (0, 0, [])


def test_how_many_took_longer() -> None:
    histogram = of([0.001, 0.002, 0.010, 0.0101, 5.0])
    assert [histogram.above(limit) for limit in (0.0, 0.001, 0.010, 1.0, 9000.0)] == [5, 4, 2, 1, 0]


def test_what_is_below_nothing_or_beyond_hours_counts_as_that() -> None:
    assert of([-1.0, 1e9]).pairs() == [[0, 1], [BUCKETS - 1, 1]]
