"""Small ONNX graphs built by hand, for what no training library would export."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from croupier.artifacts.format import Artifact, Tensor, pack, view

FLOAT = TensorProto.FLOAT
INPUT = Tensor("input", "FP32", (-1, 2))
OUTPUT = Tensor("y", "FP32", (-1, 2))


def weights(**external: str) -> TensorProto:
    """A 2 × 2 matrix of ones; with `external`, said to lie elsewhere."""
    if not external:
        return numpy_helper.from_array(np.ones((2, 2), np.float32), "W")
    tensor = TensorProto(name="W", data_type=FLOAT, dims=[2, 2], data_location=TensorProto.EXTERNAL)
    for key, value in external.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def matmul(
    initializers: Sequence[TensorProto] | None = None, batch: int | None = None, **model: Any
) -> bytes:
    """y = input · W."""
    return graph([helper.make_node("MatMul", ["input", "W"], ["y"])], initializers, batch, **model)


def graph(
    nodes: Sequence[NodeProto],
    initializers: Sequence[TensorProto] | None = None,
    batch: int | None = None,
    **model: Any,
) -> bytes:
    """An ONNX model from `input` (batch, 2) to `y` (batch, 2)."""
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("input", FLOAT, [batch, 2])],
        [helper.make_tensor_value_info("y", FLOAT, [batch, 2])],
        [weights()] if initializers is None else initializers,
    )
    opsets = [helper.make_opsetid("", 13)]
    made_model = helper.make_model(made, opset_imports=opsets, ir_version=8, **model)
    serialized: bytes = made_model.SerializeToString()
    return serialized


def centred() -> bytes:
    """y = input - its mean over the batch: rows that depend on each other."""
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["input", "mean"], ["y"]),
    ]
    return graph(nodes, [])


def picky() -> bytes:
    """A model that looks its inputs up in [10, 20, 30], and fails on any other place."""
    nodes = [
        helper.make_node("Cast", ["input"], ["places"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "places"], ["y"]),
    ]
    table = numpy_helper.from_array(np.array([10, 20, 30], np.float32), "table")
    return packed(graph(nodes, [table]))


def looping() -> bytes:
    """y = input, doubled for ever where any of it is above 0."""
    value = helper.make_tensor_value_info
    scalar, rows = partial(value, shape=[]), partial(value, elem_type=FLOAT, shape=[None, 2])
    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["still"]), helper.make_node("Add", ["x", "x"], ["twice"])],
        "body",
        [scalar("round", TensorProto.INT64), scalar("on", TensorProto.BOOL), rows("x")],
        [scalar("still", TensorProto.BOOL), rows("twice")],
    )
    nodes = [
        helper.make_node("ReduceMax", ["input"], ["highest"], keepdims=0),
        helper.make_node("Greater", ["highest", "zero"], ["on"]),
        helper.make_node("Loop", ["rounds", "on", "input"], ["y"], body=body),
    ]
    constants = {"rounds": np.array(2**62, np.int64), "zero": np.array(0, np.float32)}
    return graph(nodes, [numpy_helper.from_array(array, name) for name, array in constants.items()])


def artifact(
    model: bytes,
    *,
    inputs: Sequence[Tensor] = (INPUT,),
    outputs: Sequence[Tensor] = (OUTPUT,),
    sections: Mapping[str, bytes] | None = None,
) -> Artifact:
    return view(packed(model, inputs=inputs, outputs=outputs, sections=sections))


def packed(
    model: bytes,
    *,
    engine: str = "onnx",
    inputs: Sequence[Tensor] = (INPUT,),
    outputs: Sequence[Tensor] = (OUTPUT,),
    sections: Mapping[str, bytes] | None = None,
) -> bytes:
    parts = {"model": model} if sections is None else sections
    return pack(engine=engine, inputs=inputs, outputs=outputs, sections=parts)
