import numpy as np
import pytest

from cell.codec.signature import Signature, answer_bytes
from croupier.artifacts.format import Artifact, Tensor

SCORES = (Tensor("scores", "FP32", (-1, 2)),)


def artifact(
    engine: str = "forest", *, features: tuple[str, ...] = (), datatype: str = "FP32", width: int = 3
) -> Artifact:
    return Artifact(engine, features, False, False, False, (Tensor("x", datatype, (-1, width)),), SCORES, {})


def test_equal_ones_are_one_object_and_others_are_not() -> None:
    known = Signature.of(artifact())
    assert Signature.of(artifact()) is known
    assert Signature.of(artifact(width=4)) is not known
    assert Signature.of(artifact(), wide=True) is not known


def test_columns_without_names_are_numbered() -> None:
    assert Signature.of(artifact()).features == ("0", "1", "2")
    assert Signature.of(artifact(features=("a", "b", "c"))).columns == {"a": 0, "b": 1, "c": 2}
    assert Signature.of(artifact(datatype="BYTES")).features == ()


def test_a_linear_model_takes_no_infinity_whatever_its_file_says() -> None:
    assert Signature.of(artifact("linear")).finite
    assert not Signature.of(artifact("forest")).finite


@pytest.mark.parametrize(
    ("engine", "wide", "bounded"),
    [("forest", False, True), ("forest", True, True), ("linear", False, True), ("linear", True, False)],
)
def test_what_is_scored_as_float32_is_bounded_by_it(engine: str, wide: bool, bounded: bool) -> None:
    assert Signature.of(artifact(engine), wide=wide).bounded is bounded
    assert not Signature.of(artifact("onnx"), wide=wide).bounded


def test_a_native_model_takes_both_floats_and_others_what_loses_nothing() -> None:
    tensor = artifact().inputs[0]
    assert Signature.of(artifact()).datatypes(tensor) == ("FP32", "FP64")
    assert Signature.of(artifact("onnx")).datatypes(tensor) == ("FP32",)
    wide = artifact("onnx", datatype="FP64")
    assert Signature.of(wide).datatypes(wide.inputs[0]) == ("FP32", "FP64")


@pytest.mark.parametrize(
    ("engine", "wide", "came", "scored"),
    [
        ("forest", False, "FP64", np.float32),
        ("forest", True, "FP64", np.float64),
        ("forest", True, "FP32", np.float32),
        ("forest", True, "INT64", np.float32),
        ("onnx", False, "FP64", np.float32),
    ],
)
def test_what_rows_are_scored_as(engine: str, wide: bool, came: str, scored: type) -> None:
    made = artifact(engine)
    assert Signature.of(made, wide=wide).dtype(made.inputs[0], came) == np.dtype(scored)


def test_a_form_is_made_once_for_all_that_share_it() -> None:
    made: list[Signature] = []

    def form(signature: Signature) -> int:
        made.append(signature)
        return len(made)

    known = Signature.of(artifact(width=7), form=form)
    assert Signature.of(artifact(width=7), form=form) is known
    assert (known.form, len(made)) == (1, 1)


def test_an_answer_has_so_many_bytes_at_least() -> None:
    outputs = (*SCORES, Tensor("label", "INT64", (-1,)), Tensor("free", "FP32", (-1, -1)))
    assert answer_bytes(outputs, 5) == 5 * (8 + 8 + 4)
    assert Signature.of(artifact()).row_bytes == 8
