"""A comparison as artifacts and records say it: it comes back as it was, or is refused as nonsense."""

import json
import math
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.artifacts.comparison import UNCHECKED, Comparison, InvalidComparison, from_told
from croupier.errors import InvalidRequest

MADE = Comparison("xgboost", "3.2.0", 0, 31_500, 1e-07)

names = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=64
).filter(str.isprintable)
counts = st.integers(0, 2**53)


@given(names, names, counts, counts, st.floats(0, allow_nan=False, allow_infinity=False) | counts)
def test_it_comes_back_from_json_as_it_was(
    library: str, version: str, sample: int, made: int, difference: float
) -> None:
    told = Comparison(library, version, sample, made, difference)
    assert from_told(json.loads(json.dumps(told.told()))) == told
    assert str(told).startswith(library)


def test_one_that_was_not_made_says_so() -> None:
    assert UNCHECKED.told() == {"unchecked": True}
    assert from_told({"unchecked": True}) is UNCHECKED
    assert (UNCHECKED.was_made, MADE.was_made) == (False, True)
    assert (str(UNCHECKED), str(MADE)) == ("unchecked", "xgboost 3.2.0, 31,500 rows, within 1e-07")


def test_what_a_later_release_adds_is_passed_over() -> None:
    assert from_told({**MADE.told(), "rows_per_second": 9, "library2": None}) == MADE


@pytest.mark.parametrize(
    "told", [{}, {"unchecked": False}, {"unchecked": 1}, {"version": "3"}, {"library": ""}]
)
def test_one_says_with_what_or_that_there_was_none(told: dict[str, Any]) -> None:
    with pytest.raises(InvalidComparison, match="neither with which library nor"):
        from_told(told)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("library", value) for value in (None, 3, b"x", ["xgboost"], "x" * 65)),
        *(("library", value) for value in ("a\nb", "\0", "\ud800", "\x1b[2J")),
        ("version", "3\u202e"),
        *(("sample", value) for value in (-1, 2**53 + 1, 1.0, True, "1", None)),
        ("made", math.inf),
        *(("difference", value) for value in (-1e-9, math.nan, math.inf, -math.inf, True, "0", None)),
        # JSON has whole numbers that no float can hold, neither on the wire nor in words.
        *(("difference", value) for value in (10**309, int(sys.float_info.max) + 1)),
    ],
)  # fmt: skip
def test_nonsense_is_refused(name: str, value: Any) -> None:
    with pytest.raises(InvalidComparison) as caught:
        from_told({**MADE.told(), name: value})
    assert isinstance(caught.value, InvalidRequest)
    assert caught.value.reason == "INVALID_COMPARISON"


def test_the_greatest_number_is_one_still() -> None:
    told = {**MADE.told(), "difference": int(sys.float_info.max)}
    assert str(from_told(told)).endswith("within 2e+308")
