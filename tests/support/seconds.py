"""A model of times: a float32 has one number for two minutes of them, and LightGBM compares float64."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import lightgbm
import numpy as np

from croupier.artifacts.packers.forest import pack_forest


@dataclass(frozen=True)
class Seconds:
    """`rows` (n, 2) float64, seconds since 1970, and what the library answers to them as they are (n,).

    `narrowed` is what it answers to the same rows as float32: other leaves, for most of them.
    """

    artifact: bytes
    rows: np.ndarray[Any, Any]
    answers: np.ndarray[Any, Any]
    narrowed: np.ndarray[Any, Any]


FEATURES = ["begun", "ended"]


def train_seconds() -> Seconds:
    rows = 1.7e9 + np.random.default_rng(0).integers(0, 3_600, (200, 2)).astype(float)
    parameters = {"objective": "regression", "num_leaves": 63, "min_data_in_leaf": 1, "num_threads": 1}
    data = lightgbm.Dataset(rows, np.sin(rows[:, 0] / 60) + rows[:, 1] % 7, feature_name=FEATURES)
    model = lightgbm.train({**parameters, "verbose": -1}, data, 20)
    answers, narrowed = model.predict(rows), model.predict(rows.astype(np.float32))
    assert not np.isclose(answers, narrowed, atol=1e-3).all()
    return Seconds(pack_forest(model), rows, answers, narrowed)
