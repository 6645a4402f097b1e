"""Whose rows are said to be independent: of graphs that keep them apart, and that do not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from sklearn.cluster import KMeans
from sklearn.ensemble import BaggingRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from support.graphs import centred, looping, matmul
from support.rowwise_graphs import DEPENDENT_GRAPHS, INDEPENDENT_GRAPHS, X, Y, why

from croupier.artifacts.format import InvalidArtifact, Tensor, view
from croupier.artifacts.packers.onnx import pack_onnx, pack_sklearn
from croupier.artifacts.packers.rowwise.analysis import check_independent
from croupier.artifacts.packers.rowwise.values import Dependent
from croupier.artifacts.rowwise import INDEPENDENT, is_rowwise


@pytest.mark.parametrize("name", INDEPENDENT_GRAPHS)
def test_rows_that_are_independent(name: str) -> None:
    made = INDEPENDENT_GRAPHS[name]
    onnx.checker.check_model(made)
    assert why(made) == ""


@pytest.mark.parametrize("name", DEPENDENT_GRAPHS)
def test_rows_that_are_not(name: str) -> None:
    """Already by the operators: whatever a trial shows."""
    made = DEPENDENT_GRAPHS[name]
    onnx.checker.check_model(made)
    with pytest.raises(Dependent):
        check_independent(made, X, Y)


def test_it_says_which_operator_and_why() -> None:
    assert why(DEPENDENT_GRAPHS["ReduceMean"]) == "ReduceMean 'm' works along axis 0, the batch"
    assert why(DEPENDENT_GRAPHS["If"]) == "If 'y' has a graph of its own"
    assert why(DEPENDENT_GRAPHS["NonZero"]) == "NonZero 'a' is not known to keep rows apart"
    loop = onnx.load_model_from_string(looping())
    with pytest.raises(Dependent, match="ReduceMax 'highest' works along all axes, the batch among them"):
        check_independent(loop, [Tensor("input", "FP32", (-1, 2))], [Tensor("y", "FP32", (-1, 2))])


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


def test_an_artifact_says_so_only_where_it_is(caplog: pytest.LogCaptureFixture) -> None:
    assert is_rowwise(view(pack_onnx(matmul())))
    assert caplog.text == ""
    assert not is_rowwise(view(pack_onnx(centred())))
    assert "ReduceMean 'mean' works along axis 0, the batch" in caplog.text


def test_a_section_of_another_size_is_refused() -> None:
    good = view(pack_onnx(matmul()))
    with pytest.raises(InvalidArtifact, match="5 bytes in place of 4"):
        is_rowwise(replace(good, sections={**good.sections, "rowwise": memoryview(b"\1\0\0\0\0")}))
