"""By way of ONNX scikit-learn's models answer in float64; steps that are converted wrongly are refused."""

import warnings
from typing import Any

import numpy as np
import onnxruntime
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, PolynomialFeatures, StandardScaler

from croupier.artifacts.format import InvalidArtifact, view
from croupier.artifacts.packers.onnx import pack_sklearn

RANDOM = np.random.default_rng(0)
SECONDS = 1.7e9 + RANDOM.integers(0, 86_400, 300)
X = np.column_stack([RANDOM.normal(size=300), SECONDS, RANDOM.integers(10**8, 10**9, 300)])
LABEL = (X[:, 0] + np.sin(SECONDS / 86_400 * 6.28) > 0).astype(int)
HOLES = X.copy()
HOLES[RANDOM.random(X.shape) < 0.2] = np.nan


def answer(packed: bytes, rows: Any) -> dict[str, Any]:
    artifact = view(packed)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    model = bytes(artifact.section("model"))
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [tensor.name for tensor in artifact.outputs]
    kind = np.float64 if artifact.inputs[0].datatype == "FP64" else np.float32
    return dict(zip(names, session.run(names, {"input": rows.astype(kind)}), strict=True))


WIDE: list[Any] = [
    LogisticRegression(max_iter=300),
    MLPClassifier(hidden_layer_sizes=(4,), solver="lbfgs", random_state=0, max_iter=300),
    GaussianNB(),
]


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
@pytest.mark.parametrize("last", WIDE, ids=lambda model: type(model).__name__)
def test_large_numbers_are_answered_as_by_the_library(last: Any) -> None:
    model = make_pipeline(StandardScaler(), last).fit(X, LABEL)
    packed = pack_sklearn(model)
    assert view(packed).inputs[0].datatype == "FP64"
    assert [tensor.datatype for tensor in view(packed).outputs] == ["INT64", "FP32"]
    for rows in (X, X.astype(np.float32).astype(np.float64)):
        found = answer(packed, rows)
        assert found["label"].tolist() == model.predict(rows).tolist()
        if hasattr(model, "predict_proba"):
            np.testing.assert_allclose(found["probabilities"], model.predict_proba(rows), rtol=0, atol=1e-6)


def test_float32_may_be_asked_for_and_is_taken_where_there_is_no_float64() -> None:
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, LABEL)
    assert view(pack_sklearn(model, wide=False)).inputs[0].datatype == "FP32"
    # ONNX Runtime has no such operator for float64; and trees narrow a row themselves.
    powers = make_pipeline(PolynomialFeatures(2), Ridge()).fit(X[:, :1], LABEL)
    trees = RandomForestClassifier(3, random_state=0).fit(X, LABEL)
    for narrow, rows in ((powers, X[:, :1]), (trees, X)):
        packed = pack_sklearn(narrow)
        assert view(packed).inputs[0].datatype == "FP32"
        found = next(iter(answer(packed, rows).values()))
        np.testing.assert_allclose(found.reshape(-1), narrow.predict(rows), rtol=1e-5, atol=1e-5)


IMPUTERS: list[Any] = [
    SimpleImputer(),
    SimpleImputer(add_indicator=True),
    SimpleImputer(strategy="constant", fill_value=-7.5),
    SimpleImputer(strategy="most_frequent", add_indicator=True),
    SimpleImputer(keep_empty_features=True),
]


@pytest.mark.parametrize("imputer", IMPUTERS, ids=str)
@pytest.mark.parametrize("wide", [True, False])
def test_an_imputer_fills_and_indicates_as_the_library_does(imputer: Any, wide: bool) -> None:
    # With a column that has no hole, and one that has nothing else.
    rows = np.column_stack([HOLES[:, 0] * 3, X[:, 0], np.full(300, np.nan), HOLES[:, 2] / 1e9])
    model = make_pipeline(imputer, LogisticRegression())
    with warnings.catch_warnings():
        # That a column without values is left out.
        warnings.simplefilter("ignore")
        model.fit(rows, LABEL)
        expected = model.predict_proba(rows)
    packed = pack_sklearn(model, wide=wide)
    assert view(packed).accepts_missing
    np.testing.assert_allclose(answer(packed, rows)["probabilities"], expected, rtol=0, atol=1e-6)


def test_an_imputer_of_some_columns_does_not_make_nan_acceptable() -> None:
    steps = ColumnTransformer([("a", SimpleImputer(add_indicator=True), [0])], remainder="passthrough")
    rows = np.column_stack([HOLES[:, 0], X[:, 0]])
    model = make_pipeline(steps, LogisticRegression()).fit(rows, LABEL)
    packed = pack_sklearn(model)
    assert not view(packed).accepts_missing
    found = answer(packed, rows)["probabilities"]
    np.testing.assert_allclose(found, model.predict_proba(rows), rtol=0, atol=1e-6)


@pytest.mark.parametrize("encoder", [OneHotEncoder(handle_unknown="ignore"), OrdinalEncoder()])
def test_encoders_of_numbers_are_refused(encoder: Any) -> None:
    steps = ColumnTransformer([("a", encoder, [0])], remainder="passthrough")
    codes = np.column_stack([np.arange(300) % 4, X[:, 0]])
    model = make_pipeline(steps, MLPClassifier(hidden_layer_sizes=(2,), max_iter=5))
    with pytest.warns(UserWarning, match="converge"):
        model.fit(codes, LABEL)
    with pytest.raises(InvalidArtifact, match=f"{type(encoder).__name__} of numbers.*pack_linear"):
        pack_sklearn(model)


def test_isotonic_calibration_is_refused() -> None:
    model = make_pipeline(StandardScaler(), CalibratedClassifierCV(GaussianNB(), method="isotonic", cv=2))
    with pytest.raises(InvalidArtifact, match=r"isotonic calibration.*'sigmoid'"):
        pack_sklearn(model.fit(X, LABEL))
