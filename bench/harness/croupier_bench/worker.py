"""A process of the load. `run` starts it, and talks to it over a pipe.

    run ──Plan──▶ worker: connects, draws and prepares ──Ready or Failed──▶ run
    run ──Start──▶ all workers at the same moment of the machine's clock
    run ◀──Report── each second, and one that is the last
    run ──Stop──▶ a worker sends no more, and waits for what is under way

One thread, without collections of garbage: each would hold up what is due, and there are next to no cycles.
"""

from __future__ import annotations

import asyncio
import gc
import math
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection

import uvloop

from croupier.transport.http2.counted_call import Counts
from croupier_bench.cells import Sample
from croupier_bench.ends import Ends, IsRight
from croupier_bench.gathering import Report
from croupier_bench.lines import Line, Outbox
from croupier_bench.requests import Prepared
from croupier_bench.scenario import Scenario, ScenarioError
from croupier_bench.sending import ClosedLoop, OpenLoop, Setup
from croupier_bench.source import AHEAD, AHEAD_CLOSED, Ahead, Asking, Source

PREDICT = b"/croupier.prediction.v1.PredictionService/Predict"
# How long a server may take until it can be connected to.
_CONNECT_SECONDS = 3.0
_PAUSE = 0.2
_EARLIER = 0.01
# With so many cores for each worker, one of them may be kept awake.
_CORES_EACH = 4


@dataclass(frozen=True, slots=True)
class Plan:
    scenario: Scenario
    source: Source
    worker: int
    workers: int
    verify_share: float


@dataclass(frozen=True, slots=True)
class Ready:
    """It is connected, and has what it will send first."""


@dataclass(frozen=True, slots=True)
class Failed:
    """It cannot begin."""

    why: str


@dataclass(frozen=True, slots=True)
class Start:
    """Begin at a moment on the clock of `time.monotonic`, which is the same in all processes."""

    at: float


@dataclass(frozen=True, slots=True)
class Stop:
    """Send no more."""


class Worker:
    """`begin` is when the warm-up begins. What it has seen goes to `connection`."""

    def __init__(self, connection: Connection, plan: Plan, lines: Sequence[Line], outbox: Outbox) -> None:
        self._connection = connection
        self._plan = plan
        self._lines = lines
        self._outbox = outbox
        self._loop = asyncio.get_running_loop()
        self._start = self._end = math.inf
        # Processor time at the start, and what of it was spent on waiting awake.
        self._cpu = self._idle = 0.0
        self._share = self._cpu_seconds = 0.0

    async def work(self, counts: Counts, ends: Ends, feed: Ahead, asking: Asking, begin: float) -> None:
        load = self._plan.scenario.load
        self._start = counts.start = begin + load.warm_up
        self._end = self._start + load.seconds
        self._counts, self._ends, self._asking = counts, ends, asking
        setup = Setup(
            feed=feed,
            asking=asking,
            lines=self._lines,
            outbox=self._outbox,
            counts=counts,
            ends=ends,
            classes=len(self._plan.scenario.classes),
            begin=begin,
            timeout=load.timeout,
            kept=self._plan.verify_share,
            asks_cells=self._plan.scenario.target.cells,
            worker=self._plan.worker,
            workers=self._plan.workers,
        )
        self._sender = _sender(setup, self._plan, self._end)
        self._loop.add_reader(self._connection.fileno(), self._on_message)
        # The loop's clock counts milliseconds, and rounds them up.
        self._at(begin - _EARLIER, self._sender.begin)
        self._at(self._start, self._mark)
        self._at(self._start + 1.0, self._report_and_again)
        try:
            await self._sender.is_over.wait()
        finally:
            self._loop.remove_reader(self._connection.fileno())
            self._sender.close()
        self._connection.send(self._report(is_last=True))

    def _at(self, moment: float, act: Callable[[], None]) -> None:
        # The loop's own clock is some milliseconds old.
        self._loop.call_later(max(0.0, moment - time.monotonic()), act)

    def _mark(self) -> None:
        self._cpu, self._idle = time.process_time(), self._sender.idle

    def _report_and_again(self) -> None:
        if not self._sender.is_over.is_set():
            self._renew_token()
            self._connection.send(self._report())
            self._at(time.monotonic() + 1.0, self._report_and_again)

    def _renew_token(self) -> None:
        if isinstance(self._asking, Prepared):
            # While a file is being written it has no token: the old one goes on.
            with suppress(ScenarioError):
                self._asking.renew()

    def _report(self, *, is_last: bool = False) -> Report:
        now = time.monotonic()
        if now < self._end + 1.0 or not self._share:
            seconds = max(now - self._start, 1e-3)
            self._cpu_seconds = time.process_time() - self._cpu - (self._sender.idle - self._idle)
            self._share = max(0.0, self._cpu_seconds / seconds)
        due, self._sender.due_by_second = self._sender.due_by_second, {}
        errors, wrong, seen = self._ends.take()
        return Report(
            at=now - self._start,
            counted=self._counts.harvest(),
            due=due,
            errors=errors,
            wrong=wrong,
            seen=seen,
            cells=Counter() if self._ends.sample is None else self._ends.sample.take(),
            sent_by_class=[*self._sender.sent_by_class],
            cpu_share=self._share,
            cpu_seconds=self._cpu_seconds,
            is_last=is_last,
        )

    def _on_message(self) -> None:
        try:
            self._connection.recv()
        except (EOFError, OSError):
            # Whoever would hear of it is gone.
            os._exit(1)
        self._end = min(self._end, time.monotonic())
        self._sender.stop()


