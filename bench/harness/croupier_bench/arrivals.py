"""When requests are due: planned ahead, from a seed, whatever becomes of earlier ones.

    for moments in windows(load, seed, worker, workers):   # seconds from where the warm-up begins
        ...

A process of rate 1 (exponential gaps, or gaps of exactly 1) gives how many requests are expected up to each
one; the shape of the load says when so many are (Çinlar's time change). Each worker draws all arrivals and
takes each `workers`-th: so the union over workers is the same, however many they are, and the arrivals of one
are as they are of callers who know nothing of each other.

A window at a time is drawn, so that hours take no more memory than seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from croupier_bench.load import BURSTS, CLOSED, POISSON, STEPS, WAVE, Load

Floats = NDArray[np.float64]

# Arrivals of all workers that are drawn at a time.
WINDOW = 1 << 16
# Straight pieces of which a wave is made: the rate is off by a thousandth at most.
_PIECES = 4_096
# Of a generator's seed, what it is for.
_STREAM = 1


def expected(load: Load) -> float:
    """How many requests are due in all, with those of the warm-up; 0 in a closed loop."""
    if load.mode == CLOSED:
        return 0.0
    curve = _Curve.of(load)
    return load.warm_up * curve.first_rate + curve.count(load.seconds)


def due(load: Load, seed: int, worker: int = 0, workers: int = 1) -> Floats:
    """All windows in one: for plans that fit into memory."""
    return np.concatenate([np.empty(0), *windows(load, seed, worker, workers)])


def windows(load: Load, seed: int, worker: int = 0, workers: int = 1) -> Iterator[Floats]:
    """When this worker's requests are due, ascending: seconds from where the warm-up begins.

    The n-th of them is number `worker + n * workers` of all.
    """
    if load.mode == CLOSED:
        return
    curve = _Curve.of(load)
    first = -load.warm_up * curve.first_rate
    last = curve.count(load.seconds)
    drawn = 0
    for counts in _process(load, seed, first):
        # Rounding in a sum may put the last one of the warm-up a hair before it.
        moments = np.maximum(curve.when(counts[counts < last]) + load.warm_up, 0.0)
        own = moments[(worker - drawn) % workers :: workers]
        drawn += len(counts)
        if len(own):
            yield own
        if len(moments) < len(counts):
            return


def _process(load: Load, seed: int, first: float) -> Iterator[Floats]:
    """How many requests are expected from second 0 on up to each arrival; without an end."""
    rng = np.random.default_rng([seed, _STREAM])
    before = first
    drawn = 0
    while True:
        if load.arrivals == POISSON:
            counts = before + np.cumsum(rng.standard_exponential(WINDOW))
            before = float(counts[-1])
        else:
            counts = first + np.arange(drawn, drawn + WINDOW, dtype=np.float64)
            drawn += WINDOW
        yield counts


@dataclass(frozen=True, slots=True)
class _Curve:
    """The rate as straight pieces of how many are expected: up to `at[i]` seconds, `counts[i]`.

    Before 0 the rate is `first_rate`. Behind the last piece they begin again if it is `periodic`, else the
    rate stays as it was.
    """

    at: Floats
    counts: Floats
    first_rate: float
    is_periodic: bool

    @classmethod
    def of(cls, load: Load) -> _Curve:
        shape, rate = load.shape, load.rate
        if shape.kind == STEPS:
            rates = np.array(shape.rates)
            # None of the run's time is behind the last piece.
            lasts = np.full(len(rates), shape.every)
            lasts[-1] += load.seconds
            return cls.made(lasts, rates, is_periodic=False)
        if shape.kind == BURSTS:
            lasts = np.array([shape.every - shape.lasts, shape.lasts])
            return cls.made(lasts, rate * np.array([1.0, shape.times]), is_periodic=True)
        if shape.kind == WAVE:
            at = np.linspace(0.0, shape.period, _PIECES + 1)
            turn = 2 * math.pi / shape.period
            counts = rate * (at + shape.depth / turn * (1 - np.cos(turn * at)))
            return cls(at, counts, rate, is_periodic=True)
        return cls.made(np.array([1.0]), np.array([rate]), is_periodic=True)

    @classmethod
    def made(cls, lasts: Floats, rates: Floats, *, is_periodic: bool) -> _Curve:
        """Pieces that last so long, at such rates."""
        is_there = lasts > 0
        lasts, rates = lasts[is_there], rates[is_there]
        at = np.concatenate([[0.0], np.cumsum(lasts)])
        counts = np.concatenate([[0.0], np.cumsum(lasts * rates)])
        return cls(at, counts, float(rates[0]), is_periodic)

    def count(self, seconds: float) -> float:
        """How many are expected up to there."""
        return float(self._read(np.array([seconds]), self.at, self.counts)[0])

    def when(self, counts: Floats) -> Floats:
        """When so many are expected."""
        found = self._read(counts, self.counts, self.at)
        return np.where(counts < 0, counts / self.first_rate, found)

    def _read(self, x: Floats, xs: Floats, ys: Floats) -> Floats:
        if not self.is_periodic:
            return np.interp(x, xs, ys)
        turns = np.floor(x / xs[-1])
        found: Floats = turns * ys[-1] + np.interp(x - turns * xs[-1], xs, ys)
        return found
