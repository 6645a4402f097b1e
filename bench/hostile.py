"""Hostile peers beside a well-behaved one: what each attack does to the neighbour's latency and our memory.

A server of ours has a core of its own. On the other core a neighbour sends small requests in an open
loop, and a process of attackers connects 50 times a second and sends what `attacks` has for it.

1. **Slices**: the neighbour is measured for a moment without the attack and for a moment with it, over and
   over, so that what else the machine does meets both. Quantiles are medians over the slices of a kind, and
   the ratio is the median over pairs of slices: a hiccup of the machine in one of them does not count.
2. **The neighbour's own trouble**: its process shares the core with the attackers'. It never sleeps, so
   CPU time that it misses was taken from it, and requests that were under way just then are left out:
   they say nothing about the server. `left_out` is the share of them.
3. **Memory**: the server's peak during the attack less what it had just before.

Attackers that are cut off connect again, at the same rate.
"""

from __future__ import annotations

import asyncio
import json as json_format
import math
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

import numpy as np
import uvloop

from bench import echo, processes, report
from bench.attacks import ATTACKS, Attack
from bench.calling import TIMEOUT, Done, Requests
from bench.catalog import Load
from bench.openloop import Floats, open_loop
from croupier.codes import Code
from croupier.transport.client import Channel
from croupier.transport.http2.client_call import ClientCall
from croupierctl.stack_process import Process

# What the project promises: the neighbour's p99 within 20 %, and memory within 256 MiB.
MOST_RATIO, MOST_MIB = 1.2, 256.0

_BODY = bytes(64)
_LOAD = Load(echo.BATCH.encode(), [(b"", _BODY)], b"", _BODY)
_RATE = 4_000.0
_CHANNELS = 4
_SEED = 11
# An attack is under way, or over, before its slice is measured.
_PAUSE_SECONDS = 0.4
# A turn of the neighbour's loop that misses so much CPU time was interrupted.
_MISSED_SECONDS = 50e-6
_HEAD = (
    "attack",
    "ended",
    "frames",
    "p50 before",
    "during",
    "p99 before",
    "during",
    "ratio",
    "left out",
    "MiB",
)


@dataclass(frozen=True, slots=True)
class Row:
    """`ended` counts connections by how they ended; `ratio` is of the p99, during to before.

    `left_out`: requests that were under way while the neighbour was interrupted, as a share of those during.
    """

    attack: str
    neighbour_p50_ms_before: float
    neighbour_p50_ms_during: float
    neighbour_p99_ms_before: float
    neighbour_p99_ms_during: float
    ratio: float
    rss_mib: float
    ended: dict[str, int]
    connections: int
    frames: int
    failures: int
    left_out: float
    server_cpu_before: float
    server_cpu_during: float

    @property
    def is_contained(self) -> bool:
        return self.ratio <= MOST_RATIO and self.rss_mib <= MOST_MIB and not self.failures


def run(*, attacks: Sequence[str], rounds: int, seconds: float, json: Path | None) -> bool:
    """Measure, print and write; true if the neighbour had every answer and memory stayed in its bound.

    Latencies are for people to judge: a machine that does other work would fail any bound.
    """
    cores = processes.cores()
    chosen = [attack for attack in ATTACKS if not attacks or attack.name in attacks]
    with tempfile.TemporaryDirectory(prefix="croupier-hostile-") as folder, processes.pinned(cores.load):
        server = Process("echo", [sys.executable, "-m", "bench.echo"], Path(folder) / "echo.log")
        processes.start_pinned(server, cores.proxy)
        try:
            server.wait_ready()
            with _Attackers.at(server.address) as attackers:
                rows = uvloop.run(_play(server, attackers, chosen, rounds, seconds))
        finally:
            server.stop()
    report.grid("hostile", _HEAD, [_cells(row) for row in rows])
    late = [row.attack for row in rows if row.ratio > MOST_RATIO]
    report.step(f"p99 within {MOST_RATIO - 1:.0%}: all but {', '.join(late) or 'none'}")
    report.write_json(json, {"rows": [asdict(row) for row in rows]})
    return not any(row.failures or row.rss_mib > MOST_MIB for row in rows)


