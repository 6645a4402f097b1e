"""YAML as values that know where in the text they stand, for who reads it and for who changes it in place.

libyaml finds the events, of which a tree is made here. What ruamel.yaml makes of a text keeps its comments
too, but takes minutes for a map of many thousand rules, and may put a comment elsewhere.

Whoever has no use for references or depth is not made to follow them: both are refused, since the one
multiplies, and what composes trees in C calls itself for each level until there is no stack left.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StringMark, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    MappingStartEvent,
    ScalarEvent,
)

MAX_DEPTH = 16
_yaml = YAML(typ="safe")
_TEXT = "tag:yaml.org,2002:str"
_TAGS = (None, _TEXT, "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
# A plain scalar that may be a number, true, false or nothing, and not a text.
_NO_TEXT = re.compile(r"[-+]?[.\w]+([-+]\d+)?|~|")
# Longer than any of them that begins with a letter, or with a dash in it.
SURELY_TEXT = re.compile(r"[A-Za-z]([\w.-]{5,}|[\w.]*-[\w.-]*)", re.ASCII)


@dataclass(slots=True)
class Node:
    """A value, from `start` to `end` in the text, without the comments around it.

    `keys` are those of a mapping, `children` its values, or the items of a list; `is_flow`: in braces.
    """

    value: Any
    start: int
    end: int
    column: int
    is_flow: bool = False
    keys: list[Node] = field(default_factory=list)
    children: list[Node] = field(default_factory=list)

    @property
    def is_block(self) -> bool:
        """Whether it has lines of its own."""
        return bool(self.children) and not self.is_flow


def read(text: str) -> Node:
    """The one document in `text`. Raises YAMLError, with a mark where something is wrong."""
    stack: list[tuple[Node, bool]] = []
    root: Node | None = None
    for event in _yaml.parse(text):
        if isinstance(event, DocumentStartEvent) and root is not None:
            raise _wrong("has a second document", event)
        if isinstance(event, AliasEvent):
            raise _wrong("says something by reference", event)
        if isinstance(event, CollectionEndEvent):
            node, _ = stack.pop()
            node.end = event.end_mark.index if node.is_flow else _last_end(node)
        elif isinstance(event, ScalarEvent):
            node = Node(_scalar(event), *_place(event))
        elif isinstance(event, CollectionStartEvent):
            if len(stack) == MAX_DEPTH:
                raise _wrong("is nested too deeply", event)
            is_mapping = isinstance(event, MappingStartEvent)
            _check_tag(event)
            stack.append((Node({} if is_mapping else [], *_place(event), event.flow_style), is_mapping))
            continue
        else:
            continue
        if stack:
            _add(*stack[-1], node, event)
        else:
            root = node
    return Node(None, 0, 0, 0) if root is None else root


def _add(parent: Node, is_mapping: bool, node: Node, event: Any) -> None:
    if not is_mapping:
        parent.children.append(node)
        parent.value.append(node.value)
    elif len(parent.keys) > len(parent.children):
        parent.children.append(node)
        parent.value[parent.keys[-1].value] = node.value
    elif isinstance(node.value, (dict, list)):
        raise _wrong("has a key that is no text", event)
    elif node.value in parent.value:
        raise _wrong(f"has the duplicate key {node.value!r}", event)
    else:
        parent.keys.append(node)


def _place(event: Any) -> tuple[int, int, int]:
    return event.start_mark.index, event.end_mark.index, event.start_mark.column


def _last_end(node: Node) -> int:
    """Where the last line of a block ends; its own end event is where the next thing begins."""
    return node.children[-1].end if node.children else node.start


def _scalar(event: ScalarEvent) -> Any:
    _check_tag(event)
    text = event.value
    if event.tag == _TEXT or not event.implicit[0] or SURELY_TEXT.fullmatch(text):
        return text
    return _plain(text) if _NO_TEXT.fullmatch(text) else text


@lru_cache(1024)
def _plain(text: str) -> Any:
    return _yaml.load(text)


def _check_tag(event: Any) -> None:
    if event.tag not in _TAGS:
        raise _wrong(f"has the tag {event.tag}, which says nothing here", event)


def _wrong(problem: str, event: Any) -> YAMLError:
    mark = event.start_mark
    return MarkedYAMLError(
        problem=f"it {problem}", problem_mark=StringMark("", mark.index, mark.line, mark.column, "", 0)
    )
