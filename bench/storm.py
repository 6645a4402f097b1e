"""A storm of cold models on one cell: what its hot models' callers notice, and how fast it loads.

    publish     the models lie in a file store
    store       a fresh cell; in each round a quiet second, then storms of cold models that only the store has
    disk        the cell anew with nothing resident: the same models, from its disk cache

A process of its own asks hot models all the time, in an open loop with Poisson arrivals, whose latencies
count from when a request was due. Meanwhile another sends so many requests at once, each for another cold
model, and the next storm when the last one is answered, until the round's models are used up. The same open
loop says what quiet is, in the second before. Every answer is compared byte for byte. Files lie in the
kernel's page cache: how fast a disk is is not what this measures.

The cell has all cores, as the processes that ask it have; who asks hot models sleeps in between, and who
sends storms steps back, so that they delay the cell and not each other. A figure is the median over the
rounds, and the result the worse of both sources.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import selectors
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
import uvloop

from bench import calling, many, openloop, processes, report
from bench.catalog import Load
from bench.many import Many
from bench.openloop import Floats, Moments
from cell.loading import hotset
from croupier.priority import take_short_slices
from croupier.stores.objects import key_of
from croupierctl.stack_process import Process

_HOT = 100
_RATE = 2_000.0
_SEED = 23
# Owners: the hot models are one tenant's, and the cold ones another's.
_CALLER, _STORMS = 1, 2
# Seconds of an open loop before it counts, and until the storms begin.
_WARM_UP = 0.3
# The open loop outlasts the storms, which may take longer than those before.
_SPARE = 1.5
_START_SECONDS = 60.0
_TOLD = 5


@dataclass(frozen=True, slots=True)
class Plan:
    """`at_once` cold requests, `storms` times in each of `rounds`; `options` are the cell's."""

    at_once: int
    storms: int
    rounds: int
    quiet: float
    options: Sequence[str] = ()
    folder: Path | None = None

    @property
    def models(self) -> int:
        """Hot ones, one storm to find out how long it takes, and the rounds'."""
        return _HOT + self.at_once * (1 + self.storms * self.rounds)


@dataclass(frozen=True, slots=True)
class Round:
    """Milliseconds at the 99th percentile; `answers` is how many hot requests the storm's figure is from.

    `late_ms` is how late they were sent, which is in the figure: the machine's part in it.
    """

    quiet_ms: float
    storm_ms: float
    late_ms: float
    worst_ms: float
    answers: int
    hot_errors: int
    refused: int
    loads_per_s: float
    cpu_us_per_load: float


def run(plan: Plan, json: Path | None) -> bool:
    """Measure, print and write; true unless a hot request failed or a cold one was refused."""
    rounds, result = measured(plan)
    report.write_json(
        json,
        {
            **result,
            "at_once": plan.at_once,
            "rounds": {source: [asdict(each) for each in found] for source, found in rounds.items()},
        },
    )
    return not result["hot_errors"] and not result["cold_refused"]


def measured(plan: Plan) -> tuple[dict[str, list[Round]], dict[str, float]]:
    """By source, and the result of all; printed as well."""
    folder = Path(tempfile.mkdtemp(prefix="croupier-storm-", dir=plan.folder))
    try:
        published = many.publish(folder / "objects", plan.models)
        cell = _Cell(folder, plan.options)
        rounds = {"store": _measure(cell, published, plan, folder / "objects")}
        cell.forget_hot()
        rounds["disk"] = _measure(cell, published, plan, cell.cache)
    finally:
        shutil.rmtree(folder)
    result = _result(rounds)
    _tell(rounds, result)
    return rounds, result


def _result(rounds: dict[str, list[Round]]) -> dict[str, float]:
    """Medians over a source's rounds, and of the sources the worse."""

    def medians(name: str) -> list[float]:
        return [float(median(getattr(each, name) for each in found)) for found in rounds.values()]

    every = [each for found in rounds.values() for each in found]
    return {
        "hot_p99_ms_quiet": max(medians("quiet_ms")),
        "hot_p99_ms_storm": max(medians("storm_ms")),
        "hot_errors": sum(each.hot_errors for each in every),
        "cold_refused": sum(each.refused for each in every),
        "loads_per_s": min(medians("loads_per_s")),
        "cpu_us_per_load": max(medians("cpu_us_per_load")),
    }


