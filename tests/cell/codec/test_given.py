"""A caller's own value wins, then what the items share, then what was fetched; and the answer says which.

Models of the fuzzer answer with what they were given, in both ways of a cell.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from support.cells import signature_of
from support.fetched import ABSENT, MODELS, NOW, Both, fetched, named

from cell.codec.given import Given
from cell.codec.signature import Signature
from croupier.artifacts.datatypes import DATATYPES
from croupier.artifacts.format import Tensor
from croupier.errors import InvalidRequest
from croupier.fetched import Origin, pack, row_bytes, spec_bytes
from protos.inference.v2 import inference_pb2 as oip
from protos.prediction.v1 import prediction_pb2 as pb

BOTH = Both()
NAN = math.nan


def values(result: pb.Result) -> list[float]:
    assert not result.HasField("status"), result.status
    return list(result.value.outputs[0].numbers.values)


def dense(model: str, field: bytes, *row: float, doubles: bool = False) -> pb.Item:
    kind = "doubles" if doubles else "values"
    return pb.Item(artifact=MODELS[model].digest, fetched=field, row=pb.Row(**{kind: row}))


def tensor(
    model: str, field: bytes, rows: Any, *, dtype: Any = np.float32, raw: bool = False
) -> oip.ModelInferRequest:
    rows = np.asarray(rows, dtype)
    request = oip.ModelInferRequest(artifact=MODELS[model].digest, fetched=field)
    name = "FP32" if dtype == np.float32 else "FP64"
    one = request.inputs.add(name="input", datatype=name, shape=rows.shape)
    if raw:
        request.raw_input_contents.append(rows.tobytes())
    else:
        getattr(one.contents, f"{name.lower()}_contents").extend(rows.ravel().tolist())
    return request


def outputs(answer: oip.ModelInferResponse | str) -> list[float]:
    assert not isinstance(answer, str), answer
    if answer.raw_output_contents:
        return np.frombuffer(answer.raw_output_contents[0], np.float32).tolist()
    return list(answer.outputs[0].contents.fp32_contents)


async def test_named_features_are_completed() -> None:
    field = fetched({"f1": 7.0, "other": 9.0, "f0": (8.0, Origin.STALE)})
    result, is_native = await BOTH.item(named("two", field, f0=1))
    assert (values(result), result.defaults, result.degraded, is_native) == ([1, 7], 0, False, True)
    result, is_native = await BOTH.item(named("two", field))
    assert (values(result), result.defaults, is_native) == ([8, 7], 1, True)


async def test_an_item_may_say_nothing_itself() -> None:
    item = named("two", fetched({"f1": 7.0, "f0": 8.0}))
    item.ClearField("features")
    result, is_native = await BOTH.item(item)
    assert (values(result), is_native) == ([8, 7], True)


@pytest.mark.parametrize("doubles", [False, True])
async def test_of_a_dense_row_nan_is_not_sent_where_there_is_something(doubles: bool) -> None:
    field = fetched({"f2": 7.0, "f0": (8.0, Origin.MISSING)})
    result, is_native = await BOTH.item(dense("four", field, 1, 2, NAN, 4, doubles=doubles))
    assert is_native
    assert (values(result), result.defaults) == ([1, 2, 7, 4], 0)
    result, is_native = await BOTH.item(dense("four", field, 2, 4, doubles=doubles))
    assert (values(result), result.defaults, is_native) == ([8, 2, 7, 4], 1, True)
    result, _ = await BOTH.item(dense("four", field, 2, 4, 5, doubles=doubles))
    assert "the row has 3 values; the model has 4 features, or 2 without those" in result.status.message


async def test_a_named_nan_is_sent() -> None:
    """It says that the value is not known, which is more than to leave it out."""
    result, is_native = await BOTH.item(named("four", fetched({"f0": 7.0}), f0=NAN, f1=1, f2=2, f3=3))
    assert is_native
    assert math.isnan(values(result)[0])


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
async def test_tensors_are_completed(dtype: Any, raw: bool) -> None:
    each = fetched({"f1": 7.0}, {"f1": (8.0, Origin.DOWN)}, degraded=True)
    answer, is_native = await BOTH.infer(tensor("two", each, [[1, NAN], [2, NAN]], dtype=dtype, raw=raw))
    assert (outputs(answer), is_native) == ([1, 7, 2, 8], True)
    assert answer.parameters["croupier.defaults"].int64_param == 1  # type: ignore[union-attr]
    assert answer.parameters["croupier.degraded"].bool_param  # type: ignore[union-attr]
    answer, is_native = await BOTH.infer(tensor("two", each, [[1], [2]], dtype=dtype, raw=raw))
    assert (outputs(answer), is_native) == ([1, 7, 2, 8], True)
    one = fetched({"f1": 7.0})
    answer, is_native = await BOTH.infer(tensor("two", one, [[1, NAN], [2, 3]], dtype=dtype, raw=raw))
    assert (outputs(answer), is_native) == ([1, 7, 2, 3], True)
    assert answer.parameters["croupier.defaults"].int64_param == 0  # type: ignore[union-attr]


async def test_what_was_fetched_keeps_its_precision() -> None:
    """Beside float32 that a caller sent: three times a float64 is other than three times its float32."""
    answer, is_native = await BOTH.infer(tensor("wide", fetched({"f1": 0.3}), [[1, NAN, 2]]))
    assert is_native
    assert outputs(answer) == [3, np.float32(3 * 0.3), 6]
    assert np.float32(3 * 0.3) != np.float32(3) * np.float32(0.3)


async def test_rows_and_what_was_fetched_are_as_many() -> None:
    field = fetched({"f1": 7.0}, {"f1": 8.0})
    for rows in ([[1], [2], [3]], [[1]], [[1, 2]]):
        answer, is_native = await BOTH.infer(tensor("two", field, rows))
        assert "names 2 entities" in str(answer)
        assert not is_native


async def test_a_request_without_inputs_has_as_many_rows_as_were_fetched() -> None:
    request = tensor("two", fetched({"f1": 7.0, "f0": 1.0}, {"f1": 8.0, "f0": 2.0}), [[1, 2]])
    del request.inputs[:]
    answer, _ = await BOTH.infer(request)
    assert outputs(answer) == [1, 7, 2, 8]


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("field", [b"", fetched({"f1": 7.0})], ids=["without", "fetched"])
async def test_no_model_sees_the_entities(field: bytes, raw: bool) -> None:
    request = tensor("two", field, [[1, 2]], raw=raw)
    one = request.inputs.add(name="croupier.entity_id", datatype="BYTES", shape=[1])
    if raw:
        request.raw_input_contents.append(b"\x01\x00\x00\x00e")
    else:
        one.contents.bytes_contents.append(b"e")
    answer, _ = await BOTH.infer(request)
    assert outputs(answer) == [1, 2]


@pytest.mark.parametrize("row", [(1.0,), (1.0, NAN)])
@pytest.mark.parametrize("reason", ["FEATURE_MISSING", "FEATURE_STORE_DOWN"])
async def test_what_is_nowhere_is_named(row: tuple[float, ...], reason: str) -> None:
    field = fetched({"f1": ABSENT}, degraded=reason == "FEATURE_STORE_DOWN")
    for item in (dense("two", field, *row), named("two", field, f0=1)):
        result, _ = await BOTH.item(item)
        assert result.status.reason == reason
        assert "'f1'" in result.status.message
    assert "'f1'" in str((await BOTH.infer(tensor("two", field, [row])))[0])
    result, is_native = await BOTH.item(named("two", field, f0=1, f1=2))
    assert (values(result), is_native) == ([1, 2], True)


async def test_a_callers_value_has_a_range() -> None:
    field = fetched({"f1": 99.0}, bounds={"f1": (0.0, 2.0)})
    for item in (dense("two", field, 1, 3), named("two", field, f0=1, f1=-1)):
        result, _ = await BOTH.item(item)
        assert result.status.reason == "FEATURE_OUT_OF_RANGE"
        assert "not from 0 to 2" in result.status.message
    answer, _ = await BOTH.infer(tensor("two", field, [[1, 1], [1, 3]]))
    assert "'f1' is 3: not from 0 to 2" in str(answer)
    for item in (dense("two", field, 1, 2), named("two", field, f0=1, f1=2)):
        result, is_native = await BOTH.item(item)
        assert (values(result), is_native) == ([1, 2], True)


async def test_what_is_fetched_is_judged_as_a_callers() -> None:
    result, is_native = await BOTH.item(named("two", fetched({"f1": NAN}), f0=1))
    assert "is NaN, which this model does not take" in result.status.message
    assert not is_native
    answer, _ = await BOTH.infer(tensor("finite", fetched({"f1": 1e300}), [[1, 1]]))
    assert "does not fit into float32" in str(answer)


async def test_degraded_is_an_answer_with_a_default_for_want_of_the_store() -> None:
    for field, own, expected in (
        (fetched({"f1": (7.0, Origin.DOWN)}, degraded=True), {}, (1, True)),
        (fetched({"f1": (7.0, Origin.DOWN)}, degraded=True), {"f1": 1}, (0, False)),
        (fetched({"f1": (7.0, Origin.RANGE)}, degraded=True), {}, (1, False)),
        (fetched({"f1": (7.0, Origin.DOWN)}), {}, (1, False)),
    ):
        result, is_native = await BOTH.item(named("two", field, f0=1, **own))
        assert (result.defaults, result.degraded) == expected
        assert is_native


async def test_texts_are_completed() -> None:
    """Of a model with a dictionary: in the general way."""
    field = fetched({"f2": "ab", "f3": ("red", Origin.STALE), "f0": 1.0})
    expected, _ = await BOTH.item(named("texts", f0=1, f1=2, f2="ab", f3="red"))
    result, is_native = await BOTH.item(named("texts", field, f1=2))
    assert (values(result), result.defaults, is_native) == (values(expected), 1, False)
    numbers = fetched({"f0": 1.0, "f1": 2.0})
    result, is_native = await BOTH.item(named("texts", numbers, f2="ab", f3="red"))
    assert (values(result), is_native) == (values(expected), True)
    result, _ = await BOTH.item(named("texts", fetched({"f3": 1.0}), f0=1, f1=2, f2="ab"))
    assert "is a number; the model takes text" in result.status.message


async def test_inputs_that_are_fetched_may_be_left_out() -> None:
    """Of a model with an input for each feature."""
    request = oip.ModelInferRequest(
        artifact=MODELS["texts"].digest, fetched=fetched({"f2": "ab", "f3": "red"}, {"f2": "", "f3": "a"})
    )
    for name, column in (("f0", [1.0, 2.0]), ("f1", [3.0, NAN])):
        one = request.inputs.add(name=name, datatype="FP64", shape=[2, 1])
        one.contents.fp64_contents.extend(column)
    answer, _ = await BOTH.infer(request)
    rows = ({"f0": 1, "f1": 3, "f2": "ab", "f3": "red"}, {"f0": 2, "f1": NAN, "f2": "", "f3": "a"})
    expected = [value for row in rows for value in values((await BOTH.item(named("texts", **row)))[0])]
    np.testing.assert_array_equal(outputs(answer), expected)
    del request.inputs[0]
    answer, _ = await BOTH.infer(request)
    assert "input 'f0' is missing" in str(answer)


async def test_shared_features_stand_between() -> None:
    field = fetched({"f1": (9.0, Origin.STALE), "f2": 8.0, "f3": 7.0}, bounds={"f1": (0, 10)})
    shared = named("four", f1=5, f3=6, unknown=1).features
    item = named("four", field, f0=1, f3=2)
    item.shared.CopyFrom(shared)
    result, is_native = await BOTH.item(item)
    assert (values(result), result.defaults, is_native) == ([1, 5, 8, 2], 0, False)
    row = dense("four", b"", 1, NAN, 3, 4)
    row.shared.CopyFrom(shared)
    result, _ = await BOTH.item(row)
    assert values(result) == [1, 5, 3, 4]
    row.row.values[:] = [1, 3]
    result, _ = await BOTH.item(row)
    assert values(result) == [1, 5, 3, 6]
    shared.features[0].number = 11
    item.shared.CopyFrom(shared)
    result, _ = await BOTH.item(item)
    assert "'f1' is 11: not from 0 to 10" in result.status.message
    shared.features[0].name = "f3"
    item.shared.CopyFrom(shared)
    result, _ = await BOTH.item(item)
    assert "'f3' is there twice" in result.status.message


async def test_an_item_is_explained() -> None:
    names = ["f0", "f1", "f2", "f3"]
    field = fetched({"f1": 2.0, "f2": (3.0, Origin.RANGE)})
    item = named("four", field, f0=1)
    item.explain = True
    result, is_native = await BOTH.item(item)
    assert not is_native
    kinds = pb.Origin.Source
    assert [(each.name, kinds.Name(each.source), each.age_seconds) for each in result.origins] == [
        (names[0], "REQUEST", 0),
        (names[1], "STORE", 1.25),
        (names[2], "DEFAULT_RANGE", 0),
    ]
    item.explain = False
    result, is_native = await BOTH.item(item)
    assert (list(result.origins), is_native) == ([], True)


async def test_rows_are_explained() -> None:
    field = fetched(
        {"f1": 2.0, "f2": (3.0, Origin.DOWN)}, {"f1": (2.0, Origin.MISSING), "f2": (4.0, Origin.STALE)}
    )
    request = tensor("four", field, [[1, NAN, NAN, 1], [2, NAN, 5, NAN]])
    request.parameters["explain"].bool_param = True
    answer, is_native = await BOTH.infer(request)
    assert not isinstance(answer, str)
    assert not is_native
    assert json.loads(answer.parameters["croupier.origins"].string_param) == {
        "f0": ["request", "request"],
        "f1": ["store age=1.25", "default missing"],
        "f2": ["default down", "request"],
        "f3": ["request", "request"],
    }


async def test_the_age_is_that_of_the_row() -> None:
    older = row_bytes([3.0], [NOW - 9000], [Origin.STORE])
    unknown = row_bytes([3.0], [0], [Origin.STORE])
    newer = row_bytes([3.0], [NOW + 5], [Origin.STORE])
    spec = spec_bytes([("f1", "number", -math.inf, math.inf)])
    request = tensor("two", pack(spec, 1, [older, unknown, newer], NOW, False), [[1], [2], [3]])
    request.parameters["explain"].bool_param = True
    answer, _ = await BOTH.infer(request)
    assert not isinstance(answer, str)
    words = json.loads(answer.parameters["croupier.origins"].string_param)
    assert words["f1"] == ["store age=9", "store", "store age=0"]


async def test_a_model_without_any_of_it_is_explained_too() -> None:
    request = tensor("two", fetched({"other": 2.0}), [[1, 2]])
    request.parameters["explain"].bool_param = True
    answer, _ = await BOTH.infer(request)
    assert not isinstance(answer, str)
    words = json.loads(answer.parameters["croupier.origins"].string_param)
    assert words == {"f0": ["request"], "f1": ["request"]}


def graph_of(dtype: str) -> Signature:
    """A model that is no native one, with features "a" and "b" of a type."""
    return signature_of(features=["a", "b"], inputs=[Tensor("input", dtype, (-1, 2))])


@pytest.mark.parametrize(
    ("dtype", "value", "wrong"),
    [
        ("FP16", 70_000.0, "does not fit into float16"),
        ("INT8", 1.5, "is not a whole number"),
        ("INT8", 300.0, "does not fit into int8"),
        ("BYTES", 1.0, "is a number; the model takes text"),
        ("FP32", "x", "is text; the model takes a number"),
    ],
)
def test_what_is_fetched_fits_the_input(dtype: str, value: float | str, wrong: str) -> None:
    signature = graph_of(dtype)
    own = np.zeros((1, 1), np.float32) if dtype != "BYTES" else np.array([["x"]], np.object_)
    with pytest.raises(InvalidRequest, match=f"feature 'b' {wrong}"):
        Given(fetched({"b": value}), None, signature).complete({"input": own}, 1)


@pytest.mark.parametrize(
    ("dtype", "own", "value"),
    [("INT8", 3, 5.0), ("BOOL", True, 0.0), ("BYTES", "x", "y"), ("UINT64", 2**63, 7.0)],
)
def test_inputs_that_are_no_floats_are_completed(dtype: str, own: Any, value: float | str) -> None:
    signature = graph_of(dtype)
    sent = np.array([[own], [own]], DATATYPES[dtype])
    completed = Given(fetched({"b": value}), None, signature).complete({"input": sent}, 2)["input"]
    assert completed.dtype == DATATYPES[dtype]
    assert completed.tolist() == [[own, value], [own, value]]


async def test_only_so_many_rows_are_fetched() -> None:
    request = tensor("two", fetched(*[{"f1": 7.0, "f0": 1.0}] * 13), [[1, 2]])
    del request.inputs[:]
    assert "over the limit of 12" in str((await BOTH.infer(request))[0])


async def test_only_so_much_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    request = tensor("nine", fetched({"f0": 2.0}), np.zeros((12, 9)))
    request.parameters["explain"].bool_param = True
    monkeypatch.setattr("cell.codec.given.MOST_EXPLAINED", 100)
    answer, _ = await BOTH.infer(request)
    assert "108 values are too many to explain" in str(answer)


async def test_without_the_field_nothing_is_said() -> None:
    request = tensor("two", b"", [[1, 2]])
    request.parameters["explain"].bool_param = True
    answer, is_native = await BOTH.infer(request)
    assert is_native
    assert not isinstance(answer, str)
    assert not answer.parameters
    item = named("two", f0=1, f1=2)
    item.explain = True
    result, is_native = await BOTH.item(item)
    assert (result.defaults, list(result.origins), is_native) == (0, [], True)


def changed(at: int, *values: int) -> bytes:
    """A field of one feature and one row, with other bytes at a place."""
    field = bytearray(fetched({"f1": 1.0}))
    assert len(field) == 62
    field[at : at + len(values)] = values
    return bytes(field)


@pytest.mark.parametrize(
    "field",
    [
        b"x",
        fetched({"f1": 1.0})[:-1],
        fetched({"f1": 1.0}) + b"\0",
        changed(0, 2),
        changed(1, 2),
        changed(2, 2),
        changed(4, 0),
        changed(4, 2),
        changed(16, 22),
        changed(20, 2),
        # A bound that is NaN.
        changed(27, 0xF8, 0x7F),
        changed(39, 0xFF),
        changed(41, 16),
        changed(41, 18),
        changed(61, Origin.REQUEST),
        changed(61, 255),
    ],
)
async def test_what_no_router_writes_is_refused(field: bytes) -> None:
    """Also where all is sent, and nothing of it used. What it means was learned of a whole one before."""
    await BOTH.item(named("two", fetched({"f1": 1.0}), f0=1, f1=1))
    result, is_native = await BOTH.item(named("two", field, f0=1, f1=1))
    assert (result.status.reason, is_native) == ("BAD_FETCHED_FEATURES", False)
    assert "malformed" in str((await BOTH.infer(tensor("two", field, [[1, 1]])))[0])
