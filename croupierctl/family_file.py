"""A family's config as a file, to edit and to keep in git: `families show --as-file`, change, `apply`.

YAML or JSON, of one form (`families schema`). It says which config it was made from, and so which one it
changes: of two people who began with the same one, the second hears of it. What is wrong is named by its
field, and where a field is none, the one that was probably meant.
"""

from __future__ import annotations

import difflib
import math
import typing
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Annotated, Any

import msgspec
import typer

from croupier.errors import InvalidRequest, TooLarge
from croupierctl.arguments import duration
from version_manager.model.family import (
    DEGRADE,
    ENTITY_ID,
    NUMBER,
    REQUEST,
    TEXT,
    Family,
    FeatureSpec,
    LogRule,
    check_family,
)

# More than the largest config takes; a file that is none of ours is not read to its end.
MAX_BYTES = 4 * 2**20

# Larger numbers are no clearer without an exponent.
_WHOLE = 2**53
_SPANS = (("d", 86_400.0), ("h", 3_600.0), ("m", 60.0), ("s", 1.0))


class InvalidFile(InvalidRequest):
    """A file that is no config of a family. The operator's."""

    reason = "INVALID_FAMILY"


def _meta(description: str, **bounds: Any) -> msgspec.Meta:
    return msgspec.Meta(description=description, **bounds)


