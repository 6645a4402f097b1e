"""One run: workers that start together, what they report, events meanwhile, and what all of it comes to.

Nothing here takes part in the load; it only has to read what comes once a second from each worker.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait

from croupier_bench.about import about
from croupier_bench.events import Events
from croupier_bench.gathering import Gathered, Report
from croupier_bench.judging import judge, why_invalid
from croupier_bench.result import Happened, Loads, Progress, Rates, Result, figures
from croupier_bench.scenario import Scenario
from croupier_bench.source import OfScenario, Source
from croupier_bench.worker import Failed, Plan, Ready, Start, Stop

# From when all workers are told until they begin.
_AHEAD = 0.25
# How long they may take to connect, and to draw what they will send.
_READY_SECONDS = 120.0
# After the last request was due and its timeout is over, how long a worker may take to say so.
_END_SECONDS = 30.0
_LOOK_SECONDS = 0.1
_WATCH_SECONDS = 0.5
INTERRUPTED = "interrupted"

Watch = Callable[[Progress], None]


class RunFailed(RuntimeError):
    """There is nothing to tell of: nobody could be asked, or a worker is gone."""


@dataclass(slots=True)
class _Worker:
    number: int
    process: subprocess.Popen[bytes]
    connection: Connection
    has_ended: bool = False


def run(
    scenario: Scenario,
    *,
    source: Source | None = None,
    verify_share: float = 0.0,
    watch: Watch | None = None,
) -> Result:
    """Play `scenario`, or what `source` has in place of its requests, and say what came of it.

    `verify_share` of the answers are looked at. `watch` is told twice a second how it goes. Ctrl-C stops it
    early, and it says what it has seen so far.

    Raises:
        RunFailed: see there.
    """
    with _started(scenario, source or OfScenario(scenario), verify_share) as workers:
        for worker in workers:
            _wait_ready(worker)
        return _Run(scenario, workers, verify_share, watch).play()


class _Run:
    def __init__(
        self, scenario: Scenario, workers: Sequence[_Worker], verify_share: float, watch: Watch | None
    ) -> None:
        load = scenario.load
        self._scenario = scenario
        self._workers = workers
        self._watch = watch
        self._next_watch = 0.0
        self._stopped: str | None = None
        # How long requests were due, which is shorter if it was stopped.
        self._seconds = load.seconds
        self._gathered = Gathered(
            [one.name for one in scenario.classes],
            len(workers),
            load.seconds,
            load.timeout,
            remembers=scenario.stop.window,
        )
        self._verifies = verify_share > 0

    def play(self) -> Result:
        load = self._scenario.load
        self._name_cells()
        begin = time.monotonic() + _AHEAD
        self._start = begin + load.warm_up
        events = Events(self._scenario.events)
        events.start(self._start)
        for worker in self._workers:
            worker.connection.send(Start(begin))
        try:
            self._follow(events)
        finally:
            happened = events.end()
        # Maps may have changed meanwhile.
        self._name_cells()
        return self._result(happened)

    def _name_cells(self) -> None:
        target = self._scenario.target
        if target.cells and target.manager:
            # What asks it takes long to import.
            from croupier_bench.cell_names import ask_names

            self._gathered.cell_names = ask_names(target) or self._gathered.cell_names

    def _follow(self, events: Events) -> None:
        give_up = self._start + self._scenario.load.seconds + self._scenario.load.timeout + _END_SECONDS
        while waiting := [worker for worker in self._workers if not worker.has_ended]:
            try:
                self._read(waiting)
                self._look(events)
            except KeyboardInterrupt:
                if self._stopped == INTERRUPTED:
                    raise
                self._stop(INTERRUPTED)
            if time.monotonic() > give_up:
                raise RunFailed("a worker does not end")

    def _read(self, waiting: Sequence[_Worker]) -> None:
        by_connection = {worker.connection: worker for worker in waiting}
        for connection in wait(list(by_connection), _LOOK_SECONDS):
            worker = by_connection[connection]  # type: ignore[index]
            report = _receive(worker)
            assert isinstance(report, Report)
            self._gathered.add(worker.number, report)
            worker.has_ended = report.is_last

    def _look(self, events: Events) -> None:
        now = time.monotonic()
        if self._stopped is None and (why := events.required_failed or self._why_stop(now - self._start)):
            self._stop(why)
        if self._watch is not None and now >= self._next_watch:
            self._next_watch = now + _WATCH_SECONDS
            seconds = min(max(0.0, now - self._start), self._seconds)
            self._watch(self._gathered.progress(seconds, events.so_far()))

    def _why_stop(self, seconds: float) -> str | None:
        stop = self._scenario.stop
        if seconds < stop.window or (stop.errors is None and stop.p99 is None):
            return None
        answered, failed, p99 = self._gathered.recent(stop.window, seconds)
        share = failed / max(answered + failed, 1)
        if stop.errors is not None and share > stop.errors:
            return f"{share:.2%} of the requests of the last {stop.window:g} s have failed"
        if stop.p99 is not None and p99 > stop.p99:
            return f"p99 of the last {stop.window:g} s was {p99 * 1e3:.4g} ms"
        return None

    def _stop(self, why: str) -> None:
        self._stopped = why
        self._seconds = min(self._seconds, max(time.monotonic() - self._start, 1e-3))
        for worker in self._workers:
            if not worker.has_ended:
                worker.connection.send(Stop())

    def _result(self, happened: Sequence[Happened]) -> Result:
        scenario, found = self._scenario, self._gathered
        planned, sent, answered, failed = found.due, found.sent, found.answered, found.failed.count
        latency, lateness, workers = figures(found.latency), figures(found.late), found.workers()
        invalid = why_invalid(planned=planned, sent=sent, latency=latency, lateness=lateness, workers=workers)
        return Result(
            name=scenario.name,
            seed=scenario.seed,
            about=about(),
            scenario=scenario.to_json(),
            valid=not invalid,
            why_invalid=invalid,
            stopped=self._stopped,
            planned=planned,
            sent=sent,
            answered=answered,
            errors=found.errors_of(),
            wrong=found.wrong_of(),
            unverified=answered - found.seen,
            rate=Rates(*(round(count / self._seconds, 3) for count in (planned, sent, answered))),
            latency_ms=latency,
            failed_latency_ms=figures(found.failed),
            lateness_ms=lateness,
            since_sent_ms=figures(found.since),
            histogram=found.latency.to_json(),
            by_class=found.classes(),
            series=found.series(),
            by_cell=found.by_cell(),
            events=list(happened),
            slo=judge(scenario.slo, latency, answered, failed),
            load=Loads(workers),
        )


@contextmanager
def _started(scenario: Scenario, source: Source, verify_share: float) -> Iterator[list[_Worker]]:
    """The workers, each with its plan; none is left when this ends."""
    workers: list[_Worker] = []
    count = scenario.load.workers
    try:
        for number in range(count):
            worker = _spawn(number)
            workers.append(worker)
            worker.connection.send(Plan(scenario, source, number, count, verify_share))
        yield workers
    finally:
        for worker in workers:
            worker.connection.close()
        for worker in workers:
            _end(worker)


def _spawn(number: int) -> _Worker:
    ours, theirs = Pipe()
    # Not by `-m`: the classes of its messages would be those of another module.
    start = "from croupier_bench.worker import main; main()"
    argv = [sys.executable, "-P", "-c", start, str(theirs.fileno())]
    # A source may be of any module that this process knows.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with theirs:
        process = subprocess.Popen(
            argv, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env=environment
        )
    return _Worker(number, process, ours)


def _end(worker: _Worker) -> None:
    """Without its pipe a worker ends by itself."""
    try:
        worker.process.wait(5.0)
    except subprocess.TimeoutExpired:
        worker.process.kill()
        worker.process.wait()


def _wait_ready(worker: _Worker) -> None:
    if not worker.connection.poll(_READY_SECONDS):
        raise RunFailed(f"worker {worker.number} is not ready after {_READY_SECONDS:.0f} s")
    said = _receive(worker)
    if isinstance(said, Failed):
        raise RunFailed(said.why)
    assert isinstance(said, Ready)


def _receive(worker: _Worker) -> object:
    try:
        return worker.connection.recv()
    except (EOFError, ConnectionResetError) as error:
        code = worker.process.wait()
        raise RunFailed(f"worker {worker.number} has ended with {code}") from error
