"""What telemetry costs a router: CPU time a request with it, less that without, in turns on one core.

    bare        no histogram, and no collector (`bare_router.py`); two of them, for how far equals differ
    histograms  the router as it is started without a collector
    traces 0    with a collector, where no request begins a trace: every one is looked at
    traces 1    where 1 of 100 does (`traced_router.py`)

All of them run, and take turns: in each round every one is asked as often as it can answer, in one order and
in the next round in the other, and then left alone until its spans have been sent: their time counts as well.
Of each round the differences count, of those the median, for what the machine does besides takes longer than
a turn. Many short rounds tell more than a few long ones. `spread_us` is how far the two that are equal were
apart in a round, and `floor_us` by how much the medians of many rounds may differ for that.
"""

from __future__ import annotations

import asyncio
import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent import futures
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import grpc
import uvloop

from bench import catalog, processes, report
from bench.measuring import Measuring
from bench.peers import launch
from bench.peers.launch import Proxy
from bench.upstream import Upstream

BARE, EQUAL, HISTOGRAMS, TRACES_0, TRACES_1 = "bare", "equal", "histograms", "traces 0", "traces 1"
_MODULES = {
    BARE: "bench.bare_router",
    EQUAL: "bench.bare_router",
    HISTOGRAMS: "router.app",
    TRACES_0: "router.app",
    TRACES_1: "bench.traced_router",
}
_CELLS, _PAYLOAD = 4, 256
# A router sends its spans twice a second.
_SENT_SECONDS = 0.7


@dataclass(frozen=True, slots=True)
class Plan:
    """`requests` of one turn; `is_hot`: one request over and over, instead of all models' in turn."""

    requests: int
    rounds: int
    is_hot: bool


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
    report.table("telemetry", [("a bare request", f"{median(seen[BARE]):.2f} µs"), *rows])
    report.write_json(json, {"kind": _kind(plan), "seen_us": dict(seen), **found, "failures": failures})
    return not failures


def differences(seen: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Microseconds a request: of each round what one took more than another, and of that the median."""

    def more(one: str, other: str) -> float:
        return median(mine - its for mine, its in zip(seen[one], seen[other], strict=True))

    both = {**seen, "_bare": [(a + b) / 2 for a, b in zip(seen[BARE], seen[EQUAL], strict=True)]}
    seen = both
    apart = [abs(a - b) for a, b in zip(seen[BARE], seen[EQUAL], strict=True)]
    return {
        "histograms_us": more(HISTOGRAMS, "_bare"),
        "traces_0_us": more(TRACES_0, HISTOGRAMS),
        "traces_1_us": more(TRACES_1, HISTOGRAMS),
        "together_0_us": more(TRACES_0, "_bare"),
        "together_1_us": more(TRACES_1, "_bare"),
        "spread_us": median(apart),
        # Of a normal distribution: from that to its deviation, and from a mean's deviation to a median's.
        "floor_us": 1.4826 * 1.2533 * median(apart) / math.sqrt(len(apart)),
    }


async def _play(plan: Plan, folder: Path, core: int, endpoint: str) -> tuple[dict[str, list[float]], int]:
    """CPU microseconds a request in each round, by what ran; and how many requests failed."""
    load = catalog.unary(_PAYLOAD)
    asked = load.first() if plan.is_hot else load
    seen: dict[str, list[float]] = {name: [] for name in (BARE, EQUAL, HISTOGRAMS, TRACES_0, TRACES_1)}
    failures = 0
    async with Upstream(_CELLS) as upstream:
        catalog.write_snapshot(folder / "catalog.snapshot", upstream.addresses)
        measuring = Measuring(upstream, folder)
        with ExitStack() as stack:
            routers = {name: _start(name, folder, core, endpoint, stack) for name in seen}
            for router in routers.values():
                await measuring.warm(router, load)
            for number in range(plan.rounds):
                report.step(f"{_kind(plan)}, round {number + 1} of {plan.rounds}")
                turns = list(routers.items())
                before = {name: router.cpu_seconds for name, router in turns}
                answered = {}
                for name, router in turns if number % 2 == 0 else reversed(turns):
                    already = upstream.answered
                    failures += (await measuring.closed(router, asked, plan.requests)).failures
                    # With those that it was warmed up by.
                    answered[name] = upstream.answered - already
                await asyncio.sleep(_SENT_SECONDS)
                for name, router in turns:
                    took = router.cpu_seconds - before[name]
                    seen[name].append(took / max(1, answered[name]) * 1e6)
    return seen, failures


def _kind(plan: Plan) -> str:
    return "one request" if plan.is_hot else "rotating"


def _start(name: str, folder: Path, core: int, endpoint: str, stack: ExitStack) -> Proxy:
    traces = {TRACES_0: "0", TRACES_1: "0.01"}.get(name)
    options = [] if traces is None else ["--otlp-endpoint", endpoint, "--trace-ratio", traces]
    home = folder / name
    home.mkdir()
    snapshot, module = folder / "catalog.snapshot", _MODULES[name]
    router = launch.start_router(home, snapshot, _CELLS, None, core, module=module, options=options)
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
