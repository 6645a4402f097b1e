"""Operators that move entries and compute none: what was one row stays one, in whatever dimension."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from croupier.artifacts.packers.rowwise.node import Node, Outputs, entries, keep_batch, within
from croupier.artifacts.packers.rowwise.values import (
    BATCH,
    Dependent,
    Dims,
    Fixed,
    Rows,
    Sizes,
    Value,
    product,
)


def transpose(node: Node) -> Outputs:
    value = node.rows()
    order = node.numbers("perm") or list(reversed(range(value.rank)))
    return [Rows(order.index(value.axis), tuple(value.dims[place] for place in order))]


def reshape(node: Node) -> Outputs:
    """To a shape that has the batch whole, with nothing but 1 before it: rows lie one after another, before
    and after.
    """
    value = node.value(0)
    target = node.attributes["shape"] if "shape" in node.attributes else entries(node.value(1))
    if isinstance(value, Sizes):
        # One number that becomes a list of one, or the other way.
        return [_shape_of_sizes(value, target)]
    if isinstance(value, Fixed):
        return [_reshaped_fixed(value, target)]
    if target is None:
        raise Dependent("computes the shape that it gives")
    return [_reshaped(value, list(target), bool(node.number("allowzero", 0)))]


def _reshaped(rows: Rows, target: list[Any], zero_is_zero: bool) -> Rows:
    if not rows.is_in_order:
        raise Dependent("lays out anew what has other dimensions before the batch")
    sizes = [
        _copied(rows, place) if size == 0 and not zero_is_zero else size for place, size in enumerate(target)
    ]
    if 0 in sizes:
        raise Dependent("gives nothing")
    named = [place for place, size in enumerate(sizes) if size is BATCH]
    if not named:
        # The rest has what a row has, so what is left for -1 is the batch.
        rest = product(size for size in sizes if size != -1)
        if rest is None or rest != rows.per_row or -1 not in sizes:
            raise Dependent("mixes the batch with other dimensions")
        named = [sizes.index(-1)]
    elif -1 in sizes:
        rest = product(size for size in sizes if size not in (-1, BATCH))
        whole = rows.per_row
        free = None if whole is None or not rest else whole // rest
        sizes = [free if size == -1 else size for size in sizes]
    if len(named) != 1 or any(size != 1 for size in sizes[: named[0]]):
        raise Dependent("mixes the batch with other dimensions")
    return Rows(named[0], tuple(None if size is BATCH else size for size in sizes))


def _copied(rows: Rows, place: int) -> Any:
    """What 0 stands for: the size that the input has there."""
    if place >= rows.rank:
        raise Dependent("copies a dimension that is not there")
    return BATCH if place == rows.axis else rows.dims[place]


def _shape_of_sizes(value: Sizes, target: Any) -> Sizes:
    if target is None or BATCH in list(np.ravel(target)):
        raise Dependent("computes with the number of rows")
    return Sizes(value.entries.reshape([int(size) for size in target]))


def _reshaped_fixed(value: Fixed, target: Any) -> Fixed:
    if target is not None and BATCH in list(target):
        raise Dependent("gives what is no row of its own to each row")
    if value.value is not None and target is not None and 0 not in list(target):
        return Fixed.of(value.value.reshape([int(size) for size in target]))
    return Fixed(None)


def flatten(node: Node) -> Outputs:
    """To two dimensions: those before an axis, and those from it on."""
    value = node.rows()
    axis = node.number("axis", 1)
    axis = axis if axis == value.rank else within(axis, value.rank)
    before, after = value.dims[:axis], value.dims[axis:]
    if value.axis < axis:
        others, made = _others(before, value.axis), Rows(0, (None, product(after)))
    else:
        others, made = _others(after, value.axis - axis), Rows(1, (product(before), None))
    if any(size != 1 for size in others):
        raise Dependent("mixes the batch with other dimensions")
    return [made]


def _others(dims: Dims, place: int) -> Dims:
    return dims[:place] + dims[place + 1 :]


def squeeze(node: Node) -> Outputs:
    value = node.value(0)
    # To ONNX Runtime no axes are as if nothing was said: it drops all dimensions of 1.
    axes = node.numbers("axes", 1) or None
    if isinstance(value, Sizes):
        return [Sizes(np.squeeze(value.entries, None if axes is None else tuple(axes)))]
    if isinstance(value, Fixed):
        return [_moved(value, lambda array: np.squeeze(array, None if axes is None else tuple(axes)))]
    if axes is None:
        raise Dependent("drops the batch where it is one row")
    gone = {within(axis, value.rank) for axis in axes}
    keep_batch(value, sorted(gone))
    dims = tuple(size for place, size in enumerate(value.dims) if place not in gone)
    return [Rows(value.axis - sum(place < value.axis for place in gone), dims)]


def unsqueeze(node: Node) -> Outputs:
    value = node.value(0)
    axes = node.numbers("axes", 1) or []
    if isinstance(value, Sizes):
        return [Sizes(np.expand_dims(value.entries, tuple(axes)))]
    if isinstance(value, Fixed):
        return [_moved(value, lambda array: np.expand_dims(array, tuple(axes)))]
    rank = value.rank + len(axes)
    new = {within(axis, rank) for axis in axes}
    old = [place for place in range(rank) if place not in new]
    dims: list[int | None] = [1] * rank
    for place, size in zip(old, value.dims, strict=True):
        dims[place] = size
    return [Rows(old[value.axis], tuple(dims))]


def _moved(value: Fixed, move: Any) -> Fixed:
    return Fixed(None) if value.value is None else Fixed.of(move(value.value))


def concat(node: Node) -> Outputs:
    """Rows beside rows; sizes to a shape."""
    values = node.given()
    rows = [value for value in values if isinstance(value, Rows)]
    if not rows:
        return [_joined(values, node.number("axis", 0))]
    first = rows[0]
    if any(
        not isinstance(value, Rows) or (value.axis, value.rank) != (first.axis, first.rank)
        for value in values
    ):
        raise Dependent("joins rows and what is none of them")
    axis = within(node.number("axis", 1), first.rank)
    keep_batch(first, [axis])
    sizes = [value.dims[axis] for value in rows]
    dims = list(first.dims)
    dims[axis] = None if None in sizes else sum(size or 0 for size in sizes)
    return [Rows(first.axis, tuple(dims))]


def _joined(values: Sequence[Value], axis: int) -> Value:
    parts = [entries(value) for value in values]
    if any(part is None for part in parts):
        if any(isinstance(value, Sizes) for value in values):
            raise Dependent("computes with the number of rows")
        return Fixed(None)
    return sizes_of(np.concatenate(parts, axis))


def split(node: Node) -> Outputs:
    value = node.rows()
    axis = node.axis(value.rank, 0)
    keep_batch(value, [axis])
    parts: Sequence[int | None] = node.numbers("split", 1) or [None] * node.outputs
    return [Rows(value.axis, _with_size(value.dims, axis, part)) for part in parts]


def _with_size(dims: Dims, axis: int, size: int | None) -> Dims:
    return (*dims[:axis], size, *dims[axis + 1 :])


def cut(node: Node) -> Outputs:
    """Slice."""
    value, known = node.value(0), entries(node.value(0))
    starts, ends = node.numbers("starts", 1), node.numbers("ends", 2)
    if starts is None or ends is None:
        raise Dependent("does not say where it cuts")
    axes = node.numbers("axes", 3) or list(range(len(starts)))
    steps = node.numbers("steps", 4) or [1] * len(starts)
    spans = [slice(*span) for span in zip(starts, ends, steps, strict=True)]
    if known is not None and known.ndim == 1:
        return [sizes_of(known[spans[0]])]
    if not isinstance(value, Rows):
        return _fixed(value)
    at = [within(axis, value.rank) for axis in axes]
    keep_batch(value, at)
    dims = value.dims
    for axis, span in zip(at, spans, strict=True):
        size = dims[axis]
        dims = _with_size(dims, axis, None if size is None else len(range(size)[span]))
    return [Rows(value.axis, dims)]


def _fixed(value: Value) -> Outputs:
    if isinstance(value, Sizes):
        raise Dependent("computes with the number of rows")
    return [Fixed(None)]


def gather(node: Node) -> Outputs:
    """Entries of rows by fixed places, or of a table by the rows' places."""
    value, places = node.value(0), node.value(1)
    known, chosen = entries(value), entries(places)
    if known is not None and known.ndim == 1 and chosen is not None and isinstance(places, Fixed):
        return [sizes_of(np.take(known, chosen.astype(np.int64)))]
    if isinstance(value, Sizes) or isinstance(places, Sizes):
        raise Dependent("computes with the number of rows")
    if isinstance(value, Rows) and isinstance(places, Rows):
        raise Dependent("takes entries of other rows")
    if value.dims is None or places.dims is None:
        raise Dependent("takes entries of an unknown shape")
    axis = node.axis(len(value.dims), 0)
    dims = value.dims[:axis] + places.dims + value.dims[axis + 1 :]
    if isinstance(value, Rows):
        keep_batch(value, [axis])
        return [Rows(value.axis + (len(places.dims) - 1 if axis < value.axis else 0), dims)]
    return [Rows(axis + places.axis, dims) if isinstance(places, Rows) else Fixed(dims)]


