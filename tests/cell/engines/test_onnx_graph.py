"""Tensors whose data lies elsewhere are found wherever a model may hide them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import AttributeProto, ModelProto, SparseTensorProto, TensorProto, helper
from support.graphs import graph, matmul, weights

from cell.engines.onnx_graph import DecodeError, reads_other_files


def constant(**attribute: Any) -> bytes:
    node = helper.make_node("Constant", [], ["y"])
    node.attribute.append(AttributeProto(name="value", **attribute))
    return graph([node])


OUTSIDE = weights(location="w.bin")
SPARSE = SparseTensorProto(values=OUTSIDE)


def test_external_data_is_found_wherever_it_hides() -> None:
    inner = helper.make_graph([], "inner", [], [], [OUTSIDE])
    function = helper.make_function(
        "f", "F", ["a"], ["b"], [helper.make_node("Constant", [], ["b"], value=OUTSIDE)], []
    )
    for model in (
        constant(t=OUTSIDE, type=AttributeProto.TENSOR),
        constant(tensors=[weights(), OUTSIDE], type=AttributeProto.TENSORS),
        constant(sparse_tensor=SPARSE, type=AttributeProto.SPARSE_TENSOR),
        constant(sparse_tensors=[SPARSE], type=AttributeProto.SPARSE_TENSORS),
        constant(g=inner, type=AttributeProto.GRAPH),
        constant(graphs=[inner], type=AttributeProto.GRAPHS),
        matmul(functions=[function]),
        # Without a word of where: refused by the runtime itself, found here all the same.
        matmul([TensorProto(name="location", data_type=1, dims=[1], data_location=TensorProto.EXTERNAL)]),
    ):
        assert reads_other_files(model)


def test_a_graph_sent_in_pieces_hides_nothing() -> None:
    assert reads_other_files(matmul() + matmul([OUTSIDE]))


def test_the_word_alone_is_no_fault() -> None:
    model = matmul(producer_name="location", doc_string="external_data location")
    assert not reads_other_files(model)
    with pytest.raises(DecodeError):
        reads_other_files(b"location \xff")


def test_a_model_without_the_word_is_not_even_parsed() -> None:
    assert not reads_other_files(b"\xff" * 100)
    assert not reads_other_files(b"")
    assert not reads_other_files(matmul())


def attributes_within(tensor: TensorProto, depth: int) -> bytes:
    """A graph in an attribute of a node of a graph, and so on."""
    inner = helper.make_graph([], "inner", [], [], [tensor])
    for _ in range(depth):
        node = helper.make_node("If", [], [], then_branch=inner)
        inner = helper.make_graph([node], "inner", [], [])
    model: bytes = helper.make_model(inner).SerializeToString()
    return model


def test_depth_hides_nothing_and_ends_with_an_error() -> None:
    assert reads_other_files(attributes_within(OUTSIDE, 20))
    assert not reads_other_files(attributes_within(weights(), 20))
    with pytest.raises(DecodeError):
        reads_other_files(attributes_within(OUTSIDE, 60))


@given(st.data())
def test_what_the_onnx_package_finds_is_found(data: st.DataObject) -> None:
    """Of any bytes near those of a model: `onnx` itself has the last word on what they say."""
    model = bytearray(matmul([weights(), OUTSIDE]))
    for _ in range(data.draw(st.integers(0, 3))):
        model[data.draw(st.integers(0, len(model) - 1))] ^= data.draw(st.integers(1, 255))
    found = ModelProto()
    try:
        found.ParseFromString(bytes(model))
    except Exception:  # noqa: BLE001 (whatever it is, the package cannot read it)
        return
    outside = any(
        tensor.data_location == TensorProto.EXTERNAL or tensor.external_data
        for tensor in found.graph.initializer
    )
    if outside and b"location" in model:
        assert reads_other_files(bytes(model))
