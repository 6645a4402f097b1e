"""A node of a graph as the rules for operators see it: what it is given, and how it is set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from croupier.artifacts.packers.rowwise.values import Dependent, Fixed, Rows, Sizes, Value

Outputs: TypeAlias = Sequence[Value]


@dataclass(frozen=True, slots=True)
class Node:
    """One operator of `opset`, with a value for each input; None for one that is left out.

    `outputs` is how many of its outputs are used: those behind the last one that is have no rule to follow.
    """

    operator: str
    opset: int
    inputs: tuple[Value | None, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    outputs: int = 1

    def get(self, place: int) -> Value | None:
        return self.inputs[place] if place < len(self.inputs) else None

    def value(self, place: int) -> Value:
        value = self.get(place)
        if value is None:
            raise Dependent(f"has no input {place}")
        return value

    def given(self) -> list[Value]:
        return [value for value in self.inputs if value is not None]

    def rows(self, place: int = 0) -> Rows:
        """Raises: Dependent: this input is something else."""
        value = self.value(place)
        if not isinstance(value, Rows):
            raise Dependent(f"takes no rows as input {place}")
        return value

    def matrix(self, place: int = 0) -> Rows:
        """Rows of numbers, one behind another: of any other rank, the first dimension may mean something
        else.
        """
        rows = self.rows(place)
        if rows.rank != 2 or rows.axis != 0:
            raise Dependent("is not given a row for each place in the batch")
        return rows

    def has_fixed(self, places: Sequence[int] | range) -> None:
        """Raises: Dependent: one of these inputs, where it is there, is not fixed."""
        if not all(isinstance(self.get(place), Fixed | None) for place in places):
            raise Dependent("takes its parameters from the request")

    def number(self, name: str, default: Any = None) -> Any:
        return self.attributes.get(name, default)

    def numbers(self, name: str, place: int | None = None) -> list[int] | None:
        """Whole numbers that an attribute has, or, since some opset, a fixed input; None if neither is there.

        Raises:
            Dependent: they are computed.
        """
        if name in self.attributes:
            return list(np.atleast_1d(self.attributes[name]).tolist())
        value = None if place is None else self.get(place)
        if value is None:
            return None
        if not isinstance(value, Fixed) or value.value is None:
            raise Dependent(f"computes its {name}")
        return [int(number) for number in np.atleast_1d(value.value)]

    def axis(self, rank: int, default: int, name: str = "axis") -> int:
        return within(self.number(name, default), rank)


def within(axis: int, rank: int) -> int:
    """An axis counted from 0.

    Raises:
        Dependent: there is none such.
    """
    if not -rank <= axis < rank:
        raise Dependent(f"has no axis {axis}")
    return axis % rank


def keep_batch(rows: Rows, axes: Sequence[int]) -> None:
    """Raises: Dependent: the batch is one of `axes`."""
    if rows.axis in axes:
        raise Dependent(f"works along axis {rows.axis}, the batch")


def entries(value: Value) -> Any:
    """The numbers of a shape, `BATCH` among them; None if they are not known."""
    if isinstance(value, Sizes):
        return value.entries
    if isinstance(value, Fixed) and value.value is not None and value.value.dtype.kind in "iu":
        return value.value.astype(object)
    return None
