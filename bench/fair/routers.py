"""One tenant's limit over two routers: what is let through, however its requests come.

It asks for more than its limit all the time, by one router or mostly by the other, and while one of them
is started anew. Shares settle before it is counted, and a caller connects anew when a router is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from bench import calling, openloop, report
from bench.demo.asking import Asking
from bench.demo.stage import Stage
from bench.fair import limiting
from bench.fair.noting import Notes, callers
from croupier.codes import Code
from version_manager.model.limits import Limits

LIMIT = 200.0
# Of the limit, what is asked for.
_TIMES = 2.5
_OTHER = "router-1"
_SEED = 61


@dataclass(frozen=True, slots=True)
class Plan:
    """`settle` seconds until shares follow what routers are asked for, and `seconds` that count."""

    settle: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Split:
    """`ratio` is of what was let through to what the limit allows in that time."""

    ratio: float
    let_through: int
    allowed: float
    codes: dict[str, int]


async def measure(stage: Stage, plan: Plan) -> dict[str, Any]:
    """By how requests are split."""
    stack = stage.stack
    snapshot = stack.folder / f"{_OTHER}.snapshot"
    other = await asyncio.to_thread(stack.start_router, _OTHER, snapshot)
    tenant = stage.tenants[0]
    splits: tuple[tuple[str, int, Callable[[], object] | None], ...] = (
        ("50:50", 1, None),
        ("90:10", 9, None),
        ("restart", 1, lambda: stack.restart(_OTHER)),
    )
    found = {}
    try:
        async with limiting.limited(stage.manager, tenant, Limits(rate=LIMIT)):
            for name, times, act in splits:
                found[name] = await _split(stage, plan, [*[stack.router] * times, other.address], act)
                report.step(f"two routers, {name}: {found[name].ratio:.0%} of the limit, {found[name].codes}")
    finally:
        stack.processes.pop(_OTHER).stop()
    return {name: asdict(one) for name, one in found.items()}


async def _split(stage: Stage, plan: Plan, routers: list[str], act: Callable[[], object] | None) -> Split:
    """`routers` are asked in turn; `act` is done in the middle of what counts."""
    notes = Notes()
    load = Asking([stage.models[0]], [1.0], _SEED)
    async with calling.channels(routers[0], count=1) as mine, calling.channels(routers[-1], count=1) as its:
        channels = [*[mine[0]] * (len(routers) - 1), its[0]]
        asking = asyncio.create_task(
            openloop.open_loop_of_moments(
                callers(channels, notes),
                load,
                rate=_TIMES * LIMIT,
                seconds=plan.settle + plan.seconds,
                seed=_SEED,
            )
        )
        if act is not None:
            await asyncio.sleep(plan.settle + plan.seconds / 2)
            await asyncio.to_thread(act)
        moments = await asking
    ends = notes.ends(moments)
    counted = ends.due >= ends.due[0] + plan.settle
    let_through, allowed = int((ends.codes[counted] == Code.OK).sum()), LIMIT * plan.seconds
    return Split(let_through / allowed, let_through, allowed, dict(ends.by_name()))
