"""Random models of random options, on rows that try their own thresholds: the answers are their library's."""

from typing import Any

import lightgbm
import numpy as np
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from support.forests import Array, data, edges
from support.trials import answers
from threadpoolctl import threadpool_limits

from croupier.artifacts.packers.forest import pack_forest, pack_lightgbm, pack_xgboost

CLOSE = {"rtol": 1e-6, "atol": 1e-6}
ROWS = 120
CODES = 40

seeds = st.integers(0, 2**32 - 1)
shares = st.sampled_from([0.0, 0.2])
# Of the rows: float64 or float32.
widths = st.booleans()


def drawn(seed: int, zeros: float, missing: float, categorical: bool) -> tuple[Array, Array]:
    """Features, of which the last may be categories, and a positive label of their own."""
    random = np.random.default_rng(seed)
    found = data(seed, rows=ROWS, zeros=zeros, missing=missing)
    # Few values of one feature, so that they are thresholds themselves.
    found[:, 1] = np.round(found[:, 1] * 2)
    label = np.abs(np.nan_to_num(found[:, 0]) + random.normal(size=ROWS)) + 0.01
    if categorical:
        found[:, 5] = random.integers(0, CODES, ROWS)
        label += found[:, 5] % 3
    return found, label


def tried(seed: int, trained: Array, thresholds: Array, codes: list[float] | None, **options: Any) -> Array:
    rows = edges(seed, trained, thresholds, rows=400, **options)
    if codes is not None:
        rows[:, 5] = np.random.default_rng(seed).choice([0, 1, 2, 31, 32, CODES - 1, *codes], len(rows))
    return rows


def scores(model: Any, artifact: bytes, rows: Array) -> Array:
    return next(found for name, found in answers(model, artifact, rows).items() if name != "label")


@settings(max_examples=25)
@given(
    seeds,
    shares,
    shares,
    st.booleans(),
    st.sampled_from(
        ["reg:squarederror", "count:poisson", "reg:tweedie", "survival:cox", "reg:absoluteerror"]
    ),
    st.sampled_from(["gbtree", "dart"]),
    st.integers(0, 7),
    st.integers(1, 3),
    st.sampled_from([1, 4, 100]),
    widths,
)
def test_xgboost(
    seed: int,
    zeros: float,
    missing: float,
    categorical: bool,
    objective: str,
    booster: str,
    depth: int,
    parallel: int,
    onehot: int,
    wide: bool,
) -> None:
    trained, label = drawn(seed, zeros, missing, categorical)
    types = ["q"] * 5 + ["c" if categorical else "q"]
    options = {"objective": objective, "booster": booster, "max_depth": depth, "num_parallel_tree": parallel}
    options |= {
        "subsample": 0.8,
        "min_child_weight": 0.1,
        "max_cat_to_onehot": onehot,
        "nthread": 1,
        "seed": 1,
    }
    options |= {"rate_drop": 0.4} if booster == "dart" else {}
    if not depth:
        options |= {"grow_policy": "lossguide", "max_leaves": 20}
    matrix = xgboost.DMatrix(trained, label, feature_types=types, enable_categorical=categorical)
    model = xgboost.train(options, matrix, 4)
    bounds = [float(part.split("]")[0]) for dump in model.get_dump() for part in dump.split("<")[1:]]
    codes = [2.5, CODES, 1e6, np.nan] if categorical else None
    rows = tried(seed, trained, np.array(bounds or [0.0]), codes, infinite=False, wide=wide)
    asked = xgboost.DMatrix(rows, feature_types=types, enable_categorical=categorical)
    expected = model.predict(asked)
    found = scores(model, pack_xgboost(bytes(model.save_raw("ubj"))), rows)
    np.testing.assert_allclose(found[:, 0], expected, **CLOSE)


