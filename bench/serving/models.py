"""The models that every server serves: forests of 50 trees of depth 5, all different, each in every format.

One is trained. Model n has its trees and leaves of its own: each value scaled by a factor between 0.9 and 1.1
that is drawn from n. LightGBM's text is the model, other formats hold the same numbers, and what is right is
what LightGBM says of the text. Files are written when somebody wants them, and each once.

Which leaves the rows come to is the same for all models, so LightGBM is asked once: their values added up are
what it says of a text, and no text needs to be read.

Which leaf a packed format keeps where is found out by packing a model whose leaves are their own numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bench.engine_models import Array, forest_as_onnx, train_lightgbm
from bench.population import SHAPE, Packed, rows
from croupier.artifacts.format import digest_of
from croupier.stores.objects import key_of

# Different rows that a model may be asked.
ROWS = 4
FEATURES = SHAPE.features
_LEAVES = re.compile(r"^leaf_value=(.*)$", re.MULTILINE)
_SIZES = re.compile(r"^tree_sizes=.*$", re.MULTILINE)


class Models:
    """Models by number, their files below `folder`, and `rows` (ROWS, features) to ask them."""

    def __init__(self, folder: Path) -> None:
        self.rows = rows(ROWS)
        self._folder = folder
        self._written: dict[str, int] = {}
        self._digests: list[bytes] = []
        self._expected: dict[int, Array] = {}

    # Files

    def lightgbm(self, count: int) -> Path:
        """A folder with `m0.txt` and so on, so many at least: LightGBM's text."""
        return self._write("lightgbm", count, lambda number: (f"m{number}.txt", self.text(number).encode()))

    def onnx(self, count: int) -> Path:
        """The same with `m0.onnx`: one TreeEnsembleRegressor, behind a logistic function."""
        return self._write("onnx", count, lambda number: (f"m{number}.onnx", self._onnx(number)))

    def objects(self, count: int) -> Path:
        """An object store with the packed artifacts; their digests are known from then on."""
        return self._write("objects", count, self._object)

    def digest(self, number: int) -> bytes:
        """Of a model that lies in the object store."""
        return self._digests[number]

    def _write(self, kind: str, count: int, make: Callable[[int], tuple[str, bytes]]) -> Path:
        folder = self._folder / kind
        for number in range(self._written.get(kind, 0), count):
            name, data = make(number)
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            self._written[kind] = number + 1
        return folder

    def _object(self, number: int) -> tuple[str, bytes]:
        artifact = self.artifact(number)
        self._digests.append(digest_of(artifact))
        return key_of(self._digests[number]), artifact

    # What is right

    def expected(self, number: int) -> Array:
        """What LightGBM says of `rows`: (ROWS,), the probability of the second class."""
        if number not in self._expected:
            raw = self._values(number)[self._reached].sum(axis=1)
            self._expected[number] = 1.0 / (1.0 + np.exp(-raw))
        return self._expected[number]

    @cached_property
    def _reached(self) -> Array:
        """(ROWS, trees): which of all leaves' values each row comes to in each tree."""
        import lightgbm

        booster: Any = lightgbm.Booster(model_str=self._numbered)
        said: Array = booster.predict(self.rows, pred_leaf=True, num_threads=1)
        counts = [len(_leaves(tree).split()) for tree in self._cut[1]]
        found: Array = said.astype(np.int64) + np.cumsum([0, *counts[:-1]])
        return found

    # Content

    def text(self, number: int) -> str:
        return self._text_of(self._values(number))

    def artifact(self, number: int) -> bytes:
        packed, order = self._packed
        return packed.with_leaves(self._values(number)[order])

    def _onnx(self, number: int) -> bytes:
        graph, weights, order = self._graph
        weights.floats[:] = self._values(number)[order].tolist()
        data: bytes = graph.SerializeToString()
        return data

    def _values(self, number: int) -> Array:
        """The values of all leaves, tree by tree, as the text has them; model 0 is as it was trained."""
        values: Array = self._trained
        if number:
            values = values * np.random.default_rng(number).uniform(0.9, 1.1, len(values))
        return values

    @cached_property
    def _cut(self) -> tuple[str, list[str], str]:
        """The text that LightGBM wrote: up to the first tree, the trees, and the rest."""
        head, *trees = re.split(r"^(?=Tree=)", train_lightgbm(SHAPE).model_to_string(), flags=re.MULTILINE)
        last, end, rest = trees[-1].partition("end of trees")
        return head, [*trees[:-1], last], end + rest

    @cached_property
    def _trained(self) -> Array:
        leaves = [_leaves(tree).split() for tree in self._cut[1]]
        return np.array([value for tree in leaves for value in tree], np.float64)

    def _text_of(self, values: Array) -> str:
        head, trees, rest = self._cut
        numbers = iter(map(repr, values.tolist()))
        written = []
        for tree in trees:
            mine = " ".join(next(numbers) for _ in _leaves(tree).split())
            written.append(_LEAVES.sub(f"leaf_value={mine}", tree))
        sizes = " ".join(str(len(tree)) for tree in written)
        return "".join((_SIZES.sub(f"tree_sizes={sizes}", head), *written, rest))

    @cached_property
    def _numbered(self) -> str:
        """The model whose leaves are their own numbers."""
        return self._text_of(np.arange(len(self._trained), dtype=np.float64))

    @cached_property
    def _packed(self) -> tuple[Packed, Array]:
        from croupier.artifacts.packers.forest import pack_lightgbm

        order = Packed(pack_lightgbm(self._numbered)).leaves.astype(np.int64)
        return Packed(pack_lightgbm(self.text(0))), order

    @cached_property
    def _graph(self) -> tuple[Any, Any, Array]:
        """The graph, its leaves' values, and which leaf stands at each of their places."""
        import onnx

        graph = onnx.load_from_string(forest_as_onnx(self._numbered))
        (weights,) = (each for each in graph.graph.node[0].attribute if each.name == "target_weights")
        return graph, weights, np.array(weights.floats, np.int64)


def _leaves(tree: str) -> str:
    found = _LEAVES.search(tree)
    if not found:
        raise ValueError("a tree of LightGBM's text has no leaf values")
    return found[1]