def gather_elements(node: Node) -> Outputs:
    """Entries along an axis by places of the same rank."""
    value, places = node.rows(0), node.rows(1)
    if (value.axis, value.rank) != (places.axis, places.rank):
        raise Dependent("takes entries of other rows")
    keep_batch(value, [node.axis(value.rank, 0)])
    return [places]


def feature_extractor(node: Node) -> Outputs:
    """Of the last dimension, those at fixed places; or of a table of labels, the rows' ones, which are then
    the last dimension.
    """
    value, places = node.value(0), node.value(1)
    if isinstance(value, Rows) and isinstance(places, Fixed):
        keep_batch(value, [value.rank - 1])
        many = None if places.dims is None else product(places.dims)
        return [Rows(value.axis, (*value.dims[:-1], many))]
    if isinstance(value, Fixed) and isinstance(places, Rows) and places.per_row == 1 and value.dims:
        before = (1,) if len(value.dims) == 1 else value.dims[:-1]
        return [Rows(len(before), (*before, None))]
    raise Dependent("takes entries of other rows")


def expand(node: Node) -> Outputs:
    """To a shape, by the rules of broadcasting: what is fixed may become the same for each row."""
    value, target = node.value(0), entries(node.value(1))
    if target is None or isinstance(value, Sizes):
        raise Dependent("computes the shape that it gives")
    if isinstance(value, Fixed) and BATCH not in list(target):
        return [Fixed(None)]
    return [_spread(value, list(target))]


