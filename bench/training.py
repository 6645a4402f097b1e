"""Real models for many tenants: trained on scikit-learn's bundled data sets, packed, with answers.

Each tenant's models are trained on a bootstrap sample of its own, so that no two are alike and an
answer from another tenant's model shows. With every model come rows that it can be asked and what
the training library itself says of them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

ROWS = 24
TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a tenant's model is made of."""

    tenant: str
    name: str
    dataset: str
    algorithm: str
    seed: int


@dataclass(frozen=True, slots=True)
class Trained:
    """`rows` (ROWS, features) float32; `expected` per row: a classifier's probabilities or one value.

    `model` is the library's own, of regressors: what it says of other rows than these.
    """

    recipe: Recipe
    artifact: bytes
    rows: Array
    expected: Array
    classes: tuple[int, ...]
    model: Any = None

    def says(self, rows: Array) -> Array:
        """What the training library says of `rows`, NaN of those that have one. Of regressors alone."""
        is_whole = ~np.isnan(rows).any(axis=1)
        answers = np.full((len(rows), 1), np.nan)
        if is_whole.any():
            answers[is_whole] = np.reshape(self.model.predict(rows[is_whole]), (-1, 1))
        return answers

    def is_right(self, row: int, outputs: Mapping[str, Any]) -> bool:
        """Whether an answer for `rows[row]` is the training library's own, within 1e-4.

        A label is right if its class has the highest probability, ties within the tolerance included.
        """
        expected = self.expected[row]
        if not self.classes:
            (values,) = outputs.values()
            return bool(np.allclose(values, expected, rtol=TOLERANCE, atol=TOLERANCE))
        label = self.classes.index(int(outputs["label"][0]))
        return bool(
            np.allclose(outputs["probabilities"], expected, rtol=TOLERANCE, atol=TOLERANCE)
            and expected[label] >= expected.max() - TOLERANCE
        )


def recipes(tenants: int, seed: int) -> list[Recipe]:
    """One to three models for each tenant, the data sets and algorithms mixed by `seed`."""
    random = np.random.default_rng(seed)
    kinds = [(dataset, algorithm) for dataset in _DATASETS for algorithm in _ALGORITHMS]
    found = []
    for tenant in range(tenants):
        for kind in random.choice(len(kinds), size=random.integers(1, 4), replace=False):
            dataset, algorithm = kinds[kind]
            name = f"{dataset}-{algorithm}"
            found.append(Recipe(f"tenant-{tenant:03}", name, dataset, algorithm, int(random.integers(2**31))))
    return found


def train_all(recipes: list[Recipe], processes: int = 2) -> Iterator[Trained]:
    """Train in throwaway processes; yields in the order of `recipes`."""
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(train, recipes, chunksize=8)


def train(recipe: Recipe) -> Trained:
    """Train, pack and ask the training library itself."""
    load, is_classifier = _DATASETS[recipe.dataset]
    features, target, names = load()
    random = np.random.default_rng(recipe.seed)
    sample = random.choice(len(features), size=min(len(features), 400), replace=True)
    model = _ALGORITHMS[recipe.algorithm](is_classifier, recipe.seed)
    with warnings.catch_warnings():
        # A few iterations of an MLP are enough here; it says that it has not converged.
        warnings.simplefilter("ignore")
        model.fit(features[sample], target[sample])
        rows = features[random.choice(len(features), size=ROWS, replace=False)]
        artifact = _packer(recipe.algorithm)(model, features=names)
    if is_classifier:
        return Trained(recipe, artifact, rows, model.predict_proba(rows), tuple(map(int, model.classes_)))
    return Trained(recipe, artifact, rows, model.predict(rows).reshape(-1, 1), (), model)


def _packer(algorithm: str) -> Callable[..., bytes]:
    """That of the engine that `pack` would choose. Who asks compares every answer, so that it need not."""
    from croupier.artifacts.packers.forest import pack_forest
    from croupier.artifacts.packers.linear import pack_linear
    from croupier.artifacts.packers.onnx import pack_sklearn

    return {"linear": pack_linear, "boosting": pack_forest}.get(algorithm, partial(pack_sklearn, wide=False))


def _bundled(name: str) -> tuple[Array, Array, list[str]]:
    import sklearn.datasets

    data = getattr(sklearn.datasets, f"load_{name}")()
    # float32 is what a cell gets, so it is what the model is trained on and asked with.
    return data.data.astype(np.float32), data.target, [str(feature) for feature in data.feature_names]


def _logistic(is_classifier: bool, seed: int) -> Any:
    from sklearn.linear_model import LinearRegression, LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    final = LogisticRegression(max_iter=200, random_state=seed) if is_classifier else LinearRegression()
    return make_pipeline(StandardScaler(), final)


def _mlp(is_classifier: bool, seed: int) -> Any:
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    kind = MLPClassifier if is_classifier else MLPRegressor
    return make_pipeline(StandardScaler(), kind(hidden_layer_sizes=(16,), max_iter=30, random_state=seed))


def _boosting(is_classifier: bool, seed: int) -> Any:
    from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor

    kind = GradientBoostingClassifier if is_classifier else GradientBoostingRegressor
    return kind(n_estimators=8, max_depth=3, max_features=8, random_state=seed)


_DATASETS: dict[str, tuple[Callable[[], tuple[Array, Array, list[str]]], bool]] = {
    "breast-cancer": (lambda: _bundled("breast_cancer"), True),
    "digits": (lambda: _bundled("digits"), True),
    "wine": (lambda: _bundled("wine"), True),
    "diabetes": (lambda: _bundled("diabetes"), False),
}
_ALGORITHMS: dict[str, Callable[[bool, int], Any]] = {
    "linear": _logistic,
    "mlp": _mlp,
    "boosting": _boosting,
}
