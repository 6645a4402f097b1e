"""Changes in place, beside the same changes of the values."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from croupierctl.yaml_edit import CommentsLost, Edits, dump
from croupierctl.yaml_tree import Node, read

TEXT = "a: 1 # one\n# two\nb:\n  x: yes\n  # three\n  y: [1, 2] # four\nc:\n- p\n# five\n- q\n"


def test_without_a_change_nothing_changes() -> None:
    assert Edits(TEXT).done() == TEXT


def test_changes_stand_where_what_they_change_stood() -> None:
    root, edits = read(TEXT), Edits(TEXT)
    one, two, three = root.children
    edits.put(root.keys[0], one, "a: b")
    edits.change(root.keys[1], two, [0], {"z": {"w": 2}})
    edits.put(two.keys[1], two.children[1], [3])
    edits.change(root.keys[2], three, [1], ["r", "s"])
    assert edits.done() == (
        "a: 'a: b' # one\n# two\nb:\n  # three\n  y: [3] # four\n  z:\n    w: 2\nc:\n- p\n# five\n- r\n- s\n"
    )


def test_the_field_behind_a_dash_may_go() -> None:
    text = "s:\n- a: 1\n  b: 2\n-\n  # note\n  a: 3\n"
    root, edits = read(text), Edits(text)
    (seats,) = root.children
    edits.change(None, seats.children[0], [0], {})
    edits.change(root.keys[0], seats, [1], [{"c": 4}])
    assert edits.done() == "s:\n- b: 2\n- c: 4\n"


def test_comments_within_braces_are_not_lost_in_silence() -> None:
    text = "a: [1, # one\n  2]\n"
    root = read(text)
    with pytest.raises(CommentsLost):
        Edits(text).put(root.keys[0], root.children[0], [1])


def written(rng: random.Random, depth: int = 0) -> Any:
    """Mappings in mappings and lists."""
    if depth < 3 and rng.random() < 0.8:
        if rng.random() < 0.3:
            return [f"n{number}" for number in range(rng.randrange(1, 4))]
        return {f"k{number}": written(rng, depth + 1) for number in range(rng.randrange(1, 4))}
    return rng.choice([7, "word", "two words", "true", True])


def changed(rng: random.Random, edits: Edits, key: Node | None, node: Node) -> Any:
    """Change a node somehow; returns what it says then."""
    if not isinstance(node.value, dict):
        if key is None or rng.random() < 0.5:
            return node.value
        new = rng.choice([1, "new", ["n", "m"], {"f": 1}])
        edits.put(key, node, new)
        return new
    gone = [place for place in range(len(node.keys)) if rng.random() < 0.3] if key else []
    new = {"new": rng.choice([5, ["x"], {"y": "z"}])} if rng.random() < 0.3 else {}
    kept = {
        name.value: changed(rng, edits, name, value)
        for place, (name, value) in enumerate(zip(node.keys, node.children, strict=True))
        if place not in gone
    }
    edits.change(key, node, gone, new)
    return kept | new


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_changes_of_the_text_are_those_of_the_values(seed: int) -> None:
    rng = random.Random(seed)
    lines = []
    for line in dump({"top": 1, **{f"k{number}": written(rng) for number in range(3)}}).splitlines():
        indent = " " * (len(line) - len(line.lstrip()))
        lines += [f"{indent}# above"] * (rng.random() < 0.2) + [line + rng.choice(("", " # beside"))]
    text = "\n".join(lines) + "\n"
    root, edits = read(text), Edits(text)
    wanted = changed(rng, edits, None, root)
    assert read(edits.done()).value == wanted
