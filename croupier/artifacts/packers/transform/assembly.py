"""Columns and policies to the description of a block.

Steps lie in the order of the columns that they write. What is done to a number first is its step, what is
done next goes on from the column; neighbours of one encoder are one step. A feature that a category or a fill
of text was found for is text, and a category of it its place in the feature's dictionary.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from croupier.artifacts.format import InvalidArtifact
from croupier.artifacts.packers.transform.columns import (
    Category,
    Change,
    Column,
    Fill,
    Member,
    Number,
    OneHot,
    ScaleShift,
    ShiftScale,
    Table,
)
from croupier.artifacts.packers.transform.description import Feature, Kind, Step, Transform
from croupier.artifacts.packers.transform.encoders import Codes, encoded
from croupier.artifacts.packers.transform.policies import Policies


@dataclass(frozen=True, slots=True)
class Columns:
    """What an estimator sees of `width` features."""

    width: int
    columns: tuple[Column, ...]
    policies: Policies = field(default_factory=Policies)
    is_sparse: bool = False

    @property
    def used(self) -> list[int]:
        """The features that some column comes from."""
        return sorted({column.source for column in self.columns})

    def encoded(self, place: int, codes: Codes) -> Columns:
        """With codes in place of a column's categories, as a model has them that was trained on these."""
        if place >= len(self.columns):
            raise InvalidArtifact(f"a model has categories of column {place}, and gets {len(self.columns)}")
        columns = list(self.columns)
        columns[place] = encoded(columns[place], codes, self.policies)
        return replace(self, columns=tuple(columns))

    def transform(self, features: Sequence[int]) -> Transform:
        """The block for these of the features, all that are used among them.

        Raises:
            InvalidArtifact: a feature is both text and number.
        """
        return _Assembly(self, features).transform()


def raw(width: int) -> Columns:
    """The features as they come."""
    return Columns(width, tuple(Column(place) for place in range(width)))


class _Assembly:
    def __init__(self, given: Columns, features: Sequence[int]) -> None:
        self._policies = given.policies
        self._columns = given.columns
        self._features = features
        self._places = {feature: place for place, feature in enumerate(features)}
        self._texts = {
            feature: tuple(sorted(text.encode() for text in texts))
            for feature, texts in _texts(given.columns).items()
        }
        self._known = _known_to_refusing(given.columns)
        for column in given.columns:
            if column.source in self._texts and isinstance(column.read, Number):
                raise InvalidArtifact(f"feature {column.source} is text, and nothing makes a number of it")

    def transform(self) -> Transform:
        steps: list[Step] = []
        place = 0
        for columns in _runs(self._columns):
            steps += self._steps(columns, place)
            place += len(columns)
        features = tuple(self._feature(feature) for feature in self._features)
        return Transform(features, tuple(steps), len(self._columns))

    def _feature(self, feature: int) -> Feature:
        texts = self._texts.get(feature)
        return Feature(
            accepts_missing=feature not in self._policies.missing,
            accepts_infinite=texts is None and feature not in self._policies.infinite,
            refuses_unknown=feature in self._policies.unknown,
            may_overflow=any(_may_overflow(column) for column in self._columns if column.source == feature),
            texts=texts,
        )

    def _steps(self, columns: Sequence[Column], place: int) -> Iterator[Step]:
        first = columns[0]
        if isinstance(first.read, Member):
            yield self._one_hot(columns, place)
            for at, column in enumerate(columns, place):
                yield from _onwards(column.then, at)
        elif isinstance(first.read, Table):
            yield self._table(first, first.read, place)
        else:
            start, *then = first.then or (None,)
            if isinstance(start, Fill):
                start, then = None, list(first.then)
            yield _changing(start, self._begun(first, place))
            yield from _onwards(then, place)

    def _begun(self, column: Column, place: int) -> Step:
        fill = math.nan if column.fill is None else self._code(column.source, column.fill)
        return Step(Kind.COPY, self._places[column.source], place, fill)

    def _one_hot(self, columns: Sequence[Column], place: int) -> Step:
        reads = [column.read for column in columns if isinstance(column.read, Member)]
        encoder = reads[0].encoder
        # Columns may have been left out or put in another order since.
        at = {read.place: number for number, read in enumerate(reads)}
        table = self._ascending(columns[0], encoder, encoder.places)
        categories, places = [list(each) for each in zip(*table, strict=True)] or [[], []]
        if encoder.missing != encoder.unknown or columns[0].source in self._policies.unknown:
            categories.append(math.nan)
            places.append(encoder.missing)
        return replace(
            self._begun(columns[0], place),
            kind=Kind.ONE_HOT,
            a=float(len(columns)),
            categories=categories,
            values=[float(at.get(int(each), -1)) for each in places],
            other=at.get(encoder.unknown),
        )

    def _table(self, column: Column, read: Table, place: int) -> Step:
        begun = self._begun(column, place)
        indicates = not len(read.values) and (read.unknown, read.missing) == (0.0, 1.0)
        if indicates and column.fill is None and column.source not in self._policies.unknown:
            return replace(begun, kind=Kind.INDICATOR)
        table = self._ascending(column, read, read.values.tolist())
        categories, values = [list(each) for each in zip(*table, strict=True)] or [[], []]
        return replace(
            begun, kind=Kind.ORDINAL, a=read.unknown, b=read.missing, categories=categories, values=values
        )

    def _ascending(
        self, column: Column, read: Table | OneHot, values: Sequence[float]
    ) -> list[tuple[float, float]]:
        """Categories by number with what stands for each, in the order of the numbers.

        What is known to an encoder that refuses others is listed for those, too, that take it for an unknown
        one, and so is what they get in place of a missing value: else it would be refused.
        """
        known = dict(zip(read.categories, values, strict=True))
        if column.source in self._policies.unknown and not read.refuses_unknown:
            filled = () if column.fill is None else (column.fill,)
            for each in (*self._known.get(column.source, ()), *filled):
                known.setdefault(each, read.unknown)
        return sorted((self._code(column.source, each), float(value)) for each, value in known.items())

    def _code(self, source: int, category: Category) -> float:
        """A number is itself, a text its place in the dictionary."""
        texts = self._texts.get(source)
        if texts is None:
            return float(category)
        if not isinstance(category, str):
            raise InvalidArtifact(f"feature {source} has texts and numbers for categories")
        return float(texts.index(category.encode()))


