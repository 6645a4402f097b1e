"""A row reaches the leaf of each tree that it reaches in its library: the leaves themselves are compared.

A model's trees are packed once more, each with a sum of its own, and in place of its leaves' values their
numbers in the library. So an answer is the leaf of each tree, and nothing adds up to a right sum by accident.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import lightgbm
import numpy as np
import pytest
import xgboost
from sklearn.base import clone
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestRegressor,
)
from support.datasets import rows_of, sets
from support.forests import Array, scored
from threadpoolctl import threadpool_limits

from croupier.artifacts.engines import FOREST
from croupier.artifacts.packers import outcome
from croupier.artifacts.packers.forest import lightgbm_file, scikit, xgboost_file
from croupier.artifacts.packers.forest.ensemble import Ensemble, Tree
from croupier.artifacts.packers.forest.layout import encode
from croupier.artifacts.packers.transformation import Transformation

FEW: dict[str, Any] = {"n_estimators": 8}
SCIKIT: list[Any] = [
    RandomForestRegressor(**FEW, random_state=1),
    ExtraTreesClassifier(**FEW, random_state=1),
    GradientBoostingRegressor(**FEW, random_state=1),
    IsolationForest(**FEW, random_state=1),
]
HISTOGRAMS: list[Any] = [
    HistGradientBoostingRegressor(max_iter=8, min_samples_leaf=3),
    HistGradientBoostingClassifier(max_iter=4, min_samples_leaf=3),
]
BOOSTED: list[Any] = [
    lightgbm.LGBMRegressor(**FEW, min_child_samples=3, n_jobs=1, verbose=-1),
    lightgbm.LGBMClassifier(**FEW, min_child_samples=3, n_jobs=1, verbose=-1),
    xgboost.XGBRegressor(**FEW, n_jobs=1),
    xgboost.XGBClassifier(**FEW, n_jobs=1),
]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


def fitted(model: Any, name: str) -> tuple[Any, Array]:
    rows, label = sets()[name]
    if hasattr(model, "predict_proba") and len(np.unique(label)) > 3:
        label = np.digitize(label, np.quantile(label, [0.3, 0.7]))
    return clone(model).fit(rows, label), rows_of(rows)


def leaves(ensemble: Ensemble, trees: Sequence[Tree], rows: Array) -> Array:
    """The values of the leaves that `rows` reach, by tree."""
    apart = replace(
        ensemble,
        groups=[[tree] for tree in trees],
        base=np.zeros(len(trees)),
        transformation=Transformation.IDENTITY,
        divisor=1.0,
        is_pair=False,
    )
    outputs, sections = outcome.value(len(trees))
    artifact = outcome.pack_numbers(
        FOREST,
        encode(apart),
        features=ensemble.features,
        names=(),
        is_wide=ensemble.is_wide,
        accepts_missing=True,
        outputs=outputs,
        sections=sections,
    )
    return scored(artifact, rows)["value"].astype(np.int64)


def numbered(tree: Tree) -> Tree:
    """With each node's place for its value."""
    return replace(tree, value=np.arange(len(tree.left), dtype=np.float64))


def in_rounds(ensemble: Ensemble) -> list[Tree]:
    """The trees of several sums in the order in which they were trained."""
    return [tree for several in zip(*ensemble.groups, strict=True) for tree in several]


def both(wide: Array) -> tuple[Array, Array]:
    return wide, wide.astype(np.float32)


@pytest.mark.parametrize("name", sets())
@pytest.mark.parametrize("model", SCIKIT, ids=lambda model: type(model).__name__)
def test_scikit_learn(model: Any, name: str) -> None:
    model, wide = fitted(model, name)
    ensemble = scikit.read(model)
    trees = [numbered(tree) for group in ensemble.groups for tree in group]
    for rows in both(wide):
        if isinstance(model, IsolationForest):
            columns = zip(model.estimators_, model.estimators_features_, strict=True)
            expected = np.stack([each.apply(rows[:, some]) for each, some in columns], axis=1)
        else:
            expected = model.apply(rows).reshape(len(rows), -1)
        np.testing.assert_array_equal(leaves(ensemble, trees, rows), expected)


def walked(nodes: Any, rows: Array) -> Array:
    """Histogram gradient boosting's leaves, which no method of its own gives."""
    at = np.zeros(len(rows), np.int64)
    while not (node := nodes[at])["is_leaf"].all():
        values = rows[np.arange(len(rows)), node["feature_idx"]].astype(np.float64)
        below = np.where(values <= node["num_threshold"], node["left"], node["right"])
        at = np.where(node["is_leaf"] != 0, at, below.astype(np.int64))
    return at


@pytest.mark.parametrize("name", sets())
@pytest.mark.parametrize("model", HISTOGRAMS, ids=lambda model: type(model).__name__)
def test_histogram_gradient_boosting(model: Any, name: str) -> None:
    model, wide = fitted(model, name)
    ensemble = scikit.read(model)
    trees = [numbered(tree) for tree in in_rounds(ensemble)]
    for rows in both(wide):
        expected = [walked(tree.nodes, rows) for each in model._predictors for tree in each]
        np.testing.assert_array_equal(leaves(ensemble, trees, rows), np.stack(expected, axis=1))


@pytest.mark.parametrize("name", sets())
@pytest.mark.parametrize("model", BOOSTED[:2], ids=lambda model: type(model).__name__)
def test_lightgbm(model: Any, name: str) -> None:
    model, wide = fitted(model, name)
    ensemble = lightgbm_file.read(model.booster_.model_to_string()).ensemble
    trees = [numbered(tree) for tree in in_rounds(ensemble)]
    # Leaves lie behind the inner nodes, in the order of their numbers.
    inner = np.array([np.count_nonzero(tree.left >= 0) for tree in trees])
    for rows in both(wide):
        expected = model.predict(rows, pred_leaf=True).reshape(len(rows), -1)
        np.testing.assert_array_equal(leaves(ensemble, trees, rows) - inner, expected)


@pytest.mark.parametrize("name", sets())
@pytest.mark.parametrize("model", BOOSTED[2:], ids=lambda model: type(model).__name__)
def test_xgboost(model: Any, name: str) -> None:
    model, wide = fitted(model, name)
    document = json.loads(model.get_booster().save_raw("json"))
    for tree in document["learner"]["gradient_booster"]["model"]["trees"]:
        for node, left in enumerate(tree["left_children"]):
            if left < 0:
                # Where inner nodes have their threshold.
                tree["split_conditions"][node] = float(node)
    ensemble = xgboost_file.read(json.dumps(document).encode()).ensemble
    for rows in both(wide):
        expected = model.apply(rows).reshape(len(rows), -1)
        np.testing.assert_array_equal(leaves(ensemble, in_rounds(ensemble), rows), expected)