def _sender(setup: Setup, plan: Plan, end: float) -> OpenLoop | ClosedLoop:
    load = plan.scenario.load
    if load.mode == "closed":
        return ClosedLoop(setup, streams=load.streams, end=end)
    cores = len(os.sched_getaffinity(0))
    return OpenLoop(setup, never_sleeps=cores >= _CORES_EACH * plan.workers)


async def serve(connection: Connection, plan: Plan) -> None:
    """Do what `plan` says, once it is told when. Sends Failed if that cannot begin."""
    scenario, load = plan.scenario, plan.scenario.load
    try:
        asking = plan.source.prepared()
        is_right = _is_right(scenario) if plan.verify_share else None
        enough = AHEAD_CLOSED if load.mode == "closed" else AHEAD
        feed = Ahead(plan.source.parts(plan.worker, plan.workers), enough)
    except ValueError as error:
        connection.send(Failed(str(error)))
        return
    predicts = [asking.path(number) == PREDICT for number in range(len(scenario.classes))]
    counts = Counts(predicts, timeout=load.timeout)
    sample = Sample(_tenant_of(scenario, asking)) if scenario.target.cells else None
    ends, outbox = Ends(counts, is_right, sample), Outbox()
    lines = _lines(plan, counts, ends, outbox)
    try:
        await asyncio.gather(*(_connect(line) for line in lines))
    except ConnectionError as error:
        connection.send(Failed(str(error)))
        return
    try:
        with _no_garbage_collection():
            connection.send(Ready())
            # Nobody is called yet, so to wait here holds up nothing.
            start = connection.recv()
            if isinstance(start, Start):
                worker = Worker(connection, plan, lines, outbox)
                await worker.work(counts, ends, feed, asking, start.at)
    finally:
        await asyncio.gather(*(line.close() for line in lines))


def _is_right(scenario: Scenario) -> IsRight:
    # Most runs look at no answers.
    from croupier_bench.verify import Verifier

    return Verifier(scenario).is_right


def _tenant_of(scenario: Scenario, asking: Asking) -> Callable[[int, int], str]:
    """Whose a request is, by its metadata, or else by its class."""
    header = scenario.target.tenant_header.encode()

    def tenant_of(kind: int, model: int) -> str:
        said = [value for name, value in asking.metadata(kind, model) if name == header]
        return said[-1].decode() if said else scenario.classes[kind].tenant(model)

    return tenant_of


def _lines(plan: Plan, counts: Counts, ends: Ends, outbox: Outbox) -> list[Line]:
    target, load = plan.scenario.target, plan.scenario.load
    numbers = range(plan.worker, max(load.connections, plan.workers), plan.workers)
    return [
        Line(
            target.addresses[number % len(target.addresses)],
            counts,
            ends.look,
            outbox,
            timeout=load.timeout,
            tls=target.tls,
            authority=target.tls_name,
        )
        for number in numbers
    ]


async def _connect(line: Line) -> None:
    give_up = time.monotonic() + _CONNECT_SECONDS
    while True:
        try:
            await line.session()
            return
        except ConnectionError:
            if time.monotonic() > give_up:
                raise
        await asyncio.sleep(_PAUSE)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def main() -> None:
    """The process, whose one argument is the number of the pipe."""
    # Ctrl-C is for the run, which says when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = Connection(int(sys.argv[1]))
    try:
        uvloop.run(serve(connection, connection.recv()))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        sys.exit(1)