def _spread(value: Rows | Fixed, target: list[Any]) -> Rows:
    dims = value.dims
    if dims is None:
        raise Dependent("spreads an unknown shape")
    rank = max(len(dims), len(target))
    have: list[Any] = [1] * (rank - len(dims)) + list(dims)
    want = [1] * (rank - len(target)) + target
    if isinstance(value, Rows):
        have[rank - value.rank + value.axis] = BATCH
    axes = {place for place, sizes in enumerate(zip(have, want, strict=True)) if BATCH in sizes}
    if len(axes) != 1:
        raise Dependent("lays the batch along another dimension")
    axis = axes.pop()
    if any(size is not BATCH and size != 1 for size in (have[axis], want[axis])):
        raise Dependent("has another value for each place in the batch")
    return Rows(
        axis,
        tuple(
            max(h, w) if None not in (h, w) and axis != place else None
            for place, (h, w) in enumerate(zip(have, want, strict=True))
        ),
    )


def filled(node: Node) -> Outputs:
    """ConstantOfShape."""
    target = entries(node.value(0))
    if target is None:
        raise Dependent("computes the shape that it gives")
    sizes = list(np.ravel(target))
    if BATCH not in sizes:
        return [Fixed(tuple(sizes))]
    return [_spread(Fixed((1,) * len(sizes)), sizes)]


