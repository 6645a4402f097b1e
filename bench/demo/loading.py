"""The load as a process of its own: its CPU time is nobody else's, and nothing else holds it up.

    closed(seconds)          as many requests under way as h2load has, for so long
    begin(rate) … end()      an open loop at a fixed rate, until told

It is told over a pipe, over which its account comes back; when the pipe closes, it ends.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import selectors
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import calling, openloop
from bench.demo.asking import Asking
from bench.demo.stored import Stored
from bench.openloop import Floats, Moments
from bench.training import Trained
from croupier.priority import take_short_slices

# Longer than any act; arrivals are drawn beforehand.
_MOST_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Seen:
    """By request, in the order of sending: when it was due, on the machine's monotonic clock; its latency in
    seconds, infinite without a right answer; which model it was for; whether the answer was wrong.

    `problems` counts what was said of errors; requests were sent `late_ms` late, at the 99th percentile;
    `stored` has what right answers say of stored features.
    """

    due: Floats
    latencies: Floats
    models: NDArray[np.int64]
    wrong: NDArray[np.bool_]
    problems: Counter[str]
    late_ms: float
    stored: Stored = field(default_factory=Stored)

    @property
    def failed(self) -> NDArray[np.bool_]:
        """Requests that ended with an error, or not at all."""
        return np.isinf(self.latencies) & ~self.wrong


NOTHING = Seen(np.zeros(0), np.zeros(0), np.zeros(0, int), np.zeros(0, bool), Counter(), 0.0)


@dataclass(frozen=True, slots=True)
class _Closed:
    weights: Sequence[float]
    seed: int
    seconds: float
    streams: int


@dataclass(frozen=True, slots=True)
class _Open:
    weights: Sequence[float]
    seed: int
    rate: float


class LoadProcess:
    def __init__(self, pid: int, pipe: Connection) -> None:
        self.pid = pid
        self._pipe = pipe

    @classmethod
    @contextmanager
    def started(cls, router: str, models: Sequence[Trained]) -> Iterator[LoadProcess]:
        spawn = multiprocessing.get_context("spawn")
        ours, its = spawn.Pipe()
        process = spawn.Process(target=_serve, args=(its, router, models), name="load", daemon=True)
        process.start()
        its.close()
        try:
            yield cls(process.pid or 0, ours)
        finally:
            ours.close()
            process.terminate()
            process.join()

    async def closed(self, weights: Sequence[float], seed: int, *, seconds: float, streams: int) -> Seen:
        self._pipe.send(_Closed(weights, seed, seconds, streams))
        return await self._account()

    def begin(self, weights: Sequence[float], seed: int, *, rate: float) -> None:
        self._pipe.send(_Open(weights, seed, rate))

    async def end(self) -> Seen:
        self._pipe.send(None)
        return await self._account()

    async def _account(self) -> Seen:
        loop, is_there, pipe = asyncio.get_running_loop(), asyncio.Event(), self._pipe.fileno()
        loop.add_reader(pipe, is_there.set)
        try:
            await is_there.wait()
        finally:
            loop.remove_reader(pipe)
        # uvloop has it otherwise.
        os.set_blocking(pipe, True)
        seen = self._pipe.recv()
        assert isinstance(seen, Seen)
        return seen


# The process


def _serve(pipe: Connection, router: str, models: Sequence[Trained]) -> None:
    # Ctrl-C reaches it too; who started it ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    take_short_slices()
    while True:
        try:
            plan = pipe.recv()
        except EOFError:
            return
        # Its timers count microseconds, unlike uvloop's.
        loop = asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector()))
        with loop as runner:
            pipe.send(runner.run(_load(plan, pipe, router, models)))


async def _load(plan: Any, pipe: Connection, router: str, models: Sequence[Trained]) -> Seen:
    asking = Asking(models, plan.weights, plan.seed)
    async with calling.callers(router) as callers:
        if isinstance(plan, _Closed):
            moments = await openloop.closed_loop_of_moments(
                callers, asking, seconds=plan.seconds, streams=plan.streams
            )
        else:
            moments = await _open(plan, pipe, callers, asking)
        problems: Counter[str] = sum((caller.problems for caller in callers), Counter())
    return _account(moments, asking, problems)


async def _open(
    plan: _Open, pipe: Connection, callers: Sequence[calling.SessionCaller], asking: Asking
) -> Moments:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(pipe.fileno(), stopped.set)
    moments = await openloop.open_loop_of_moments(
        callers, asking, rate=plan.rate, seconds=_MOST_SECONDS, seed=plan.seed, stopped=stopped
    )
    loop.remove_reader(pipe.fileno())
    pipe.recv()
    return moments


def _account(moments: Moments, asking: Asking, problems: Counter[str]) -> Seen:
    count = len(moments.due)
    wrong = np.zeros(count, dtype=bool)
    wrong[asking.wrong] = True
    return Seen(
        due=moments.due,
        latencies=moments.latencies,
        models=np.array([asking.of(number) for number in range(count)], dtype=np.int64),
        wrong=wrong,
        problems=problems,
        late_ms=float(np.quantile(moments.lateness, 0.99)) * 1e3 if count else 0.0,
        stored=asking.stored,
    )
