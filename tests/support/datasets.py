"""Data as people have it, float64: measurements, prices of two decimals, unix seconds, ids of nine digits.

Trained on these, a model has thresholds that are values of the data, or lie a step beside them, and float32
has one number for many of them.
"""

from functools import cache

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from support.forests import Array


@cache
def sets() -> dict[str, tuple[Array, Array]]:
    """Rows and a label that is a number, by name."""
    random = np.random.default_rng(1)
    prices = np.round(random.lognormal(3, 1, (500, 3)), 2)
    seconds = 1.7e9 + random.integers(0, 86_400, (500, 2)).astype(float)
    ids = random.integers(10**8, 10**9, (500, 2)).astype(float)
    return {
        "diabetes": load_diabetes(return_X_y=True),
        "cancer": load_breast_cancer(return_X_y=True),
        "wine": load_wine(return_X_y=True),
        "prices": (prices, prices[:, 0] * prices[:, 1] + prices[:, 2] % 1),
        "seconds": (seconds, np.sin(seconds[:, 0] / 86_400 * 6.28 * 20) + seconds[:, 1] % 7),
        "ids": (ids, ids[:, 0] % 97 + ids[:, 1] % 2),
    }


def rows_of(trained: Array) -> Array:
    """The rows, and what lies a step of float64 and of float32 to both sides of each value."""
    several = [trained]
    for side in (-np.inf, np.inf):
        several.append(np.nextafter(trained, side))
        several.append(np.nextafter(trained.astype(np.float32), np.float32(side)).astype(np.float64))
    return np.concatenate(several)
