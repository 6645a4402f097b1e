"""What the native reader takes from the router's own fields; protobuf is the judge."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cell.plain import Plain, read_infer, read_items
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2

OWNERS = st.integers(0, 2**64 - 1)


def infer(owner: int = 0) -> inference_pb2.ModelInferRequest:
    request = inference_pb2.ModelInferRequest(artifact=bytes(32), owner=owner)
    request.inputs.add(name="x", datatype="FP32", shape=[1, 1]).contents.fp32_contents.append(1.0)
    return request


def item(owner: int = 0) -> prediction_pb2.Item:
    return prediction_pb2.Item(artifact=bytes(32), owner=owner, row=prediction_pb2.Row(values=[1.0]))


@given(OWNERS)
def test_the_owner_is_read(owner: int) -> None:
    plain = read_infer(infer(owner).SerializeToString())
    assert plain is not None
    assert plain.owner == owner
    (read,) = read_items(prediction_pb2.PredictRequest(items=[item(owner)]).SerializeToString(), 1) or []
    assert isinstance(read, Plain)
    assert read.owner == owner


@given(OWNERS, OWNERS)
def test_the_last_owner_wins(claimed: int, written: int) -> None:
    """A router writes behind whatever a caller sent."""
    suffix = inference_pb2.ModelInferRequest(owner=written).SerializeToString()
    sent = infer(claimed).SerializeToString() + suffix
    plain = read_infer(sent)
    assert plain is not None
    assert plain.owner == inference_pb2.ModelInferRequest.FromString(sent).owner


@pytest.mark.parametrize("tag", [b"\xc8\x3e\x01", b"\xca\x3e\x081234567\n", b"\xcd\x3e1234"])
def test_an_owner_in_another_form_is_left_to_protobuf(tag: bytes) -> None:
    """A varint, bytes and four bytes of field 1001: no owner, by the standard."""
    sent = infer(5).SerializeToString() + tag
    assert inference_pb2.ModelInferRequest.FromString(sent).owner == 5
    assert read_infer(sent) is None
