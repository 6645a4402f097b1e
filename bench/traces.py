"""Requests for models, as caches meet them: Zipf, drifting popularity, and scans in between.

A model is a number; its size does not depend on how popular it is. Everything is drawn from seeds, so
each process that needs a trace makes the same one.

    zipf-0.7, zipf-0.9, zipf-1.0   independent requests; the exponent says how uneven
    drift                          Zipf(0.9); every hundredth of the trace, one rank in ten changes hands
    scan                           Zipf(1.0), and in a quarter of all requests, in bursts, a job that asks for
                                   every model once, in order
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_EPOCHS = 100
_MOVED = 0.1
_BURST = 50_000


def sizes(models: int) -> Array:
    """Bytes of each model: a quarter linear ones, then forests, few large ones; 200 B to 8 MB."""
    rng = np.random.default_rng(7)
    kind = rng.random(models)
    found = np.exp(rng.uniform(np.log(200), np.log(4_000), models))
    for at_least, median, spread in ((0.25, 19_000, 0.6), (0.8, 150_000, 0.7), (0.97, 1_500_000, 0.6)):
        larger = median * np.exp(rng.normal(0.0, spread, models))
        found = np.where(kind >= at_least, larger, found)
    return found.clip(200, 8_000_000).astype(np.int64)


def popularity(models: int, exponent: float) -> Array:
    """The share of requests that each rank gets."""
    weights = np.arange(1, models + 1) ** -exponent
    shares: Array = weights / weights.sum()
    return shares


def _ranks(models: int, requests: int, exponent: float, rng: np.random.Generator) -> Array:
    edges = np.cumsum(popularity(models, exponent))
    return np.searchsorted(edges, rng.random(requests)).clip(0, models - 1)


def _zipf(exponent: float) -> Callable[[int, int], Array]:
    def make(models: int, requests: int) -> Array:
        rng = np.random.default_rng(int(exponent * 10))
        return rng.permutation(models)[_ranks(models, requests, exponent, rng)]

    return make


def _drift(models: int, requests: int) -> Array:
    rng = np.random.default_rng(11)
    ranks = _ranks(models, requests, 0.9, rng)
    holders = rng.permutation(models)
    for epoch in np.array_split(ranks, _EPOCHS):
        moved = np.flatnonzero(rng.random(models) < _MOVED)
        holders[moved] = holders[rng.permutation(moved)]
        # A view of `ranks`: from a rank to who holds it in this epoch.
        epoch[:] = holders[epoch]
    return ranks


def _scan(models: int, requests: int) -> Array:
    found = _zipf(1.0)(models, requests)
    at = np.arange(requests)
    # Every other request in the middle half of each burst's span.
    span = min(_BURST, requests // 4)
    scanned = at[(abs(at % span - span / 2) < span / 4) & (at % 2 == 0)]
    found[scanned] = np.random.default_rng(12).permutation(models)[np.arange(len(scanned)) % models]
    return found


# Each by how many models there are and how many requests it has.
TRACES: Mapping[str, Callable[[int, int], Array]] = {
    "zipf-0.7": _zipf(0.7),
    "zipf-0.9": _zipf(0.9),
    "zipf-1.0": _zipf(1.0),
    "drift": _drift,
    "scan": _scan,
}