def _may_overflow(column: Column) -> bool:
    """Whether a number that is no larger than 2**64 becomes something beyond float32."""
    largest = 2.0**64
    for change in column.then if isinstance(column.read, Number) else ():
        if isinstance(change, ShiftScale):
            largest = (largest + abs(change.a)) / abs(change.b) if change.b else math.inf
        elif isinstance(change, ScaleShift):
            largest = largest * abs(change.a) + abs(change.b)
    return not largest < 2.0**127


def _runs(columns: Iterable[Column]) -> Iterator[list[Column]]:
    """Neighbours that one step writes: different columns of one encoder, any other by itself."""
    run: list[Column] = []
    for column in columns:
        if run and not _continues(run, column):
            yield run
            run = []
        run.append(column)
    if run:
        yield run


def _continues(run: Sequence[Column], column: Column) -> bool:
    first = run[0]
    if not isinstance(first.read, Member) or not isinstance(column.read, Member):
        return False
    if first.read.encoder is not column.read.encoder:
        return False
    return (first.source, first.fill) == (column.source, column.fill) and all(
        each.read != column.read for each in run
    )


def _changing(change: Change | None, step: Step) -> Step:
    """A step that writes what `change` makes of its value."""
    if isinstance(change, ShiftScale):
        return replace(step, kind=Kind.SHIFT_SCALE, a=change.a, b=change.b)
    if isinstance(change, ScaleShift):
        return replace(step, kind=Kind.SCALE_SHIFT, a=change.a, b=change.b, clip=change.clip)
    return step


def _onwards(changes: Iterable[Change], place: int) -> Iterator[Step]:
    for change in changes:
        step = Step(Kind.COPY, 0, place, goes_on=True)
        if isinstance(change, Fill):
            yield replace(step, fill=change.value)
        else:
            yield _changing(change, step)


def _texts(columns: Iterable[Column]) -> dict[int, set[str]]:
    """By feature that is text, all texts that its columns know."""
    found: dict[int, set[str]] = {}
    for column in columns:
        known = {column.fill, *_categories(column)}
        texts = {each for each in known if isinstance(each, str)}
        if texts:
            found.setdefault(column.source, set()).update(texts)
    return found


def _known_to_refusing(columns: Iterable[Column]) -> dict[int, set[Category]]:
    """By feature, what the encoders know that refuse other categories."""
    found: dict[int, set[Category]] = {}
    for column in columns:
        refuses = (isinstance(column.read, Table) and column.read.refuses_unknown) or (
            isinstance(column.read, Member) and column.read.encoder.refuses_unknown
        )
        if refuses:
            known = set(_categories(column))
            found[column.source] = found[column.source] & known if column.source in found else known
    return found


def _categories(column: Column) -> tuple[Category, ...]:
    if isinstance(column.read, Table):
        return column.read.categories
    return column.read.encoder.categories if isinstance(column.read, Member) else ()
