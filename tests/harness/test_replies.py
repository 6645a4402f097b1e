"""What is read in replies: the quick readers against protobuf's own library, whatever the bytes are."""

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from croupier_bench.replies import plain_infer, plain_predict, read_infer, read_predict
from protos.inference.v2 import inference_pb2
from protos.prediction.v1 import prediction_pb2


def infer(values: list[float], *, raw: bool = True, datatype: str = "FP32", **told: Any) -> bytes:
    told = {"model_name": "churn", "model_version": "3", **told}
    response = inference_pb2.ModelInferResponse(**told)
    output = response.outputs.add(name="value", datatype=datatype, shape=[len(values), 1])
    dtype = "<f4" if datatype == "FP32" else "<f8"
    if raw:
        response.raw_output_contents.append(np.array(values, dtype).tobytes())
    elif datatype == "FP32":
        output.contents.fp32_contents.extend(values)
    else:
        output.contents.fp64_contents.extend(values)
    return response.SerializeToString()


def predict(*results: tuple[float, int, int], name: str = "value") -> bytes:
    response = prediction_pb2.PredictResponse()
    for value, version, took in results:
        result = response.results.add(version=version, took_us=took)
        result.value.outputs.add(name=name).numbers.values.append(value)
    return response.SerializeToString()


def floats(*values: float) -> bytes:
    return np.array(values, "<f4").tobytes()


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("datatype", ["FP32", "FP64"])
@pytest.mark.parametrize("rows", [1, 40, 5_000])
def test_any_form_of_an_infer_response(raw: bool, datatype: str, rows: int) -> None:
    values = [float(value) for value in range(rows)]
    reply = infer(values, raw=raw, datatype=datatype)
    for _ in range(2):
        assert read_infer(reply) == (b"churn", 3, floats(*values))


def test_what_an_infer_response_need_not_say() -> None:
    assert read_infer(infer([1.5], model_name="", model_version="")) == (b"", 0, floats(1.5))
    assert read_infer(infer([1.5], model_version="v7", id="request")) == (b"churn", -1, floats(1.5))
    assert read_infer(infer([1.5], model_version="9" * 30)) == (b"churn", -1, floats(1.5))


def test_a_double_that_is_no_float_is_nobodys_float() -> None:
    _, _, values = read_infer(infer([1.0 + 2**-40], datatype="FP64")) or (b"", 0, b"")
    assert len(values) == 8


def test_infer_responses_that_cannot_be_read() -> None:
    empty = inference_pb2.ModelInferResponse(model_name="a").SerializeToString()
    response = inference_pb2.ModelInferResponse.FromString(infer([1.0]))
    response.outputs.add(name="other")
    typed = infer([1.0], raw=False)
    text = infer([1.0], datatype="BYTES")
    whole = infer([1.0])
    for reply in (b"", empty, response.SerializeToString(), typed + typed, text, whole[:-1], b"\xff" * 9):
        assert read_infer(reply) is None
        assert read_infer(reply) is None


def test_predict_responses() -> None:
    assert read_predict(predict((1.5, 3, 0))) == ([3], floats(1.5))
    assert read_predict(predict((1.5, 3, 70_000), (2.5, 4, 1), (0.5, 0, 200))) == (
        [3, 4, 0],
        floats(1.5, 2.5, 0.5),
    )
    assert read_predict(predict((1.5, 2**40, 9), name="score")) == ([2**40], floats(1.5))
    assert read_predict(b"") == ([], b"")


def test_predict_responses_that_have_no_value() -> None:
    failed = prediction_pb2.Result(status=prediction_pb2.Status(code=14))
    for result in (failed, prediction_pb2.Result(version=1)):
        assert read_predict(prediction_pb2.PredictResponse(results=[result]).SerializeToString()) is None
    assert read_predict(predict((1.5, 3, 5))[:-1]) is None


# Bytes, and those of real replies with some of them changed, left out or put in between.
def changed(*replies: bytes) -> st.SearchStrategy[bytes]:
    return st.builds(
        lambda reply, at, out, put: (
            reply[: at % (len(reply) + 1)] + put + reply[at % (len(reply) + 1) + out :]
        ),
        st.sampled_from(replies),
        st.integers(0, 200),
        st.integers(0, 4),
        st.binary(max_size=4),
    )


INFERS = [
    infer([1.5]),
    infer([1.0, 2.0, 3.0]),
    infer([float(value) for value in range(60)]),
    infer([1.5], raw=False),
    infer([1.5], model_version="", id="a"),
    infer([1.5], datatype="FP64"),
]
# A result whose second version counts, behind what it took.
twice_a_version = predict((1.5, 3, 5)).replace(b"\x0a\x17", b"\x0a\x19", 1) + b"\x18\x07"
PREDICTS = [predict((1.5, 3, 0)), predict((1.5, 3, 70), (2.5, 100, 70_000)), predict((1.0, 300, 2**32 - 1))]


@settings(max_examples=1_500)
@given(st.one_of(changed(*INFERS), st.binary(max_size=40)))
@example(INFERS[0] + INFERS[0])
@example(infer([1.5], model_name="é"))
@example(b"\x0a\x01\xff" + INFERS[0])
def test_quick_and_plain_agree_on_infer_responses(reply: bytes) -> None:
    # Whose tensors the quick one takes are known from here on.
    for known in INFERS:
        read_infer(known)
    expected = plain_infer(reply)
    assert read_infer(reply) == expected
    assert read_infer(reply) == expected


@settings(max_examples=1_500)
@given(st.one_of(changed(*PREDICTS), st.binary(max_size=40)))
@example(twice_a_version)
def test_quick_and_plain_agree_on_predict_responses(reply: bytes) -> None:
    assert read_predict(reply) == plain_predict(reply)


def test_the_quick_ones_take_what_cells_write(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or they would be for nothing."""
    read_infer(INFERS[0])

    def never(reply: bytes) -> None:
        raise AssertionError(reply)

    monkeypatch.setattr("croupier_bench.replies.plain_infer", never)
    monkeypatch.setattr("croupier_bench.replies.plain_predict", never)
    assert read_infer(infer([7.0], model_name="other")) == (b"other", 3, floats(7.0))
    for took in (0, 7, 200, 70_000, 2**32 - 1):
        assert read_predict(predict((1.5, 3, took), (2.5, 1, took))) == ([3, 1], floats(1.5, 2.5))


def test_tensors_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("croupier_bench.replies._MOST_OUTPUTS", 3)
    for rows in range(1, 9):
        assert read_infer(infer([1.0] * rows)) == (b"churn", 3, floats(*[1.0] * rows))
    from croupier_bench import replies

    assert len(replies._known_outputs) <= 3
