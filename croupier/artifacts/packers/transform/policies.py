"""What the steps of a pipeline, and the estimator behind them, refuse of each feature.

A library refuses a row where one of its steps does. So every step says what it refuses of its columns, and a
feature is refused for what may reach such a step from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from croupier.artifacts.packers.transform.columns import Column, Table


@dataclass(slots=True)
class Policies:
    """The features that refuse missing values, infinite ones, and unknown categories."""

    missing: set[int] = field(default_factory=set)
    infinite: set[int] = field(default_factory=set)
    unknown: set[int] = field(default_factory=set)

    def refuse_missing(self, columns: Iterable[Column]) -> None:
        """A step refuses NaN in these columns; an encoder may also give it for an unknown category."""
        for column in columns:
            if column.may_be_missing:
                self.missing.add(column.source)
            if isinstance(column.read, Table) and np.isnan(column.read.unknown):
                self.unknown.add(column.source)

    def refuse_infinite(self, columns: Iterable[Column]) -> None:
        """A step refuses infinity in these columns."""
        self.infinite |= {column.source for column in columns if column.may_be_infinite}