async def _play(
    server: Process, attackers: _Attackers, chosen: Sequence[Attack], rounds: int, seconds: float
) -> list[Row]:
    channels = [Channel(server.address) for _ in range(_CHANNELS)]
    try:
        neighbour = _Neighbour(channels)
        await neighbour.measure(seconds, _Slices())
        return [await _measure(server, attackers, neighbour, attack, rounds, seconds) for attack in chosen]
    finally:
        await asyncio.gather(*(channel.close() for channel in channels))


async def _measure(
    server: Process, attackers: _Attackers, neighbour: _Neighbour, attack: Attack, rounds: int, seconds: float
) -> Row:
    report.step(attack.name)
    attackers.load(attack.name)
    memory = _Memory(server.pid)
    before, during, toll, grown = _Slices(), _Slices(), _Toll(), 0.0
    for _ in range(rounds):
        await asyncio.sleep(_PAUSE_SECONDS)
        with before.cpu_of(server):
            await neighbour.measure(seconds, before)
        memory.begin()
        attackers.go()
        await asyncio.sleep(_PAUSE_SECONDS)
        with during.cpu_of(server):
            await neighbour.measure(seconds, during)
        grown = max(grown, memory.grown_mib())
        toll.add(attackers.stop())
    return Row(
        attack=attack.name,
        neighbour_p50_ms_before=before.quantile_ms(0.5),
        neighbour_p50_ms_during=during.quantile_ms(0.5),
        neighbour_p99_ms_before=before.quantile_ms(0.99),
        neighbour_p99_ms_during=during.quantile_ms(0.99),
        ratio=median(late / early for early, late in zip(before.p99s, during.p99s, strict=True)),
        rss_mib=grown,
        ended=dict(toll.ends),
        connections=toll.connections,
        frames=toll.frames,
        failures=before.failures + during.failures,
        left_out=during.left_out,
        server_cpu_before=before.cpu / (rounds * seconds),
        server_cpu_during=during.cpu / (rounds * seconds),
    )


@dataclass(slots=True)
class _Slices:
    """What was seen in all slices of a kind; latencies in seconds, of what was not left out."""

    latencies: list[Floats] = field(default_factory=list)
    requests: int = 0
    failures: int = 0
    cpu: float = 0.0

    @property
    def left_out(self) -> float:
        return 1 - sum(map(len, self.latencies)) / max(1, self.requests - self.failures)

    @property
    def p99s(self) -> list[float]:
        return self._quantiles(0.99)

    def quantile_ms(self, share: float) -> float:
        return median(self._quantiles(share)) * 1e3

    def _quantiles(self, share: float) -> list[float]:
        return [float(np.quantile(seen, share)) if len(seen) else math.nan for seen in self.latencies]

    @contextmanager
    def cpu_of(self, server: Process) -> Iterator[None]:
        began = processes.cpu_seconds(server.pid)
        yield
        self.cpu += processes.cpu_seconds(server.pid) - began


class _Neighbour:
    """Small requests through `Channel.start`, as one caller after the other."""

    def __init__(self, channels: Sequence[Channel]) -> None:
        self._channels = channels
        self._loop = asyncio.get_running_loop()
        self._seed = _SEED

    async def measure(self, seconds: float, into: _Slices) -> None:
        flights = [_Flights(channel) for channel in self._channels]
        watch = _Watch(self._loop)
        self._seed += 1
        sample = await open_loop(flights, _LOAD, rate=_RATE, seconds=seconds, seed=self._seed, warm_up=0.0)
        missed = watch.stop()
        into.requests += sample.requests
        into.failures += sample.failures
        ended = sorted(flight for one in flights for flight in one.ended)
        sent_at, ended_at = (np.array([flight[part] for flight in ended]) for part in (1, 2))
        due_at = sent_at - sample.lateness[[flight[0] for flight in ended]]
        into.latencies.append((ended_at - due_at)[~_overlap(due_at, ended_at, missed)])


