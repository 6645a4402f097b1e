import math
from typing import Any

import numpy as np
import pytest
from support.cells import signature_of

from cell.codec.tensors import decode, encode, requested_outputs
from croupier.artifacts.format import Tensor
from croupier.errors import InvalidRequest
from protos.inference.v2 import inference_pb2 as pb

PAIR = signature_of(
    inputs=[Tensor("x", "FP32", (-1, 2)), Tensor("city", "BYTES", (-1, 1))],
    outputs=[Tensor("label", "INT64", (-1,)), Tensor("score", "FP32", (-1, 2))],
)
ONE = signature_of()


def request(**inputs: Any) -> pb.ModelInferRequest:
    """Typed FP32 inputs of nested lists."""
    message = pb.ModelInferRequest()
    for name, values in inputs.items():
        array = np.array(values, np.float32)
        tensor = message.inputs.add(name=name, datatype="FP32", shape=array.shape)
        tensor.contents.fp32_contents.extend(array.ravel().tolist())
    return message


def raw_request(rows: int = 2) -> pb.ModelInferRequest:
    message = pb.ModelInferRequest()
    message.inputs.add(name="city", datatype="BYTES", shape=[rows, 1])
    message.inputs.add(name="x", datatype="FP32", shape=[rows, 2])
    message.raw_input_contents.append(b"\x01\0\0\0a" * rows)
    message.raw_input_contents.append(np.arange(rows * 2, dtype=np.float32).tobytes())
    return message


def refused(message: pb.ModelInferRequest, signature: Any = ONE, max_rows: int = 10) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        decode(message, signature, max_rows)
    return caught.value


def test_typed() -> None:
    inputs = decode(request(input=[[1, 2], [3, 4]]), ONE, 10)
    assert inputs.rows == 2
    np.testing.assert_array_equal(inputs.arrays["input"], np.array([[1, 2], [3, 4]], np.float32))


def test_raw_in_any_order_of_inputs() -> None:
    inputs = decode(raw_request(), PAIR, 10)
    assert inputs.rows == 2
    assert inputs.arrays["city"].tolist() == [["a"], ["a"]]
    assert inputs.arrays["x"].tolist() == [[0, 1], [2, 3]]


def test_missing_input() -> None:
    assert refused(request(x=[[1, 2]]), PAIR).field == "inputs"
    assert refused(pb.ModelInferRequest()).field == "inputs"


def test_unknown_input() -> None:
    assert refused(request(input=[[1, 2]], other=[[1]])).field == "inputs[1].name"


def test_repeated_input() -> None:
    message = request(input=[[1, 2]])
    message.inputs.append(message.inputs[0])
    assert refused(message).field == "inputs[1].name"


@pytest.mark.parametrize(
    "shape", [[], [2], [1, 3], [1, 2, 1], [0, 2], [-1, 2], [2**62, 2], [-(2**63), 2], [1, -2]]
)
def test_wrong_shape(shape: list[int]) -> None:
    message = request(input=[[1, 2]])
    message.inputs[0].shape[:] = shape
    assert refused(message).field == "inputs[0].shape"


def test_a_request_has_a_row() -> None:
    message = request(input=[[1, 2]])
    message.inputs[0].shape[:] = [0, 2]
    assert "at least one row" in refused(message).message


def test_values_in_shared_memory_are_not_called_missing() -> None:
    message = pb.ModelInferRequest()
    tensor = message.inputs.add(name="input", datatype="FP32", shape=[1, 2])
    tensor.parameters["shared_memory_region"].string_param = "region"
    error = refused(message)
    assert "shared memory" in error.message
    assert error.field == "inputs[0].parameters"


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinity(value: float) -> None:
    message = request(input=[[1, value]])
    assert decode(message, ONE, 10).arrays["input"][0, 1] == value
    assert refused(message, signature_of(finite=True)).field == "inputs[0]"


