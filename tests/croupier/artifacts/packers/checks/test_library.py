"""What a library answers, in the artifact's outputs: by its methods, or by a booster's one `predict`."""

from typing import Any

import lightgbm
import numpy as np
import pytest
import sklearn
import xgboost
from sklearn.cluster import KMeans
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from support.forests import data
from support.graphs import matmul, packed

from croupier.artifacts.format import Artifact, InvalidArtifact, Tensor, pack, view
from croupier.artifacts.packers.checks.library import _shaped, of_file, of_object
from croupier.artifacts.packers.files import FileKind
from croupier.artifacts.packers.forest import pack_forest
from croupier.artifacts.packers.linear import pack_linear

X = data(1, rows=60, features=3).astype(np.float64)
BINARY, CLASSES = (X[:, 0] > 0).astype(int), np.digitize(X[:, 0], [-0.5, 0.5])
TABLE = {"input": X}
QUIET: dict[str, Any] = {"verbose": -1, "num_threads": 1}


def answer(model: Any, artifact: bytes) -> dict[str, Any]:
    return dict(of_object(model, view(artifact)).answer(TABLE))


def test_each_output_is_a_method_of_the_estimator() -> None:
    names = np.array(["low", "mid", "high"])
    forest = RandomForestClassifier(2, random_state=1).fit(X, names[CLASSES])
    found = answer(forest, pack_forest(forest))
    assert found["label"].tolist() == forest.predict(X).tolist()
    np.testing.assert_array_equal(found["probabilities"], forest.predict_proba(X))
    ridge = RidgeClassifier().fit(X, BINARY)
    found = answer(ridge, pack_linear(ridge))
    assert (found["label"].dtype, found["decision"].shape) == (np.int64, (60, 1))
    np.testing.assert_array_equal(found["decision"][:, 0], ridge.decision_function(X))
    anomalies = IsolationForest(n_estimators=3, random_state=1).fit(X)
    np.testing.assert_array_equal(
        answer(anomalies, pack_forest(anomalies))["value"][:, 0], -anomalies.score_samples(X)
    )


def test_a_library_is_named_with_its_version_also_of_a_class_derived_from_it() -> None:
    artifact = view(pack_linear(Ridge().fit(X, X[:, 0])))
    for kind in (Ridge, type("Own", (Ridge,), {})):
        found = of_object(kind().fit(X, X[:, 0]), artifact)
        assert (found.name, found.version) == ("sklearn", sklearn.__version__)
    with pytest.raises(InvalidArtifact, match="a Own is of no library"):
        of_object(type("Own", (), {})(), artifact)


def with_outputs(*outputs: Tensor) -> Artifact:
    return view(pack(engine="onnx", inputs=[Tensor("input", "FP64", (-1, 3))], outputs=outputs, sections={"model": b""}))  # fmt: skip  # noqa: E501


def test_an_output_that_no_method_gives_cannot_be_compared() -> None:
    model = KMeans(2, n_init=1).fit(X)
    for name in ("probabilities", "decision", "odd"):
        with pytest.raises(InvalidArtifact, match=f"output '{name}' cannot be compared: a KMeans"):
            of_object(model, with_outputs(Tensor(name, "FP32", (-1, 2)))).answer(TABLE)
    found = of_object(model, with_outputs(Tensor("label", "INT64", (-1,)), Tensor("scores", "FP32", (-1, 2))))
    np.testing.assert_array_equal(found.answer(TABLE)["scores"], model.transform(X))


BOOSTERS = [
    ({"objective": "reg:squarederror"}, X[:, 0]),
    ({"objective": "binary:logistic"}, BINARY),
    ({"objective": "multi:softprob", "num_class": 3}, CLASSES),
    ({"objective": "multi:softmax", "num_class": 3}, CLASSES),
]


@pytest.mark.parametrize(("options", "label"), BOOSTERS, ids=lambda value: str(value)[:40])
def test_a_boosters_one_answer_becomes_the_artifacts_outputs(options: Any, label: Any) -> None:
    booster = xgboost.train({**options, "nthread": 1}, xgboost.DMatrix(X, label), 3)
    artifact = view(pack_forest(booster))
    raw = booster.predict(xgboost.DMatrix(X))
    for library in (
        of_object(booster, artifact),
        of_file(bytes(booster.save_raw("json")), FileKind.XGBOOST, artifact),
    ):
        found = library.answer(TABLE)
        assert (library.name, library.version) == ("xgboost", xgboost.__version__)
        assert list(found) == [tensor.name for tensor in artifact.outputs]
        if "value" in found:
            np.testing.assert_array_equal(found["value"][:, 0], raw)
        elif options["objective"] == "multi:softmax":
            np.testing.assert_array_equal(found["label"], raw)
            np.testing.assert_allclose(found["probabilities"].sum(axis=1), 1.0)
        else:
            shares = raw if raw.ndim == 2 else np.stack([1 - raw, raw], axis=1)
            np.testing.assert_allclose(found["probabilities"], shares, rtol=1e-7)


def test_lightgbms_file_answers_as_its_object() -> None:
    booster = lightgbm.train({"objective": "binary", **QUIET}, lightgbm.Dataset(X, BINARY), 3)
    artifact = view(pack_forest(booster))
    text = booster.model_to_string().encode()
    one = of_object(booster, artifact).answer(TABLE)
    other = of_file(text, FileKind.LIGHTGBM, artifact).answer(TABLE)
    np.testing.assert_array_equal(one["probabilities"], other["probabilities"])
    np.testing.assert_array_equal(one["label"], booster.predict(X, num_threads=1) > 0.5)


def test_a_graphs_library_is_its_runtime_and_an_artifacts_none() -> None:
    artifact = view(packed(matmul()))
    library = of_file(matmul(), FileKind.ONNX, artifact)
    assert library.name == "onnxruntime"
    rows = np.ones((2, 2), np.float32)
    np.testing.assert_array_equal(library.answer({"input": rows})["y"], rows @ rows)
    with pytest.raises(InvalidArtifact, match="no library that it could be compared with"):
        of_file(b"", FileKind.ARTIFACT, artifact)


LABEL = Tensor("label", "INT64", (-1,))


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ([1.0, -7.0], [1, -7]),
        ([True, False], [1, 0]),
        (np.array([2**63 - 1], np.uint64), [2**63 - 1]),
        (np.array([-(2**63), 5]), [-(2**63), 5]),
    ],
    ids=str,
)
def test_labels_are_whole_numbers(labels: Any, found: list[int]) -> None:
    assert _shaped(LABEL, labels).tolist() == found


@pytest.mark.parametrize(
    "labels", [[0.5], [np.nan], [np.inf], [1e19], [2.0**63], np.array([2**63 + 5], np.uint64)], ids=str
)
def test_a_label_that_int64_cannot_hold_is_not_compared_as_another(labels: Any) -> None:
    with pytest.raises(InvalidArtifact, match="no whole number of 64 bits"):
        _shaped(LABEL, labels)


def test_what_a_library_refuses_is_its_own_error() -> None:
    model = LogisticRegression().fit(X, BINARY)
    with pytest.raises(ValueError, match="NaN"):
        of_object(model, view(pack_linear(model))).answer({"input": np.full((1, 3), np.nan)})
