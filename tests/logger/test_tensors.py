"""Tensors become arrays, or are undecodable."""

import numpy as np
import pytest
from support.spooled import tensor

from logger.tensors import Undecodable, arrays_of
from protos.inference.v2 import inference_pb2


@pytest.mark.parametrize("raw", [True, False])
def test_they_have_their_shapes_and_values(raw: bool) -> None:
    request = inference_pb2.ModelInferRequest()
    tensor(request, "x", "FP64", np.array([[1.0, 2.0]]), raw=raw)
    tensor(request, "t", "BYTES", np.array([["ä"], [""]], object), raw=raw)
    found = arrays_of(request.inputs, request.raw_input_contents)
    assert found["x"].tolist() == [[1.0, 2.0]]
    assert found["t"].tolist() == [["ä"], [""]]


@pytest.mark.parametrize(
    ("datatype", "shape", "raw"),
    [
        ("FP32", (2,), [b"1234"]),
        ("FP32", (1,), [b"123"]),
        ("FP33", (1,), [b"1234"]),
        ("BYTES", (1,), [b"\x09\0\0\0ab"]),
        ("BYTES", (1,), [b"\x09\0"]),
        ("BYTES", (1,), [b"\x01\0\0\0\xff"]),
        ("FP32", (1,), [b"1234", b"1234"]),
        ("FP16", (1,), []),
        ("FP32", (-2,), [b"1234"]),
    ],
)
def test_what_is_not_what_it_says_is_undecodable(datatype: str, shape: tuple[int], raw: list[bytes]) -> None:
    request = inference_pb2.ModelInferRequest(raw_input_contents=raw)
    request.inputs.add(name="x", datatype=datatype, shape=shape)
    with pytest.raises(Undecodable):
        arrays_of(request.inputs, request.raw_input_contents)
