"""The whole house at work: real models for many tenants, a Zipf load, a cell killed half way.

Every answer is checked against the training library's own. The demo has passed only if nothing
was wrong and nothing was lost.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import uvloop
from rich.progress import Progress

from bench import fleet, load, report
from bench.training import Trained, recipes, train_all
from croupier.client import AsyncClient
from croupier.client.manager import VersionManagerClient
from croupierctl.stack import Stack
from protos.versions.v1 import versions_pb2 as pb
from sharding.dealer import Dealer
from version_manager.wire import generation_from_pb

_SEED = 20
_CALLERS = 32


@dataclass(frozen=True, slots=True)
class Result:
    """What the demo saw; `hit_rate` is the share of predictions whose model was resident in its cell."""

    tenants: int
    models: int
    requests: int
    answered: int
    wrong: int
    errors: dict[str, int]
    requests_per_s: float
    p50_ms: float
    p99_ms: float
    hit_rate: float
    killed: str
    tenants_holding_it: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return self.answered == self.requests and not self.wrong and not self.errors


def run(*, tenants: int, requests: int, cells: int, zones: int, json: Path | None) -> bool:
    """Run the demo, print its table; true if it passed."""
    models = _train(tenants)
    with tempfile.TemporaryDirectory(prefix="croupier-demo-") as folder:
        report.step(f"starting etcd, a version manager, {cells} cells in {zones} zones and a router")
        with Stack(Path(folder), cells, zones) as stack:
            result = uvloop.run(_play(stack, models, requests))
    _print(result)
    report.write_json(json, asdict(result))
    return result.passed


def _train(tenants: int) -> list[Trained]:
    wanted = recipes(tenants, _SEED)
    with Progress(console=report.console) as progress:
        bar = progress.add_task(f"training {len(wanted)} models for {tenants} tenants", total=len(wanted))
        models = []
        for model in train_all(wanted):
            models.append(model)
            progress.advance(bar)
    return models


async def _play(stack: Stack, models: list[Trained], requests: int) -> Result:
    async with VersionManagerClient(stack.manager) as manager, AsyncClient(stack.router) as client:
        await _publish(manager, models)
        await fleet.await_routed(manager, client, models[0])
        random = np.random.default_rng(_SEED)
        asked = load.zipf(len(models), requests, 1.0, random)
        rows = random.integers(len(models[0].rows), size=requests)
        dealer = Dealer(generation_from_pb(await manager.get_generation()))
        busiest = models[Counter(asked).most_common(1)[0][0]].recipe.tenant
        killed = dealer.hand(busiest)[0]

        async def ask(number: int) -> bool:
            return await fleet.is_right(client, models[asked[number]], int(rows[number]))

        def kill() -> None:
            report.step(f"killing {killed} (SIGKILL) after {requests // 2:,} of {requests:,} requests")
            stack.process(killed).kill()

        report.step(f"sending {requests:,} requests, Zipf over {len(models)} models")
        tally = await load.run(range(requests), ask, callers=_CALLERS, at={requests // 2: kill})
        # A cell reports its load once a second.
        await asyncio.sleep(1.5)
        hit_rate = _hit_rate(await manager.list_cells())
    holding = sorted({m.recipe.tenant for m in models if killed in dealer.hand(m.recipe.tenant)})
    return Result(
        tenants=len({model.recipe.tenant for model in models}),
        models=len(models),
        requests=requests,
        answered=tally.answered,
        wrong=tally.wrong,
        errors=dict(tally.errors),
        requests_per_s=tally.answered / tally.seconds,
        p50_ms=tally.percentile_ms(50),
        p99_ms=tally.percentile_ms(99),
        hit_rate=hit_rate,
        killed=killed,
        tenants_holding_it=tuple(holding),
    )


async def _publish(manager: VersionManagerClient, models: list[Trained]) -> None:
    with Progress(console=report.console) as progress:
        bar = progress.add_task("publishing", total=len(models))
        await fleet.publish(manager, models, lambda: progress.advance(bar))


def _hit_rate(cells: list[pb.Cell]) -> float:
    requests = sum(cell.load.requests for cell in cells)
    return sum(cell.load.hits for cell in cells) / requests if requests else float("nan")


def _print(result: Result) -> None:
    holding = result.tenants_holding_it
    shown = ", ".join(holding[:6]) + (f" and {len(holding) - 6} more" if len(holding) > 6 else "")
    report.table(
        "demo",
        [
            ("tenants", f"{result.tenants:,}"),
            ("models", f"{result.models:,}"),
            ("requests", f"{result.requests:,}"),
            ("answered", f"{result.answered:,}"),
            ("wrong answers", f"{result.wrong:,}"),
            ("client-visible errors", f"{sum(result.errors.values()):,}"),
            ("requests/s", f"{result.requests_per_s:,.0f}"),
            ("p50 / p99", f"{result.p50_ms:.1f} / {result.p99_ms:.1f} ms"),
            ("hit rate", f"{result.hit_rate:.1%}"),
            ("killed half way", result.killed),
            ("hands that held it", f"{len(holding)} of {result.tenants} tenants: {shown}"),
        ],
    )
    for error, count in result.errors.items():
        report.step(f"{count} × {error}")
    report.step("passed" if result.passed else "FAILED")
