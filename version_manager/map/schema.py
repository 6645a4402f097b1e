"""Records that gain fields, while parts of two releases read and write them.

A record says the lowest `schema` that can hold it; none means 1. A field that came later says since when:

    pace: Annotated[int, Meta(extra={SINCE: 2})] = 0

- **Reading.** Of the next schema, what is not known is passed over: a newer release wrote it. In a schema
  that is known, an unknown field is an operator's typo, and refused by its name. What is further ahead is
  refused.
- **Rewriting.** What a reader passed over stands in the record after it wrote it (`carry_over`): down to
  the items of a list, which are known again by their first field, and the values of an object.
- **Alternatives.** A field that may hold a number or an object of its own, which came later, needs the schema
  of that object's fields when it holds one.
- **Writing.** A field of a later schema is written only where it says something, so a record takes a
  later schema when the first such field is used, which `writer` allows once everybody understands it.

Pure.
"""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec
from msgspec import Meta, Raw, Struct

from version_manager.map.keys import BadRecord

CURRENT = 7
FIRST = 1
SINCE = "schema"

# Which protocol number (`croupier.protocol`) says that a part understands a schema.
PROTOCOLS: Mapping[int, int] = {1: 1, 2: 3, 3: 4, 4: 5, 5: 6, 6: 7, 7: 8}

_T = TypeVar("_T", bound=Struct)
_Number = Annotated[int, Meta(ge=FIRST, lt=2**31)]
_Fields = dict[str, Raw]

# Where msgspec says that something is wrong: "… - at `$.splits[0]`", "… - at `key` in `$.labels`".
_AT = re.compile(r"- at `(?:key` in `)?\$\.?([^`]*)`$")
_FIELD = re.compile(r"field `([^`]*)`")


class NewerRecord(BadRecord):
    """A record of a release that is two or more ahead, which must not be written over. The operator's."""

    reason = "NEWER_RECORD"


def understood(protocol: int, protocols: Mapping[int, int] = PROTOCOLS) -> int:
    """The highest schema that a part of `protocol` understands."""
    return max(schema for schema, since in protocols.items() if since <= protocol)


def schema_of(value: bytes) -> int:
    """The schema that a record says. Raises BadRecord: it is not JSON, no object, or says nonsense."""
    raw = _fields(value).get(SINCE)
    return FIRST if raw is None else _number(raw)


def read(value: bytes, kind: type[_T], current: int = CURRENT) -> _T:
    """The record in `value`, as far as `kind` knows it.

    Raises:
        NewerRecord: its schema is more than one ahead of `current`.
        BadRecord: it is no such record.
    """
    try:
        # There may be hundreds of thousands of either, and what this release writes begins with its schema.
        return msgspec.json.decode(_without_schema(value, current), type=kind)
    except (ValueError, RecursionError) as error:
        refused = error
    try:
        fields = _fields(value)
        if SINCE not in fields:
            raise _bad(kind, refused) from refused
        schema = _number(fields.pop(SINCE))
        if schema > current + 1:
            raise NewerRecord(
                f"not a {_name(kind)}: it has schema {schema}, and this release reads up to {current + 1}"
            )
        return msgspec.json.decode(
            msgspec.json.encode(_known(fields, kind) if schema > current else fields), type=kind
        )
    except (ValueError, RecursionError) as error:
        raise _bad(kind, error) from error


def _without_schema(value: bytes, current: int) -> bytes:
    """`value` without the schema that it begins with, if that is `current` and a field follows.

    A comma that nothing follows is no JSON, and must not become an empty record.
    """
    begin = b'{"%b":%d,"' % (SINCE.encode(), current)
    return b'{"' + value[len(begin) :] if value.startswith(begin) else value


def write(record: Struct) -> bytes:
    """`record` in the lowest schema that can hold it."""
    if _newest(type(record)) == FIRST:
        return msgspec.json.encode(record)
    fields, schema = _plain(record)
    return msgspec.json.encode(fields if schema == FIRST else {SINCE: schema, **fields})


def carry_over(before: bytes, after: bytes, kind: type[Struct], current: int = CURRENT) -> bytes:
    """`after`, which takes the place of `before`, with what `kind` does not know of that.

    Raises:
        NewerRecord: `before` is more than one schema ahead, and nobody here knows what would be lost.
    """
    try:
        read(before, kind, current)
        schema = schema_of(before)
    except NewerRecord:
        raise
    except BadRecord:
        return after
    if schema <= current:
        return after
    merged = _merged(_fields(before), _fields(after), kind)
    merged.pop(SINCE, None)
    return msgspec.json.encode({SINCE: schema, **merged})


def _merged(before: _Fields, after: _Fields, kind: type[Struct]) -> dict[str, Any]:
    nested, single = _nested(kind), _single(kind)
    merged: dict[str, Any] = {**after}
    for name, old in before.items():
        if name not in kind.__struct_fields__:
            merged[name] = old
        elif name in single and name in after and _is_object(old) and _is_object(after[name]):
            merged[name] = _merged(_decode(old, _Fields), _decode(after[name], _Fields), single[name])
        elif name in nested and name in after:
            merged[name] = _merged_items(old, after[name], nested[name])
    return merged


def _merged_items(before: Raw, after: Raw, kind: type[Struct]) -> Any:
    """Lists, or objects, of `kind`."""
    if _is_object(before):
        old, new = _decode(before, dict[str, _Fields]), _decode(after, dict[str, _Fields])
        return {key: _merged(old.get(key, {}), item, kind) for key, item in new.items()}
    first = kind.__struct_fields__[0]
    known = {msgspec.json.decode(item[first]): item for item in _decode(before, list[_Fields])}
    return [
        _merged(known.get(msgspec.json.decode(item[first]), {}), item, kind)
        for item in _decode(after, list[_Fields])
    ]


