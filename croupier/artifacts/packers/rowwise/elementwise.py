"""Operators that compute each entry from the entries at its own place."""

from __future__ import annotations

import numpy as np

from croupier.artifacts.packers.rowwise.node import Node, Outputs
from croupier.artifacts.packers.rowwise.values import Dependent, Drawn, Fixed, Rows, Sizes, broadcast


def unary(node: Node) -> Outputs:
    return [broadcast([node.value(0)])]


def binary(node: Node) -> Outputs:
    return [broadcast(node.given())]


def same(node: Node) -> Outputs:
    return [node.value(0)]


def cast(node: Node) -> Outputs:
    """A number of rows that becomes anything but a whole number is about to be computed with."""
    value = node.value(0)
    if isinstance(value, Sizes) and node.number("to") not in _WHOLE:
        raise Dependent("computes with the number of rows")
    return [value if isinstance(value, Sizes | Rows) else Fixed(value.dims, _as_whole(node, value))]


# INT32 and INT64 of TensorProto.DataType.
_WHOLE = (6, 7)


def _as_whole(node: Node, value: Fixed) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]] | None:
    if value.value is None or value.value.dtype.kind not in "iu" or node.number("to") not in _WHOLE:
        return None
    return value.value.astype(np.int64)


def clip(node: Node) -> Outputs:
    node.has_fixed(range(1, 3))
    return unary(node)


def dropout(node: Node) -> Outputs:
    """Drops nothing unless it trains."""
    training = node.get(2)
    if training is not None and not (
        isinstance(training, Fixed) and training.value is not None and not training.value.any()
    ):
        raise Drawn("drops values at random")
    return [*unary(node), *unary(node)]


def quantize(node: Node) -> Outputs:
    """With a scale for all, or for each entry along an axis that is not the batch."""
    node.has_fixed(range(1, 3))
    value, scale = node.value(0), node.value(1)
    if not isinstance(value, Rows) or not isinstance(scale, Fixed):
        return unary(node)
    if node.number("block_size", 0) or scale.dims is None or len(scale.dims) > 1:
        raise Dependent("has scales by block")
    if scale.dims not in ((), (1,)) and node.axis(value.rank, 1) == value.axis:
        raise Dependent("has another scale for each place in the batch")
    return unary(node)
