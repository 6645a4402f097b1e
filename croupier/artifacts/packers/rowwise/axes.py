"""Operators that work along some of the dimensions, which must not be the batch."""

from __future__ import annotations

from croupier.artifacts.packers.rowwise.node import Node, Outputs, keep_batch, within
from croupier.artifacts.packers.rowwise.values import Dependent, Fixed, Rows, Value


def reduction(node: Node) -> Outputs:
    """`axes` is an attribute, and since opset 13 or 18 an input; none means all of them."""
    value = node.value(0)
    axes = node.numbers("axes", 1)
    if not isinstance(value, Rows):
        return _fixed(value)
    if not axes:
        if node.number("noop_with_empty_axes", 0):
            return [value]
        raise Dependent("works along all axes, the batch among them")
    return [_without(value, axes, bool(node.number("keepdims", 1)))]


def arg(node: Node) -> Outputs:
    value = node.value(0)
    if not isinstance(value, Rows):
        return _fixed(value)
    return [_without(value, [node.number("axis", 0)], bool(node.number("keepdims", 1)))]


def _without(rows: Rows, axes: list[int], keep: bool) -> Rows:
    gone = {within(axis, rows.rank) for axis in axes}
    keep_batch(rows, sorted(gone))
    if keep:
        return Rows(rows.axis, tuple(1 if place in gone else size for place, size in enumerate(rows.dims)))
    dims = tuple(size for place, size in enumerate(rows.dims) if place not in gone)
    return Rows(rows.axis - sum(place < rows.axis for place in gone), dims)


def softmax(node: Node) -> Outputs:
    """Along one axis; before opset 13 along all from one on."""
    value = node.value(0)
    if not isinstance(value, Rows):
        return _fixed(value)
    if node.opset >= 13:
        keep_batch(value, [node.axis(value.rank, -1)])
    else:
        keep_batch(value, range(node.axis(value.rank, 1), value.rank))
    return [value]


def along_one(node: Node) -> Outputs:
    """LpNormalization and the like, whose axis is the last one if nothing is said."""
    value = node.rows()
    node.has_fixed(range(1, len(node.inputs)))
    keep_batch(value, [node.axis(value.rank, -1)])
    return [value]


def cumulative_sum(node: Node) -> Outputs:
    value = node.rows()
    axes = node.numbers("axis", 1)
    if not axes:
        raise Dependent("does not say its axis")
    keep_batch(value, [within(axes[0], value.rank)])
    return [value]


def layer_normalization(node: Node) -> Outputs:
    """Over all axes from one on. Its other outputs, a mean and a deviation, have 1 for these."""
    value = node.rows()
    node.has_fixed(range(1, len(node.inputs)))
    first = node.axis(value.rank, -1)
    keep_batch(value, range(first, value.rank))
    for place in range(1, len(node.inputs)):
        parameter = node.get(place)
        # It is broadcast from the right, so one of a higher rank would reach the batch.
        if isinstance(parameter, Fixed) and (
            parameter.dims is None or len(parameter.dims) > value.rank - first
        ):
            raise Dependent("has another scale for each place in the batch")
    left = Rows(value.axis, value.dims[:first] + (1,) * (value.rank - first))
    return [value, left, left]


def batch_normalization(node: Node) -> Outputs:
    """With the mean that was learned: in training it is the batch's own."""
    value = node.rows()
    node.has_fixed(range(1, 5))
    if node.number("training_mode", 0) or node.outputs > 1:
        raise Dependent("takes mean and variance of the batch")
    if value.axis != 0 or value.rank < 2:
        raise Dependent("is not given a batch of channels")
    return [value]


def channel_normalization(node: Node) -> Outputs:
    """Instance and group normalization, and LRN: over what one row has of a channel or several."""
    value = node.rows()
    node.has_fixed(range(1, 3))
    if value.axis != 0 or value.rank < 3:
        raise Dependent("normalizes along the batch")
    return [value]


def top(node: Node) -> Outputs:
    """The largest ones along an axis, and their places."""
    value = node.rows()
    count = node.numbers("k", 1)
    axis = node.axis(value.rank, -1)
    keep_batch(value, [axis])
    dims = list(value.dims)
    dims[axis] = count[0] if count else None
    made = Rows(value.axis, tuple(dims))
    return [made, made]


def row_vectors(node: Node) -> Outputs:
    """What ai.onnx.ml computes with the numbers of a row, and gives as many of: Scaler, Imputer,
    Normalizer.
    """
    return [node.matrix()]


def text_counts(node: Node) -> Outputs:
    """TfIdfVectorizer: of a row of tokens, a row of numbers."""
    node.matrix()
    return [Rows(0, (None, None))]


def _fixed(value: Value) -> Outputs:
    if isinstance(value, Fixed):
        return [Fixed(None), Fixed(None)]
    raise Dependent("computes with the number of rows")
