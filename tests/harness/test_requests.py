"""The bytes of requests: what protobuf's own library reads in them, and what goes with them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.artifacts.datatypes import DATATYPES
from croupier_bench.keys import ScenarioError
from croupier_bench.models import Models
from croupier_bench.requests import Prepared, varint
from croupier_bench.scenario import Scenario
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2


def prepared(*classes: dict[str, Any], **target: Any) -> tuple[Prepared, Scenario]:
    told = {"address": "127.0.0.1:1", "protocol": "croupier", **target}
    named = [{"name": f"class-{at}", "prefix": f"m{at}", **each} for at, each in enumerate(classes or ({},))]
    scenario = Scenario.read({"target": told, "load": {"rate": 1}, "class": named, "seed": 5})
    return Prepared(scenario), scenario


@pytest.mark.parametrize("datatype", ["FP32", "FP64", "FP16", "INT8", "UINT64"])
@pytest.mark.parametrize("rows", [1, 3, 300])
def test_model_infer(datatype: str, rows: int) -> None:
    made, scenario = prepared({"models": 9, "rows": rows, "features": 7, "datatype": datatype, "input": "x"})
    expected = Models(scenario.classes[0], 5).rows
    for model, number in ((0, 0), (8, 255), (3, 1_000_001)):
        message = made.message(0, model, number)
        request = inference_pb2.ModelInferRequest.FromString(message)
        assert request.SerializeToString() == message
        assert request.model_name == f"m0-{model:04}"
        (tensor,) = request.inputs
        assert (tensor.name, tensor.datatype, list(tensor.shape)) == ("x", datatype, [rows, 7])
        values = np.frombuffer(request.raw_input_contents[0], DATATYPES[datatype]).reshape(rows, 7)
        wanted = expected[(number + np.arange(rows)) % len(expected)]
        np.testing.assert_array_equal(values.astype(float), wanted)


@pytest.mark.parametrize(("datatype", "field"), [("FP32", "values"), ("FP64", "doubles")])
@pytest.mark.parametrize("items", [1, 3, 300])
def test_predict(datatype: str, field: str, items: int) -> None:
    made, scenario = prepared(
        {"models": 9, "call": "items", "items": items, "features": 7, "datatype": datatype}
    )
    expected = Models(scenario.classes[0], 5).rows
    for model, number in ((0, 0), (8, 255), (3, 1_000_001)):
        message = made.message(0, model, number)
        request = prediction_pb2.PredictRequest.FromString(message)
        assert request.SerializeToString() == message
        assert {item.model for item in request.items} == {f"m0-{model:04}"}
        values = [list(getattr(item.row, field)) for item in request.items]
        wanted = expected[(number + np.arange(items)) % len(expected)]
        np.testing.assert_array_equal(values, wanted)


@given(number=st.integers(1, 2**64 - 1), items=st.sampled_from([1, 4]))
def test_a_message_of_a_stream_has_the_number_as_its_id(number: int, items: int) -> None:
    made = _streams[items]
    message = made.message(0, 2, number)
    request = prediction_pb2.PredictStreamRequest.FromString(message)
    assert request.SerializeToString() == message
    assert request.id == number
    assert len(request.request.items) == items


_streams = {items: prepared({"models": 9, "call": "stream", "items": items})[0] for items in (1, 4)}


def test_number_0_of_a_stream() -> None:
    request = prediction_pb2.PredictStreamRequest.FromString(_streams[1].message(0, 2, 0))
    assert (request.id, len(request.request.items)) == (0, 1)


@given(st.integers(0, 2**64 - 1))
def test_varints(value: int) -> None:
    assert (
        b"\x08" + varint(value) == prediction_pb2.PredictStreamRequest(id=value).SerializeToString()
        or not value
    )


def test_each_class_has_its_path() -> None:
    made, _ = prepared({}, {"call": "items"}, {"call": "stream"})
    assert [made.path(place).rpartition(b"/")[2] for place in range(3)] == [
        b"ModelInfer",
        b"Predict",
        b"PredictStream",
    ]


def test_tenants_go_in_their_header() -> None:
    made, _ = prepared({"tenants": 3, "models": 9}, metadata={"x-team": "load"})
    assert made.metadata(0, 4) == ((b"x-team", b"load"), (b"croupier-tenant", b"tenant-00001"))
    assert made.metadata(0, 1) is made.metadata(0, 4)
    assert made.metadata(0, 2) != made.metadata(0, 4)


def test_others_know_no_tenants() -> None:
    made, _ = prepared({"tenants": 3, "models": 9}, protocol="oip")
    assert made.metadata(0, 4) == ()
    assert made.metadata(0, 2) is made.metadata(0, 4)


def test_a_token_that_changes(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    made, _ = prepared(token_file=str(file))
    before = made.metadata(0, 0)
    assert (b"authorization", b"Bearer first") in before
    made.renew()
    assert made.metadata(0, 0) is before
    file.write_text("second\n")
    made.renew()
    assert (b"authorization", b"Bearer second") in made.metadata(0, 0)


@pytest.mark.parametrize("content", [b"", b"\n", b"two\nlines", "tökén".encode(), b"x" * 70_000])
def test_tokens_that_are_none(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    with pytest.raises(ScenarioError) as raised:
        prepared(token_file=str(file))
    assert raised.value.key == "target.token_file"


def test_a_token_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="cannot read"):
        prepared(token_file=str(tmp_path / "token"))


def test_a_tenant_that_no_header_can_have() -> None:
    with pytest.raises(ScenarioError) as raised:
        prepared({"tenants": ["große"]})
    assert raised.value.key == "class[0].tenants"
    assert prepared({"tenants": ["große"]}, protocol="oip")[0].metadata(0, 0) == ()


def test_what_is_kept_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("croupier_bench.requests._MOST_KEPT", 3)
    made, _ = prepared({"models": 9, "tenants": 9}, {"models": 9, "call": "items"})
    first = [made.message(0, model, 0) for model in range(9)]
    assert [made.message(0, model, 0) for model in range(9)] == first
    items = [made.message(1, model, 0) for model in range(9)]
    assert [made.message(1, model, 0) for model in range(9)] == items
    assert {made.metadata(0, model)[0][1] for model in range(9)} == {b"tenant-%05d" % n for n in range(9)}
    assert len(made._pairs[0]) <= 3
