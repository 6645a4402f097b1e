"""The process that asks: nothing else is in its interpreter, and its CPU time is nobody else's.

closed(…)   so many requests, so many of them under way: the most that the others can do
open(…)     at a rate: latencies from when a request was due
"""

from __future__ import annotations

import multiprocessing
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import uvloop

from bench import calling, openloop, report
from bench.calling import SessionCaller
from bench.fair import judging
from bench.many import Numbers
from bench.system.asking import Asking
from bench.system.population import Models
from croupier.codes import Code
from croupier.priority import take_short_slices

WRONG = "another answer"
# Seconds of an open loop that do not count.
_WARM_UP = 0.5
_TOLD = 5
_asking: Asking


@dataclass(frozen=True, slots=True)
class Seen:
    """Of `requests` cells or router `refused` some, having too much to do; others `failed`, or had no answer;
    and the answer of `wrong` ones is not the library's.
    """

    requests: int
    refused: int
    failed: int
    wrong: int
    per_s: float

    @property
    def answered(self) -> int:
        return self.requests - self.refused - self.failed - self.wrong


@dataclass(frozen=True, slots=True)
class Latencies:
    """Milliseconds. `late_p99` is how late requests were sent, which is in the latencies."""

    rate: float
    requests: int
    refused: int
    failed: int
    wrong: int
    p50: float
    p99: float
    p999: float
    late_p99: float

    @property
    def counts(self) -> bool:
        """Whether the load was late by no more than a tenth of what it saw, or by next to nothing."""
        return self.late_p99 <= max(0.1, self.p99 / 10)


class Load:
    def __init__(self, pool: ProcessPoolExecutor, router: str) -> None:
        self.pid: int = pool.submit(os.getpid).result()
        self._pool = pool
        self._router = router

    @classmethod
    @contextmanager
    def started(cls, router: str, models: Models) -> Iterator[Load]:
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, spawn, _begin, (models,)) as pool:
            yield cls(pool, router)

    def closed(self, order: Numbers, streams: int) -> Seen:
        """Each of `order` once, `streams` of each connection under way."""
        return self._pool.submit(_closed, self._router, order, streams).result()

    def open(self, order: Numbers, rate: float, seconds: float, seed: int) -> Latencies:
        return self._pool.submit(_open, self._router, order, rate, seconds, seed).result()


def _begin(models: Models) -> None:
    global _asking
    take_short_slices()
    _asking = Asking(models)


def _closed(router: str, order: Numbers, streams: int) -> Seen:
    async def ask() -> Seen:
        _asking.order = order.tolist()
        async with calling.callers(router) as callers:
            loaded = await openloop.closed_loop(callers, _asking, len(order), streams=streams)
            refused, wrong = _tell(callers)
        failed = loaded.failures - refused - wrong
        return Seen(loaded.requests, refused, failed, wrong, loaded.rps)

    return uvloop.run(ask())


def _open(router: str, order: Numbers, rate: float, seconds: float, seed: int) -> Latencies:
    async def ask() -> Latencies:
        _asking.order = order.tolist()
        async with calling.callers(router) as callers:
            moments = await openloop.open_loop_of_moments(
                callers, _asking, rate=rate, seconds=_WARM_UP + seconds, seed=seed
            )
            refused, wrong = _tell(callers)
        counted = moments.due >= moments.due[0] + _WARM_UP
        latencies, lateness = moments.latencies[counted] * 1e3, moments.lateness[counted] * 1e3
        right = latencies[np.isfinite(latencies)]
        failed = int(np.isinf(moments.latencies).sum()) - refused - wrong
        return Latencies(
            rate,
            len(moments.latencies),
            refused,
            failed,
            wrong,
            p50=_quantile(right, 0.5),
            p99=_quantile(right, 0.99),
            p999=_quantile(right, 0.999),
            late_p99=_quantile(lateness, 0.99),
        )

    return uvloop.run(ask())


def _quantile(values: Any, share: float) -> float:
    return float(np.quantile(values, share)) if len(values) else float("nan")


def _tell(callers: Sequence[SessionCaller]) -> tuple[int, int]:
    """Show what was wrong. How many requests were refused, and how many answers were wrong."""
    problems: Counter[str] = sum((caller.problems for caller in callers), Counter())
    for problem, count in problems.most_common(_TOLD):
        report.step(f"{count:,} × {problem}")
    return judging.codes(problems)[Code.UNAVAILABLE.name], problems[WRONG]
