"""Rows for converted models have values like those that these were trained on, or a sample is asked for."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.ensemble import BaggingClassifier, BaggingRegressor
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import KBinsDiscretizer, MinMaxScaler, RobustScaler, StandardScaler
from support.trials import compared
from threadpoolctl import threadpool_limits

from croupier.artifacts.format import InvalidArtifact
from croupier.artifacts.packers.checks.compare import DiffersFromLibrary
from croupier.artifacts.packers.checks.likely import likely_rows
from croupier.artifacts.packers.onnx import pack_sklearn

RANDOM = np.random.default_rng(1)
ROWS = np.column_stack([1.7e9 + RANDOM.integers(0, 86_400, 300), RANDOM.normal(3e4, 1e4, 300)])
LABEL = (ROWS[:, 0] % 2 + ROWS[:, 1] / 1e4 > 4).astype(int)

PARTS: list[Any] = [
    make_pipeline("passthrough", StandardScaler(), PCA(2), Ridge()),
    make_pipeline(RobustScaler(), SelectKBest(k=1), LogisticRegression()),
    make_pipeline(KBinsDiscretizer(4, encode="ordinal", quantile_method="averaged_inverted_cdf"), Ridge()),
    make_pipeline(FeatureUnion([("a", MinMaxScaler()), ("b", StandardScaler())]), LogisticRegression()),
    ColumnTransformer([("a", make_pipeline(StandardScaler()), [1]), ("b", MinMaxScaler(), [0])]),
    GaussianNB(),
    KNeighborsRegressor(),
    CalibratedClassifierCV(GaussianNB(), cv=2),
    BaggingClassifier(max_features=1, n_estimators=4, random_state=1),
]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with threadpool_limits(1), warnings.catch_warnings(action="ignore"):
        yield


@pytest.mark.parametrize("model", PARTS, ids=lambda model: str(type(model).__name__))
def test_values_are_those_of_the_training_data(model: Any) -> None:
    found = likely_rows(model.fit(ROWS, LABEL), 2, np.random.default_rng(1))
    assert found is not None
    inside = (found > ROWS.mean(axis=0) - 6 * ROWS.std(axis=0)) & (
        found < ROWS.mean(axis=0) + 6 * ROWS.std(axis=0)
    )
    assert inside.mean(axis=0).min() > 0.9
    assert (found.std(axis=0) > ROWS.std(axis=0) / 4).all()


def test_what_keeps_nothing_says_nothing() -> None:
    assert likely_rows(Ridge().fit(ROWS, LABEL), 2, np.random.default_rng(1)) is None
    assert likely_rows(object(), 2, np.random.default_rng(1)) is None


def test_a_conversion_that_answers_all_rows_alike_needs_a_sample() -> None:
    model = make_pipeline(StandardScaler(), PCA(1), Ridge(alpha=1e30)).fit(ROWS, LABEL)
    model[-1].coef_[:] = 0.0
    artifact = pack_sklearn(model)
    with pytest.raises(InvalidArtifact, match=r"have one answer, .* give rows that it takes as a sample"):
        compared(model, artifact)
    assert compared(model, artifact, ROWS).checked.sample == len(ROWS)


def test_bounds_of_bins_that_float32_cannot_hold_are_tried() -> None:
    """Trees make it a graph of float32, in which the bins lie otherwise."""
    bins = KBinsDiscretizer(30, encode="ordinal", quantile_method="averaged_inverted_cdf")
    model = make_pipeline(bins, BaggingRegressor(n_estimators=2, random_state=1)).fit(
        ROWS, ROWS[:, 0] - 1.7e9
    )
    with pytest.raises(DiffersFromLibrary):
        compared(model, pack_sklearn(model))
