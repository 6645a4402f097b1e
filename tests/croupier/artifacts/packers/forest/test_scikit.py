"""scikit-learn's answers and ours: forests and boosting of every loss, on rows that try the edges."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    AdaBoostRegressor,
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression
from sklearn.tree import (
    DecisionTreeClassifier,
    DecisionTreeRegressor,
    ExtraTreeClassifier,
    ExtraTreeRegressor,
)
from support.forests import Array, both, data, edges
from support.trials import answers
from threadpoolctl import threadpool_limits

from croupier.artifacts.format import InvalidArtifact, view
from croupier.artifacts.packers.forest import pack_forest

CLOSE = {"rtol": 1e-6, "atol": 1e-6}

HOLES = data(1, missing=0.1)
X = np.nan_to_num(HOLES, nan=1.5)
NOISE = np.random.default_rng(2).normal(size=len(X)) * 0.3
Y = X[:, 0] + X[:, 1] * X[:, 2] + NOISE
BINARY = (Y > 0).astype(int)
CLASSES = np.digitize(Y, [-0.7, 0.7])
POSITIVE = np.abs(Y) + 0.1
TWO = np.stack([Y, 2 - Y], axis=1)


def thresholds(model: Any) -> Array:
    if hasattr(model, "_predictors"):
        return np.concatenate([tree.nodes["num_threshold"] for each in model._predictors for tree in each])
    trees = np.ravel(getattr(model, "estimators_", [model]))
    return np.concatenate([tree.tree_.threshold for tree in trees])


def asserted(model: Any, *several: Array) -> None:
    artifact = pack_forest(model)
    for rows in several:
        asserted_of(artifact, model, rows)


def asserted_of(artifact: bytes, model: Any, rows: Array) -> None:
    found = answers(model, artifact, rows)
    if isinstance(model, IsolationForest):
        np.testing.assert_allclose(found["value"][:, 0], -model.score_samples(rows), **CLOSE)
    elif hasattr(model, "classes_"):
        np.testing.assert_allclose(found["probabilities"], model.predict_proba(rows), **CLOSE)
        np.testing.assert_array_equal(found["label"], model.predict(rows))
    else:
        np.testing.assert_allclose(found["value"].squeeze(), model.predict(rows), **CLOSE)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Threads of OpenMP wait for each other by spinning, which takes seconds on a busy machine."""
    with threadpool_limits(1):
        yield


SMALL = {"n_estimators": 8, "random_state": 1}
FINITE: list[tuple[Any, Any]] = [
    (RandomForestRegressor(**SMALL, max_depth=6), Y),
    (RandomForestRegressor(**SMALL, max_depth=4), TWO),
    (RandomForestRegressor(**SMALL, max_depth=4, criterion="absolute_error"), Y[:]),
    (RandomForestClassifier(**SMALL), BINARY),
    (RandomForestClassifier(**SMALL, max_depth=4), CLASSES * 7 - 3),
    (ExtraTreesRegressor(**SMALL, max_depth=6), Y),
    (ExtraTreesClassifier(**SMALL), CLASSES),
    (DecisionTreeRegressor(max_depth=5), Y),
    (DecisionTreeClassifier(max_depth=5), CLASSES),
    (GradientBoostingRegressor(**SMALL), Y),
    (GradientBoostingRegressor(**SMALL, loss="huber"), Y),
    (GradientBoostingRegressor(**SMALL, loss="quantile", alpha=0.8), Y),
    (GradientBoostingRegressor(**SMALL, loss="absolute_error"), Y),
    (GradientBoostingRegressor(**SMALL, init="zero"), Y),
    # Stops early: fewer trees than n_estimators.
    (GradientBoostingRegressor(n_estimators=90, n_iter_no_change=1, random_state=1, learning_rate=0.9), Y),
    (GradientBoostingClassifier(**SMALL), BINARY),
    (GradientBoostingClassifier(**SMALL, loss="exponential"), BINARY),
    (GradientBoostingClassifier(**SMALL), CLASSES),
    (RandomForestRegressor(**SMALL, max_depth=5, criterion="poisson"), POSITIVE),
    (RandomForestClassifier(**SMALL, max_depth=5, class_weight="balanced", criterion="entropy"), CLASSES),
    (RandomForestClassifier(**SMALL, max_leaf_nodes=9), np.array(["low", "mid", "high"])[CLASSES]),
    (ExtraTreesRegressor(**SMALL, max_depth=4, bootstrap=True), TWO),
    (RandomForestRegressor(**SMALL, max_depth=5, monotonic_cst=[1, 0, 0, -1, 0, 0]), Y),
    (DecisionTreeRegressor(max_depth=5), TWO),
    (DecisionTreeRegressor(), Y),
    (DecisionTreeClassifier(max_depth=4, ccp_alpha=0.01), BINARY),
    (ExtraTreeRegressor(max_depth=5, random_state=1), Y),
    (ExtraTreeClassifier(max_depth=5, random_state=1), CLASSES),
    (GradientBoostingRegressor(**SMALL, init=DummyRegressor(strategy="median"), subsample=0.7), Y),
    (GradientBoostingClassifier(**SMALL, init="zero"), CLASSES),
    (GradientBoostingClassifier(**SMALL, init="zero"), BINARY),
    (GradientBoostingClassifier(**SMALL, init=DummyClassifier(strategy="prior")), BINARY),
    (IsolationForest(**SMALL), None),
    (IsolationForest(**SMALL, max_samples=1.0, contamination=0.2, bootstrap=True), None),
    (IsolationForest(**SMALL, max_features=0.5, max_samples=60), None),
]


