"""How far a ratio of two measurements may lie from the true one: intervals with a confidence of 0.95.

    blocks    Seconds of a run are not independent: a stall, a release or a queue lasts. So neighbours are put
              together, about n^(1/3) of n, and whole blocks are drawn again with replacement (the block
              bootstrap; Künsch 1989, Carlstein 1986). Few blocks vary more than they show: the interval is
              widened as Student's t has it (Hesterberg 2015, "expanded percentiles").
    ranks     A quantile lies between two of the sorted answers, whose ranks a binomial gives: the share below
              the k-th of n has the distribution Beta(k, n - k + 1). It takes answers to be independent. They
              are less than that, so no interval is narrower; without seconds it is all there is.
    counts    What failed, or was wrong, may be none at all, of which drawing again makes none. So the
              interval is at least that of two Poisson counts (Jeffreys' prior).

What differs between two runs as wholes, such as the machine on another day, is in no interval from within.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf, isfinite, sqrt

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# Of the first and of the second.
Pair = tuple[float, float]

DRAWS = 2000
_SIDES = (0.025, 0.975)
# Of the normal distribution: 19 of 20 lie between this and its opposite.
_Z = 1.959964
_MOST_BLOCKS = 300
# With fewer blocks nothing can be said of how they vary.
LEAST_BLOCKS = 4


@dataclass(frozen=True, slots=True)
class Interval:
    """Of a ratio; `high` is infinite where the first was 0."""

    ratio: float
    low: float
    high: float

    def wider(self, other: Interval) -> Interval:
        return Interval(self.ratio, min(self.low, other.low), max(self.high, other.high))


def blocks(seconds: int) -> NDArray[np.int64]:
    """The block of each second: neighbours together, all about as long."""
    if not seconds:
        return np.zeros(0, np.int64)
    count = min(max(1, round(seconds / max(1, round(seconds ** (1 / 3))))), _MOST_BLOCKS)
    return np.asarray(np.floor(np.arange(seconds) * (count / seconds) + 1e-9), dtype=np.int64)


def summed(values: Floats, block: NDArray[np.int64]) -> Floats:
    """The sums of rows of the same block."""
    sums = np.zeros((int(block[-1]) + 1 if len(block) else 0, *values.shape[1:]))
    np.add.at(sums, block, values)
    return sums


def weights(random: np.random.Generator, count: int) -> Floats:
    """How often each of `count` blocks is drawn, a row a draw of all."""
    return random.multinomial(count, np.full(count, 1 / count), size=DRAWS).astype(np.float64)


def of_draws(seen: Pair, drawn: tuple[Floats, Floats], sizes: Pair) -> Interval:
    """The ratio of what was seen, the second over the first, by what was drawn of each, of so many blocks.

    What is drawn may be of another measure, if that goes with what was seen: its middle counts as seen.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = [np.log(one) for one in drawn]
        ratio, apart = seen[1] / seen[0], logs[1] - logs[0]
    apart = apart[np.isfinite(apart)]
    if not len(apart):
        return Interval(ratio, 0.0, inf)
    spreads = [float(np.var(one[np.isfinite(one)])) for one in logs]
    wider = _student(spreads, sizes) / _Z
    low, high = (wider * float(side - np.median(apart)) for side in np.quantile(apart, _SIDES))
    return Interval(ratio, ratio * exp(low), ratio * exp(high))


def of_counts(random: np.random.Generator, counts: tuple[Pair, Pair]) -> Interval:
    """The ratio of two shares, each of a (count, of so many)."""
    before, after = counts
    ratio = (after[0] / after[1]) / (before[0] / before[1]) if before[0] else inf
    drawn = random.gamma(after[0] + 0.5, size=DRAWS) / random.gamma(before[0] + 0.5, size=DRAWS)
    low, high = np.quantile(drawn * before[1] / after[1], _SIDES)
    return Interval(ratio, float(low) if after[0] else 0.0, float(high) if before[0] else inf)


def ranks(random: np.random.Generator, count: float, share: float) -> Floats:
    """Shares between which the `share` of `count` answers may lie, drawn."""
    rank = min(max(count * share + 0.5, 0.5), count)
    return random.beta(rank, count - rank + 1, size=DRAWS)


def _student(spreads: Sequence[float], sizes: Pair) -> float:
    """The quantile of t, by the degrees of freedom that both have together (Welch), wider for few blocks."""
    parts = [spread**2 / max(size - 1, 1) for spread, size in zip(spreads, sizes, strict=True)]
    degrees = sum(spreads) ** 2 / sum(parts) if sum(parts) else inf
    least = min(sizes)
    wider = sqrt(least / (least - 1)) if 1 < least < inf else 1.0
    return wider * _t(degrees)


def _t(degrees: float) -> float:
    """The same of Student's distribution, from 3 degrees on (Abramowitz & Stegun 26.7.5)."""
    if not isfinite(degrees):
        return _Z
    z = _Z
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / degrees**power for power, term in enumerate(terms, start=1))
