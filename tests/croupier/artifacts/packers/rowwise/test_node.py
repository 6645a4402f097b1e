"""What a rule may ask a node for, and what it is refused: parameters that a request could set."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.artifacts.packers.rowwise.node import Node, entries, keep_batch, within
from croupier.artifacts.packers.rowwise.values import BATCH, Dependent, Fixed, Rows, Sizes, Value

ROWS = Rows(0, (None, 3))
SIZES = Sizes(np.array([BATCH, 3], object))


def node(*inputs: Value | None, **attributes: Any) -> Node:
    return Node("Any", 17, inputs, attributes)


def test_an_input_that_is_left_out_is_none() -> None:
    asked = node(ROWS, None, SIZES)
    assert [asked.get(place) for place in range(4)] == [ROWS, None, SIZES, None]
    assert asked.given() == [ROWS, SIZES]
    assert asked.value(0) == asked.rows() == asked.matrix() == ROWS
    for place in (1, 3):
        with pytest.raises(Dependent, match=f"has no input {place}"):
            asked.value(place)
    with pytest.raises(Dependent, match="takes no rows as input 2"):
        asked.rows(2)


@pytest.mark.parametrize("given", [Rows(0, (None,)), Rows(1, (3, None)), Rows(0, (None, 3, 1))])
def test_a_matrix_has_a_row_for_each_place(given: Rows) -> None:
    with pytest.raises(Dependent, match="a row for each place"):
        node(given).matrix()


def test_parameters_are_fixed_or_left_out() -> None:
    node(ROWS, Fixed((3,)), None).has_fixed(range(1, 9))
    for each in (ROWS, SIZES):
        with pytest.raises(Dependent, match="from the request"):
            node(ROWS, Fixed((3,)), each).has_fixed([1, 2])


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (node(ROWS, axes=[0, -1]), [0, -1]),
        (node(ROWS, axes=2), [2]),
        (node(ROWS, Fixed.of(np.array([1, 2]))), [1, 2]),
        (node(ROWS, Fixed.of(np.array(4))), [4]),
        (node(ROWS, Fixed.of(np.array([], np.int64))), []),
        (node(ROWS, axes=[]), []),
        (node(ROWS, None), None),
        (node(ROWS), None),
        # What an attribute says goes before an input, which its opset does not have.
        (node(ROWS, ROWS, axes=[1]), [1]),
    ],
)
def test_numbers_are_an_attributes_or_an_inputs(asked: Node, found: list[int] | None) -> None:
    assert asked.numbers("axes", 1) == found


@pytest.mark.parametrize("given", [ROWS, SIZES, Fixed((2,)), Fixed(None)])
def test_numbers_that_are_computed_are_refused(given: Value) -> None:
    with pytest.raises(Dependent, match="computes its axes"):
        node(ROWS, given).numbers("axes", 1)
    assert node(ROWS, given).numbers("axes") is None


@given(st.integers(-9, 9), st.integers(0, 5))
def test_an_axis_is_counted_as_python_counts(axis: int, rank: int) -> None:
    places = list(range(rank))
    try:
        expected = places[axis]
    except IndexError:
        with pytest.raises(Dependent, match=f"has no axis {axis}"):
            within(axis, rank)
    else:
        assert within(axis, rank) == expected == node(ROWS, axis=axis).axis(rank, 0)


def test_the_batch_is_none_of_some_axes() -> None:
    keep_batch(ROWS, [1])
    with pytest.raises(Dependent, match="works along axis 0, the batch"):
        keep_batch(ROWS, range(2))


def test_entries_are_those_of_whole_numbers() -> None:
    assert list(entries(SIZES)) == [BATCH, 3]
    assert list(entries(Fixed.of(np.array([2, 3], np.int32)))) == [2, 3]
    for each in (Fixed((2,)), Fixed.of(np.array([1.0])), ROWS):
        assert entries(each) is None
