"""Very many models of three kinds, all different, and what their libraries say of one row each.

    linear         scikit-learn's linear regression of few features: a few hundred bytes
    forest         LightGBM's, as `bench.population` has it: some ten thousand bytes
    large forest   the same with more and deeper trees: a million bytes

Most of a tenant's models are small. Weights of linear ones are drawn, each model its own. Of forests one of a
size is trained, and a model has all of its leaves times a factor of its own: so the library's sum times that
factor, and its link, is what the model has to answer. No two artifacts are the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.engine_models import Shape
from bench.openloop import Floats
from bench.population import Population as Forest
from croupier.artifacts.packers.linear import pack_linear

_SEED = 17


@dataclass(frozen=True, slots=True)
class Kind:
    """`share` of all models; `shape` of what is trained, `datatype` of what they take."""

    name: str
    engine: str
    share: float
    shape: Shape
    datatype: str

    @property
    def trains_classes(self) -> bool:
        """Whether its models are classifiers, of two classes."""
        return self.shape.is_forest


KINDS = (
    Kind("linear", "linear", 0.7, Shape(4), "FP64"),
    Kind("forest", "forest", 0.295, Shape(20, trees=40, leaves=32, depth=5), "FP32"),
    Kind("large forest", "forest", 0.005, Shape(20, 520, 256, 8, trained_on=20_000), "FP32"),
)
_LINEAR = 0


@dataclass(frozen=True, slots=True)
class Models:
    """What asking for them takes: of each its kind and its one answer, of each kind the row that is asked.

    The answer of a forest is the probability of its second class; what it gives are both.
    """

    tenants: int
    kinds: NDArray[np.int8]
    answers: Floats
    rows: tuple[Floats, ...]

    @property
    def count(self) -> int:
        return len(self.kinds)

    def tenant(self, number: int) -> str:
        """Neighbours in number belong to different tenants."""
        return f"tenant-{number % self.tenants:05}"

    def name(self, number: int) -> str:
        return f"model-{number // self.tenants:05}"


class Population:
    """`count` models of so many tenants. Makes each artifact anew whenever it is asked for."""

    def __init__(self, count: int, tenants: int, seed: int = _SEED) -> None:
        random = np.random.default_rng(seed)
        kinds = random.choice(len(KINDS), size=count, p=[kind.share for kind in KINDS]).astype(np.int8)
        self._factors = random.uniform(0.5, 2.0, count)
        self._weights = random.normal(size=(count, 1 + KINDS[_LINEAR].shape.features))
        rows = tuple(random.normal(size=(1, kind.shape.features)).astype(np.float32) for kind in KINDS)
        # What float32 holds, so that rows are the same however they are sent.
        self.models = Models(tenants, kinds, np.zeros(count), tuple(row.astype(np.float64) for row in rows))
        self._answer()

    @cached_property
    def forests(self) -> dict[int, Forest]:
        """The trained ones, by kind."""
        return {number: Forest(kind.shape) for number, kind in enumerate(KINDS) if number != _LINEAR}

    @cached_property
    def _linear(self) -> tuple[bytes, bytes]:
        """An artifact of a linear model before its intercept and weights, and behind."""
        whole = pack_linear(self._regression(0))
        before, _, behind = whole.partition(self._weights[0].astype("<f8").tobytes())
        return before, behind

    def engine(self, number: int) -> str:
        return KINDS[self.models.kinds[number]].engine

    def artifact(self, number: int) -> bytes:
        kind = int(self.models.kinds[number])
        if kind != _LINEAR:
            return self.forests[kind].scaled(self._factors[number])
        before, behind = self._linear
        return b"".join((before, self._weights[number].astype("<f8").tobytes(), behind))

    def factor(self, number: int) -> float:
        """Of a forest's leaves."""
        return float(self._factors[number])

    def regression(self, number: int) -> Any:
        """The library's own model of a linear one."""
        return self._regression(number)

    def _regression(self, numbers: Any) -> Any:
        from sklearn.linear_model import LinearRegression

        model = LinearRegression()
        model.coef_, model.intercept_ = self._weights[numbers, 1:], self._weights[numbers, 0]
        model.n_features_in_ = KINDS[_LINEAR].shape.features
        return model

    def _answer(self) -> None:
        models = self.models
        for kind, row in enumerate(models.rows):
            (numbers,) = np.nonzero(models.kinds == kind)
            if not len(numbers):
                continue
            if kind == _LINEAR:
                models.answers[numbers] = self._regression(numbers).predict(row)[0]
            else:
                sums = self.forests[kind].booster.predict(row, raw_score=True)[0] * self._factors[numbers]
                models.answers[numbers] = 1 / (1 + np.exp(-sums))
