"""Rows made from a packed linear model: near its middle, each coefficient as loud as any other."""

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.preprocessing import StandardScaler

from croupier.artifacts.format import view
from croupier.artifacts.packers.checks.linear_rows import Linear, centred_rows, read_linear
from croupier.artifacts.packers.linear import pack_linear

RANDOM = np.random.default_rng(1)
X = StandardScaler().fit_transform(RANDOM.normal(size=(80, 4))) * [1e-6, 1.0, 1e5, 1e-30]
Y = RANDOM.integers(0, 3, 80)


def read(model: Any) -> Linear:
    return read_linear(view(pack_linear(model)).section("linear"))


def test_what_is_read_is_the_models() -> None:
    for model in (LogisticRegression().fit(X, Y), LinearRegression().fit(X, np.stack([Y, -Y], axis=1))):
        found = read(model)
        np.testing.assert_array_equal(found.coefficients, model.coef_.T)
        np.testing.assert_array_equal(found.intercept, model.intercept_)
        assert (found.categories, found.contributions) == ({}, {})
        section = view(pack_linear(model)).section("linear")
        assert found.end == len(section)


def fixed(coefficients: Any, intercept: Any) -> Linear:
    return Linear(np.array(intercept), np.array(coefficients), {}, {}, 0)


@pytest.mark.parametrize(
    ("coefficients", "intercept"),
    [
        ([[1e-6], [1.0], [1e5]], [1e4]),
        ([[1.0, -1.0, 0.5], [1e3, 2.0, 0.0]], [50.0, -50.0, 0.0]),
        ([[2.0]], [0.0]),
    ],
)
def test_sums_are_near_0_and_every_coefficient_tells(coefficients: Any, intercept: Any) -> None:
    model = fixed(coefficients, intercept)
    rows = centred_rows(model, np.random.default_rng(2), 100)
    sums = rows @ model.coefficients + model.intercept
    if len(model.coefficients) >= len(model.intercept):
        assert np.abs(sums[:100]).max() < 12
    for feature in range(rows.shape[1]):
        added = rows[:, feature, None] * model.coefficients[feature]
        assert np.abs(added).max() > 0.5
    # Each also by itself, to both sides of one row.
    alone = rows[100:]
    assert len(alone) == 2 * rows.shape[1]
    assert ((alone != rows[0]).sum(axis=1) == 1).all()


def test_a_coefficient_of_0_is_moved_too() -> None:
    """What is 0 in the artifact may not be in the library."""
    rows = centred_rows(fixed([[0.0], [1.0]], [0.0]), np.random.default_rng(3), 50)
    assert np.isfinite(rows).all()
    assert rows[:, 0].std() > 0.5


def test_of_many_features_some_are_moved_alone() -> None:
    rows = centred_rows(fixed(np.ones((300, 1)), [0.0]), np.random.default_rng(4), 20)
    assert rows.shape == (20 + 2 * 20, 300)


def test_categories_of_an_older_artifact_are_asked_for_with_what_lies_beside_them() -> None:
    known = np.float32([0.1, 7.0]).astype(np.float64)
    model = Linear(np.zeros(1), np.array([[0.0], [2.0]]), {0: known}, {0: np.array([[30.0], [-3.0]])}, 0)
    rows = centred_rows(model, np.random.default_rng(5), 60)
    assert {*known.tolist(), 8.5} <= set(rows[:60, 0].tolist())
    assert set(np.nextafter(known, np.inf).tolist()) <= set(rows[60:, 0].tolist())
    added = np.select([rows[:, 0] == each for each in known], [30.0, -3.0], 0.0)
    assert np.abs(added[:60] + 2 * rows[:60, 1]).max() < 12
