import numpy as np
import pytest
from google.protobuf.message import DecodeError

from bench.serving.oip import OipWire
from protos.inference.v2 import inference_pb2 as pb

WIRE = OipWire()


def typed(*values: float, datatype: str = "FP32") -> bytes:
    response = pb.ModelInferResponse()
    contents = response.outputs.add(datatype=datatype).contents
    (contents.fp32_contents if datatype == "FP32" else contents.fp64_contents).extend(values)
    return response.SerializeToString()


def raw(dtype: str, datatype: str) -> bytes:
    response = pb.ModelInferResponse(raw_output_contents=[np.array([0.75, 0.25], dtype).tobytes()])
    response.outputs.add(datatype=datatype)
    return response.SerializeToString()


def test_a_request_has_the_row_as_one_typed_input() -> None:
    request = pb.ModelInferRequest.FromString(WIRE.message(7, np.array([1, 2], np.float32)))
    assert request.model_name == "m7"
    (tensor,) = request.inputs
    assert (tensor.datatype, list(tensor.shape), list(tensor.contents.fp32_contents)) == (
        "FP32",
        [1, 2],
        [1, 2],
    )


@pytest.mark.parametrize(
    "answer", [typed(0.75, 0.25), typed(0.25, datatype="FP64"), raw("<f4", "FP32"), raw("<f8", "FP64")]
)
def test_the_last_value_of_the_last_output_is_the_prediction(answer: bytes) -> None:
    assert WIRE.prediction(answer) == 0.25


@pytest.mark.parametrize("answer", [b"", typed(), raw("<f4", "INT64"), b"\xff"])
def test_an_answer_without_one_is_refused(answer: bytes) -> None:
    with pytest.raises((ValueError, DecodeError)):
        WIRE.prediction(answer)
