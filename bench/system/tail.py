"""The router's latencies beside other proxies', with a version manager that it follows, and without.

The cells are ports of a stub in the loop of whoever sends (`bench.upstream`), registered like cells. Proxies
have one core, the rest the other: load and stub, and in the time that these leave, etcd and version manager:
what those took of the load would be in the latencies. The rate is the highest of a few at
which the load, straight to the stub, is not late. In each run everybody has a turn: straight to the stub,
through each proxy. What a proxy adds is its quantile less the one straight to the stub in the same run. Then
etcd and the version manager are killed, and the runs come once more.
"""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from operator import attrgetter
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench import calling, catalog, openloop, processes, report
from bench.catalog import Load
from bench.fair.wares import await_known
from bench.openloop import Moments
from bench.peers import launch
from bench.peers.known import PEERS
from bench.rows import ROUTER
from bench.system import joining, records
from bench.system.stalls import Noted, causes, is_calm, noted, stalls
from bench.upstream import Upstream
from croupier.grpcio.manager import VersionManagerClient
from croupier.priority import take_short_slices
from croupier.stores.etcd import MAX_TRANSACTION, Etcd
from croupier.stores.etcd_connection import EtcdConfig
from croupier.telemetry.stalls import SCHEDULER
from croupierctl.stack import Stack
from protos.versions.v1 import versions_pb2 as pb
from version_manager.model.release import Version

DIRECT = "upstream"
UP, AWAY = "up", "away"
_CELLS, _HAND = 4, 4
_PAYLOAD = 64
_WARM_UP = 0.5
_PROBE_SECONDS = 1.0
# One that the machine keeps from its processor for a while says nothing of the load.
_PROBES = 3
# Milliseconds by which a load may be late at the 99th percentile.
_LATE = 0.1
_SEED = 53
_TOLD = 3
_SEATED_SECONDS = 20.0
_CONTROL_PLANE = ("version-manager", "etcd")


@dataclass(frozen=True, slots=True)
class Plan:
    """`rates` are tried from the first; `seconds` of a turn."""

    rates: Sequence[float]
    peers: Sequence[str]
    models: int
    runs: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Turn:
    """Of one in a run, in milliseconds; what its long latencies came of, by cause, and the longest ones.

    `calm_p99` is of requests that were due in no stall of the machine, as far as these are told apart: other
    proxies than ours say nothing of themselves, and all of their stalls pass for the machine's.
    """

    p50: float
    p99: float
    calm_p99: float
    p999: float
    late_p99: float
    requests: int
    failed: int
    causes: dict[str, int]
    longest: list[dict[str, Any]]
    ours: list[dict[str, Any]]


async def measure(plan: Plan, folder: Path) -> dict[str, Any]:
    installed = [name for name in plan.peers if PEERS[name].binary]
    if not installed:
        report.step("no proxy to compare with is installed (make peers)")
    cores = processes.cores()
    stack = Stack(folder)
    take_short_slices()
    with processes.pinned(cores.load), ExitStack() as cleaning:
        cleaning.callback(stack.stop)
        async with Upstream(_CELLS) as upstream:
            load = catalog.unary(_PAYLOAD, plan.models)
            metrics = await _started(stack, upstream, load, plan, cleaning)
            processes.confine(stack.process("router").pid, cores.proxy)
            for name in _CONTROL_PLANE:
                processes.step_back(stack.process(name).pid)
            proxies = {DIRECT: upstream.addresses[0]}
            for name in installed:
                peer = launch.start_peer(PEERS[name], folder, upstream.addresses, None, cores.proxy)
                cleaning.callback(peer.process.stop)
                proxies[name] = peer.address
            proxies[ROUTER] = stack.router
            turning = Turning(proxies, load, metrics, plan)
            await turning.choose_rate()
            runs = {UP: [await turning.run(number) for number in range(plan.runs)]}
            for name in _CONTROL_PLANE:
                await asyncio.to_thread(stack.process(name).kill)
            runs[AWAY] = [await turning.run(number) for number in range(plan.runs)]
    return told(turning.rate, proxies, runs)


async def _started(stack: Stack, upstream: Upstream, load: Load, plan: Plan, cleaning: ExitStack) -> str:
    """Everything but peers is there and the router knows all models. Gives where it says how it is."""
    await asyncio.to_thread(stack.start_managers)
    cleaning.enter_context(joining.joined(stack.manager, upstream.addresses))
    await _seat(stack.manager)
    await _publish(stack, plan.models)
    metrics = processes.free_address()
    options = ("--metrics-listen", metrics)
    await asyncio.to_thread(stack.start_router, "router", stack.snapshot, options=options)
    await await_known(stack.router, load)
    return metrics


async def _seat(address: str) -> None:
    async with VersionManagerClient(address) as manager:
        give_up = time.monotonic() + _SEATED_SECONDS
        while len(await manager.list_cells()) < _CELLS:
            if time.monotonic() > give_up:
                raise TimeoutError("the stubs have not registered")
            await asyncio.sleep(0.05)
        seats = [joining.seat_of(number) for number in range(_CELLS)]
        await manager.set_generation(pb.Generation(seed=1, hand_size=_HAND, seats=seats), expected_number=0)


