"""LightGBM's answers and ours: every objective, booster and kind of missing value, on trying rows."""

import re
from typing import Any

import lightgbm
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.forests import Array, both, data, edges, scored
from support.trials import answers

from croupier.artifacts.format import InvalidArtifact, view
from croupier.artifacts.packers.forest import pack_forest, pack_lightgbm

CLOSE = {"rtol": 1e-6, "atol": 1e-6}

X = data(1, zeros=0.2, missing=0.1)
NOISE = np.random.default_rng(2).normal(size=len(X)) * 0.3
Y = (
    np.nan_to_num(X[:, 0], nan=2.0)
    + np.nan_to_num(X[:, 1]) * np.nan_to_num(X[:, 2])
    + 2 * (X[:, 0] == 0)
    + NOISE
)
BINARY = (Y > 0).astype(int)
CLASSES = np.digitize(Y, [-0.7, 1.0])
POSITIVE = np.abs(Y) + 0.1
SHARE = 1 / (1 + np.exp(-Y))


def train(
    objective: str, label: Any, *, trained: Array = X, rounds: int = 8, **options: Any
) -> lightgbm.Booster:
    group = [20] * 30 if objective in {"lambdarank", "rank_xendcg"} else None
    categorical = options.pop("categorical", "auto")
    options = {"objective": objective, "num_leaves": 12, "num_threads": 1, "verbose": -1, **options}
    options = {"min_data_in_leaf": 5, **options}
    sets = lightgbm.Dataset(
        trained, label, group=group, categorical_feature=categorical, params={"verbose": -1}
    )
    return lightgbm.train(options, sets, rounds)


def thresholds(booster: lightgbm.Booster) -> Array:
    found = re.findall(r"^threshold=(.+)$", booster.model_to_string(), re.MULTILINE)
    return np.array([float(word) for line in found for word in line.split()] or [0.0])


def asserted(booster: lightgbm.Booster, *several: Array) -> None:
    artifact = pack_forest(booster)
    for rows in several or both(3, X, thresholds(booster)):
        asserted_of(artifact, booster, rows)


def asserted_of(artifact: bytes, booster: lightgbm.Booster, rows: Array) -> None:
    expected = booster.predict(rows, num_threads=1)
    found = answers(booster, artifact, rows)
    if "probabilities" not in found:
        np.testing.assert_allclose(found["value"].squeeze(), expected, **CLOSE)
    elif found["probabilities"].shape[1] == 2 and expected.ndim == 1:
        np.testing.assert_allclose(found["probabilities"][:, 1], expected, **CLOSE)
    else:
        np.testing.assert_allclose(found["probabilities"], expected, **CLOSE)
        np.testing.assert_array_equal(found["label"], found["probabilities"].argmax(axis=1))


BAGGED = {"bagging_fraction": 0.6, "bagging_freq": 1}
CASES: list[tuple[str, Any, dict[str, Any]]] = [
    ("regression", Y, {}),
    ("regression", Y, {"reg_sqrt": True}),
    ("regression_l1", Y, {}),
    ("huber", Y, {}),
    ("fair", Y, {}),
    ("quantile", Y, {"alpha": 0.8}),
    ("mape", POSITIVE, {}),
    ("poisson", POSITIVE, {}),
    ("gamma", POSITIVE, {}),
    ("tweedie", POSITIVE, {}),
    ("binary", BINARY, {}),
    ("binary", BINARY, {"sigmoid": 0.7, "is_unbalance": True}),
    ("cross_entropy", SHARE, {}),
    ("cross_entropy_lambda", SHARE, {}),
    ("multiclass", CLASSES, {"num_class": 3}),
    ("multiclassova", CLASSES, {"num_class": 3, "sigmoid": 1.5}),
    ("lambdarank", BINARY, {}),
    ("rank_xendcg", BINARY, {}),
    ("regression", Y, {"boosting": "dart", "drop_rate": 0.5}),
    ("regression", Y, {"boosting": "rf", **BAGGED}),
    ("binary", BINARY, {"boosting": "rf", **BAGGED}),
    ("multiclass", CLASSES, {"boosting": "rf", "num_class": 3, **BAGGED}),
    ("poisson", POSITIVE, {"boosting": "rf", **BAGGED}),
    ("regression", Y, {"boosting": "goss"}),
    ("regression", Y, {"use_missing": False}),
    ("regression", Y, {"zero_as_missing": True}),
    ("multiclass", CLASSES, {"num_class": 3, "zero_as_missing": True}),
    ("regression", Y * 1e6, {"boost_from_average": True}),
    # Nothing to learn: a tree of one leaf.
    ("regression", Y * 0 + 3, {}),
    ("regression", Y, {"num_leaves": 200, "min_data_in_leaf": 1}),
    ("regression", Y, {"extra_trees": True}),
    ("huber", Y, {"alpha": 0.3}),
    ("fair", Y, {"fair_c": 2.0}),
    ("tweedie", POSITIVE, {"tweedie_variance_power": 1.8}),
    ("poisson", POSITIVE, {"boosting": "dart", "drop_rate": 0.5}),
    ("multiclassova", CLASSES, {"num_class": 3, "boosting": "rf", **BAGGED}),
    ("cross_entropy_lambda", SHARE, {"boosting": "rf", **BAGGED}),
    ("cross_entropy", SHARE, {"zero_as_missing": True}),
    ("regression", Y, {"reg_sqrt": True, "boosting": "rf", **BAGGED}),
    ("binary", BINARY, {"boost_from_average": False, "path_smooth": 2.0, "linear_tree": False}),
    ("quantile", Y, {"use_quantized_grad": True}),
    ("regression", Y, {"monotone_constraints": [1, 0, 0, 0, -1, 0]}),
]


