"""A caller's rows as the library was trained on them: a matrix, a frame, categories of the frame's kinds."""

import math
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler
from support.trials import compared

from croupier.artifacts.format import view
from croupier.artifacts.packers.checks.frames import frame_of
from croupier.artifacts.packers.forest import pack_forest
from croupier.artifacts.packers.linear import pack_linear

RANDOM = np.random.default_rng(1)
X = RANDOM.normal(size=(60, 3))
TOWN = RANDOM.choice(["Köln", "Oslo"], 60)
CODED = pd.DataFrame({"z": X[:, 0], "town": pd.Categorical(TOWN), "open": pd.Categorical(X[:, 1] > 0)})
QUIET: dict[str, Any] = {"n_estimators": 3, "min_child_samples": 3, "n_jobs": 1, "verbose": -1}


def test_rows_of_a_model_without_names_are_a_matrix() -> None:
    model = Ridge().fit(X, X[:, 0])
    rows = frame_of(model, view(pack_linear(model)), {"input": X.astype(np.float32)})
    assert isinstance(rows, np.ndarray)
    # float64 of the same row: the steps would round what comes as float32.
    assert rows.dtype == np.float64
    np.testing.assert_array_equal(rows, X.astype(np.float32))


def test_rows_of_a_model_with_names_are_a_frame_with_these() -> None:
    model = Ridge().fit(pd.DataFrame(X, columns=["a", "b", "c"]), X[:, 0])
    rows = frame_of(model, view(pack_linear(model, features=["x", "y", "z"])), {"input": X})
    # Whatever the artifact calls them.
    assert list(rows.columns) == ["a", "b", "c"]
    np.testing.assert_array_equal(rows.to_numpy(), X)


def test_what_is_not_asked_for_is_there_in_its_place() -> None:
    rows = np.array([["a", 1.5, 9.0], ["b", 2.5, 8.0]] * 5, object)
    steps = ColumnTransformer([("codes", OrdinalEncoder(), [0]), ("rest", StandardScaler(), [2])])
    model = make_pipeline(steps, Ridge()).fit(rows, np.arange(10))
    table = {"0": np.array([["b"], [None]], object), "2": np.array([[9.0], [8.0]])}
    found = frame_of(model, view(pack_linear(model)), table)
    assert isinstance(found, np.ndarray)
    assert found.shape == (2, 3)
    assert found[0].tolist() == ["b", 0.0, 9.0]
    # None is NaN to scikit-learn.
    assert math.isnan(found[1, 0])


@pytest.mark.parametrize("is_booster", [False, True])
def test_lightgbms_categories_are_those_of_its_own_frame(is_booster: bool) -> None:
    model = lightgbm.LGBMRegressor(**QUIET).fit(CODED, X[:, 0])
    table = {
        "z": X[:2, :1],
        "town": np.array([["Oslo"], [None]], object),
        "open": np.array([[1.0], [math.nan]]),
    }
    asked = model.booster_ if is_booster else model
    names = model.booster_.feature_name() if is_booster else None
    rows = frame_of(asked, view(pack_forest(model)), table, names)
    assert list(rows.columns) == ["z", "town", "open"]
    assert rows["town"].tolist()[0] == "Oslo"
    assert rows["town"].isna().tolist() == [False, True]
    # A truth value is sent as a number, and pandas tells them apart among others.
    assert rows["open"].cat.categories.tolist() == [True]
    assert isinstance(rows["open"].cat.categories.tolist()[0], bool)
    # As a caller's frame is predicted.
    towns, truths = pd.Categorical(["Oslo", None]), pd.Categorical([True, None])
    own = pd.DataFrame({"z": X[:2, 0], "town": towns, "open": truths})
    np.testing.assert_array_equal(model.predict(rows), model.predict(own))


@pytest.mark.parametrize("lost", [None, math.nan])
def test_columns_that_scikit_learn_was_told_are_categories_come_as_objects(lost: Any) -> None:
    """Where it knows None it does not know NaN, which pandas would make of it among texts."""
    town = pd.Series(np.where(X[:, 1] > 0, lost, TOWN.astype(object)), dtype=object)
    frame = pd.DataFrame({"z": X[:, 0], "town": town})
    model = HistGradientBoostingRegressor(max_iter=2, min_samples_leaf=3, categorical_features=["town"])
    model.fit(frame, X[:, 0] + (X[:, 1] > 0) * 5)
    artifact = pack_forest(model)
    rows = frame_of(model, view(artifact), {"z": X[:, :1], "town": town.to_numpy()[:, None]})
    assert rows["town"].dtype == object
    np.testing.assert_array_equal(model.predict(rows), model.predict(frame))
    assert compared(model, artifact, frame).checked.sample == 60
