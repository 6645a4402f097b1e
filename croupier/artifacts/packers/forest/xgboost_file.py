"""XGBoost's JSON and UBJSON to an ensemble, by way of treelite.

treelite knows the formats of many XGBoost versions: DART's weights, base scores (one, or one for each class)
and the margins they stand for, trees in parallel, vectors in leaves, categories. What it gives is taken from
its arrays here; an objective or a booster that it does not know is refused with what it says.

XGBoost compares with `<`, float32 with float32. The trees that count are those up to the model's own best
iteration, if it has one; `xgboost_document` says why.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from croupier.artifacts.format import InvalidArtifact
from croupier.artifacts.packers.forest import xgboost_document
from croupier.artifacts.packers.forest.ensemble import (
    Array,
    Categories,
    CategoryRule,
    Ensemble,
    Tree,
)
from croupier.artifacts.packers.transform.encoders import Codes
from croupier.artifacts.packers.transformation import Transformation

# treelite's numbers for what a model is for, and for kinds of nodes and comparisons.
BINARY, MULTI_CLASS = 0, 2
_LEAF, _NUMERICAL, _CATEGORICAL = 0, 1, 2
_LESS, _AT_MOST = 2, 3

_TRANSFORMATIONS = {
    "identity": Transformation.IDENTITY,
    "identity_multiclass": Transformation.IDENTITY,
    "sigmoid": Transformation.SIGMOID,
    "multiclass_ova": Transformation.SIGMOID,
    "softmax": Transformation.SOFTMAX,
    "exponential": Transformation.EXPONENTIAL,
    "signed_square": Transformation.SIGNED_SQUARE,
    "hinge": Transformation.HINGE,
    "logarithm_one_plus_exp": Transformation.LOG_ONE_PLUS_EXP,
    "exponential_standard_ratio": Transformation.STANDARD_RATIO,
}

# The margins of the probabilities 1e-6 and 1 - 1e-6 as float32, beyond which no base score goes (XGBoost,
# src/objective/regression_loss.h, `ProbToMargin`). treelite makes infinity of labels that are all the same.
_LEAST_LOGIT, _GREATEST_LOGIT = -13.81551, 13.74516


@dataclass(frozen=True, slots=True)
class XGBoost:
    """`task` is treelite's number for what the model is for; `names` are the file's names of its features.

    `codes` are those that the trees know in place of categories, by feature.
    """

    ensemble: Ensemble
    task: int
    names: tuple[str, ...]
    codes: Mapping[int, Codes]


def read(data: bytes) -> XGBoost:
    """The model of a file, JSON or UBJSON.

    Raises:
        InvalidArtifact: it is none, or it has what cannot be packed.
    """
    document = xgboost_document.read(data)
    # It takes long to import, and a LightGBM file need not wait for it.
    import treelite

    frontend = treelite.frontend
    trees_of = frontend.from_xgboost_json if document.is_json else frontend.from_xgboost_ubjson
    try:
        model = trees_of(document.data)
    except (treelite.TreeliteError, ValueError) as error:
        # The first line is a file, a line and what was wrong.
        said = re.sub(r"^\[.*?\] \S+: ", "", str(error).strip().splitlines()[0])
        raise InvalidArtifact(f"treelite cannot read this XGBoost model: {said[:200]}") from error
    ensemble, task = _ensemble(model, document.trees)
    ensemble = replace(ensemble, category_rule=CategoryRule.TRUNCATE_POSITIVE)
    return XGBoost(ensemble, task, document.names, document.codes)


def _ensemble(model: Any, count: int | None = None) -> tuple[Ensemble, int]:
    """Of the model's first `count` trees, or all."""
    header = model.get_header_accessor()

    def one(name: str) -> Any:
        return header.get_field(name)[0]

    targets = int(one("num_target"))
    classes = int(header.get_field("num_class").max())
    if targets > 1 and classes > 1:
        raise InvalidArtifact("several targets of several classes each cannot be packed")
    postprocessor = header.get_field("postprocessor")
    transformation = _TRANSFORMATIONS.get(str(postprocessor))
    if transformation is None:
        raise InvalidArtifact(f"the output transformation {postprocessor!r} cannot be packed")
    sums = targets * classes
    count = int(one("num_tree")) if count is None else min(count, int(one("num_tree")))
    trees = [_tree(model.get_tree_accessor(number), sums) for number in range(count)]
    places = np.maximum(header.get_field("target_id"), header.get_field("class_id"))
    groups = _groups(trees, places[:count].tolist(), sums)
    divisor = 1.0
    if one("average_tree_output"):
        sizes = {len(group) for group in groups}
        if len(sizes) != 1:
            raise InvalidArtifact(
                "an average over a different number of trees for each class cannot be packed"
            )
        divisor = float(sizes.pop())
    base = header.get_field("base_scores").astype(np.float64)[:sums]
    if transformation is Transformation.SIGMOID:
        base = base.clip(_LEAST_LOGIT, _GREATEST_LOGIT)
    ratio = transformation is Transformation.STANDARD_RATIO
    return Ensemble(
        features=int(one("num_feature")),
        groups=groups,
        base=base,
        transformation=transformation,
        parameter=float(one("ratio_c" if ratio else "sigmoid_alpha")),
        divisor=divisor,
    ), int(one("task_type"))


def _groups(trees: Sequence[Tree], places: Sequence[int], sums: int) -> list[list[Tree]]:
    if any(tree.value.ndim == 2 for tree in trees):
        return [list(trees)]
    groups: list[list[Tree]] = [[] for _ in range(sums)]
    for place, tree in zip(places, trees, strict=True):
        groups[place].append(tree)
    return groups


def _tree(accessor: Any, sums: int) -> Tree:
    def field(name: str) -> Array:
        # treelite's arrays lie in the model's memory, which goes with it.
        return np.array(accessor.get_field(name))

    kinds = field("node_type")
    left = np.where(kinds == _LEAF, -1, field("cleft"))
    operators = set(field("cmp")[kinds == _NUMERICAL].tolist())
    if len(operators) > 1 or not operators <= {_LESS, _AT_MOST}:
        raise InvalidArtifact("a tree with comparisons other than < or <= throughout cannot be packed")
    return Tree(
        left=left,
        right=field("cright"),
        feature=field("split_index"),
        threshold=field("threshold").astype(np.float64),
        missing_right=~field("default_left").astype(bool),
        value=_values(field, kinds, sums),
        is_strict=operators == {_LESS},
        categories=dict(_categories(field, kinds)),
    )


def _values(field: Any, kinds: Array, sums: int) -> Array:
    flat = field("leaf_vector")
    if not len(flat):
        return field("leaf_value").astype(np.float64)  # type: ignore[no-any-return]
    values = np.zeros((len(kinds), sums))
    values[kinds == _LEAF] = flat.reshape(-1, sums)[_leaf_places(field, kinds, sums)]
    return values


def _leaf_places(field: Any, kinds: Array, sums: int) -> Array:
    begins: Array = field("leaf_vector_begin")[kinds == _LEAF].astype(np.int64) // sums
    return begins


def _categories(field: Any, kinds: Array) -> Iterator[tuple[int, Categories]]:
    listed, begins, ends = (field(f"category_list{name}") for name in ("", "_begin", "_end"))
    goes_right = field("category_list_right_child")
    for node in np.flatnonzero(kinds == _CATEGORICAL).tolist():
        yield node, Categories(listed[begins[node] : ends[node]].astype(np.int64), bool(goes_right[node]))
