"""Which models are asked for: shares within what chance allows, the same for any number of workers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from croupier_bench.classes import Popularity, RequestClass
from croupier_bench.mix import Mix, shares

ZIPF = Popularity("zipf", alpha=1.0)
COUNT = 200_000
SECONDS = np.linspace(0.0, 120.0, COUNT)


def asked(name: str = "a", **told: object) -> RequestClass:
    return RequestClass(name, **{"models": 1000, "popularity": ZIPF, **told})  # type: ignore[arg-type]


def test_classes_come_by_their_weight() -> None:
    classes, _ = Mix([asked("a", weight=3), asked("b", weight=1), asked("c", weight=6)], 1).draw(
        COUNT, SECONDS
    )
    counts = np.bincount(classes, minlength=3)
    assert stats.chisquare(counts, COUNT * np.array([0.3, 0.1, 0.6])).pvalue > 0.001


@pytest.mark.parametrize("alpha", [0.0, 0.7, 1.0, 1.5])
def test_popularity_is_zipfs(alpha: float) -> None:
    _, models = Mix([asked(popularity=Popularity("zipf", alpha))], 3).draw(COUNT, SECONDS)
    counts = np.bincount(models, minlength=1000)
    # Who holds which rank is known by how often they are asked for, where that is certain; else all alike.
    holders = np.argsort(-counts, kind="stable")
    mean = COUNT * shares(1000, alpha)
    if alpha:
        for rank in range(3):
            assert abs(counts[holders[rank]] - mean[rank]) < 5 * np.sqrt(mean[rank])
        assert holders[:3].tolist() != [0, 1, 2]
        rest = counts[holders[100:]].sum()
        assert abs(rest - mean[100:].sum()) < 5 * np.sqrt(mean[100:].sum()) + 0.02 * mean[100:].sum()
    else:
        assert stats.chisquare(counts, mean).pvalue > 0.001


def test_uniform_is_uniform() -> None:
    _, models = Mix([asked(popularity=Popularity())], 3).draw(COUNT, SECONDS)
    assert stats.chisquare(np.bincount(models, minlength=1000)).pvalue > 0.001


def test_a_million_models() -> None:
    _, models = Mix([asked(models=1_000_000)], 3).draw(COUNT, SECONDS)
    counts = np.sort(np.bincount(models, minlength=1_000_000))[::-1]
    mean = COUNT * shares(1_000_000, 1.0)
    assert abs(counts[0] - mean[0]) < 5 * np.sqrt(mean[0])
    assert models.max() > 900_000


def test_cold_models_are_asked_once_each_and_in_turn() -> None:
    classes, models = Mix([asked(cold=0.05, cold_models=20_000), asked("b")], 3).draw(COUNT, SECONDS)
    cold = models[(classes == 0) & (models >= 1000)]
    np.testing.assert_array_equal(cold, 1000 + np.arange(len(cold)))
    assert abs(len(cold) - 0.025 * COUNT) < 5 * np.sqrt(0.025 * COUNT)
    assert models[classes == 1].max() < 1000


def test_cold_models_begin_again_when_there_are_no_more() -> None:
    _, models = Mix([asked(cold=1.0, cold_models=3)], 3).draw(7, SECONDS[:7])
    assert models.tolist() == [1000, 1001, 1002, 1000, 1001, 1002, 1000]


def test_a_scan_goes_through_all_models() -> None:
    popularity = Popularity("zipf", alpha=9.0, scan=0.1)
    _, models = Mix([asked(popularity=popularity)], 3).draw(COUNT, SECONDS)
    counts = np.bincount(models, minlength=1000)
    # Without the scan the last ranks are as good as never asked for.
    assert counts.min() >= COUNT * 0.1 // 1000 - 1
    scanned = models[np.isin(models, np.argsort(counts)[:500])]
    assert (np.diff(scanned) > 0).mean() > 0.99


def test_without_drift_ranks_stay() -> None:
    _, models = Mix([asked()], 3).draw(COUNT, SECONDS)
    assert top(models[: COUNT // 4]) == top(models[-COUNT // 4 :])


def top(models: np.ndarray) -> int:  # type: ignore[type-arg]
    return int(np.bincount(models, minlength=1000).argmax())


def test_drift_changes_as_many_ranks_as_it_says() -> None:
    popularity = Popularity("zipf", alpha=1.0, drift=0.3)
    mix = Mix([asked(popularity=popularity)], 3)
    (hot,) = mix._hot
    before = hot._holders.copy()
    mix.draw(1, np.array([60.0]))
    moved = (hot._holders != before).mean()
    # Some change twice in a minute, and some changes are of a rank with itself.
    assert 0.22 < moved <= 0.3
    assert np.array_equal(np.sort(hot._holders), np.arange(1000))
    mix.draw(1, np.array([600.0]))
    assert (hot._holders != before).mean() > 0.9


def test_drift_shows_in_the_requests() -> None:
    popularity = Popularity("zipf", alpha=1.5, drift=1.0)
    _, models = Mix([asked(popularity=popularity)], 3).draw(COUNT, SECONDS * 5)
    tops = {top(part) for part in np.array_split(models, 10)}
    assert len(tops) > 3


def test_classes_with_the_same_models_have_the_same_favourites() -> None:
    mix = Mix([asked("a"), asked("b", call="items"), asked("c", prefix="other")], 3)
    classes, models = mix.draw(COUNT, SECONDS)
    one, same, other = (top(models[classes == place]) for place in range(3))
    assert one == same != other


@settings(max_examples=30)
@given(
    workers=st.integers(1, 7),
    cuts=st.lists(st.integers(1, 900), max_size=6),
    drift=st.sampled_from([0.0, 0.5]),
    seed=st.integers(0, 2**63 - 1),
)
def test_workers_and_windows_change_nothing(workers: int, cuts: list[int], drift: float, seed: int) -> None:
    popularity = Popularity("zipf", alpha=0.9, drift=drift, scan=0.1)
    classes = [asked(popularity=popularity, cold=0.1, cold_models=300), asked("b", weight=2)]
    count = 1000 * workers
    seconds = np.linspace(0.0, 90.0, count)
    alone = Mix(classes, seed).draw(count, seconds)
    for worker in range(workers):
        own = seconds[worker::workers]
        mix = Mix(classes, seed, worker, workers)
        parts = [mix.draw(len(part), part) for part in np.split(own, sorted(cuts))]
        for place in range(2):
            joined = np.concatenate([part[place] for part in parts])
            np.testing.assert_array_equal(joined, alone[place][worker::workers])
    assert (alone[0].dtype, alone[1].dtype) == (np.int16, np.int32)
