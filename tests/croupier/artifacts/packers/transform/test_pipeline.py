"""Pipelines before every kind of estimator answer as they do in scikit-learn, through the native engine."""

import math
import warnings
from collections.abc import Iterator
from random import Random
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import LinearSVC
from support.pipelines import UNSEEN, random_frame
from support.trials import asked
from threadpoolctl import threadpool_limits

from croupier.artifacts.format import view
from croupier.artifacts.packers.forest import pack_forest
from croupier.artifacts.packers.linear import pack_linear
from croupier.errors import InvalidRequest

CLOSE = {"rtol": 1e-6, "atol": 1e-6}
CODED: dict[str, Any] = {"handle_unknown": "use_encoded_value"}
NUMBERS = ["float0", "few0"]
BOOSTED: dict[str, Any] = {"n_estimators": 6, "n_jobs": 1}

FRAME = random_frame(Random(1), 300, missing=0.1)
ROWS = random_frame(Random(2), 200, missing=0.2, unseen=0.2)
LABELS = (
    (FRAME["text0"] == "red") * 2.0
    + FRAME["few0"].fillna(3).clip(0, 3)
    + np.random.default_rng(3).normal(size=300)
)
BINARY = np.where(LABELS > 2, "yes", "no")
CLASSES = np.digitize(LABELS, [1.0, 3.0])


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Where others compute, too, threads of OpenMP wait for each other most of the time."""
    with threadpool_limits(1):
        yield


def canonical(**encoder: Any) -> ColumnTransformer:
    """The pipeline that everybody writes."""
    options: dict[str, Any] = {"handle_unknown": "ignore", "sparse_output": False, **encoder}
    return ColumnTransformer(
        [
            (
                "numbers",
                make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()),
                ["float0", "few0"],
            ),
            (
                "texts",
                make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(**options)),
                ["text0", "whole"],
            ),
            ("missing", OneHotEncoder(**options), ["text2"]),
            (
                "codes",
                OrdinalEncoder(
                    handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2
                ),
                ["text1", "few1"],
            ),
            ("passed", "passthrough", ["whole"]),
        ],
        sparse_threshold=1.0,
    )


def fitted(steps: Any, estimator: Any, labels: Any, frame: Any = FRAME) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make_pipeline(steps, estimator).fit(frame, labels)


def asserted(model: Any, artifact: bytes, rows: Any) -> None:
    found = asked(model, artifact, rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if "value" in found:
            np.testing.assert_allclose(found["value"].squeeze(), model.predict(rows), **CLOSE)
            return
        np.testing.assert_array_equal(found["label"].astype(str), model.predict(rows).astype(str))
        if "probabilities" in found:
            np.testing.assert_allclose(found["probabilities"], model.predict_proba(rows), **CLOSE)
        else:
            np.testing.assert_allclose(found["decision"].squeeze(), model.decision_function(rows), **CLOSE)


ESTIMATORS: list[tuple[Any, Any]] = [
    (LinearRegression(), LABELS),
    (Ridge(), np.stack([LABELS, -LABELS], axis=1)),
    (LogisticRegression(max_iter=50), BINARY),
    (LogisticRegression(max_iter=50), CLASSES),
    (LinearSVC(max_iter=50), CLASSES),
    (RandomForestRegressor(5, max_depth=5, random_state=1), LABELS),
    (RandomForestClassifier(5, max_depth=5, random_state=1), BINARY),
    (ExtraTreesClassifier(5, max_depth=5, random_state=1), CLASSES),
    (GradientBoostingClassifier(n_estimators=5), CLASSES),
    (HistGradientBoostingRegressor(max_iter=5, min_samples_leaf=5), LABELS),
    (HistGradientBoostingClassifier(max_iter=5, min_samples_leaf=5), BINARY),
    (xgboost.XGBRegressor(**BOOSTED), LABELS),
    (xgboost.XGBClassifier(**BOOSTED), CLASSES),
    (lightgbm.LGBMRegressor(**BOOSTED, min_child_samples=5, verbose=-1), LABELS),
    (lightgbm.LGBMClassifier(**BOOSTED, min_child_samples=5, verbose=-1), CLASSES),
]


@pytest.mark.parametrize(("estimator", "labels"), ESTIMATORS, ids=lambda value: type(value).__name__)
def test_the_canonical_pipeline_before_every_estimator(estimator: Any, labels: Any) -> None:
    model = fitted(canonical(), estimator, labels)
    pack = (
        pack_linear if hasattr(model[-1], "coef_") and not hasattr(model[-1], "get_booster") else pack_forest
    )
    artifact = pack(model)
    inputs = {tensor.name: tensor.datatype for tensor in view(artifact).inputs}
    assert inputs == {
        name: "BYTES" if name.startswith("text") else "FP64"
        for name in FRAME
        if name in {"float0", "few0", "few1", "whole", "text0", "text1", "text2"}
    }
    asserted(model, artifact, ROWS)
    with pytest.raises(InvalidRequest, match="'float0' is infinite"):
        asked(model, artifact, ROWS.assign(float0=math.inf))


@pytest.mark.parametrize(
    "estimator",
    [
        RandomForestRegressor(5, max_depth=5, random_state=1),
        xgboost.XGBRegressor(**BOOSTED),
        lightgbm.LGBMRegressor(**BOOSTED, min_child_samples=5, verbose=-1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_sparse_columns(estimator: Any) -> None:
    """XGBoost takes zeros that a sparse matrix does not hold for missing values; the others for zeros."""
    steps = canonical(sparse_output=True)
    model = fitted(steps, estimator, LABELS)
    assert steps.sparse_output_
    asserted(model, pack_forest(model), ROWS)


def test_what_an_estimator_refuses_is_refused_of_what_reaches_it() -> None:
    steps = ColumnTransformer(
        [
            ("imputed", SimpleImputer(), ["float0"]),
            ("passed", StandardScaler(), ["float1"]),
            ("codes", OrdinalEncoder(**CODED, unknown_value=math.nan), ["text0"]),
        ]
    )
    trained = FRAME.fillna({"float1": 0.0, "text0": "red"})
    rows = ROWS.fillna({"float1": 0.0, "text0": "red"}).replace({"text0": dict.fromkeys(UNSEEN, "blue")})
    strict = pack_linear(model := fitted(steps, Ridge(), LABELS, trained))
    asserted(model, strict, rows)
    for column, value, says in (
        ("float1", math.nan, "'float1' is missing"),
        ("text0", None, "'text0' is missing"),
        ("text0", "mauve", "unknown category 'mauve'"),
    ):
        with pytest.raises(ValueError, match="contains NaN"):
            model.predict(rows[:1].assign(**{column: value}))
        with pytest.raises(InvalidRequest, match=says):
            asked(model, strict, rows[:1].assign(**{column: value}))
    model = fitted(steps, xgboost.XGBRegressor(**BOOSTED), LABELS, trained)
    asserted(model, pack_forest(model), ROWS)


@pytest.mark.parametrize(
    ("scale", "estimator", "value"),
    [
        (1e-3, Ridge(), 1e306),
        (1e-3, RandomForestRegressor(2, random_state=1), 3e37),
        (1e-30, RandomForestRegressor(2, random_state=1), 1e10),
    ],
    ids=lambda value: f"{value:g}" if isinstance(value, float) else type(value).__name__,
)
def test_what_a_scaler_makes_too_large_is_refused_as_by_the_estimator(
    scale: float, estimator: Any, value: float
) -> None:
    rows = np.random.default_rng(1).normal(size=(60, 2)) * scale
    model = make_pipeline(StandardScaler(), estimator).fit(rows, rows[:, 0])
    artifact = (pack_linear if isinstance(estimator, Ridge) else pack_forest)(model)
    large = np.array([[0.0, value]])
    with pytest.raises(ValueError, match="infinity"), np.errstate(over="ignore"):
        model.predict(large)
    with pytest.raises(InvalidRequest, match="'1' is too large for the steps before this model"):
        asked(model, artifact, large)
    np.testing.assert_allclose(asked(model, artifact, rows)["value"][:, 0], model.predict(rows), rtol=1e-6)


def test_a_pipeline_of_numbers_takes_them_in_one_row() -> None:
    numbers = FRAME[["float0", "few0", "whole"]].to_numpy()
    rows = ROWS[["float0", "few0", "whole"]].to_numpy()
    for frame, names in ((numbers, ()), (pd.DataFrame(numbers, columns=["a", "b", "c"]), ("a", "b", "c"))):
        steps = ColumnTransformer([("some", make_pipeline(SimpleImputer(), StandardScaler()), [2, 0])])
        model = fitted(steps, Ridge(), LABELS, frame)
        artifact = pack_linear(model)
        found = view(artifact)
        assert (found.features, found.inputs[0].datatype, found.inputs[0].shape) == (names, "FP64", (-1, 3))
        asserted(model, artifact, pd.DataFrame(rows, columns=list(names)) if names else rows)
    renamed = pack_linear(model, features=["x", "y", "z"])
    assert view(renamed).features == ("x", "y", "z")


def test_columns_chosen_by_datatype_and_outputs_as_frames() -> None:
    steps = ColumnTransformer(
        [
            ("numbers", SimpleImputer(), make_column_selector(dtype_include="number")),
            (
                "texts",
                OneHotEncoder(handle_unknown="ignore", sparse_output=False),
                make_column_selector(dtype_exclude="number"),
            ),
        ]
    ).set_output(transform="pandas")
    model = fitted(steps, lightgbm.LGBMRegressor(**BOOSTED, verbose=-1), LABELS)
    artifact = pack_forest(model)
    assert view(artifact).features == tuple(FRAME)
    asserted(model, artifact, ROWS)


def test_texts_of_an_array_are_named_by_their_places() -> None:
    rows = np.array([["a", 1.5], ["b", 2.5], ["c", 0.5]] * 5, object)
    steps = ColumnTransformer([("codes", OrdinalEncoder(), [0]), ("rest", StandardScaler(), [1])])
    model = make_pipeline(steps, Ridge()).fit(rows, np.arange(15))
    artifact = pack_linear(model)
    assert view(artifact).features == ("0", "1")
    found = asked(model, artifact, pd.DataFrame(rows, columns=["0", "1"]))
    np.testing.assert_allclose(found["value"][:, 0], model.predict(rows), **CLOSE)
