"""Buckets of latencies: where each begins, what falls into it, and what is told of what was counted."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.latencies import BOUNDS, BUCKETS, MIDDLES, bucket_of, packed, quantile, unpacked


def test_buckets_rise_by_a_quarter_at_most() -> None:
    assert (len(BOUNDS), len(MIDDLES)) == (BUCKETS - 1, BUCKETS)
    assert (BOUNDS[0], BOUNDS[-1]) == (2.0**-13, 32.0)
    steps = [end / begin for begin, end in pairwise(BOUNDS)]
    assert (min(steps), max(steps)) == (8 / 7, 5 / 4)


@given(st.floats(0, 1e4))
def test_a_latency_falls_into_the_bucket_whose_bounds_are_around_it(seconds: float) -> None:
    bucket = bucket_of(seconds)
    assert bucket == 0 or seconds >= BOUNDS[bucket - 1]
    assert bucket == BUCKETS - 1 or seconds < BOUNDS[bucket]
    if 0 < bucket < BUCKETS - 1:
        assert abs(MIDDLES[bucket] - seconds) <= seconds / 8


@pytest.mark.parametrize("bucket", range(BUCKETS - 1))
def test_a_bound_belongs_to_the_bucket_that_it_begins(bucket: int) -> None:
    assert bucket_of(BOUNDS[bucket]) == bucket + 1


@pytest.mark.parametrize("share", [0.5, 0.99])
def test_a_quantile_is_within_an_eighth_of_the_true_one(share: float) -> None:
    rng = Random(7)
    seconds = sorted(rng.lognormvariate(-6, 1) for _ in range(1000))
    counts = [0] * BUCKETS
    for one in seconds:
        counts[bucket_of(one)] += 1
    true = seconds[round(share * 1000) - 1]
    assert quantile(counts, share) == pytest.approx(true, rel=1 / 8)


@given(st.lists(st.sampled_from([0, 0, 0, 1, 2**40]), min_size=BUCKETS, max_size=BUCKETS))
def test_what_is_packed_is_told_without_the_empty_buckets_at_its_ends(counts: list[int]) -> None:
    first, told = packed(counts)
    assert unpacked(first, told) == counts
    assert not told or 0 not in (told[0], told[-1])


@pytest.mark.parametrize(("first", "told"), [(0, [1] * 1000), (BUCKETS - 1, [1, 1]), (2**31, [1]), (5, [])])
def test_what_falls_into_no_bucket_of_ours_is_left_out(first: int, told: list[int]) -> None:
    found = unpacked(first, told)
    assert (len(found), sum(found)) == (BUCKETS, max(min(len(told), BUCKETS - first), 0))


def test_nothing_counted_has_no_quantile() -> None:
    assert quantile([0] * BUCKETS, 0.99) is None


def test_what_is_beyond_the_bounds_is_told_by_the_nearest() -> None:
    assert quantile([1, *[0] * (BUCKETS - 1)], 0.5) == BOUNDS[0]
    assert quantile([*[0] * (BUCKETS - 1), 1], 0.5) == BOUNDS[-1]
