"""Rows made from a packed forest reach each of its nodes, with the threshold that its library has."""

from typing import Any

import numpy as np
import pytest
import xgboost
from sklearn.datasets import load_diabetes
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from support.natives import artifacts, boosted

from croupier.artifacts.format import view
from croupier.artifacts.packers.checks.forest_rows import categories, neighbours, path_rows, read_forest
from croupier.artifacts.packers.forest import pack_forest, scikit

DIABETES = load_diabetes()
RANDOM = np.random.default_rng(1)


def test_every_node_is_reached_from_both_sides() -> None:
    model = xgboost.XGBRegressor(n_estimators=8, max_depth=4, n_jobs=1).fit(DIABETES.data, DIABETES.target)
    tree = read_forest(view(pack_forest(model)).section("forest"))
    base = RANDOM.choice(DIABETES.data.ravel(), size=(50, 10))
    rows = path_rows(tree, base, RANDOM, 10_000)
    leaves = model.apply(rows.astype(np.float32))
    total = sum(text.count("leaf=") for text in model.get_booster().get_dump())
    assert sum(len(np.unique(column)) for column in leaves.T) == total


@pytest.mark.parametrize(
    "threshold", [0.0, -0.0, 0.1, -0.1, 1e-45, 1.7e9 + 1e-3, 3e38, float(np.float32(0.1))]
)
def test_neighbours_lie_on_both_sides(threshold: float) -> None:
    found = neighbours(float(threshold))
    assert {threshold, np.nextafter(threshold, np.inf), np.nextafter(threshold, -np.inf)} <= set(
        found.tolist()
    )
    single = found.astype(np.float32)
    assert (single < threshold).any()
    assert (single > threshold).any()


@pytest.mark.parametrize(
    "model",
    [
        HistGradientBoostingRegressor(max_iter=2, max_leaf_nodes=9),
        RandomForestClassifier(2, max_depth=4, random_state=1),
    ],
    ids=lambda model: type(model).__name__,
)
def test_thresholds_are_read_to_their_last_bit(model: Any) -> None:
    label = DIABETES.target if "Regressor" in type(model).__name__ else DIABETES.target > 140
    model.fit(DIABETES.data, label)
    found = read_forest(view(pack_forest(model)).section("forest"))
    trees = [tree for group in scikit.read(model).groups for tree in group]
    wide = np.concatenate([tree.threshold[tree.left >= 0] for tree in trees])
    if not found.is_wide:
        with np.errstate(over="ignore"):
            wide = wide.astype(np.float32).astype(np.float64)
            below = np.nextafter(wide.astype(np.float32), np.float32(-np.inf)).astype(np.float64)
        assert set(found.threshold[found.inner].tolist()) <= {*wide.tolist(), *below.tolist()}
        return
    np.testing.assert_array_equal(np.sort(found.threshold[found.inner]), np.sort(wide))


def test_each_node_has_one_parent_and_a_root_none() -> None:
    for name in ("boosted", "vectors", "zeros"):
        found = read_forest(view(artifacts()[name]).section("forest"))
        roots = np.flatnonzero(found.parent < 0)
        assert len(found.parent) == len(roots) + 2 * len(found.inner)
        assert set(found.parent.tolist()) - {-1} == set(found.inner.tolist())
        assert found.is_right.sum() == len(found.inner)
        assert not found.is_right[roots].any()


def test_categories_are_those_that_splits_name_and_others() -> None:
    found = read_forest(view(boosted(1, min_data_per_group=5)).section("forest"))
    (feature,) = {int(found.feature[node]) for node in found.members}
    known = categories(found)[feature]
    named = set().union(*found.members.values())
    assert named < set(known)
    # The one behind the last, and one that is far off.
    assert sorted(set(known) - named)[-2:] == [max(named) + 1, 2 * max(named) + 37]
    rows = path_rows(found, RANDOM.normal(size=(20, found.features)), RANDOM, 10_000)
    for node in found.members:
        asked = set(rows[:, feature].tolist())
        assert asked & found.members[node]
        assert asked - found.members[node]
    # What is no whole number, and what is none at all.
    assert {0.5, -1.0} <= set(rows[:, feature].tolist())


def test_a_forest_of_leaves_alone_asks_for_no_rows() -> None:
    model = RandomForestClassifier(2).fit(np.zeros((4, 3)), [0, 1, 0, 1])
    found = read_forest(view(pack_forest(model)).section("forest"))
    assert path_rows(found, np.zeros((1, 3)), RANDOM, 10).shape == (0, 3)
    assert categories(found) == {}
