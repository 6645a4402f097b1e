"""A column's changes, one by one as NumPy computes them; and what counts as a category or as missing."""

import math
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from croupier.artifacts.packers.transform.columns import (
    Array,
    Column,
    Fill,
    Member,
    OneHot,
    ScaleShift,
    ShiftScale,
    Table,
    categories,
    category,
    is_missing,
    scaled,
)

numbers = st.floats(-1e9, 1e9) | st.sampled_from([0.0, -0.0, 1.0])
changes = (
    st.builds(ShiftScale, numbers, numbers)
    | st.builds(ScaleShift, numbers, numbers)
    | st.builds(ScaleShift, numbers, numbers, st.just((-1.0, 1.0)))
)
steps = st.lists(changes | st.builds(Fill, numbers) | st.just("indicator"), max_size=4)


def table(missing: float) -> Table:
    return Table(("a", "b"), np.array([3.0, math.nan]), 7.0, missing)


def apply(step: Any, values: Array) -> Array:
    """What a step does to numbers of which some are missing."""
    if step == "indicator":
        return np.isnan(values).astype(np.float64)
    if isinstance(step, Fill):
        return np.where(np.isnan(values), step.value, values)
    return scaled(values, step)


def apply_to(column: Column, step: Any) -> Column:
    if step == "indicator":
        return column.indicator()
    return column.filled(step.value) if isinstance(step, Fill) else column.changed(step)


@given(steps, st.sampled_from([math.nan, 5.0]))
def test_a_table_is_changed_at_once(several: list[Any], missing: float) -> None:
    column = Column(4, read=table(missing))
    values = np.array([3.0, math.nan, 7.0, missing])
    for step in several:
        column, values = apply_to(column, step), apply(step, values)
    read = column.read
    assert isinstance(read, Table)
    assert (column.source, column.then, column.fill) == (4, (), None)
    np.testing.assert_array_equal([*read.values, read.unknown, read.missing], values)
    assert read.categories == ("a", "b")
    assert column.may_be_missing == math.isnan(values[-1])


def answer(column: Column, value: float) -> float:
    """What the column of a number makes of it, as the block's steps do."""
    if isinstance(column.read, Table):
        return column.read.missing if math.isnan(value) else column.read.unknown
    found = np.array([value])
    if column.fill is not None:
        found = apply(Fill(float(column.fill)), found)
    for change in column.then:
        found = apply(change, found)
    return float(found[0])


@given(steps, numbers | st.just(math.nan))
@example([Fill(0.0), ShiftScale(0.0, 0.0)], math.nan)
def test_a_number_is_changed_in_order(several: list[Any], value: float) -> None:
    column, expected = Column(2), np.array([value])
    for step in several:
        before = expected
        column, expected = apply_to(column, step), apply(step, expected)
        if math.isnan(expected[0]) and not math.isnan(before[0]):
            # 0 / 0: an imputer behind it is not packed as if that were missing.
            return
    np.testing.assert_array_equal(answer(column, value), expected[0])
    if not math.isnan(value):
        return
    assert column.may_be_missing == math.isnan(expected[0])


def test_a_number_is_raw_until_it_is_scaled() -> None:
    column = Column(0)
    assert (column.is_raw, column.may_be_missing, column.may_be_infinite) == (True, True, True)
    filled = column.filled("x")
    assert (filled.is_raw, filled.may_be_missing, filled.fill) == (True, False, "x")
    # Nothing is left for a second one to fill.
    assert filled.filled("y") is filled
    assert not column.changed(ShiftScale(0.0, 1.0)).is_raw


def test_one_column_of_an_encoder_is_a_table_of_its_own() -> None:
    encoder = OneHot(2, ("a", "b", "c"), (0, 1, -1), 1, -1, refuses_unknown=False)
    first, second = (Member(encoder, place).table for place in range(2))
    assert (first.values.tolist(), first.unknown, first.missing) == ([1, 0, 0], 0, 0)
    assert (second.values.tolist(), second.unknown, second.missing) == ([0, 1, 0], 1, 0)
    assert first.all_values.tolist() == [1, 0, 0, 0]
    refusing = OneHot(1, ("a",), (0,), -1, -1, refuses_unknown=True)
    assert Member(refusing, 0).table.all_values.tolist() == [1]
    # It is never missing, and so an imputer leaves it as it is.
    column = Column(3, read=Member(encoder, 0))
    assert (column.filled(9.0), column.may_be_missing, column.may_be_infinite) == (column, False, False)
    assert answer(column.indicator(), math.nan) == 0.0


@pytest.mark.parametrize("value", [None, math.nan, np.float32("nan"), pd.NA], ids=repr)
def test_to_a_caller_there_is_one_kind_of_missing_value(value: Any) -> None:
    assert is_missing(value)
    assert categories([value, 1]) == (1.0,)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("a", "a"),
        ("", ""),
        (np.str_("東京"), "東京"),
        (True, 1.0),
        (np.bool_(False), 0.0),
        (7, 7.0),
        (np.uint8(200), 200.0),
        (np.float32(0.1), float(np.float32(0.1))),
        (2**53, 2.0**53),
        # Beyond what a float64 can tell apart.
        (2**53 + 1, None),
        (np.int64(2**60 + 1), None),
        (np.uint64(2**64 - 1), None),
        ("\ud800", None),
        (b"a", None),
        (1j, None),
        (np.complex64(1), None),
        (Decimal(1), None),
        (datetime(2026, 1, 1), None),
        (("a",), None),
    ],
    ids=repr,
)
def test_a_category_is_a_number_or_a_text_or_none(value: Any, found: Any) -> None:
    assert category(value) == found
    assert categories(["a", value]) == (None if found is None else ("a", found))


def test_a_category_is_no_number_of_another_kind() -> None:
    """What float64 cannot hold is none; NumPy would compare it as one that it can."""
    kinds: list[Callable[[int], Any]] = [int, np.int64]
    for number in (2**53 + 1, -(2**53) - 1):
        assert [category(kind(number)) for kind in kinds] == [None, None]