class _Flights:
    """A caller: what is sent on one channel. `ended` has (number, sent, ended) of the right answers."""

    def __init__(self, channel: Channel) -> None:
        self.ended: list[tuple[int, float, float]] = []
        self._channel = channel

    def start(self, load: Requests, number: int, done: Done) -> None:
        sent = time.perf_counter()

        def woken(call: ClientCall) -> None:
            is_right = call.code == Code.OK and load.is_answer(number, call.message)
            if is_right:
                self.ended.append((number, sent, time.perf_counter()))
            done(number, is_right)

        self._channel.start(load.path, load.message(number), TIMEOUT, woken)


class _Watch:
    """Runs in every turn of a loop that never sleeps, and notes when the thread did not have its core."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._missed: list[tuple[float, float]] = []
        self._is_on = True
        self._wall, self._cpu = time.perf_counter(), time.thread_time()
        loop.call_soon(self._turn)

    def stop(self) -> list[tuple[float, float]]:
        """The intervals, in order."""
        self._is_on = False
        return self._missed

    def _turn(self) -> None:
        wall, cpu = time.perf_counter(), time.thread_time()
        if (wall - self._wall) - (cpu - self._cpu) > _MISSED_SECONDS:
            self._missed.append((self._wall, wall))
        self._wall, self._cpu = wall, cpu
        if self._is_on:
            self._loop.call_soon(self._turn)


def _overlap(
    begins: Floats, ends: Floats, intervals: Sequence[tuple[float, float]]
) -> np.typing.NDArray[np.bool_]:
    """Which of the spans `begins` to `ends` have a moment in common with one of `intervals`, in order."""
    if not intervals:
        return np.zeros(len(begins), dtype=bool)
    first, last = (np.array([interval[part] for interval in intervals]) for part in (0, 1))
    # The first interval that ends after the span begins is the only one to look at.
    at = np.searchsorted(last, begins)
    return np.append(first, np.inf)[at] <= ends


@dataclass(slots=True)
class _Toll:
    frames: int = 0
    connections: int = 0
    ends: Counter[str] = field(default_factory=Counter)

    def add(self, told: dict[str, object]) -> None:
        self.frames += int(str(told["frames"]))
        self.connections += int(str(told["connections"]))
        ends = told["ends"]
        assert isinstance(ends, dict)
        self.ends.update(ends)


class _Attackers:
    def __init__(self, child: subprocess.Popen[str]) -> None:
        self._child = child

    @classmethod
    @contextmanager
    def at(cls, address: str) -> Iterator[_Attackers]:
        # In our own session: only there does the kernel mind its priority beside ours.
        argv = [sys.executable, "-m", "bench.attacker", address]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
            try:
                yield cls(child)
            finally:
                child.terminate()

    def load(self, name: str) -> None:
        self._say(f"load {name}")
        self._hear()

    def go(self) -> None:
        self._say("go")

    def stop(self) -> dict[str, object]:
        self._say("stop")
        told: dict[str, object] = json_format.loads(self._hear())
        return told

    def _say(self, line: str) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write(line + "\n")
        self._child.stdin.flush()

    def _hear(self) -> str:
        assert self._child.stdout is not None
        return self._child.stdout.readline()


class _Memory:
    """Resident memory of a process, from proc(5)."""

    def __init__(self, pid: int) -> None:
        self._folder = Path("/proc") / str(pid)
        self._before = 0.0

    def begin(self) -> None:
        # 5 has the kernel forget the peak so far.
        (self._folder / "clear_refs").write_text("5")
        self._before = self._mib("VmRSS")

    def grown_mib(self) -> float:
        """The peak since `begin`, less what there was then."""
        return self._mib("VmHWM") - self._before

    def _mib(self, name: str) -> float:
        for line in (self._folder / "status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) / 1024
        return 0.0


def _cells(row: Row) -> list[str]:
    ended = ", ".join(f"{end} × {count}" for end, count in sorted(row.ended.items()))
    return [
        row.attack,
        ended,
        f"{row.frames:,}",
        f"{row.neighbour_p50_ms_before:.3f}",
        f"{row.neighbour_p50_ms_during:.3f}",
        f"{row.neighbour_p99_ms_before:.3f}",
        f"{row.neighbour_p99_ms_during:.3f}",
        f"{row.ratio:.2f}",
        f"{row.left_out:.1%}",
        f"{row.rss_mib:.1f}",
    ]
