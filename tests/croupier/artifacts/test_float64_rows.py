"""Models of data as people have it, asked for the rows that they were trained on: float64, as these come.

Their thresholds are values of the data, or lie a step beside them, and float32 has one number for many of
them: prices of two decimals, seconds since 1970, ids of nine digits.
"""

from collections.abc import Callable, Iterator
from typing import Any

import lightgbm
import numpy as np
import pytest
import xgboost
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeRegressor
from support.datasets import rows_of, sets
from support.trials import answers
from threadpoolctl import threadpool_limits

from croupier.artifacts.packers.forest import pack_forest
from croupier.artifacts.packers.linear import pack_linear

CLOSE = {"rtol": 1e-6, "atol": 1e-7}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


FEW = {"n_estimators": 20}
REGRESSORS: dict[str, Callable[[], Any]] = {
    "histogram": lambda: HistGradientBoostingRegressor(max_iter=20, min_samples_leaf=3),
    "lightgbm": lambda: lightgbm.LGBMRegressor(**FEW, min_child_samples=3, n_jobs=1, verbose=-1),
    "xgboost": lambda: xgboost.XGBRegressor(**FEW, n_jobs=1),
    "boosted": lambda: GradientBoostingRegressor(**FEW),
    "forest": lambda: RandomForestRegressor(n_estimators=8),
    "tree": DecisionTreeRegressor,
    "isolation": lambda: IsolationForest(n_estimators=8),
    "linear": Ridge,
    "scaled": lambda: make_pipeline(StandardScaler(), Ridge()),
    "encoded": lambda: make_pipeline(OneHotEncoder(handle_unknown="ignore"), Ridge()),
}
CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "histogram": lambda: HistGradientBoostingClassifier(max_iter=10, min_samples_leaf=3),
    "lightgbm": lambda: lightgbm.LGBMClassifier(n_estimators=10, min_child_samples=3, n_jobs=1, verbose=-1),
    "xgboost": lambda: xgboost.XGBClassifier(n_estimators=10, n_jobs=1),
    "forest": lambda: RandomForestClassifier(n_estimators=8),
    "extra": lambda: ExtraTreesClassifier(n_estimators=8),
    "scaled": lambda: make_pipeline(StandardScaler(), LogisticRegression()),
}
IS_LINEAR = {"linear", "scaled", "encoded"}


@pytest.mark.parametrize("name", sets())
@pytest.mark.parametrize("kind", REGRESSORS)
def test_numbers(kind: str, name: str) -> None:
    trained, label = sets()[name]
    model = REGRESSORS[kind]().fit(trained, label)
    artifact = pack_linear(model) if kind in IS_LINEAR else pack_forest(model)
    wide = rows_of(trained)
    for rows in (wide, wide.astype(np.float32)):
        # The linear contract widens float32 rows; scikit-learn computes part of them in float32.
        asked = rows.astype(np.float64) if kind in IS_LINEAR else rows
        expected = -model.score_samples(asked) if kind == "isolation" else model.predict(asked)
        # XGBoost adds in float32, to a base that may be larger than what comes of it.
        close = {"rtol": 1e-6, "atol": 1e-6 * np.abs(expected).max()} if kind == "xgboost" else CLOSE
        np.testing.assert_allclose(answers(model, artifact, rows)["value"][:, 0], expected, **close)


@pytest.mark.parametrize("name", sets())
@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_classes(kind: str, name: str) -> None:
    trained, label = sets()[name]
    classes = label if len(np.unique(label)) < 4 else np.digitize(label, np.quantile(label, [0.3, 0.7]))
    model = CLASSIFIERS[kind]().fit(trained, classes)
    artifact = pack_linear(model) if kind in IS_LINEAR else pack_forest(model)
    rows = rows_of(trained)
    found = answers(model, artifact, rows)
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(rows), **CLOSE)
    np.testing.assert_array_equal(found["label"], model.predict(rows))
