"""One tenant saturates every cell of its hand: who feels it, and how many should.

Each cell has a quota of processor time (`quota`), all together less than one processor. The poison tenant
asks in the second of three turns, again at once whatever it is answered; everybody else's requests come at a
fixed rate throughout. How far the first and the third are apart is what the machine does. Tenants are told
apart by how many cells of the poisoned hand are theirs, which the closed form predicts.

The poison tenant has a machine of its own, as tenants do. Here it has a processor while nobody else wants
it, or what is measured is how Linux shares one.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import uvloop

from bench import calling, openloop, processes, report
from bench.catalog import MODEL_INFER, Load
from bench.demo import stage
from bench.demo.loading import Seen
from bench.demo.sharing import Sharing, choose
from bench.demo.stage import Stage
from bench.shards import heavy, quota
from bench.training import Trained
from croupierctl.stack import Stack

# Of one processor, all cells together.
_SHARE = 0.8
_STREAMS = 8
_WARM_UP_SECONDS = 1.5
_WARM_UP_STREAMS = 8
# Until its requests have filled the queues of its cells, and until those are empty again.
_FILL_SECONDS = 0.5
_EMPTY_SECONDS = 0.5
_SEED = 14


@dataclass(frozen=True, slots=True)
class Shape:
    cells: int
    hand: int
    zones: int

    @property
    def name(self) -> str:
        return f"{self.cells}c{self.hand}"


SHAPES = (Shape(8, 2, 1), Shape(16, 4, 4))


@dataclass(frozen=True, slots=True)
class Plan:
    """`rate` of everybody's requests; `seconds` of a turn, of which there are `rounds` of each kind."""

    tenants: int
    rate: float
    seconds: float
    rounds: int
    shapes: tuple[Shape, ...] = SHAPES


@dataclass(frozen=True, slots=True)
class Result:
    """Of one shape. Ratios are of the 99th percentiles of latencies, with the poison over without it: the
    median of the rounds. `disjoint_spread` is the same of two turns without it. `…_share` are of tenants that
    share 0, 1, … cells with the poison; `poison_rows` a second.
    """

    cells: int
    hand: int
    has_quotas: bool
    disjoint_p99_ratio: float
    partial_p99_ratio: float
    disjoint_p99_ms: float
    disjoint_spread: float
    disjoint_errors: int
    partial_errors: int
    whole_errors: int
    wrong: int
    predicted_share: tuple[float, ...]
    seen_share: tuple[float, ...]
    poison_rows: float


def run(plan: Plan, models: Sequence[Trained], shape: Shape) -> Result:
    with (
        tempfile.TemporaryDirectory(prefix="croupier-poison-") as folder,
        Stack(Path(folder), shape.cells, shape.zones, shape.hand) as stack,
    ):
        return uvloop.run(_play(plan, stack, models, shape))


async def _play(plan: Plan, stack: Stack, models: Sequence[Trained], shape: Shape) -> Result:
    async with stage.prepared(stack, models) as playing, calling.callers(stack.router) as callers:
        sharing = choose(playing.dealer, playing.tenants)
        report.step(f"{shape.name}: {sharing.poison} saturates {', '.join(sharing.hand)}")
        artifact, _ = heavy.trained()
        await playing.manager.publish(sharing.poison, heavy.MODEL, artifact, release_if_first=True)
        poison = Load(MODEL_INFER.encode(), [(sharing.poison.encode(), heavy.question())], b"", None)
        everybody = [1.0] * len(models)
        await playing.load.closed(everybody, _SEED, seconds=_WARM_UP_SECONDS, streams=_WARM_UP_STREAMS)
        cells = {name: one.pid for name, one in stack.processes.items() if name.startswith("cell-")}
        others = [one.pid for name, one in stack.processes.items() if name not in cells]
        # They have all processors until now, to start and to warm up.
        with quota.held(cells, _SHARE / shape.cells) as has_quotas, _on_one_core([*others, playing.load.pid]):
            turns, runs = [], 0
            for number in range(plan.rounds):
                before = await _turn(playing, plan, everybody, number)
                during, ended = await _poisoned(playing, plan, everybody, number, callers, poison)
                await asyncio.sleep(_EMPTY_SECONDS)
                turns.append((before, during, await _turn(playing, plan, everybody, number)))
                runs += ended
    rows = runs * heavy.ROWS / (plan.rounds * (plan.seconds + _FILL_SECONDS))
    return _judged(shape, has_quotas, sharing, models, turns, rows)


@contextmanager
def _on_one_core(pids: Sequence[int]) -> Iterator[None]:
    """These processes, and this one, stay on the processor that the cells are not on; this one gives way."""
    core = processes.cores().proxy
    for pid in pids:
        processes.confine(pid, core)
    with processes.pinned(core), processes.giving_way():
        yield


async def _turn(playing: Stage, plan: Plan, weights: list[float], number: int) -> Seen:
    playing.load.begin(weights, _SEED + number, rate=plan.rate)
    await asyncio.sleep(plan.seconds)
    return await playing.load.end()


async def _poisoned(
    playing: Stage,
    plan: Plan,
    weights: list[float],
    number: int,
    callers: Sequence[calling.SessionCaller],
    poison: Load,
) -> tuple[Seen, int]:
    """What everybody saw meanwhile, and how many requests of the poison were answered."""
    seconds = plan.seconds + _FILL_SECONDS
    flood = asyncio.create_task(
        openloop.closed_loop_of_moments(callers, poison, seconds=seconds, streams=_STREAMS)
    )
    await asyncio.sleep(_FILL_SECONDS)
    seen = await _turn(playing, plan, weights, number)
    moments = await flood
    return seen, int(np.isfinite(moments.latencies).sum())


def _judged(
    shape: Shape,
    has_quotas: bool,
    sharing: Sharing,
    models: Sequence[Trained],
    turns: Sequence[tuple[Seen, Seen, Seen]],
    poison_rows: float,
) -> Result:
    shared = np.array([sharing.shared[model.recipe.tenant] for model in models])
    size = len(sharing.hand)

    def of(seen: Seen, low: int, high: int) -> np.ndarray:
        return (shared[seen.models] >= low) & (shared[seen.models] <= high)

    def p99(seen: Seen, low: int, high: int) -> float:
        found = seen.latencies[of(seen, low, high) & np.isfinite(seen.latencies)]
        return float(np.quantile(found, 0.99)) * 1e3 if len(found) else float("nan")

    def ratio(low: int, high: int) -> float:
        return median(
            2 * p99(held, low, high) / (p99(before, low, high) + p99(after, low, high))
            for before, held, after in turns
        )

    def errors(low: int, high: int) -> int:
        return sum(int((seen.failed & of(seen, low, high)).sum()) for turn in turns for seen in turn)

    tenants = sharing.tenants
    return Result(
        cells=shape.cells,
        hand=shape.hand,
        has_quotas=has_quotas,
        disjoint_p99_ratio=ratio(0, 0),
        partial_p99_ratio=ratio(1, size - 1),
        disjoint_p99_ms=median(p99(before, 0, 0) for before, _, _ in turns),
        disjoint_spread=median(_apart(p99(before, 0, 0), p99(after, 0, 0)) for before, _, after in turns),
        disjoint_errors=errors(0, 0),
        partial_errors=errors(1, size - 1),
        whole_errors=errors(size, size),
        wrong=sum(int(seen.wrong.sum()) for turn in turns for seen in turn),
        predicted_share=sharing.expected,
        seen_share=tuple(count / sum(tenants) for count in tenants),
        poison_rows=poison_rows,
    )


def _apart(one: float, other: float) -> float:
    return max(one, other) / min(one, other)