def _measure(cell: _Cell, published: Many, plan: Plan, where: Path) -> list[Round]:
    spawn = multiprocessing.get_context("spawn")
    with (
        cell.started() as process,
        ProcessPoolExecutor(1, mp_context=spawn, initializer=take_short_slices) as hot,
        # What it takes to send and to compare a storm must not delay who asks the hot models.
        ProcessPoolExecutor(1, mp_context=spawn, initializer=processes.give_way) as cold,
    ):
        for number in range(published.count):
            (where / key_of(published.digest(number))).read_bytes()
        report.step(f"storms of {plan.at_once} from the {'store' if where == cell.objects else 'disk cache'}")
        return _rounds(process, hot, cold, published, plan)


def _rounds(
    process: Process, hot: ProcessPoolExecutor, cold: ProcessPoolExecutor, published: Many, plan: Plan
) -> list[Round]:
    asked = _Asked(process.address, published, range(_HOT))
    found: list[Round] = []
    # Both processes import what they need, the hot models load, and one storm says how long they take.
    cold.submit(_send_storms, asked, _HOT).result()
    hot.submit(_ask_hot, asked, 0.2, 0).result()
    first = replace(asked, numbers=range(_HOT, _HOT + plan.at_once))
    rate = cold.submit(_send_storms, first, plan.at_once).result().rate
    for number in range(plan.rounds):
        begin = first.numbers.stop + number * plan.at_once * plan.storms
        storms = replace(asked, numbers=range(begin, begin + plan.at_once * plan.storms))
        seconds = _WARM_UP + plan.quiet + _SPARE * len(storms.numbers) / rate
        asking = hot.submit(_ask_hot, asked, seconds, _SEED + number)
        found.append(_round(process, cold, storms, asking, plan))
        rate = found[-1].loads_per_s
    return found


def _round(
    process: Process,
    cold: ProcessPoolExecutor,
    storms: _Asked,
    asking: Future[Moments],
    plan: Plan,
) -> Round:
    time.sleep(_WARM_UP)
    cpu = processes.cpu_seconds(process.pid)
    time.sleep(plan.quiet)
    before = processes.cpu_seconds(process.pid)
    sent = cold.submit(_send_storms, storms, plan.at_once).result()
    after = processes.cpu_seconds(process.pid)
    seen = asking.result()
    due, latencies, lateness = seen.due, seen.latencies, seen.lateness
    is_quiet = (due >= due[0] + _WARM_UP) & (due < sent.began)
    is_storm = (due >= sent.began) & (due < sent.ended)
    hot_cpu = (before - cpu) / plan.quiet * (sent.ended - sent.began)
    return Round(
        quiet_ms=_p99(latencies[is_quiet]),
        storm_ms=_p99(latencies[is_storm]),
        late_ms=_p99(lateness[is_storm]),
        worst_ms=float(latencies[is_storm].max(initial=0.0)) * 1e3,
        answers=int(is_storm.sum()),
        hot_errors=int(np.isinf(latencies).sum()),
        refused=sent.failed,
        loads_per_s=sent.rate,
        cpu_us_per_load=(after - before - hot_cpu) / len(storms.numbers) * 1e6,
    )


# What the other processes do


@dataclass(frozen=True, slots=True)
class _Asked:
    """Who is asked, and for which of the models."""

    address: str
    published: Many
    numbers: range

    def load(self, owner: int) -> Load:
        return self.published.load(np.array(self.numbers), owner)


@dataclass(frozen=True, slots=True)
class _Sent:
    """Storms: when, by the machine's monotonic clock, answers a second, and how many requests failed."""

    began: float
    ended: float
    rate: float
    failed: int


