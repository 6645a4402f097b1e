"""XGBoost's answers and ours: every objective, booster and option, on rows that try the edges."""

import json
from typing import Any

import numpy as np
import pytest
import xgboost
from support.forests import Array, data, edges
from support.trials import answers

from croupier.artifacts.format import InvalidArtifact, view
from croupier.artifacts.packers.forest import pack_forest, pack_xgboost

CLOSE = {"rtol": 1e-6, "atol": 1e-6}

X = data(1, missing=0.1)
NOISE = np.random.default_rng(2).normal(size=len(X)) * 0.3
Y = np.nan_to_num(X[:, 0]) + np.nan_to_num(X[:, 1]) * np.nan_to_num(X[:, 2]) + NOISE
BINARY = (Y > 0).astype(int)
CLASSES = np.digitize(Y, [-0.7, 0.7])
POSITIVE = np.abs(Y) + 0.1
TWO = np.stack([Y, 2 - Y], axis=1)


def train(objective: str, label: Any, rounds: int = 8, group: Any = None, **options: Any) -> xgboost.Booster:
    bounds = (
        {"label_lower_bound": POSITIVE, "label_upper_bound": POSITIVE} if objective == "survival:aft" else {}
    )
    matrix = xgboost.DMatrix(X, None if bounds else label, group=group, **bounds)
    return xgboost.train({"objective": objective, "max_depth": 4, "nthread": 1, **options}, matrix, rounds)


def thresholds(booster: xgboost.Booster) -> Array:
    return np.array([float(word) for dump in booster.get_dump() for word in _bounds(dump)] or [0.0])


def _bounds(dump: str) -> list[str]:
    return [part.split("]")[0] for part in dump.split("<")[1:]]


def rows_for(booster: xgboost.Booster, *, wide: bool = False) -> Array:
    """XGBoost refuses infinite values itself."""
    return edges(3, X, thresholds(booster), infinite=False, wide=wide)


def asserted(booster: xgboost.Booster, artifact: bytes, rows: Array) -> None:
    expected = booster.predict(xgboost.DMatrix(rows))
    found = answers(booster, artifact, rows)
    if "probabilities" not in found:
        np.testing.assert_allclose(found["value"].squeeze(), expected, **CLOSE)
    elif found["probabilities"].shape[1] == 2 and expected.ndim == 1:
        np.testing.assert_allclose(found["probabilities"][:, 1], expected, **CLOSE)
        np.testing.assert_allclose(found["probabilities"].sum(axis=1), 1, rtol=1e-6)
    else:
        np.testing.assert_allclose(found["probabilities"], expected, **CLOSE)


CASES: list[tuple[str, Any, dict[str, Any]]] = [
    ("reg:squarederror", Y, {}),
    ("reg:squaredlogerror", POSITIVE, {}),
    ("reg:pseudohubererror", Y, {}),
    ("reg:absoluteerror", Y, {}),
    ("reg:quantileerror", Y, {"quantile_alpha": [0.2, 0.8]}),
    ("reg:logistic", BINARY, {}),
    ("reg:gamma", POSITIVE, {}),
    ("reg:tweedie", POSITIVE, {"tweedie_variance_power": 1.4}),
    ("count:poisson", POSITIVE, {}),
    ("survival:cox", POSITIVE, {}),
    ("survival:aft", POSITIVE, {}),
    ("binary:logistic", BINARY, {}),
    ("binary:logistic", BINARY, {"base_score": 0.2}),
    ("binary:logitraw", BINARY, {}),
    ("binary:hinge", BINARY, {}),
    ("multi:softprob", CLASSES, {"num_class": 3}),
    ("rank:pairwise", BINARY, {"group": [20] * 30}),
    ("rank:ndcg", BINARY, {"group": [20] * 30}),
    ("rank:map", BINARY, {"group": [20] * 30}),
    ("reg:squarederror", Y, {"booster": "dart", "rate_drop": 0.5}),
    ("multi:softprob", CLASSES, {"num_class": 3, "booster": "dart", "rate_drop": 0.5}),
    ("reg:squarederror", Y, {"num_parallel_tree": 4, "subsample": 0.6}),
    ("binary:logistic", BINARY, {"num_parallel_tree": 9, "subsample": 0.6, "rounds": 1, "eta": 1}),
    ("reg:squarederror", TWO, {}),
    ("reg:squarederror", TWO, {"multi_strategy": "multi_output_tree", "tree_method": "hist"}),
    ("binary:logistic", np.stack([BINARY, 1 - BINARY], axis=1), {}),
    ("reg:squarederror", Y, {"tree_method": "exact", "max_depth": 1}),
    ("reg:squarederror", Y, {"grow_policy": "lossguide", "max_leaves": 60, "max_depth": 0}),
    ("reg:squarederror", Y * 1e6, {"base_score": 1e6}),
    ("reg:squarederror", Y * 0, {}),
    ("reg:linear", Y, {}),
    ("reg:quantileerror", Y, {"quantile_alpha": 0.7}),
    ("reg:gamma", POSITIVE, {"base_score": 0.7}),
    ("count:poisson", POSITIVE, {"base_score": 3.0}),
    ("survival:aft", POSITIVE, {"aft_loss_distribution": "logistic"}),
    ("survival:aft", POSITIVE, {"aft_loss_distribution": "extreme", "aft_loss_distribution_scale": 2.0}),
    ("multi:softprob", CLASSES, {"num_class": 3, "num_parallel_tree": 3, "subsample": 0.6, "rounds": 2}),
    ("multi:softprob", CLASSES, {"num_class": 3, "multi_strategy": "multi_output_tree"}),
    (
        "binary:logistic",
        np.stack([BINARY, 1 - BINARY], axis=1),
        {"multi_strategy": "multi_output_tree", "tree_method": "hist"},
    ),
    ("count:poisson", POSITIVE, {"booster": "dart", "rate_drop": 0.5, "one_drop": 1}),
    ("reg:squarederror", Y, {"booster": "dart", "rate_drop": 0.5, "normalize_type": "forest"}),
    (
        "binary:logistic",
        BINARY,
        {"booster": "dart", "rate_drop": 0.5, "num_parallel_tree": 3, "subsample": 0.6},
    ),
    ("reg:squarederror", TWO, {"booster": "dart", "rate_drop": 0.5}),
    ("reg:squarederror", Y, {"tree_method": "approx", "monotone_constraints": "(1,0,0,-1,0,0)"}),
]


