import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier_bench.histogram import Histogram
from croupier_bench.quantiles import Buckets


def histogram(seconds: list[float]) -> Histogram:
    found = Histogram()
    found.record(np.array(seconds))
    return found


@given(st.lists(st.floats(1e-6, 100), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99, 0.999]))
def test_within_a_bucket_of_what_numpy_finds(seconds: list[float], share: float) -> None:
    buckets = Buckets.of([histogram(seconds).to_json()])
    expected = np.quantile(seconds, share, method="inverted_cdf") * 1e3
    # A bucket is at most a thousandth of what falls into it, or a microsecond.
    assert buckets.quantiles(buckets.counts[0], share) == pytest.approx(expected, rel=2e-3, abs=2e-3)


def test_several_histograms_are_over_the_same_buckets() -> None:
    buckets = Buckets.of([histogram([0.001, 0.001]).to_json(), histogram([0.002]).pairs(), []])
    assert buckets.counts.tolist() == [[2.0, 0.0], [0.0, 1.0], [0.0, 0.0]]
    assert buckets.quantiles(buckets.counts.sum(axis=0), [0.0, 0.5, 1.0]) == pytest.approx(
        [1, 1, 2], abs=2e-3
    )


def test_nothing_has_no_quantile() -> None:
    for histograms in ([], [{}], [{}, histogram([0.001]).to_json()]):
        buckets = Buckets.of(histograms)
        empty = np.zeros(buckets.counts.shape[1])
        assert np.isnan(buckets.quantiles(empty, 0.5))
        assert np.isnan(buckets.mean(empty))


def test_the_mean_is_that_of_the_middles_of_buckets() -> None:
    buckets = Buckets.of([histogram([0.001, 0.003]).to_json()])
    assert buckets.mean(buckets.counts[0]) == pytest.approx(2.0, abs=2e-3)
