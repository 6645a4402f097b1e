import numpy as np

from bench.fair import overload


def test_rates_follow_one_another() -> None:
    due = overload.piecewise([(100.0, 2.0), (1_000.0, 1.0), (100.0, 2.0)], seed=1)
    assert (np.diff(due) >= 0).all()
    counts, _ = np.histogram(due, [0, 2, 3, 5])
    assert np.allclose(counts, [200, 1_000, 200], rtol=0.25)
