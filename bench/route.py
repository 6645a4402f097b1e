"""The router beside Envoy, HAProxy and nginx: the same load, the same upstream, one core each in turn.

The proxy under measurement has a core of its own; load and upstream share the other one. The peers
only forward. Our router has its whole pipeline on: the tenant from the metadata, the release of one
of 10,000 models, the tenant's hand of four cells, the pick, deadline, limits and metrics; it runs from
its snapshot file, with no version manager to be reached.

1. **Closed loop**: h2load with 8 connections × 32 streams, one request over and over, as often as
   the proxy can. Requests a second and CPU time a request, a warm-up apart. Rounds go over the
   proxies in turn, so that what the machine does besides meets them all; the median counts.
2. **Rotating**: the same with our own load, over all models and tenants: one hot model is not the world.
3. **Open loop**, rotating, at half of what the proxy could do in 2: quantiles of the latency through
   the proxy less the same quantiles straight to the upstream at the same rate.
4. **Looking**: some hundred requests by grpcio, status and bytes compared.

Failures are those of all four; a request that h2load believes in but that never reached the
upstream is one.
"""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import uvloop

from bench import catalog, h2load, processes, report, rows
from bench.catalog import Load
from bench.certificate import self_signed
from bench.measuring import Measuring
from bench.peers import launch
from bench.peers.launch import PEERS, Proxy
from bench.rows import ONE_MODEL, ROUTER, SPREAD, STREAM, Row
from bench.upstream import Upstream

_LOOKED_AT = 400
# A large payload gets fewer requests: it is as many bytes all the same.
_LARGE, _FEWER = 16_384, 8
# A larger share of the machine in others' hands is worth a word.
_QUIET = 0.03


@dataclass(frozen=True, slots=True)
class Plan:
    """`requests` of one closed loop, `seconds` of one open loop; `tls`: everything with TLS as well."""

    peers: Sequence[str]
    payloads: Sequence[int]
    tls: bool
    requests: int
    rounds: int
    seconds: float

    def requests_of(self, payload: int) -> int:
        return self.requests if payload < _LARGE else max(1, self.requests // _FEWER)


def run(plan: Plan, json: Path | None) -> bool:
    """Measure, print and write; true unless a request through our router failed."""
    found = [name for name in plan.peers if PEERS[name].binary]
    for name in plan.peers:
        if name not in found:
            report.step(f"{name} is not installed and is left out ({PEERS[name].install})")
    if h2load.find() is None:
        report.step(f"h2load is not installed: our own closed loop is the load ({h2load.INSTALL})")
    cores, before = processes.cores(), processes.usage()
    with tempfile.TemporaryDirectory(prefix="croupier-route-") as folder, processes.pinned(cores.load):
        measured = uvloop.run(_play(replace(plan, peers=found), Path(folder), cores.proxy))
    others = processes.usage().others_share(before, os.cpu_count() or 1)
    report.grid("route", rows.HEAD, [rows.cells(row) for row in measured])
    first = rows.ratios(measured, plan.payloads[0], tls=False)
    for line in rows.verdicts(first):
        report.step(line)
    if others > _QUIET:
        report.step(f"others had {others:.0%} of the machine meanwhile: believe ratios more than latencies")
    result = {
        "load": "h2load" if h2load.find() else "closed loop of our own",
        "others_share_of_machine": others,
        "rows": [row.as_json() for row in measured],
        "ratios": first,
        "ratios_by_load": [
            {"payload": payload, "tls": tls, **rows.ratios(measured, payload, tls)}
            for tls in _modes(plan)
            for payload in plan.payloads
        ],
    }
    report.write_json(json, result, {name: PEERS[name].said_version() for name in found})
    return not any(row.failures for row in measured if row.who == ROUTER)


async def _play(plan: Plan, folder: Path, core: int) -> list[Row]:
    task = asyncio.current_task()
    assert task is not None
    # Proxies must not outlive a bench that is told to stop.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    measured: list[Row] = []
    async with Upstream(catalog.CELLS) as upstream:
        snapshot = folder / "catalog.snapshot"
        catalog.write_snapshot(snapshot, upstream.addresses)
        measuring = Measuring(upstream, folder)
        for tls in _modes(plan):
            async with AsyncExitStack() as stack:
                certificate = self_signed(folder) if tls else None
                proxies = [launch.start_router(folder, snapshot, certificate, core)]
                stack.callback(proxies[0].process.stop)
                for name in plan.peers:
                    # One port for a peer: fewer connections are its best case.
                    peer = launch.start_peer(PEERS[name], folder, upstream.addresses[0], certificate, core)
                    stack.callback(peer.process.stop)
                    proxies.append(peer)
                for payload in plan.payloads:
                    load, requests = catalog.unary(payload), plan.requests_of(payload)
                    measured += await _measure(plan, measuring, proxies, load, requests)
                measured += await _multi(plan, measuring, proxies[0])
    return measured


async def _measure(
    plan: Plan, measuring: Measuring, proxies: Sequence[Proxy], load: Load, requests: int, variant: str = ""
) -> list[Row]:
    """A row for each proxy, from all four ways of looking at it."""
    hot = await _closed(plan, measuring, proxies, load.first(), requests, variant)
    rotating = await _closed(plan, measuring, proxies, load, requests, variant)
    found = []
    for proxy, row, other in zip(proxies, hot, rotating, strict=True):
        row = replace(
            row.with_failures(other.requests, other.failures),
            rotating_rps=other.rps,
            rotating_cpu_us_per_request=other.cpu_us_per_request,
        )
        if other.rps:
            latency, sent, failed = await measuring.open(proxy, load, other.rps / 2, plan.seconds)
            row = replace(row.with_failures(sent, failed), latency=latency)
        found.append(row.with_failures(_LOOKED_AT, await measuring.look(proxy, load, _LOOKED_AT)))
    return found


async def _multi(plan: Plan, measuring: Measuring, router: Proxy) -> list[Row]:
    """Requests with 32 predictions, which only our router has."""
    requests = plan.requests_of(_LARGE)
    found = await _measure(plan, measuring, [router], catalog.one_model(), requests, ONE_MODEL)
    found += await _measure(plan, measuring, [router], catalog.spread(), requests, SPREAD)
    found += await _closed(plan, measuring, [router], catalog.spread_stream(), requests, STREAM)
    return found


async def _closed(
    plan: Plan,
    measuring: Measuring,
    proxies: Sequence[Proxy],
    load: Load,
    requests: int,
    variant: str = "",
) -> list[Row]:
    """A row for each proxy: rounds of a closed loop over them in turn."""
    payload, tls = len(load.message(0)), proxies[0].certificate is not None
    kind = "one request" if len(load.asks) == 1 else "rotating"
    report.step(f"{payload:,} B{', TLS' if tls else ''}{', ' if variant else ''}{variant}, {kind}")
    rounds = [
        [await measuring.closed(proxy, load, requests) for proxy in proxies] for _ in range(plan.rounds)
    ]
    return [
        Row.of(proxy.who, payload, tls, seen, items=load.items, variant=variant)
        for proxy, seen in zip(proxies, zip(*rounds, strict=True), strict=True)
    ]


def _modes(plan: Plan) -> tuple[bool, ...]:
    return (False, True) if plan.tls else (False,)
