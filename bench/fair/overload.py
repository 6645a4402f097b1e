"""Everybody together asks for more than the cells can do: what is answered in time, how soon the rest hears,
and how long it takes afterwards until all is as before.

Each cell has a quota of processor time (`bench.shards.quota`), all together about half a processor, and a
request takes milliseconds of it: so cells are what is short, and who loads them is not. That is on the
cells' core, of which they leave more than half, and the router on another one (`machines`): what is told is
of the router and not of the load, and how late that was is told as well. The peak is at the rate at which
most is answered in time while the rate rises: what is answered so of that rate, asked for as long as an
overload is looked at. The most of many short looks would be more than that, by chance. Each round looks for
that rate anew: what a machine can do that others use is another thing a minute later. Then it has a quiet
time at half of the peak, an overload, and the same quiet time again, in one open loop; and the peak is
measured once more. It is the mean of before and after: within seconds cells answer a third more or less.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import selectors
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

import numpy as np

from bench import calling, openloop, processes, report
from bench.fair import judging, machines
from bench.fair.demand import Demand
from bench.fair.noting import Ends, Notes, callers
from bench.openloop import Floats
from croupier.grpcio.manager import VersionManagerClient
from croupier.priority import take_short_slices
from croupierctl.stack import Stack

# Of one processor, each cell.
_SHARE = 0.15
# What callers wait.
DEADLINE = 0.5
# Of the peak, in quiet times.
_QUIET = 0.5
_FIRST_RATE, _GROWTH, _STEPS = 60.0, 1.25, 16
# A step whose goodput is less than this share of its rate, so often in a row, is beyond the peak.
_KEPT_UP, _ENOUGH = 0.85, 2
# From the beginning of an overload until it is looked at: queues fill, and limits find their place.
_SETTLE_SECONDS = 1.0
_SEED = 47


@dataclass(frozen=True, slots=True)
class Plan:
    """`factors` of the peak; seconds of each quiet time, of an overload, and of a step towards the peak."""

    factors: Sequence[int]
    rounds: int
    quiet: float
    seconds: float
    step: float


@dataclass(frozen=True, slots=True)
class Round:
    """`peaks`: before and after. `late_ms`: how late the load sent, at the 99th percentile. `others_share`:
    of the machine, what others had meanwhile. `refusals`: of the overload, by words.
    """

    peaks: tuple[float, float]
    peak_per_s: float
    goodput_ratio: float
    reject_p99_ms: float
    recovery_s: float
    late_ms: float
    others_share: float
    codes: dict[str, int]
    refusals: dict[str, judging.Said]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the load's process is told: arrivals in seconds from the start, of requests of `demand`."""

    router: str
    demand: Demand
    due: Floats


@dataclass(frozen=True, slots=True)
class _Cells:
    """A stack that the process of `load` asks."""

    stack: Stack
    plan: Plan
    demand: Demand
    load: ProcessPoolExecutor

    async def ask(self, due: Floats) -> tuple[Ends, float]:
        asked = Asked(self.stack.router, self.demand, due)
        return await asyncio.wrap_future(self.load.submit(_load, asked))

    async def goodput(self, rate: float, seconds: float, since: float) -> float:
        """Of `seconds` at a rate, from `since` on."""
        due = openloop.arrivals(rate, seconds, _SEED + round(rate))
        ends, _ = await self.ask(due)
        return judging.goodput(ends, since, float(due[-1]), DEADLINE)

    async def best_rate(self, rate: float) -> float:
        """Of the steps from `rate` on, the one with the most goodput."""
        step = self.plan.step
        best, at, beyond = 0.0, rate, 0
        for _ in range(_STEPS):
            good = await self.goodput(rate, step, step / 4)
            if good > best:
                best, at = good, rate
            beyond = beyond + 1 if good < _KEPT_UP * rate else 0
            if beyond == _ENOUGH:
                break
            rate *= _GROWTH
        return at

    async def peak(self, rate: float) -> float:
        """At `rate`, or at higher ones: what cells keep up with is less than they can do."""
        best = 0.0
        for _ in range(_STEPS):
            good = await self.goodput(rate, self.plan.seconds, _SETTLE_SECONDS)
            best = max(best, good)
            if good < _KEPT_UP * rate:
                break
            rate *= _GROWTH
        return best


