"""Act two: a fixed rate of requests, whoever answers, while one tenant hurts its hand in four ways.

    quiet      nothing: what a latency is here
    held       in rounds, with pauses between them: every thread of its cells is held
    crashed    one cell of its hand after the other is ended by a model
    killed     a cell of its hand is killed and stays away
    dead       the others as well: its whole hand is gone

It only acts, and notes when; `judging` has what that means.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench import calling, report
from bench.demo import poison as poisons
from bench.demo.loading import NOTHING, Seen
from bench.demo.poison import Poison
from bench.demo.sharing import Sharing
from bench.demo.stage import SEED, Stage

QUIET, HELD, PAUSE, CRASHED, KILLED, DEAD = "quiet", "held", "pause", "crashed", "killed", "dead"

_WARM_UP_SECONDS = 1.5
_WARM_UP_STREAMS = 8
# How long a cell may take to come back, and to report whom it condemned.
_VERDICT_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Script:
    """Requests a second; seconds of each phase; how often threads are held."""

    rate: float
    quiet: float
    round: float
    rounds: int
    after: float


@dataclass(frozen=True, slots=True)
class Phase:
    """A span on the machine's monotonic clock."""

    name: str
    began: float
    ended: float


@dataclass(slots=True)
class Played:
    """What was done, and what the load saw.

    `cpu_us` of a request by part, in the quiet phase; `runs` that held a thread, in `held_seconds`; by cell,
    the model that crashes it, and for what its journal has condemned that one.
    """

    sharing: Sharing
    rate: float
    seen: Seen
    phases: list[Phase] = field(default_factory=list)
    cpu_us: dict[str, float] = field(default_factory=dict)
    runs: int = 0
    held_seconds: float = 0.0
    crashes: dict[str, str] = field(default_factory=dict)
    culprits: dict[str, str] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.phases.append(Phase(name, began, time.perf_counter()))


async def play(stage: Stage, sharing: Sharing, script: Script) -> Played:
    played = Played(sharing, script.rate, NOTHING)
    everybody = [1.0] * len(stage.models)
    report.step(f"act two: {script.rate:,.0f} requests/s; {sharing.poison} hurts {', '.join(sharing.hand)}")
    async with calling.callers(stage.stack.router) as callers:
        poison = await poisons.prepare(stage, sharing, callers[0])
        played.crashes = poison.crashes
        await stage.load.closed(everybody, SEED, seconds=_WARM_UP_SECONDS, streams=_WARM_UP_STREAMS)
        stage.load.begin(everybody, SEED, rate=script.rate)
        await asyncio.sleep(_WARM_UP_SECONDS)
        await _quiet(stage, played, script)
        await _hold(poison, played, script)
        await _crash(stage, poison, played, script)
        await _kill(stage, played, script)
        played.seen = await stage.load.end()
    return played


async def _quiet(stage: Stage, played: Played, script: Script) -> None:
    before = stage.cpu_seconds()
    with played.phase(QUIET):
        await asyncio.sleep(script.quiet)
    after, quiet = stage.cpu_seconds(), played.phases[-1]
    requests = script.rate * (quiet.ended - quiet.began)
    played.cpu_us = {part: (after[part] - before[part]) / requests * 1e6 for part in before}


async def _hold(poison: Poison, played: Played, script: Script) -> None:
    for _ in range(script.rounds):
        async with poison.holding():
            # Until every thread is held.
            await asyncio.sleep(2 * poisons.HOLD_SECONDS)
            runs = poison.runs
            with played.phase(HELD):
                await asyncio.sleep(script.round)
            played.runs += poison.runs - runs
        with played.phase(PAUSE):
            await asyncio.sleep(script.round)
    played.held_seconds = sum(one.ended - one.began for one in played.phases if one.name == HELD)


async def _crash(stage: Stage, poison: Poison, played: Played, script: Script) -> None:
    with played.phase(CRASHED):
        for cell in poison.sharing.hand:
            await poison.crash(cell)
            give_up = time.monotonic() + _VERDICT_SECONDS
            while cell not in played.culprits and time.monotonic() < give_up:
                await asyncio.sleep(0.1)
                played.culprits = await poisons.culprits(stage, poison)
            await asyncio.sleep(script.after / len(poison.sharing.hand))


async def _kill(stage: Stage, played: Played, script: Script) -> None:
    first, *others = played.sharing.hand
    with played.phase(KILLED):
        await asyncio.to_thread(stage.stack.process(first).kill)
        await asyncio.sleep(script.after)
    with played.phase(DEAD):
        await asyncio.gather(*(asyncio.to_thread(stage.stack.process(cell).kill) for cell in others))
        await asyncio.sleep(script.after)
