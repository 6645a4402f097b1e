"""When requests are due: rates within what chance allows, the same for any number of workers."""

import math
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from croupier_bench.arrivals import WINDOW, due, expected, windows
from croupier_bench.load import Load, Shape

STEADY = Load(rate=5_000.0, seconds=10.0, warm_up=2.0)
SHAPES = {
    "steady": Shape(),
    "steps": Shape("steps", (1_000.0, 5_000.0, 200.0), every=3.0),
    "bursts": Shape("bursts", every=2.0, lasts=0.5, times=6.0),
    "all burst": Shape("bursts", every=2.0, lasts=2.0, times=3.0),
    "wave": Shape("wave", period=4.0, depth=1.0),
}


def shaped(name: str, **told: object) -> Load:
    return Load(rate=5_000.0, seconds=10.0, warm_up=2.0, shape=SHAPES[name], **told)  # type: ignore[arg-type]


def rate_at(shape: Shape, rate: float, t: float) -> float:
    """As the shape is described, `t` seconds after the warm-up."""
    t = max(t, 0.0)
    if shape.kind == "steps":
        return shape.rates[min(int(t / shape.every), len(shape.rates) - 1)]
    if shape.kind == "bursts":
        return rate * (shape.times if t % shape.every >= shape.every - shape.lasts else 1.0)
    if shape.kind == "wave":
        return rate * (1 + shape.depth * math.sin(2 * math.pi * t / shape.period))
    return rate


@pytest.mark.parametrize("name", SHAPES)
def test_as_many_are_due_in_each_moment_as_the_shape_says(name: str) -> None:
    load = shaped(name)
    moments = due(load, seed=3)
    assert (np.diff(moments) >= 0).all()
    assert moments[0] >= 0.0
    assert moments[-1] < 12.0
    edges = np.arange(0.0, 12.01, 0.25)
    seen, _ = np.histogram(moments, edges)
    fine = np.arange(0.0, 12.0, 0.0005) + 0.00025
    mean = (
        np.array([rate_at(load.shape, load.rate, t - 2.0) * 0.0005 for t in fine])
        .reshape(-1, 500)
        .sum(axis=1)
    )
    # Of 48 counts none is further off than five standard deviations.
    assert (np.abs(seen - mean) <= 5 * np.sqrt(mean) + 2).all()
    assert abs(len(moments) - expected(load)) <= 5 * math.sqrt(expected(load))


@pytest.mark.parametrize("name", SHAPES)
def test_constant_arrivals_have_no_chance_in_them(name: str) -> None:
    load = shaped(name, arrivals="constant")
    moments = due(load, seed=3)
    assert len(moments) == pytest.approx(expected(load), abs=1.5)
    assert np.array_equal(moments, due(load, seed=4))
    if name == "steady":
        np.testing.assert_allclose(moments, np.arange(60_000) / 5_000, atol=1e-9)


def test_gaps_of_poisson_are_exponential() -> None:
    gaps = np.diff(due(STEADY, seed=5))
    assert stats.kstest(gaps * STEADY.rate, "expon").pvalue > 0.001


def test_another_seed_has_other_arrivals() -> None:
    assert np.array_equal(due(STEADY, seed=1), due(STEADY, seed=1))
    assert not np.array_equal(due(STEADY, seed=1)[:100], due(STEADY, seed=2)[:100])


@settings(max_examples=30)
@given(
    workers=st.integers(1, 9),
    rate=st.floats(0.5, 30_000),
    arrivals=st.sampled_from(["poisson", "constant"]),
    shape=st.sampled_from(sorted(SHAPES)),
)
def test_workers_share_the_same_arrivals(workers: int, rate: float, arrivals: str, shape: str) -> None:
    load = Load(rate=rate, seconds=5.0, warm_up=0.5, arrivals=arrivals, shape=SHAPES[shape])
    alone = due(load, seed=1)
    for worker in range(workers):
        np.testing.assert_array_equal(due(load, 1, worker, workers), alone[worker::workers])


def test_hours_are_drawn_a_window_at_a_time() -> None:
    load = Load(
        rate=1e6, seconds=7 * 86_400.0, warm_up=0.0, shape=Shape("bursts", every=0.01, lasts=0.005, times=2)
    )
    first = list(islice(windows(load, seed=1, worker=1, workers=4), 3))
    assert [len(window) for window in first] == [WINDOW // 4] * 3
    assert first[0][-1] < first[1][0] < first[2][0]


def test_a_closed_loop_has_none() -> None:
    load = Load(mode="closed")
    assert expected(load) == 0
    assert len(due(load, seed=1)) == 0
