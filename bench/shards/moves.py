"""An operator changes the shard map under load, by the command line: what callers notice.

Everybody asks at a quarter of the most that the fleet answers. Before each verb they are listened to for a
while, then from the verb on as long again. The verbs follow one another on one fleet, as on a bad night: what
one has moved, the next one starts from.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import uvloop

from bench import report
from bench.demo import stage
from bench.demo.loading import Seen
from bench.demo.stage import Stage
from bench.training import Trained
from croupierctl.stack import Stack

_ZONES, _HAND = 4, 4
# Of the most that the fleet answers.
_SHARE = 0.25
_CLOSED_SECONDS, _STREAMS = 2.0, 8
# Cells report once a second what they have answered.
_REPORTED_SECONDS = 1.5
_SEED = 15


@dataclass(frozen=True, slots=True)
class Plan:
    """`seconds` before a verb, and from it on; `only` some verbs, or all."""

    tenants: int
    cells: int
    seconds: float
    only: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Move:
    """`errors` are requests that failed or were answered wrongly, from the verb on."""

    requests: int
    errors: int
    p99_ms_before: float
    p99_ms_during: float
    hit_rate_before: float
    hit_rate_during: float


class VerbFailed(Exception):
    """The command line did not do what it was asked to."""


def run(plan: Plan, models: Sequence[Trained]) -> dict[str, Move]:
    """What was noticed of each verb, by its name."""
    with (
        tempfile.TemporaryDirectory(prefix="croupier-moves-") as folder,
        Stack(Path(folder), plan.cells, _ZONES, _HAND) as stack,
    ):
        return uvloop.run(_play(plan, stack, models))


def verbs(cells: int, tenant: str) -> dict[str, list[str]]:
    """The changes, in their order, for a fleet of so many cells, and one that waits for a seat."""
    return {
        "drain": ["cells", "drain", "cell-0"],
        "undrain": ["cells", "undrain", "cell-0"],
        "replace": ["cells", "replace", "cell-1", f"cell-{cells}"],
        "zone": ["zones", "drain", "zone-c"],
        "rollback": ["shards", "rollback"],
        "add": ["cells", "add", "cell-1"],
        "hand": ["tenants", "hand", tenant, "--size", str(_HAND + 2)],
        "isolate": ["tenants", "isolate", tenant, "--cells", "2"],
        "back": ["shards", "rollback"],
    }


async def _play(plan: Plan, stack: Stack, models: Sequence[Trained]) -> dict[str, Move]:
    everybody = [1.0] * len(models)
    async with stage.prepared(stack, models) as playing:
        await asyncio.to_thread(stack.start_cell, plan.cells)
        await playing.load.closed(everybody, _SEED, seconds=_CLOSED_SECONDS, streams=_STREAMS)
        most = await playing.load.closed(everybody, _SEED, seconds=_CLOSED_SECONDS, streams=_STREAMS)
        rate = _SHARE * len(most.due) / _CLOSED_SECONDS
        report.step(f"moves: {rate:,.0f} requests/s, a quarter of what {plan.cells} cells answer")
        found = {}
        for name, words in verbs(plan.cells, playing.tenants[0]).items():
            if plan.only and name not in plan.only:
                continue
            found[name] = await _move(playing, plan, everybody, rate, words)
            report.step(f"croupierctl {' '.join(words)}: {found[name].errors} errors")
    return found


async def _move(playing: Stage, plan: Plan, weights: list[float], rate: float, words: Sequence[str]) -> Move:
    before, hits_before = await _listened(playing, plan, weights, rate, ())
    during, hits_during = await _listened(playing, plan, weights, rate, words)
    return Move(
        requests=len(during.due),
        errors=int(np.isinf(during.latencies).sum()),
        p99_ms_before=_p99_ms(before),
        p99_ms_during=_p99_ms(during),
        hit_rate_before=hits_before,
        hit_rate_during=hits_during,
    )


async def _listened(
    playing: Stage, plan: Plan, weights: list[float], rate: float, words: Sequence[str]
) -> tuple[Seen, float]:
    """What callers saw, and the share of requests whose model was in memory."""
    await asyncio.sleep(_REPORTED_SECONDS)
    before = await _answered(playing)
    playing.load.begin(weights, _SEED, rate=rate)
    if words:
        await asyncio.to_thread(_croupierctl, playing.stack.manager, words)
    await asyncio.sleep(plan.seconds)
    seen = await playing.load.end()
    await asyncio.sleep(_REPORTED_SECONDS)
    requests, hits = np.array(await _answered(playing)) - np.array(before)
    return seen, float(hits / requests) if requests else float("nan")


async def _answered(playing: Stage) -> tuple[int, int]:
    """Requests of all cells so far, and those that found their model in memory."""
    cells = await playing.manager.list_cells()
    return sum(cell.load.requests for cell in cells), sum(cell.load.hits for cell in cells)


def _croupierctl(manager: str, words: Sequence[str]) -> None:
    argv = [sys.executable, "-m", "croupierctl", "--manager", manager, "--json", *words]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise VerbFailed(f"croupierctl {' '.join(words)}: {done.stderr}")
    json.loads(done.stdout)


def _p99_ms(seen: Seen) -> float:
    right = seen.latencies[np.isfinite(seen.latencies)]
    return float(np.quantile(right, 0.99)) * 1e3 if len(right) else float("nan")
