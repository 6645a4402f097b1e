"""Whose rows are said to be independent: of graphs that keep them apart, and models that were converted."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from sklearn.cluster import KMeans
from sklearn.ensemble import BaggingRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from support.rowwise_graphs import INDEPENDENT_GRAPHS, why

from croupier.artifacts.format import view
from croupier.artifacts.packers.onnx import pack_sklearn
from croupier.artifacts.rowwise import INDEPENDENT


@pytest.mark.parametrize("name", INDEPENDENT_GRAPHS)
def test_rows_that_are_independent(name: str) -> None:
    made = INDEPENDENT_GRAPHS[name]
    onnx.checker.check_model(made)
    assert why(made) == ""


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(),
        MLPClassifier((4,), max_iter=5),
        GaussianNB(),
        BaggingRegressor(n_estimators=3),
        KMeans(2, n_init=1),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_models_that_were_converted_are_independent(estimator: Any) -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(40, 3)).astype(np.float32)
    packed = view(pack_sklearn(estimator.fit(rows, (rows[:, 0] > 0).astype(int))))
    assert bytes(packed.section("rowwise")) == INDEPENDENT
