"""Outputs of classifiers, above all of those that were trained on one class."""

from typing import Any

import lightgbm
import numpy as np
import pytest
import xgboost
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import RidgeClassifier
from sklearn.tree import DecisionTreeClassifier
from support.forests import data
from support.trials import answers

from croupier.artifacts.format import InvalidArtifact
from croupier.artifacts.packers import outcome
from croupier.artifacts.packers.forest import pack_forest
from croupier.artifacts.packers.linear import pack_linear

X = data(1, rows=300)
MODELS: list[Any] = [
    lightgbm.LGBMClassifier(n_estimators=3, n_jobs=1, verbose=-1),
    DecisionTreeClassifier(),
    RandomForestClassifier(3),
    ExtraTreesClassifier(3),
    HistGradientBoostingClassifier(max_iter=3),
    RidgeClassifier(),
]


def asserted(model: Any) -> None:
    pack = pack_linear if isinstance(model, RidgeClassifier) else pack_forest
    found = answers(model, pack(model), X)
    assert found["label"].tolist() == model.predict(X).tolist()
    if hasattr(model, "predict_proba"):
        np.testing.assert_allclose(found["probabilities"], model.predict_proba(X), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("label", [0, 1, -7, "only"])
@pytest.mark.parametrize("model", MODELS, ids=lambda model: type(model).__name__)
def test_one_class_is_answered_as_by_its_library(model: Any, label: Any) -> None:
    asserted(model.fit(X, np.array([label] * len(X))))


@pytest.mark.parametrize("kind", [xgboost.XGBClassifier, xgboost.XGBRFClassifier])
def test_xgboosts_one_class_is_0(kind: Any) -> None:
    asserted(kind(n_estimators=3, n_jobs=1).fit(X, np.zeros(len(X), int)))


def test_classes_are_as_many_as_scores() -> None:
    for width, classes in ((3, [0, 1]), (2, [0, 1, 2]), (1, [0, 1, 2]), (2, [])):
        with pytest.raises(InvalidArtifact, match=f"{len(classes)} classes for a model of {width} outputs"):
            outcome.classifier("probabilities", width, classes)


@pytest.mark.parametrize(
    "classes",
    [
        np.array([1, 2**63 + 5], np.uint64),
        np.array([0.0, 1e19]),
        np.array([-1e19, 0.0]),
        np.array([0.0, 2.0**63]),
        np.array([0.0, np.inf]),
    ],
    ids=str,
)
def test_a_class_that_64_bits_cannot_hold_is_refused(classes: Any) -> None:
    """It would be answered as another one, by the artifact and by what compares it alike."""
    with pytest.raises(InvalidArtifact, match="more than 64 bits"):
        outcome.classifier("probabilities", 2, classes)
    # scikit-learn takes such floats for no classes itself.
    if classes.dtype == np.uint64:
        model = DecisionTreeClassifier().fit([[0.0], [1.0]], classes)
        assert model.predict([[1.0]]).tolist() == [2**63 + 5]
        with pytest.raises(InvalidArtifact, match="more than 64 bits"):
            pack_forest(model)


@pytest.mark.parametrize(
    "classes",
    [
        np.array([-(2**63), 2**63 - 1]),
        np.array([0, 2**63 - 1], np.uint64),
        np.array([-(2.0**53), 2.0**53 + 2]),
        np.array([False, True]),
        np.array([3, 200], np.uint8),
    ],
    ids=str,
)
def test_a_class_is_answered_as_the_number_that_it_is(classes: Any) -> None:
    rows = np.array([[0.0], [1.0]])
    model = DecisionTreeClassifier().fit(rows, classes)
    found = answers(model, pack_forest(model), rows)["label"].tolist()
    assert found == [int(each) for each in classes.tolist()]


NO_CLASSES: list[Any] = [
    [0.5, 1],
    [0.0, np.nan],
    ["a", ""],
    ["a", "b\0c"],
    [b"a", b"b"],
    [None, "a"],
    [1j, 2],
]


@pytest.mark.parametrize("classes", NO_CLASSES, ids=str)
def test_what_is_no_class_is_refused(classes: Any) -> None:
    with pytest.raises(InvalidArtifact, match="neither a whole number nor a text"):
        outcome.classifier("probabilities", 2, np.array(classes, object if None in classes else None))
