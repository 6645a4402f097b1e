"""A forest's bytes: thresholds round so that no comparison changes, and what has no place is refused."""

import struct
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from croupier.artifacts.format import InvalidArtifact
from croupier.artifacts.packers.forest.ensemble import Categories, Ensemble, Tree
from croupier.artifacts.packers.forest.layout import encode, remainders_of, rounded_down

FLOAT32 = st.floats(width=32, allow_nan=False)


@given(FLOAT32, st.floats(allow_nan=False) | FLOAT32, st.integers(-1, 1))
@example(0.0, 0.0, 0)
@example(-0.0, 0.0, 0)
@example(float(np.float32(0.1)), 0.1, 0)
@example(float("inf"), float("inf"), 0)
@example(3.0e38, 3.5e38, 0)
@example(0.0, 1e-46, 0)
@example(0.0, float(np.finfo(np.float32).min), 0)
def test_rounding_changes_no_comparison(value: float, threshold: float, step: int) -> None:
    with np.errstate(over="ignore", under="ignore"):
        near = np.nextafter(np.float32(threshold), np.float32(step * np.inf)) if step else np.float32(value)
    for row in (np.float32(value), near):
        wide = float(row)
        assert (row <= rounded_down(np.array([threshold]), is_strict=False)[0]) == (wide <= threshold)
        # Nothing is below minus infinity, and no float32 stands for that.
        if threshold > -np.inf:
            assert (row <= rounded_down(np.array([threshold]), is_strict=True)[0]) == (wide < threshold)


@given(st.floats(width=64, allow_nan=False))
@example(0.1)
@example(-0.1)
@example(-2.0 + 2.0**-52)
@example(2.0**-126 + 2.0**-178)
@example(-(2.0**-149) - 2.0**-178)
@example(float(np.finfo(np.float32).max) - 1.0)
@example(1e300)
@example(-1e300)
@example(float("inf"))
def test_a_threshold_and_its_remainder_are_the_threshold(threshold: float) -> None:
    below = rounded_down(np.array([threshold]), is_strict=False)[0]
    if abs(threshold) < 2.0**-126 and not (threshold * 2.0**178).is_integer():
        with pytest.raises(InvalidArtifact, match="nearer to 0"):
            remainders_of(np.array([threshold]))
        return
    (remainder,) = remainders_of(np.array([threshold])).tolist()
    assert 0 <= remainder < 2**29
    if float(below) == threshold or abs(threshold) > float(np.finfo(np.float32).max):
        assert remainder == 0
        return
    step = Fraction(float(np.nextafter(below, np.float32(np.inf)))) - Fraction(float(below))
    assert Fraction(float(below)) + step * remainder / 2**29 == Fraction(threshold)


def tree(**changes: Any) -> Tree:
    """A root with two leaves."""
    parts = {
        "left": np.array([2, -1, -1]),
        "right": np.array([1, -1, -1]),
        "feature": np.array([1, -2, -2]),
        "threshold": np.array([0.1, 0, 0]),
        "missing_right": np.array([True, False, False]),
        "value": np.array([0.0, 20.0, 10.0]),
    }
    return Tree(**{**parts, **changes})


def ensemble(*trees: Tree, **changes: Any) -> Ensemble:
    return replace(Ensemble(features=2, groups=[list(trees)], base=np.zeros(1)), **changes)


NODE = np.dtype([("value", "<f4"), ("feature", "<u2"), ("left", "<u2")])


def nodes(section: bytes, count: int) -> list[tuple[float, int, int]]:
    return np.frombuffer(section[-8 * count :], NODE).tolist()  # type: ignore[no-any-return]


def test_children_lie_side_by_side_behind_their_parent() -> None:
    below = float(np.nextafter(np.float32(0.1), np.float32(0)))
    assert nodes(encode(ensemble(tree())), 3) == [(below, 0x8001, 1), (10.0, 0, 0), (20.0, 0, 0)]


