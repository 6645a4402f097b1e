"""A model's features one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from support.cells import signature_of

from cell.codec.values import array_of_row, named, problem
from croupier.errors import InvalidRequest
from protos.prediction.v1 import prediction_pb2 as pb

MODEL = signature_of(features=["a", "b"])
GAPS = signature_of(features=["a", "b"], accepts_missing=True)


def features(*names: str) -> pb.Features:
    return pb.Features(features=[pb.Feature(name=name, number=place) for place, name in enumerate(names, 1)])


def test_named_ones_stand_in_the_models_order() -> None:
    assert named(features("b", "a"), MODEL) == [2, 1]
    assert named(features("b"), MODEL) == [None, 1]


def test_what_the_model_lacks_is_passed_over_only_if_it_may_be() -> None:
    assert named(features("other", "b"), MODEL, passes_over=True) == [None, 2]
    with pytest.raises(InvalidRequest, match="no feature 'other'"):
        named(features("other", "b"), MODEL)


def test_each_is_there_once_and_has_a_value() -> None:
    with pytest.raises(InvalidRequest, match="'b' is there twice"):
        named(features("b", "b"), MODEL, passes_over=True)
    with pytest.raises(InvalidRequest, match="'a' has no value"):
        named(pb.Features(features=[pb.Feature(name="a")]), MODEL)


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        (1.5, "f4", ""),
        (1e300, "f8", ""),
        (1e300, "f4", "does not fit into float32"),
        (70_000.0, "f2", "does not fit into float16"),
        (math.nan, "f4", "is NaN, which this model does not take"),
        (1.5, "i4", "is not a whole number"),
        (128.0, "i1", "does not fit into int8"),
        ("x", "f4", "is text; the model takes a number"),
        (1.0, "O", "is a number; the model takes text"),
        ("x", "O", ""),
    ],
)
def test_what_a_value_may_be(value: float | str, dtype: str, expected: str) -> None:
    assert problem(value, np.dtype(dtype), MODEL) == expected


def test_some_models_take_what_is_missing() -> None:
    assert problem(math.nan, np.dtype("f4"), GAPS) == ""


def test_what_is_missing_of_texts_is_none() -> None:
    assert array_of_row(["x", math.nan], np.dtype("O")).tolist() == [["x", None]]
    assert array_of_row([1, 2], np.dtype("f4")).tolist() == [[1, 2]]