def _send_storms(asked: _Asked, at_once: int) -> _Sent:
    """So many requests at once, and more when these are answered."""

    async def send() -> _Sent:
        load = asked.load(_STORMS)
        async with calling.callers(asked.address) as callers:
            began = time.perf_counter()
            failed = 0
            for begin in range(0, len(load.asks), at_once):
                failed += await _storm(callers, load, range(begin, begin + at_once))
            ended = time.perf_counter()
            _tell_problems(callers)
        return _Sent(began, ended, len(load.asks) / (ended - began), failed)

    return uvloop.run(send())


async def _storm(callers: Sequence[calling.SessionCaller], load: Load, numbers: range) -> int:
    """How many of so many at once were not answered."""
    left, failed, ended = len(numbers), 0, asyncio.Event()

    def done(_: int, is_right: bool) -> None:
        nonlocal left, failed
        left -= 1
        failed += not is_right
        if not left:
            ended.set()

    for number in numbers:
        callers[number % len(callers)].start(load, number, done)
    await ended.wait()
    return failed


def _ask_hot(hot: _Asked, seconds: float, seed: int) -> Moments:
    """As `open_loop_of_moments`."""

    async def ask() -> Moments:
        load = hot.load(_CALLER)
        async with calling.callers(hot.address) as callers:
            found = await openloop.open_loop_of_moments(callers, load, rate=_RATE, seconds=seconds, seed=seed)
            _tell_problems(callers)
            return found

    # Its timers count microseconds, unlike uvloop's.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        return runner.run(ask())


def _p99(seconds: Floats) -> float:
    return float(np.quantile(seconds, 0.99)) * 1e3 if len(seconds) else float("nan")


def _tell_problems(callers: Sequence[calling.SessionCaller]) -> None:
    for problem, count in sum((caller.problems for caller in callers), Counter()).most_common(_TOLD):
        report.step(f"{count:,} × {problem}")


# The cell


class _Cell:
    """One cell that is started again with the same folders."""

    def __init__(self, folder: Path, options: Sequence[str]) -> None:
        self.objects = folder / "objects"
        self.cache = folder / "cache"
        self._folder = folder
        self._options = options

    @contextmanager
    def started(self) -> Iterator[Process]:
        """The cell, ready, while in the block."""
        argv = [
            *(sys.executable, "-m", "cell.app", "--listen", "127.0.0.1:0", "--manager", ""),
            *("--log-level", "error", "--cache-bytes", str(2**40)),
            *("--store", f"file://{self.objects}", "--cache-dir", str(self.cache), *self._options),
        ]
        process = Process("cell", argv, self._folder / "cell.log")
        process.start()
        try:
            process.wait_ready(_START_SECONDS)
            yield process
        finally:
            process.stop(_START_SECONDS)

    def forget_hot(self) -> None:
        """Have the next start bring nothing back."""
        (self.cache / hotset.NAME).unlink(missing_ok=True)


def _tell(rounds: dict[str, list[Round]], result: dict[str, float]) -> None:
    head = (
        "from",
        "round",
        "quiet p99",
        "storm p99",
        "sent late p99",
        "worst",
        "loads/s",
        "CPU µs a load",
        "refused",
        "errors",
    )
    report.grid(
        "storm",
        head,
        [
            (
                source,
                str(number),
                f"{each.quiet_ms:.2f} ms",
                f"{each.storm_ms:.2f} ms",
                f"{each.late_ms:.2f} ms",
                f"{each.worst_ms:.1f} ms",
                f"{each.loads_per_s:,.0f}",
                f"{each.cpu_us_per_load:.0f}",
                str(each.refused),
                str(each.hot_errors),
            )
            for source, found in rounds.items()
            for number, each in enumerate(found)
        ],
    )
    report.step(
        f"hot p99 {result['hot_p99_ms_quiet']:.2f} ms, in storms {result['hot_p99_ms_storm']:.2f}; "
        f"{result['loads_per_s']:,.0f} loads/s, {result['cold_refused']:.0f} refused"
    )
