"""Runs the parts that are asked for on one fleet, and writes what they saw."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import uvloop

from bench import report
from bench.demo import stage
from bench.demo.stage import Stage
from bench.fair import beside, limiting, merging, offenders, overload, restart, routers, telling, wares
from bench.fair.beside import Row
from bench.fair.offender import Offender
from bench.training import Trained
from croupierctl.stack import Stack

# As many cells as a hand has: whoever asks shares all of them.
CELLS = 3
# So few that cold models drive others out.
_CAPACITY_BYTES = 2**25
_TABLES = ("offenders", "controls", "evasions")
_WARM_UP_SECONDS, _WARM_UP_STREAMS = 1.5, 8
PARTS = (
    *offenders.offenders(1.0, 1),
    *offenders.controls(),
    *offenders.evasions(),
    *("overload", "routers"),
    *restart.KINDS,
)


@dataclass(frozen=True, slots=True)
class Plan:
    """`cold` models and `streams` of an offender; `parts` of PARTS."""

    tenants: int
    cold: int
    streams: int
    beside: beside.Plan
    overload: overload.Plan
    routers: routers.Plan
    restart: restart.Plan
    parts: Sequence[str] = PARTS


def parts(names: Sequence[str]) -> tuple[str, ...]:
    """Each of `names`, and `restart` for all ways in which cells go and come."""
    return tuple(part for name in names for part in (restart.KINDS if name == "restart" else (name,)))


def run(plan: Plan, json: Path | None, *, into: bool = False) -> bool:
    """Measure, print and write; true if nobody's request failed that should not, or was answered wrongly.

    With `into`, beside what the file `json` has of other parts.
    """
    told: dict[str, Any] = {name: [] for name in _TABLES} | {"overload": {}, "routers": {}, "restart": {}}
    kinds = tuple(kind for kind in restart.KINDS if kind in plan.parts)
    if set(plan.parts) - {*kinds}:
        with (
            tempfile.TemporaryDirectory(prefix="croupier-fair-") as folder,
            Stack(Path(folder), CELLS, CELLS, CELLS, cell_capacity=_CAPACITY_BYTES) as stack,
        ):
            told |= uvloop.run(_play(plan, stack, stage.train(plan.tenants)))
    if kinds:
        models = stage.train(plan.restart.tenants)
        told["restart"] = restart.run(replace(plan.restart, kinds=kinds), models)
    telling.show(told)
    report.write_json(json, merging.merged(json, told) if into else told)
    errors = sum(row["others_errors"] for row in (*told["offenders"], *told["evasions"]))
    return not errors and not told["restart"].get("errors")


async def _play(plan: Plan, stack: Stack, models: Sequence[Trained]) -> Mapping[str, Any]:
    async with stage.prepared(stack, models) as playing:
        rows = await _beside(plan, playing)
        overloads = (
            await overload.measure(playing.stack, playing.manager, plan.overload)
            if "overload" in plan.parts
            else {}
        )
        splits = await routers.measure(playing, plan.routers) if "routers" in plan.parts else {}
    return {
        "offenders": [asdict(row) for row in rows if row.kind in offenders.offenders(1.0, 1)],
        "controls": [asdict(row) for row in rows if row.kind in offenders.controls()],
        "evasions": [asdict(row) for row in rows if row.kind in offenders.evasions()],
        "overload": overloads,
        "routers": splits,
    }


async def _beside(plan: Plan, playing: Stage) -> list[Row]:
    seconds = plan.beside.seconds
    controls = offenders.controls()
    ways = {**offenders.offenders(seconds, plan.streams), **controls, **offenders.evasions()}
    chosen = [way for kind, way in ways.items() if kind in plan.parts]
    if not chosen:
        return []
    cold = plan.cold if "cold" in plan.parts else 0
    asked = offenders.cold_asked(seconds, plan.beside.rounds)
    report.step(f"publishing what an offender asks for, {cold:,} cold models among it")
    first = playing.models[0]
    published = await wares.publish(
        playing.stack, playing.manager, first.artifact, first.rows[0], cold=cold, asked=asked
    )
    everybody = [1.0] * len(playing.models)
    await playing.load.closed(everybody, 1, seconds=_WARM_UP_SECONDS, streams=_WARM_UP_STREAMS)
    found = []
    everybodys = limiting.limited(playing.manager, limiting.EVERYBODY, offenders.LIMITS)
    with Offender.started() as process, Offender.started(gives_way=False) as burner:
        async with everybodys:
            for way in chosen:
                acting = burner if way.kind in controls else process
                found.append(await beside.measure(playing, plan.beside, way, acting, published))
                report.step(telling.line(found[-1]))
    return found
