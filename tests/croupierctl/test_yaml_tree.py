"""A tree says what ruamel.yaml says, and where it stands."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from croupierctl.yaml_edit import dump
from croupierctl.yaml_tree import MAX_DEPTH, Node, read

texts = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(
    ["", "null", "~", "yes", "true", "007", "0x1f", "1e3", ".inf", "a: b", "# no", "- x", "{", "a#b", "x-1"]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(values, st.booleans())
@example({"\n": None, "a\u2028": ["b\u2029c\r"]}, False)
def test_what_is_dumped_is_read_as_it_was_by_both(value: object, is_flow: bool) -> None:
    text = dump(value, is_flow=is_flow)
    assert read(text).value == value
    assert YAML(typ="safe").load(text) == value


def test_a_value_is_where_it_says() -> None:
    text = "# top\nseats: # here\n- cell: 'a b' # beside\n  zone: z\n# below\nmore: {x: [1, 2]}\n"
    root = read(text)

    def at(node: Node) -> str:
        return text[node.start : node.end]

    seats, more = root.children
    (seat,) = seats.children
    assert [at(key) for key in root.keys] == ["seats", "more"]
    assert [at(one) for one in seat.children] == ["'a b'", "z"]
    assert at(seat) == "cell: 'a b' # beside\n  zone: z"
    assert (at(more), more.is_flow, seats.is_block, seats.column) == ("{x: [1, 2]}", True, True, 0)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("a:", {"a": None}),
        ("a: 0o14", {"a": 12}),
        ("a: 1_000", {"a": 1000}),
        ("a: !!str 7", {"a": "7"}),
        ("a: '7'", {"a": "7"}),
        ("a: 2026-01-01", {"a": "2026-01-01"}),
        ("a: |\n  b\n", {"a": "b\n"}),
        ("7: b", {7: "b"}),
    ],
)
def test_scalars_are_what_they_say(text: str, value: object) -> None:
    assert read(text).value == value


@pytest.mark.parametrize(
    "text", ["a: &x b\nc: *x", "[" * (MAX_DEPTH + 1), "a: 1\na: 2", "a: !!int 7", "--- a\n--- b", "a: ["]
)
def test_what_has_no_place_in_a_map_is_refused(text: str) -> None:
    with pytest.raises(YAMLError):
        read(text)
