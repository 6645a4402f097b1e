"""Quantiles of several histograms, of which only the buckets are kept that anything fell into.

Within a bucket values are taken to lie evenly, so that two runs whose quantiles fall into the same bucket
differ by what their counts say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from croupier_bench.histogram import EDGES

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Buckets:
    """Counts of several histograms, a row each, over the same buckets: from `low` to `high` ms."""

    counts: Floats
    low: Floats
    high: Floats

    @classmethod
    def of(cls, histograms: Iterable[Mapping[str, Any] | Sequence[Sequence[int]]]) -> Buckets:
        """Of histograms as a result has them: whole, or their pairs of index and count alone."""
        pairs = [_pairs(histogram) for histogram in histograms]
        places = sorted({index for row in pairs for index, _ in row})
        column = {index: number for number, index in enumerate(places)}
        counts = np.zeros((len(pairs), len(places)))
        for number, row in enumerate(pairs):
            for index, count in row:
                counts[number, column[index]] += count
        found = np.array(places, dtype=np.int64)
        return cls(counts, EDGES[found] * 1e3, EDGES[found + 1] * 1e3)

    def quantiles(self, counts: Floats, shares: ArrayLike) -> Floats:
        """What each of `shares` of a histogram's `counts` took at most, in ms; NaN if it is empty."""
        wanted = np.asarray(shares, dtype=np.float64)
        below = np.cumsum(counts)
        if not len(below) or not below[-1]:
            return np.full(wanted.shape, np.nan)
        wanted = np.clip(wanted * below[-1], np.finfo(float).tiny, below[-1])
        place = np.searchsorted(below, wanted)
        here = counts[place]
        within = (wanted - (below[place] - here)) / here
        return np.asarray(self.low[place] + within * (self.high[place] - self.low[place]), dtype=np.float64)

    def mean(self, counts: Floats) -> float:
        """The mean of a histogram, in ms; NaN if it is empty."""
        total = counts.sum()
        return float(counts @ (self.low + self.high) / (2 * total)) if total else float("nan")


def _pairs(histogram: Mapping[str, Any] | Sequence[Sequence[int]]) -> Sequence[Sequence[int]]:
    if isinstance(histogram, Mapping):
        pairs: Sequence[Sequence[int]] = histogram.get("counts", ())
        return pairs
    return histogram
