"""scikit-learn's forests and boosted trees to an ensemble, in the process that trained them.

A fitted estimator is an object, and the only file of it is a pickle, which is never opened here. So its
arrays are read where it lives. scikit-learn compares with `<=`: histogram gradient boosting the float64
values of a row, all others float32 ones.

Histogram gradient boosting sends a category that it has not seen where it sends missing values. Such a
split lists the categories that go the other way than these, so that all others follow them. Its categories
are matched as whole numbers: 2.5 is none. Where they are texts or other numbers, the trees get their codes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from croupier.artifacts.format import InvalidArtifact
from croupier.artifacts.packers.forest.ensemble import (
    Array,
    Categories,
    CategoryRule,
    Ensemble,
    Tree,
)
from croupier.artifacts.packers.transform.columns import categories, is_missing
from croupier.artifacts.packers.transform.encoders import Codes
from croupier.artifacts.packers.transformation import Transformation

_AVERAGED = {
    "DecisionTreeClassifier",
    "DecisionTreeRegressor",
    "ExtraTreeClassifier",
    "ExtraTreeRegressor",
    "ExtraTreesClassifier",
    "ExtraTreesRegressor",
    "RandomForestClassifier",
    "RandomForestRegressor",
}
_BOOSTED = {"GradientBoostingClassifier", "GradientBoostingRegressor"}
_HISTOGRAM = {"HistGradientBoostingClassifier", "HistGradientBoostingRegressor"}
_ISOLATION = {"IsolationForest"}
SUPPORTED = _AVERAGED | _BOOSTED | _HISTOGRAM | _ISOLATION

_EULER = 0.577215664901532860606512090082402431


def read(model: Any) -> Ensemble:
    """The ensemble of a fitted estimator.

    Raises:
        InvalidArtifact: it has what cannot be packed.
    """
    kind = type(model).__name__
    if kind in _AVERAGED:
        return _averaged(model)
    if kind in _BOOSTED:
        return _boosted(model)
    if kind in _HISTOGRAM:
        return _histogram(model)
    return _isolation(model)


def accepts_infinite(model: Any) -> bool:
    """Whether the estimator takes infinite values; the others refuse them."""
    return type(model).__name__ in _HISTOGRAM | _ISOLATION


def categorical(model: Any) -> list[int]:
    """Features of categories: of these the estimator refuses infinity, which it takes of the others."""
    found = getattr(model, "is_categorical_", None)
    return [] if found is None else np.flatnonzero(found).tolist()


def has_seen_missing(model: Any) -> bool:
    """Whether the trees show that values were missing in training.

    Where none was, scikit-learn sends a missing value to the child with more samples, at each split. So one
    split that sends it to the other has learned that from data. A few missing values may leave no trace.
    """
    if type(model).__name__ in _HISTOGRAM:
        found = [tree.nodes for each in model._predictors for tree in each]  # noqa: SLF001 (its only form)
        return any(
            _contradict(nodes["left"], nodes["right"], nodes["count"], nodes["missing_go_to_left"], inner)
            for nodes in found
            for inner in [np.flatnonzero(nodes["is_leaf"] == 0)]
        )
    trees = [each.tree_ for each in np.ravel(getattr(model, "estimators_", [model]))]
    return any(
        _contradict(
            tree.children_left, tree.children_right, tree.n_node_samples, tree.missing_go_to_left, inner
        )
        for tree in trees
        for inner in [np.flatnonzero(tree.children_left >= 0)]
    )


def _contradict(left: Array, right: Array, samples: Array, missing_left: Array, inner: Array) -> bool:
    goes_to_more = samples[left[inner].astype(np.int64)] > samples[right[inner].astype(np.int64)]
    return bool(((missing_left[inner] != 0) != goes_to_more).any())


def codes(model: Any) -> dict[int, Codes]:
    """What stands for the categories of features where these are no whole numbers from 0 on.

    Raises:
        InvalidArtifact: they are neither numbers nor texts.
    """
    if type(model).__name__ not in _HISTOGRAM:
        return {}
    found = {}
    for feature, listed in _listed(model).items():
        if _are_codes(listed):
            continue
        known = categories(listed.tolist())
        if known is None:
            raise InvalidArtifact(f"feature {feature} has categories that are neither numbers nor texts")
        numbered = {each: float(code) for code, each in enumerate(known)}
        # None, the last one, is a category like another; NaN is not.
        missing = math.nan if len(known) == len(listed) else float(len(known))
        found[feature] = Codes(numbered, unknown=math.nan, missing=missing)
    return found


def _averaged(model: Any) -> Ensemble:
    classes = getattr(model, "classes_", None)
    if classes is not None and model.n_outputs_ > 1:
        raise InvalidArtifact("a classifier of several targets cannot be packed")
    trees = [_tree(each.tree_) for each in getattr(model, "estimators_", [model])]
    if classes is not None:
        trees = [_replaced(tree, tree.value / tree.value.sum(axis=1, keepdims=True)) for tree in trees]
    sums = trees[0].value.shape[1]
    if sums == 1:
        trees = [_replaced(tree, tree.value[:, 0]) for tree in trees]
    return Ensemble(
        features=model.n_features_in_,
        groups=[trees],
        base=np.zeros(sums),
        divisor=float(len(trees)),
    )


def _tree(tree: Any) -> Tree:
    """A tree of the module `sklearn.tree`; its values get shape (nodes, targets or classes)."""
    count = tree.node_count
    return Tree(
        left=tree.children_left,
        right=tree.children_right,
        feature=tree.feature,
        threshold=tree.threshold,
        missing_right=tree.missing_go_to_left == 0,
        value=tree.value.reshape(count, -1),
    )


def _replaced(tree: Tree, value: Array) -> Tree:
    return Tree(tree.left, tree.right, tree.feature, tree.threshold, tree.missing_right, value)


def _boosted(model: Any) -> Ensemble:
    if not isinstance(model.init_, str) and not type(model.init_).__name__.startswith("Dummy"):
        raise InvalidArtifact(
            f"gradient boosting that begins with a {type(model.init_).__name__} cannot be packed"
        )
    if getattr(model.init_, "strategy", "") == "stratified":
        raise InvalidArtifact("gradient boosting that begins with random numbers cannot be packed")
    rounds = model.estimators_
    # The first prediction is a constant, whatever the row.
    base = model._raw_predict_init(np.zeros((1, model.n_features_in_), np.float32)).reshape(-1)  # noqa: SLF001
    groups = []
    for place in range(rounds.shape[1]):
        trees = [_tree(each.tree_) for each in rounds[:, place]]
        groups.append([_replaced(tree, model.learning_rate * tree.value[:, 0]) for tree in trees])
    return Ensemble(
        features=model.n_features_in_,
        groups=groups,
        base=np.asarray(base, np.float64),
        transformation=_link(model, len(groups)),
        # The exponential loss fits half the logarithm of the odds.
        parameter=2.0 if model.loss == "exponential" else 1.0,
        is_pair=hasattr(model, "classes_") and len(groups) == 1,
    )


def _link(model: Any, sums: int) -> Transformation:
    if hasattr(model, "classes_"):
        return Transformation.SIGMOID if sums == 1 else Transformation.SOFTMAX
    return Transformation.EXPONENTIAL if model.loss in {"poisson", "gamma"} else Transformation.IDENTITY


def _histogram(model: Any) -> Ensemble:
    rounds: Sequence[Sequence[Any]] = model._predictors  # noqa: SLF001 (its only form)
    columns, known = _columns(model)
    groups = [
        [_histogram_tree(each[place], columns, known) for each in rounds]
        for place in range(model.n_trees_per_iteration_)
    ]
    return Ensemble(
        features=model.n_features_in_,
        groups=groups,
        base=np.asarray(model._baseline_prediction, np.float64).reshape(-1),  # noqa: SLF001
        transformation=_link(model, len(groups)),
        is_pair=hasattr(model, "classes_") and len(groups) == 1,
        category_rule=CategoryRule.EXACT,
        is_wide=True,
    )


def _columns(model: Any) -> tuple[Array, dict[int, Array]]:
    """The row's feature for each of the trees' columns, and the categories by feature.

    With categories the trees see these first, counted from 0 in order, and then the numbers.
    """
    is_categorical = model.is_categorical_
    if is_categorical is None:
        return np.arange(model.n_features_in_), {}
    first, rest = np.flatnonzero(is_categorical), np.flatnonzero(~is_categorical)
    known = {
        feature: listed.astype(np.int64) if _are_codes(listed) else np.arange(len(listed))
        for feature, listed in _listed(model).items()
    }
    return np.concatenate([first, rest]), known


def _listed(model: Any) -> dict[int, Array]:
    """By feature with categories what these are, without NaN."""
    if model.is_categorical_ is None:
        return {}
    encoder = model._preprocessor.named_transformers_["encoder"]  # noqa: SLF001
    return {
        feature: listed[[each is None or not is_missing(each) for each in listed.tolist()]]
        for feature, listed in zip(
            np.flatnonzero(model.is_categorical_).tolist(), encoder.categories_, strict=True
        )
    }


def _are_codes(listed: Array) -> bool:
    """Whether a forest takes them as they are."""
    if listed.dtype.kind not in "iuf":
        return False
    numbers = listed.astype(np.float64)
    return bool((numbers == np.floor(numbers)).all() and (numbers >= 0).all() and (numbers < 2**24).all())


def _histogram_tree(predictor: Any, columns: Array, known: dict[int, Array]) -> Tree:
    nodes = predictor.nodes
    is_leaf = nodes["is_leaf"] != 0
    feature = columns[nodes["feature_idx"]]
    missing_right = nodes["missing_go_to_left"] == 0
    categories = {}
    for node in np.flatnonzero((nodes["is_categorical"] != 0) & ~is_leaf).tolist():
        members = known[int(feature[node])]
        bits = np.asarray(predictor.raw_left_cat_bitsets[nodes["bitset_idx"][node]], "<u4").view(np.uint8)
        goes_left = np.unpackbits(bits, bitorder="little")[: len(members)] != 0
        follows = goes_left != missing_right[node]
        categories[node] = Categories(members[~follows], is_right=not missing_right[node])
    return Tree(
        left=np.where(is_leaf, -1, nodes["left"].astype(np.int64)),
        right=np.where(is_leaf, -1, nodes["right"].astype(np.int64)),
        feature=feature,
        threshold=nodes["num_threshold"],
        missing_right=missing_right,
        value=nodes["value"],
        categories=categories,
    )


def _isolation(model: Any) -> Ensemble:
    """The anomaly score of the paper (Liu, Ting, Zhou 2008): `score_samples` with its sign turned."""
    trees = [
        _isolation_tree(each.tree_, features)
        for each, features in zip(model.estimators_, model.estimators_features_, strict=True)
    ]
    return Ensemble(
        features=model.n_features_in_,
        groups=[trees],
        base=np.zeros(1),
        transformation=Transformation.STANDARD_RATIO,
        parameter=float(_path_length(np.array([model.max_samples_]))[0]),
        divisor=float(len(trees)),
    )


def _isolation_tree(tree: Any, features: Array) -> Tree:
    depth = np.zeros(tree.node_count)
    for parent, child in _edges(tree):
        depth[child] = depth[parent] + 1
    found = _tree(tree)
    return Tree(
        found.left,
        found.right,
        np.where(tree.feature >= 0, np.asarray(features)[tree.feature], -1),
        found.threshold,
        found.missing_right,
        depth + _path_length(tree.n_node_samples),
    )


def _edges(tree: Any) -> Iterator[tuple[int, int]]:
    """From the root on: a node of scikit-learn's comes before its children."""
    for node in range(tree.node_count):
        if tree.children_left[node] >= 0:
            yield node, tree.children_left[node]
            yield node, tree.children_right[node]


def _path_length(samples: Array) -> Array:
    """How deep an unsuccessful search of a binary tree of so many samples goes on average."""
    count = samples.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Array = 2.0 * (np.log(count - 1.0) + _EULER) - 2.0 * (count - 1.0) / count
    return np.where(count <= 1, 0.0, np.where(count == 2, 1.0, found))
