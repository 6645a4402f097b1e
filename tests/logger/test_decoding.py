"""Rows say what was scored, whichever way it was sent, and where each value came from."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.spooled import EACH, NOW, TENSORS, WIDE, item, record, tensor

from croupier import fetched
from croupier.fetched import Origin
from croupier.stores.spool import Flag, Kind, pack
from logger.decoding import read, rows_of
from logger.rows import Feature, Row
from logger.tensors import Undecodable
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2 as pb

INFINITE = float("inf")


def stored(names: str, *rows: tuple[Any, ...], degraded: bool = False) -> bytes:
    """Field 1004 of features called by one letter; of each a row has (value, event, origin)."""
    spec = fetched.spec_bytes([(name, "number", -INFINITE, INFINITE) for name in names])
    packed = [fetched.row_bytes(*zip(*row, strict=True)) for row in rows]
    return fetched.field(fetched.pack(spec, len(names), packed, 10_000, degraded))


def one(found: list[Row]) -> Row:
    (row,) = found
    return row


def values(row: Row) -> dict[str, float | str | None]:
    return {each.name: each.number if each.text is None else each.text for each in row.features}


def sources(row: Row) -> dict[str, str]:
    return {each.name: each.source for each in row.features}


def test_a_row_says_whose_it_is() -> None:
    row = one(rows_of(item({"a": 1.5, "t": "x"}, entity="e-9", flags=Flag.DEGRADED, item=4), WIDE))
    assert (row.time_us, row.request_id, row.item, row.row) == (NOW, "r-1", 4, 0)
    assert (row.api, row.tenant, row.model, row.config, row.version) == ("Predict", "acme", "churn", 7, 3)
    assert (row.entity, row.took_us, row.degraded, row.datatype) == ("e-9", 1234, True, "FP64")
    assert row.features == [Feature("a", 1.5), Feature("t", text="x")]
    assert [(output.name, output.numbers) for output in row.outputs] == [("y", [0.5])]


def test_a_dense_row_has_the_models_names() -> None:
    row = one(rows_of(item(values=(1.0, 0.1, math.nan)), WIDE))
    assert row.datatype == "FP32"
    assert [each.name for each in row.features] == ["a", "b", "c"]
    assert values(row)["b"] == float(np.float32(0.1))
    assert [math.isnan(each.number or 0.0) for each in row.features] == [False, False, True]
    assert one(rows_of(item(doubles=(1.0, 0.1, 2.0)), WIDE)).datatype == "FP64"


@pytest.mark.parametrize("signature", [None, TENSORS])
def test_without_names_a_dense_row_says_nothing(signature: Any) -> None:
    with pytest.raises(Undecodable):
        rows_of(item(values=(1.0, 2.0, 3.0)), signature)


def test_named_features_need_no_signature() -> None:
    assert values(one(rows_of(item({"a": 1.0}), None))) == {"a": 1.0}


def test_what_was_fetched_has_its_source_and_age() -> None:
    added = stored("abz", ((5.0, 9_000, Origin.STORE), (7.0, 0, Origin.STALE), (9.0, 0, Origin.STORE)))
    row = one(rows_of(item({"c": 1.0}, added=added), WIDE))
    assert values(row) == {"c": 1.0, "a": 5.0, "b": 7.0}
    assert sources(row) == {"c": "request", "a": "store", "b": "stale"}
    assert [each.age for each in row.features] == [None, 1.0, None]


def test_the_callers_own_value_wins() -> None:
    added = stored("ab", ((5.0, 9_000, Origin.STORE), (7.0, 0, Origin.DOWN)))
    row = one(rows_of(item({"a": 1.0, "c": 2.0}, added=added), WIDE))
    assert values(row) == {"a": 1.0, "c": 2.0, "b": 7.0}
    assert sources(row)["b"] == "down"


def test_nan_in_a_whole_row_leaves_a_listed_feature_to_the_store() -> None:
    added = stored("ab", ((5.0, 9_000, Origin.STORE), (7.0, 0, Origin.MISSING)))
    row = one(rows_of(item(values=(1.0, math.nan, 3.0), added=added), WIDE))
    assert values(row) == {"a": 1.0, "c": 3.0, "b": 7.0}
    assert row.datatype == "FP64"


def test_a_narrow_row_has_the_others() -> None:
    added = stored("b", ((7.0, 0, Origin.RANGE),))
    row = one(rows_of(item(values=(1.0, 3.0), added=added), WIDE))
    assert values(row) == {"a": 1.0, "c": 3.0, "b": 7.0}


def test_shared_features_and_entity_are_an_items_own_if_it_has_none() -> None:
    features = pb.Features(features=[pb.Feature(name="a", number=1.0), pb.Feature(name="b", number=2.0)])
    added = pb.Item(shared=features).SerializeToString()
    shared = pb.Shared(entity_id="all").SerializeToString()
    row = one(rows_of(item({"a": 9.0}, added=added, shared=shared), WIDE))
    assert values(row) == {"a": 9.0, "b": 2.0}
    assert row.entity == "all"
    assert one(rows_of(item({"a": 9.0}, entity="own", shared=shared), WIDE)).entity == "own"


def test_an_item_that_failed_has_a_code_and_no_outputs() -> None:
    reply = pb.Result(status=pb.Status(code=3)).SerializeToString()
    row = one(rows_of(item({"a": 1.0}, reply=reply), WIDE))
    assert (row.code, row.outputs) == (3, [])


def test_a_reply_says_of_defaults_and_of_outputs_of_any_kind() -> None:
    result = pb.Result(version=8, defaults=2, degraded=True)
    result.value.outputs.add(name="i").integers.values.extend([2**62])
    result.value.outputs.add(name="t").texts.values.extend(["x", "y"])
    row = one(rows_of(item({"a": 1.0}, reply=result.SerializeToString()), WIDE))
    assert (row.version, row.defaults, row.degraded) == (8, 2, True)
    assert row.outputs[0].integers == [2**62]
    assert row.outputs[1].texts == ["x", "y"]


def infer(
    inputs: dict[str, tuple[str, Any]],
    outputs: dict[str, tuple[str, Any]],
    *,
    raw: bool = True,
    **changes: Any,
) -> Any:
    request = inference_pb2.ModelInferRequest(model_name="churn")
    response = inference_pb2.ModelInferResponse()
    for name, (datatype, array) in inputs.items():
        tensor(request, name, datatype, array, raw=raw)
    for name, (datatype, array) in outputs.items():
        tensor(response, name, datatype, array, raw=raw)
    if "entity" in changes:
        request.parameters["entity_id"].string_param = changes.pop("entity")
    made = record(Kind.INFER, request.SerializeToString(), response.SerializeToString())
    return replace(made, **changes)


@pytest.mark.parametrize("raw", [True, False])
def test_a_tensor_is_a_row_for_each_of_its_rows(raw: bool) -> None:
    x = np.array([[1, 2, 0.1], [4, 5, 6]], np.float32)
    y = np.array([[0.25], [0.75]], np.float32)
    rows = rows_of(infer({"x": ("FP32", x)}, {"y": ("FP32", y)}, raw=raw, entity="e"), WIDE)
    assert [row.row for row in rows] == [0, 1]
    assert [values(row) for row in rows] == [
        {"a": 1.0, "b": 2.0, "c": float(np.float32(0.1))},
        {"a": 4.0, "b": 5.0, "c": 6.0},
    ]
    assert [row.outputs[0].numbers for row in rows] == [[0.25], [0.75]]
    assert {row.datatype for row in rows} == {"FP32"}
    assert {row.entity for row in rows} == {"e"}


def test_inputs_of_their_own_have_their_own_datatypes_and_rows_their_entities() -> None:
    inputs = {
        "a": ("FP32", np.array([[1.5], [2.5]], np.float32)),
        "t": ("BYTES", np.array([["x"], ["y"]], object)),
        "croupier.entity_id": ("BYTES", np.array(["e1", "e2"], object)),
    }
    rows = rows_of(infer(inputs, {"y": ("INT64", np.array([1, 2]))}), EACH)
    assert [values(row) for row in rows] == [{"a": 1.5, "t": "x"}, {"a": 2.5, "t": "y"}]
    assert [row.entity for row in rows] == ["e1", "e2"]
    assert rows[0].datatype == "FP32,BYTES"
    assert [row.outputs[0].integers for row in rows] == [[1], [2]]


def test_rows_of_a_tensor_may_have_fetched_values_of_their_own() -> None:
    added = stored("b", ((7.0, 0, Origin.STORE),), ((8.0, 0, Origin.MISSING),))
    x = np.array([[1, 3], [4, 6]], np.float32)
    rows = rows_of(infer({"x": ("FP32", x)}, {"y": ("FP32", np.ones(2, np.float32))}, added=added), WIDE)
    assert [values(row)["b"] for row in rows] == [7.0, 8.0]
    assert [sources(row)["b"] for row in rows] == ["store", "missing"]
    assert rows[0].datatype == "FP64"


def test_an_input_that_was_fetched_may_be_left_out() -> None:
    added = stored("a", ((7.0, 0, Origin.STORE),))
    inputs = {"t": ("BYTES", np.array([["x"]], object))}
    row = one(rows_of(infer(inputs, {"y": ("FP32", np.ones(1, np.float32))}, added=added), EACH))
    assert values(row) == {"t": "x", "a": 7.0}


def test_an_integer_that_no_float_is_stays_exact() -> None:
    signature = replace(EACH, inputs=(replace(EACH.inputs[0], datatype="UINT64"), EACH.inputs[1]))
    inputs = {
        "a": ("UINT64", np.array([[2**60 + 1], [2**64 - 1]], np.uint64)),
        "t": ("BYTES", np.array([["x"], ["y"]], object)),
    }
    rows = rows_of(infer(inputs, {"y": ("FP32", np.ones(2, np.float32))}), signature)
    assert [row.features[0].integer for row in rows] == [2**60 + 1, -1]


def test_of_a_model_of_tensors_the_request_is_kept() -> None:
    x = np.ones((2, 2, 2), np.float32)
    made = infer({"x": ("FP32", x)}, {"y": ("FP32", np.ones(2, np.float32))})
    rows = rows_of(made, TENSORS)
    assert [row.request for row in rows] == [made.request, None]
    assert rows[0].features == []


def test_answers_and_rows_are_as_many() -> None:
    made = infer({"x": ("FP32", np.ones((2, 3), np.float32))}, {"y": ("FP32", np.ones(3, np.float32))})
    with pytest.raises(Undecodable):
        rows_of(made, WIDE)


@given(st.binary(max_size=60), st.binary(max_size=60), st.sampled_from([Kind.ITEM, Kind.INFER]), st.binary())
def test_any_bytes_are_rows_or_undecodable(request: bytes, reply: bytes, kind: Kind, added: bytes) -> None:
    for signature in (WIDE, EACH, TENSORS, None):
        try:
            rows_of(record(kind, request, reply, added=added), signature)
        except Undecodable:
            continue


def test_a_record_is_read_or_undecodable() -> None:
    made = item({"a": 1.0})
    assert read(pack(made)) == made
    with pytest.raises(Undecodable):
        read(b"nothing")
