"""Rows for an ONNX graph: values that are likely for the object that it came from, and those of its trees.

A graph does not say what its inputs mean. Where it came from an object, that tells what values are likely
(`likely`); a tree's thresholds, and the texts that an encoder knows, lie in attributes of the graph's nodes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

from croupier.artifacts.datatypes import DATATYPES
from croupier.artifacts.format import Artifact, Tensor
from croupier.artifacts.packers.checks.forest_rows import neighbours
from croupier.artifacts.tables import Table

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Random: TypeAlias = np.random.Generator

_ROWS = 400
_MOST_THRESHOLDS = 500
_TEXTS = {"cats_strings", "keys_strings", "classlabels_strings", "classes_strings"}


def graph_tables(artifact: Artifact, base: Array | None, random: Random) -> list[Table]:
    """One table of some hundred rows."""
    # It takes long to import, and trees need not wait for it.
    import onnx

    graph = onnx.load_model_from_string(bytes(artifact.section("model"))).graph
    texts = sorted(set(_texts(graph)))
    table = {tensor.name: _values(tensor, texts, random) for tensor in artifact.inputs}
    first = artifact.inputs[0]
    if len(table) == 1 and len(first.shape) == 2 and DATATYPES[first.datatype].kind == "f":
        rows = table[first.name].astype(np.float64)
        if base is not None and base.shape[1] == rows.shape[1]:
            rows = _near(base, random)
        rows = np.concatenate([rows, _at_thresholds(graph, rows, random)])
        if artifact.accepts_missing:
            holes = rows[:100].copy()
            holes[random.random(holes.shape) < 0.2] = np.nan
            rows = np.concatenate([rows, holes])
        table[first.name] = rows.astype(DATATYPES[first.datatype])
    return [table]


def _near(base: Array, random: Random) -> Array:
    """Rows whose values are mixed from `base` by column, and moved a little."""
    places = random.integers(len(base), size=(_ROWS, base.shape[1]))
    mixed = np.take_along_axis(base, places, axis=0)
    spread = np.where(base.std(axis=0) > 0, base.std(axis=0), np.maximum(1e-3, np.abs(base).max(axis=0)))
    moved = mixed + random.normal(size=mixed.shape) * spread / 4
    whole = base[random.integers(len(base), size=_ROWS // 2)]
    return np.concatenate([np.where(random.random(mixed.shape) < 0.5, mixed, moved), whole])


def _at_thresholds(graph: Any, rows: Array, random: Random) -> Array:
    """`rows` with one value at a threshold of a tree that reads the input itself, or beside it."""
    pairs = [
        pair
        for node in graph.node
        if node.op_type.startswith("TreeEnsemble") and "input" in node.input
        for pair in _thresholds(node, rows.shape[1])
    ]
    if len(pairs) > _MOST_THRESHOLDS:
        pairs = [pairs[place] for place in random.choice(len(pairs), _MOST_THRESHOLDS, replace=False)]
    found = []
    for feature, threshold in pairs:
        values = neighbours(threshold)
        some = rows[random.integers(len(rows), size=len(values))].copy()
        some[:, feature] = values
        found.append(some)
    return np.concatenate(found) if found else rows[:0]


def _thresholds(node: Any, features: int) -> Iterator[tuple[int, float]]:
    told = {each.name: each for each in node.attribute}
    if "nodes_values" in told and "nodes_featureids" in told:
        for feature, value in zip(told["nodes_featureids"].ints, told["nodes_values"].floats, strict=False):
            if 0 <= feature < features and math.isfinite(value):
                yield feature, value


def _texts(graph: Any) -> Iterator[str]:
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.name in _TEXTS:
                yield from (text.decode(errors="replace") for text in attribute.strings)


def _values(tensor: Tensor, texts: list[str], random: Random) -> Array:
    shape = (_ROWS, *tensor.shape[1:])
    dtype = DATATYPES[tensor.datatype]
    if dtype.kind == "f":
        normal = random.normal(size=shape) * random.choice([0.1, 1.0, 10.0], size=shape)
        return np.asarray(normal, dtype)
    if dtype.kind == "O":
        return np.asarray(random.choice(np.array([*texts, "unseen", ""], np.object_), shape))
    return np.asarray(random.integers(0, 2 if dtype.kind == "b" else 10, shape), dtype)
