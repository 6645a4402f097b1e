"""The harness's own ceiling: what a request costs the load, how late it is, and whether it hides a stall.

    full     a closed loop against an echo: the processor time of the worker for each request
    paced    an open loop at a rate that leaves room: how late requests are
    stalled  an open loop against an echo that is stopped for a tenth of each second: p99 from when due

The echo is a process of its own, on another core where there is one.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import echo, processes, report
from bench.about import installed
from croupier_bench import scenario as scenarios
from croupier_bench.result import Result
from croupier_bench.run import run as run_scenario
from croupier_bench.source import Asking, OfScenario

_STALL, _EVERY = 0.1, 1.0
_CONNECTIONS, _STREAMS = 8, 32
_SCENARIO = """
name = "ceiling"
[target]
address = "{address}"
tenant_header = "croupier-tenant"
[load]
{load}
[[class]]
name = "small"
tenants = 250
models = 10_000
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """`seconds` of each part; requests a second of the two open loops."""

    seconds: float
    rate: float = 20_000.0
    stalled_rate: float = 1_000.0


class OfEcho(OfScenario):
    """The scenario's requests, sent to what answers with whatever it gets."""

    def prepared(self) -> Asking:
        return _ToEcho(super().prepared())


class _ToEcho:
    def __init__(self, asking: Asking) -> None:
        self.message, self.metadata = asking.message, asking.metadata

    def path(self, class_index: int) -> bytes:
        return echo.BATCH.encode()


def run(plan: Plan, json: Path | None) -> bool:
    """Measure, say and write it; False if the harness hides a stall, or has lost a request."""
    with _echo() as (address, process):
        full = _play(address, plan, f'mode = "closed"\nstreams = {_STREAMS}')
        paced = _play(address, plan, f"rate = {plan.rate}")
        with _stalling(process):
            stalled = _play(address, plan, f"rate = {plan.stalled_rate}")
    found = _found(full, paced, stalled)
    for name, value in found.items():
        report.step(f"{name}: {value}")
    report.write_json(json, found, installed(["uvloop", "numpy"]))
    lost = sum(result.failed + result.planned - result.sent for result in (full, paced, stalled))
    return not lost and found["stall_p99_ms"] is not None and found["stall_p99_ms"] >= 800 * _STALL


def _found(full: Result, paced: Result, stalled: Result) -> dict[str, Any]:
    (worker,) = full.load.workers
    cost = worker.cpu_us_per_request or 0.0
    return {
        "cpu_us_per_request": cost,
        "requests_per_s_a_core": round(1e6 / cost) if cost else None,
        "requests_per_s": full.rate.answered,
        "late": {
            "rate": paced.rate.planned,
            **{f"{name}_ms": value for name, value in paced.lateness_ms.items()},
            "latency_p50_ms": paced.latency_ms["p50"],
            "latency_p99_ms": paced.latency_ms["p99"],
            "cpu_share": paced.load.workers[0].cpu_share,
            "valid": paced.valid,
        },
        "stall_p99_ms": stalled.latency_ms["p99"],
    }


def _play(address: str, plan: Plan, load: str) -> Result:
    load += f"\nseconds = {plan.seconds}\nconnections = {_CONNECTIONS}\nwarm_up = 0.5"
    scenario = scenarios.load(_SCENARIO.format(address=address, load=load))
    with processes.pinned(processes.cores().load):
        return run_scenario(scenario, source=OfEcho(scenario))


@contextmanager
def _echo() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    with processes.pinned(processes.cores().proxy):
        process = subprocess.Popen([sys.executable, "-m", "bench.echo"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        # "echo on ADDRESS ready"
        yield process.stdout.readline().split()[2], process
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


@contextmanager
def _stalling(process: subprocess.Popen[str]) -> Iterator[None]:
    """Meanwhile it does nothing for a tenth of each second."""
    over = threading.Event()

    def stall() -> None:
        while not over.wait(_EVERY - _STALL):
            os.kill(process.pid, signal.SIGSTOP)
            over.wait(_STALL)
            os.kill(process.pid, signal.SIGCONT)

    thread = threading.Thread(target=stall)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