def test_remainders_follow_the_nodes_in_the_order_of_the_children() -> None:
    """Of a root, its right child, and a second tree."""
    several = tree(
        left=np.array([1, -1, 3, -1, -1]),
        right=np.array([2, -1, 4, -1, -1]),
        feature=np.array([0, -2, 1, -2, -2]),
        threshold=np.array([0.1, 0, 0.5, 0, 0]),
        missing_right=np.zeros(5, bool),
        value=np.zeros(5),
    )
    narrow, wide = (encode(ensemble(several, tree(), is_wide=is_wide)) for is_wide in (False, True))
    (remainder,) = remainders_of(np.array([0.1])).tolist()
    assert struct.unpack("<4I", wide[-16:]) == (remainder, 0, remainder, 0)
    assert (narrow[4], wide[4]) == (0, 8 | 16)
    assert narrow[8:] == wide[8:-16]


def test_of_float32_thresholds_there_are_no_remainders() -> None:
    half = tree(threshold=np.array([0.5, 0, 0]))
    split = tree(threshold=np.array([0.1, 0, 0]), categories={0: Categories(np.array([1]), is_right=True)})
    for model in (ensemble(half), ensemble(half, split)):
        narrow, wide = (encode(replace(model, is_wide=is_wide)) for is_wide in (False, True))
        assert wide[4] == narrow[4] | 8
        assert wide[5:] == narrow[5:]


def test_equal_sets_of_categories_share_their_words() -> None:
    split = Categories(np.array([0, 33]), is_right=True)
    once = len(encode(ensemble(tree(categories={0: split}))))
    twice = len(encode(ensemble(tree(categories={0: split}), tree(categories={0: split}))))
    # Three nodes, a split, and a root which fills the first one up to 8 bytes.
    assert twice - once <= 3 * 8 + 8 + 8


def test_equal_leaf_vectors_are_one() -> None:
    vectors = np.array([[0.0, 0.0], [0.5, 0.5], [0.5, 0.5]])
    section = encode(ensemble(tree(value=vectors), base=np.zeros(2)))
    assert np.frombuffer(section[-8:], "<f4").tolist() == [0.5, 0.5]


def test_no_trees_are_an_ensemble_too() -> None:
    assert encode(ensemble()) == encode(ensemble())


WIDE = 70_000
BROAD = tree(
    left=np.concatenate([np.arange(1, 2 * WIDE, 2), np.full(WIDE + 1, -1)]),
    right=np.concatenate([np.arange(2, 2 * WIDE + 1, 2), np.full(WIDE + 1, -1)]),
    feature=np.zeros(2 * WIDE + 1, int),
    threshold=np.zeros(2 * WIDE + 1),
    missing_right=np.zeros(2 * WIDE + 1, bool),
    value=np.zeros(2 * WIDE + 1),
)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (ensemble(tree(), features=1), "beyond the model's 1"),
        (ensemble(tree(), features=32_769), "32769 features"),
        (ensemble(tree(), base=np.zeros(0)), "0 outputs"),
        (ensemble(tree(left=np.array([3, -1, -1]))), "none of its nodes"),
        (ensemble(tree(left=np.array([0, -1, -1]))), "none of its nodes"),
        (ensemble(tree(left=np.array([1, 2, 1]), right=np.array([2, 1, 2]))), "more than one parent"),
        (ensemble(tree(threshold=np.array([np.nan, 0, 0]))), "not a number"),
        (ensemble(tree(value=np.array([0, 1e39, 0]))), "beyond float32"),
        (ensemble(tree(categories={0: Categories(np.array([2**24]), is_right=True)})), "category outside"),
        (ensemble(tree(categories={0: Categories(np.array([-1]), is_right=True)})), "category outside"),
        (ensemble(BROAD), "too wide"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_has_no_place_in_the_layout_is_refused(model: Ensemble, says: str) -> None:
    with pytest.raises(InvalidArtifact, match=says):
        encode(model)
