"""scikit-learn's encoders by their settings: every category, unknown ones and holes, as it answers."""

import itertools
import math
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from support.pipelines import block_of, dense, raw_row, seen, transformed

from croupier.artifacts.format import InvalidArtifact
from croupier.artifacts.packers.transform.columns import Column, Fill, ShiftScale, Table
from croupier.artifacts.packers.transform.encoders import Codes, encoded
from croupier.artifacts.packers.transform.policies import Policies

TEXTS = pd.DataFrame({"a": pd.Series(["x"] * 6 + ["y"] * 5 + ["z", "é", ""], dtype=object)})
HOLES = pd.DataFrame({"a": pd.Series(["x"] * 4 + ["y"] * 3 + [None] * 3 + ["z"], dtype=object)})
NUMBERS = pd.DataFrame({"a": [0.1, 0.1, -0.0, 7.0, 1e300, 7.0, math.nan]})
ASKED: list[Any] = ["x", "y", "z", "é", "", "X", "x ", None]
ASKED_NUMBERS: list[Any] = [
    0.1,
    0.0,
    -0.0,
    7.0,
    1e300,
    math.nextafter(0.1, 1),
    float(np.float32(0.1)),
    math.nan,
]

ONE_HOTS = [
    {"handle_unknown": unknown, "drop": drop, **rare}
    for unknown, drop, rare in itertools.product(
        ["error", "ignore", "infrequent_if_exist"],
        [None, "first"],
        [{}, {"min_frequency": 2}, {"max_categories": 2}],
    )
]
ORDINALS: list[dict[str, Any]] = [
    {**unknown, **rare, **missing}
    for unknown, rare, missing in itertools.product(
        [{}, {"handle_unknown": "use_encoded_value", "unknown_value": -1}],
        [{}, {"min_frequency": 3}],
        [{}, {"encoded_missing_value": -2}],
    )
]
ORDINALS.append({"handle_unknown": "use_encoded_value", "unknown_value": math.nan})


def asserted(encoder: Any, trained: pd.DataFrame, values: list[Any]) -> None:
    """Each value alone: what it becomes, or that it is refused."""
    encoder.fit(trained)
    block = block_of(seen([encoder]))
    for value in values:
        frame = pd.DataFrame({"a": pd.Series([value], dtype=trained["a"].dtype)})
        expected = transformed(encoder, frame)
        row = raw_row(block, [value])
        if expected is None:
            assert block.refusal(row) is not None, value
        else:
            assert block.refusal(row) is None, value
            np.testing.assert_array_equal([block.apply(row)], expected)


@pytest.mark.parametrize("options", ONE_HOTS, ids=str)
@pytest.mark.parametrize("trained", [TEXTS, HOLES, NUMBERS], ids=["texts", "holes", "numbers"])
def test_one_hot(options: dict[str, Any], trained: pd.DataFrame) -> None:
    asserted(OneHotEncoder(**options), trained, ASKED_NUMBERS if trained is NUMBERS else ASKED)


@pytest.mark.parametrize("options", ORDINALS, ids=str)
@pytest.mark.parametrize("trained", [TEXTS, HOLES, NUMBERS], ids=["texts", "holes", "numbers"])
def test_ordinal(options: dict[str, Any], trained: pd.DataFrame) -> None:
    asserted(OrdinalEncoder(**options), trained, ASKED_NUMBERS if trained is NUMBERS else ASKED)


@pytest.mark.parametrize("asked", [["x", "y", None], [7.0, 8.0, None], [None]], ids=str)
@pytest.mark.parametrize("kind", [OneHotEncoder, OrdinalEncoder])
def test_one_category_alone(kind: Any, asked: list[Any]) -> None:
    asserted(kind(), pd.DataFrame({"a": pd.Series(asked[:1], dtype=object)}), asked)


def test_an_encoder_of_an_encoder() -> None:
    """Codes of codes, and columns of codes: of each category once more."""
    for second in (OrdinalEncoder(), OneHotEncoder(), OrdinalEncoder(encoded_missing_value=-5)):
        steps = [OrdinalEncoder(encoded_missing_value=-1), second]
        given: Any = HOLES
        for step in steps:
            given = dense(step.fit_transform(given))
        block = block_of(seen(steps))
        found = [block.apply(raw_row(block, [value])) for value in HOLES["a"]]
        np.testing.assert_array_equal(found, given)


def test_of_a_column_that_was_scaled_there_are_no_categories() -> None:
    codes = Codes({1.0: 0.0}, unknown=None, missing=None)
    for then in ((ShiftScale(1.0, 2.0),), (Fill(1.0), ShiftScale(1.0, 2.0))):
        with pytest.raises(InvalidArtifact, match="scaled before"):
            encoded(Column(0, then=then), codes, Policies())
    with warnings.catch_warnings(action="ignore"):
        steps = [StandardScaler().fit(np.eye(3)), OneHotEncoder().fit(np.eye(3))]
    with pytest.raises(InvalidArtifact, match="scaled before"):
        seen(steps)


def test_what_it_refuses_is_noted_of_the_feature() -> None:
    strict = Codes({"a": 1.0}, unknown=None, missing=None)
    policies = Policies()
    encoded(Column(3), strict, policies)
    assert (policies.unknown, policies.missing) == ({3}, {3})
    # What was filled in before is never missing.
    policies = Policies()
    encoded(Column(3, fill="a"), strict, policies)
    assert (policies.unknown, policies.missing) == ({3}, set())
    policies = Policies()
    encoded(Column(3), Codes({"a": 1.0}, unknown=0.0, missing=0.0), policies)
    assert policies == Policies()


def test_an_encoder_that_does_not_know_what_another_one_gives_is_refused() -> None:
    column = Column(0, read=Table(("a", "b"), np.array([0.0, 1.0]), -1.0, math.nan))
    with pytest.raises(InvalidArtifact, match="does not know what another one gives"):
        encoded(column, Codes({0.0: 5.0}, unknown=None, missing=9.0), Policies())
    policies = Policies()
    found = encoded(column, Codes({0.0: 5.0, 1.0: 6.0}, unknown=None, missing=9.0), policies).read
    assert isinstance(found, Table)
    assert (found.values.tolist(), found.missing, found.refuses_unknown) == ([5.0, 6.0], 9.0, True)
    assert policies.unknown == {0}
