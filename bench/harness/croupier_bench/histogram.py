"""Latencies as counts in buckets, in the layout of HdrHistogram: microseconds, three digits that count.

Up to 2,047 each has a bucket; above, each octave has 1,024 of the same width. So a bucket is at most a
thousandth of what falls into it, memory does not grow with what is recorded, and what several processes
counted adds up. `croupier/transport/http2/counted_call.pyx` counts in the same layout natively.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Places = NDArray[np.integer[Any]]

UNIT_US = 1
_HALF = 1024
_OCTAVES = 23
BUCKETS = _HALF * (_OCTAVES + 1)
# A little more than two hours; what took longer is counted as that.
_LONGEST_US = (1 << 33) - 1
# Seconds have no exact microseconds: 0.0003 is 299.99999999999994 of them.
_NUDGE_US = 1e-3


def _edges() -> NDArray[np.float64]:
    places = np.arange(BUCKETS + 1, dtype=np.int64)
    octave = np.maximum(places // _HALF - 1, 0)
    found: NDArray[np.float64] = ((places - octave * _HALF) << octave) * (UNIT_US * 1e-6)
    return found


# Where each bucket begins, in seconds, and where the last one ends.
EDGES = _edges()


def indices(seconds: ArrayLike) -> NDArray[np.int64]:
    """The bucket of each of `seconds`."""
    us = np.clip(np.asarray(seconds, np.float64) * 1e6 + _NUDGE_US, 0, _LONGEST_US).astype(np.int64)
    octave = np.maximum(np.frexp(us.astype(np.float64))[1] - 11, 0).astype(np.int64)
    found: NDArray[np.int64] = octave * _HALF + (us >> octave)
    return found


class Histogram:
    """`counts` of all buckets, and what they cannot tell exactly: `sum` and `max`, in seconds."""

    __slots__ = ("counts", "max", "sum")

    def __init__(self) -> None:
        self.counts: NDArray[np.int64] = np.zeros(BUCKETS, np.int64)
        self.sum = 0.0
        self.max = 0.0

    @property
    def count(self) -> int:
        return int(self.counts.sum())

    def record(self, seconds: ArrayLike) -> None:
        """Count a latency, or an array of them."""
        taken = np.atleast_1d(np.asarray(seconds, np.float64))
        if taken.size:
            self.counts += np.bincount(indices(taken), minlength=BUCKETS)
            self.sum += float(taken.sum())
            self.max = max(self.max, float(taken.max()))

    def merge(self, other: Histogram) -> None:
        """Count what `other` has counted."""
        self.counts += other.counts
        self.sum += other.sum
        self.max = max(self.max, other.max)

    def add(self, places: Places, counts: Places, total: float, most: float) -> None:
        """Count what somebody else counted by bucket; no place comes twice. `total` and `most` in seconds."""
        self.counts[places] += counts
        self.sum += total
        self.max = max(self.max, most)

    def quantile(self, share: float) -> float:
        """What `share` of all took at most, in seconds; NaN if nothing was recorded.

        Within a bucket they are taken to lie evenly.
        """
        below = np.cumsum(self.counts)
        total = int(below[-1])
        if not total:
            return math.nan
        wanted = min(max(share * total, 1.0), total)
        place = int(np.searchsorted(below, wanted))
        here = int(self.counts[place])
        within = (wanted - (int(below[place]) - here)) / here
        low, high = float(EDGES[place]), float(EDGES[place + 1])
        return min(low + within * (high - low), self.max)

    def mean(self) -> float:
        """In seconds; NaN if nothing was recorded."""
        count = self.count
        return self.sum / count if count else math.nan

    def above(self, seconds: float) -> int:
        """How many took longer, as far as buckets tell: the one that `seconds` lies in is not counted."""
        return int(self.counts[int(indices(seconds)) + 1 :].sum())

    def pairs(self) -> list[list[int]]:
        """Index and count of each bucket that has any."""
        found = np.flatnonzero(self.counts)
        return np.stack((found, self.counts[found]), axis=1).tolist()  # type: ignore[no-any-return]

    def to_json(self) -> dict[str, Any]:
        return {
            "unit_us": UNIT_US,
            "counts": self.pairs(),
            "sum_us": round(self.sum * 1e6, 3),
            "max_us": round(self.max * 1e6, 3),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Histogram:
        """Of what `to_json` made; sum and maximum are estimated where they are missing.

        Raises:
            ValueError: it is in another layout.
        """
        if data.get("unit_us") != UNIT_US:
            raise ValueError(f"a histogram in units of {data.get('unit_us')} µs, not of {UNIT_US}")
        made = cls.of_pairs(data.get("counts", ()))
        if "sum_us" in data:
            made.sum = data["sum_us"] * 1e-6
        if "max_us" in data:
            made.max = data["max_us"] * 1e-6
        return made

    @classmethod
    def of_pairs(cls, pairs: Iterable[Iterable[int]]) -> Histogram:
        """Of what `pairs` gives. Sum and maximum are those of the middles of buckets.

        Raises:
            ValueError: it has buckets that there are not.
        """
        made = cls()
        found = np.array([tuple(pair) for pair in pairs], dtype=np.int64).reshape(-1, 2)
        if not len(found):
            return made
        places, counts = found[:, 0], found[:, 1]
        if places.min() < 0 or places.max() >= BUCKETS or counts.min() < 0:
            raise ValueError("a histogram with buckets that there are not")
        middles = (EDGES[places] + EDGES[places + 1]) / 2
        np.add.at(made.counts, places, counts)
        made.sum, made.max = float(middles @ counts), float(middles[counts > 0].max(initial=0.0))
        return made