def named(model: Any) -> str:
    return type(model).__name__


@pytest.mark.parametrize(("model", "label"), FINITE, ids=named)
def test_answers_are_scikit_learns(model: Any, label: Any) -> None:
    model.fit(X, label)
    asserted(model, *both(3, X, thresholds(model), missing=False, infinite=False))


@pytest.mark.parametrize(
    ("model", "label"),
    [
        (RandomForestRegressor(**SMALL, max_depth=6), Y),
        (RandomForestClassifier(**SMALL, max_depth=6), CLASSES),
        (ExtraTreesRegressor(**SMALL, max_depth=6), Y),
        (DecisionTreeRegressor(max_depth=6), Y),
    ],
    ids=named,
)
@pytest.mark.parametrize("trained", [HOLES, X])
def test_missing_values(model: Any, label: Any, trained: Array) -> None:
    model.fit(trained, label)
    assert view(pack_forest(model)).accepts_missing
    asserted(model, *both(3, HOLES, thresholds(model), infinite=False))


HISTOGRAM = {"max_iter": 6, "min_samples_leaf": 5, "random_state": 1}
STOPPING = {"max_iter": 90, "early_stopping": True, "n_iter_no_change": 1, "learning_rate": 0.9}


HISTOGRAMS: list[tuple[Any, Any]] = [
    (HistGradientBoostingRegressor(**HISTOGRAM), Y),
    (HistGradientBoostingRegressor(**HISTOGRAM, loss="absolute_error"), Y),
    (HistGradientBoostingRegressor(**HISTOGRAM, loss="quantile", quantile=0.8), Y),
    (HistGradientBoostingRegressor(**HISTOGRAM, loss="poisson"), POSITIVE),
    (HistGradientBoostingRegressor(**HISTOGRAM, loss="gamma"), POSITIVE),
    (HistGradientBoostingRegressor(**HISTOGRAM, monotonic_cst=[1, 0, 0, -1, 0, 0]), Y),
    (HistGradientBoostingRegressor(**HISTOGRAM, interaction_cst="pairwise", max_features=0.5), Y),
    (HistGradientBoostingRegressor(**STOPPING), Y),
    (HistGradientBoostingClassifier(**STOPPING), CLASSES),
    (HistGradientBoostingClassifier(**HISTOGRAM), np.array(["low", "high"])[BINARY]),
    (HistGradientBoostingClassifier(**HISTOGRAM), BINARY),
    (HistGradientBoostingClassifier(**HISTOGRAM), CLASSES),
]


