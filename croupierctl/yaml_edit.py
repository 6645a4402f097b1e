"""Changes of a YAML text in place: what is not changed stays to the letter, comments, order, quotes and all.

A comment above an entry is about what follows, and stays when the entry goes; one beside it goes with it, and
so do those within. New entries of a block come behind its last one. In braces, the whole of them is written
anew, in braces; comments within cannot be kept then.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from ruamel.yaml import YAML

from croupierctl.yaml_tree import SURELY_TEXT, Node


class CommentsLost(ValueError):
    """A comment within braces, which cannot be kept."""


def dump(value: Any, *, is_flow: bool = False) -> str:
    """Mappings, lists, numbers and texts as YAML: in lines, or in braces and then without a line's end."""
    return _flow(value) if is_flow else "".join(f"{line}\n" for line in _lines_of(value))


def _flow(value: Any) -> str:
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_scalar(key)}: {_flow(one)}' for key, one in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    return _scalar(value)


def _lines_of(value: Any) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, one in value.items():
            if one and isinstance(one, (dict, list)):
                yield f"{_scalar(key)}:"
                yield from (f"{'  ' if isinstance(one, dict) else ''}{line}" for line in _lines_of(one))
            else:
                yield f"{_scalar(key)}: {_flow(one)}"
    elif isinstance(value, list) and value:
        for one in value:
            first, *rest = _lines_of(one)
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)
    else:
        yield _flow(value)


def _scalar(value: Any) -> str:
    # These are the names of most cells and tenants, and ruamel.yaml takes its time for each.
    if isinstance(value, str) and SURELY_TEXT.fullmatch(value):
        return value
    return _quoted(value)


@lru_cache(4096, typed=True)
def _quoted(value: Any) -> str:
    # In braces more has to be quoted than in lines.
    made = _made(_yaml, value)
    # A key ends in its line.
    return made if len(made.splitlines()) == 1 else _made(_escaping, value)


def _made(yaml: Any, value: Any) -> str:
    made = io.StringIO()
    yaml.dump([value], made)
    return made.getvalue()[1:-2]


def _dumper(style: str | None) -> Any:
    yaml: Any = YAML(typ="safe")
    yaml.width = 2**16
    yaml.default_flow_style = True
    yaml.default_style = style
    return yaml


_yaml = _dumper(None)
_escaping = _dumper('"')


class Edits:
    """Changes of `text`, whose nodes are those that `read` made of it, until `done` makes them."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._edits: list[tuple[int, int, str]] = []

    def done(self) -> str:
        """The text with all changes in it."""
        parts, at = [], 0
        for start, end, new in sorted(self._edits, key=lambda edit: edit[:2]):
            parts += [self._text[at:start], new]
            at = end
        return "".join((*parts, self._text[at:]))

    def put(self, key: Node | None, node: Node, value: Any) -> None:
        """Have `value` stand in the place of `node`, which is behind `key`, if it is in a mapping.

        Raises:
            CommentsLost: there is a comment within the braces that it stands in.
        """
        new, old = dump(value, is_flow=True), self._text[node.start : node.end]
        if key is not None and node.is_block:
            self._behind(key, f" {new}")
            self._edits.append((self._line_end(self._colon(key)), self._line_end(node.end), ""))
            return
        if node.children and re.search(r"(^|\s)#.*\n", old):
            raise CommentsLost
        # Nothing at all may follow a colon; and what stands in lines of its own ends with the last of them.
        before, after = "" if old else " ", "\n" if old.endswith("\n") else ""
        self._edits.append((node.start, node.end, f"{before}{new}{after}"))

    def change(self, key: Node | None, node: Node, gone: Sequence[int], new: Any) -> None:
        """Take the entries at the places `gone` out of a block, and put those of `new` behind its last one.

        It may have been empty, in braces.
        """
        for place in gone:
            self._edits.append((*self._lines(node, place), ""))
        if new:
            self._add(key, node, new)
        elif gone and len(gone) == len(node.children) and key is not None:
            self._behind(key, " {}" if node.keys else " []")

    def _add(self, key: Node | None, node: Node, new: Any) -> None:
        text = dump(new)
        if node.children:
            column, at = node.column, self._line_end(node.end)
        else:
            assert key is not None, "the document itself is not empty"
            # The braces go, and what stands beside them stays beside the key.
            column, at = key.column + 2, self._line_end(node.end)
            self._edits.append((self._colon(key), node.end, ""))
        self._edits.append((at, at, re.sub(r"(?m)^(?=.)", " " * column, text)))

    def _behind(self, key: Node, words: str) -> None:
        colon = self._colon(key)
        self._edits.append((colon, colon, words))

    def _colon(self, key: Node) -> int:
        """Where what follows the colon behind `key` begins."""
        return self._text.index(":", key.end) + 1

    def _lines(self, node: Node, place: int) -> tuple[int, int]:
        """From where to where an entry of a block stands, with what is beside it."""
        start = node.keys[place].start if node.keys else self._dash(node, place)
        end = self._line_end(node.children[place].end)
        begin = self._text.rfind("\n", 0, start) + 1
        if not self._text[begin:start].strip():
            return begin, end
        # It stands behind the dash of an item, and the next entry is to.
        return start, node.keys[place + 1].start if place + 1 < len(node.keys) else end

    def _dash(self, node: Node, place: int) -> int:
        """Where the dash of an item is: at the first line behind the item before that is no comment."""
        if not place:
            return node.start
        at = self._line_end(node.children[place - 1].end)
        while not (line := self._text[at : self._line_end(at + 1)]).strip() or line.lstrip()[0] == "#":
            at += len(line)
        return at + len(line) - len(line.lstrip())

    def _line_end(self, at: int) -> int:
        """Where the line after the one that ends or holds what ends at `at` begins."""
        if at and self._text[at - 1] == "\n":
            return at
        found = self._text.find("\n", at)
        return len(self._text) if found < 0 else found + 1