@pytest.mark.parametrize(("objective", "label", "options"), CASES)
def test_answers_are_lightgbms(objective: str, label: Any, options: dict[str, Any]) -> None:
    asserted(train(objective, label, **options))


def test_an_objective_of_the_callers_own_gives_the_sums() -> None:
    def residuals(scores: Array, sets: lightgbm.Dataset) -> tuple[Array, Array]:
        return scores - sets.get_label(), np.ones_like(scores)

    asserted(train(residuals, Y))  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{}, {"use_missing": False}, {"zero_as_missing": True}])
def test_categories(options: dict[str, Any]) -> None:
    random = np.random.default_rng(4)
    trained = X.copy()
    trained[:, 5] = random.integers(0, 70, len(X))
    trained[:30, 5] = np.nan
    label = Y + np.isin(trained[:, 5], [1, 2, 33, 64]) * 2 + (trained[:, 5] == 0)
    booster = train("regression", label, trained=trained, categorical=[5], cat_smooth=1, **options)
    assert "num_cat=1" in booster.model_to_string()
    several = both(5, trained, np.zeros(1))
    for rows in several:
        pool = [0, -0.0, 1, 2, 33, 63, 64, 69, 70, 500, 1e9, 2.5, -0.5, -1, -7, np.nan, np.inf, -np.inf]
        # To float32 these are 2, 34 and -1.
        pool += [2 - 2.0**-52, 34 - 2.0**-40, -1 + 2.0**-50]
        rows[:, 5] = random.choice(pool, len(rows))
    asserted(booster, *several)


def test_several_features_of_many_categories() -> None:
    random = np.random.default_rng(4)
    trained = X.copy()
    trained[:, 1] = random.integers(0, 3, len(X)) * 1000
    trained[:, 5] = random.integers(0, 5, len(X))
    label = CLASSES + (trained[:, 1] == 2000)
    options = {"num_class": 4, "cat_smooth": 1, "max_cat_threshold": 2, "categorical": [1, 5]}
    booster = train("multiclass", label, trained=trained, **options)
    several = both(5, trained, thresholds(booster))
    for rows in several:
        rows[:, 1] = random.choice([0, 1000, 2000, 3000, 1000.5, -1000, 5e9, np.nan], len(rows))
        rows[:, 5] = random.choice([0, 1, 4, 5, np.nan], len(rows))
    asserted(booster, *several)


def test_categories_one_by_one() -> None:
    trained = X.copy()
    trained[:, 0] = np.random.default_rng(4).integers(0, 4, len(X))
    booster = train(
        "binary", (trained[:, 0] == 2) | (Y > 1), trained=trained, categorical=[0], max_cat_to_onehot=8
    )
    rows = trained.copy()
    rows[:, 0] = np.random.default_rng(5).choice([0, 1, 2, 3, 4, np.nan], len(rows))
    asserted(booster, rows)


