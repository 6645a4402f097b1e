"""What more tenants, cells and larger hands cost a router: its CPU time alone, before stubs.

Cells are ports of one process, the load's (`bench.upstream`): many real ones would fill the machine and share
its processors with the router. Each number has a router of its own, from a snapshot; rounds go over them in
turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench import catalog, processes, report
from bench.measuring import Measuring
from bench.peers import launch
from bench.upstream import Upstream

_PAYLOAD = 64


@dataclass(frozen=True, slots=True)
class Point:
    """One size of a deployment."""

    tenants: int = catalog.TENANTS
    cells: int = 4
    hand: int = catalog.HAND


@dataclass(frozen=True, slots=True)
class Plan:
    """Of each axis the sizes; hands are of the last number of `cells`."""

    tenants: Sequence[int]
    cells: Sequence[int]
    hand: Sequence[int]
    models: int
    requests: int
    rounds: int

    def axes(self) -> dict[str, dict[int, Point]]:
        return {
            "tenants": {count: Point(tenants=count) for count in self.tenants},
            "cells": {count: Point(cells=count) for count in self.cells},
            "hand": {count: Point(cells=self.cells[-1], hand=count) for count in self.hand},
        }


async def measure(plan: Plan, folder: Path) -> dict[str, Any]:
    """By axis, pairs of a size and CPU microseconds of a request; and how many requests failed."""
    found: dict[str, Any] = {}
    failed = 0
    with processes.pinned(processes.cores().load), processes.many_files():
        async with Upstream(max(*plan.cells, *(point.cells for point in _points(plan)))) as upstream:
            for axis, points in plan.axes().items():
                home = folder / axis
                home.mkdir()
                found[axis], failures = await _axis(plan, points, upstream, home)
                failed += failures
                report.step(f"{axis}: " + ", ".join(f"{count:,}: {us:.2f}" for count, us in found[axis]))
    return {**found, "failed": failed}


def _points(plan: Plan) -> list[Point]:
    return [point for points in plan.axes().values() for point in points.values()]


async def _axis(
    plan: Plan, points: dict[int, Point], upstream: Upstream, folder: Path
) -> tuple[list[tuple[int, float]], int]:
    measuring, failed = Measuring(upstream, folder), 0
    with ExitStack() as stack:
        proxies, loads = {}, {}
        for count, point in points.items():
            home = folder / str(count)
            home.mkdir()
            proxies[count] = _router(plan, point, upstream, home)
            stack.callback(proxies[count].process.stop)
            loads[count] = catalog.unary(_PAYLOAD, plan.models, point.tenants)
            await measuring.warm(proxies[count], loads[count])
        spent: dict[int, list[float]] = {count: [] for count in points}
        for _ in range(plan.rounds):
            for count in points:
                seen = await measuring.closed(proxies[count], loads[count], plan.requests)
                spent[count].append(seen.cpu_us_per_request)
                failed += seen.failures
    return [(count, median(rounds)) for count, rounds in spent.items()], failed


def _router(plan: Plan, point: Point, upstream: Upstream, home: Path) -> launch.Proxy:
    snapshot, addresses = home / "catalog.snapshot", upstream.addresses[: point.cells]
    catalog.write_snapshot(snapshot, addresses, plan.models, tenants=point.tenants, hand=point.hand)
    return launch.start_router(home, snapshot, len(addresses), None, processes.cores().proxy)
