"""One router before cells that hold very many models, all of them loaded: what a prediction takes.

Models are published in steps. After each, every one of them is asked for once, so that all are in memory, and
then at random, all alike: that none is hot is the hardest for caches of a processor. What each process took
is CPU time by the kernel's books. With all published, the same is asked by popularity (Zipf), and at parts of
the most in an open loop.

The router has a processor of its own, and the load, etcd and the version manager another; cells have those
between, or of two the load's. What shares a processor waits for it: CPU times say little of that, latencies
much. While models are loaded for the first time, fewer are asked for at once.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

from bench import many, processes, report
from bench.h2load import STREAMS
from bench.many import Numbers
from bench.system import asking, records
from bench.system.loading import Load, Seen
from bench.system.population import KINDS, Population
from croupierctl.stack import Stack

_SHARES = (25, 50, 75)
_ZIPF = 1.0
_SEED = 29
_WARM_UP = 0.1
# Of a connection, while models are loaded.
_LOADING_STREAMS = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """`steps` of models, the last of which is all. `requests` of a closed loop, of which the median of
    `rounds` counts; `seconds` of an open one.
    """

    steps: Sequence[int]
    tenants: int
    requests: int
    rounds: int
    seconds: float

    @property
    def models(self) -> int:
        return self.steps[-1]


@dataclass(frozen=True, slots=True)
class Round:
    """CPU microseconds of a request, by part."""

    per_s: float
    cpu_us: Mapping[str, float]


@dataclass(slots=True)
class Counts:
    """Of all requests so far."""

    requests: int = 0
    refused: int = 0
    failed: int = 0
    wrong: int = 0

    def add(self, seen: Any) -> None:
        self.requests += seen.requests
        self.refused += seen.refused
        self.failed += seen.failed
        self.wrong += seen.wrong


async def measure(stack: Stack, plan: Plan) -> dict[str, Any]:
    report.step(f"making {plan.models:,} models of {plan.tenants:,} tenants")
    population = await asyncio.to_thread(Population, plan.models, plan.tenants)
    with Load.started(stack.router, population.models) as load:
        measuring = _Measuring(stack, load, plan)
        growth = []
        begin = 0
        for count in plan.steps:
            await _publish(stack, population, range(begin, count))
            await asyncio.to_thread(measuring.warm, range(begin, count))
            begin = count
            with measuring.apart() as shared:
                rounds = await asyncio.to_thread(measuring.closed, _uniform(count, plan.requests))
            growth.append([count, _whole(_median_cpu(rounds))])
        return await asyncio.to_thread(_told, measuring, plan, rounds, growth) | {
            "kinds": _kinds(population),
            "shared": shared,
        }


def _told(measuring: _Measuring, plan: Plan, rounds: Sequence[Round], growth: list[Any]) -> dict[str, Any]:
    """With all models published, and measured in turn."""
    cpu, most = _median_cpu(rounds), median(one.per_s for one in rounds)
    with measuring.apart():
        popular = measuring.closed(many.zipf(plan.models, plan.requests, _ZIPF, _SEED))
        latency = {str(share): measuring.open(most * share / 100) for share in _SHARES}
    counts = measuring.counts
    return {
        "models": plan.models,
        "tenants": plan.tenants,
        "max_rps": most,
        "cpu_us": {name: cpu[name] for name in ("router", "cell")},
        "cpu_us_beside": {name: cpu[name] for name in ("load", "manager", "etcd")},
        "zipf": {"max_rps": median(one.per_s for one in popular), "cpu_us": _median_cpu(popular)},
        "latency": latency,
        "growth": {"models": growth},
        "requests": counts.requests,
        "refused": counts.refused,
        "failed": counts.failed,
        "wrong": counts.wrong,
    }


class _Measuring:
    def __init__(self, stack: Stack, load: Load, plan: Plan) -> None:
        self.counts = Counts()
        self._stack, self._load, self._plan = stack, load, plan
        named = stack.processes
        self._parts = {
            "router": [stack.process("router").pid],
            "cell": [one.pid for name, one in named.items() if name.startswith("cell-")],
            "load": [load.pid],
            "manager": [stack.process("version-manager").pid],
            "etcd": [stack.process("etcd").pid],
        }

    @contextmanager
    def apart(self) -> Iterator[dict[str, list[int]]]:
        """Who is measured shares no processor with who measures, in the block. Gives who has which."""
        usable = sorted(os.sched_getaffinity(0))
        shared = dict.fromkeys(self._parts, usable[-1:])
        shared |= {"router": usable[:1], "cell": usable[1:-1] or usable[-1:]}
        try:
            for name, cores in shared.items():
                self._confine(name, cores)
            yield shared
        finally:
            for name in self._parts:
                self._confine(name, usable)

    def _confine(self, part: str, cores: Sequence[int]) -> None:
        for pid in self._parts[part]:
            processes.confine(pid, *cores)

    def warm(self, numbers: range) -> None:
        """Have all of them in memory."""
        report.step(f"loading {len(numbers):,} models")
        order = np.random.default_rng(_SEED).permutation(np.array(numbers))
        self._add(self._load.closed(order, _LOADING_STREAMS))

    def closed(self, order: Numbers) -> list[Round]:
        self._add(self._load.closed(order[: max(1, round(len(order) * _WARM_UP))], STREAMS))
        return [self._round(order) for _ in range(self._plan.rounds)]

    def _round(self, order: Numbers) -> Round:
        before = processes.cpu_seconds_of(self._parts)
        seen = self._add(self._load.closed(order, STREAMS))
        after = processes.cpu_seconds_of(self._parts)
        spent = {name: (after[name] - before[name]) / max(1, seen.answered) * 1e6 for name in before}
        report.step(
            f"{seen.per_s:,.0f}/s, CPU µs: " + ", ".join(f"{name} {us:.2f}" for name, us in spent.items())
        )
        return Round(seen.per_s, spent)

    def open(self, rate: float) -> dict[str, Any]:
        plan = self._plan
        requests = max(1, round(rate * (plan.seconds + 1)))
        seen = self._load.open(_uniform(plan.models, requests), rate, plan.seconds, _SEED)
        self.counts.add(seen)
        return asdict(seen) | {"counts": seen.counts}

    def _add(self, seen: Seen) -> Seen:
        self.counts.add(seen)
        return seen


async def _publish(stack: Stack, population: Population, numbers: range) -> None:
    columns = ("publishing", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=report.console) as progress:
        bar = progress.add_task("", total=len(numbers))
        await records.publish(stack, population, numbers, lambda count: progress.advance(bar, count))


def _uniform(models: int, requests: int) -> Numbers:
    return asking.uniform(models, requests, _SEED)


def _median_cpu(rounds: Sequence[Round]) -> dict[str, float]:
    return {name: median(one.cpu_us[name] for one in rounds) for name in rounds[0].cpu_us}


def _whole(cpu: Mapping[str, float]) -> float:
    return cpu["router"] + cpu["cell"]


def _kinds(population: Population) -> list[dict[str, Any]]:
    """Of each kind how many there are, and the bytes of an artifact."""
    found = []
    for number, kind in enumerate(KINDS):
        (mine,) = np.nonzero(population.models.kinds == number)
        size = len(population.artifact(int(mine[0]))) if len(mine) else 0
        found.append({"kind": kind.name, "models": len(mine), "bytes": size})
    return found
