"""What telemetry costs a router: CPU time a request with it, less that without, in turns on one core.

    bare        no histogram, and no collector (`bare_router.py`)
    histograms  the router as it is started without a collector
    traces 0    with a collector, where no request begins a trace: every one is looked at
    traces 1    where 1 of 100 does (`traced_router.py`)
    traces 10   where 1 of 10 does: what a request costs that is traced, ten times as well seen

Of each there are several processes, for two that are equal differ by how they happen to lie in memory. All of
them run, and take short turns over connections that stay: in each round every one is asked as often as it can
answer, in one order and in the next round in the other. Of each round the differences count, of those the
median, for what the machine does besides takes longer than a turn.

A turn's time is that of the router's loop. Other threads send spans, every two seconds or once there are
many: what they take is counted apart, while each router in turn has work for seconds, and added
(`sending_us`, of a request that is traced). `spread_us` is how far two that are equal were apart in a
round, and `floor_us` by how much the means of as many processes may differ by chance.
"""

from __future__ import annotations

import asyncio
import gc
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent import futures
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from statistics import fmean, median
from typing import Any, TypeAlias

import grpc
import uvloop

from bench import calling, catalog, openloop, processes, report
from bench.calling import SessionCaller
from bench.catalog import Load
from bench.peers import launch
from bench.peers.launch import Proxy
from bench.upstream import Upstream

BARE, HISTOGRAMS, TRACES_0, TRACES_1, TRACES_10 = "bare", "histograms", "traces 0", "traces 1", "traces 10"
_MODULES = {
    BARE: "bench.bare_router",
    HISTOGRAMS: "router.app",
    TRACES_0: "router.app",
    TRACES_1: "bench.traced_router",
    TRACES_10: "bench.traced_router",
}
_RATIOS = {TRACES_0: 0.0, TRACES_1: 0.01, TRACES_10: 0.1}
_CELLS, _PAYLOAD = 4, 256

_Pair: TypeAlias = tuple[Sequence[float], Sequence[float]]

# A router sends its spans every two seconds.
_SENT_SECONDS = 2.2
# Requests before those of a turn, as a share of them: others have had the caches.
_WARM_UP = 5
# Until a router that has answered sleeps: the kernel books a thread's time when it does.
_ASLEEP_SECONDS = 0.002


@dataclass(frozen=True, slots=True)
class Plan:
    """`requests` of one turn, `processes` of each kind, `seconds` of the long turn of each.

    `is_hot`: one request over and over, instead of all models' in turn.
    """

    requests: int
    rounds: int
    is_hot: bool
    processes: int = 3
    seconds: float = 2.0


@dataclass(slots=True)
class Seen:
    """Of one process: microseconds a request of its loop, by round; of other threads, in one long turn."""

    loop: list[float] = field(default_factory=list)
    threads: float = 0.0


@dataclass(slots=True)
class _Running:
    """A router that is measured: what is asked over, and what was seen of it."""

    router: Proxy
    callers: Sequence[SessionCaller]
    seen: Seen = field(default_factory=Seen)

    @property
    def loop_seconds(self) -> float:
        pid = self.router.process.pid
        return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) * 1e-9

    @property
    def threads_seconds(self) -> float:
        return self.router.cpu_seconds - self.loop_seconds


def run(plan: Plan, json: Path | None) -> bool:
    """Measure, print and write; true unless a request failed."""
    cores = processes.cores()
    with (
        tempfile.TemporaryDirectory(prefix="croupier-telemetry-") as folder,
        processes.pinned(cores.load),
        processes.many_files(),
        _collector() as endpoint,
    ):
        seen, failures = uvloop.run(_play(plan, Path(folder), cores.proxy, endpoint))
    found = differences(seen)
    rows = [(name, f"{value:+.3f} µs") for name, value in found.items()]
    bare = median(value for one in seen[BARE] for value in one.loop)
    report.table("telemetry", [("a bare request", f"{bare:.2f} µs"), *rows])
    told = {name: [{"loop": one.loop, "threads": one.threads} for one in of] for name, of in seen.items()}
    report.write_json(json, {"kind": _kind(plan), "seen_us": told, **found, "failures": failures})
    return not failures


def differences(seen: Mapping[str, Sequence[Seen]]) -> dict[str, float]:
    """Microseconds a request: of each round what one kind took more than another, and of that the median.

    `sampled_us` is of a request that is traced.
    """
    rounds = {
        name: [fmean(turns) for turns in zip(*(one.loop for one in of), strict=True)]
        for name, of in seen.items()
    }
    threads = {name: fmean(one.threads for one in of) for name, of in seen.items()}

    def more(one: str, other: str) -> float:
        return _apart(rounds[one], rounds[other])

    # Of one in ten more would wait than are kept.
    sending = (threads[TRACES_1] - threads[TRACES_0]) / _RATIOS[TRACES_1]
    equals = [pair for of in seen.values() for pair in combinations([one.loop for one in of], 2)]
    return {
        "histograms_us": more(HISTOGRAMS, BARE),
        "traces_0_us": more(TRACES_0, HISTOGRAMS),
        "traces_1_us": more(TRACES_1, HISTOGRAMS) + sending * _RATIOS[TRACES_1],
        "together_0_us": more(TRACES_0, BARE),
        "together_1_us": more(TRACES_1, BARE) + sending * _RATIOS[TRACES_1],
        "sampled_us": more(TRACES_10, TRACES_0) / _RATIOS[TRACES_10] + sending,
        "sending_us": sending,
        "spread_us": _spread(equals),
        "floor_us": _floor(equals, len(seen[BARE])),
    }


