"""What an artifact takes: one row of numbers, or an input for each feature where some are texts."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from croupier.artifacts.format import InvalidArtifact, Tensor
from croupier.artifacts.packers.transform.assembly import Columns, raw
from croupier.artifacts.packers.transform.columns import Column, Table
from croupier.artifacts.packers.transform.intake import Intake, transformed
from croupier.artifacts.packers.transform.policies import Policies

SECTION = bytes(64)
TEXT = Column(2, read=Table(("a", "b"), np.array([0.0, 1.0]), -1.0, -2.0))


def taken(columns: Columns, names: Sequence[str] = (), **changes: Any) -> Intake:
    flags = {"accepts_missing": True, "finite": False, "complete": True, **changes}
    return transformed("forest", SECTION, columns, names, **flags)


def columns(*given: Column, width: int = 4) -> Columns:
    return Columns(width, given, Policies())


def test_numbers_are_one_input_with_every_feature_in_its_place() -> None:
    found = taken(columns(Column(1), Column(3)), list("abcd"))
    assert found.features == list("abcd")
    assert found.inputs == [Tensor("input", "FP64", (-1, 4))]
    assert taken(raw(4)).features == []


@pytest.mark.parametrize("names", [(), ("a", "b", "c", "d")])
def test_with_texts_each_feature_that_is_used_is_an_input(names: Sequence[str]) -> None:
    found = taken(columns(TEXT, Column(0)), names)
    first, third = (names[0], names[2]) if names else ("0", "2")
    assert found.features == [first, third]
    assert found.inputs == [Tensor(first, "FP64", (-1, 1)), Tensor(third, "BYTES", (-1, 1))]


def test_what_the_estimator_refuses_is_refused_of_the_features_that_reach_it() -> None:
    filled = Column(0, fill=1.0)
    # Of one that is nobody's column, nothing is said.
    assert taken(columns(filled, Column(1), width=3)).accepts_missing
    none = taken(columns(Column(0), width=1), accepts_missing=False)
    assert (none.accepts_missing, none.finite) == (False, False)
    some = taken(columns(filled, width=1), accepts_missing=False)
    assert some.accepts_missing
    assert taken(columns(Column(0), width=1), finite=True).finite
    # Texts are never infinite, so a model of these alone refuses nothing more.
    assert taken(columns(TEXT)).finite


def test_nothing_may_be_left_out_of_what_would_be_missing_to_the_estimator() -> None:
    assert taken(columns(Column(0))).complete
    assert not taken(columns(Column(0)), complete=False).complete
    assert not taken(columns(Column(0, fill=1.0), TEXT)).complete


def test_a_feature_that_is_text_and_number_is_refused() -> None:
    with pytest.raises(InvalidArtifact, match="feature 2 is text, and nothing makes a number of it"):
        taken(columns(TEXT, Column(2)))


@pytest.mark.parametrize("names", [["a"], list("abcde")])
def test_names_are_as_many_as_features(names: list[str]) -> None:
    with pytest.raises(InvalidArtifact, match=f"{len(names)} names for a pipeline of 4 features"):
        taken(columns(Column(0)), names)
