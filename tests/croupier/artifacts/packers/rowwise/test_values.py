"""Broadcasting as NumPy does it, of arrays in which each entry is the row that it came from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.artifacts.packers.rowwise.values import (
    BATCH,
    Dependent,
    Fixed,
    Rows,
    Sizes,
    Value,
    broadcast,
    product,
)

N = 5
sizes = st.sampled_from([1, 2, 3])


@st.composite
def values(draw: st.DrawFn) -> Value:
    dims = draw(st.lists(sizes, max_size=3))
    if draw(st.booleans()):
        return Fixed(tuple(dims))
    axis = draw(st.integers(0, len(dims)))
    known = [None if draw(st.integers(0, 4)) == 0 else size for size in dims]
    return Rows(axis, (*known[:axis], None, *known[axis:]))


def array_of(value: Value) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """The number of its row in each entry, and 0 in what is fixed; unknown sizes are 1."""
    assert not isinstance(value, Sizes)
    assert value.dims is not None
    if isinstance(value, Fixed):
        return np.zeros(value.dims, np.int64)
    shape = [N if at == value.axis else size or 1 for at, size in enumerate(value.dims)]
    numbers = np.arange(1, N + 1).reshape([-1 if at == value.axis else 1 for at in range(value.rank)])
    return np.broadcast_to(numbers, shape)


@given(st.lists(values(), min_size=1, max_size=3))
def test_each_entry_comes_from_one_row(several: list[Value]) -> None:
    try:
        found = broadcast(several)
    except Dependent:
        return
    arrays = [array_of(each) for each in several]
    try:
        shape = np.broadcast_shapes(*(each.shape for each in arrays))
    except ValueError:
        # What fails with any number of rows mixes none.
        return
    assert not isinstance(found, Sizes)
    assert found.dims is not None
    assert len(found.dims) == len(shape)
    known = [size or have for size, have in zip(found.dims, shape, strict=True)]
    if isinstance(found, Rows):
        known[found.axis] = N
        places = np.moveaxis(np.stack([np.broadcast_to(each, shape) for each in arrays]), 1 + found.axis, 0)
        for row, entries in enumerate(places, 1):
            assert set(np.unique(entries)) <= {0, row}
    assert known == list(shape)


@pytest.mark.parametrize(
    ("several", "says"),
    [
        ([Rows(0, (None, 3)), Fixed((2, 3))], "another value for each place"),
        ([Rows(0, (None, 3)), Fixed(None)], "another value for each place"),
        ([Rows(0, (None,)), Rows(0, (None, 1))], "along another dimension"),
        ([Rows(0, (None,)), Sizes(np.array([BATCH], object))], "the number of rows"),
        ([Fixed(()), Sizes(np.array([BATCH], object))], "the number of rows"),
    ],
)
def test_what_would_meet_another_rows_place_is_refused(several: list[Value], says: str) -> None:
    with pytest.raises(Dependent, match=says):
        broadcast(several)


def test_a_size_of_which_nothing_is_known_may_be_any() -> None:
    one = broadcast([Rows(0, (None, None)), Fixed((1,))])
    assert one == Rows(0, (None, None))
    assert broadcast([Rows(0, (None, None)), Fixed((3,))]) == Rows(0, (None, 3))
    assert broadcast([Fixed(None), Fixed((3,))]) == Fixed(None)


def test_a_rows_entries_are_counted_without_the_batch() -> None:
    assert Rows(1, (2, 7, 3)).per_row == 6
    assert Rows(1, (2, None, 3)).per_row == 6
    assert Rows(1, (None, 7, 3)).per_row is None
    assert Rows(0, (None,)).per_row == 1
    assert (product([]), product([2, 0]), product([2, None, 0])) == (1, 0, None)


def test_rows_lie_in_order_behind_nothing_but_ones() -> None:
    assert Rows(0, (None, 3)).is_in_order
    assert Rows(2, (1, 1, None)).is_in_order
    assert not Rows(1, (2, None)).is_in_order
    assert not Rows(1, (None, 4)).is_in_order


def test_the_number_of_rows_is_shown_as_in_shapes() -> None:
    assert repr(Sizes(np.array([BATCH, 3], object)).entries.tolist()) == "[N, 3]"
