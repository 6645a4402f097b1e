"""Shard maps as files: what is printed is read as it was, and what is no map is refused in words."""

import json
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.generations import any_map, maps, names, overriding

from croupierctl.generation_file import InvalidFile, parse, plain, render, schema, to_yaml
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


@settings(max_examples=8)
@given(maps(), maps())
def test_what_is_exported_is_read_as_it_was_also_over_another_map(
    generation: Generation, other: Generation
) -> None:
    assert read(json.dumps(plain(generation)), OTHER) == generation
    assert read(to_yaml(generation), OTHER) == generation
    over = read(to_yaml(generation, to_yaml(other).encode()), OTHER)
    assert ({*over.seats}, over.overrides) == ({*generation.seats}, generation.overrides)
    assert (over.number, over.seed, over.hand_size) == (
        generation.number,
        generation.seed,
        generation.hand_size,
    )


WRITTEN = """\
# The map of production.
number: 6
seed: 11 # never change this
reason: rack 7 burns
seats:
# zone b
- cell: cell-2 # was slow
  zone: b
  draining: true
  weight: 1.0
- cell: cell-1
  zone: a # the old hall
# to be bought
- {cell: cell-9, zone: z}
overrides:
  # They pay for it.
  acme:
    pins: [cell-9] # until May
"""


def test_comments_order_and_what_is_as_it_should_be_survive_an_export() -> None:
    assert (
        to_yaml(ACTIVE, WRITTEN.encode())
        == """\
# The map of production.
number: 7
seed: 11 # never change this
seats:
# zone b
- cell: cell-2 # was slow
  zone: b
  draining: true
  weight: 2.5
- cell: cell-1
  zone: a # the old hall
# to be bought
overrides:
  # They pay for it.
  acme:
    pins: [cell-1] # until May
hand_size: 2
"""
    )


def test_names_that_look_like_something_else_are_quoted() -> None:
    odd = replace(ACTIVE, overrides={"7": Override(isolation_group="on"), "null": Override(hand_size=1)})
    assert read(to_yaml(odd)).overrides == odd.overrides


RACKS = """\
seats:
# rack 7
- cell: cell-1
  zone: a
- cell: cell-8
  zone: a # it hums
# rack 8
- cell: cell-2
  zone: b
# rack 9
- cell: cell-9
  zone: a
"""


def test_a_comment_stays_above_the_seat_that_it_is_about() -> None:
    """Also when the seat before goes, or has something more to say."""
    fewer = replace(ACTIVE, overrides={}, seats=(*SEATS, Seat("cell-9", "a")))
    assert to_yaml(fewer, RACKS.encode()).startswith("""\
seats:
# rack 7
- cell: cell-1
  zone: a
# rack 8
- cell: cell-2
  zone: b
  weight: 2.5
  draining: true
# rack 9
- cell: cell-9
  zone: a
""")


@settings(max_examples=15)
@given(st.integers(0, 2**32 - 1))
def test_comments_anywhere_never_change_what_is_exported(seed: int) -> None:
    """And those above a seat, a tenant or a field of the map stay, whatever becomes of these."""
    rng = random.Random(seed)
    before, after = any_map(rng), any_map(rng)
    lines: list[str] = []
    stay = 0
    for line in to_yaml(before).splitlines():
        indent = len(line) - len(line.lstrip())
        if rng.random() < 0.3:
            is_above = indent == 0 or (indent == 2 and line.endswith(":") and not line.startswith("  -"))
            lines.append(f"{' ' * indent}# {'stays' if is_above else 'within'}")
            stay += is_above
        lines.append(line + rng.choice(("", "", " # beside")))
    written = "\n".join(lines) + "\n"
    assert to_yaml(before, written.encode()) == written
    made = to_yaml(after, written.encode())
    assert {*read(made).seats} == {*after.seats}
    assert made.count("# stays") >= stay - _within_seats(lines)


def _within_seats(lines: list[str]) -> int:
    """Comments that look as if they were above a tenant, and stand within a seat or a rule."""
    return sum(line == "  # stays" for line in lines)


BRACES = """\
seats:
# zone b
- {cell: cell-2, zone: b} # slow
- {cell: cell-7, zone: b} # gone
- cell: cell-1
  zone: a
overrides: {acme: {pins: [cell-1]}, zeta: {hand_size: 3}} # both
"""


