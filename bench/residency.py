"""One cell that holds hundreds of thousands of models: what they take, and what a cold one costs.

    publish      the models lie in a file store
    from store   a fresh cell: cold models among requests for resident ones
    fill         every model once: what is resident then, and in how much memory
    Zipf         as many requests as the cell can take, over all models
    from disk    the cell anew, with nothing resident and its disk cache full: the same mixture again
    restart      the cell anew: how soon it is ready, and how soon its hot set is back

Cold loads are seen by their callers: an open loop asks resident models at a steady rate and a cold one every
now and then, and a cold one's latency counts from the moment at which it was due. Its file is read once just
before, so that it lies in the kernel's page cache: how fast the disk is is not what this measures. Every
answer is compared byte for byte. Beside it stands what the cell says of its loads themselves: on a machine
whose cores sleep between requests, waking one up takes longer than a load.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import uvloop
from numpy.typing import NDArray

from bench import calling, many, openloop, processes, report
from bench.h2load import STREAMS, Loaded
from bench.many import Many, Numbers
from bench.processes import rss_of
from cell.loading import hotset
from croupier.stores.objects import key_of
from croupierctl.stack_process import Process

_EXPONENT = 1.0
_SEED = 11
# Open loop: requests a second for resident models, and the share of cold ones among all.
_RATE = 2_000.0
_COLD_SHARE = 0.05
_MOST_COLD = 4_000
_RESIDENT = 500
_WARM_UP = 0.5
# Streams a connection while everything is loaded: 32 loads under way.
_FILL_STREAMS = 4
_HOT = 10_000
_QUANTILES = {"p50": 0.5, "p99": 0.99, "p999": 0.999}
_START_SECONDS = 60.0
_STOP_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class Plan:
    """`requests` of the Zipf load; `capacity` of the cell in bytes, 0 for its own choice."""

    models: int
    requests: int
    capacity: int
    folder: Path | None


def run(plan: Plan, json: Path | None) -> bool:
    """Measure, print and write; true unless an answer was wrong."""
    folder = Path(tempfile.mkdtemp(prefix="croupier-residency-", dir=plan.folder))
    try:
        published = many.publish(folder / "objects", plan.models)
        result, failures = uvloop.run(_measure(_Cell(folder, plan.capacity), published, plan))
    finally:
        report.step("removing the files")
        shutil.rmtree(folder)
    _tell(result, failures)
    report.write_json(json, {"models": plan.models, **result, "failures": failures})
    return not failures


async def _measure(cell: _Cell, published: Many, plan: Plan) -> tuple[dict[str, Any], int]:
    result: dict[str, Any] = {}
    with cell.started() as fresh:
        empty = fresh.rss()
        report.step("cold models from the store")
        result["cold_store_ms"], failures = await _cold(fresh, published, cell.objects)
        report.step("every model once")
        filled = await _closed(fresh, published, np.arange(published.count), streams=_FILL_STREAMS)
        failures += filled.failures
        result["fill_models_per_s"] = filled.rps
        report.step("a Zipf load")
        order = many.zipf(published.count, plan.requests, _EXPONENT, _SEED)
        hits, misses = fresh.lookups()
        loaded = await _closed(fresh, published, order)
        failures += loaded.failures
        more_hits, more_misses = fresh.lookups()
        hits, misses = more_hits - hits, more_misses - misses
        result |= {
            "resident": fresh.resident(),
            "rss_bytes": fresh.rss(),
            "kb_per_model": (fresh.rss() - empty) / max(1, fresh.resident()) / 1e3,
            "hit_rate": hits / max(1, hits + misses),
            "predictions_per_s": loaded.rps,
        }
    cell.forget_hot()
    with cell.started() as empty_again:
        report.step("cold models from the disk cache")
        result["cold_disk_ms"], wrong = await _cold(empty_again, published, cell.cache)
        failures += wrong
        result["load_disk_ms"] = empty_again.load_ms()
    report.step("a restart")
    result["restart"] = cell.restart(published)
    return result, failures


async def _cold(running: _Running, published: Many, where: Path) -> tuple[dict[str, float], int]:
    """Latencies of cold models, whose files are in `where`; and how many answers were wrong."""
    resident = min(_RESIDENT, published.count // 4)
    count = min(_MOST_COLD, published.count // 4)
    picked = np.random.default_rng(_SEED).permutation(published.count)
    hot, cold = picked[:resident], picked[resident : resident + count]
    for number in cold.tolist():
        (where / key_of(published.digest(number))).read_bytes()
    loaded = await _closed(running, published, hot, streams=_FILL_STREAMS)
    order, is_cold = _mixture(hot, cold)
    async with calling.callers(running.process.address) as callers:
        others, sample = await openloop.open_loop_of_parts(
            callers, published.load(order), [~is_cold, is_cold], rate=_RATE, seed=_SEED
        )
    _tell_problems(callers)
    report.step(f"resident ones meanwhile: {_line(_quantiles(others))}")
    return _quantiles(sample), others.failures + sample.failures + loaded.failures


def _quantiles(sample: openloop.Sample) -> dict[str, float]:
    return {name: sample.quantile_ms(share) for name, share in _QUANTILES.items()}


def _line(quantiles: Mapping[str, float]) -> str:
    return " / ".join(f"{value:.2f}" for value in quantiles.values()) + " ms at p50 / p99 / p99.9"


def _mixture(hot: Numbers, cold: Numbers) -> tuple[Numbers, NDArray[np.bool_]]:
    """Hot models in turn, with a cold one at each 20th place after a warm-up; and which those are."""
    step = round(1 / _COLD_SHARE)
    begin = round(_RATE * _WARM_UP)
    order = np.resize(hot, begin + step * len(cold))
    is_cold = np.zeros(len(order), np.bool_)
    is_cold[begin::step] = True
    order[is_cold] = cold
    return order, is_cold


async def _closed(running: _Running, published: Many, order: Numbers, streams: int = STREAMS) -> Loaded:
    async with calling.callers(running.process.address) as callers:
        loaded = await openloop.closed_loop(callers, published.load(order), len(order), streams=streams)
    _tell_problems(callers)
    return loaded


def _tell_problems(callers: Sequence[calling.SessionCaller]) -> None:
    for problem, count in sum((caller.problems for caller in callers), Counter()).most_common(5):
        report.step(f"{count:,} × {problem}")


# The cell


@dataclass(frozen=True, slots=True)
class _Running:
    """A cell that serves, and what it says of itself."""

    process: Process
    metrics: str

    def rss(self) -> int:
        """Resident bytes of the process."""
        return rss_of(self.process.pid)

    def resident(self) -> int:
        """Models in memory."""
        return int(self._metric("croupier_cell_resident_models"))

    def lookups(self) -> tuple[int, int]:
        """Hits and misses so far."""
        name = "croupier_cell_lookups_total"
        return int(self._metric(name + '{outcome="hit"}')), int(self._metric(name + '{outcome="miss"}'))

    def load_ms(self) -> dict[str, float]:
        """How long loads from the disk cache took in the cell, from their turn to a model that is ready.

        By the bounds of its histogram: at most so long.
        """
        found = [
            (float(line.partition('le="')[2].partition('"')[0]), float(line.split()[-1]))
            for line in self._metrics()
            if line.startswith("croupier_cell_load_seconds_bucket") and 'source="disk"' in line
        ]
        most = max((count for _, count in found), default=0.0)
        return {
            name: next((bound * 1e3 for bound, count in found if count >= share * most), 0.0)
            for name, share in _QUANTILES.items()
        }

    def _metric(self, name: str) -> float:
        return next((float(line.split()[-1]) for line in self._metrics() if line.startswith(name + " ")), 0.0)

    def _metrics(self) -> list[str]:
        with urllib.request.urlopen(f"http://{self.metrics}/metrics") as answer:
            return answer.read().decode().splitlines()  # type: ignore[no-any-return]


class _Cell:
    """One cell that is started again and again with the same folders."""

    def __init__(self, folder: Path, capacity: int) -> None:
        self.objects = folder / "objects"
        self.cache = folder / "cache"
        self._folder = folder
        self._capacity = capacity

    @contextmanager
    def started(self) -> Iterator[_Running]:
        """The cell on a core of its own, ready, while in the block; this thread on the other one."""
        metrics = processes.free_address()
        argv = [
            *(sys.executable, "-m", "cell.app", "--listen", "127.0.0.1:0", "--manager", ""),
            *("--log-level", "error", "--metrics-listen", metrics),
            *("--store", f"file://{self.objects}", "--cache-dir", str(self.cache)),
            *("--capacity-bytes", str(self._capacity), "--cache-bytes", str(2**40)),
        ]
        process = Process("cell", argv, self._folder / "cell.log")
        cores = processes.cores()
        processes.start_pinned(process, cores.proxy)
        try:
            process.wait_ready(_START_SECONDS)
            with processes.pinned(cores.load):
                yield _Running(process, metrics)
        finally:
            process.stop(_STOP_SECONDS)

    def forget_hot(self) -> None:
        """Have the next start bring nothing back."""
        (self.cache / hotset.NAME).unlink(missing_ok=True)

    def restart(self, published: Many) -> dict[str, float]:
        """How many seconds until the cell is ready, and until its hot set is back."""
        count = min(_HOT, published.count)
        hot = [published.digest(number) for number in range(count)]
        for digest in hot:
            (self.cache / key_of(digest)).read_bytes()
        (self.cache / hotset.NAME).write_bytes(hotset.encode(hot))
        began = time.perf_counter()
        with self.started() as running:
            ready = time.perf_counter() - began
            while (back := running.resident()) < count and time.perf_counter() < began + _START_SECONDS:
                time.sleep(0.02)
            return {"ready_s": ready, "hot_models": back, "hot_s": time.perf_counter() - began}


def _tell(result: Mapping[str, Any], failures: int) -> None:
    restart = result["restart"]
    report.table(
        "residency",
        [
            ("resident models", f"{result['resident']:,}"),
            ("resident memory", f"{result['rss_bytes'] / 2**30:.2f} GiB"),
            ("kB a model", f"{result['kb_per_model']:.1f}"),
            ("models loaded a second, from the store", f"{result['fill_models_per_s']:,.0f}"),
            ("hit rate", f"{result['hit_rate']:.2%}"),
            ("predictions a second", f"{result['predictions_per_s']:,.0f}"),
            ("cold from the store", _line(result["cold_store_ms"])),
            ("cold from the disk cache", _line(result["cold_disk_ms"])),
            ("of that, in the cell", f"at most {_line(result['load_disk_ms'])}"),
            ("ready after a restart", f"{restart['ready_s']:.2f} s"),
            (f"{restart['hot_models']:,} hot models back", f"{restart['hot_s']:.2f} s after the start"),
            ("failures", f"{failures:,}"),
        ],
    )
