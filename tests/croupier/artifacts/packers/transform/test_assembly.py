"""Columns to steps: an encoder's neighbours in one, what goes on behind it, and texts by their places."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.pipelines import block_of

from croupier.artifacts.format import InvalidArtifact
from croupier.artifacts.packers.transform.assembly import Columns, raw
from croupier.artifacts.packers.transform.columns import (
    Change,
    Column,
    Fill,
    Member,
    OneHot,
    ScaleShift,
    ShiftScale,
    Table,
    scaled,
)
from croupier.artifacts.packers.transform.description import Kind, Transform
from croupier.artifacts.packers.transform.encoders import Codes
from croupier.artifacts.packers.transform.policies import Policies

ENCODER = OneHot(3, ("b", "a", "c"), (0, 1, 2), -1, -1, refuses_unknown=False)
COLORS = [Column(0, read=Member(ENCODER, place)) for place in range(3)]
CODES = Table(("b", "z"), np.array([5.0, 6.0]), -1.0, -2.0)


def made(*columns: Column, **policies: set[int]) -> Transform:
    width = 1 + max(column.source for column in columns)
    return Columns(width, columns, Policies(**policies)).transform(range(width))


def kinds(transform: Transform) -> list[tuple[Kind, int, bool]]:
    return [(step.kind, step.column, step.goes_on) for step in transform.steps]


def test_features_as_they_come_are_copied() -> None:
    transform = raw(2).transform(range(2))
    assert kinds(transform) == [(Kind.COPY, 0, False), (Kind.COPY, 1, False)]
    assert [step.source for step in transform.steps] == [0, 1]
    assert (raw(2).used, transform.columns, transform.has_texts) == ([0, 1], 2, False)


def test_neighbours_of_one_encoder_are_one_step() -> None:
    assert kinds(made(*COLORS)) == [(Kind.ONE_HOT, 0, False)]
    # One twice, or apart, is another step; so is another fill.
    assert kinds(made(*COLORS, COLORS[0])) == [(Kind.ONE_HOT, 0, False), (Kind.ONE_HOT, 3, False)]
    between = Column(1)
    assert [kind for kind, *_ in kinds(made(COLORS[0], between, COLORS[1]))] == [
        Kind.ONE_HOT,
        Kind.COPY,
        Kind.ONE_HOT,
    ]
    filled = Column(0, fill="a", read=COLORS[1].read)
    assert len(made(COLORS[0], filled).steps) == 2


@given(st.permutations(range(3)), st.integers(1, 3))
def test_columns_of_an_encoder_in_any_order_and_number(order: list[int], count: int) -> None:
    chosen = [COLORS[place] for place in order[:count]]
    block = block_of(Columns(1, tuple(chosen)))
    for text, place in zip(ENCODER.categories, ENCODER.places, strict=True):
        assert isinstance(text, str)
        found = block.apply([block.code_of(0, text.encode())])
        assert found == [float(each == place) for each in order[:count]]
    assert block.apply([-1.0]) == block.apply([math.nan]) == [0.0] * count


def test_what_is_done_next_goes_on_from_the_column() -> None:
    scaled_after = Column(0, then=(ShiftScale(1.0, 2.0), Fill(9.0), ScaleShift(2.0, 0.0, (-1.0, 1.0))))
    transform = made(scaled_after)
    assert kinds(transform) == [
        (Kind.SHIFT_SCALE, 0, False),
        (Kind.COPY, 0, True),
        (Kind.SCALE_SHIFT, 0, True),
    ]
    assert [step.fill for step in transform.steps[1:2]] == [9.0]
    assert kinds(made(Column(0, then=(Fill(3.0),)))) == [(Kind.COPY, 0, False), (Kind.COPY, 0, True)]
    members = [Column(0, read=each.read, then=(ScaleShift(0.3, -0.0),)) for each in COLORS]
    assert kinds(made(*members)) == [
        (Kind.ONE_HOT, 0, False),
        *((Kind.SCALE_SHIFT, place, True) for place in range(3)),
    ]


numbers = st.floats(-1e6, 1e6)
changes = st.lists(
    st.builds(ShiftScale, numbers, numbers.filter(bool))
    | st.builds(ScaleShift, numbers, numbers)
    | st.builds(Fill, numbers),
    max_size=4,
)


@given(changes, numbers | st.just(math.nan), st.none() | numbers)
def test_a_chain_is_computed_in_its_order(then: list[Change], value: float, fill: float | None) -> None:
    block = block_of(Columns(1, (Column(0, fill=fill, then=tuple(then)),)))
    expected = np.array([value if fill is None or not math.isnan(value) else fill])
    for change in then:
        if isinstance(change, Fill):
            expected = np.where(np.isnan(expected), change.value, expected)
        else:
            expected = scaled(expected, change)
    np.testing.assert_array_equal(block.apply([value]), expected)


def test_a_feature_that_is_text_has_the_texts_of_all_its_columns() -> None:
    transform = made(*COLORS, Column(0, read=CODES))
    (feature,) = transform.features
    assert feature.texts == (b"a", b"b", b"c", b"z")
    assert not feature.accepts_infinite
    one_hot, ordinal = transform.steps
    # By their places in the dictionary, ascending.
    assert list(one_hot.categories) == [0.0, 1.0, 2.0]
    assert list(one_hot.values) == [1.0, 0.0, 2.0]
    assert (list(ordinal.categories), list(ordinal.values)) == ([1.0, 3.0], [5.0, 6.0])
    # Texts are in order of their bytes, whatever they mean.
    greek = Table(("ω", "z", "é"), np.arange(3.0), 0.0, 0.0)
    assert made(Column(0, read=greek)).features[0].texts == (b"z", "é".encode(), "ω".encode())


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ((*COLORS, Column(0)), "feature 0 is text, and nothing makes a number of it"),
        ((Column(0, fill="x"),), "feature 0 is text, and nothing makes a number of it"),
        (
            (Column(0, read=CODES), Column(0, read=Table((1.0,), np.zeros(1), 0.0, 0.0))),
            "feature 0 has texts and numbers",
        ),
    ],
    ids=["passed", "filled", "mixed"],
)
def test_a_feature_is_text_or_number(columns: tuple[Column, ...], says: str) -> None:
    with pytest.raises(InvalidArtifact, match=says):
        made(*columns)


def test_an_indicator_is_one_only_where_nothing_is_refused() -> None:
    indicator = Column(0).indicator()
    assert kinds(made(indicator)) == [(Kind.INDICATOR, 0, False)]
    assert kinds(made(indicator, unknown={0})) == [(Kind.ORDINAL, 0, False)]
    # Of a column that is never missing, it is 0 throughout.
    (step,) = made(Column(0, fill=1.0).indicator()).steps
    assert (step.kind, step.a, step.b) == (Kind.ORDINAL, 0.0, 0.0)


def test_policies_are_those_of_the_feature() -> None:
    transform = made(Column(0), Column(1), Column(2), missing={0}, infinite={1}, unknown={2})
    said = [
        (each.accepts_missing, each.accepts_infinite, each.refuses_unknown) for each in transform.features
    ]
    assert said == [(False, True, False), (True, False, False), (True, True, True)]


@pytest.mark.parametrize(
    ("then", "may"),
    [
        ((), False),
        ((ShiftScale(0.0, 2.0**-62),), False),
        ((ShiftScale(0.0, 2.0**-63),), True),
        ((ShiftScale(2.0**127, 1.0),), True),
        ((ShiftScale(0.0, 0.0),), True),
        ((ScaleShift(2.0**62, 0.0),), False),
        ((ScaleShift(-(2.0**63), 0.0),), True),
        ((ScaleShift(1.0, -(2.0**127)),), True),
        ((ShiftScale(0.0, 2.0**-40), ScaleShift(2.0**40, 0.0)), True),
        ((ShiftScale(0.0, 2.0**40), ScaleShift(2.0**40, 0.0)), False),
        ((ScaleShift(math.nan, 0.0),), True),
    ],
)
def test_steps_that_may_make_something_beyond_float32_say_so(
    then: tuple[ShiftScale | ScaleShift, ...], may: bool
) -> None:
    """Of values up to 2**64, with a bit to spare."""
    assert made(Column(0, then=then)).features[0].may_overflow is may


def test_codes_take_the_place_of_a_columns_categories() -> None:
    columns = raw(2).encoded(1, Codes({"a": 0.0, "b": 1.0}, unknown=math.nan, missing=math.nan))
    assert isinstance(columns.columns[1].read, Table)
    assert columns.columns[0] == Column(0)
    with pytest.raises(InvalidArtifact, match="categories of column 2, and gets 2"):
        raw(2).encoded(2, Codes({}, None, None))
