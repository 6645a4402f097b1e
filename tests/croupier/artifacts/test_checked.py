"""What an artifact was compared with stands in a section of it, which whoever sends it may have written."""

import contextlib
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.graphs import packed

from croupier.artifacts.checked import SECTION, checked_of, with_checked
from croupier.artifacts.comparison import UNCHECKED, Comparison
from croupier.artifacts.format import Artifact, InvalidArtifact, view

PLAIN = packed(b"model")
MADE = Comparison("sklearn", "1.9.1", 569, 900, 2e-8)


def saying(section: bytes) -> Artifact:
    plain = view(PLAIN)
    return replace(plain, sections={**plain.sections, SECTION: memoryview(section)})


def test_an_artifact_says_nothing_until_it_is_told() -> None:
    assert checked_of(view(PLAIN)) is None
    once = with_checked(PLAIN, UNCHECKED)
    assert checked_of(view(once)) == UNCHECKED
    twice = with_checked(once, MADE)
    assert checked_of(view(twice)) == MADE
    # One model has one digest, however often it is told.
    assert twice == with_checked(PLAIN, MADE) == with_checked(twice, MADE)
    assert view(twice).section("model") == b"model"


def test_the_longest_names_find_room() -> None:
    made = Comparison("🚀" * 64, "é" * 64, 2**53, 2**53, 1.7976931348623157e308)
    assert checked_of(view(with_checked(PLAIN, made))) == made


@pytest.mark.parametrize(
    ("section", "says"),
    [
        (b"", "no JSON"),
        (b"{", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (b"[" * 4_096, "no JSON"),
        (b"1" * 4_096, "no JSON object"),
        (b"[]", "no JSON object"),
        (b'"unchecked"', "no JSON object"),
        (b"{}", "neither with which library"),
        (b'{"library": "x", "difference": NaN}', "no number from 0 on"),
        (b'{"library": "x", "difference": 1e999}', "no number from 0 on"),
        (b'{"library": "x", "difference": 1' + b"0" * 400 + b"}", "no number from 0 on"),
        (b'{"library": "x", "made": 1.5}', "no count"),
        (b'{"unchecked": true}' + b" " * 4_096, "larger than 4096 bytes"),
    ],
)
def test_a_section_that_says_nonsense_is_refused(section: bytes, says: str) -> None:
    with pytest.raises(InvalidArtifact, match=says) as caught:
        checked_of(saying(section))
    assert "'checked'" in caught.value.message


values = st.recursive(st.none() | st.booleans() | st.floats(), st.lists)


@given(st.binary(max_size=60) | values.map(json.dumps).map(str.encode))
def test_whatever_it_has_is_an_answer_or_a_refusal(section: bytes) -> None:
    with contextlib.suppress(InvalidArtifact):
        assert checked_of(saying(section)) == UNCHECKED


def test_no_artifact_is_told_anything() -> None:
    with pytest.raises(InvalidArtifact):
        with_checked(PLAIN[:-1], MADE)
