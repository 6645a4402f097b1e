"""Small real models, trained once a test run."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LinearRegression, LogisticRegression

from croupier.artifacts.packers.onnx import pack_sklearn

FEATURES = tuple(name.replace(" ", "_") for name in load_breast_cancer().feature_names[:10])


@functools.cache
def train_small(seed: int = 0) -> tuple[LogisticRegression, np.ndarray[Any, Any], bytes]:
    """A classifier, its rows (569, 10) in float32, and its artifact; other seeds give other models."""
    rows, labels = load_breast_cancer(return_X_y=True)
    rows = (rows[:, :10] / rows[:, :10].max(axis=0)).astype(np.float32)
    picked = np.random.default_rng(seed).choice(len(rows), 200)
    model = LogisticRegression(max_iter=200).fit(rows[picked], labels[picked])
    return model, rows, pack_sklearn(model, features=FEATURES, wide=False)


@functools.cache
def train_regressor() -> tuple[LinearRegression, np.ndarray[Any, Any], bytes]:
    """A regressor without named features, its rows (442, 10) in float32, and its artifact."""
    rows, targets = load_diabetes(return_X_y=True)
    rows = rows.astype(np.float32)
    model = LinearRegression().fit(rows, targets)
    return model, rows, pack_sklearn(model, wide=False)
