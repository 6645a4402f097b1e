"""A pipeline's steps as a transform give what scikit-learn gives, bit for bit, and refuse what it refuses."""

import math
import warnings
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)
from support.pipelines import block_of, random_frame, random_steps, raw_row, rows_of, seen, transformed

from croupier.artifacts.format import InvalidArtifact
from croupier.artifacts.packers.transform.assembly import Columns


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_random_pipelines(seed: int) -> None:
    random = Random(seed)
    steps = random_steps(random)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        steps.fit(random_frame(random, 60, missing=random.choice([0.0, 0.2])))
    columns = seen([each for _, each in steps.steps])
    block = block_of(columns)
    frame = random_frame(random, 60, missing=0.05, unseen=0.05)
    rows = [raw_row(block, values) for values in rows_of(frame, columns.used)]
    refused = np.array([block.refusal(row) is not None for row in rows])
    if not refused.all():
        expected = transformed(steps, frame[~refused])
        assert expected is not None
        np.testing.assert_array_equal(
            [block.apply(row) for row, is_refused in zip(rows, refused, strict=True) if not is_refused],
            expected,
        )
    for place in random.sample(np.flatnonzero(refused).tolist(), min(2, refused.sum())):
        assert transformed(steps, frame.iloc[[place]]) is None


def asserted(steps: list[Any], trained: Any, rows: Any) -> Columns:
    """Fit the steps on `trained`; `rows`, an array or a frame, are transformed alike."""
    pipeline = make_pipeline(*steps).fit(trained)
    columns = seen(steps)
    block = block_of(columns)
    values = rows_of(pd.DataFrame(rows), columns.used)
    found = [block.apply(raw_row(block, each)) for each in values]
    np.testing.assert_array_equal(found, transformed(pipeline, rows))
    return columns


def numbers(seed: int, rows: int = 40, columns: int = 4) -> Any:
    return np.random.default_rng(seed).normal(size=(rows, columns))


@pytest.mark.parametrize(
    "chosen",
    [[2, 0], [False, True, True, False], slice(1, 4), [-1], lambda frame: [3]],
    ids=lambda chosen: "called" if callable(chosen) else str(chosen),
)
def test_columns_of_an_array(chosen: Any) -> None:
    columns = ColumnTransformer([("some", StandardScaler(), chosen)], remainder="passthrough")
    asserted([columns], numbers(1), numbers(2))


def test_columns_by_name_and_one_feature_for_several_transformers() -> None:
    frame = pd.DataFrame(numbers(1), columns=list("abcd"))
    columns = ColumnTransformer(
        [
            ("scaled", StandardScaler(), ["d", "a"]),
            ("again", MinMaxScaler(), ["a"]),
            ("none", "drop", ["b"]),
            ("empty", StandardScaler(), []),
        ]
    )
    assert asserted([columns], frame, frame * 1.5).used == [0, 3]


def test_a_pipeline_in_a_column_transformer_in_another_one() -> None:
    inner = ColumnTransformer([("few", OneHotEncoder(), [1])], remainder=StandardScaler())
    outer = ColumnTransformer(
        [("two", make_pipeline(inner, MaxAbsScaler()), [0, 1]), ("one", "passthrough", [2])]
    )
    trained = numbers(3, columns=3)
    trained[:, 1] = np.round(trained[:, 1])
    asserted([outer, "passthrough", StandardScaler()], trained, trained[::-1])


def test_columns_of_an_encoder_apart_and_twice() -> None:
    trained = np.round(numbers(4, columns=2))
    width = sum(len(np.unique(column)) for column in trained.T)
    mixed = ColumnTransformer(
        [("some", "passthrough", [width - 1, 0, 2]), ("again", MinMaxScaler(), [0, 1, 1, 0])]
    )
    encoder = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    asserted([encoder, mixed], trained, np.round(numbers(5, columns=2) * 2))


def test_a_sparse_matrix_is_scaled_by_inverses() -> None:
    # Of a number other than 1 the product with an inverse is another one than the quotient.
    trained = np.random.default_rng(6).choice(20, (500, 3)).astype(np.float64)
    for scaler in (StandardScaler(with_mean=False), RobustScaler(with_centering=False), MaxAbsScaler()):
        first = StandardScaler(with_mean=False)
        columns = asserted([OneHotEncoder(), first, scaler], trained, trained)
        assert columns.is_sparse
        dense = [OneHotEncoder(sparse_output=False), first, scaler]
        assert not asserted(dense, trained, trained).is_sparse