def _known(fields: _Fields, kind: type[Struct]) -> dict[str, Any]:
    """`fields` without those that `kind` does not have, all the way down."""
    nested, single = _nested(kind), _single(kind)
    known: dict[str, Any] = {}
    for name, value in fields.items():
        if name in single and _is_object(value):
            known[name] = _known(_decode(value, _Fields), single[name])
        elif name in nested:
            known[name] = _known_items(value, nested[name])
        elif name in kind.__struct_fields__:
            known[name] = value
    return known


def _known_items(value: Raw, kind: type[Struct]) -> Any:
    if _is_object(value):
        return {key: _known(item, kind) for key, item in _decode(value, dict[str, _Fields]).items()}
    return [_known(item, kind) for item in _decode(value, list[_Fields])]


def _plain(record: Struct) -> tuple[dict[str, Any], int]:
    """The fields that say something, and the schema that they need."""
    fields: dict[str, Any] = {}
    needed = FIRST
    for field in _layout(type(record)):
        value = getattr(record, field.name)
        if field.is_left_out and value == field.default:
            continue
        needed = max(needed, field.since)
        if field.is_many:
            value, inner = _plain_items(value)
            needed = max(needed, inner)
        elif isinstance(value, Struct):
            value, inner = _plain(value)
            needed = max(needed, inner)
        fields[field.written] = value
    return fields, needed


class _Field(NamedTuple):
    """`is_left_out`: where it says what it does by default."""

    name: str
    written: str
    since: int
    default: Any
    is_left_out: bool
    is_many: bool


@cache
def _layout(kind: type[Struct]) -> tuple[_Field, ...]:
    """Kept: a record may hold tens of thousands of a kind, and msgspec looks at its types anew each time."""
    since, many, omits = _since(kind), _nested(kind), kind.__struct_config__.omit_defaults
    return tuple(
        _Field(
            field.name,
            field.encode_name,
            since.get(field.name, FIRST),
            field.default,
            not field.required and (omits or field.name in since),
            field.name in many,
        )
        for field in msgspec.structs.fields(kind)
    )


def _plain_items(value: Any) -> tuple[Any, int]:
    items = value.values() if isinstance(value, dict) else value
    plain = [_plain(item) for item in items]
    needed = max((schema for _, schema in plain), default=FIRST)
    found = [fields for fields, _ in plain]
    return (dict(zip(value, found, strict=True)) if isinstance(value, dict) else found), needed


@cache
def _nested(kind: type[Struct]) -> dict[str, type[Struct]]:
    """The fields that hold many of another kind, in a tuple or in a dictionary."""
    return {name: inner for name, (hint, inner) in _structs(kind).items() if _is_many(hint)}


@cache
def _single(kind: type[Struct]) -> dict[str, type[Struct]]:
    """The fields that may hold one of another kind, beside what else they may hold."""
    return {name: inner for name, (hint, inner) in _structs(kind).items() if not _is_many(hint)}


def _structs(kind: type[Struct]) -> dict[str, tuple[Any, type[Struct]]]:
    found = {}
    for name, hint in typing.get_type_hints(kind).items():
        for arm in typing.get_args(hint):
            if isinstance(arm, type) and issubclass(arm, Struct):
                found[name] = (hint, arm)
    return found


def _is_many(hint: Any) -> bool:
    return typing.get_origin(hint) in (tuple, dict)


@cache
def _since(kind: type[Struct]) -> dict[str, int]:
    """The fields that came after the first schema."""
    found = {}
    for name, hint in typing.get_type_hints(kind, include_extras=True).items():
        for extra in getattr(hint, "__metadata__", ()):
            if isinstance(extra, Meta) and extra.extra and SINCE in extra.extra:
                found[name] = extra.extra[SINCE]
    return found


@cache
def _newest(kind: type[Struct]) -> int:
    inner = [*_nested(kind).values(), *_single(kind).values()]
    newest = [*_since(kind).values(), *map(_newest, inner)]
    return max(newest, default=FIRST)


def _fields(value: bytes) -> _Fields:
    try:
        # A raw field is looked at only so far as to find its end.
        msgspec.json.decode(value)
        return msgspec.json.decode(value, type=_Fields)
    except (ValueError, RecursionError) as error:
        raise BadRecord(f"not a record: {error}") from error


def _is_object(raw: Raw) -> bool:
    return bytes(raw).lstrip().startswith(b"{")


def _decode(raw: Raw, kind: Any) -> Any:
    return msgspec.json.decode(raw, type=kind)


def _number(raw: Raw) -> int:
    try:
        number: int = msgspec.json.decode(raw, type=_Number)
    except ValueError as error:
        raise BadRecord(f"not a record: `schema`: {error}", field=SINCE) from error
    return number


def _bad(kind: type[Struct], error: Exception) -> BadRecord:
    return BadRecord(f"not a {_name(kind)}: {error}", field=field_of(str(error)))


def field_of(words: str) -> str:
    """The field that msgspec complains of in `words`: "splits[0].version"; empty if it names none."""
    where, what = _AT.search(words), _FIELD.search(words)
    path = where[1] if where else ""
    if what is None:
        return path
    return f"{path}.{what[1]}" if path else what[1]


def _name(kind: type[Struct]) -> str:
    return kind.__name__.removeprefix("_").removesuffix("Form").lower()
