import math
from typing import Any

import numpy as np
import pytest
from support.cells import signature_of

from cell.codec.rows import ValueTooLarge, to_arrays, to_value
from cell.codec.signature import Signature
from croupier.artifacts.format import Tensor
from croupier.errors import InvalidRequest
from protos.prediction.v1 import prediction_pb2 as pb

WIDE = signature_of(features=["a", "b"])
GAPS = signature_of(features=["a", "b"], accepts_missing=True)
FINITE = signature_of(features=["a", "b"], accepts_missing=True, finite=True)
COMPLETE = signature_of(features=["a", "b"], accepts_missing=True, complete=True)
UNNAMED = signature_of()
TENSORS = signature_of(inputs=[Tensor("image", "FP32", (-1, 2, 2))])
MIXED = signature_of(
    features=["n", "flag", "city"],
    inputs=[
        Tensor("n", "INT8", (-1, 1)),
        Tensor("flag", "BOOL", (-1, 1)),
        Tensor("city", "BYTES", (-1, 1)),
    ],
)


def named(*pairs: tuple[str, Any]) -> pb.Item:
    item = pb.Item()
    for name, value in pairs:
        feature = item.features.features.add(name=name)
        if isinstance(value, str):
            feature.text = value
        elif value is not None:
            feature.number = value
    return item


def dense(*values: float) -> pb.Item:
    return pb.Item(row=pb.Row(values=values))


def doubles(*values: float) -> pb.Item:
    return pb.Item(row=pb.Row(doubles=values))


def test_named_features_in_any_order() -> None:
    arrays = to_arrays(named(("b", 2), ("a", 1)), WIDE)
    np.testing.assert_array_equal(arrays["input"], np.array([[1, 2]], np.float32))
    assert arrays["input"].dtype == np.float32


def test_a_dense_row() -> None:
    np.testing.assert_array_equal(to_arrays(dense(1, 2), WIDE)["input"], np.array([[1, 2]], np.float32))


def test_an_input_for_each_feature() -> None:
    arrays = to_arrays(named(("city", "Rome"), ("n", -3), ("flag", 1)), MIXED)
    assert {name: array.tolist() for name, array in arrays.items()} == {
        "n": [[-3]],
        "flag": [[True]],
        "city": [["Rome"]],
    }
    assert arrays["n"].dtype == np.int8


def test_a_missing_feature_is_nan_where_that_is_declared() -> None:
    row = to_arrays(named(("b", 2)), GAPS)["input"][0]
    assert np.isnan(row[0])
    assert row[1] == 2
    assert np.isnan(to_arrays(dense(1, math.nan), GAPS)["input"][0, 1])


def test_doubles_are_the_datatype_that_the_model_takes() -> None:
    array = to_arrays(doubles(0.1, 2), WIDE)["input"]
    assert (array.dtype, array[0, 0]) == (np.float32, np.float32(0.1))
    wide = signature_of(features=["a", "b"], inputs=[Tensor("input", "FP64", (-1, 2))])
    array = to_arrays(doubles(0.1, 1e300), wide)["input"]
    assert (array.dtype, array.tolist()) == (np.float64, [[0.1, 1e300]])


@pytest.mark.parametrize("datatype", ["FP32", "FP64", "INT32", "UINT8"])
def test_columns_without_names_are_numbered(datatype: str) -> None:
    signature = signature_of(inputs=[Tensor("input", datatype, (-1, 2))])
    for item in (dense(1, 2), doubles(1, 2), named(("1", 2), ("0", 1))):
        assert to_arrays(item, signature)["input"].tolist() == [[1, 2]]


@pytest.mark.parametrize(
    "inputs",
    [
        [Tensor("a", "FP32", (-1, 1)), Tensor("b", "FP32", (-1, 1))],
        [Tensor("flags", "BOOL", (-1, 2))],
        [Tensor("texts", "BYTES", (-1, 2))],
        [Tensor("image", "FP32", (-1, 2, 2))],
        [Tensor("numbers", "FP32", (-1,))],
        [Tensor("many", "FP32", (-1, 32_769))],
    ],
)
def test_other_inputs_have_no_numbered_columns(inputs: list[Tensor]) -> None:
    assert signature_of(inputs=inputs).features == ()


def test_what_was_left_out_can_be_sent_as_nan() -> None:
    with pytest.raises(InvalidRequest, match="send NaN"):
        to_arrays(named(("a", 1)), COMPLETE)
    row = to_arrays(named(("a", 1), ("b", math.nan)), COMPLETE)["input"][0]
    assert np.isnan(row[1])