def _apart(one: Sequence[float], other: Sequence[float]) -> float:
    return median(mine - its for mine, its in zip(one, other, strict=True))


def _spread(equals: Sequence[_Pair]) -> float:
    apart = [abs(a - b) for one, other in equals for a, b in zip(one, other, strict=True)]
    return median(apart) if apart else math.nan


def _floor(equals: Sequence[_Pair], count: int) -> float:
    """The deviation of what the means of `count` processes differ by, from pairs of equals."""
    squares = [_apart(one, other) ** 2 for one, other in equals]
    return math.sqrt(fmean(squares) / count) if squares else math.nan


async def _play(plan: Plan, folder: Path, core: int, endpoint: str) -> tuple[dict[str, list[Seen]], int]:
    """What was seen of the processes of each kind; and how many requests failed."""
    load = catalog.unary(_PAYLOAD)
    failures = 0
    async with Upstream(_CELLS) as upstream, AsyncExitStack() as stack:
        catalog.write_snapshot(folder / "catalog.snapshot", upstream.addresses)
        running: dict[str, list[_Running]] = {name: [] for name in _MODULES}
        for number in range(plan.processes):
            for name, of in running.items():
                home = folder / f"{name} {number}"
                router = _start(name, home, folder / "catalog.snapshot", core, endpoint, stack)
                of.append(_Running(router, await stack.enter_async_context(calling.callers(router.address))))
        turns = [one for of in zip(*running.values(), strict=True) for one in of]
        for one in turns:
            await openloop.closed_loop(one.callers, load, len(load.asks))
        # What is there already is not looked through again before each turn.
        gc.collect()
        gc.freeze()
        for number in range(plan.rounds):
            if not number % 10:
                report.step(f"{_kind(plan)}, round {number + 1} of {plan.rounds}")
            asked = load.first() if plan.is_hot else _from(load, number * plan.requests)
            for one in turns if number % 2 == 0 else reversed(turns):
                failures += await _turn(one, asked, plan.requests)
        report.step("sending")
        for one in turns:
            await _send(one, load.first() if plan.is_hot else load, plan.seconds)
    return {name: [one.seen for one in of] for name, of in running.items()}, failures


async def _turn(one: _Running, asked: Load, requests: int) -> int:
    """Ask, and write down what the loop took; how many requests failed."""
    warm_up = max(1, requests // _WARM_UP)
    failures = (await openloop.closed_loop(one.callers, asked, warm_up)).failures
    await asyncio.sleep(_ASLEEP_SECONDS)
    before = one.loop_seconds
    failures += (await openloop.closed_loop(one.callers, asked, requests)).failures
    await asyncio.sleep(_ASLEEP_SECONDS)
    one.seen.loop.append((one.loop_seconds - before) / requests * 1e6)
    return failures


async def _send(one: _Running, asked: Load, seconds: float) -> None:
    """Ask for a while, and write down what the threads took beside it."""
    before = one.threads_seconds
    moments = await openloop.closed_loop_of_moments(one.callers, asked, seconds=seconds)
    await asyncio.sleep(_SENT_SECONDS)
    one.seen.threads = (one.threads_seconds - before) / len(moments.due) * 1e6


def _from(load: Load, number: int) -> Load:
    """The same requests, from `number` on."""
    first = number % len(load.asks)
    return replace(load, asks=[*load.asks[first:], *load.asks[:first]])


def _kind(plan: Plan) -> str:
    return "one request" if plan.is_hot else "rotating"


def _start(name: str, home: Path, snapshot: Path, core: int, endpoint: str, stack: AsyncExitStack) -> Proxy:
    ratio = _RATIOS.get(name)
    options = [] if ratio is None else ["--otlp-endpoint", endpoint, "--trace-ratio", str(ratio)]
    home.mkdir()
    router = launch.start_router(home, snapshot, _CELLS, None, core, module=_MODULES[name], options=options)
    stack.callback(router.process.stop)
    return router


class _Sink(grpc.GenericRpcHandler):
    """Takes whatever comes, and says nothing."""

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        return grpc.unary_unary_rpc_method_handler(lambda request, context: b"")


@contextmanager
def _collector() -> Iterator[str]:
    """The endpoint of a collector that keeps nothing."""
    server = grpc.server(futures.ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((_Sink(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop(0).wait()