class FileFeature(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One feature of a family's models."""

    name: Annotated[str, _meta("as the models name it")]
    dtype: Annotated[str, _meta("`number` or `text`")] = NUMBER
    source: Annotated[
        str, _meta("`request`, `store`, or `request-else-store`: what a caller does not send is read")
    ] = REQUEST
    group: Annotated[str, _meta("of features in the store that are written together; not with `request`")] = (
        ""
    )
    entity: Annotated[
        str,
        _meta(
            "whose features they are: a text with `{entity_id}`, `{tenant}` or `{param:NAME}` of the request"
            " in it"
        ),
    ] = ENTITY_ID
    default: Annotated[
        float | str | None,
        _meta(
            "what holds where it is missing, too old or out of range, `.nan` too; left out: it is required"
        ),
    ] = None
    max_age: Annotated[
        str | float | None, _meta("`90s`, `15m`, `12h`, `7d`: what was written earlier is not used")
    ] = None
    low: Annotated[float | None, _meta("the least number that may be, inclusive")] = None
    high: Annotated[float | None, _meta("the largest")] = None


class FileLog(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """Which requests are logged."""

    share: Annotated[float | str, _meta("of requests: 0 to 1, or `25%`")]
    sensitive: Annotated[
        dict[str, str] | None,
        _meta("`hash` or `drop`, by the name of a feature or an output; `entity`: the entity id"),
    ] = None


class FamilyFile(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What the models of one name have in common, whichever tenant's they are."""

    name: Annotated[str, _meta("what the models are called")]
    number: Annotated[
        int, _meta("the config that this was made from, and changes; left out: whichever holds", ge=0)
    ] = 0
    description: Annotated[str, _meta("for people")] = ""
    owner: Annotated[str, _meta("whom to ask")] = ""
    tags: Annotated[list[str], _meta("for people")] = []
    store_failure: Annotated[
        str, _meta("while the feature store is down or slow: `degrade`, to defaults, or `fail`")
    ] = DEGRADE
    features: Annotated[list[FileFeature], _meta("in any order")] = []
    log: Annotated[FileLog | None, _meta("left out: nothing is logged")] = None


FORMS: tuple[tuple[str, type[msgspec.Struct]], ...] = (
    ("", FamilyFile),
    ("features[]", FileFeature),
    ("log", FileLog),
)


def schema() -> dict[str, Any]:
    """The form of the file as a JSON schema."""
    return msgspec.json.schema(FamilyFile)


def parse(data: bytes) -> Family:
    """The config that a file describes; its number is that of the config which the file changes, 0: any.

    Raises:
        InvalidFile: neither YAML nor JSON, not of this form, or it cannot be kept.
    """
    raw = _load(data)
    for path, name, known in _strange(raw, FamilyFile):
        raise InvalidFile(f"{path}: there is no such field{_meant(name, known)}", field=path)
    try:
        file = msgspec.convert(raw, type=FamilyFile)
    except msgspec.ValidationError as error:
        words, _, where = str(error).partition(" - at `$")
        path = where.rstrip("`").lstrip(".")
        raise InvalidFile(f"{path or 'the file'}: {words}", field=path) from error
    family = Family(
        file.name,
        1,
        file.description,
        file.owner,
        tuple(file.tags),
        tuple(_spec(one, f"features[{at}]") for at, one in enumerate(file.features)),
        file.store_failure,
        _log(file.log) if file.log else None,
    )
    try:
        check_family(family)
    except (InvalidRequest, TooLarge) as error:
        raise InvalidFile(error.message, field=getattr(error, "field", "")) from error
    return replace(family, number=file.number)


def plain(family: Family) -> dict[str, Any]:
    """`family` as `parse` takes it: what is left out is as ever."""
    file = FamilyFile(
        family.name,
        family.number,
        family.description,
        family.owner,
        list(family.tags),
        family.store_failure,
        list(map(_feature, family.features)),
        FileLog(family.log.share, dict(family.log.sensitive) or None) if family.log else None,
    )
    found: dict[str, Any] = msgspec.to_builtins(file)
    return found


def to_yaml(family: Family) -> str:
    from croupierctl.yaml_edit import dump

    return dump(plain(family))


def span(seconds: float) -> str:
    """In the largest unit that says it exactly."""
    for unit, size in _SPANS:
        if seconds >= size and seconds % size == 0:
            return f"{int(seconds / size)}{unit}"
    # Never as 1e-05.
    return f"{Decimal(repr(seconds)):f}s"


def _spec(one: FileFeature, at: str) -> FeatureSpec:
    default = math.nan if one.dtype == NUMBER and one.default == "nan" else one.default
    if one.dtype == TEXT and isinstance(default, float):
        raise InvalidFile(
            f"{at}.default: a text stands in quotes: {default:.15g} is a number", field=f"{at}.default"
        )
    age = None if one.max_age is None else _seconds(one.max_age, f"{at}.max_age")
    return FeatureSpec(
        one.name, one.dtype, one.source, one.group, one.entity, default, age, one.low, one.high
    )


def _feature(one: FeatureSpec) -> FileFeature:
    age = None if one.max_age is None else span(one.max_age)
    return FileFeature(
        *(one.name, one.dtype, one.source, one.group, one.entity),
        *(_number(one.default) if isinstance(one.default, float) else one.default, age),
        *(None if bound is None else _number(bound) for bound in (one.low, one.high)),
    )


def _number(value: float) -> float:
    """Whole numbers as people write them."""
    return int(value) if abs(value) < _WHOLE and value == int(value) else value


def _log(one: FileLog) -> LogRule:
    return LogRule(_share(one.share), dict(one.sensitive or {}))


def _share(said: float | str) -> float:
    if not isinstance(said, str):
        return said
    try:
        if not said.rstrip().endswith("%"):
            raise ValueError(said)
        return float(said.rstrip().removesuffix("%")) / 100
    except ValueError as error:
        raise InvalidFile(
            f"log.share: {said!r} is no share: say 0 to 1, or 25%", field="log.share"
        ) from error


def _seconds(said: str | float, at: str) -> float:
    try:
        return duration(said)
    except typer.BadParameter as error:
        raise InvalidFile(f"{at}: {said!r} is no time: say 90s, 15m, 12h or 7d", field=at) from error


def _strange(value: Any, kind: type[msgspec.Struct], at: str = "") -> Iterator[tuple[str, str, list[str]]]:
    """Fields that are none, by where they stand: with what there is in their place."""
    if not isinstance(value, dict):
        return
    known = list(kind.__struct_fields__)
    for name, one in value.items():
        path = f"{at}.{name}" if at else str(name)
        if name not in known:
            yield path, str(name), known
        elif (inner := _inner(kind, name)) is not None:
            many = enumerate(one) if isinstance(one, list) else [(None, one)]
            for place, item in many:
                yield from _strange(item, inner, path if place is None else f"{path}[{place}]")


def _inner(kind: type[msgspec.Struct], name: str) -> type[msgspec.Struct] | None:
    """The form of what stands in a field, or of each of what does."""
    hint = typing.get_type_hints(kind)[name]
    for arm in typing.get_args(hint):
        if isinstance(arm, type) and issubclass(arm, msgspec.Struct):
            return arm
    return None


def _meant(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {near[0]}?" if near else f": there are {', '.join(known)}"


def _load(data: bytes) -> Any:
    """What YAML or JSON says."""
    # Who asks for anything but a file would wait for its import.
    from ruamel.yaml.error import YAMLError

    from croupierctl.yaml_tree import read

    try:
        if data.lstrip().startswith(b"{"):
            return msgspec.json.decode(data)
        return read(data.decode()).value
    except (YAMLError, ValueError, RecursionError) as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InvalidFile(f"the file is not a family: {problem or error}{where}") from error
