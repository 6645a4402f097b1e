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
