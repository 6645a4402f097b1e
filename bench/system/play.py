"""Runs the parts that are asked for, and writes what they saw."""

from __future__ import annotations

import json as json_files
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from bench import processes, report, storm
from bench.demo import stage
from bench.fair import overload
from bench.system import growth, steady, tail
from croupier.grpcio.manager import VersionManagerClient
from croupierctl.stack import Stack

CELLS = 4
PARTS = ("steady", "overload", "growth", "storm", "tail")


@dataclass(frozen=True, slots=True)
class Plan:
    """`parts` of PARTS; `capacity` in bytes of each cell; `folder`, where files lie meanwhile."""

    steady: steady.Plan
    overload: overload.Plan
    growth: growth.Plan
    storm: storm.Plan
    tail: tail.Plan
    capacity: int
    folder: Path | None = None
    parts: Sequence[str] = PARTS


def run(plan: Plan, json: Path | None, *, into: bool = False) -> bool:
    """Measure, print and write; true unless a request failed that should not, or an answer was wrong.

    With `into`, beside what the file `json` has of other parts.
    """
    before = processes.usage()
    with stage.interruptible():
        told = _measured(plan)
    told["others_share_of_machine"] = processes.usage().others_share(before, os.cpu_count() or 1)
    if into and json is not None and json.exists():
        told = merged(json_files.loads(json.read_text()), told)
    report.write_json(json, told)
    _tell(told)
    return passed(told)


def _measured(plan: Plan) -> dict[str, Any]:
    told: dict[str, Any] = {"cells": CELLS, "hand": CELLS, "growth": {}}
    if {"steady", "overload"} & {*plan.parts}:
        with _folder(plan) as folder, _stack(plan, folder) as stack:
            told |= uvloop.run(_whole(plan, stack))
    if "growth" in plan.parts:
        with _folder(plan) as folder:
            grown = uvloop.run(growth.measure(plan.growth, folder))
        told["growth_failed"] = grown.pop("failed")
        told["growth"] = told["growth"] | grown
    if "storm" in plan.parts:
        told["storm"] = _storm(plan.storm)
    if "tail" in plan.parts:
        with _folder(plan) as folder:
            told["tail"] = uvloop.run(tail.measure(plan.tail, folder))
    return told


def passed(told: Mapping[str, Any]) -> bool:
    storm, tail = told.get("storm", {}), told.get("tail", {})
    counts = [told.get(name, 0) for name in ("wrong", "failed", "growth_failed")]
    return not any([*counts, storm.get("hot_errors"), storm.get("refused"), tail.get("failed")])


def merged(before: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """What was seen now, and of before what was not measured now."""
    rest = {name: value for name, value in before.items() if name != "about"}
    return rest | dict(told) | {"growth": rest.get("growth", {}) | told["growth"]}


async def _whole(plan: Plan, stack: Stack) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if "steady" in plan.parts:
        found |= await steady.measure(stack, plan.steady)
    if "overload" in plan.parts:
        async with VersionManagerClient(stack.manager) as manager:
            found["overload"] = await overload.measure(stack, manager, plan.overload)
    return found


def _storm(plan: storm.Plan) -> dict[str, Any]:
    _, seen = storm.measured(plan)
    quiet, loud = seen["hot_p99_ms_quiet"], seen["hot_p99_ms_storm"]
    return {
        "loads_per_s": seen["loads_per_s"],
        "refused": seen["cold_refused"],
        "hot_p99_ratio": loud / quiet,
        "hot_errors": seen["hot_errors"],
        "hot_p99_ms": {"quiet": quiet, "storm": loud},
        "cpu_us_per_load": seen["cpu_us_per_load"],
        "at_once": plan.at_once,
    }


@contextmanager
def _folder(plan: Plan) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="croupier-system-", dir=plan.folder) as folder:
        yield Path(folder)
        report.step("removing the files")


def _stack(plan: Plan, folder: Path) -> Stack:
    return Stack(folder, CELLS, CELLS, CELLS, cell_capacity=plan.capacity)


def _tell(told: Mapping[str, Any]) -> None:
    rows = []
    if "max_rps" in told:
        cpu = told["cpu_us"]
        rows += [
            (f"predictions/s over {told['models']:,} models", f"{told['max_rps']:,.0f}"),
            ("CPU µs: router + cell", f"{cpu['router']:.2f} + {cpu['cell']:.2f}"),
            (
                "wrong, failed, refused",
                f"{told['wrong']:,}, {told['failed']:,}, {told['refused']:,} of {told['requests']:,}",
            ),
        ]
        rows += [
            (f"latency at {share} %", f"{one['p50']:.2f} / {one['p99']:.2f} / {one['p999']:.2f} ms")
            for share, one in told["latency"].items()
        ]
    rows += [
        (f"CPU µs as {axis} grow", ", ".join(f"{count:,}: {us:.2f}" for count, us in found))
        for axis, found in told["growth"].items()
    ]
    if "storm" in told:
        rows.append(("loads/s in storms", f"{told['storm']['loads_per_s']:,.0f}"))
    if "tail" in told:
        rows += [
            (f"added p99 over the best peer's, {state}", ", ".join(f"{ms:+.3f}" for ms in found) + " ms")
            for state, found in told["tail"]["over_best_ms"].items()
        ]
        rows += [
            (
                f"the same outside the machine's stalls, {state}",
                ", ".join(f"{ms:+.3f}" for ms in found) + " ms",
            )
            for state, found in told["tail"]["calm_over_best_ms"].items()
        ]
    report.table("system", rows)
