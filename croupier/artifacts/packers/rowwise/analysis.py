"""Follows the batch through a graph: from its inputs, whose first dimension it is, to its outputs, where it
has to be the first again.

It errs on one side only: what is said to be independent is. ONNX's own shape inference helps out where a rule
does not say a size; sizes that the file claims are not believed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import inliner, numpy_helper

from croupier.artifacts.format import Tensor
from croupier.artifacts.packers.rowwise.node import Node
from croupier.artifacts.packers.rowwise.operators import FIXED_ONLY, RULES, STANDARD
from croupier.artifacts.packers.rowwise.values import Dependent, Dims, Drawn, Fixed, Rows, Value

# Shapes, axes and places have no more; the weights' values play no part.
_MOST_KNOWN = 1_024
# Before, operators had rules of their own for broadcasting, and ONNX Runtime promises nothing.
_LEAST_OPSET = 7


def check_independent(model: Any, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
    """Follow the batch through `model`, a ModelProto that was checked.

    Raises:
        Dependent: naming the operator that mixes rows, or is not known not to.
    """
    opsets = {_domain(opset.domain): opset.version for opset in model.opset_import}
    if opsets.get(STANDARD, _LEAST_OPSET) < _LEAST_OPSET:
        raise Dependent(f"the model is of an opset before {_LEAST_OPSET}")
    model = _inlined(model)
    inferred = _inferred(model, inputs)
    values: dict[str, Value] = {tensor.name: _fixed(tensor) for tensor in model.graph.initializer}
    values.update(
        {sparse.values.name: Fixed(tuple(sparse.dims)) for sparse in model.graph.sparse_initializer}
    )
    values.update({tensor.name: Rows(0, (None, *tensor.shape[1:])) for tensor in inputs})
    for node in model.graph.node:
        made = _made(node, values, opsets)
        for name, value in zip(node.output, made, strict=False):
            values[name] = _completed(value, inferred.get(name))
    for tensor in outputs:
        given = values.get(tensor.name)
        if not isinstance(given, Rows) or given.axis != 0:
            raise Dependent(f"the output {tensor.name!r} does not have a row for each row of the inputs")


def _inlined(model: Any) -> Any:
    """Without functions of its own, which could also be called like the operators that are known here."""
    opsets = {_domain(opset.domain): opset.version for opset in model.opset_import}
    for function in model.functions:
        if any(opsets.get(_domain(each.domain)) != each.version for each in function.opset_import):
            raise Dependent(f"the function {function.name[:100]!r} is of another opset")
    return inliner.inline_local_functions(model) if model.functions else model


def _made(node: Any, values: Mapping[str, Value], opsets: Mapping[str, int]) -> Sequence[Value]:
    """The values of a node's outputs."""
    domain = _domain(node.domain)
    called = f"{node.op_type} {(node.name or node.output[0])[:100]!r}"
    attributes = {each.name: each for each in node.attribute}
    try:
        if (domain, node.op_type) == (STANDARD, "Constant"):
            return [_constant(attributes)]
        inputs: tuple[Value | None, ...] = tuple(values[name] if name else None for name in node.input)
        given = Node(
            node.op_type,
            opsets.get(domain, 1),
            inputs,
            {name: _setting(each) for name, each in attributes.items()},
            max((place + 1 for place, name in enumerate(node.output) if name), default=0),
        )
        made = _by_rule(domain, given)
    except Dependent as error:
        raise Dependent(f"{called} {error}") from None
    except Exception as error:  # a rule that a strange graph trips over
        raise Dependent(f"{called} is not understood ({type(error).__name__})") from error
    missing = node.output[len(made) :]
    if any(missing):
        raise Dependent(f"{called} has an output whose rows are not known to be independent")
    return made


def _by_rule(domain: str, node: Node) -> Sequence[Value]:
    operator = domain, node.operator
    is_fixed = all(isinstance(value, Fixed | None) for value in node.inputs)
    if operator not in RULES:
        if operator in FIXED_ONLY and is_fixed:
            return [Fixed(None)] * node.outputs
        raise Dependent("is not known to keep rows apart")
    try:
        return RULES[operator](node)
    except Drawn:
        raise
    except Dependent:
        if not is_fixed:
            raise
        return [Fixed(None)] * node.outputs


def _domain(name: str) -> str:
    return STANDARD if name == "ai.onnx" else name


def _setting(attribute: Any) -> Any:
    if attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS):
        raise Dependent("has a graph of its own")
    return onnx.helper.get_attribute_value(attribute)


def _constant(attributes: Mapping[str, Any]) -> Value:
    if "value" in attributes:
        return _fixed(attributes["value"].t)
    for name in ("value_int", "value_ints", "value_float", "value_floats"):
        if name in attributes:
            return Fixed.of(np.asarray(onnx.helper.get_attribute_value(attributes[name])))
    return Fixed(None)


def _fixed(tensor: Any) -> Fixed:
    dims = tuple(tensor.dims)
    if len(dims) > 1 or (dims and dims[0] > _MOST_KNOWN) or tensor.data_type == onnx.TensorProto.STRING:
        return Fixed(dims)
    try:
        return Fixed(dims, numpy_helper.to_array(tensor))
    except Exception:  # noqa: BLE001 (fewer bytes than it says, say: the runtime refuses it)
        return Fixed(None)


def _completed(value: Value, dims: Dims | None) -> Value:
    """With the sizes that were inferred for those that its rule does not know."""
    if dims is None:
        return value
    if isinstance(value, Fixed):
        return Fixed(dims) if value.dims is None and None not in dims else value
    if not isinstance(value, Rows) or len(dims) != value.rank:
        return value
    known = (told if own is None else own for own, told in zip(value.dims, dims, strict=True))
    return Rows(value.axis, tuple(known))


def _inferred(model: Any, inputs: Sequence[Tensor]) -> dict[str, Dims]:
    """Sizes of what lies between inputs and outputs, as ONNX infers them."""
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    del bare.graph.value_info[:]
    shapes = {tensor.name: tensor.shape for tensor in inputs}
    for value in bare.graph.input:
        for dimension, size in zip(
            value.type.tensor_type.shape.dim, shapes.get(value.name, ()), strict=False
        ):
            dimension.Clear()
            if size > 0:
                dimension.dim_value = size
            else:
                dimension.dim_param = "N"
    for value in bare.graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        inferred = onnx.shape_inference.infer_shapes(bare, data_prop=True)
    except Exception:  # noqa: BLE001 (rules that need a size say so)
        return {}
    return {
        value.name: _dims(value.type.tensor_type.shape)
        for value in inferred.graph.value_info
        if value.type.tensor_type.HasField("shape")
    }


def _dims(shape: Any) -> Dims:
    return tuple(int(each.dim_value) if each.HasField("dim_value") else None for each in shape.dim)
