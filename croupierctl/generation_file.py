"""A shard map as a file, for people to edit and to keep in git: `shards export`, change, `plan`, `apply`.

YAML or JSON, of one form (`shards schema`). It says which generation it was made from, and so which one it
changes: of two people who began with the same one, the second hears of it. `export` over a file that is
there keeps its comments and its order, and writes what is other.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import msgspec

from croupier.errors import InvalidRequest
from sharding.generation import Generation, Override, Seat, Share, Size

if TYPE_CHECKING:
    from croupierctl.yaml_edit import Edits
    from croupierctl.yaml_tree import Node

# More than the largest map that there may be takes; a file that is none of ours is not read to its end.
MAX_BYTES = 64 * 2**20


class InvalidFile(InvalidRequest):
    """A file that is no shard map. The operator's."""


def _meta(description: str, **bounds: Any) -> msgspec.Meta:
    return msgspec.Meta(description=description, **bounds)


# As far as they go on the wire; what deals no hand is refused by who deals.
_Size: TypeAlias = Annotated[int, msgspec.Meta(le=2**32 - 1)]


class FileSeat(msgspec.Struct, forbid_unknown_fields=True):
    """A cell's place in the map."""

    cell: str
    zone: str
    weight: Annotated[float, _meta("how much it is dealt, beside others")] = 1.0
    draining: Annotated[bool, _meta("keeps its place, and is dealt to nobody")] = False
    dedicated: Annotated[str, _meta("the one tenant or isolation group that it is dealt to")] = ""


class FileShare(msgspec.Struct, forbid_unknown_fields=True):
    """A share of the cells that may be dealt."""

    percent: _Size
    min: _Size = 1


class FileOverride(msgspec.Struct, forbid_unknown_fields=True):
    """What holds for one tenant."""

    pins: Annotated[tuple[str, ...], _meta("cells that are its hand")] = ()
    excludes: Annotated[tuple[str, ...], _meta("cells that are not dealt to it")] = ()
    hand_size: Annotated[_Size | FileShare, _meta("0: none of its own")] = 0
    isolation_group: Annotated[str, _meta("the name that it is dealt by, with others")] = ""


class ShardMap(msgspec.Struct, forbid_unknown_fields=True):
    """A shard map of Croupier: which cells there are, and how they are dealt to tenants."""

    seats: tuple[FileSeat, ...]
    hand_size: Annotated[_Size | FileShare | None, _meta("left out: it stays")] = None
    seed: Annotated[int | None, _meta("that of the deployment; another one is refused")] = None
    overrides: Annotated[dict[str, FileOverride] | None, _meta("by tenant; left out: they stay")] = None
    number: Annotated[
        int, _meta("the generation that this was made from, and changes", ge=0, le=2**63 - 1)
    ] = 0
    # Of the one that stands, they would say nothing of the next: `export` leaves them out.
    author: Annotated[str, _meta("who makes the generation")] = ""
    reason: Annotated[str, _meta("what it is made for")] = ""


def schema() -> dict[str, Any]:
    """The form of the file as a JSON schema."""
    return msgspec.json.schema(ShardMap)


def parse(data: bytes, active: Generation) -> Generation:
    """The generation that a file describes; what it leaves out is as in `active`.

    Its number is that of the generation which the file changes; 0 if it does not say.

    Raises:
        InvalidFile: neither YAML nor JSON, or not of this form.
    """
    try:
        if data.lstrip().startswith(b"{"):
            file = msgspec.json.decode(data, type=ShardMap)
        else:
            file = msgspec.convert(_load(data), type=ShardMap)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidFile(f"the file is not a shard map: {error}") from error
    return Generation(
        number=file.number,
        seed=active.seed if file.seed is None else file.seed,
        hand_size=active.hand_size if file.hand_size is None else _size(file.hand_size),
        seats=tuple(
            Seat(seat.cell, seat.zone, seat.weight, seat.draining, seat.dedicated) for seat in file.seats
        ),
        overrides={
            tenant: Override(found.pins, found.excludes, _size(found.hand_size), found.isolation_group)
            for tenant, found in file.overrides.items()
        }
        if file.overrides is not None
        else active.overrides,
        author=file.author,
        reason=file.reason,
    )


def _size(said: int | FileShare) -> Size:
    return Share(said.percent, said.min) if isinstance(said, FileShare) else said


def _load(data: bytes) -> Any:
    """What YAML says. Raises InvalidFile."""
    # Who asks for anything but a file would wait for its import.
    from ruamel.yaml.error import YAMLError

    from croupierctl.yaml_tree import read

    try:
        return read(data.decode()).value
    except (YAMLError, ValueError) as error:
        raise _no_yaml(error) from error