# XGBoost says of reg:linear that it is an old name.
@pytest.mark.filterwarnings("ignore:.*reg.linear is now deprecated")
@pytest.mark.parametrize(("objective", "label", "options"), CASES)
def test_answers_are_xgboosts(objective: str, label: Any, options: dict[str, Any]) -> None:
    booster = train(objective, label, **options)
    json_, ubjson = (pack_xgboost(bytes(booster.save_raw(form))) for form in ("json", "ubj"))
    assert json_ == ubjson
    asserted(booster, ubjson, rows_for(booster))
    asserted(booster, ubjson, rows_for(booster, wide=True))


@pytest.mark.parametrize(
    ("model", "label"),
    [
        (xgboost.XGBRFRegressor(n_estimators=5, n_jobs=1), Y),
        (xgboost.XGBRFClassifier(n_estimators=5, n_jobs=1), BINARY),
        (xgboost.XGBRFClassifier(n_estimators=5, n_jobs=1), CLASSES),
        (xgboost.XGBRegressor(n_estimators=5, n_jobs=1), Y),
        (xgboost.XGBClassifier(n_estimators=5, n_jobs=1), BINARY),
    ],
    ids=lambda value: type(value).__name__,
)
def test_estimators(model: Any, label: Array) -> None:
    model.fit(X, label)
    rows = rows_for(model.get_booster())
    found = answers(model, pack_forest(model), rows)
    if hasattr(model, "classes_"):
        np.testing.assert_allclose(found["probabilities"], model.predict_proba(rows), **CLOSE)
        np.testing.assert_array_equal(found["label"], model.predict(rows))
    else:
        np.testing.assert_allclose(found["value"][:, 0], model.predict(rows), **CLOSE)


@pytest.mark.parametrize("score", [1e-8, 1e-6, 0.999999, 0.99999999])
def test_a_base_score_of_nearly_0_or_1(score: float) -> None:
    booster = train("reg:logistic", BINARY, base_score=score, rounds=0)
    (found,) = {float(each) for each in answers(booster, pack_forest(booster), X)["value"][:, 0]}
    (expected,) = {float(each) for each in booster.predict(xgboost.DMatrix(X))}
    assert found == pytest.approx(expected, rel=1e-6, abs=0)


