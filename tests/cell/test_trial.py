"""An artifact tried as a cell would serve it: what it answers, takes and harms."""

import numpy as np
import pytest
from onnx import helper
from sklearn.linear_model import Ridge
from support.graphs import artifact, graph, looping, matmul, packed

from croupier.artifacts.apart import Limits
from croupier.artifacts.format import InvalidArtifact, pack
from croupier.artifacts.packers.linear import pack_linear
from croupier.artifacts.packers.trial import try_artifact

ROWS = np.random.default_rng(1).normal(size=(90, 2)).astype(np.float32)
MODEL = Ridge().fit(ROWS, ROWS.sum(axis=1))


def test_outputs_and_what_a_model_takes():
    found = try_artifact(pack_linear(MODEL), [{"input": ROWS}, {"input": ROWS[:0]}, {"input": ROWS[5:7]}])
    np.testing.assert_allclose(found.answers[0]["value"][:, 0], MODEL.predict(ROWS), rtol=1e-6, atol=1e-6)
    assert [len(table["value"]) for table in found.answers] == [90, 0, 2]
    assert found.rows_are_independent
    assert 0 < found.resident_bytes < 10_000
    assert found.row_microseconds > 0


def test_rows_of_an_onnx_model_that_depend_on_each_other():
    mean = helper.make_node("ReduceMean", ["input"], ["mean"], axes=[0], keepdims=1)
    centred = graph([mean, helper.make_node("Sub", ["input", "mean"], ["y"])], [])
    assert not try_artifact(packed(centred), [{"input": ROWS}]).rows_are_independent
    assert try_artifact(packed(matmul()), [{"input": ROWS}]).rows_are_independent


def test_an_output_that_has_one_row_for_all():
    summed = graph([helper.make_node("ReduceSum", ["input"], ["y"], keepdims=1)], [])
    assert not try_artifact(packed(summed), [{"input": ROWS}]).rows_are_independent


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (packed(matmul())[:-5], "should have"),
        (packed(matmul(), engine="tarot"), "no engine 'tarot'"),
        (packed(b"\x08\x08"), "ONNX"),
        (
            pack(
                engine="forest",
                inputs=artifact(matmul()).inputs,
                outputs=artifact(matmul()).outputs,
                sections={"forest": bytes(64)},
            ),
            "the forest is damaged",
        ),
    ],
)
def test_what_no_cell_can_load(data, problem):
    with pytest.raises(InvalidArtifact, match=problem):
        try_artifact(data, [{"input": ROWS}])


def test_a_model_that_never_ends_costs_the_process_alone():
    with pytest.raises(InvalidArtifact, match="CPU time than the limit of 1 s"):
        try_artifact(packed(looping()), [{"input": np.abs(ROWS)}], Limits(cpu_seconds=1))
