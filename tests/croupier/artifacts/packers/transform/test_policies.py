"""What artifacts say of missing and infinite values, and of features left out, is their library's way."""

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
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from support.forests import data
from support.trials import asked

from croupier.artifacts.format import view
from croupier.artifacts.packers.files import pack_file
from croupier.artifacts.packers.forest import pack_forest
from croupier.artifacts.packers.linear import pack_linear
from croupier.artifacts.packers.onnx import pack_sklearn
from croupier.artifacts.packers.process import pack_file_apart
from croupier.errors import InvalidRequest

HOLES = data(1, missing=0.1)
X = np.nan_to_num(HOLES, nan=1.5)
Y = X[:, 0] + X[:, 1] * X[:, 2]
LABEL = (Y > 0).astype(int)
SMALL = {"n_estimators": 5, "random_state": 1}


def says(artifact: bytes) -> tuple[bool, bool, bool]:
    found = view(artifact)
    return found.accepts_missing, found.finite, found.complete


SHOW: list[tuple[Any, Any, bool]] = [
    (DecisionTreeRegressor(max_depth=8), Y, True),
    (DecisionTreeClassifier(), LABEL, True),
    (RandomForestRegressor(**SMALL), Y, True),
    (ExtraTreesClassifier(**SMALL), LABEL, True),
    (HistGradientBoostingRegressor(max_iter=5, categorical_features=[5]), Y, False),
    (HistGradientBoostingClassifier(max_iter=5, early_stopping=True), LABEL, False),
    (lightgbm.LGBMRegressor(n_estimators=5, n_jobs=1, verbose=-1), Y, False),
    (lightgbm.LGBMRegressor(n_estimators=5, n_jobs=1, verbose=-1, zero_as_missing=True), Y, False),
]


@pytest.mark.parametrize(("model", "label", "finite"), SHOW, ids=lambda value: type(value).__name__)
def test_trees_show_whether_values_were_missing_in_training(model: Any, label: Any, finite: bool) -> None:
    holes, full = HOLES.copy(), X.copy()
    codes = np.random.default_rng(1).integers(0, 9, len(X))
    holes[:, 5] = np.where(np.isnan(holes[:, 5]), np.nan, codes)
    full[:, 5] = codes
    assert says(pack_forest(model.fit(holes, label))) == (True, finite, False)
    zeros = getattr(model, "zero_as_missing", False)
    # Zeros that are missing are in every training set.
    assert says(pack_forest(model.fit(full, label))) == (True, finite, not zeros)
    assert says(pack_forest(model, complete=False)) == (True, finite, False)
    assert says(pack_forest(model, complete=True)) == (True, finite, True)


def test_lightgbms_categories_alone_do_not_show_it() -> None:
    codes = np.random.default_rng(1).integers(0, 9, (len(X), 1)).astype(float)
    model = lightgbm.LGBMRegressor(n_estimators=3, n_jobs=1, verbose=-1)
    label = (codes[:, 0] % 3 == 1) * 1.0
    assert says(pack_forest(model.fit(codes, label, categorical_feature=[0]))) == (True, False, True)


def test_xgboosts_trees_do_not_show_it() -> None:
    booster = xgboost.train({"nthread": 1}, xgboost.DMatrix(HOLES, Y), 2)
    assert says(pack_forest(booster)) == (True, True, True)
    assert says(pack_forest(booster, complete=False)) == (True, True, False)
    file = bytes(booster.save_raw("ubj"))
    assert says(pack_file(file)) == (True, True, True)
    assert says(pack_file_apart(file, complete=False)) == (True, True, False)


def test_what_refuses_missing_values_need_not_be_complete() -> None:
    assert says(pack_forest(GradientBoostingRegressor(**SMALL).fit(X, Y))) == (False, True, False)
    assert says(pack_linear(Ridge().fit(X, Y))) == (False, True, False)


def test_an_isolation_forest_takes_infinity() -> None:
    model = IsolationForest(**SMALL).fit(X)
    rows = X[:2].copy()
    rows[0, 0] = np.inf
    model.score_samples(rows)
    assert says(pack_forest(model))[1] is False


def test_histogram_gradient_boosting_takes_infinity_but_for_a_category() -> None:
    rows = np.nan_to_num(HOLES.astype(np.float64), nan=0.5)
    rows[:, 5] = np.random.default_rng(1).integers(0, 9, len(X))
    model = HistGradientBoostingRegressor(max_iter=3, categorical_features=[5]).fit(rows, Y)
    number, category = rows[:2].copy(), rows[:2].copy()
    number[0, 0] = category[0, 5] = np.inf
    found = asked(model, artifact := pack_forest(model), number)
    np.testing.assert_allclose(found["value"][:, 0], model.predict(number), rtol=1e-6)
    with pytest.raises(ValueError, match="infinity"):
        model.predict(category)
    with pytest.raises(InvalidRequest, match="'5' is infinite"):
        asked(model, artifact, category)


def test_by_way_of_onnx_infinity_is_refused_where_the_library_does() -> None:
    model = make_pipeline(SimpleImputer(), LogisticRegression()).fit(HOLES, LABEL)
    assert says(pack_sklearn(model)) == (True, True, False)
    assert says(pack_sklearn(Ridge().fit(X, Y))) == (False, True, False)
