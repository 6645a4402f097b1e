"""A shard map as a file, for people to edit and to keep in git: `shards export`, change, `plan`, `apply`.

YAML or JSON, of one form (`shards schema`). It says which generation it was made from, and so which one it
changes: of two people who began with the same one, the second hears of it. `export` over a file that is
there keeps its comments and its order, and writes what is other.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import msgspec

from croupier.errors import InvalidRequest
from sharding.generation import Generation, Override, Seat, Share, Size

if TYPE_CHECKING:
    from ruamel.yaml import YAML

# More than the largest map that there may be takes; a file that is none of ours is not read to its end.
MAX_BYTES = 64 * 2**20
MAX_DEPTH = 16


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
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    yaml = YAML(typ="safe")
    try:
        text = data.decode()
        _check_shape(yaml, text)
        return yaml.load(text)
    except (YAMLError, ValueError, RecursionError) as error:
        raise _no_yaml(error) from error


def _check_shape(yaml: YAML, text: str) -> None:
    """Raises InvalidFile for what a shard map has no use for: references, which multiply, and depth.

    What loads YAML calls itself for each level, in C, until there is no stack left; what reads it does not.
    """
    from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent

    depth = 0
    for event in yaml.parse(text):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > MAX_DEPTH or isinstance(event, AliasEvent):
            what = "says something by reference" if isinstance(event, AliasEvent) else "is nested too deeply"
            mark = event.start_mark
            raise InvalidFile(f"the file is not a shard map: it {what}, line {mark.line + 1}")


def _no_yaml(error: Exception) -> InvalidFile:
    """What is wrong, and where; without what the library says of its own switches."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return InvalidFile(f"the file is not a shard map: {problem or error}{where}")


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
        InvalidFile: `before` is no YAML of a shard map, or its comments cannot be kept.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    made = io.StringIO()
    if not before.strip():
        # In C: of a map of many thousand rules, the other way takes minutes.
        plainly: Any = YAML(typ="safe")
        plainly.default_flow_style = False
        plainly.sort_base_mapping_type_on_output = False
        plainly.dump(plain(generation), made)
        return made.getvalue()
    yaml = YAML()
    yaml.width = 2**16
    try:
        text = before.decode()
        _check_shape(YAML(typ="safe"), text)
        file = yaml.load(text)
    except (YAMLError, ValueError, RecursionError) as error:
        raise _no_yaml(error) from error
    if not isinstance(file, dict) or {*file} - {*ShardMap.__struct_fields__}:
        raise InvalidFile("the file that is there is not a shard map: it is not written over")
    _become(file, plain(generation))
    yaml.dump(file, made)
    if not _reads_as(made.getvalue(), generation):
        # The library mangles comments beside a mapping in braces.
        raise InvalidFile("the comments of the file that is there cannot be kept: write to another one")
    return made.getvalue()


def _reads_as(text: str, wanted: Generation) -> bool:
    """Whether it says what is wanted; in which order seats stand, is people's."""
    try:
        found = parse(text.encode(), wanted)
    except InvalidFile:
        return False
    return {*found.seats} == {*wanted.seats} and replace(
        found, seats=wanted.seats, author=wanted.author, reason=wanted.reason
    ) == replace(wanted, seed_since=0, at=0.0)


def _become(node: dict[str, Any], wanted: Mapping[str, Any]) -> None:
    """Give `node` the values of `wanted`, and leave what is as it should be untouched, comments and all."""
    below = _take_below(node)
    for name in [name for name in node if name not in wanted]:
        # What says something that is as ever, such as `draining: false`, says it still.
        if name not in PLAIN_SEAT or node[name] != PLAIN_SEAT[name]:
            del node[name]
    for name, value in wanted.items():
        stands = node.get(name)
        if name == "seats" and isinstance(stands, list):
            _seats_become(stands, value)
        elif isinstance(stands, dict) and isinstance(value, dict) and stands:
            _become(stands, value)
        elif name in node and stands == value:
            continue
        elif isinstance(stands, list) and isinstance(value, list):
            stands[:] = value
        else:
            node[name] = value
    _put_below(node, below)


def _seats_become(node: list[Any], wanted: list[dict[str, Any]]) -> None:
    """Seats are known by their cells: what stands in another order stays so."""
    by_cell = {seat["cell"]: seat for seat in wanted}
    for index in reversed(range(len(node))):
        seat = node[index]
        cell = seat.get("cell") if isinstance(seat, dict) else None
        found = by_cell.pop(cell, None) if isinstance(cell, str) else None
        if found is None:
            if index:
                _put_below(node[index - 1], _take_below(seat))
            del node[index]
        else:
            _become(seat, found)
    node.extend(seat for seat in wanted if seat["cell"] in by_cell)


def _take_below(node: Any) -> str:
    """The comment below a mapping, which is about what follows it, taken from there.

    ruamel.yaml keeps it with what ends the line of the last field, wherever that goes.
    """
    last, token = _last_comment(node)
    if token is None:
        return ""
    beside, _, below = token.value.partition("\n")
    token.value = f"{beside}\n"
    if not beside:
        del node.ca.items[last]
    return str(below)


def _put_below(node: Any, below: str) -> None:
    """Have the comment `below` stand below the last field of a mapping."""
    from ruamel.yaml.error import CommentMark
    from ruamel.yaml.tokens import CommentToken

    last, token = _last_comment(node)
    if not below or last is None:
        return
    if token is not None:
        token.value += below
    else:
        node.ca.items[last] = [None, None, CommentToken(f"\n{below}", CommentMark(0), None), None]


def _last_comment(node: Any) -> tuple[Any, Any]:
    """The last field of a mapping, and the comment that follows its value; None where there is none."""
    last = next(reversed(node), None) if hasattr(node, "ca") and isinstance(node, dict) else None
    return last, (node.ca.items.get(last) or [None] * 3)[2] if last is not None else None
