"""The batch followed through whole graphs: what mixes rows is found, whatever a trial would show."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from support.graphs import looping
from support.rowwise_graphs import DEPENDENT_GRAPHS, FLOAT, INDEPENDENT_GRAPHS, X, Y, model, node, why

from croupier.artifacts.format import Tensor
from croupier.artifacts.packers.rowwise.analysis import check_independent
from croupier.artifacts.packers.rowwise.values import Dependent


@pytest.mark.parametrize("name", DEPENDENT_GRAPHS)
def test_rows_that_are_not(name: str) -> None:
    """Already by the operators: whatever a trial shows."""
    made = DEPENDENT_GRAPHS[name]
    onnx.checker.check_model(made)
    with pytest.raises(Dependent):
        check_independent(made, X, Y)


def test_it_says_which_operator_and_why() -> None:
    assert why(DEPENDENT_GRAPHS["ReduceMean"]) == "ReduceMean 'm' works along axis 0, the batch"
    assert why(DEPENDENT_GRAPHS["If"]) == "If 'y' has a graph of its own"
    assert why(DEPENDENT_GRAPHS["NonZero"]) == "NonZero 'a' is not known to keep rows apart"
    loop = onnx.load_model_from_string(looping())
    with pytest.raises(Dependent, match="ReduceMax 'highest' works along all axes, the batch among them"):
        check_independent(loop, [Tensor("input", "FP32", (-1, 2))], [Tensor("y", "FP32", (-1, 2))])


def refusal(made: Any) -> str:
    with pytest.raises(Dependent) as caught:
        check_independent(made, X, Y)
    return str(caught.value)


def test_sizes_that_the_file_claims_are_not_believed() -> None:
    """A row of three that is said to have six would be laid out as half of another one's."""
    made = model(node("Sigmoid", ["x"], ["a"]), node("Reshape", ["a", "lines_of_six"], ["y"]))
    made.graph.value_info.append(helper.make_tensor_value_info("a", FLOAT, ["N", 6]))
    made.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 6
    assert refusal(made) == "Reshape 'y' mixes the batch with other dimensions"


def test_what_is_before_the_operators_that_broadcast_alike_is_refused() -> None:
    assert refusal(model(node("Sigmoid", ["x"], ["y"]), opset=6)) == "the model is of an opset before 7"


def test_a_function_of_another_opset_is_not_read_as_of_this_one() -> None:
    own = helper.make_function(
        "own", "Own", ["a"], ["b"], [node("Softmax", ["a"], ["b"])], [helper.make_opsetid("", 12)]
    )
    made = model(node("Own", ["x"], ["y"], domain="own"), domains=["own"], functions=[own])
    assert refusal(made) == "the function 'Own' is of another opset"


@pytest.mark.parametrize("domain", ["", "ai.onnx"])
def test_the_standard_domain_has_two_names(domain: str) -> None:
    check_independent(model(node("Sigmoid", ["x"], ["y"], domain=domain)), X, Y)
    assert "axis 0, the batch" in refusal(model(node("Softmax", ["x"], ["y"], domain=domain, axis=0)))


def test_an_operator_of_another_domain_is_not_the_one_that_is_known() -> None:
    made = model(node("Sigmoid", ["x"], ["y"], domain="com.example"), domains=["com.example"])
    assert refusal(made) == "Sigmoid 'y' is not known to keep rows apart"


def test_an_output_without_a_rule_may_be_left_unused() -> None:
    used = model(
        node("Unsqueeze", ["x", "one"], ["a"]),
        node("MaxPool", ["a"], ["b", ""], kernel_shape=[1]),
        node("Squeeze", ["b", "one"], ["y"]),
    )
    check_independent(used, X, Y)
    assert "has an output whose rows" in refusal(DEPENDENT_GRAPHS["places in the whole tensor"])


def test_what_is_made_of_fixed_numbers_alone_may_be_anything() -> None:
    made = model(
        node("NonZero", ["w"], ["a"]),
        node("Cast", ["a"], ["b"], to=FLOAT),
        node("ReduceSum", ["b"], ["c"], keepdims=0),
        node("Add", ["x", "c"], ["d"]),
        # How many there are is not known here, so each row might get another.
        node("Add", ["x", "b"], ["y"]),
    )
    assert refusal(made).startswith("Add 'y' has another value for each place")
    del made.graph.node[-1]
    made.graph.node[-1].output[0] = "y"
    check_independent(made, X, Y)


def test_a_constant_is_fixed_whatever_its_form() -> None:
    for value in (
        {"value_int": 3},
        {"value_floats": [1.0, 2.0, 3.0]},
        {"value": numpy_helper.from_array(np.ones((1, 3), np.float32))},
    ):
        constant = node("Constant", [], ["c"], **value)
        check_independent(model(constant, node("Mul", ["x", "c"], ["y"])), X, Y)


def test_a_weight_with_fewer_bytes_than_it_says_is_left_to_the_runtime() -> None:
    made = model(node("Reshape", ["x", "rows_of_three"], ["y"]))
    made.graph.initializer[0].raw_data = b"\1"
    assert refusal(made) == "Reshape 'y' computes the shape that it gives"


def test_a_graph_that_makes_no_sense_is_not_understood() -> None:
    assert refusal(model(node("Relu", ["nobody's"], ["y"]))) == "Relu 'y' is not understood (KeyError)"
    assert refusal(model(node("Transpose", ["x"], ["y"], perm=[1]))).startswith(
        "Transpose 'y' is not understood"
    )
    assert refusal(model(node("Relu", ["x"], ["z"]))) == (
        "the output 'y' does not have a row for each row of the inputs"
    )


def test_inputs_beside_each_other_have_their_rows_in_common() -> None:
    made = model(node("Concat", ["x", "other"], ["y"], axis=1))
    made.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, ["M", 2]))
    check_independent(made, [*X, Tensor("other", "FP32", (-1, 2))], Y)
    made = model(node("MatMul", ["x", "other"], ["y"]))
    made.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, [3, 3]))
    with pytest.raises(Dependent, match="sums along axis 0, the batch"):
        check_independent(made, [*X, Tensor("other", "FP32", (-1, 3))], Y)


@pytest.mark.parametrize("name", INDEPENDENT_GRAPHS)
def test_a_graph_is_followed_without_what_onnx_infers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Inference helps with sizes; where it fails, rows may be refused and are never mixed."""

    def fail(*_: Any, **__: Any) -> Any:
        raise onnx.shape_inference.InferenceError

    monkeypatch.setattr(onnx.shape_inference, "infer_shapes", fail)
    try:
        check_independent(INDEPENDENT_GRAPHS[name], X, Y)
    except Dependent as error:
        assert "mixes the batch" in str(error) or "another value" in str(error)  # noqa: PT017 (or none)
