"""scikit-learn's encoders of categories, column by column.

An encoder knows each column's categories. To a category that it does not know it gives no column or value of
its own, or it refuses the row. A missing value is a category if it was one in training, else it is unknown.
Rare categories may share a column; another may be dropped, which leaves all of its encoder's columns at 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from croupier.artifacts.format import InvalidArtifact
from croupier.artifacts.packers.transform.columns import (
    Category,
    Column,
    Member,
    OneHot,
    Table,
    categories,
    is_missing,
)
from croupier.artifacts.packers.transform.policies import Policies


@dataclass(frozen=True, slots=True)
class Codes:
    """What an encoder makes of one column's categories. None: it refuses the row."""

    known: dict[Category, float]
    unknown: float | None
    missing: float | None


def encoded(column: Column, codes: Codes, policies: Policies) -> Column:
    """A column with each category's code in its place.

    Raises:
        InvalidArtifact: it is a number that was scaled.
    """
    if column.is_raw:
        return replace(column, read=_table(column, codes, policies))
    table = _as_table(column)
    # Of a category that would be refused, as of an unknown one, there is no code.
    found = [_code(value, codes) for value in (*table.values.tolist(), table.unknown, table.missing)]
    *values, unknown, missing = found
    if None in values:
        raise InvalidArtifact("an encoder that does not know what another one gives cannot be packed")
    refuses_unknown = table.refuses_unknown or unknown is None
    if refuses_unknown:
        policies.unknown.add(column.source)
    if missing is None:
        policies.missing.add(column.source)
    read = Table(
        table.categories,
        np.array(values, np.float64),
        math.nan if unknown is None else unknown,
        math.nan if missing is None else missing,
        refuses_unknown,
    )
    return replace(column, read=read)


def ordinal(step: Any, columns: Sequence[Column], policies: Policies) -> list[Column]:
    """OrdinalEncoder."""
    policies.refuse_infinite(columns)
    found = []
    for place, column in enumerate(columns):
        _refuse_two_missing_values(step, place, column)
        found.append(encoded(column, _ordinal_codes(step, place), policies))
    return found


def one_hot(step: Any, columns: Sequence[Column], policies: Policies) -> list[Column]:
    """OneHotEncoder: the columns of all categories side by side."""
    policies.refuse_infinite(columns)
    found: list[Column] = []
    for place, column in enumerate(columns):
        _refuse_two_missing_values(step, place, column)
        codes, width = _one_hot_codes(step, place)
        if column.is_raw:
            found += _members(column, codes, width, policies)
        else:
            found += [encoded(column, _of_member(codes, member), policies) for member in range(width)]
    return found


def _refuse_two_missing_values(step: Any, place: int, column: Column) -> None:
    """Behind an imputer of NaN, what is still missing is None; a caller has one of the two."""
    if column.fill is not None and any(map(is_missing, step.categories_[place])):
        raise InvalidArtifact(
            f"{type(step).__name__}'s column {place} has a missing value for a category behind an imputer: "
            "to a caller None and NaN are one"
        )


def _table(column: Column, codes: Codes, policies: Policies) -> Table:
    _note_refusals(column, codes, policies)
    nothing = math.nan
    return Table(
        tuple(codes.known),
        np.array(list(codes.known.values()), np.float64),
        nothing if codes.unknown is None else codes.unknown,
        nothing if codes.missing is None else codes.missing,
        codes.unknown is None,
    )


def _members(column: Column, codes: Codes, width: int, policies: Policies) -> list[Column]:
    _note_refusals(column, codes, policies)
    encoder = OneHot(
        width,
        tuple(codes.known),
        tuple(int(place) for place in codes.known.values()),
        -1 if codes.unknown is None else int(codes.unknown),
        -1 if codes.missing is None else int(codes.missing),
        codes.unknown is None,
    )
    return [replace(column, read=Member(encoder, place)) for place in range(width)]


def _note_refusals(column: Column, codes: Codes, policies: Policies) -> None:
    if codes.unknown is None:
        policies.unknown.add(column.source)
    if codes.missing is None and column.may_be_missing:
        policies.missing.add(column.source)


def _as_table(column: Column) -> Table:
    if isinstance(column.read, Table):
        return column.read
    if isinstance(column.read, Member) and not column.then:
        return column.read.table
    raise InvalidArtifact("an encoder of numbers that were scaled before cannot be packed")


def _code(value: float, codes: Codes) -> float | None:
    if math.isnan(value):
        return codes.missing
    return codes.known.get(value, codes.unknown)


def _of_member(codes: Codes, member: int) -> Codes:
    """1 where the code is this column, else 0."""

    def is_member(code: float | None) -> float | None:
        return None if code is None else float(code == member)

    return Codes(
        {each: float(code == member) for each, code in codes.known.items()},
        is_member(codes.unknown),
        is_member(codes.missing),
    )


def _ordinal_codes(step: Any, place: int) -> Codes:
    unknown = None if step.handle_unknown == "error" else float(step.unknown_value)
    grouped = _groups(step, place)

    def value(code: int) -> float:
        return float(code if grouped is None else grouped[code])

    def missing(code: int) -> float:
        # None is a category like another; NaN is not.
        is_none = step.categories_[place][code] is None
        return value(code) if is_none else float(step.encoded_missing_value)

    return _codes(step, place, value, unknown, missing)


def _one_hot_codes(step: Any, place: int) -> tuple[Codes, int]:
    """The codes are places among the columns, -1 for none; and how many columns there are."""
    grouped = _groups(step, place)
    dropped = None if step._drop_idx_after_grouping is None else step._drop_idx_after_grouping[place]  # noqa: SLF001

    def column(code: int) -> float:
        code = code if grouped is None else int(grouped[code])
        if dropped is None:
            return float(code)
        return -1.0 if code == dropped else float(code - (code > dropped))

    unknown: float | None = -1.0
    if step.handle_unknown == "error":
        unknown = None
    elif step.handle_unknown != "ignore" and grouped is not None:
        unknown = column(int(step._infrequent_indices[place][0]))  # noqa: SLF001
    codes = _codes(step, place, column, unknown, column)
    return codes, int(step._n_features_outs[place])  # noqa: SLF001 (its only form)


def _groups(step: Any, place: int) -> Any:
    """By category the code after rare ones were put together, if they were."""
    if not getattr(step, "_infrequent_enabled", False):
        return None
    return step._default_to_infrequent_mappings[place]  # noqa: SLF001 (its only form)


def _codes(
    step: Any,
    place: int,
    code: Callable[[int], float],
    unknown: float | None,
    missing: Callable[[int], float],
) -> Codes:
    listed = list(step.categories_[place])
    known = categories(listed)
    lost = [at for at, each in enumerate(listed) if is_missing(each)]
    kind = type(step).__name__
    if known is None or len({type(each) for each in known}) > 1:
        raise InvalidArtifact(
            f"{kind}'s column {place} has categories that are neither all numbers nor all texts"
        )
    if len(lost) > 1:
        raise InvalidArtifact(f"{kind}'s column {place} has None and NaN for categories, which are one here")
    present = [at for at in range(len(listed)) if at not in lost]
    return Codes(
        {each: code(at) for each, at in zip(known, present, strict=True)},
        unknown,
        missing(lost[0]) if lost else unknown,
    )
