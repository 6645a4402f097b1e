"""What is known of a tensor in a graph whose inputs have a row for each of N callers.

There are three cases:

    Rows    one dimension is the batch: entry i along `axis` comes from row i of the inputs, and from nothing
            else. It has N entries for every N.
    Fixed   the same whatever is asked: weights, and what is made from them.
    Sizes   whole numbers, some of them N itself or unknown: what `Shape` makes of rows, good for shapes and
            nothing else.

A dimension is None where it is not known; it is fixed all the same. What is none of the three has no value
here: the operator that would make it raises `Dependent`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Dims: TypeAlias = tuple[int | None, ...]


class Dependent(Exception):
    """Rows depend on each other here, or nobody knows that they do not."""


class Drawn(Dependent):
    """Something here is drawn at random."""


class _Batch:
    """The number of rows, among other sizes."""

    def __repr__(self) -> str:
        return "N"


BATCH = _Batch()


@dataclass(frozen=True, slots=True)
class Rows:
    """`dims[axis]` is the batch, and means nothing itself."""

    axis: int
    dims: Dims

    @property
    def rank(self) -> int:
        return len(self.dims)

    @property
    def per_row(self) -> int | None:
        """How many entries a row has."""
        return product(size for place, size in enumerate(self.dims) if place != self.axis)

    @property
    def is_in_order(self) -> bool:
        """Whether one row's entries lie together in memory, row after row."""
        return all(size == 1 for size in self.dims[: self.axis])


@dataclass(frozen=True, slots=True)
class Fixed:
    """`dims` are None where not even the rank is known; `value` where the entries are not."""

    dims: Dims | None
    value: Array | None = None

    @classmethod
    def of(cls, value: Array) -> Fixed:
        return cls(value.shape, value)


@dataclass(frozen=True, slots=True)
class Sizes:
    """`entries` are of dtype object: numbers, `BATCH`, and None."""

    entries: Array


Value: TypeAlias = Rows | Fixed | Sizes


def product(sizes: Any) -> int | None:
    """None if any of `sizes` is."""
    made = 1
    for size in sizes:
        if size is None:
            return None
        made *= size
    return made


def broadcast(values: Sequence[Value]) -> Value:
    """What NumPy's broadcasting makes of `values`, entry by entry.

    Raises:
        Dependent: the batch of one would meet another dimension of another one.
    """
    rows = [value for value in values if isinstance(value, Rows)]
    known = [value for value in values if not isinstance(value, Sizes)]
    if len(known) < len(values):
        raise Dependent("computes with the number of rows")
    dims = [value.dims for value in known]
    if not rows:
        return Fixed(
            _broadcast_dims([each for each in dims if each is not None]) if None not in dims else None
        )
    # Counted from the right, as broadcasting does.
    place = rows[0].rank - rows[0].axis
    if any(value.rank - value.axis != place for value in rows):
        raise Dependent("lays the batch along another dimension")
    for value in known:
        if isinstance(value, Fixed) and not _lets_rows_be(value, place):
            raise Dependent("has another value for each place in the batch")
    made = _broadcast_dims([each for each in dims if each is not None])
    return Rows(len(made) - place, made)


def _lets_rows_be(value: Fixed, place: int) -> bool:
    """Whether it is the same for all rows: 1 where they have their batch, or of lower rank."""
    return value.dims is not None and (len(value.dims) < place or value.dims[-place] == 1)


def _broadcast_dims(every: Sequence[Dims]) -> Dims:
    rank = max(map(len, every))
    aligned = [(1,) * (rank - len(dims)) + dims for dims in every]
    return tuple(_broadcast_size(sizes) for sizes in zip(*aligned, strict=True))


def _broadcast_size(sizes: Sequence[int | None]) -> int | None:
    """The one that is not 1; unknown if an unknown one could be it."""
    wide = {size for size in sizes if size not in (1, None)}
    if wide:
        return wide.pop()
    return None if None in sizes else 1
