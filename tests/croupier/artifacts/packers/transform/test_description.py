"""The description's numbers are the file's: those of the page, and of the reference that reads blocks."""

import math
import re
from pathlib import Path

from support.reference import transform as reference

from croupier.artifacts.packers.transform.description import Feature, Kind, Step, Transform

PAGE = Path(__file__).parents[5] / "docs" / "artifacts.md"


def test_kinds_have_the_numbers_of_the_file() -> None:
    assert {kind.name: kind.value for kind in Kind} == {
        kind.name: getattr(reference, kind.name) for kind in Kind
    }
    assert [kind.value for kind in Kind] == list(range(len(Kind)))
    listed = re.findall(r"^\| (\d) \| [^|]+ \| ([A-Z_]+) \|", PAGE.read_text(), re.MULTILINE)
    assert listed == [(str(kind.value), kind.name) for kind in Kind]


def test_a_row_is_no_array_of_numbers_where_one_feature_is_text() -> None:
    number, text = Feature(), Feature(texts=())
    steps = (Step(Kind.COPY, 0, 0),)
    assert not Transform((number, number), steps, 1).has_texts
    # One without a single known text is text all the same.
    assert Transform((number, text), steps, 1).has_texts


def test_a_step_fills_in_nothing_unless_it_says_what() -> None:
    step = Step(Kind.COPY, 0, 0)
    assert math.isnan(step.fill)
    assert (step.other, step.clip, step.goes_on) == (None, None, False)
