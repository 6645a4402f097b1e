"""Rows for a graph: values near those that are likely, texts that it knows, and its trees' own thresholds."""

from typing import Any

import numpy as np
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import RandomForestRegressor
from support.graphs import artifact, matmul

from croupier.artifacts.format import Tensor, view
from croupier.artifacts.packers.checks.graph_rows import graph_tables
from croupier.artifacts.packers.onnx import pack_onnx

X = np.random.default_rng(1).normal(size=(60, 2)).astype(np.float32)
TREES = to_onnx(
    RandomForestRegressor(2, max_depth=3, random_state=1).fit(X, X[:, 0]),
    initial_types=[("input", FloatTensorType([None, 2]))],
)


def made(found: Any, base: Any = None, seed: int = 1) -> dict[str, Any]:
    (table,) = graph_tables(found, base, np.random.default_rng(seed))
    return dict(table)


def test_a_trees_thresholds_are_asked_for_from_both_sides() -> None:
    (rows,) = made(view(pack_onnx(TREES.SerializeToString()))).values()
    assert rows.dtype == np.float32
    (node,) = [each for each in TREES.graph.node if each.op_type == "TreeEnsembleRegressor"]
    told = {each.name: each for each in node.attribute}
    nodes = zip(told["nodes_featureids"].ints, told["nodes_values"].floats, strict=True)
    inner = [
        (feature, np.float32(value))
        for (feature, value), mode in zip(nodes, told["nodes_modes"].strings, strict=True)
        if mode != b"LEAF"
    ]
    assert inner
    for feature, value in inner:
        beside = (np.nextafter(value, np.float32(side)) for side in (-np.inf, np.inf))
        assert {float(each) for each in (value, *beside)} <= set(rows[:, feature].tolist())


def test_rows_are_mixed_from_what_is_likely_if_it_is_as_wide() -> None:
    base = np.array([[1e9, -5.0], [1e9 + 100, 5.0], [1e9 + 50, 0.0]])
    rows = made(artifact(matmul()), base)["input"]
    assert rows.dtype == np.float32
    assert ((rows[:, 0] > 9.9e8) & (np.abs(rows[:, 1]) < 50)).all()
    other = made(artifact(matmul()), np.ones((3, 5)))["input"]
    assert np.abs(other).max() < 1e3


def test_holes_are_asked_where_the_model_takes_them() -> None:
    assert not np.isnan(made(view(pack_onnx(matmul())))["input"]).any()
    takes = made(view(pack_onnx(matmul(), accepts_missing=True)))["input"]
    assert 0 < np.isnan(takes).any(axis=1).sum() < len(takes) / 2


def test_one_seed_has_one_set_of_rows() -> None:
    one, same, other = (made(artifact(matmul()), seed=seed)["input"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_inputs_of_every_kind_have_values_that_they_can_hold() -> None:
    words = helper.make_node(
        "LabelEncoder", ["s"], ["t"], domain="ai.onnx.ml", keys_strings=["a", "ü"], values_int64s=[1, 2]
    )
    graph = helper.make_graph(
        [words],
        "g",
        [helper.make_tensor_value_info("s", TensorProto.STRING, [None, 1])],
        [helper.make_tensor_value_info("t", TensorProto.INT64, [None, 1])],
    )
    inputs = [
        Tensor("s", "BYTES", (-1, 1)),
        Tensor("b", "BOOL", (-1, 2)),
        Tensor("i", "INT8", (-1,)),
        Tensor("h", "FP16", (-1, 1)),
        Tensor("d", "FP64", (-1, 2, 3)),
    ]
    table = made(artifact(helper.make_model(graph).SerializeToString(), inputs=inputs))
    assert {len(each) for each in table.values()} == {400}
    # What the graph knows, what it does not, and nothing.
    assert set(table["s"].ravel().tolist()) == {"a", "ü", "unseen", ""}
    assert table["b"].dtype == bool
    assert table["i"].dtype == np.int8
    assert table["h"].dtype == np.float16
    assert table["d"].shape == (400, 2, 3)
