"""Shard maps as files: what is printed is read as it was, and what is no map is refused in words."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.generations import maps, names, overriding

from croupierctl.generation_file import InvalidFile, parse, render
from sharding.generation import Generation, Override, Seat

SEATS = (Seat("cell-1", "a"), Seat("cell-2", "b", 2.5, draining=True))
ACTIVE = Generation(7, 11, 2, SEATS, {"acme": Override(pins=("cell-1",))}, seed_since=3)
OTHER = Generation(1, 5, 9, (Seat("cell-9", "z"),), {"zeta": Override(hand_size=4)})


def read(text: str | bytes, active: Generation = ACTIVE) -> Generation:
    return parse(text if isinstance(text, bytes) else text.encode(), active)


@settings(max_examples=30)
@given(
    maps(),
    names,
    st.builds(Override, st.tuples(names), st.tuples(names, names), st.integers(0, 2**32 - 1), names),
)
def test_what_is_printed_is_read_as_it_was(generation: Generation, tenant: str, override: Override) -> None:
    made = overriding(generation, tenant, override)
    assert read(json.dumps(render(made)), OTHER) == made


def test_author_and_reason_are_those_of_the_file() -> None:
    written = replace(ACTIVE, author="ann", reason="rack 7 burns", seed_since=0)
    assert read(json.dumps(render(written)), OTHER) == written
    assert read('{"seats": []}', written).author == ""


def test_when_the_seed_came_follows_from_the_number_and_is_not_printed() -> None:
    assert "seed_since" not in render(ACTIVE)
    assert read(json.dumps(render(ACTIVE)), OTHER) == replace(ACTIVE, seed_since=0)


def test_what_a_file_leaves_out_is_as_it_stands() -> None:
    found = read('{"seats": [{"cell": "cell-1", "zone": "a"}]}')
    assert found == Generation(0, 11, 2, SEATS[:1], ACTIVE.overrides)


def test_what_a_file_empties_is_empty() -> None:
    found = read('{"seats": [], "overrides": {}, "hand_size": 0, "seed": 0}')
    assert found == Generation(0, 0, 0, (), {})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "truncated"),
        ("null", "Expected `object`"),
        ("{}", "missing required field `seats`"),
        ('{"seats": [], "seat": []}', "unknown field `seat`"),
        ('{"seats": [{"cell": "a", "zone": "z", "wieght": 2}]}', "unknown field `wieght`"),
        ('{"seats": [], "overrides": {"t": {"pin": []}}}', "unknown field `pin`"),
        ('{"seats": [{"cell": "a", "zone": "z", "weight": "2"}]}', r"\$.seats\[0\].weight"),
        ('{"seats": [{"cell": "a", "zone": "z", "weight": NaN}]}', "malformed"),
        ('{"seats": [], "hand_size": 4294967296}', r"\$.hand_size"),
        ('{"seats": [], "overrides": {"t": {"hand_size": 4294967296}}}', "hand_size"),
        ('{"seats": [], "hand_size": {"percentage": 5}}', "unknown field `percentage`"),
        ('{"seats": [], "number": -1}', r"\$.number"),
        ('{"seats": [], "number": 9223372036854775808}', r"\$.number"),
        (b'{"seats": [{"cell": "\xff", "zone": "z"}]}', "utf-8"),
        ("[" * 100_000, "Expected `object`"),
        ('{"seats": ' + "[" * 100_000, "Expected `object`"),
    ],
)
def test_what_is_no_map_is_refused_and_says_where(text: str | bytes, problem: str) -> None:
    with pytest.raises(InvalidFile, match=problem) as refused:
        read(text)
    assert refused.value.message.startswith("the file is not a shard map: ")


@given(st.binary(max_size=40))
def test_nothing_else_comes_of_any_bytes(data: bytes) -> None:
    with pytest.raises(InvalidFile):
        read(data)
