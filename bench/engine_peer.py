"""What every engine of `python -m bench engines` offers: a model trained, made into a file, loaded and asked.

Every one gets single threads and the leanest call that it offers from Python.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any, Protocol

from bench.engine_models import Array, Shape, train_lightgbm, train_linear


class Peer(Protocol):
    """`payload` is made once of what was `trained`, `load` makes one resident model of it."""

    # Whether `ask` and `asker` take float64 rows too.
    is_wide: bool
    # How many models one process can have.
    most: float

    def is_installed(self) -> bool: ...

    def version(self) -> str: ...

    def takes(self, shape: Shape) -> bool: ...

    def trained(self, shape: Shape) -> Any: ...

    def expected(self, trained: Any, rows: Array) -> Array:
        """What the library that trained it says of `rows`: as `ask`."""
        ...

    def payload(self, trained: Any, shape: Shape) -> Any:
        """What is kept of a model and served from: bytes and text, or several of both."""
        ...

    def load(self, payload: Any) -> Any: ...

    def ask(self, model: Any, rows: Array) -> Array:
        """The probability of the second class for each row of float32 (n, features), shape (n,)."""
        ...

    def asker(self, models: Sequence[Any], rows: Array) -> Callable[[], object]:
        """Ready to score one row with each of `models` in order, rows repeating."""
        ...


class OneByOne(ABC):
    """An engine that is called once a row, of the package `distribution`; forests are LightGBM's."""

    is_wide = False
    most: float = math.inf
    distribution = ""

    def is_installed(self) -> bool:
        return True

    def version(self) -> str:
        return version(self.distribution)

    def takes(self, shape: Shape) -> bool:
        return shape.is_forest

    def trained(self, shape: Shape) -> Any:
        return train_lightgbm(shape) if shape.is_forest else train_linear(shape)

    def expected(self, trained: Any, rows: Array) -> Array:
        found: Array = (
            trained.predict_proba(rows)[:, 1] if hasattr(trained, "predict_proba") else trained.predict(rows)
        )
        return found

    @abstractmethod
    def ask(self, model: Any, rows: Array) -> Array: ...

    def asker(self, models: Sequence[Any], rows: Array) -> Callable[[], object]:
        alone = [rows[place : place + 1] for place in range(len(rows))]
        jobs = [(model, alone[place % len(alone)]) for place, model in enumerate(models)]
        ask = self.ask

        def run() -> None:
            for model, row in jobs:
                ask(model, row)

        return run