def tile(node: Node) -> Outputs:
    """Repeats; what is one entry long where the batch is told is repeated for each row."""
    value, repeats = node.value(0), entries(node.value(1))
    if repeats is None or isinstance(value, Sizes) or value.dims is None or len(repeats) != len(value.dims):
        raise Dependent("repeats nobody knows how often")
    if isinstance(value, Fixed) and BATCH not in list(repeats):
        return [Fixed(None)]
    axis = value.axis if isinstance(value, Rows) else list(repeats).index(BATCH)
    own = 1 if isinstance(value, Rows) else BATCH
    if repeats[axis] != own or list(repeats).count(BATCH) != (own is BATCH):
        raise Dependent("repeats rows")
    if isinstance(value, Fixed) and value.dims[axis] != 1:
        raise Dependent("has another value for each place in the batch")
    dims = (
        None if place == axis or size is None else size * times
        for place, (size, times) in enumerate(zip(value.dims, repeats, strict=True))
    )
    return [Rows(axis, tuple(dims))]


def pad(node: Node) -> Outputs:
    value = node.rows()
    widths = node.numbers("pads", 1)
    node.has_fixed([2])
    axes = node.numbers("axes", 3) or list(range(value.rank))
    if widths is None or len(widths) != 2 * len(axes):
        raise Dependent("does not say how much it adds")
    dims = value.dims
    for place, axis in enumerate(within(axis, value.rank) for axis in axes):
        added = widths[place], widths[place + len(axes)]
        if axis == value.axis and added != (0, 0):
            keep_batch(value, [axis])
        size = dims[axis]
        dims = _with_size(dims, axis, None if size is None else size + sum(added))
    return [Rows(value.axis, dims)]


def one_hot(node: Node) -> Outputs:
    """A dimension more, which is as wide as fixed numbers say."""
    value = node.rows()
    node.has_fixed(range(1, 3))
    axis = node.axis(value.rank + 1, -1)
    return [Rows(value.axis + (axis <= value.axis), (*value.dims[:axis], None, *value.dims[axis:]))]


def category_columns(node: Node) -> Outputs:
    """OneHotEncoder of ai.onnx.ml."""
    value = node.rows()
    return [Rows(value.axis, (*value.dims, None))]


def features_side_by_side(node: Node) -> Outputs:
    """FeatureVectorizer: rows of numbers, joined."""
    for place in range(len(node.inputs)):
        node.matrix(place)
    return [Rows(0, (None, None))]


def space_and_depth(node: Node) -> Outputs:
    """DepthToSpace, SpaceToDepth: blocks of a picture."""
    value = node.rows()
    if value.axis != 0 or value.rank != 4:
        raise Dependent("is not given a batch of pictures")
    return [Rows(0, (None,) * 4)]


def shape(node: Node) -> Outputs:
    """The one place where the number of rows becomes a number."""
    value = node.value(0)
    dims = value.entries.shape if isinstance(value, Sizes) else value.dims
    if dims is None:
        return [Fixed(None)]
    sizes: list[Any] = list(dims)
    if isinstance(value, Rows):
        sizes[value.axis] = BATCH
    return [sizes_of(np.array(sizes[node.number("start", 0) : node.number("end")], object))]


def sizes_of(array: Any) -> Value:
    """As a fixed value, where all entries are known and none is the number of rows."""
    made = np.asarray(array, object)
    numbers = list(made.ravel())
    if BATCH in numbers or None in numbers:
        return Sizes(made)
    return Fixed.of(made.astype(np.int64))