@settings(max_examples=25)
@given(
    seeds,
    shares,
    shares,
    st.booleans(),
    st.sampled_from(["regression", "poisson", "huber", "quantile", "cross_entropy_lambda"]),
    st.sampled_from(["gbdt", "dart", "rf", "goss"]),
    st.integers(2, 40),
    st.sampled_from([{}, {"zero_as_missing": True}, {"use_missing": False}]),
    widths,
)
def test_lightgbm(
    seed: int,
    zeros: float,
    missing: float,
    categorical: bool,
    objective: str,
    boosting: str,
    leaves: int,
    holes: dict[str, Any],
    wide: bool,
) -> None:
    trained, label = drawn(seed, zeros, missing, categorical)
    if objective == "cross_entropy_lambda":
        label = np.minimum(1, label / 5)
    options = {"objective": objective, "boosting": boosting, "num_leaves": leaves, "min_data_in_leaf": 1}
    options |= {"cat_smooth": 1, "num_threads": 1, "verbose": -1, **holes}
    options |= {"bagging_fraction": 0.7, "bagging_freq": 1} if boosting == "rf" else {}
    features: Any = [5] if categorical else []
    sets = lightgbm.Dataset(trained, label, categorical_feature=features, params={"verbose": -1, **holes})
    model = lightgbm.train(options, sets, 4)
    text = model.model_to_string()
    bounds = [
        float(word)
        for line in text.splitlines()
        if line.startswith("threshold=")
        for word in line[len("threshold=") :].split()
    ]
    codes = [2.5, 2 - 2.0**-50, -0.5, -1.0, -7.0, CODES, 1e9, np.nan, np.inf] if categorical else None
    rows = tried(seed, trained, np.array(bounds or [0.0]), codes, wide=wide)
    expected = model.predict(rows, num_threads=1)
    np.testing.assert_allclose(scores(model, pack_lightgbm(text), rows)[:, 0], expected, **CLOSE)


@settings(max_examples=20)
@given(
    seeds,
    shares,
    st.sampled_from(
        [RandomForestClassifier, RandomForestRegressor, ExtraTreesClassifier, GradientBoostingRegressor]
    ),
    st.integers(1, 9),
    st.integers(1, 4),
    widths,
)
def test_scikit_learn(seed: int, missing: float, kind: Any, depth: int, parts: int, wide: bool) -> None:
    holes = 0.0 if kind is GradientBoostingRegressor else missing
    trained, label = drawn(seed, 0.2, holes, False)
    if hasattr(kind, "predict_proba"):
        label = np.digitize(label, np.linspace(0.5, 2, parts))
    model = kind(n_estimators=3, max_depth=depth, random_state=1).fit(trained, label)
    trees = np.ravel(model.estimators_)
    bounds = np.concatenate([tree.tree_.threshold for tree in trees])
    rows = tried(seed, trained, bounds, None, infinite=False, missing=bool(holes), wide=wide)
    expected = model.predict_proba(rows) if hasattr(model, "predict_proba") else model.predict(rows)[:, None]
    np.testing.assert_allclose(scores(model, pack_forest(model), rows), expected, **CLOSE)


@settings(max_examples=15)
@given(seeds, shares, st.booleans(), st.booleans(), st.integers(2, 31), widths)
def test_histograms(
    seed: int, missing: float, categorical: bool, classifies: bool, leaves: int, wide: bool
) -> None:
    trained, label = drawn(seed, 0.2, missing, categorical)
    options = {"max_iter": 3, "max_leaf_nodes": leaves, "min_samples_leaf": 1, "random_state": 1}
    options |= {"categorical_features": [5]} if categorical else {}
    kind = HistGradientBoostingClassifier if classifies else HistGradientBoostingRegressor
    with threadpool_limits(1):
        model = kind(**options).fit(trained, np.digitize(label, [0.5, 1.5]) if classifies else label)
        bounds = [tree.nodes["num_threshold"] for each in model._predictors for tree in each]
        codes = [2.5, 2 - 2.0**-50, -0.5, -1.0, CODES, 1e6, np.nan] if categorical else None
        rows = tried(seed, trained, np.concatenate(bounds), codes, wide=wide)
        expected = model.predict_proba(rows) if classifies else model.predict(rows)[:, None]
    np.testing.assert_allclose(scores(model, pack_forest(model), rows), expected, **CLOSE)
