import os
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from support.graphs import FLOAT, INPUT, OUTPUT, artifact, looping, matmul, weights

from cell.engines import ArtifactRefused, ScoringFailed
from cell.engines.onnx import OnnxEngine
from cell.engines.stop import Stop, Stopped
from croupier.artifacts.format import Artifact, Tensor
from croupier.artifacts.rowwise import INDEPENDENT

ROWS = np.array([[1, 2], [3, 4]], np.float32)
ENGINE = OnnxEngine()


def refused(model: bytes, **parts: Any) -> str:
    with pytest.raises(ArtifactRefused) as caught:
        ENGINE.load(artifact(model, **parts))
    return caught.value.message


def test_scores() -> None:
    scorer = ENGINE.load(artifact(matmul()))
    np.testing.assert_array_equal(
        scorer.score({"input": ROWS}, ["y"])["y"], np.array([[3, 3], [7, 7]], np.float32)
    )
    assert scorer.signature.inputs == (INPUT,)
    assert scorer.signature.outputs == (OUTPUT,)


def test_text_goes_in_and_out() -> None:
    column = helper.make_tensor_value_info("city", TensorProto.STRING, [None, 1])
    same = helper.make_tensor_value_info("same", TensorProto.STRING, [None, 1])
    made = helper.make_graph([helper.make_node("Identity", ["city"], ["same"])], "g", [column], [same])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    scorer = ENGINE.load(
        artifact(
            model.SerializeToString(),
            inputs=[Tensor("city", "BYTES", (-1, 1))],
            outputs=[Tensor("same", "BYTES", (-1, 1))],
        )
    )
    cities = np.array([["Rome"], ["Zürich"]], dtype=np.object_)
    assert scorer.score({"city": cities}, ["same"])["same"].tolist() == [["Rome"], ["Zürich"]]


def rowwise(model: bytes, section: bytes = INDEPENDENT) -> Artifact:
    return artifact(model, sections={"model": model, "rowwise": section})


def test_rows_are_merged_only_where_the_artifact_says_that_they_are_independent() -> None:
    assert ENGINE.load(rowwise(matmul())).batchable
    assert not ENGINE.load(artifact(matmul())).batchable
    # What a later release may say.
    assert not ENGINE.load(rowwise(matmul(), b"\x02\x00\x00\x00")).batchable
    with pytest.raises(ArtifactRefused, match="'rowwise' has 3 bytes"):
        ENGINE.load(rowwise(matmul(), b"\x01\x00\x00"))


def test_a_fixed_first_dimension_is_not_batchable() -> None:
    assert not ENGINE.load(rowwise(matmul(batch=1))).batchable


def test_what_the_runtime_refuses_to_score_is_the_models_failure() -> None:
    scorer = ENGINE.load(artifact(matmul(batch=1)))
    with pytest.raises(ScoringFailed):
        scorer.score({"input": ROWS}, ["y"])


def test_a_model_that_does_not_end_is_stopped(capfd: pytest.CaptureFixture[str]) -> None:
    scorer = ENGINE.load(artifact(looping()))
    stop = Stop()
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(scorer.score, {"input": ROWS}, ["y"], stop)
        stop.ask()
        with pytest.raises(Stopped):
            call.result(timeout=30)
    assert scorer.score({"input": 0 * ROWS}, ["y"])["y"].tolist() == [[0, 0], [0, 0]]
    assert capfd.readouterr().err == ""


def test_a_failure_tells_of_no_value(capfd: pytest.CaptureFixture[str]) -> None:
    """The runtime names the index that is out of bounds, which is the caller's."""
    column = helper.make_tensor_value_info("row", TensorProto.INT64, [None, 1])
    picked = helper.make_tensor_value_info("y", FLOAT, [None, 1, 2])
    node = helper.make_node("Gather", ["W", "row"], ["y"], name="a\nforged line")
    made = helper.make_graph([node], "g", [column], [picked], [weights()])
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    scorer = ENGINE.load(
        artifact(
            model.SerializeToString(),
            inputs=[Tensor("row", "INT64", (-1, 1))],
            outputs=[Tensor("y", "FP32", (-1, 1, 2))],
        )
    )
    secret = 4700 + 11
    with pytest.raises(ScoringFailed) as caught:
        scorer.score({"row": np.array([[secret]])}, ["y"])
    told = "".join(traceback.format_exception(caught.value)) + capfd.readouterr().err
    assert "in Gather" in told
    assert str(secret) not in told
    assert "forged" not in told


def test_resident_bytes_are_measured_within_bounds() -> None:
    readings = iter([0, 50_000, 0, 1, 0, 10**12])
    engine = OnnxEngine(heap=lambda: next(readings))
    packed = artifact(matmul())
    estimate = engine.estimate(packed)
    sizes = [engine.load(packed).resident_bytes for _ in range(3)]
    assert sizes[0] == 50_000 + 5 * 1024
    assert 32 * 1024 < sizes[1] < sizes[0]
    assert sizes[2] == 2 * estimate + 5 * 1024


def test_resident_bytes_are_estimated_where_nobody_counts() -> None:
    engine = OnnxEngine(heap=lambda: None)
    packed = artifact(matmul())
    assert engine.load(packed).resident_bytes == engine.estimate(packed) + 5 * 1024


def test_bytes_that_are_no_model() -> None:
    assert refused(b"\x00rubbish" * 10).startswith("ONNX Runtime cannot load the model")
    assert refused(b"location \xff") == "the ONNX model cannot be decoded"


def test_the_other_format_of_the_runtime() -> None:
    refused(b"\x1c\x00\x00\x00ORTM" + bytes(200))


def test_no_model_at_all() -> None:
    assert "no" in refused(b"", sections={"other": b"x"})
    with pytest.raises(ArtifactRefused):
        ENGINE.estimate(artifact(b"", sections={"other": b"x"}))


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_damaged_model_loads_or_is_refused(place: int, change: int) -> None:
    model = bytearray(matmul())
    model[place % len(model)] ^= change
    try:
        ENGINE.load(artifact(bytes(model)))
    except ArtifactRefused:
        return


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"inputs": [Tensor("other", "FP32", (-1, 2))]}, "other inputs"),
        ({"inputs": [INPUT, Tensor("more", "FP32", (-1, 2))]}, "other inputs"),
        ({"inputs": [Tensor("input", "FP64", (-1, 2))]}, "FP64"),
        ({"inputs": [Tensor("input", "FP32", (-1, 3))]}, "[-1, 3]"),
        ({"inputs": [Tensor("input", "FP32", (-1,))]}, "[-1]"),
        ({"outputs": [Tensor("z", "FP32", (-1, 2))]}, "no output 'z'"),
        ({"outputs": [Tensor("y", "INT64", (-1, 2))]}, "INT64"),
    ],
)
def test_an_artifact_that_says_other_than_its_model(parts: dict[str, Any], says: str) -> None:
    assert says in refused(matmul(), **parts)


@pytest.mark.parametrize(
    "external",
    [
        {"location": "w.bin"},
        {"location": "/etc/passwd"},
        {"location": "../w.bin", "offset": "0", "length": "16"},
        {"location": "*/_ORT_MEM_ADDR_/*", "offset": "4096", "length": "16"},
    ],
)
def test_external_data_is_refused(
    external: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "w.bin").write_bytes(np.ones(4, np.float32).tobytes())
    monkeypatch.chdir(tmp_path)
    assert refused(matmul([weights(**external)])) == "the ONNX model keeps data in other files"
    assert os.listdir(tmp_path) == ["w.bin"]
