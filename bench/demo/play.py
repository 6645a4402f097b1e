"""Both acts, one after the other; what came of them as JSON, a page and a picture."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import uvloop

from bench import report
from bench.demo import act_one, act_two, judging, page, plot, stage
from bench.demo.act_one import ActOne
from bench.demo.act_two import Played, Script
from bench.demo.judging import Bound, Tenancy
from bench.demo.poison import HOLD_SECONDS
from bench.demo.sharing import choose, first_cell
from bench.demo.stage import Stage
from bench.h2load import STREAMS
from bench.training import Trained
from cell.settings import CellSettings
from croupier.artifacts.format import view
from croupierctl.stack import Stack

_TOLD = 5
# Act two's part of act one's rate, at most.
_BEARABLE = 0.25
# Of the threads' time, what the poison holds at least, or nothing is shown.
_HELD = 0.5


@dataclass(frozen=True, slots=True)
class Plan:
    """`seconds` of act one, and the script of act two."""

    tenants: int
    cells: int
    zones: int
    seconds: float
    script: Script


def run(plan: Plan, json: Path | None, picture: Path | None) -> bool:
    """Play both acts, print the page; true if everything is as it should be."""
    began = time.monotonic()
    models = stage.train(plan.tenants)
    with stage.started(plan.cells, plan.zones) as stack:
        first, played, tenancy = uvloop.run(_play(stack, models, plan))
    result = _result(plan, first, played, tenancy, time.monotonic() - began)
    if not result["passed"]:
        for problem, count in (Counter(first.problems) + played.seen.problems).most_common(_TOLD):
            report.step(f"{count:,} × {problem}")
    lines = page.page(result)
    report.console.print("\n" + "\n".join(lines), markup=False, soft_wrap=True)
    report.write_json(json, result | {"page": lines})
    if picture is not None:
        picture.write_text(plot.draw(played, tenancy))
    return bool(result["passed"])


async def _play(stack: Stack, models: Sequence[Trained], plan: Plan) -> tuple[ActOne, Played, Tenancy]:
    async with stage.prepared(stack, models) as on:
        first = await act_one.play(on, plan.seconds, STREAMS)
        sharing = choose(on.dealer, on.tenants)
        script = replace(plan.script, rate=bearable(plan.script.rate, first))
        played = await act_two.play(on, sharing, script)
        return first, played, _tenancy(on, played)


def bearable(rate: float, first: ActOne) -> float:
    """`rate`, or less where that is no small part of what was answered when as many as possible were.

    An open loop at more than a machine can do says nothing but that.
    """
    return min(rate, max(1.0, _BEARABLE * first.requests / first.seconds // 10 * 10))


def _tenancy(on: Stage, played: Played) -> Tenancy:
    recipes, hand = [model.recipe for model in on.models], set(played.sharing.hand)
    in_threads = [view(model.artifact).engine == "onnx" for model in on.models]
    return Tenancy(
        tenants=[recipe.tenant for recipe in recipes],
        shared=[played.sharing.shared[recipe.tenant] for recipe in recipes],
        waits=[
            is_slow and first_cell(on.dealer, recipe.tenant, recipe.name) in hand
            for is_slow, recipe in zip(in_threads, recipes, strict=True)
        ],
    )


def _result(plan: Plan, first: ActOne, played: Played, tenancy: Tenancy, seconds: float) -> dict[str, Any]:
    seen, sharing = played.seen, played.sharing
    felt = judging.who_felt(seen, played.phases, tenancy)
    columns = judging.columns(seen, played.phases, tenancy, sharing.expected, felt)
    bounds = [
        *_first_bounds(first),
        *judging.bounds(seen, played.phases, tenancy, columns, HOLD_SECONDS * 1e3),
    ]
    threads = len(sharing.hand) * CellSettings().score_threads
    held = min(1.0, played.runs * HOLD_SECONDS / (played.held_seconds * threads))
    bounds.append(Bound("threads of the poisoned hand, held", f"≥ {_HELD:.0%}", f"{held:.0%}", held >= _HELD))
    bounds.append(
        Bound(
            "cells that condemned what crashed them",
            f"{len(sharing.hand)}",
            f"{len(played.culprits)}",
            set(played.culprits) == set(sharing.hand),
        )
    )
    return {
        "stage": {
            "tenants": plan.tenants,
            "models": len(tenancy.tenants),
            "cells": plan.cells,
            "zones": plan.zones,
            "hand_size": len(sharing.hand),
            "cores": os.cpu_count(),
        },
        "act_one": asdict(first),
        "act_two": {
            "rate": played.rate,
            "seconds": float(seen.due[-1] - seen.due[0]),
            "poison": sharing.poison,
            "hand": list(sharing.hand),
            "cpu_us": played.cpu_us,
            "late_p99_ms": seen.late_ms,
            "held": held,
            "culprits": played.culprits,
            "crashes": played.crashes,
            "columns": [asdict(column) for column in columns],
        },
        "bounds": [asdict(bound) for bound in bounds],
        "passed": first.passed and all(bound.holds for bound in bounds),
        "seconds": seconds,
    }


def _first_bounds(first: ActOne) -> list[Bound]:
    seen = f"{first.wrong:,}, {first.errors:,} of {first.requests:,}"
    stored = first.stored
    defaults = stored.missing + stored.stale
    return [
        Bound("act one: wrong answers, errors", "0, 0", seen, first.passed),
        Bound(
            "act one: stored values, missing or stale",
            f"{stored.planted:,}",
            f"{defaults:,} of {stored.values:,}",
            defaults == stored.planted,
        ),
    ]