async def measure(stack: Stack, manager: VersionManagerClient, plan: Plan) -> dict[str, Any]:
    """By factor, and how it was measured."""
    demand = await Demand.published(manager)
    spawn = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(1, spawn, take_short_slices) as load,
        machines.apart(stack, load.submit(os.getpid).result(), _SHARE) as has_quotas,
    ):
        cells = _Cells(stack, plan, demand, load)
        peak = await cells.peak(await cells.best_rate(_FIRST_RATE))
        report.step(f"overload: {peak:,.0f} requests/s at the peak")
        found: dict[str, Any] = {}
        for factor in plan.factors:
            rounds = [await _round(cells, peak, factor, number) for number in range(plan.rounds)]
            found[str(factor)] = _medians(rounds) | {
                "has_quotas": has_quotas,
                "rounds": [asdict(one) for one in rounds],
            }
    return found


async def _round(cells: _Cells, about: float, factor: int, number: int) -> Round:
    """`about` is a peak of a while ago."""
    quiet, seconds = cells.plan.quiet, cells.plan.seconds
    rate = await cells.best_rate(_QUIET * about)
    peak = await cells.peak(rate)
    rates = (_QUIET * peak, factor * peak, _QUIET * peak)
    due = piecewise(zip(rates, (quiet, seconds, quiet), strict=True), _SEED + number)
    before = processes.usage()
    ends, late_ms = await cells.ask(due)
    others_share = processes.usage().others_share(before, os.cpu_count() or 1)
    begin, end = quiet, quiet + seconds
    peaks = peak, await cells.peak(rate)
    mean = sum(peaks) / 2
    found = Round(
        peaks=peaks,
        peak_per_s=mean,
        goodput_ratio=judging.goodput(ends, begin + _SETTLE_SECONDS, end, DEADLINE) / mean,
        reject_p99_ms=judging.reject_p99_ms(ends, begin + _SETTLE_SECONDS, end),
        recovery_s=judging.recovery_seconds(ends, (0.0, begin), end, DEADLINE),
        late_ms=late_ms,
        others_share=others_share,
        codes=dict(ends.by_name()),
        refusals=judging.refusals(ends, begin + _SETTLE_SECONDS, end),
    )
    report.step(
        f"overload × {factor}: goodput {found.goodput_ratio:.0%} of {mean:,.0f} requests/s, refused within"
        f" {found.reject_p99_ms:.1f} ms, recovered after {found.recovery_s:.1f} s, {found.codes}"
    )
    return found


def piecewise(parts: Iterable[tuple[float, float]], seed: int) -> Floats:
    """When requests are due at several rates, each for its seconds, one after the other."""
    found, begin = [], 0.0
    for number, (rate, seconds) in enumerate(parts):
        due = openloop.arrivals(rate, 2 * seconds, seed * 10 + number)
        found.append(begin + due[due < seconds])
        begin += seconds
    return np.concatenate(found)


def _medians(rounds: Sequence[Round]) -> dict[str, float]:
    names = ("peak_per_s", "goodput_ratio", "reject_p99_ms", "recovery_s")
    return {name: float(median(getattr(one, name) for one in rounds)) for name in names}


def _load(asked: Asked) -> tuple[Ends, float]:
    """In the load's process: how requests ended, due in seconds from the start; how late they were sent."""

    async def ask() -> tuple[Ends, float]:
        notes = Notes()
        async with calling.channels(asked.router) as channels:
            moments = await openloop.open_loop_of_arrivals(
                callers(channels, notes, DEADLINE), asked.demand, asked.due
            )
        ends = notes.ends(moments)
        late_ms = float(np.quantile(moments.lateness, 0.99)) * 1e3
        return replace(ends, due=asked.due[: len(ends.due)]), late_ms

    # Its timers count microseconds, unlike uvloop's.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        return runner.run(ask())