def test_an_imputer_fills_in_its_own_datatype() -> None:
    trained = numbers(7).astype(np.float32)
    trained[::3] = math.nan
    rows = numbers(8)
    rows[::2, 1] = math.nan
    for strategy in ("mean", "median", "most_frequent"):
        asserted([SimpleImputer(strategy=strategy), StandardScaler()], trained, rows)


def test_a_column_that_was_never_seen_is_left_out_or_kept() -> None:
    trained = numbers(9)
    trained[:, 2] = math.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert asserted([SimpleImputer(add_indicator=True)], trained, trained).used == [0, 1, 2, 3]
        assert asserted([SimpleImputer()], trained, trained).used == [0, 1, 3]
        asserted([SimpleImputer(keep_empty_features=True)], trained, trained)


def test_filled_after_scaling_and_indicators_scaled() -> None:
    trained = numbers(10)
    trained[::4, 1] = trained[::7, 3] = math.nan
    asserted([StandardScaler(), SimpleImputer(add_indicator=True), RobustScaler()], trained, trained)


def test_none_is_a_category_too() -> None:
    trained = pd.DataFrame({"a": pd.Series(["x", None, "y", "x"], dtype=object)})
    for encoder in (OneHotEncoder(), OrdinalEncoder(), OrdinalEncoder(encoded_missing_value=-1)):
        asserted([encoder], trained, trained)


def test_texts_of_a_categorical_column_and_truths() -> None:
    trained = pd.DataFrame(
        {"a": pd.Categorical(["x", "y", "x"]), "b": [True, False, True], "c": pd.Categorical([3, 1, 3])}
    )
    asserted([OrdinalEncoder(), OneHotEncoder()], trained, trained)


def test_an_encoder_knows_what_another_one_refuses() -> None:
    trained = pd.DataFrame({"a": ["x", "y", "z", "x"]})
    few = OneHotEncoder(categories=[["x", "y"]], handle_unknown="ignore")
    columns = ColumnTransformer([("few", few, ["a"]), ("all", OneHotEncoder(), ["a"])])
    block = block_of(asserted([columns.fit(trained)], trained, trained))
    assert block.refusal([block.code_of(0, b"z")]) is None
    assert block.refusal([-1.0]) == (0, "unknown")


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ([PolynomialFeatures()], "PolynomialFeatures"),
        ([Normalizer()], "Normalizer"),
        ([FunctionTransformer(np.abs)], "FunctionTransformer with a function"),
        ([KNNImputer()], "KNNImputer"),
        ([SimpleImputer(missing_values=1)], "missing_values=1"),
        ([StandardScaler(), OneHotEncoder()], "scaled before"),
    ],
    ids=str,
)
def test_what_cannot_be_packed_is_refused_by_name(steps: list[Any], says: str) -> None:
    trained = np.round(numbers(11, columns=2))
    make_pipeline(*steps).fit(trained)
    with pytest.raises(InvalidArtifact, match=says):
        block_of(seen(steps))


def test_categories_that_are_no_texts_or_numbers() -> None:
    whole = np.array([[2**60 + 1], [3]])
    with pytest.raises(InvalidArtifact, match="neither all numbers nor all texts"):
        seen([OneHotEncoder().fit(whole)])
    lost = pd.DataFrame({"a": pd.Series(["x", None, math.nan], dtype=object)})
    with pytest.raises(InvalidArtifact, match="None and NaN"):
        seen([OneHotEncoder().fit(lost)])
    imputed = make_pipeline(SimpleImputer(strategy="constant", fill_value="x"), OneHotEncoder()).fit(lost)
    with pytest.raises(InvalidArtifact, match="behind an imputer"):
        seen([imputed])


def test_what_is_not_fitted_is_refused() -> None:
    with pytest.raises(InvalidArtifact, match="not fitted"):
        seen([StandardScaler()])
    with pytest.raises(InvalidArtifact, match="not fitted"):
        seen([StandardScaler(), MinMaxScaler().fit(numbers(12))])
    with pytest.raises(InvalidArtifact, match="no columns"):
        seen([ColumnTransformer([("none", "drop", [0])]).fit(numbers(12))])
