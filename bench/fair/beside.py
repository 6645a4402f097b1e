"""Ordinary tenants beside an offender, all on the same hand: what they notice, and what it gets.

Everybody else asks in an open loop throughout, and each answer is compared with the training library's. Turns
without and with the offender alternate, and begin and end with one without: a ratio is of a turn to those
beside it, so that what else the machine does meets both.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from bench import report
from bench.demo.loading import Seen
from bench.demo.stage import Stage
from bench.fair import judging, machines
from bench.fair.acts import Account
from bench.fair.judging import Ratio
from bench.fair.offender import Offender as Process
from bench.fair.offenders import Offender
from bench.fair.wares import Wares

# What an offender has begun ends before others are looked at alone.
_PAUSE_SECONDS = 0.5
_SEED = 31


@dataclass(frozen=True, slots=True)
class Plan:
    """`rate` of everybody's requests; `seconds` of a turn, of which there are `rounds` with the offender."""

    rate: float
    seconds: float
    rounds: int


@dataclass(frozen=True, slots=True)
class Row:
    """Of one offender. `quiet_spread`: of 99th percentiles of quiet turns, each over the one before, the
    least and the most; `ratio_by` has the ratio of each kind of models alone. It `is_apart` if the router
    and others stood for machines of their own (`machines`). CPU is of one processor, and
    `late_ms` how late others sent at the 99th percentile, without it and with it.
    """

    kind: str
    others_p99_ratio: float
    others_errors: int
    offender_refused: int
    offender_served: int
    quiet_spread: tuple[float, float]
    ratio_by: dict[str, float]
    quiet_p99_ms: tuple[float, ...]
    during_p99_ms: tuple[float, ...]
    others_requests: int
    others_wrong: int
    others_codes: dict[str, int]
    offender_asked: int
    offender_codes: dict[str, int]
    offender_words: str
    offender_served_per_s: float
    is_apart: bool
    late_ms: tuple[float, float]
    cpu_quiet: dict[str, float]
    cpu_during: dict[str, float]


@dataclass(frozen=True, slots=True)
class _Turn:
    seen: Seen
    cpu: dict[str, float]

    def p99_ms(self, models: Sequence[int]) -> float:
        """Of the requests for some models, by number."""
        return judging.p99_ms(self.seen.latencies[np.isin(self.seen.models, models)])


async def measure(stage: Stage, plan: Plan, offender: Offender, process: Process, wares: Wares) -> Row:
    with machines.apart(stage.stack, stage.load.pid) as is_apart:
        return await _measured(stage, plan, offender, process, wares, is_apart=is_apart)


async def _measured(
    stage: Stage, plan: Plan, offender: Offender, process: Process, wares: Wares, *, is_apart: bool
) -> Row:
    quiet, during, account = [await _turn(stage, plan, 0)], [], Account()
    for number in range(plan.rounds):
        load = offender.load(wares, number)
        acting = process.begin(offender.act, stage.stack.router, load, offender.fill + plan.seconds)
        await asyncio.sleep(offender.fill)
        during.append(await _turn(stage, plan, 2 * number + 1))
        account = account.with_(await acting)
        await asyncio.sleep(_PAUSE_SECONDS)
        quiet.append(await _turn(stage, plan, 2 * number + 2))
    return _row(stage, plan, offender, quiet, during, account, wares, is_apart=is_apart)


async def _turn(stage: Stage, plan: Plan, number: int) -> _Turn:
    before = stage.cpu_seconds()
    stage.load.begin([1.0] * len(stage.models), _SEED + number, rate=plan.rate)
    await asyncio.sleep(plan.seconds)
    seen = await stage.load.end()
    after = stage.cpu_seconds()
    return _Turn(seen, {name: (after[name] - before[name]) / plan.seconds for name in before})


def _row(
    stage: Stage,
    plan: Plan,
    offender: Offender,
    quiet: list[_Turn],
    during: list[_Turn],
    account: Account,
    wares: Wares,
    *,
    is_apart: bool,
) -> Row:
    turns = [one.seen for one in (*quiet, *during)]
    kinds: defaultdict[str, list[int]] = defaultdict(list)
    for number, model in enumerate(stage.models):
        kinds[model.recipe.algorithm].append(number)

    def ratio_of(models: Sequence[int]) -> Ratio:
        return Ratio([one.p99_ms(models) for one in quiet], [one.p99_ms(models) for one in during])

    ratio = ratio_of(range(len(stage.models)))
    items = offender.load(wares, 0).items
    seconds = plan.rounds * (offender.fill + plan.seconds)
    problems: Counter[str] = reduce(Counter.__add__, (seen.problems for seen in turns), Counter())
    for words, count in problems.most_common(3):
        report.step(f"{offender.kind}: others: {count:,} × {words}")
    return Row(
        kind=offender.kind,
        others_p99_ratio=ratio.median,
        others_errors=sum(int(seen.failed.sum() + seen.wrong.sum()) for seen in turns),
        offender_refused=account.refused,
        offender_served=account.served,
        quiet_spread=ratio.spread,
        ratio_by={kind: ratio_of(models).median for kind, models in sorted(kinds.items())},
        quiet_p99_ms=tuple(ratio.quiet),
        during_p99_ms=tuple(ratio.during),
        others_requests=sum(len(seen.due) for seen in turns),
        others_wrong=sum(int(seen.wrong.sum()) for seen in turns),
        others_codes=dict(judging.codes(problems)),
        offender_asked=account.asked,
        offender_codes=dict(account.codes),
        offender_words=next((words for words, _ in account.words.most_common(1)), ""),
        offender_served_per_s=account.served * items / seconds if seconds else math.nan,
        is_apart=is_apart,
        late_ms=(_late_ms(quiet), _late_ms(during)),
        cpu_quiet=_mean(quiet),
        cpu_during=_mean(during),
    )


def _mean(turns: list[_Turn]) -> dict[str, float]:
    return {name: sum(turn.cpu[name] for turn in turns) / len(turns) for name in turns[0].cpu}


def _late_ms(turns: list[_Turn]) -> float:
    return float(np.median([turn.seen.late_ms for turn in turns]))
