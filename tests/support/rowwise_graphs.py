"""Graphs whose rows are independent, and others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from croupier.artifacts.format import Tensor
from croupier.artifacts.packers.rowwise import why_dependent

FLOAT = TensorProto.FLOAT
WIDTH = 3
X = [Tensor("x", "FP32", (-1, WIDTH))]
Y = [Tensor("y", "FP32", (-1, WIDTH))]
node = helper.make_node
CONSTANTS: dict[str, Any] = {
    "w": np.arange(9, dtype=np.float32).reshape(3, 3),
    "row": np.array([1, 2, 3], np.float32),
    "flat": np.array([[1, 2, 3]], np.float32),
    "two_rows": np.ones((2, 3), np.float32),
    "stack": np.ones((2, 1, 3), np.float32),
    "filters": np.ones((2, 1, 2), np.float32),
    "one_number": np.array(2, np.float32),
    "labels": np.array([10, 20, 30], np.float32),
    "zero": np.array([0], np.int64),
    "one": np.array([1], np.int64),
    "two": np.array([2], np.int64),
    "three": np.array([3], np.int64),
    "scalar_zero": np.array(0, np.int64),
    "none": np.array([], np.int64),
    "minus_two": np.array([-2], np.int64),
    "minus_one": np.array([-1], np.int64),
    "as_is": np.array([0, 3], np.int64),
    "rows_of_three": np.array([-1, 3], np.int64),
    "list": np.array([-1], np.int64),
    "lines_of_six": np.array([-1, 6], np.int64),
    "three_lines": np.array([3, -1], np.int64),
    "no_pads": np.array([0, 1, 0, 1], np.int64),
    "row_pads": np.array([1, 0, 0, 0], np.int64),
    "yes": np.array(True),
    "next_to_nothing": np.array(1e-12, np.float32),
    "rate": np.array(0.5, np.float32),
    **{name: np.ones(3, np.float32) for name in ("scale", "bias", "mean", "variance")},
    "cell_w": np.full((1, 8, 1), 0.3, np.float32),
    "cell_r": np.full((1, 8, 2), 0.2, np.float32),
}


def model(*nodes: NodeProto, opset: int = 17, shape: Sequence[Any] | None = ("N", WIDTH), **more: Any) -> Any:
    """A graph from x (N, 3) to y; a constant is there if a node asks for it."""
    used = {name for each in nodes for name in each.input}
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", FLOAT, ["N", WIDTH])],
        [helper.make_tensor_value_info("y", FLOAT, shape)],
        [numpy_helper.from_array(array, name) for name, array in CONSTANTS.items() if name in used],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    opsets += [helper.make_opsetid(domain, 1) for domain in more.pop("domains", ())]
    return helper.make_model(made, opset_imports=opsets, ir_version=9, **more)


def why(made: Any) -> str:
    return why_dependent(made, made.SerializeToString(), X, Y)


INDEPENDENT_GRAPHS = {
    "elementwise": model(node("Add", ["x", "row"], ["a"]), node("Sigmoid", ["a"], ["y"])),
    "a matrix": model(node("MatMul", ["x", "w"], ["a"]), node("Add", ["a", "flat"], ["y"])),
    "gemm": model(node("Gemm", ["x", "w", "row"], ["y"], transB=1)),
    "turned twice": model(
        node("Transpose", ["x"], ["a"]),
        node("Gemm", ["a", "w"], ["y"], transA=1),
    ),
    "a matrix from the left": model(
        node("Transpose", ["x"], ["a"]), node("MatMul", ["w", "a"], ["b"]), node("Transpose", ["b"], ["y"])
    ),
    "softmax": model(node("Softmax", ["x"], ["y"])),
    "softmax of old": model(node("Softmax", ["x"], ["y"]), opset=11),
    "a mean of each row": model(node("ReduceMean", ["x"], ["a"], axes=[1]), node("Sub", ["x", "a"], ["y"])),
    "a mean over a stack": model(
        node("Add", ["x", "stack"], ["a"]), node("ReduceMean", ["a"], ["y"], axes=[0], keepdims=0)
    ),
    "a sum with axes of its own": model(
        node("ReduceSum", ["x", "minus_one"], ["a"]), node("Mul", ["x", "a"], ["y"])
    ),
    "reshaped": model(node("Reshape", ["x", "rows_of_three"], ["a"]), node("Reshape", ["a", "as_is"], ["y"])),
    "by the number of rows": model(
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "zero"], ["n"]),
        node("Concat", ["n", "three"], ["t"], axis=0),
        node("Reshape", ["x", "t"], ["y"]),
    ),
    "spread to the number of rows": model(
        node("Shape", ["x"], ["s"]), node("Expand", ["flat", "s"], ["a"]), node("Add", ["x", "a"], ["y"])
    ),
    "filled to the number of rows": model(
        node("Shape", ["x"], ["s"]), node("ConstantOfShape", ["s"], ["a"]), node("Add", ["x", "a"], ["y"])
    ),
    "some columns beside others": model(
        node("Slice", ["x", "zero", "two", "one"], ["a"]),
        node("Gather", ["x", "two"], ["b"], axis=1),
        node("Concat", ["a", "b"], ["y"], axis=1),
    ),
    "split": model(
        node("Split", ["x"], ["a", "b", "c"], axis=1), node("Concat", ["c", "b", "a"], ["y"], axis=-1)
    ),
    "a label": model(
        node("ArgMax", ["x"], ["a"], axis=1),
        node("ArrayFeatureExtractor", ["labels", "a"], ["b"], domain="ai.onnx.ml"),
        node("Reshape", ["b", "list"], ["c"]),
        node("Unsqueeze", ["c", "one"], ["y"]),
    ),
    "a table": model(node("ArgMax", ["x"], ["a"], axis=1, keepdims=0), node("Gather", ["w", "a"], ["y"])),
    "the largest": model(
        node("TopK", ["x", "three"], ["a", "b"]),
        node("Cast", ["b"], ["c"], to=FLOAT),
        node("Add", ["a", "c"], ["y"]),
    ),
    "a filter": model(
        node("Unsqueeze", ["x", "one"], ["a"]),
        node("Conv", ["a", "filters"], ["b"]),
        node("GlobalMaxPool", ["b"], ["c"]),
        node("Flatten", ["c"], ["d"]),
        node("ReduceSum", ["d", "one"], ["e"]),
        node("Add", ["x", "e"], ["y"]),
    ),
    "normalized as it was learned": model(
        node("BatchNormalization", ["x", "scale", "bias", "mean", "variance"], ["y"])
    ),
    "normalized by itself": model(node("LayerNormalization", ["x", "scale", "bias"], ["y"])),
    "nothing dropped": model(node("Dropout", ["x"], ["y"])),
    "padded": model(
        node("Pad", ["x", "no_pads"], ["a"]), node("Slice", ["a", "one", "minus_one", "one"], ["y"])
    ),
    "recurrent": model(
        node("Transpose", ["x"], ["a"]),
        node("Unsqueeze", ["a", "two"], ["c"]),
        node("LSTM", ["c", "cell_w", "cell_r"], ["", "h"], hidden_size=2),
        node("Squeeze", ["h", "zero"], ["d"]),
        node("ReduceSum", ["d", "one"], ["e"]),
        node("Add", ["x", "e"], ["y"]),
    ),
    "a function of its own": model(
        node("Twice", ["x"], ["y"], domain="own"),
        domains=["own"],
        functions=[
            helper.make_function(
                "own", "Twice", ["a"], ["b"], [node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 17)]
            )
        ],
    ),
}
BODY = helper.make_graph(
    [node("Identity", ["x"], ["z"])], "b", [], [helper.make_tensor_value_info("z", FLOAT, None)]
)
DEPENDENT_GRAPHS = {
    "ReduceMean": model(node("ReduceMean", ["x"], ["m"], axes=[0]), node("Sub", ["x", "m"], ["y"])),
    "ReduceMax": model(node("ReduceMax", ["x"], ["m"]), node("Sub", ["x", "m"], ["y"])),
    "hardly": model(
        node("ArgMax", ["x"], ["m"], axis=0),
        node("Cast", ["m"], ["f"], to=FLOAT),
        node("Mul", ["f", "next_to_nothing"], ["t"]),
        node("Sub", ["x", "t"], ["y"]),
    ),
    "no axes by way of a shape": model(
        node("Shape", ["x"], ["s"]),
        node("Slice", ["s", "zero", "one"], ["n"]),
        node("Shape", ["n"], ["none_of_it"], end=0),
        node("Greater", ["x", "one_number"], ["g"]),
        node("Cast", ["g"], ["f"], to=FLOAT),
        node("ReduceMax", ["f", "none_of_it"], ["m"]),
        node("Mul", ["m", "next_to_nothing"], ["t"]),
        node("Add", ["x", "t"], ["y"]),
        opset=18,
    ),
    "an axis less than it seems": model(
        node("Unsqueeze", ["x", "one"], ["a"]),
        node("Squeeze", ["a", "none"], ["b"]),
        node("ReduceMax", ["b", "minus_two"], ["m"]),
        node("Sub", ["x", "m"], ["y"]),
        opset=18,
    ),
    "Softmax": model(node("Softmax", ["x"], ["y"], axis=0)),
    "Softmax of old": model(node("Softmax", ["x"], ["y"], axis=0), opset=11),
    "Transpose": model(node("Transpose", ["x"], ["y"])),
    "the batch is summed": model(
        node("Transpose", ["x"], ["a"]), node("MatMul", ["a", "x"], ["b"]), node("MatMul", ["x", "b"], ["y"])
    ),
    "each with each": model(
        node("Transpose", ["x"], ["a"]), node("MatMul", ["x", "a"], ["b"]), node("MatMul", ["b", "x"], ["y"])
    ),
    "Reshape": model(node("Reshape", ["x", "three_lines"], ["a"]), node("Transpose", ["a"], ["y"])),
    "Reshape two rows": model(node("Reshape", ["x", "lines_of_six"], ["y"])),
    "Reshape after a turn": model(
        node("Transpose", ["x"], ["a"]), node("Reshape", ["a", "rows_of_three"], ["y"])
    ),
    "Slice": model(node("Slice", ["x", "zero", "one", "zero"], ["a"]), node("Add", ["x", "a"], ["y"])),
    "Slice without axes": model(node("Slice", ["x", "zero", "one"], ["a"]), node("Add", ["x", "a"], ["y"])),
    "Gather": model(node("Gather", ["x", "zero"], ["a"]), node("Add", ["x", "a"], ["y"])),
    "Concat": model(node("Concat", ["x", "x"], ["y"], axis=0)),
    "CumSum": model(node("CumSum", ["x", "scalar_zero"], ["y"])),
    "Pad": model(node("Pad", ["x", "row_pads"], ["y"])),
    "another for each place": model(node("Add", ["x", "two_rows"], ["y"])),
    "another dimension": model(
        node("ReduceSum", ["x", "one"], ["a"], keepdims=0), node("Add", ["x", "a"], ["y"])
    ),
    "the number of rows": model(
        node("Shape", ["x"], ["s"]),
        node("Gather", ["s", "zero"], ["n"]),
        node("Cast", ["n"], ["f"], to=FLOAT),
        node("Div", ["x", "f"], ["y"]),
    ),
    "Size": model(
        node("Size", ["x"], ["n"]), node("Cast", ["n"], ["f"], to=FLOAT), node("Div", ["x", "f"], ["y"])
    ),
    "BatchNormalization": model(
        node(
            "BatchNormalization",
            ["x", "scale", "bias", "mean", "variance"],
            ["y", "m", "v"],
            training_mode=1,
        )
    ),
    "Dropout": model(node("Dropout", ["x", "rate", "yes"], ["y"])),
    "RandomNormal": model(node("RandomNormal", [], ["a"], shape=[1, 3]), node("Add", ["x", "a"], ["y"])),
    "RandomNormalLike": model(node("RandomNormalLike", ["x"], ["y"])),
    "places in the whole tensor": model(
        node("Unsqueeze", ["x", "one"], ["a"]),
        node("MaxPool", ["a"], ["b", "i"], kernel_shape=[1]),
        node("Cast", ["i"], ["c"], to=FLOAT),
        node("Squeeze", ["c", "one"], ["y"]),
    ),
    "Squeeze of whatever is one": model(node("Squeeze", ["x"], ["y"])),
    "the same for all": model(node("Identity", ["flat"], ["y"])),
    "NonZero": model(
        node("NonZero", ["x"], ["a"]), node("Cast", ["a"], ["b"], to=FLOAT), node("Transpose", ["b"], ["y"])
    ),
    "If": model(node("If", ["yes"], ["y"], then_branch=BODY, else_branch=BODY)),
    "DynamicQuantizeLinear": model(
        node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
        node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ),
    "a function called like an operator": model(
        node("Twice", ["x"], ["y"], domain="own"),
        domains=["own"],
        functions=[
            helper.make_function(
                "own",
                "Twice",
                ["a"],
                ["b"],
                [node("ReduceMean", ["a"], ["m"], axes=[0]), node("Sub", ["a", "m"], ["b"])],
                [helper.make_opsetid("", 17)],
            )
        ],
    ),
}
