"""Our own load: an open loop for latencies, and a closed loop where h2load cannot do.

An **open loop** sends when a request is due, whether or not earlier ones were answered, as callers
do who do not know of each other. Arrivals are a Poisson process, drawn beforehand from a seed. A
latency counts from the moment at which the request was *due*: what waits because the sender or the
proxy fell behind has waited, and a slow answer cannot hide the requests that came behind it.

A **closed loop** keeps a fixed number of requests under way, as h2load does: it finds the most that
a proxy can do.
"""

from __future__ import annotations

import asyncio
import gc
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.calling import TIMEOUT, Caller, Requests
from bench.h2load import STREAMS, Loaded
from croupier_bench.timer import Timer

Floats = NDArray[np.float64]
# A turn of the sender's loop that is so late delays what it sends, and the answers that it reads.
_GAP = 5e-4
# How long before a request is due a loop that sleeps is awake again: so long a core takes to wake up.
_AWAKE = 5e-5
# How often it looks whether the last answers came in their time.
_LOOK = 0.01


@dataclass(frozen=True, slots=True)
class Sample:
    """What an open loop saw. Seconds: `latencies` of the right answers, `lateness` of all requests sent,
    from when they were due; both without the warm-up."""

    requests: int
    failures: int
    latencies: Floats
    lateness: Floats

    def quantile_ms(self, share: float) -> float:
        return _quantile_ms(self.latencies, share)

    def late_ms(self, share: float) -> float:
        return _quantile_ms(self.lateness, share)


class Moments(NamedTuple):
    """By request: when it was due, on the machine's monotonic clock, its latency, and how late it was sent.

    In seconds; the latency of one that failed is infinite. `gaps` are turns of the sender's own loop that
    were late: when each came, and by how much.
    """

    due: Floats
    latencies: Floats
    lateness: Floats
    gaps: Floats = np.zeros((0, 2))


def arrivals(rate: float, seconds: float, seed: int) -> Floats:
    """When requests are due, in seconds from the start: a Poisson process of `rate` a second."""
    random = np.random.default_rng(seed)
    return np.cumsum(random.exponential(1 / rate, size=max(1, round(rate * seconds))))


async def open_loop(
    callers: Sequence[Caller], load: Requests, *, rate: float, seconds: float, seed: int, warm_up: float = 0.5
) -> Sample:
    """Send `load` for `warm_up` and then `seconds` seconds; the warm-up is not in the sample."""
    due = arrivals(rate, warm_up + seconds, seed)
    (sample,) = await _run_open(callers, load, due, [due >= warm_up])
    return sample


async def open_loop_of_parts(
    callers: Sequence[Caller], load: Requests, parts: Sequence[NDArray[np.bool_]], *, rate: float, seed: int
) -> list[Sample]:
    """Send as many requests of `load` as each of `parts` is long; a sample of those that each part picks."""
    return await _run_open(callers, load, arrivals(rate, len(parts[0]) / rate, seed), parts)


async def open_loop_of_moments(
    callers: Sequence[Caller],
    load: Requests,
    *,
    rate: float,
    seconds: float,
    seed: int,
    stopped: asyncio.Event | None = None,
    sleeps: bool = True,
) -> Moments:
    """Send `load` for `seconds`, or until it is `stopped`, and wait for the answers.

    One that `sleeps` does so until shortly before a request is due, and leaves the core to others meanwhile.
    """
    due = arrivals(rate, seconds, seed)
    return await open_loop_of_arrivals(callers, load, due, stopped=stopped, sleeps=sleeps)


async def open_loop_of_arrivals(
    callers: Sequence[Caller],
    load: Requests,
    due: Floats,
    *,
    stopped: asyncio.Event | None = None,
    sleeps: bool = True,
) -> Moments:
    """The same of requests that are due at the seconds `due` from the start, in order."""
    run = _OpenLoop(callers, load, due, sleeps=sleeps, stopped=stopped)
    with _no_garbage_collection():
        await run.finish()
    sent = len(run.times)
    gaps = np.array(run.gaps).reshape(-1, 2)
    return Moments(np.array(run.times), run.latencies[:sent], run.lateness[:sent], gaps)


async def closed_loop_of_moments(
    callers: Sequence[Caller], load: Requests, *, seconds: float, streams: int = STREAMS
) -> Moments:
    """Send `load` for `seconds`, `streams` requests under way for each caller, each due when it is sent."""
    run = _ClosedLoop(load, seconds=seconds)
    await run.drive(callers, streams)
    return Moments(np.array(run.due), np.array(run.latencies), np.zeros(len(run.due)))


async def _run_open(
    callers: Sequence[Caller], load: Requests, due: Floats, parts: Sequence[NDArray[np.bool_]]
) -> list[Sample]:
    run = _OpenLoop(callers, load, due)
    with _no_garbage_collection():
        await run.finish()
    samples = []
    for part in parts:
        latencies = run.latencies[part]
        right = np.isfinite(latencies)
        samples.append(Sample(len(latencies), int((~right).sum()), latencies[right], run.lateness[part]))
    return samples


