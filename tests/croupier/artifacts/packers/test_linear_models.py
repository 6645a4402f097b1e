"""What is read of a linear model is what it computes: its sums, and what makes answers of these."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from scipy.special import expit, softmax
from sklearn.linear_model import (
    LinearRegression,
    LogisticRegression,
    PoissonRegressor,
    Ridge,
    RidgeClassifier,
    SGDClassifier,
    TweedieRegressor,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import LinearSVC
from support.forests import Array
from support.trials import answers

from croupier.artifacts.format import InvalidArtifact
from croupier.artifacts.packers.linear import pack_linear
from croupier.artifacts.packers.linear_models import Final, read_final
from croupier.artifacts.packers.transformation import Transformation

RANDOM = np.random.default_rng(1)
X = RANDOM.normal(size=(80, 3))
Y = X[:, 0] - 2 * X[:, 1] + RANDOM.normal(size=80) / 4
CLASSES = np.digitize(Y, [-1, 1])

FORMULAS: dict[Transformation, Callable[[Array], Array]] = {
    Transformation.IDENTITY: lambda sums: sums,
    Transformation.EXPONENTIAL: np.exp,
    Transformation.SIGMOID: expit,
    Transformation.SOFTMAX: lambda sums: softmax(sums, axis=1),
    Transformation.NORMALIZED_SIGMOID: lambda sums: expit(sums) / expit(sums).sum(axis=1, keepdims=True),
}


def computed(final: Final) -> Array:
    """The answers, by the formulas of the page."""
    found = FORMULAS[final.transformation](final.parameter * (X @ final.coefficients.T + final.intercept))
    return np.hstack([1 - found, found]) if final.is_pair else found


@pytest.mark.parametrize(
    ("model", "label", "method", "transformation"),
    [
        (LinearRegression(fit_intercept=False), Y, "predict", Transformation.IDENTITY),
        (Ridge(), np.stack([Y, -Y], axis=1), "predict", Transformation.IDENTITY),
        (PoissonRegressor(), np.abs(Y), "predict", Transformation.EXPONENTIAL),
        (TweedieRegressor(power=0), Y, "predict", Transformation.IDENTITY),
        (TweedieRegressor(power=-1), np.abs(Y), "predict", Transformation.IDENTITY),
        (TweedieRegressor(power=1.5), np.abs(Y), "predict", Transformation.EXPONENTIAL),
        (TweedieRegressor(power=0, link="log"), np.abs(Y) + 1, "predict", Transformation.EXPONENTIAL),
        (LogisticRegression(), Y > 0, "predict_proba", Transformation.SIGMOID),
        (LogisticRegression(), CLASSES, "predict_proba", Transformation.SOFTMAX),
        (OneVsRestClassifier(LogisticRegression()), Y > 0, "predict_proba", Transformation.SIGMOID),
        (
            OneVsRestClassifier(LogisticRegression()),
            CLASSES,
            "predict_proba",
            Transformation.NORMALIZED_SIGMOID,
        ),
        (SGDClassifier(loss="log_loss"), Y > 0, "predict_proba", Transformation.SIGMOID),
        (SGDClassifier(loss="log_loss"), CLASSES, "predict_proba", Transformation.NORMALIZED_SIGMOID),
        (RidgeClassifier(), Y > 0, "decision_function", Transformation.IDENTITY),
        (LinearSVC(), CLASSES, "decision_function", Transformation.IDENTITY),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "fit") else "",
)
def test_what_it_computes_is_what_the_library_does(
    model: Any, label: Any, method: str, transformation: Transformation
) -> None:
    with warnings.catch_warnings(action="ignore"):
        final = read_final(model.fit(X, label))
    assert final.transformation is transformation
    assert final.scores == ("probabilities" if method == "predict_proba" else "decision")
    expected = getattr(model, method)(X).reshape(len(X), -1)
    np.testing.assert_allclose(computed(final), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(final.classes, getattr(model, "classes_", None))


@pytest.mark.parametrize("scale", [1.0, 300.0, 1e4])
@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(),
        OneVsRestClassifier(LogisticRegression()),
        SGDClassifier(loss="log_loss", random_state=1),
        SGDClassifier(loss="modified_huber", random_state=1),
    ],
    ids=lambda model: type(model).__name__,
)
@pytest.mark.parametrize("label", [Y > 0, CLASSES], ids=["two", "three"])
def test_rows_that_are_far_from_every_class(model: Any, label: Any, scale: float) -> None:
    """Where each share alone is next to nothing, and so is their sum."""
    with warnings.catch_warnings(action="ignore"):
        model.fit(X, label)
        rows = X * scale
        expected = model.predict_proba(rows)
        found = answers(model, pack_linear(model), rows)["probabilities"]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_coefficients_may_be_sparse() -> None:
    model = LogisticRegression().fit(X, CLASSES)
    dense = read_final(model)
    final = read_final(model.sparsify())
    assert sparse.issparse(model.coef_)
    np.testing.assert_array_equal(final.coefficients, dense.coefficients)


def several_labels() -> Any:
    return RidgeClassifier().fit(X, np.stack([Y > 0, Y > 1], axis=1))


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (GaussianNB().fit(X, CLASSES), "a GaussianNB cannot be packed as a linear model"),
        (OneVsRestClassifier(LinearSVC()).fit(X, CLASSES), "OneVsRestClassifier of LinearSVC"),
        (
            OneVsRestClassifier(LogisticRegression()).fit(X, np.stack([Y > 0, Y > 1], axis=1).astype(int)),
            "cannot be packed as one model",
        ),
        (several_labels(), "several labels a row"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_does_more_is_refused_by_name(model: Any, says: str) -> None:
    with pytest.raises(InvalidArtifact, match=says):
        read_final(model)
