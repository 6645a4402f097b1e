"""The last step of a pipeline, scikit-learn's linear model itself: its coefficients and what follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from croupier.artifacts.format import InvalidArtifact
from croupier.artifacts.packers.transformation import Transformation

Array = np.ndarray[Any, np.dtype[Any]]

_REGRESSORS = {
    "ARDRegression",
    "BayesianRidge",
    "ElasticNet",
    "ElasticNetCV",
    "HuberRegressor",
    "Lars",
    "LarsCV",
    "Lasso",
    "LassoCV",
    "LassoLars",
    "LassoLarsCV",
    "LassoLarsIC",
    "LinearRegression",
    "LinearSVR",
    "MultiTaskElasticNet",
    "MultiTaskLasso",
    "OrthogonalMatchingPursuit",
    "PassiveAggressiveRegressor",
    "QuantileRegressor",
    "Ridge",
    "RidgeCV",
    "SGDRegressor",
    "TheilSenRegressor",
}
# Generalized linear models; the link of the first two is the logarithm, the last one's depends.
_GENERALIZED = {"GammaRegressor", "PoissonRegressor", "TweedieRegressor"}
_LOGISTIC = {"LogisticRegression", "LogisticRegressionCV"}
_DECIDING = {"LinearSVC", "PassiveAggressiveClassifier", "Perceptron", "RidgeClassifier", "RidgeClassifierCV"}


@dataclass(frozen=True, slots=True)
class Final:
    """`coefficients` (sums, columns); `scores` is the output's name if there are `classes`.

    `is_pair`: the one sum is transformed to a probability p, and the outputs are 1 - p and p.
    """

    coefficients: Array
    intercept: Array
    transformation: Transformation = Transformation.IDENTITY
    parameter: float = 1.0
    is_pair: bool = False
    scores: str = "decision"
    classes: Any = None


def read_final(model: Any) -> Final:
    """What a fitted linear model computes.

    Raises:
        InvalidArtifact: it is none, or it does more than can be packed.
    """
    kind = type(model).__name__
    if kind in _REGRESSORS:
        return Final(*_weights(model))
    if kind in _GENERALIZED:
        return Final(*_weights(model), _link(model))
    if kind == "OneVsRestClassifier":
        return _one_vs_rest(model)
    if kind not in _LOGISTIC | _DECIDING | {"SGDClassifier"}:
        raise InvalidArtifact(f"a {kind} cannot be packed as a linear model")
    coefficients, intercept = _weights(model)
    if len(coefficients) != (1 if len(model.classes_) == 2 else len(model.classes_)):
        raise InvalidArtifact(f"a {kind} of several labels a row cannot be packed")
    if kind in _LOGISTIC:
        return _probable(coefficients, intercept, model.classes_, *_logistic(model))
    if kind == "SGDClassifier" and model.loss == "log_loss":
        return _probable(coefficients, intercept, model.classes_, Transformation.NORMALIZED_SIGMOID)
    if kind == "SGDClassifier" and model.loss == "modified_huber":
        return _probable(coefficients, intercept, model.classes_, Transformation.MODIFIED_HUBER)
    return Final(coefficients, intercept, classes=model.classes_)


def _weights(model: Any) -> tuple[Array, Array]:
    coefficients = model.coef_.toarray() if hasattr(model.coef_, "toarray") else np.asarray(model.coef_)
    coefficients = np.atleast_2d(coefficients.astype(np.float64))
    intercept = np.broadcast_to(np.ravel(model.intercept_).astype(np.float64), (len(coefficients),))
    return coefficients, intercept


def _link(model: Any) -> Transformation:
    """The inverse of the link; "auto" is the identity for a normal distribution and those below it."""
    link = getattr(model, "link", "log")
    if link == "auto":
        link = "identity" if model.power <= 0 else "log"
    return Transformation.IDENTITY if link == "identity" else Transformation.EXPONENTIAL


def _logistic(model: Any) -> tuple[Transformation, float]:
    """What `predict_proba` does: of two classes fitted as a multinomial, softmax over -z and z."""
    multiple = getattr(model, "multi_class", "auto")
    if len(model.classes_) == 2:
        return Transformation.SIGMOID, 2.0 if multiple == "multinomial" else 1.0
    is_ovr = multiple == "ovr" or model.solver == "liblinear"
    return Transformation.NORMALIZED_SIGMOID if is_ovr else Transformation.SOFTMAX, 1.0


def _probable(
    coefficients: Array,
    intercept: Array,
    classes: Any,
    transformation: Transformation,
    parameter: float = 1.0,
) -> Final:
    is_pair = len(coefficients) == 1
    if is_pair and transformation is Transformation.NORMALIZED_SIGMOID:
        transformation = Transformation.SIGMOID
    return Final(coefficients, intercept, transformation, parameter, is_pair, "probabilities", classes)


def _one_vs_rest(model: Any) -> Final:
    kinds = {type(each).__name__ for each in model.estimators_}
    if model.multilabel_ or not kinds <= {"LogisticRegression"}:
        raise InvalidArtifact(
            f"a OneVsRestClassifier of {', '.join(sorted(kinds))} cannot be packed as one model"
        )
    weights = [_weights(each) for each in model.estimators_]
    coefficients = np.concatenate([each for each, _ in weights])
    intercept = np.concatenate([each for _, each in weights])
    return _probable(coefficients, intercept, model.classes_, Transformation.NORMALIZED_SIGMOID)