def test_what_stands_in_braces_stays_in_braces_and_comments_beside_them_too() -> None:
    assert (
        to_yaml(ACTIVE, BRACES.encode())
        == """\
seats:
# zone b
- {cell: cell-2, zone: b, weight: 2.5, draining: true} # slow
- cell: cell-1
  zone: a
overrides: {acme: {pins: [cell-1]}} # both
number: 7
seed: 11
hand_size: 2
"""
    )


def test_comments_within_braces_that_change_cannot_be_kept() -> None:
    within = "seats: [ # all\n  {cell: cell-1, zone: a}]\n"
    with pytest.raises(InvalidFile, match="the comments of the file that is there cannot be kept"):
        to_yaml(ACTIVE, within.encode())


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("overrides: {} # nobody", "overrides: # nobody\n  acme:\n    pins:\n    - cell-1\n"),
        ("overrides: # nobody", "overrides: # nobody\n  acme:\n    pins:\n    - cell-1\n"),
        ("hand_size: # share\n  percent: 20 # of all", "hand_size: 2 # share\n"),
        ("reason: |\n  rack 7\n  burns", ""),
        ("hand_size: >-\n  3", None),
        ("'hand_size' : 3", "'hand_size' : 2\n"),
        (
            "overrides:\n  acme:\n    pins: # two\n    - cell-9 # old\n    - cell-1 # new",
            "overrides:\n  acme:\n    pins: # two\n    - cell-1 # new\n",
        ),
        (
            "overrides:\n  globex: # them\n    hand_size: 3\n  # us\n  acme: {pins: [cell-1]}",
            "overrides:\n  # us\n  acme: {pins: [cell-1]}\n",
        ),
    ],
)
def test_a_field_is_changed_where_it_stands(said: str, told: str | None) -> None:
    written = f"# top\n{said}\n# seats\nseats: []\n"
    if told is None:
        with pytest.raises(InvalidFile):
            to_yaml(ACTIVE, written.encode())
        return
    made = to_yaml(ACTIVE, written.encode())
    assert made.startswith(f"# top\n{told}# seats\nseats:\n")
    assert read(made).overrides == ACTIVE.overrides


def test_who_loses_all_rules_has_empty_braces_beside_the_comment() -> None:
    written = "seats: # all\n- cell: cell-9\n  zone: a\noverrides: # rules\n  acme:\n    hand_size: 3\n"
    nobody = replace(ACTIVE, overrides={}, seats=())
    made = to_yaml(nobody, written.encode())
    assert made.startswith("seats: [] # all\noverrides: {} # rules\n")


@pytest.mark.parametrize("text", ["do not forget the milk", "- a", "a: [", "7", "services: {}"])
def test_what_is_no_map_is_not_written_over(text: str) -> None:
    with pytest.raises(InvalidFile):
        to_yaml(ACTIVE, text.encode())


def test_the_schema_knows_what_is_exported() -> None:
    known = {name.removeprefix("File") for name in schema()["$defs"]}
    assert known == {"Override", "Seat", "Share", "ShardMap"}
    assert {*plain(ACTIVE)} <= {*schema()["$defs"]["ShardMap"]["properties"]}


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
        ("", "Expected `object`"),
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
        ("seats: [}", r"line 1, column 9"),
        ("seats: []\nseats: []", "duplicate key .seats., line 2"),
        ("seats: [{cell: a, zone: z, wieght: 2}]", "unknown field `wieght`"),
        ("seats: [{cell: 7, zone: z}]", r"Expected `str`, got `int` - at `\$.seats\[0\].cell`"),
        (
            "seats: !!python/object:os.system x",
            "has the tag tag:yaml.org,2002:python/object:os.system, which says nothing here",
        ),
        ("seats: &a [*a]", "says something by reference, line 1"),
        ("seats: []\n---\nseats: []", "has a second document, line 2"),
        ("? [a]\n: b", "has a key that is no text, line 1"),
        ("- " * 100_000, "nested too deeply, line 1"),
        ("- a", "Expected `object`"),
        ("[" * 100_000, "nested too deeply"),
        ('{"seats": ' + "[" * 100_000, "Expected `object`"),
    ],
)
def test_what_is_no_map_is_refused_and_says_where(text: str | bytes, problem: str) -> None:
    with pytest.raises(InvalidFile, match=problem) as refused:
        read(text)
    assert refused.value.message.startswith("the file is not a shard map: ")


@settings(max_examples=30)
@given(st.binary(max_size=40))
def test_nothing_else_comes_of_any_bytes(data: bytes) -> None:
    with pytest.raises(InvalidFile):
        read(data)
