"""Runs the parts that are asked for on one fleet, and writes what they saw."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import uvloop

from bench import report
from bench.demo import stage
from bench.demo.stage import Stage
from bench.fair import beside, limiting, offenders, overload, restart, routers, telling, wares
from bench.fair.beside import Row
from bench.fair.offender import Offender
from bench.training import Trained
from croupierctl.stack import Stack

# As many cells as a hand has: whoever asks shares all of them.
CELLS = 3
# So few that cold models drive others out.
_CAPACITY_BYTES = 2**25
_WARM_UP_SECONDS, _WARM_UP_STREAMS = 1.5, 8
PARTS = (
    *offenders.offenders(1.0, 1),
    *offenders.controls(),
    *offenders.evasions(),
    *("overload", "routers", "restart"),
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


def run(plan: Plan, json: Path | None) -> bool:
    """Measure, print and write; true if nobody's request failed that should not, or was answered wrongly."""
    models = stage.train(plan.tenants)
    with (
        tempfile.TemporaryDirectory(prefix="croupier-fair-") as folder,
        Stack(Path(folder), CELLS, CELLS, CELLS, cell_capacity=_CAPACITY_BYTES) as stack,
    ):
        told = dict(uvloop.run(_play(plan, stack, models)))
    told["restart"] = {}
    if "restart" in plan.parts:
        told["restart"] = restart.run(plan.restart, stage.train(plan.restart.tenants))
    telling.show(told)
    report.write_json(json, told)
    errors = sum(row["others_errors"] for row in (*told["offenders"], *told["evasions"]))
    return not errors and not told["restart"].get("errors")


async def _play(plan: Plan, stack: Stack, models: Sequence[Trained]) -> Mapping[str, Any]:
    async with stage.prepared(stack, models) as playing:
        rows = await _beside(plan, playing)
        overloads = await overload.measure(playing, plan.overload) if "overload" in plan.parts else {}
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
    asked = offenders.cold_asked(seconds, plan.beside.rounds)
    report.step(f"publishing what an offender asks for, {plan.cold:,} cold models among it")
    first = playing.models[0]
    published = await wares.publish(
        playing.stack, playing.manager, first.artifact, first.rows[0], cold=plan.cold, asked=asked
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
