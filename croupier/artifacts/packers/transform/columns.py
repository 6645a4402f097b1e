"""A column of a pipeline at some step: the feature that it comes from, and what was done to it until then.

There are three cases. A *number* is the feature itself. A column of a *table* has one of a few values, by the
feature's category: an encoder's code, or whether the feature is missing. A *one-hot* column shares its table
with the others of its encoder, since they are written by one step. Scaling then changes a table's values at
once; the other two keep a list of what is done to them next.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
Category: TypeAlias = float | str


@dataclass(frozen=True, slots=True)
class Fill:
    """`value` in place of NaN."""

    value: float


@dataclass(frozen=True, slots=True)
class ShiftScale:
    """(x - a) / b."""

    a: float
    b: float


@dataclass(frozen=True, slots=True)
class ScaleShift:
    """x * a + b, held within `clip`."""

    a: float
    b: float
    clip: tuple[float, float] | None = None


Change: TypeAlias = Fill | ShiftScale | ScaleShift


@dataclass(frozen=True, slots=True)
class Number:
    """The feature itself."""


@dataclass(frozen=True, slots=True)
class Table:
    """`values` by category, `unknown` for any other, `missing` for NaN."""

    categories: tuple[Category, ...]
    values: Array
    unknown: float
    missing: float
    refuses_unknown: bool = False

    def changed(self, change: Callable[[Array], Array]) -> Table:
        """With a change to whatever it gives."""
        *values, unknown, missing = change(np.array([*self.values, self.unknown, self.missing])).tolist()
        return replace(self, values=np.array(values, np.float64), unknown=unknown, missing=missing)

    @property
    def all_values(self) -> Array:
        """Whatever it may give, but for a missing value."""
        return np.array([*self.values, *([] if self.refuses_unknown else [self.unknown])])


@dataclass(frozen=True, slots=True, eq=False)
class OneHot:
    """`places` among `width` columns by category, -1: none; `unknown` and `missing` the same."""

    width: int
    categories: tuple[Category, ...]
    places: tuple[int, ...]
    unknown: int
    missing: int
    refuses_unknown: bool


@dataclass(frozen=True, slots=True)
class Member:
    """One column of an encoder's."""

    encoder: OneHot
    place: int

    @property
    def table(self) -> Table:
        """The same as a table of its own."""
        encoder = self.encoder
        *values, unknown, missing = (
            float(place == self.place) for place in (*encoder.places, encoder.unknown, encoder.missing)
        )
        return Table(encoder.categories, np.array(values), unknown, missing, encoder.refuses_unknown)


@dataclass(frozen=True, slots=True)
class Column:
    """`fill` goes in place of a missing value before anything else; `then` are changes, in order."""

    source: int
    fill: Category | None = None
    read: Number | Table | Member = Number()
    then: tuple[Change, ...] = ()

    @property
    def is_raw(self) -> bool:
        """Whether it is the feature itself, but for missing values."""
        return isinstance(self.read, Number) and not self.then

    @property
    def may_be_missing(self) -> bool:
        """Whether it is NaN where the feature is missing."""
        if self.fill is not None or any(isinstance(change, Fill) for change in self.then):
            return False
        return isinstance(self.read, Number) or (
            isinstance(self.read, Table) and math.isnan(self.read.missing)
        )

    @property
    def may_be_infinite(self) -> bool:
        """Whether it is infinite where the feature is."""
        return isinstance(self.read, Number)

    def filled(self, value: Category) -> Column:
        """With a value in place of NaN."""
        if isinstance(self.read, Table):
            number = float(value)
            return replace(
                self,
                read=self.read.changed(lambda values: np.where(np.isnan(values), number, values)),
            )
        if not self.may_be_missing:
            return self
        if self.is_raw:
            return replace(self, fill=value)
        return replace(self, then=(*self.then, Fill(float(value))))

    def changed(self, change: ShiftScale | ScaleShift) -> Column:
        """Scaled."""
        if isinstance(self.read, Table):
            return replace(self, read=self.read.changed(lambda values: scaled(values, change)))
        return replace(self, then=(*self.then, change))

    def indicator(self) -> Column:
        """A column that is 1 where this one is NaN, else 0."""
        if isinstance(self.read, Table):
            read = self.read.changed(lambda values: np.isnan(values).astype(np.float64))
        else:
            read = Table((), np.empty(0), 0.0, float(self.may_be_missing))
        return Column(self.source, read=read)


def scaled(values: Array, change: ShiftScale | ScaleShift) -> Array:
    """What a change makes of values, in its order of operations."""
    with np.errstate(all="ignore"):
        if isinstance(change, ShiftScale):
            found: Array = (values - change.a) / change.b
            return found
        found = values * change.a + change.b
        return found if change.clip is None else np.clip(found, *change.clip)


def is_missing(value: Any) -> bool:
    """NaN, None, or pandas' NA: to a caller there is one kind of missing value."""
    if value is None or type(value).__name__ == "NAType":
        return True
    return isinstance(value, float | np.floating) and bool(np.isnan(value))


def category(value: Any) -> Category | None:
    """A category as the number or the text that it is; None if it is neither."""
    if isinstance(value, str):
        return str(value) if _is_unicode(value) else None
    if isinstance(value, bool | int | float | np.bool_ | np.number) and not isinstance(
        value, np.complexfloating
    ):
        number = float(value)
        # NumPy would compare a whole number as a float.
        is_same = number == value if not isinstance(value, int | np.integer) else number == int(value)
        return number if is_same else None
    return None


def _is_unicode(text: str) -> bool:
    """Whether it can be sent at all: half of a surrogate pair cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def categories(values: Sequence[Any]) -> tuple[Category, ...] | None:
    """All of them, without the missing one; None if one is neither a number nor a text."""
    found = [category(value) for value in values if not is_missing(value)]
    return None if None in found else tuple(each for each in found if each is not None)
