"""Small models of every layout that the native engines have, packed and loaded."""

import functools
from collections.abc import Mapping
from typing import Any

import lightgbm
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from support.forests import Array, data

from cell.engines.forest import Forest
from cell.engines.linear import Linear
from cell.engines.native import Native
from cell.engines.packed import PackedEngine
from cell.memory.arena import Arena
from croupier.artifacts.engines import FOREST, LINEAR
from croupier.artifacts.format import Artifact, view
from croupier.artifacts.packers.forest import pack_forest
from croupier.artifacts.packers.linear import pack_linear

X = data(1, rows=200, missing=0.05)
FULL = np.nan_to_num(X)
Y = FULL[:, 0] + FULL[:, 1] * FULL[:, 2]
CLASSES = np.digitize(Y, [-0.7, 0.7])
ENGINES = {FOREST: PackedEngine(FOREST), LINEAR: PackedEngine(LINEAR)}
NATIVES: Mapping[str, type[Any]] = {FOREST: Forest, LINEAR: Linear}


def boosted(seed: int, **options: Any) -> bytes:
    trained = X.copy()
    trained[:, 5] = np.random.default_rng(seed).integers(0, 40, len(X))
    sets = lightgbm.Dataset(trained, Y + trained[:, 5] % 3, categorical_feature=[5], params={"verbose": -1})
    options = {
        "num_leaves": 6,
        "verbose": -1,
        "num_threads": 1,
        "min_data_in_leaf": 5,
        "cat_smooth": 1,
        **options,
    }
    return pack_forest(lightgbm.train(options, sets, 3))


@functools.cache
def artifacts() -> dict[str, bytes]:
    """Small ones of every layout: categories and zeros, vectors in leaves, categories of a linear model."""
    from sklearn.compose import ColumnTransformer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    codes = np.round(FULL)
    encoded = ColumnTransformer(
        [("codes", OneHotEncoder(handle_unknown="ignore"), [0, 1])], remainder="passthrough"
    )
    return {
        "boosted": boosted(1),
        "zeros": boosted(2, zero_as_missing=True),
        "vectors": pack_forest(RandomForestClassifier(4, max_depth=4, random_state=1).fit(FULL, CLASSES)),
        "linear": pack_linear(make_pipeline(encoded, Ridge()).fit(codes, Y)),
        "classes": pack_linear(
            LogisticRegression(max_iter=500).fit(FULL, np.array(["a", "b", "c"])[CLASSES])
        ),
    }


def load(artifact: Artifact) -> Any:
    return ENGINES[artifact.engine].load(artifact)


def native_of(name: str, arena: Arena | None = None) -> Any:
    found = view(artifacts()[name])
    return NATIVES[found.engine](found.section(found.engine), arena)


def scored_by(model: Native, rows: Array) -> Array:
    """Its scores, (n, columns), for float32 or float64 rows."""
    out = np.empty((len(rows), model.columns), np.float32)
    model.score_into(np.ascontiguousarray(rows), out)
    return out
