"""Cells go and come under load: which share of the requests finds its model in memory, and what fails.

Everybody asks at a quarter of the most that the fleet answers. Each kind is listened to for a while before it
and from its beginning on for as long again, beside what it takes:

    rolling   every cell is stopped and started again, one after the other
    drain     a cell is dealt to nobody any more
    replace   another cell of its zone, with an id of its own, takes the seat of one
    zone      all cells of a zone are killed at once

What cells have answered is asked of them all the time, since one that starts again counts from nothing.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

from bench import report
from bench.demo import loading, stage
from bench.demo.stage import Stage
from bench.training import Trained
from croupierctl.stack import Stack

KINDS = ("rolling", "drain", "replace", "zone")

_ZONES, _HAND = 4, 4
_REPLACED = "cell-1"
_SHARE = 0.25
_CLOSED_SECONDS, _STREAMS = 2.0, 8
_POLL_SECONDS = 0.2
# Cells report once a second what they have answered.
_REPORTED_SECONDS = 1.5
_MOST_SECONDS = 60.0
_SEED = 53


@dataclass(frozen=True, slots=True)
class Plan:
    """`seconds` before a kind of going, and beside it."""

    tenants: int = 300
    cells: int = 4
    seconds: float = 8.0
    kinds: tuple[str, ...] = KINDS


@dataclass(frozen=True, slots=True)
class Seen:
    """`errors` are requests that failed or were answered wrongly, from the beginning of it on."""

    hit_rate_before: float
    hit_rate_during: float
    errors: int
    requests: int
    p99_ms_before: float
    p99_ms_during: float


class VerbFailed(Exception):
    """The command line did not do what it was asked to."""


def run(plan: Plan, models: Sequence[Trained]) -> dict[str, Any]:
    """The worst of all kinds, and each, on a fleet of its own: what one has loaded would help the next."""
    found: dict[str, Seen] = {}
    for kind in plan.kinds:
        with (
            tempfile.TemporaryDirectory(prefix="croupier-restart-") as folder,
            Stack(Path(folder), plan.cells, _ZONES, _HAND) as stack,
        ):
            found |= uvloop.run(_played(replace(plan, kinds=(kind,)), stack, models))
    return told({kind: asdict(seen) for kind, seen in found.items()})


async def _played(plan: Plan, stack: Stack, models: Sequence[Trained]) -> dict[str, Seen]:
    async with stage.prepared(stack, models) as playing:
        return await restart(playing, plan)


def told(kinds: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """As the results have it, of what was Seen: of the kind that cost most hits, and every error."""
    worst = min(kinds.values(), key=lambda seen: seen["hit_rate_during"] / seen["hit_rate_before"])
    return {
        "hit_rate_before": worst["hit_rate_before"],
        "hit_rate_during": worst["hit_rate_during"],
        "errors": sum(seen["errors"] for seen in kinds.values()),
        "kinds": dict(kinds),
    }


async def restart(playing: Stage, plan: Plan) -> dict[str, Seen]:
    """What was noticed of each kind, by its name; they follow one another on one fleet."""
    everybody = [1.0] * len(playing.models)
    if "replace" in plan.kinds:
        await asyncio.to_thread(playing.stack.start_cell, successor(plan.cells))
    await playing.load.closed(everybody, _SEED, seconds=_CLOSED_SECONDS, streams=_STREAMS)
    most = await playing.load.closed(everybody, _SEED, seconds=_CLOSED_SECONDS, streams=_STREAMS)
    rate = _SHARE * len(most.due) / _CLOSED_SECONDS
    report.step(f"restart: {rate:,.0f} requests/s, a quarter of what {plan.cells} cells answer")
    ways: dict[str, Callable[[], Awaitable[None]]] = {
        "rolling": lambda: _roll(playing, plan.cells),
        "drain": lambda: _croupierctl(playing, "cells", "drain", "cell-0"),
        "replace": lambda: _croupierctl(
            playing, "cells", "replace", _REPLACED, f"cell-{successor(plan.cells)}"
        ),
        "zone": lambda: _kill_zone(playing, plan.cells),
    }
    found = {}
    for kind in plan.kinds:
        before, hits_before = await _listened(playing, everybody, rate, plan.seconds, _nothing)
        during, hits_during = await _listened(playing, everybody, rate, plan.seconds, ways[kind])
        found[kind] = Seen(
            hit_rate_before=hits_before,
            hit_rate_during=hits_during,
            errors=int(np.isinf(during.latencies).sum()),
            requests=len(during.due),
            p99_ms_before=_p99_ms(before),
            p99_ms_during=_p99_ms(during),
        )
        report.step(f"{kind}: {hits_before:.2%} hits before, {hits_during:.2%} with it")
        if kind == "drain":
            await _croupierctl(playing, "cells", "undrain", "cell-0")
    return found


def successor(cells: int) -> int:
    """The number of the next cell in the zone of the one that is replaced."""
    number = int(_REPLACED.removeprefix("cell-"))
    return number + _ZONES * -((number - cells) // _ZONES)


async def _nothing() -> None:
    """What is compared with."""


async def _roll(playing: Stage, cells: int) -> None:
    for number in range(cells):
        await asyncio.to_thread(playing.stack.restart, f"cell-{number}")
        await _active(playing, f"cell-{number}")


async def _active(playing: Stage, name: str) -> None:
    """Until the cell is asked first again, as a rolling update waits for one to be ready."""
    give_up = time.monotonic() + _MOST_SECONDS
    while time.monotonic() < give_up:
        cells = {cell.id: cell for cell in await playing.manager.list_cells()}
        if name in cells and cells[name].state == "active":
            return
        await asyncio.sleep(_POLL_SECONDS)
    raise VerbFailed(f"{name} is not active again after {_MOST_SECONDS:g} s")


async def _kill_zone(playing: Stage, cells: int) -> None:
    # Of those that hold seats and were not touched so far.
    for number in range(2, cells, _ZONES):
        await asyncio.to_thread(playing.stack.process(f"cell-{number}").kill)


async def _croupierctl(playing: Stage, *words: str) -> None:
    argv = [sys.executable, "-m", "croupierctl", "--manager", playing.stack.manager, "--json", *words]
    done = await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise VerbFailed(f"croupierctl {' '.join(words)}: {done.stderr}")
    json.loads(done.stdout)


async def _listened(
    playing: Stage,
    weights: list[float],
    rate: float,
    seconds: float,
    act: Callable[[], Awaitable[None]],
) -> tuple[loading.Seen, float]:
    """What callers saw, and the share of requests whose model was in memory."""
    await asyncio.sleep(_REPORTED_SECONDS)
    async with _counted(playing) as counts:
        playing.load.begin(weights, _SEED, rate=rate)
        await act()
        await asyncio.sleep(seconds)
        seen = await playing.load.end()
        await asyncio.sleep(_REPORTED_SECONDS)
    return seen, counts.hits / counts.requests if counts.requests else float("nan")


class Counts:
    """What cells have answered and had in memory since this was made, though each may begin anew."""

    def __init__(self) -> None:
        self.requests = 0
        self.hits = 0
        self._known: dict[str, tuple[int, int]] = {}
        self._is_first = True

    def take(self, told: dict[str, tuple[int, int]]) -> None:
        """Requests and hits of each cell, as it says them now."""
        for cell, (requests, hits) in told.items():
            # One that is new since the beginning has counted nothing before.
            known = (requests, hits) if self._is_first else (0, 0)
            requests_before, hits_before = self._known.get(cell, known)
            if requests < requests_before or hits < hits_before:
                requests_before = hits_before = 0
            self.requests += requests - requests_before
            self.hits += hits - hits_before
            self._known[cell] = requests, hits
        self._is_first = False


@asynccontextmanager
async def _counted(playing: Stage) -> AsyncIterator[Counts]:
    counts = Counts()

    async def count() -> None:
        while True:
            cells = await playing.manager.list_cells()
            counts.take({cell.id: (cell.load.requests, cell.load.hits) for cell in cells})
            await asyncio.sleep(_POLL_SECONDS)

    counting = asyncio.create_task(count())
    try:
        yield counts
    finally:
        counting.cancel()
        await asyncio.gather(counting, return_exceptions=True)


def _p99_ms(seen: loading.Seen) -> float:
    right = seen.latencies[np.isfinite(seen.latencies)]
    return float(np.quantile(right, 0.99)) * 1e3 if len(right) else float("nan")
