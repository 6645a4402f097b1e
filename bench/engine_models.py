"""The models that `python -m bench engines` compares engines with, and 1,000 rows to ask them.

Forests are LightGBM's, trained on seeded data of 20 features; ONNX Runtime and treelite get the same
trees. XGBoost cannot read them and gets trees of its own of the same number and depth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

ROWS = 1_000
_SEED = 4


@dataclass(frozen=True, slots=True)
class Shape:
    """Of a forest trees and leaves and, if above 0, depth at most; of a linear model neither."""

    features: int
    trees: int = 0
    leaves: int = 0
    depth: int = -1
    # Rows that it is trained on: more make fuller trees.
    trained_on: int = 2_000

    @property
    def is_forest(self) -> bool:
        return self.trees > 0


SHAPES: Mapping[str, Shape] = MappingProxyType(
    {
        "forest-10x31": Shape(20, trees=10, leaves=31),
        "forest-50x5": Shape(20, trees=50, leaves=32, depth=5),
        "forest-500x8": Shape(20, trees=500, leaves=256, depth=8, trained_on=20_000),
        "linear-20": Shape(20),
        "linear-200": Shape(200),
    }
)


def rows_of(shape: Shape, count: int = ROWS) -> Array:
    """Standard normal float32 rows that nothing was trained on."""
    return np.random.default_rng(_SEED + 1).normal(size=(count, shape.features)).astype(np.float32)


def _trained_on(shape: Shape) -> tuple[Array, Array]:
    random = np.random.default_rng(_SEED)
    rows = random.normal(size=(shape.trained_on, shape.features)).astype(np.float32)
    noise = random.normal(size=shape.trained_on)
    return rows, (rows[:, 0] + rows[:, 1] * rows[:, 2] + noise > 0).astype(np.int64)


def train_lightgbm(shape: Shape) -> Any:
    """A LightGBM booster, binary."""
    import lightgbm

    rows, labels = _trained_on(shape)
    options = {
        "objective": "binary",
        "num_leaves": shape.leaves,
        "max_depth": shape.depth,
        "num_threads": 1,
        "verbose": -1,
        "seed": _SEED,
    }
    return lightgbm.train(options, lightgbm.Dataset(rows, labels), shape.trees)


def train_xgboost(shape: Shape) -> Any:
    """An XGBoost booster of as many trees, as deep or with as many leaves."""
    import xgboost

    rows, labels = _trained_on(shape)
    options = {
        "objective": "binary:logistic",
        "max_depth": max(shape.depth, 0),
        "max_leaves": shape.leaves,
        "grow_policy": "lossguide",
        "min_child_weight": 3,
        "nthread": 1,
        "seed": _SEED,
    }
    return xgboost.train(options, xgboost.DMatrix(rows, labels), shape.trees)


def train_linear(shape: Shape) -> Any:
    """A logistic regression on rows that are scaled already."""
    from sklearn.linear_model import LogisticRegression

    rows, labels = _trained_on(shape)
    return LogisticRegression().fit(rows.astype(np.float64), labels)


def forest_as_onnx(text: str) -> bytes:
    """LightGBM's file as an ONNX graph of one TreeEnsembleRegressor, behind a logistic function."""
    from onnx import TensorProto, helper

    from croupier.artifacts.packers.forest import lightgbm_file

    ensemble = lightgbm_file.read(text).ensemble
    columns: dict[str, list[Any]] = {}

    def add(name: str, values: Any) -> None:
        columns.setdefault(name, []).extend(values)

    for number, tree in enumerate(ensemble.groups[0]):
        count, leaf = len(tree.left), tree.left < 0
        add("nodes_treeids", [number] * count)
        add("nodes_nodeids", range(count))
        add("nodes_featureids", np.where(leaf, 0, tree.feature).tolist())
        add("nodes_values", tree.threshold.tolist())
        add("nodes_modes", ["LEAF" if each else "BRANCH_LEQ" for each in leaf.tolist()])
        add("nodes_truenodeids", np.where(leaf, 0, tree.left).tolist())
        add("nodes_falsenodeids", np.where(leaf, 0, tree.right).tolist())
        leaves = np.flatnonzero(leaf).tolist()
        add("target_treeids", [number] * len(leaves))
        add("target_nodeids", leaves)
        add("target_ids", [0] * len(leaves))
        add("target_weights", tree.value[leaf].tolist())
    attributes: dict[str, Any] = {"domain": "ai.onnx.ml", "n_targets": 1, **columns}
    trees = helper.make_node("TreeEnsembleRegressor", ["input"], ["sums"], **attributes)
    graph = helper.make_graph(
        [trees, helper.make_node("Sigmoid", ["sums"], ["value"])],
        "forest",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [None, ensemble.features])],
        [helper.make_tensor_value_info("value", TensorProto.FLOAT, [None, 1])],
    )
    sets = [helper.make_opsetid("", 13), helper.make_opsetid("ai.onnx.ml", 1)]
    return helper.make_model(graph, opset_imports=sets, ir_version=8).SerializeToString()
