"""What compares hands never reads beside them."""

import numpy as np
import pytest

from sharding.slots import add_up, count_marked, count_shared, mark_new

BEGINS = np.array([0, 2, 2, 3])
SLOTS = np.array([0, 1, 1], np.int32)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def test_hands_are_compared() -> None:
    out = ints(9, 9, 9, 9)
    count_shared(BEGINS, SLOTS, ints(0, 0, 1, 2), ints(0, 2, 0, 0), 2, out)
    assert out.tolist() == [2, 1, 0, 1]
    new = np.full(3, 9, np.uint8)
    mark_new(ints(0, 1, 2, 2), np.array([1, 0], np.int32), BEGINS, SLOTS, 2, new)
    assert new.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("begins", "slots", "some", "others", "cells"),
    [
        (BEGINS, SLOTS, ints(3), ints(0), 2),
        (BEGINS, SLOTS, ints(0), ints(-1), 2),
        (BEGINS, SLOTS, ints(0), ints(0, 1), 2),
        (BEGINS, SLOTS, ints(0), ints(0), 1),
        (BEGINS, np.array([0, -1, 1], np.int32), ints(0), ints(0), 2),
        (ints(0, 9), SLOTS, ints(0), ints(0), 2),
        (ints(-1, 3), SLOTS, ints(0), ints(0), 2),
        (ints(2, 1, 3), SLOTS, ints(0), ints(0), 2),
    ],
)
def test_what_is_none_is_refused(begins, slots, some, others, cells) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - several kinds of it
        count_shared(begins, slots, some, others, cells, ints(0))


def test_hands_of_others_and_cells_that_are_none() -> None:
    new = np.zeros(3, np.uint8)
    with pytest.raises(ValueError, match="other tenants"):
        mark_new(ints(0, 2), SLOTS, BEGINS, SLOTS, 2, new)
    with pytest.raises(ValueError, match="other tenants"):
        mark_new(BEGINS, SLOTS, BEGINS, SLOTS, 2, new[:2])
    with pytest.raises(ValueError, match="no such cell"):
        mark_new(BEGINS, SLOTS, BEGINS, SLOTS, 1, new)


def test_what_is_added_up() -> None:
    marks, out = np.array([0, 2, 0], np.uint8), ints(9, 9, 9)
    count_marked(BEGINS, marks, out)
    assert out.tolist() == [1, 0, 0]
    sums = np.array([100.0, 200.0])
    add_up(BEGINS, SLOTS, marks, np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 30.0]), sums)
    assert sums.tolist() == [101.0, 213.0]


def test_sums_of_what_is_none_are_refused() -> None:
    marks, out, words = np.zeros(3, np.uint8), ints(9, 9, 9), np.ones(3)
    for begins, of, to in (
        (BEGINS, marks, out[:2]),
        (BEGINS, marks[:2], out),
        (ints(0, 2, 1, 3), marks, out),
    ):
        with pytest.raises(ValueError, match=r"tenants|follow"):
            count_marked(begins, of, to)
    for of, said, cells in ((marks[:2], words, 2), (marks, words[:2], 2), (marks, words, 1)):
        with pytest.raises(ValueError, match=r"as many|no such cell"):
            add_up(BEGINS, SLOTS, of, said, words, np.zeros(cells))