def test_estimators_bring_their_classes() -> None:
    texts = np.array(["no", "maybe", "yes"])
    model = lightgbm.LGBMClassifier(n_estimators=4, n_jobs=1, verbose=-1).fit(X, texts[CLASSES])
    rows = edges(6, X, np.zeros(1))
    found = answers(model, pack_forest(model), rows)
    np.testing.assert_allclose(found["probabilities"], model.predict_proba(rows), **CLOSE)
    assert found["label"].tolist() == model.predict(rows).tolist()
    odd = lightgbm.LGBMClassifier(n_estimators=4, n_jobs=1, verbose=-1).fit(X, BINARY * 5 - 2)
    found = answers(odd, pack_forest(odd), rows)
    np.testing.assert_array_equal(found["label"], odd.predict(rows))


def test_what_stopped_early_is_packed_up_to_its_best_iteration() -> None:
    held_out = lightgbm.Dataset(X[400:], Y[400:], params={"verbose": -1})
    options = {"objective": "regression", "learning_rate": 0.7, "num_threads": 1, "verbose": -1}
    booster = lightgbm.train(
        options,
        lightgbm.Dataset(X[:400], Y[:400], params={"verbose": -1}),
        60,
        valid_sets=[held_out],
        callbacks=[lightgbm.early_stopping(2, verbose=False)],
    )
    assert 0 < booster.best_iteration < 60
    asserted(booster)
    model = lightgbm.LGBMRegressor(n_estimators=60, learning_rate=0.7, n_jobs=1, verbose=-1)
    stop = [lightgbm.early_stopping(2, verbose=False)]
    model.fit(X[:400], Y[:400], eval_X=X[400:], eval_y=Y[400:], callbacks=stop)
    rows = edges(6, X, thresholds(model.booster_))
    np.testing.assert_allclose(
        answers(model, pack_forest(model), rows)["value"][:, 0], model.predict(rows), **CLOSE
    )


def test_a_ranker() -> None:
    model = lightgbm.LGBMRanker(n_estimators=5, n_jobs=1, verbose=-1).fit(X, BINARY, group=[20] * 30)
    rows = edges(6, X, thresholds(model.booster_))
    np.testing.assert_allclose(
        answers(model, pack_forest(model), rows)["value"][:, 0], model.predict(rows), **CLOSE
    )


def test_names_are_the_files_or_the_callers() -> None:
    booster = train("regression", Y, rounds=1)
    assert view(pack_forest(booster)).features == tuple(f"Column_{place}" for place in range(6))
    assert view(pack_forest(booster, features=list("abcdef"))).features == tuple("abcdef")


def test_what_cannot_be_packed_is_refused_by_name() -> None:
    linear = train("regression", Y, linear_tree=True)
    with pytest.raises(InvalidArtifact, match="linear_tree"):
        pack_forest(linear)
    text = train("regression", Y, rounds=1).model_to_string()
    with pytest.raises(InvalidArtifact, match="'mine'"):
        pack_lightgbm(text.replace("objective=regression", "objective=mine"))


def test_a_feature_of_two_kinds_is_refused() -> None:
    text = train("regression", Y, zero_as_missing=True).model_to_string()
    first = re.search(r"^decision_type=(\d+) ", text, re.MULTILINE)
    assert first is not None
    with pytest.raises(InvalidArtifact, match="zero_as_missing"):
        pack_lightgbm(text[: first.start(1)] + "8" + text[first.end(1) :])


TEXT = train("multiclass", CLASSES, num_class=3, rounds=2).model_to_string()


NO_TREES = "tree\nmax_feature_idx=1\nnum_tree_per_iteration="


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no LightGBM model file"),
        ("end of trees", "no LightGBM model file"),
        ("tree\nnum_class=1", "cut off"),
        ("tree\nnum_class=1\nend of trees", "no max_feature_idx"),
        (TEXT.replace("left_child", "left"), "no left_child"),
        (NO_TREES + "0\nend of trees", "0 outputs"),
        (NO_TREES + "-1\nend of trees", "-1 outputs"),
        (NO_TREES + "2000000000\nend of trees", "2000000000 outputs"),
    ],
)
def test_what_is_no_model_is_refused(text: str, problem: str) -> None:
    with pytest.raises(InvalidArtifact, match=problem):
        pack_lightgbm(text)


@settings(max_examples=60)
@given(st.integers(0, len(TEXT) - 1), st.sampled_from("-019 =.\nex"))
def test_a_damaged_file_is_packed_or_refused(place: int, letter: str) -> None:
    try:
        artifact = pack_lightgbm(TEXT[:place] + letter + TEXT[place + 1 :])
    except InvalidArtifact:
        return
    scored(artifact, edges(1, data(1, features=view(artifact).inputs[0].shape[1]), np.zeros(1), rows=10))
