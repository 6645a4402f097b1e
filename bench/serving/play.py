"""Servers of models, one after the other on one core: how much each can do, how soon, and what it takes.

    most        a closed loop over a few resident models: predictions a second, CPU time of all its processes
    latency     Poisson arrivals: at half of its own most, and at one rate for all
    memory      all of 10, 1,000 and 10,000 models asked for once, one after the other, and what it has then;
                the first answer of a model is a cold one's latency

A server is started anew for each turn and ended after it: none has a neighbour, and nothing of one turn is
left in the next. Memory with more models is that of the same process, if it can find new ones (`Peer.grows`).
Rounds of *most* alternate between all of them; their medians count. A server and all of its processes are on
one core, our load on another, and every answer is compared with LightGBM's. A server that takes more memory
or time than it may is stopped, and its row says how.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Container, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import uvloop

from bench import calling, openloop, processes, report
from bench.about import installed
from bench.calling import SessionCaller
from bench.serving import telling
from bench.serving.asking import AskingCaller, Asks
from bench.serving.known import ALL
from bench.serving.models import Models
from bench.serving.peer import Peer
from bench.serving.running import Bounds, Running, Stopped, ended_by_term, started
from bench.serving.telling import Latency, Most, Seen

_SEED = 17
# Of a closed loop, before it is measured.
_WARM_UP = 0.2
# Streams a connection while models are loaded.
_LOADING_STREAMS = 4
# Models between two looks at what a server takes.
_LOOK = 100
# What the first answer of a model may take, in seconds.
_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Plan:
    """`rate` is the one for all, 0 for half of what the slowest can do; `counts` are numbers of models."""

    peers: Sequence[str]
    models: int
    rounds: int
    seconds: float
    rate: float
    counts: Sequence[int]
    bounds: Bounds


def run(plan: Plan, json: Path | None) -> bool:
    """Measure, print and write; true unless an answer was wrong, or a server of ours was stopped."""
    peers = [ALL[name] for name in plan.peers if not ALL[name].missing()]
    for name in plan.peers:
        if what := ALL[name].missing():
            report.step(f"{name} is left out: {what} is not installed (make serving-peers)")
    with tempfile.TemporaryDirectory(prefix="croupier-serving-") as name:
        bench = _Bench(plan, Path(name), [Seen(peer) for peer in peers])
        before = processes.usage()
        with processes.pinned(bench.cores.load), ended_by_term():
            bench.play()
        others = processes.usage().others_share(before, os.cpu_count() or 1)
    found = {"models": plan.models, "others_share_of_machine": others, **telling.result(bench.seen)}
    telling.tell(bench.seen)
    report.write_json(json, found, installed(("lightgbm", "grpcio", "protobuf", "uvloop")))
    return not any(seen.wrong or (seen.peer.kind == "ours" and seen.stopped) for seen in bench.seen)


class _Bench:
    def __init__(self, plan: Plan, folder: Path, seen: Sequence[Seen]) -> None:
        self.seen = seen
        self.cores = processes.cores()
        self._plan = plan
        self._folder = folder
        self._models = Models(folder / "models")

    def play(self) -> None:
        for _ in range(self._plan.rounds):
            self._each("most", self._most)
        most = [seen.most.per_s for seen in self.seen if seen.most]
        rate = self._plan.rate or min(most, default=1.0) / 2
        self._each("latency", partial(self._latency, rate=rate))
        self._each("memory", self._memory)

    def _each(self, what: str, act: Callable[[Seen], None]) -> None:
        """A turn of every server that was not stopped."""
        for seen in self.seen:
            if seen.stopped:
                continue
            report.step(f"{seen.peer.name}: {what}")
            try:
                act(seen)
            except Stopped as why:
                seen.stopped = f"{what}: {why}"
                report.step(f"{seen.peer.name} is stopped: {seen.stopped}")

    def _started(self, peer: Peer, count: int, first: int = 0) -> AbstractContextManager[Running]:
        bounds = self._plan.bounds
        return started(peer, self._models, count, self._folder, self.cores.proxy, bounds, first)

    # The turns

    def _most(self, seen: Seen) -> None:
        with self._started(seen.peer, self._plan.models) as running:
            uvloop.run(self._closed(running, seen))

    async def _closed(self, running: Running, seen: Seen) -> None:
        async with self._loaded(running, seen) as (callers, asks):
            await _closed(callers, asks, self._plan.seconds * _WARM_UP, seen)
            cpu, own, began = running.cpu_seconds, time.process_time(), time.perf_counter()
            right = await _closed(callers, asks, self._plan.seconds, seen)
            seconds = time.perf_counter() - began
            cpu, own = running.cpu_seconds - cpu, time.process_time() - own
        if not right:
            raise Stopped("no right answer under load")
        seen.mosts.append(Most(right / seconds, cpu / right * 1e6, own / seconds))

    def _latency(self, seen: Seen, rate: float) -> None:
        assert seen.most is not None
        rates = (seen.most.per_s / 2, rate)
        with self._started(seen.peer, self._plan.models) as running:
            seen.half_load, seen.same_rate = uvloop.run(self._open(running, seen, rates))

    async def _open(self, running: Running, seen: Seen, rates: Sequence[float]) -> list[Latency]:
        async with self._loaded(running, seen) as (callers, asks):
            return [await _open(callers, asks, rate, self._plan.seconds, seen) for rate in rates]

    def _memory(self, seen: Seen) -> None:
        counts = sorted(self._plan.counts)
        for each in [counts] if seen.peer.grows else [[count] for count in counts]:
            with ExitStack() as stack:
                with _with_models(each[0]):
                    running = stack.enter_context(self._started(seen.peer, each[-1], each[0]))
                uvloop.run(self._grow(running, seen, each))

    async def _grow(self, running: Running, seen: Seen, counts: Sequence[int]) -> None:
        # Those that it has answered for by the time it is ready.
        warm = {0, counts[0] - 1}
        for begin, end in pairwise((0, *counts)):
            with _with_models(end):
                cold = await self._one_by_one(running, seen, range(begin, end), warm)
                seen.memory[end] = self._plan.bounds.check(running.process.pid)
            if not seen.peer.loads_ahead:
                seen.cold[end] = float(np.quantile(cold, 0.99)) * 1e3 if cold else None

    async def _one_by_one(
        self, running: Running, seen: Seen, numbers: Sequence[int], warm: Container[int]
    ) -> list[float]:
        """Ask for every model once; the seconds that right answers took, but of those that are `warm`."""
        found = []
        asks = Asks(running.wire, self._models, numbers, rows=1)
        give_up = time.monotonic() + self._plan.bounds.seconds
        async with self._callers(running, seen) as (caller, *_):
            for place, number in enumerate(numbers):
                if place % _LOOK == 0:
                    self._plan.bounds.check(running.process.pid)
                if time.monotonic() > give_up:
                    raise Stopped(f"{self._plan.bounds.seconds:.0f} s were over after {number:,}")
                seconds = await _asked(caller, asks, place)
                seen.count(1, int(seconds is not None))
                if seconds is not None and number not in warm:
                    found.append(seconds)
        return found

    # Callers

    @asynccontextmanager
    async def _loaded(
        self, running: Running, seen: Seen
    ) -> AsyncIterator[tuple[Sequence[SessionCaller], Asks]]:
        """Callers, once every model has been asked for."""
        asks = Asks(running.wire, self._models, range(running.count))
        async with self._callers(running, seen) as callers:
            loaded = await openloop.closed_loop(callers, asks, len(asks), streams=_LOADING_STREAMS)
            seen.count(loaded.requests, loaded.requests - loaded.failures)
            yield callers, asks
            self._plan.bounds.check(running.process.pid)

    @asynccontextmanager
    async def _callers(self, running: Running, seen: Seen) -> AsyncIterator[Sequence[SessionCaller]]:
        async with calling.callers(running.address, kind=AskingCaller) as callers:
            try:
                yield callers
            finally:
                for caller in callers:
                    seen.problems += caller.problems


@contextmanager
def _with_models(count: int) -> Iterator[None]:
    """Whoever is stopped meanwhile was so with so many."""
    try:
        yield
    except Stopped as why:
        raise Stopped(f"{count:,} models: {why}") from why


async def _closed(callers: Sequence[SessionCaller], asks: Asks, seconds: float, seen: Seen) -> int:
    """How many right answers came."""
    moments = await openloop.closed_loop_of_moments(callers, asks, seconds=seconds)
    right = int(np.isfinite(moments.latencies).sum())
    seen.count(len(moments.latencies), right)
    return right


async def _asked(caller: SessionCaller, asks: Asks, number: int) -> float | None:
    """How many seconds the answer took; None if it was not right."""
    answered: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def done(_: int, is_right: bool) -> None:
        if not answered.done():
            answered.set_result(is_right)

    began = time.perf_counter()
    caller.start(asks, number, done)
    try:
        is_right = await asyncio.wait_for(answered, _PATIENCE)
    except TimeoutError:
        return None
    return time.perf_counter() - began if is_right else None


async def _open(
    callers: Sequence[SessionCaller], asks: Asks, rate: float, seconds: float, seen: Seen
) -> Latency:
    """What callers noticed at `rate`, after a warm-up that is counted too."""
    for length in (_WARM_UP * seconds, seconds):
        sample = await openloop.open_loop(callers, asks, rate=rate, seconds=length, seed=_SEED, warm_up=0.0)
        seen.count(sample.requests, sample.requests - sample.failures)
    return Latency(rate, sample.quantile_ms(0.5), sample.quantile_ms(0.99), sample.late_ms(0.99))