@pytest.mark.parametrize(("model", "label"), HISTOGRAMS, ids=named)
def test_histogram_gradient_boosting(model: Any, label: Any) -> None:
    model.fit(HOLES, label)
    asserted(model, *both(3, HOLES, thresholds(model)))


@pytest.mark.parametrize("hole", [np.nan, 7.0])
def test_categories_seen_unseen_and_between(hole: float) -> None:
    random = np.random.default_rng(4)
    trained = HOLES.copy()
    trained[:, 1] = random.choice([0, 3, 4, 40, 1000], len(X))
    trained[:, 4] = random.integers(0, 9, len(X))
    trained[:50, 4] = hole
    label = Y + np.isin(trained[:, 1], [3, 1000]) * 2 + np.isin(trained[:, 4], [2, 5, hole])
    model = HistGradientBoostingRegressor(**HISTOGRAM, categorical_features=[1, 4]).fit(trained, label)
    assert any(tree.nodes["is_categorical"].any() for each in model._predictors for tree in each)
    several = both(5, trained, thresholds(model))
    for rows in several:
        # The second and third are 4 and 40 to float32.
        pool = [0, 4 - 2.0**-50, 40 + 2.0**-40, 1, 3, 4, 40, 1000, 1001, 5e6, 3.5, -0.5, -1, -1e-50, np.nan]
        rows[:, 1] = random.choice(pool, len(rows))
        rows[:, 4] = random.choice([0, 1, 2, 5, 8, 9, 200, np.nan], len(rows))
    with warnings.catch_warnings():
        # That categories were unknown is what this is about.
        warnings.simplefilter("ignore")
        asserted(model, *several)


@pytest.mark.parametrize("label", [BINARY, CLASSES])
def test_categories_of_a_data_frame(label: Array) -> None:
    import pandas

    frame = pandas.DataFrame(HOLES.astype(np.float64), columns=list("abcdef"))
    codes = np.random.default_rng(4).integers(0, 6, len(X))
    frame["c"] = pandas.Categorical(codes * 3)
    label = np.where(codes == 4, label.max(), label)
    model = HistGradientBoostingClassifier(**HISTOGRAM, categorical_features="from_dtype").fit(frame, label)
    assert any(tree.nodes["is_categorical"].any() for each in model._predictors for tree in each)
    rows = edges(5, HOLES, thresholds(model))
    rows[:, 2] = np.random.default_rng(5).choice([0, 3, 6, 9, 12, 15, 1, 18, np.nan], len(rows))
    found = answers(model, pack_forest(model), rows)
    wide = pandas.DataFrame(rows.astype(np.float64), columns=list("abcdef"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wide["c"] = pandas.Categorical(wide["c"])
        np.testing.assert_allclose(found["probabilities"], model.predict_proba(wide), **CLOSE)


def test_what_cannot_be_packed_is_refused_by_name() -> None:
    def refused(model: Any) -> str:
        with pytest.raises(InvalidArtifact) as caught:
            pack_forest(model)
        return caught.value.message

    assert "AdaBoostRegressor" in refused(AdaBoostRegressor(n_estimators=2).fit(X, Y))
    assert "not fitted" in refused(RandomForestRegressor())
    first = GradientBoostingRegressor(n_estimators=2, init=LinearRegression()).fit(X, Y)
    assert "LinearRegression" in refused(first)
    chance = DummyClassifier(strategy="stratified")
    assert "random" in refused(GradientBoostingClassifier(n_estimators=2, init=chance).fit(X, BINARY))
    several = RandomForestClassifier(**SMALL).fit(X, np.stack([BINARY, CLASSES], axis=1))
    assert "several targets" in refused(several)


def test_names_come_from_the_data_frame() -> None:
    import pandas

    frame = pandas.DataFrame(X, columns=list("abcdef"))
    model = RandomForestRegressor(**SMALL, max_depth=2).fit(frame, Y)
    assert view(pack_forest(model)).features == tuple("abcdef")
