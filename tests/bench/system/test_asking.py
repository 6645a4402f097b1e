import numpy as np
import pytest

from bench.system.asking import Asking, is_right_answer, message, uniform
from bench.system.population import KINDS, Models
from protos.inference.v2 import inference_pb2 as pb

MODELS = Models(
    tenants=3,
    kinds=np.array([0, 1, 2, 0, 1], np.int8),
    answers=np.array([0.5, 0.25, 0.75, -40.0, 0.3]),
    rows=tuple(np.ones((1, kind.shape.features)) for kind in KINDS),
)


def answer(*values: float, name: str = "model-00000", version: str = "1", raw: bool = False) -> bytes:
    response = pb.ModelInferResponse(model_name=name, model_version=version)
    output = response.outputs.add(name="value", datatype="FP32", shape=[1, 1])
    if raw:
        response.raw_output_contents.append(np.array(values, "<f4").tobytes())
    else:
        output.contents.fp32_contents.extend(values)
    return response.SerializeToString()


def test_each_model_is_asked_for_as_its_kind_takes_it() -> None:
    asking = Asking(MODELS, [4, 0])
    for number, model in ((0, 4), (1, 0), (2, 4)):
        request = pb.ModelInferRequest.FromString(asking.message(number))
        kind = KINDS[MODELS.kinds[model]]
        assert asking.message(number) == message(MODELS, model)
        assert (request.model_name, asking.tenant(number)) == (
            f"model-{model // 3:05}",
            f"tenant-{model % 3:05}".encode(),
        )
        [tensor] = request.inputs
        assert (tensor.datatype, list(tensor.shape)) == (kind.datatype, [1, kind.shape.features])


@pytest.mark.parametrize("raw", [False, True])
def test_an_answer_is_right_as_a_number_first_and_then_byte_for_byte(raw: bool) -> None:
    asking = Asking(MODELS, [0, 1])
    assert asking.is_answer(0, answer(0.5 + 1e-6, raw=raw))
    assert asking.is_answer(0, answer(0.5 + 1e-6, raw=raw))
    assert not asking.is_answer(0, answer(0.5, raw=raw))
    assert asking.is_answer(1, answer(0.75, 0.25, raw=raw))
    assert not is_right_answer(MODELS, 1, answer(0.7, 0.25, raw=raw))
    assert not is_right_answer(MODELS, 1, answer(0.25, raw=raw))


@pytest.mark.parametrize(
    "wrong",
    [
        answer(0.25),
        answer(0.5, 0.5),
        answer(0.5001),
        answer(0.5, name="model-00001"),
        answer(0.5, version="2"),
        answer(float("nan")),
        pb.ModelInferResponse(model_name="model-00000", model_version="1").SerializeToString(),
        b"",
        b"\xff",
    ],
)
def test_what_is_not_the_librarys_is_wrong(wrong: bytes) -> None:
    assert not is_right_answer(MODELS, 0, wrong)
    asking = Asking(MODELS, [0])
    # Twice: what was wrong is not remembered.
    assert [asking.is_answer(0, wrong) for _ in range(2)] == [False, False]


def test_large_numbers_are_compared_by_their_size() -> None:
    assert is_right_answer(MODELS, 3, answer(-40.0003, name="model-00001"))
    assert not is_right_answer(MODELS, 3, answer(-40.01, name="model-00001"))


def test_all_models_are_asked_for_alike() -> None:
    counts = np.bincount(uniform(50, 50_000, seed=1), minlength=50)
    assert counts.min() > 800
    assert counts.max() < 1_200
