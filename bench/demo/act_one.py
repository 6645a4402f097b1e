"""Act one: as many requests as the fleet answers, a cell killed half way, every answer compared."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench import report
from bench.demo.loading import Seen
from bench.demo.sharing import first_cell
from bench.demo.stage import SEED, Stage
from bench.demo.stored import Stored
from bench.openloop import Floats
from protos.versions.v1 import versions_pb2 as pb

# What is neither starting nor yet hurt: from here to the kill, CPU time counts.
_SETTLED = 0.1


@dataclass(frozen=True, slots=True)
class ActOne:
    """`cpu_us` of a request by part, before the kill; `resident` is the share of requests whose model was in
    its cell's memory; `holding` is how many tenants had the killed cell in their hand; `stored` is of models
    with stored features.
    """

    requests: int
    seconds: float
    wrong: int
    errors: int
    problems: dict[str, int]
    p50_ms: float
    p99_ms: float
    cpu_us: dict[str, float]
    resident: float
    killed: str
    holding: int
    stored: Stored

    @property
    def passed(self) -> bool:
        return self.requests > 0 and not self.wrong and not self.errors


async def play(stage: Stage, seconds: float, streams: int) -> ActOne:
    weights = _zipf(len(stage.models))
    busiest = stage.models[int(np.argmax(weights))].recipe
    killed = first_cell(stage.dealer, busiest.tenant, busiest.name)
    report.step(f"act one: requests for {seconds:g} s, {killed} killed (SIGKILL) half way")
    loading = asyncio.create_task(
        stage.load.closed(weights, SEED, seconds=seconds, streams=streams), name="act one"
    )
    await asyncio.sleep(seconds * _SETTLED)
    began, before = time.perf_counter(), stage.cpu_seconds()
    await asyncio.sleep(seconds * (0.5 - _SETTLED))
    after, ended = stage.cpu_seconds(), time.perf_counter()
    await asyncio.to_thread(stage.stack.process(killed).kill)
    seen = await loading
    await asyncio.to_thread(stage.stack.restart, killed)
    # A cell reports its load once a second.
    await asyncio.sleep(1.5)
    answered = seen.latencies[np.isfinite(seen.latencies)]
    return ActOne(
        requests=len(seen.due),
        seconds=seconds,
        wrong=int(seen.wrong.sum()),
        errors=int(seen.failed.sum()),
        problems=dict(seen.problems),
        p50_ms=_ms(answered, 0.5),
        p99_ms=_ms(answered, 0.99),
        cpu_us=_per_request(before, after, _answered_between(seen, began, ended)),
        resident=_resident(await stage.manager.list_cells()),
        killed=killed,
        holding=sum(killed in stage.dealer.hand(tenant) for tenant in stage.tenants),
        stored=seen.stored,
    )


def _zipf(models: int) -> list[float]:
    """Weights of Zipf's law, whose ranks are drawn from the seed."""
    return [1.0 / (rank + 1) for rank in np.random.default_rng(SEED).permutation(models).tolist()]


def _answered_between(seen: Seen, began: float, ended: float) -> int:
    at = seen.due + seen.latencies
    return int(((at >= began) & (at < ended)).sum())


def _per_request(before: dict[str, float], after: dict[str, float], requests: int) -> dict[str, float]:
    return {part: (after[part] - before[part]) / max(1, requests) * 1e6 for part in before}


def _resident(cells: Sequence[pb.Cell]) -> float:
    requests = sum(cell.load.requests for cell in cells)
    return sum(cell.load.hits for cell in cells) / requests if requests else 0.0


def _ms(latencies: Floats, share: float) -> float:
    return float(np.quantile(latencies, share)) * 1e3 if len(latencies) else 0.0