def test_float32_is_taken_for_float64() -> None:
    wide = signature_of(inputs=[Tensor("input", "FP64", (-1, 2))])
    (array,) = decode(request(input=[[1, 0.1]]), wide, 10).arrays.values()
    assert array.dtype == np.float64
    np.testing.assert_array_equal(array, np.array([[1, 0.1]], np.float32))


def test_wrong_datatype() -> None:
    message = request(input=[[1, 2]])
    message.inputs[0].datatype = "FP64"
    assert refused(message).field == "inputs[0].datatype"


def test_wrong_byte_length() -> None:
    message = raw_request()
    message.raw_input_contents[1] += b"\0"
    assert refused(message, PAIR).field == "raw_input_contents[1]"


def test_one_raw_part_for_each_input() -> None:
    message = raw_request()
    message.raw_input_contents.pop()
    assert refused(message, PAIR).field == "raw_input_contents"


def test_raw_and_typed_do_not_go_together() -> None:
    message = raw_request()
    message.inputs[1].contents.fp32_contents.extend([1, 2, 3, 4])
    assert refused(message, PAIR).field == "inputs[1].contents"


def test_rows_that_differ() -> None:
    message = raw_request()
    message.inputs[1].shape[0] = 1
    assert refused(message, PAIR).field == "inputs[1].shape"


def test_too_many_rows() -> None:
    error = refused(request(input=[[1, 2]] * 3), max_rows=2)
    assert error.field == "inputs[0].shape"
    assert "limit of 2" in error.message


def test_nan_where_none_is_declared() -> None:
    assert refused(request(input=[[1, math.nan]])).field == "inputs[0]"


def test_nan_where_it_is_declared() -> None:
    inputs = decode(request(input=[[1, math.nan]]), signature_of(accepts_missing=True), 10)
    assert np.isnan(inputs.arrays["input"][0, 1])


def test_all_outputs_unless_some_are_named() -> None:
    assert requested_outputs(request(), PAIR) == PAIR.outputs
    message = request()
    message.outputs.add(name="score")
    assert requested_outputs(message, PAIR) == (PAIR.outputs[1],)


@pytest.mark.parametrize("names", [["nothing"], ["score", "score"]])
def test_outputs_that_cannot_be(names: list[str]) -> None:
    message = request()
    for name in names:
        message.outputs.add(name=name)
    with pytest.raises(InvalidRequest) as caught:
        requested_outputs(message, PAIR)
    assert caught.value.field == f"outputs[{len(names) - 1}].name"


def test_an_output_parameter_that_would_change_the_answer() -> None:
    message = request()
    message.outputs.add(name="score").parameters["classification"].int64_param = 1
    with pytest.raises(InvalidRequest, match="classification"):
        requested_outputs(message, PAIR)


SCORED = {"label": np.array([1, 0]), "score": np.array([[0.25, 0.75], [1, 0]], np.float32)}


def test_a_typed_request_is_answered_typed() -> None:
    message = request(input=[[1, 2]])
    message.model_name, message.model_version, message.id = "m", "7", "r1"
    response = encode(message, PAIR.outputs, SCORED)
    assert (response.model_name, response.model_version, response.id) == ("m", "7", "r1")
    assert not response.raw_output_contents
    assert [output.name for output in response.outputs] == ["label", "score"]
    assert list(response.outputs[0].contents.int64_contents) == [1, 0]
    assert list(response.outputs[1].shape) == [2, 2]
    assert list(response.outputs[1].contents.fp32_contents) == [0.25, 0.75, 1, 0]


def test_a_raw_request_is_answered_raw() -> None:
    response = encode(raw_request(), PAIR.outputs, SCORED)
    assert not response.outputs[0].HasField("contents")
    assert response.raw_output_contents[0] == np.array([1, 0], "<i8").tobytes()
    assert response.raw_output_contents[1] == SCORED["score"].tobytes()


def test_an_output_without_a_typed_form_makes_all_raw() -> None:
    outputs = [Tensor("half", "FP16", (-1,))]
    response = encode(request(input=[[1, 2]]), outputs, {"half": np.array([1.5], np.float16)})
    assert list(response.raw_output_contents) == [np.array([1.5], "<f2").tobytes()]
