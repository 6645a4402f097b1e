"""Operators that multiply rows with what was learned: matrices, filters, trees, recurrent cells."""

from __future__ import annotations

from croupier.artifacts.packers.rowwise.node import Node, Outputs
from croupier.artifacts.packers.rowwise.values import Dependent, Dims, Fixed, Rows, Sizes, Value, broadcast


def matmul(node: Node) -> Outputs:
    """NumPy's: the last two dimensions are matrices, those before are broadcast."""
    left, right = node.value(0), node.value(1)
    if isinstance(left, Sizes) or isinstance(right, Sizes):
        raise Dependent("computes with the number of rows")
    if isinstance(left, Fixed) and isinstance(right, Fixed):
        return [Fixed(None)]
    if left.dims is None or right.dims is None:
        raise Dependent("multiplies with a matrix of an unknown shape")
    if not left.dims or not right.dims:
        raise Dependent("multiplies with no matrix")
    # As NumPy does, a vector is a matrix of one row, or column, which goes again.
    stacked = [_stack(left, -2), _stack(right, -1)]
    for value, summed in zip(stacked, (-1, -2), strict=True):
        if isinstance(value, Rows) and value.axis == value.rank + summed:
            raise Dependent(f"sums along axis {value.axis}, the batch")
    made = _product(*stacked)
    for place, value in ((-2, left), (-1, right)):
        if len(value.dims or ()) == 1:
            made = _drop(made, place)
    return [made]


def _stack(value: Rows | Fixed, place: int) -> Rows | Fixed:
    """A matrix, of a vector too."""
    dims = value.dims
    assert dims is not None
    if len(dims) > 1:
        return value
    return _replace(value, (1, *dims) if place == -2 else (*dims, 1), moved=int(place == -2))


def _product(left: Rows | Fixed, right: Rows | Fixed) -> Rows:
    """Rows of the left matrix become rows of the result, columns of the right one columns."""
    assert left.dims is not None
    assert right.dims is not None
    rows, columns = left.dims[-2], right.dims[-1]
    # Only what is summed goes, so each operand is broadcast as it would be with 1 in place of the sum.
    made = broadcast(
        [_replace(left, (*left.dims[:-2], rows, 1)), _replace(right, (*right.dims[:-2], 1, columns))]
    )
    if not isinstance(made, Rows):
        raise Dependent("takes no rows")
    return made


def _replace(value: Rows | Fixed, dims: Dims, moved: int = 0) -> Rows | Fixed:
    return Rows(value.axis + moved, dims) if isinstance(value, Rows) else Fixed(dims)


def _drop(rows: Rows, place: int) -> Rows:
    axis = rows.rank + place
    return Rows(rows.axis - (axis < rows.axis), rows.dims[:axis] + rows.dims[axis + 1 :])


def gemm(node: Node) -> Outputs:
    """A · B + C, of matrices that may be turned first."""
    left, right = (_turned(node.value(place), node.number(name, 0)) for place, name in _TURNS)
    made = matmul(Node("MatMul", node.opset, (left, right)))[0]
    added = node.get(2)
    return [made if added is None else broadcast([made, added])]


_TURNS = ((0, "transA"), (1, "transB"))


def _turned(value: Value, is_turned: int) -> Value:
    if not is_turned or isinstance(value, Sizes) or value.dims is None:
        return value
    if len(value.dims) != 2:
        raise Dependent("multiplies with no matrix")
    dims = value.dims[::-1]
    return Rows(1 - value.axis, dims) if isinstance(value, Rows) else Fixed(dims)


def distances(node: Node) -> Outputs:
    """CDist: from each row to each of what was learned."""
    node.matrix()
    node.has_fixed([1])
    far = node.value(1)
    return [Rows(0, (None, far.dims[0] if isinstance(far, Fixed) and far.dims else None))]


def convolution(node: Node) -> Outputs:
    """Filters and pools: the first dimension is the batch, the second channels, the others are free.

    The second output of a pool is places in the tensor as a whole, so it has no rule.
    """
    value = node.rows()
    node.has_fixed(range(1, len(node.inputs)))
    if value.axis != 0 or value.rank < 3:
        raise Dependent("is not given a batch of channels")
    return [Rows(0, (None,) * value.rank)]


def global_pool(node: Node) -> Outputs:
    value = node.rows()
    if value.axis != 0 or value.rank < 3:
        raise Dependent("is not given a batch of channels")
    return [Rows(0, (*value.dims[:2], *(1,) * (value.rank - 2)))]


def recurrent(node: Node) -> Outputs:
    """LSTM, GRU, RNN: time first, then the batch; the outputs have directions before it."""
    value = node.rows()
    if node.number("layout", 0) or value.axis != 1 or value.rank != 3:
        raise Dependent("has the batch in another place")
    node.has_fixed([1, 2, 3, 7])
    for place in (4, 5, 6):
        state = node.get(place)
        # The lengths, and the states that a sequence begins with.
        if state is not None and not (isinstance(state, Rows) and state.axis == (0 if place == 4 else 1)):
            raise Dependent("begins with states that are not the rows' own")
    last = Rows(1, (None, None, None))
    return [Rows(2, (value.dims[0], None, None, None)), last, last]


def regressor(node: Node) -> Outputs:
    """Trees, linear models and support vectors of ai.onnx.ml: a row of numbers becomes a row of numbers."""
    node.matrix()
    return [Rows(0, (None, node.number("n_targets", node.number("targets", 1))))]


def classifier(node: Node) -> Outputs:
    """A label for each row, and its scores."""
    node.matrix()
    return [Rows(0, (None,)), Rows(0, (None, None))]