def test_infinity_is_a_number() -> None:
    assert np.isinf(to_arrays(named(("a", math.inf), ("b", 2)), WIDE)["input"][0, 0])


@pytest.mark.parametrize(
    ("item", "signature", "field"),
    [
        (pb.Item(), WIDE, "input"),
        (named(("a", 1)), WIDE, "features.b"),
        (pb.Item(features=pb.Features()), WIDE, "features.a"),
        (named(("a", 1), ("b", 2), ("c", 3)), WIDE, "features.c"),
        (named(("a", 1), ("a", 1), ("b", 2)), WIDE, "features.a"),
        (named(("a", 1), ("b", None)), GAPS, "features.b"),
        (named(("a", 1), ("b", "text")), WIDE, "features.b"),
        (named(("a", 1), ("b", math.nan)), WIDE, "features.b"),
        (named(("a", 1), ("b", 1e300)), WIDE, "features.b"),
        (dense(1), WIDE, "row"),
        (dense(1, 2, 3), WIDE, "row"),
        (dense(1, math.nan), WIDE, "row.b"),
        (named(("city", 1), ("n", 1), ("flag", 0)), MIXED, "features.city"),
        (named(("city", "x"), ("n", 1.5), ("flag", 0)), MIXED, "features.n"),
        (named(("city", "x"), ("n", 128), ("flag", 0)), MIXED, "features.n"),
        (named(("city", "x"), ("n", math.nan), ("flag", 0)), MIXED, "features.n"),
        (named(("city", "x"), ("n", math.inf), ("flag", 0)), MIXED, "features.n"),
        (named(("city", "x"), ("n", 1), ("flag", 2)), MIXED, "features.flag"),
        (dense(1, 1, 1), MIXED, "row.city"),
        (dense(1, 2), TENSORS, "row"),
        (named(("a", 1)), TENSORS, "features"),
        (dense(1, 2, 3), UNNAMED, "row"),
        (named(("0", 1), ("2", 2)), UNNAMED, "features.2"),
        (named(("0", 1), ("01", 2)), UNNAMED, "features.01"),
        (doubles(1, math.nan), WIDE, "row.b"),
        (doubles(1, 1e300), WIDE, "row.b"),
        (pb.Item(row=pb.Row(values=[1, 2], doubles=[1, 2])), WIDE, "row"),
        (dense(1, math.inf), FINITE, "row.b"),
        (doubles(-math.inf, 1), FINITE, "row.a"),
        (named(("a", 1), ("b", math.inf)), FINITE, "features.b"),
        (named(("a", 1)), COMPLETE, "features.b"),
    ],
)
def test_what_does_not_fit_is_named(item: pb.Item, signature: Signature, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        to_arrays(item, signature)
    assert caught.value.field == field


def test_only_floats_can_be_missing() -> None:
    signature = signature_of(features=["n"], inputs=[Tensor("n", "INT64", (-1, 1))], accepts_missing=True)
    with pytest.raises(InvalidRequest, match="'n' is missing"):
        to_arrays(pb.Item(features=pb.Features()), signature)


def test_a_value_of_every_kind() -> None:
    outputs = [
        Tensor("p", "FP64", (-1, 2)),
        Tensor("label", "INT64", (-1,)),
        Tensor("yes", "BOOL", (-1,)),
        Tensor("name", "BYTES", (-1,)),
    ]
    arrays = {
        "p": np.array([[0.5, 1e300]]),
        "label": np.array([7]),
        "yes": np.array([True]),
        "name": np.array(["é"], dtype=np.object_),
    }
    value = to_value(outputs, arrays)
    assert [output.name for output in value.outputs] == ["p", "label", "yes", "name"]
    assert list(value.outputs[0].numbers.values) == [0.5, math.inf]
    assert list(value.outputs[1].integers.values) == [7]
    assert list(value.outputs[2].integers.values) == [1]
    assert list(value.outputs[3].texts.values) == ["é"]


def test_an_integer_beyond_int64_is_refused_and_not_wrapped() -> None:
    outputs = (Tensor("n", "UINT64", (-1,)),)
    value = to_value(outputs, {"n": np.array([2**63 - 1], np.uint64)})
    assert list(value.outputs[0].integers.values) == [2**63 - 1]
    with pytest.raises(ValueTooLarge):
        to_value(outputs, {"n": np.array([2**63], np.uint64)})
