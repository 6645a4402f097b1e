"""Answers beside the library's: how far off each row is, which are wrong, and how that is told."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.artifacts.packers.checks.compare import Difference, DiffersFromLibrary, described, difference


def test_answers_near_0_are_measured_by_the_others() -> None:
    expected = {"value": np.array([[1e-9], [100.0], [-100.0]])}
    near = {"value": np.array([[0.0], [100.00001], [-100.0]], np.float32)}
    assert not len(difference(expected, near, 1e-6).wrong)
    off = {"value": np.array([[1e-3], [100.0], [-100.0]], np.float32)}
    assert difference(expected, off, 1e-6).wrong.tolist() == [0]


@pytest.mark.parametrize(("found", "wrong"), [(np.nan, [0]), (np.inf, [0]), (1.0, [])])
def test_answers_that_are_no_numbers(found: float, wrong: list[int]) -> None:
    assert (
        difference({"value": np.ones((1, 1))}, {"value": np.full((1, 1), found)}, 1e-6).wrong.tolist()
        == wrong
    )


def test_labels_may_differ_where_the_library_cannot_tell_them_apart() -> None:
    scores = np.array([[0.5, 0.5], [0.5, 0.5001]])
    expected = {"label": np.array([0, 1]), "probabilities": scores}
    found = {"label": np.array([1, 0]), "probabilities": scores.astype(np.float32)}
    outcome = difference(expected, found, 1e-6)
    assert (outcome.output, outcome.wrong.tolist()) == ("label", [1])


numbers = st.floats(width=32) | st.sampled_from([0.0, -0.0, math.nan, math.inf, -math.inf, 1e-45])


@given(st.lists(numbers, min_size=1, max_size=5))
def test_the_same_answer_never_differs(values: list[float]) -> None:
    labels = np.arange(len(values))
    found = {"value": np.array(values, np.float32)[:, None], "label": labels}
    for kind in (np.float32, np.float64):
        outcome = difference({"value": np.array(values, kind)[:, None], "label": labels}, found, 0.0)
        assert (outcome.largest, len(outcome.wrong)) == (0.0, 0)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5), st.integers(0, 4), st.sampled_from([np.nan, np.inf, -np.inf]))  # fmt: skip  # noqa: E501
def test_what_is_no_number_is_never_near_one(values: list[float], place: int, found: float) -> None:
    expected = np.array(values)[:, None]
    other = expected.copy()
    other[place % len(values)] = found
    for one, another in ((expected, other), (other, expected)):
        outcome = difference({"value": one}, {"value": another}, 1e30)
        assert outcome.wrong.tolist() == [place % len(values)]
        assert outcome.largest == math.inf


def test_infinity_is_not_minus_infinity() -> None:
    one, other = {"value": np.array([[np.inf]])}, {"value": np.array([[-np.inf]])}
    assert difference(one, other, 1e30).wrong.tolist() == [0]
    # Beyond float32 the library's number is what a cell's is.
    assert not len(difference({"value": np.array([[1e39]])}, {"value": np.array([[np.inf]])}, 0.0).wrong)


def test_a_probability_counts_as_a_tenth_at_least() -> None:
    expected, found = np.array([[1e-20], [1e-20]]), np.array([[9e-8], [2e-7]])
    assert difference({"probabilities": expected}, {"probabilities": found}, 1e-6).wrong.tolist() == [1]
    assert difference({"value": expected}, {"value": found}, 1e-6).wrong.tolist() == [1, 0]


def test_rows_that_differ_most_come_first() -> None:
    expected, found = np.ones((4, 2)), np.ones((4, 2))
    found[1, 0], found[3, 1], found[2, 1] = 1.1, 3.0, 1.5
    outcome = difference({"value": expected}, {"value": found}, 0.2)
    assert (outcome.wrong.tolist(), outcome.largest, outcome.output) == ([3, 2], 2.0, "value")


def test_numbers_tell_more_than_the_labels_that_follow() -> None:
    expected = {"label": np.array([0, 1]), "probabilities": np.array([[0.9, 0.1], [0.1, 0.9]])}
    found = {"label": np.array([0, 0]), "probabilities": np.array([[0.9, 0.1], [0.9, 0.1]])}
    assert difference(expected, found, 1e-6).output == "probabilities"
    assert difference(expected, {**found, "probabilities": expected["probabilities"]}, 1e-6).output == "label"


def test_a_decision_is_a_tie_near_0_alone() -> None:
    decisions = np.array([[1e-9], [1.0], [-2.0]])
    expected = {"label": np.array([1, 1, 0]), "decision": decisions}
    found = {"label": np.array([0, 0, 1]), "decision": decisions.astype(np.float32)}
    assert difference(expected, found, 1e-6).wrong.tolist() == [1, 2]
    # Labels without scores have no ties.
    assert difference(
        {"label": np.array(["a"], object)}, {"label": np.array(["b"], object)}, 1.0
    ).wrong.tolist() == [0]


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ({}, "no answer for each row in its output 'value'"),
        ({"value": np.ones((2, 3))}, "no answer for each row"),
        # Broadcast, it would be the same in all columns.
        ({"value": np.ones((3, 1))}, "'value' is not as wide"),
        ({"value": np.ones((3, 2))}, "'value' is not as wide"),
    ],
)
def test_answers_of_another_shape_are_others(found: Any, says: str) -> None:
    with pytest.raises(DiffersFromLibrary, match=says) as caught:
        difference({"value": np.ones((3, 3))}, found, 1.0)
    assert caught.value.reason == "DIFFERS_FROM_LIBRARY"


def test_no_rows_have_no_difference() -> None:
    none = {"value": np.empty((0, 3)), "label": np.empty(0, object)}
    assert difference(none, none, 0.0).largest == 0.0


def test_some_rows_are_shown_with_both_answers() -> None:
    rows = {"input": np.arange(70, dtype=np.float32).reshape(7, 10)}
    expected, found = np.zeros((7, 6)), np.ones((7, 6))
    told = described(
        rows,
        {"value": expected},
        {"value": found},
        Difference(1.0, np.arange(7), "value"),
        list("abcdefghij"),
        "lib",
    )
    head, columns, *lines = told.splitlines()
    assert head == "7 rows differ in 'value':"
    assert columns.split() == ["row", "lib", "artifact"]
    # Some of them, and of their features and numbers.
    assert len(lines) == 5
    assert lines[1].startswith("float32: a=10.0, b=11.0, c=12.0, d=13.0, e=14.0, f=15.0, …")
    assert lines[1].endswith("0, 0, 0, 0, …  1, 1, 1, 1, …")


def test_a_row_of_several_inputs_is_shown_by_their_names() -> None:
    rows = {"age": np.array([[3.0]]), "city": np.array([["Köln"]], object)}
    one, other = {"label": np.array(["a"], object)}, {"label": np.array(["b"], object)}
    told = described(rows, one, other, Difference(1.0, np.array([0]), "label"), ["age", "city"], "lib")
    assert told.splitlines()[2].split() == ["age=3.0,", "city='Köln'", "a", "b"]