async def _publish(stack: Stack, models: int) -> None:
    puts = []
    for number in range(models):
        tenant, name = catalog.tenant_of(number), catalog.name_of(number)
        puts += records.puts(
            tenant, name, Version(1, number.to_bytes(32, "big"), 20_000, "linear", time.time())
        )
    async with Etcd(EtcdConfig((stack.process("etcd").address,))) as etcd:
        for begin in range(0, len(puts), MAX_TRANSACTION // 2):
            await etcd.transact([], records.audited(puts[begin : begin + MAX_TRANSACTION // 2]))


class Turning:
    """`rate` of all turns."""

    def __init__(self, proxies: Mapping[str, str], load: Load, metrics: str, plan: Plan) -> None:
        self.rate = plan.rates[0]
        self._proxies, self._load, self._metrics, self._plan = proxies, load, metrics, plan

    async def choose_rate(self) -> None:
        """Each model has been asked for once, by every proxy, before anything counts."""
        for address in self._proxies.values():
            async with calling.callers(address) as callers:
                await openloop.closed_loop(callers, self._load, len(self._load.asks))
        for rate in self._plan.rates:
            self.rate = rate
            if await self.is_in_time():
                return

    async def is_in_time(self) -> bool:
        """Whether the load can send at this rate when requests are due."""
        for _ in range(_PROBES):
            moments = await self._ask(self._proxies[DIRECT], _PROBE_SECONDS, 0)
            late = _quantile(moments.lateness, 0.99)
            report.step(f"at {self.rate:,.0f}/s the load is {late:.3f} ms late (p99)")
            if late <= _LATE:
                return True
        return False

    async def run(self, number: int) -> dict[str, Turn]:
        names = list(self._proxies)
        turn = number % len(names)
        return {who: await self._turn(who, number) for who in (*names[turn:], *names[:turn])}

    async def _turn(self, who: str, number: int) -> Turn:
        behind = time.perf_counter() - time.time()
        moments = await self._ask(self._proxies[who], self._plan.seconds, number)
        said = await asyncio.to_thread(self._noted, behind) if who == ROUTER else []
        found = _turned(moments, said)
        report.step(
            f"{who}: {found.p50:.3f} / {found.p99:.3f} / {found.p999:.3f} ms at p50 / p99 / p99.9, "
            f"late {found.late_p99:.3f}, long: {found.causes or 'none'}"
        )
        return found

    async def _ask(self, address: str, seconds: float, number: int) -> Moments:
        async with calling.callers(address) as callers:
            return await openloop.open_loop_of_moments(
                callers,
                self._load,
                rate=self.rate,
                seconds=_WARM_UP + seconds,
                seed=_SEED + number,
            )

    def _noted(self, behind: float) -> list[Noted]:
        with urllib.request.urlopen(f"http://{self._metrics}/debug/stalls") as answer:
            views = json.load(answer)
        return noted([*views["ours"]["entries"], *views["scheduler"]["entries"]], behind)


def _turned(moments: Moments, said: Sequence[Noted]) -> Turn:
    is_counted = moments.due >= moments.due[0] + _WARM_UP
    counted = moments._replace(
        due=moments.due[is_counted],
        latencies=moments.latencies[is_counted],
        lateness=moments.lateness[is_counted],
    )
    right = counted.latencies[np.isfinite(counted.latencies)]
    found = stalls(counted, said)
    began = float(moments.due[0])
    ours = [one for one in said if one.kind != SCHEDULER and one.at >= began]
    return Turn(
        p50=_quantile(right, 0.5),
        p99=_quantile(right, 0.99),
        calm_p99=_quantile(counted.latencies[is_calm(counted, found) & np.isfinite(counted.latencies)], 0.99),
        p999=_quantile(right, 0.999),
        late_p99=_quantile(counted.lateness, 0.99),
        requests=len(counted.due),
        failed=int(np.isinf(counted.latencies).sum()),
        causes=causes(found),
        longest=[{"ms": one.seconds * 1e3, "cause": one.cause, "where": one.where} for one in found[:_TOLD]],
        ours=[{"ms": one.seconds * 1e3, "cause": one.kind, "where": one.where} for one in ours],
    )


def _quantile(seconds: Any, share: float) -> float:
    """In milliseconds."""
    return float(np.quantile(seconds, share)) * 1e3 if len(seconds) else float("nan")


def told(
    rate: float, proxies: Mapping[str, str], runs: Mapping[str, Sequence[Mapping[str, Turn]]]
) -> dict[str, Any]:
    """`added_p99_ms`: by run, of each proxy, and `calm` without the machine's stalls.

    `over_best` is ours over the best other's.
    """
    others = [who for who in proxies if who != DIRECT]
    added, calm = (
        {
            state: [{who: of(run[who]) - of(run[DIRECT]) for who in others} for run in found]
            for state, found in runs.items()
        }
        for of in (attrgetter("p99"), attrgetter("calm_p99"))
    )
    return {
        "rate": rate,
        "best_peer": _best(added),
        "added_p99_ms": added,
        "over_best_ms": _over_best(added),
        "calm_added_p99_ms": calm,
        "calm_over_best_ms": _over_best(calm),
        "ours_over_1ms": sum(len(run[ROUTER].ours) for found in runs.values() for run in found),
        "failed": sum(run[ROUTER].failed for found in runs.values() for run in found),
        "runs": {
            state: [{who: asdict(turn) for who, turn in run.items()} for run in found]
            for state, found in runs.items()
        },
    }


_Added = Mapping[str, Sequence[Mapping[str, float]]]


def _best(added: _Added) -> str | None:
    """The proxy that adds least, but for ours."""
    peers = [who for who in added[UP][0] if who != ROUTER]
    return min(peers, key=lambda who: median(run[who] for run in added[UP]), default=None)


def _over_best(added: _Added) -> dict[str, list[float]]:
    best = _best(added)
    return {
        state: [run[ROUTER] - run[best] for run in found] if best else [] for state, found in added.items()
    }
