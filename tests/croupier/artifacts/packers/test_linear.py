"""scikit-learn's linear models and ours, alone and behind scalers and encoders."""

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.linear_model import (
    ARDRegression,
    BayesianRidge,
    ElasticNet,
    ElasticNetCV,
    GammaRegressor,
    HuberRegressor,
    Lars,
    LarsCV,
    Lasso,
    LassoCV,
    LassoLars,
    LassoLarsCV,
    LassoLarsIC,
    LinearRegression,
    LogisticRegression,
    LogisticRegressionCV,
    MultiTaskElasticNet,
    MultiTaskLasso,
    OrthogonalMatchingPursuit,
    PassiveAggressiveClassifier,
    PassiveAggressiveRegressor,
    Perceptron,
    PoissonRegressor,
    QuantileRegressor,
    Ridge,
    RidgeClassifier,
    RidgeClassifierCV,
    RidgeCV,
    SGDClassifier,
    SGDRegressor,
    TheilSenRegressor,
    TweedieRegressor,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import LinearSVC, LinearSVR
from support.forests import Array, data
from support.trials import answers

from croupier.artifacts.format import InvalidArtifact, view
from croupier.artifacts.packers.linear import pack_linear

CLOSE = {"rtol": 1e-6, "atol": 1e-6}

X = data(1) * np.array([1, 10, 0.1, 1, 5, 1], np.float32) + np.array([0, 5, 0, 100, 0, 1], np.float32)
X[:, 5] = np.random.default_rng(3).integers(0, 5, len(X))
Y = X[:, 0] + X[:, 1] / 10 * X[:, 2] * 10 + np.random.default_rng(2).normal(size=len(X)) * 0.3
BINARY = (Y > 0.5).astype(int)
CLASSES = np.digitize(Y, [-0.7, 0.9])
ROWS = np.concatenate([X, data(7) * 50])[:1000]


def asserted(model: Any, rows: Array = ROWS) -> None:
    artifact = pack_linear(model)
    asserted_of(artifact, model, rows)
    # What float32 cannot hold.
    asserted_of(artifact, model, rows.astype(np.float64) + np.where(rows == np.round(rows), 0, 1e-9))


def asserted_of(artifact: bytes, model: Any, rows: Array) -> None:
    found = answers(model, artifact, rows)
    wide = rows.astype(np.float64)
    if not hasattr(model, "classes_"):
        np.testing.assert_allclose(found["value"].squeeze(), model.predict(wide), **CLOSE)
        return
    np.testing.assert_array_equal(found["label"], model.predict(wide))
    if "probabilities" in found:
        np.testing.assert_allclose(found["probabilities"], model.predict_proba(wide), **CLOSE)
    else:
        assert not hasattr(model, "predict_proba")
        np.testing.assert_allclose(found["decision"].squeeze(), model.decision_function(wide), **CLOSE)


TARGETS = np.stack([Y, 2 - Y], axis=1)


def old(kind: Any, **options: Any) -> Any:
    """An estimator that scikit-learn means to drop."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return kind(**options)


CASES: list[tuple[Any, Any]] = [
    (LinearRegression(), Y),
    (LinearRegression(fit_intercept=False), TARGETS),
    (Ridge(), TARGETS),
    (Lasso(0.01), Y),
    (ElasticNet(0.01), Y),
    (SGDRegressor(max_iter=5, random_state=1), Y),
    (PoissonRegressor(), np.abs(Y)),
    (GammaRegressor(), np.abs(Y) + 0.1),
    (TweedieRegressor(power=1.5), np.abs(Y)),
    (TweedieRegressor(power=0), Y),
    (TweedieRegressor(power=0, link="log", alpha=100), np.abs(Y) + 0.1),
    (TweedieRegressor(power=0, link="identity"), Y),
    (LinearSVR(max_iter=50), Y),
    (HuberRegressor(), Y),
    (QuantileRegressor(alpha=0.01, quantile=0.8), Y),
    (BayesianRidge(), Y),
    (OrthogonalMatchingPursuit(), TARGETS),
    (MultiTaskLasso(0.01), TARGETS),
    (ARDRegression(), Y),
    (ElasticNetCV(cv=2, alphas=3), Y),
    (Lars(), Y),
    (LarsCV(cv=2), Y),
    (LassoCV(cv=2, alphas=3), Y),
    (LassoLars(0.01), Y),
    (LassoLarsCV(cv=2), Y),
    (LassoLarsIC(), Y),
    (MultiTaskElasticNet(0.01), TARGETS),
    (old(PassiveAggressiveRegressor, max_iter=5, random_state=1), Y),
    (RidgeCV(), TARGETS),
    (TheilSenRegressor(max_subpopulation=20, random_state=1), Y),
    (old(PassiveAggressiveClassifier, max_iter=5, random_state=1), CLASSES),
    (LogisticRegressionCV(Cs=2, cv=2, use_legacy_attributes=False, scoring="accuracy"), CLASSES),
    (LogisticRegression(), BINARY),
    (LogisticRegression(solver="liblinear"), BINARY * 3),
    (LogisticRegression(), CLASSES),
    (OneVsRestClassifier(LogisticRegression()), CLASSES),
    (OneVsRestClassifier(LogisticRegression()), BINARY),
    (SGDClassifier(loss="log_loss", max_iter=5, random_state=1), BINARY),
    (SGDClassifier(loss="log_loss", max_iter=5, random_state=1), CLASSES),
    (SGDClassifier(loss="modified_huber", max_iter=5, random_state=1), BINARY),
    (SGDClassifier(loss="modified_huber", max_iter=5, random_state=1), CLASSES),
    (SGDClassifier(max_iter=5, random_state=1), BINARY),
    (SGDClassifier(loss="perceptron", max_iter=5, random_state=1), CLASSES),
    (Perceptron(max_iter=5), CLASSES),
    (LinearSVC(max_iter=50), BINARY),
    (RidgeClassifierCV(), BINARY),
    (LinearSVC(max_iter=50), CLASSES - 1),
    (RidgeClassifier(), np.array(["low", "mid", "high"])[CLASSES]),
]


@pytest.mark.parametrize(("model", "label"), CASES, ids=lambda value: type(value).__name__)
def test_answers_are_scikit_learns(model: Any, label: Any) -> None:
    with warnings.catch_warnings():
        # A few iterations are enough here.
        warnings.simplefilter("ignore")
        asserted(make_pipeline(StandardScaler(), model).fit(X.astype(np.float64), label))


@pytest.mark.parametrize(
    "scaler",
    [
        StandardScaler(),
        StandardScaler(with_mean=False),
        StandardScaler(with_std=False),
        MinMaxScaler((-1, 3)),
        MaxAbsScaler(),
        RobustScaler(),
        RobustScaler(with_centering=False),
        "passthrough",
        make_pipeline(MinMaxScaler(), StandardScaler()),
    ],
    ids=str,
)
def test_scalers_before_them(scaler: Any) -> None:
    asserted(make_pipeline(scaler, Ridge()).fit(X.astype(np.float64), Y))


@pytest.mark.parametrize("drop", [None, "first"])
def test_categories_before_them(drop: str | None) -> None:
    trained = X.copy()
    trained[:, 2] = np.random.default_rng(4).choice([-1.5, 0, 7, 0.1], len(X))
    encoder = OneHotEncoder(handle_unknown="ignore", drop=drop)
    columns = ColumnTransformer(
        [
            ("scaled", make_pipeline(StandardScaler()), [0, 3]),
            ("encoded", encoder, [5, 2]),
            ("none", "drop", [1]),
        ],
        remainder="passthrough",
        transformer_weights={"encoded": 2.0},
    )
    model = make_pipeline(columns, MaxAbsScaler(), LogisticRegression(max_iter=50))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(trained.astype(np.float64), CLASSES)
        rows = trained.copy()
        rows[::7, 5] = 99
        rows[::5, 2] = 3
        asserted(model, rows)


def test_categories_that_are_no_float32_are_kept() -> None:
    """One of them for its float64 value, whatever float32 makes of it; the others next to it stay apart."""
    ids = np.array([[0.1, 123456788.0], [0.2, 123456789.0], [0.5, 123456790.0]] * 3)
    model = make_pipeline(OneHotEncoder(handle_unknown="ignore"), Ridge(1e-3)).fit(ids, np.arange(9) % 3)
    artifact = pack_linear(model)
    rows = np.concatenate([ids, np.nextafter(ids, np.inf), ids.astype(np.float32).astype(np.float64)])
    found = answers(model, artifact, rows)["value"][:, 0]
    np.testing.assert_allclose(found, model.predict(rows), **CLOSE)
    assert len(np.unique(found)) > 3


def test_columns_by_name() -> None:
    import pandas

    frame = pandas.DataFrame(X.astype(np.float64), columns=list("abcdef"))
    model = make_pipeline(ColumnTransformer([("scaled", StandardScaler(), ["f", "a"])]), LinearRegression())
    model.fit(frame, Y)
    artifact = pack_linear(model)
    assert view(artifact).features == tuple("abcdef")
    wide = pandas.DataFrame(ROWS.astype(np.float64), columns=list("abcdef"))
    np.testing.assert_allclose(answers(model, artifact, ROWS)["value"][:, 0], model.predict(wide), **CLOSE)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (GaussianNB(), "GaussianNB"),
        (make_pipeline(PolynomialFeatures(), LinearRegression()), "PolynomialFeatures"),
        (make_pipeline(Normalizer(), LinearRegression()), "Normalizer"),
        (make_pipeline(FunctionTransformer(np.abs), LinearRegression()), "FunctionTransformer"),
        (OneVsRestClassifier(LinearSVC()), "OneVsRestClassifier of LinearSVC"),
        (
            TransformedTargetRegressor(
                LinearRegression(), func=np.cbrt, inverse_func=np.exp, check_inverse=False
            ),
            "TransformedTargetRegressor",
        ),
        (
            make_pipeline(MaxAbsScaler(), OneHotEncoder(handle_unknown="ignore"), LinearRegression()),
            "scaled before",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_packed_is_refused_by_name(model: Any, says: str) -> None:
    with pytest.raises(InvalidArtifact) as caught:
        pack_linear(model.fit(np.round(X[:50]), CLASSES[:50]))
    assert says in caught.value.message


def test_what_is_not_fitted_is_refused() -> None:
    with pytest.raises(InvalidArtifact, match="not fitted"):
        pack_linear(LinearRegression())


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 4))
def test_any_coefficients(seed: int, features: int, targets: int) -> None:
    random = np.random.default_rng(seed)
    trained = random.normal(size=(20, features)) * random.choice([1e-3, 1, 1e3], features)
    model = make_pipeline(StandardScaler(), Ridge()).fit(trained, random.normal(size=(20, targets)))
    rows = random.normal(size=(30, features)).astype(np.float32)
    expected = model.predict(rows.astype(np.float64)).reshape(30, targets)
    np.testing.assert_allclose(
        answers(model, pack_linear(model), rows)["value"], expected, rtol=1e-6, atol=1e-6
    )