def test_a_ranker() -> None:
    model = xgboost.XGBRanker(n_estimators=5, n_jobs=1).fit(X, BINARY, qid=np.arange(len(X)) // 20)
    rows = rows_for(model.get_booster())
    np.testing.assert_allclose(
        answers(model, pack_forest(model), rows)["value"][:, 0], model.predict(rows), **CLOSE
    )


def test_multi_softmax_gives_its_class_as_the_label() -> None:
    booster = train("multi:softmax", CLASSES, num_class=3)
    rows = rows_for(booster)
    found = answers(booster, pack_xgboost(bytes(booster.save_raw())), rows)
    np.testing.assert_array_equal(found["label"], booster.predict(xgboost.DMatrix(rows)).astype(int))


@pytest.mark.parametrize("onehot", [1, 100])
@pytest.mark.parametrize("booster", ["gbtree", "dart"])
def test_categories(onehot: int, booster: str) -> None:
    random = np.random.default_rng(4)
    trained = X.copy()
    trained[:, 5] = random.integers(0, 70, len(X))
    trained[:30, 5] = np.nan
    label = Y + np.isin(trained[:, 5], [1, 2, 33, 64]) * 2
    types = ["q"] * 5 + ["c"]
    matrix = xgboost.DMatrix(trained, label, feature_types=types, enable_categorical=True)
    options = {"booster": booster, "max_depth": 5, "max_cat_to_onehot": onehot, "nthread": 1}
    options |= {"rate_drop": 0.3} if booster == "dart" else {}
    trees = xgboost.train(options, matrix, 8)
    rows = edges(5, trained, np.zeros(1), infinite=False, wide=True)
    # To XGBoost, which narrows it, the last one is 2.
    rows[:, 5] = random.choice([0, 1, 2, 33, 63, 64, 69, 2.5, np.nan, 2 - 2.0**-50], len(rows))
    # What was never seen goes where XGBoost sends it.
    unseen = random.random(len(rows)) < 0.2
    rows[unseen, 5] = random.choice([70, 71, 500, 1e6], unseen.sum())
    expected = trees.predict(xgboost.DMatrix(rows, feature_types=types, enable_categorical=True))
    found = answers(trees, pack_forest(trees), rows)
    np.testing.assert_allclose(found["value"][:, 0], expected, **CLOSE)


def test_estimators_bring_names_classes_and_their_best_iteration() -> None:
    model = xgboost.XGBClassifier(n_estimators=40, max_depth=3, early_stopping_rounds=2, n_jobs=1)
    model.fit(X[:300], CLASSES[:300], eval_set=[(X[300:], CLASSES[300:])], verbose=False)
    assert model.best_iteration < 39
    rows = edges(6, X, np.zeros(1), infinite=False)
    artifact = pack_forest(model, features=[f"n{i}" for i in range(6)])
    found = answers(model, artifact, rows)
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(rows), **CLOSE)
    np.testing.assert_array_equal(found["label"], model.predict(rows))


def test_names_are_the_boosters_the_files_or_the_callers() -> None:
    names = ["a", "b", "c", "d", "e", "f"]
    matrix = xgboost.DMatrix(X, Y, feature_names=names)
    booster = xgboost.train({"nthread": 1}, matrix, 1)
    assert view(pack_forest(booster)).features == tuple(names)
    for form in ("json", "ubj"):
        assert view(pack_xgboost(bytes(booster.save_raw(form)))).features == tuple(names)
    assert view(pack_forest(booster, features=names[::-1])).features == tuple(names[::-1])
    with pytest.raises(InvalidArtifact, match="2 names for a model of 6"):
        pack_forest(booster, features=["a", "b"])


def test_what_cannot_be_packed_is_refused_by_name() -> None:
    linear = xgboost.train({"booster": "gblinear", "nthread": 1}, xgboost.DMatrix(X, Y), 1)
    with pytest.raises(InvalidArtifact, match="gblinear"):
        pack_forest(linear)
    with pytest.raises(InvalidArtifact, match="missing=-1"):
        pack_forest(xgboost.XGBRegressor(n_estimators=1, missing=-1.0, n_jobs=1).fit(X, Y))
    several = xgboost.XGBClassifier(n_estimators=1, n_jobs=1).fit(X, np.stack([BINARY, 1 - BINARY], axis=1))
    with pytest.raises(InvalidArtifact, match="several labels a row"):
        pack_forest(several)
    learner = json.loads(train("reg:squarederror", Y).save_raw("json"))
    learner["learner"]["objective"]["name"] = "reg:mine"
    with pytest.raises(InvalidArtifact, match="reg:mine"):
        pack_xgboost(json.dumps(learner).encode())


@pytest.mark.parametrize("data", [b"", b"{}", b"{", b"\x00\x01", b'{"learner": 3}', b"{L\x00\x00\x00"])
def test_what_is_no_model_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidArtifact):
        pack_xgboost(data)