async def closed_loop(
    callers: Sequence[Caller], load: Requests, requests: int, *, streams: int = STREAMS
) -> Loaded:
    """Send `load` so many times with `streams` requests under way for each caller."""
    run = _ClosedLoop(load, requests)
    began = time.perf_counter()
    await run.drive(callers, streams)
    seconds = time.perf_counter() - began
    right = int(np.isfinite(run.latencies).sum())
    return Loaded(requests, requests - right, right / seconds)


class _OpenLoop:
    """`latencies` by request, infinite for those without a right answer."""

    def __init__(
        self,
        callers: Sequence[Caller],
        load: Requests,
        due: Floats,
        *,
        sleeps: bool = False,
        stopped: asyncio.Event | None = None,
    ) -> None:
        self.latencies = np.full(len(due), np.inf)
        self.lateness = np.full(len(due), np.inf)
        self.gaps: list[tuple[float, float]] = []
        self._callers = callers
        self._load = load
        self._due = due
        self._timer = Timer(self._turn) if sleeps else None
        self._stopped = stopped or asyncio.Event()
        self._sent = 0
        self._left = len(due)
        self._loop = asyncio.get_running_loop()
        self._finished = asyncio.Event()

    async def finish(self) -> None:
        # A moment for the task that waits below to go to sleep.
        self._start = time.perf_counter() + 0.01
        self._awaited = time.perf_counter()
        # Plain floats: picking one element of an array costs ten times as much.
        self.times = (self._due + self._start).tolist()
        self._give_up = self.times[-1] + TIMEOUT
        self._turn()
        try:
            await self._finished.wait()
        finally:
            if self._timer is not None:
                self._timer.close()

    def _turn(self) -> None:
        """One turn of the loop: send what is due, and come again at once, or in time for what is due next."""
        now = time.perf_counter()
        if now - self._awaited > _GAP:
            self.gaps.append((now, now - self._awaited))
        self._awaited = now
        if self._stopped.is_set():
            self._send_no_more(now)
        while self._sent < len(self.times) and self.times[self._sent] <= now:
            self._send(self._sent, now)
        if not self._left or now >= self._give_up:
            self._finished.set()
        elif self._timer is None or (wake := self._next(now) - _AWAKE) <= now:
            self._loop.call_soon(self._turn)
        else:
            # `perf_counter` and the timer's clock are the same one.
            self._awaited = wake
            self._timer.set(wake)

    def _next(self, now: float) -> float:
        return self.times[self._sent] if self._sent < len(self.times) else now + _LOOK

    def _send_no_more(self, now: float) -> None:
        self._left -= len(self.times) - self._sent
        self._give_up = min(self._give_up, now + TIMEOUT)
        del self.times[self._sent :]

    def _send(self, number: int, now: float) -> None:
        self._sent += 1
        self.lateness[number] = now - self.times[number]
        self._callers[number % len(self._callers)].start(self._load, number, self._done)

    def _done(self, number: int, is_right: bool) -> None:
        self._left -= 1
        if is_right:
            self.latencies[number] = time.perf_counter() - self.times[number]


class _ClosedLoop:
    """Sends so many requests, or for so long. By request: when it was sent, and its latency, infinite without
    a right answer.
    """

    def __init__(self, load: Requests, requests: float = math.inf, *, seconds: float = math.inf) -> None:
        self.due: list[float] = []
        self.latencies: list[float] = []
        self._load = load
        self._requests = requests
        self._seconds = seconds
        self._answered = 0
        self._finished = asyncio.Event()

    async def drive(self, callers: Sequence[Caller], streams: int) -> None:
        with _no_garbage_collection():
            self._end = time.perf_counter() + self._seconds
            for caller in callers:
                for _ in range(streams):
                    self._send(caller)
            await self._finish()

    def _send(self, caller: Caller) -> None:
        now, number = time.perf_counter(), len(self.due)
        if number >= self._requests or now >= self._end:
            return

        def done(_: int, is_right: bool) -> None:
            self._answered += 1
            if is_right:
                self.latencies[number] = time.perf_counter() - now
            self._send(caller)
            if self._answered == len(self.due):
                self._finished.set()

        self.due.append(now)
        self.latencies.append(math.inf)
        caller.start(self._load, number, done)

    async def _finish(self) -> None:
        """Wait for every answer, or until none has come for a while: a lost one must not hang the bench."""
        seen = -1
        while not self._finished.is_set() and self._answered > seen:
            seen = self._answered
            with suppress(TimeoutError):
                await asyncio.wait_for(self._finished.wait(), TIMEOUT)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """A collection stops the sender for milliseconds; what it would find is little."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _quantile_ms(seconds: Floats, share: float) -> float:
    return float(np.quantile(seconds, share)) * 1e3 if len(seconds) else float("nan")
