"""Which model each request is for.

    mix = Mix(scenario.classes, seed, worker, workers)
    class_index, model_index = mix.draw(count, seconds)     # of this worker's next requests

Every worker draws for all requests of the run and keeps those of its own, number `worker` and each
`workers`-th behind it: which models are asked for does not depend on how many workers ask. Of a class, a
request is one of

    cold     for a model that nobody has asked for: the next one of the cold models
    scan     for the next model in the models' own order
    hot      for the model that holds a rank, drawn by popularity

The ranks are held in a random order, the same for classes with the same models. With drift, in each second
some ranks change hands among each other, at random: a popular model becomes one of many, and another takes
its place.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from xxhash import xxh3_64_intdigest

from croupier_bench.classes import UNIFORM, RequestClass

Floats = NDArray[np.float64]
Int16 = NDArray[np.int16]
Int32 = NDArray[np.int32]

# Of a generator's seed, what it is for: 1 is the arrivals'.
_REQUESTS, _HOLDERS, _DRIFT = 2, 3, 4
_SECONDS_A_MINUTE = 60
_HOT, _COLD, _SCAN = range(3)


class Mix:
    """Draws in the order of the requests; `seed` and the classes say all of it."""

    def __init__(self, classes: Sequence[RequestClass], seed: int, worker: int = 0, workers: int = 1) -> None:
        self._own = slice(worker, None, workers)
        self._workers = workers
        self._rng = np.random.default_rng([seed, _REQUESTS])
        self._hot = [Hot(asked, seed) for asked in classes]
        self._walks = [
            (place, kind, _Walk(asked, kind))
            for place, asked in enumerate(classes)
            for kind in (_COLD, _SCAN)
        ]
        weights = np.array([asked.weight for asked in classes])
        cold = np.array([asked.cold for asked in classes])
        scan = np.array([asked.popularity.scan for asked in classes])
        # Of each class its hot, cold and scanning requests, in this order.
        parts = np.stack([1 - cold - scan, cold, scan], axis=1).clip(0.0) * (weights / weights.sum())[:, None]
        self._shares = (parts / parts.sum()).ravel()
        self._edges = np.cumsum(self._shares)
        self._edges[-1] = np.inf

    def draw(self, count: int, seconds: Floats) -> tuple[Int16, Int32]:
        """Class and model of this worker's next `count` requests, due at `seconds`, which never go back."""
        drawn = self._rng.random(count * self._workers)
        parts = np.searchsorted(self._edges, drawn, side="right")
        models = np.zeros(len(drawn), np.int32)
        for place, kind, walk in self._walks:
            if self._shares[3 * place + kind]:
                walked = np.flatnonzero(parts == 3 * place + kind)
                models[walked] = walk.next(len(walked))
        drawn, parts, models = drawn[self._own], parts[self._own], models[self._own]
        for place, hot in enumerate(self._hot):
            part = 3 * place + _HOT
            chosen = np.flatnonzero(parts == part)
            # What is left of the draw within its part is as random as a draw.
            begin = self._edges[part - 1] if part else 0.0
            left = (drawn[chosen] - begin) / max(self._shares[part], 1e-300)
            models[chosen] = hot.draw(left, seconds[chosen])
        return (parts // 3).astype(np.int16), models


class Hot:
    """Models of one class by their popularity."""

    def __init__(self, asked: RequestClass, seed: int) -> None:
        self._models = asked.models
        popularity = asked.popularity
        self._is_uniform = popularity.kind == UNIFORM or popularity.alpha == 0
        # The share of requests that are for one of the first so many ranks.
        self._edges = np.cumsum(shares(asked.models, popularity.alpha))
        # Whose models are the same: the order is.
        whose = xxh3_64_intdigest(
            repr((asked.tenants, asked.tenant_names, asked.prefix, asked.names)).encode()
        )
        self._holders = (
            np.random.default_rng([seed, _HOLDERS, whose]).permutation(asked.models).astype(np.int32)
        )
        self._drifting = np.random.default_rng([seed, _DRIFT, whose])
        self._changes = popularity.drift * asked.models / _SECONDS_A_MINUTE
        self._second = 0

    def draw(self, uniform: Floats, seconds: Floats) -> Int32:
        """The model of each request, by a number from 0 up to 1; `seconds` say when, and never go back."""
        ranks = (uniform * self._models).astype(np.int64) if self._is_uniform else self._ranks(uniform)
        ranks = ranks.clip(0, self._models - 1)
        if not self._changes or not len(seconds):
            return self._holders[ranks]
        models = np.empty(len(ranks), np.int32)
        first, last = int(seconds[0]), int(seconds[-1])
        ends = np.searchsorted(seconds, np.arange(first + 1, last + 2))
        begin = 0
        for second, end in zip(range(first, last + 1), ends.tolist(), strict=True):
            self._drift_to(second)
            models[begin:end] = self._holders[ranks[begin:end]]
            begin = end
        return models

    def _ranks(self, uniform: Floats) -> NDArray[np.int64]:
        """Searched for in order, which the processor's cache likes: with many models twice as fast."""
        order = np.argsort(uniform)
        ranks = np.empty(len(uniform), np.int64)
        ranks[order] = np.searchsorted(self._edges, uniform[order], side="right")
        return ranks

    def _drift_to(self, second: int) -> None:
        """Let ranks change hands as often as whole seconds have passed, however they are counted."""
        while self._second < second:
            changes = int((self._second + 1) * self._changes) - int(self._second * self._changes)
            self._second += 1
            moved = np.unique(self._drifting.integers(0, self._models, changes))
            moved = self._drifting.permutation(moved)
            self._holders[moved] = self._holders[np.roll(moved, 1)]


class _Walk:
    """Models one after the other: the cold ones, or all others, over and over."""

    def __init__(self, asked: RequestClass, kind: int) -> None:
        self._first, self._count = (asked.models, asked.cold_models) if kind == _COLD else (0, asked.models)
        self._walked = 0

    def next(self, count: int) -> Int32:
        steps = np.arange(self._walked, self._walked + count)
        self._walked += count
        return (self._first + steps % self._count).astype(np.int32)


def shares(models: int, alpha: float) -> Floats:
    """The share of requests that is for each rank: Zipf's, by (rank + 1) ** -alpha."""
    weights = np.arange(1, models + 1, dtype=np.float64) ** -alpha
    found: Floats = weights / weights.sum()
    return found
