import numpy as np
import pytest

from croupier_bench import resampling
from croupier_bench.resampling import Interval


def random() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.mark.parametrize(
    ("seconds", "count"), [(0, 0), (1, 1), (4, 2), (10, 5), (30, 10), (300, 43), (100_000, 300)]
)
def test_blocks_are_neighbours_and_all_about_as_long(seconds: int, count: int) -> None:
    found = resampling.blocks(seconds)
    lengths = np.bincount(found) if seconds else np.array([], int)
    assert len(found) == seconds
    assert len(lengths) == count
    assert (np.diff(found) >= 0).all()
    assert not seconds or lengths.max() - lengths.min() <= 1


def test_rows_of_a_block_are_summed() -> None:
    sums = resampling.summed(np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), np.array([0, 0, 1]))
    assert sums.tolist() == [[4.0, 6.0], [5.0, 6.0]]
    assert len(resampling.summed(np.zeros((0, 2)), resampling.blocks(0))) == 0


def test_each_draw_has_as_many_blocks_as_there_are() -> None:
    drawn = resampling.weights(random(), 9)
    assert drawn.shape == (resampling.DRAWS, 9)
    assert (drawn.sum(axis=1) == 9).all()


def test_what_never_varies_has_no_width() -> None:
    same = np.full(resampling.DRAWS, 3.0)
    assert resampling.of_draws((3.0, 6.0), (same, 2 * same), (10, 10)) == Interval(2.0, 2.0, 2.0)


@pytest.mark.parametrize(("size", "t"), [(4, 2.447), (10, 2.101), (1000, 1.961)])
def test_few_blocks_are_widened_as_students_t_has_it(size: int, t: float) -> None:
    spread, same = 0.01, np.ones(200_000)
    both = [
        np.exp(random().normal(0, spread, 200_000)),
        np.exp(np.random.default_rng(8).normal(0, spread, 200_000)),
    ]
    found = resampling.of_draws((1.0, 1.0), (both[0], both[1]), (size, size))
    expected = t * spread * 2**0.5 * (size / (size - 1)) ** 0.5
    assert np.log(found.high) == pytest.approx(expected, rel=0.02)
    assert np.log(found.low) == pytest.approx(-expected, rel=0.02)
    assert resampling.of_draws((1.0, 1.0), (same, both[1]), (size, size)).high < found.high


def test_what_is_drawn_of_nothing_is_left_out() -> None:
    some = np.where(np.arange(resampling.DRAWS) % 2, 0.0, 2.0)
    found = resampling.of_draws((1.0, 2.0), (np.ones(resampling.DRAWS), some), (9, 9))
    assert found == Interval(2.0, 2.0, 2.0)
    nothing = np.zeros(resampling.DRAWS)
    assert resampling.of_draws((1.0, 2.0), (nothing, nothing), (9, 9)) == Interval(2.0, 0.0, float("inf"))


def test_none_of_many_is_not_known_to_be_never() -> None:
    none_before = resampling.of_counts(random(), ((0, 1000), (20, 1000)))
    assert none_before.high == none_before.ratio == float("inf")
    assert none_before.low > 3
    none_after = resampling.of_counts(random(), ((20, 1000), (0, 1000)))
    assert (none_after.ratio, none_after.low) == (0.0, 0.0)
    assert none_after.high < 0.3
    assert resampling.of_counts(random(), ((0, 1000), (1, 1000))).low < 1


def test_intervals_of_counts_cover() -> None:
    numbers = random()
    inside = 0
    for _ in range(400):
        before, after = numbers.poisson(12), numbers.poisson(24)
        found = resampling.of_counts(numbers, ((before, 1000.0), (after, 1000.0)))
        inside += found.low <= 2 <= found.high
    assert 0.92 <= inside / 400 <= 0.99


def test_ranks_lie_around_the_share() -> None:
    drawn = resampling.ranks(random(), 10_000, 0.99)
    low, high = np.quantile(drawn, (0.025, 0.975))
    # The normal approximation: 1.96 times the root of 0.99 * 0.01 / 10,000.
    assert low == pytest.approx(0.99 - 1.96 * 0.000995, abs=2e-4)
    assert high == pytest.approx(0.99 + 1.96 * 0.000995, abs=2e-4)


def test_the_wider_of_two() -> None:
    assert Interval(1.0, 0.9, 1.1).wider(Interval(2.0, 0.8, 1.05)) == Interval(1.0, 0.8, 1.1)