def _no_yaml(error: Exception, what: str = "the file is not a shard map") -> InvalidFile:
    """What is wrong, and where; without what the library says of its own switches."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return InvalidFile(f"{what}: {problem or error}{where}")


def render(generation: Generation) -> dict[str, object]:
    """What `parse` reads, as values for JSON."""
    builtins: dict[str, object] = msgspec.to_builtins(generation)
    # Follow from the number.
    del builtins["seed_since"], builtins["at"]
    return builtins


def plain(generation: Generation) -> dict[str, Any]:
    """As `render`, of what says something: what is as ever is left out, and so is who made this one."""
    overrides = {tenant: _told(rule, NOTHING_SAID) for tenant, rule in sorted(generation.overrides.items())}
    return {
        "number": generation.number,
        "seed": generation.seed,
        "hand_size": msgspec.to_builtins(generation.hand_size),
        "seats": [_told(seat, PLAIN_SEAT) for seat in generation.seats],
        # Also of nobody: what a file leaves out stays as it is.
        "overrides": overrides,
    }


NOTHING_SAID: Mapping[str, Any] = msgspec.to_builtins(Override())
PLAIN_SEAT: Mapping[str, Any] = {"weight": 1.0, "draining": False, "dedicated": ""}


def _told(record: Seat | Override, defaults: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = msgspec.to_builtins(record)
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in values.items()
        if name not in defaults or value != defaults[name]
    }


def to_yaml(generation: Generation, before: bytes = b"") -> str:
    """The map as YAML: that of `before`, where there is one, with what is other in `generation`.

    Raises:
        InvalidFile: `before` is no shard map in YAML, or its comments cannot be kept.
    """
    from ruamel.yaml.error import YAMLError

    from croupierctl.yaml_edit import CommentsLost, Edits, dump
    from croupierctl.yaml_tree import read

    wanted = plain(generation)
    if not before.strip():
        return dump(wanted)
    try:
        text = before.decode().rstrip("\n") + "\n"
        root = read(text)
        msgspec.convert(root.value, type=ShardMap)
    except (YAMLError, ValueError) as error:
        raise _no_yaml(error, "the file that is there is not a shard map, and is not written over") from error
    edits = Edits(text)
    with suppress(CommentsLost):
        _become(edits, None, root, wanted)
        if _reads_as(made := edits.done(), generation):
            return made
    # Or it is written in a way that is not known here.
    raise InvalidFile("the comments of the file that is there cannot be kept: write to another one")


def _reads_as(text: str, wanted: Generation) -> bool:
    """Whether it says what is wanted; in which order seats stand, is people's."""
    try:
        found = parse(text.encode(), wanted)
    except InvalidFile:
        return False
    return {*found.seats} == {*wanted.seats} and replace(
        found, seats=wanted.seats, author=wanted.author, reason=wanted.reason
    ) == replace(wanted, seed_since=0, at=0.0)


def _become(edits: Edits, key: Node | None, node: Node, wanted: Mapping[str, Any]) -> None:
    """Give a mapping the values of `wanted`, and leave what is as it should be untouched."""
    if not node.is_block:
        _become_flow(edits, key, node, _merged(node.value, wanted))
        return
    gone, stands = [], set()
    for place, (name, value) in enumerate(zip(node.keys, node.children, strict=True)):
        if name.value in wanted:
            stands.add(name.value)
            _child_becomes(edits, name, value, wanted[name.value])
        elif not _is_as_ever(name.value, value.value):
            gone.append(place)
    new = {name: value for name, value in wanted.items() if name not in stands}
    edits.change(key, node, gone, new)


def _child_becomes(edits: Edits, key: Node, node: Node, value: Any) -> None:
    if node.value == value:
        return
    if key.value == "seats":
        _seats_become(edits, key, node, value)
    elif isinstance(node.value, dict | None) and isinstance(value, dict) and value:
        _become(edits, key, node, value)
    elif node.is_block and isinstance(value, list) and value:
        _items_become(edits, key, node, value)
    else:
        edits.put(key, node, value)


def _become_flow(edits: Edits, key: Node | None, node: Node, value: Any) -> None:
    """Of what was empty, lines are made; else it is in braces still."""
    if value == node.value:
        return
    if node.children or key is None:
        edits.put(key, node, value)
    else:
        edits.change(key, node, (), value)


def _items_become(edits: Edits, key: Node, node: Node, wanted: list[str]) -> None:
    """Names in lines: in their order, or what is beside them would be about others."""
    if [name for name in node.value if name in wanted] + [n for n in wanted if n not in node.value] == wanted:
        gone = [place for place, name in enumerate(node.value) if name not in wanted]
        edits.change(key, node, gone, [name for name in wanted if name not in node.value])
    else:
        edits.put(key, node, wanted)


def _seats_become(edits: Edits, key: Node, node: Node, wanted: list[dict[str, Any]]) -> None:
    """Seats are known by their cells: what stands in another order stays so."""
    by_cell = {seat["cell"]: seat for seat in wanted}
    found = [by_cell.pop(seat["cell"], None) for seat in node.value]
    new = [seat for seat in wanted if seat["cell"] in by_cell]
    if not node.is_block:
        kept = [_merged(old, seat) for old, seat in zip(node.value, found, strict=True) if seat]
        _become_flow(edits, key, node, kept + new)
        return
    for seat, one in zip(found, node.children, strict=True):
        if seat:
            _become(edits, None, one, seat)
    edits.change(key, node, [place for place, seat in enumerate(found) if not seat], new)


def _merged(stands: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """`wanted`, in the order of what stands, with what that says although it is as ever."""
    kept = {name: wanted.get(name, value) for name, value in (stands or {}).items()}
    return {n: v for n, v in kept.items() if n in wanted or _is_as_ever(n, v)} | dict(wanted)


def _is_as_ever(name: str, value: Any) -> bool:
    """Whether this says, such as `draining: false`, what holds without it: it says it still."""
    return name in PLAIN_SEAT and bool(value == PLAIN_SEAT[name])
