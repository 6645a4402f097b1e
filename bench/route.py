"""The router beside Envoy, HAProxy and nginx: the same load, the same upstream, one core each in turn.

The proxy under measurement has a core of its own; load and upstream share the other one. The peers
only forward, over as many upstreams as we have cells. Our router has its whole pipeline on: the tenant
from the metadata, the release of one of 10,000 models, the tenant's hand of four cells, the pick,
deadline, limits and metrics; it runs from its snapshot file, with no version manager to be reached.

The cells are ports of one upstream. With more of them each read and each write carries fewer requests, which
costs every proxy; how fast that grows is seen with `--cells 4,16,64,256`, at the smallest payload alone.

1. **Closed loop**: h2load with 8 connections × 32 streams, one request over and over, as often as
   the proxy can. Requests a second and CPU time a request, a warm-up apart. Rounds go over the
   proxies in turn, so that what the machine does besides meets them all; the median counts.
2. **Rotating**: the same with our own load, over all models and tenants: one hot model is not the world.
3. **Open loop**, rotating, at one rate for all, half of what the slowest could do in 2: quantiles of the
   latency through the proxy less the same quantiles straight to the upstream.
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
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import uvloop

from bench import catalog, h2load, processes, report, rows
from bench.catalog import Load
from bench.certificate import self_signed
from bench.measuring import Measuring
from bench.peers import launch
from bench.peers.known import PEERS
from bench.peers.launch import Proxy
from bench.rows import ONE_MODEL, ROUTER, SPREAD, STREAM, Latency, Row
from bench.upstream import Upstream

_LOOKED_AT = 400
# A large payload gets fewer requests: it is as many bytes all the same.
_LARGE, _FEWER = 16_384, 8
# A larger share of the machine in others' hands is worth a word.
_QUIET = 0.03


@dataclass(frozen=True, slots=True)
class Plan:
    """`requests` of one closed loop, `seconds` of one open loop; `tls`: everything with TLS as well.

    With `limits` our router keeps every tenant to all limits that there are, of which none is reached.

    Everything is measured with the first number of `cells`, and the first payload alone with the others.
    """

    peers: Sequence[str]
    cells: Sequence[int]
    payloads: Sequence[int]
    tls: bool
    requests: int
    rounds: int
    seconds: float
    limits: bool = False

    def requests_of(self, payload: int) -> int:
        return self.requests if payload < _LARGE else max(1, self.requests // _FEWER)


def run(plan: Plan, json: Path | None) -> bool:
    """Measure, print and write; true unless a request through our router failed."""
    installed = [name for name in plan.peers if PEERS[name].binary]
    for name in plan.peers:
        if name not in installed:
            report.step(f"{name} is not installed and is left out (make peers)")
    if h2load.find() is None:
        report.step(f"h2load is not installed: our own closed loop is the load ({h2load.INSTALL})")
    cores, before = processes.cores(), processes.usage()
    with (
        tempfile.TemporaryDirectory(prefix="croupier-route-") as folder,
        processes.pinned(cores.load),
        processes.many_files(),
    ):
        measured = uvloop.run(_play(replace(plan, peers=installed), Path(folder), cores.proxy))
    others = processes.usage().others_share(before, os.cpu_count() or 1)
    report.grid("route", rows.HEAD, [rows.told(row) for row in measured])
    versions = {row.who: row.version for row in measured}
    for who, said in versions.items():
        report.step(f"{who}: {said}")
    found = rows.ratios(measured)
    for line in rows.verdicts(found[0].hot):
        report.step(line)
    if others > _QUIET:
        report.step(f"others had {others:.0%} of the machine meanwhile: believe ratios more than latencies")
    result = {
        "load": "h2load" if h2load.find() else "closed loop of our own",
        "others_share_of_machine": others,
        "rows": [row.as_json() for row in measured],
        "ratios": [asdict(ratios) for ratios in found],
    }
    report.write_json(json, result, {who: said for who, said in versions.items() if who != ROUTER})
    return not any(row.failures for row in measured if row.who == ROUTER)


async def _play(plan: Plan, folder: Path, core: int) -> list[Row]:
    task = asyncio.current_task()
    assert task is not None
    # Proxies must not outlive a bench that is told to stop.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    measured: list[Row] = []
    for cells in plan.cells:
        home = folder / f"{cells}-cells"
        home.mkdir()
        async with Upstream(cells) as upstream:
            catalog.write_snapshot(home / "catalog.snapshot", upstream.addresses, limits=plan.limits)
            for tls in (False, True) if plan.tls else (False,):
                measured += await _before(plan, upstream, home, tls, core)
    return measured


async def _before(plan: Plan, upstream: Upstream, folder: Path, tls: bool, core: int) -> list[Row]:
    """All rows with the cells of `upstream`; `folder` has the router's snapshot."""
    measuring, upstreams = Measuring(upstream, folder), upstream.addresses
    is_first = len(upstreams) == plan.cells[0]
    measured: list[Row] = []
    with ExitStack() as stack:
        certificate = self_signed(folder) if tls else None
        snapshot = folder / "catalog.snapshot"
        proxies = [launch.start_router(folder, snapshot, len(upstreams), certificate, core)]
        stack.callback(proxies[0].process.stop)
        for name in plan.peers:
            peer = launch.start_peer(PEERS[name], folder, upstreams, certificate, core)
            stack.callback(peer.process.stop)
            proxies.append(peer)
        for payload in plan.payloads if is_first else plan.payloads[:1]:
            load, requests = catalog.unary(payload), plan.requests_of(payload)
            measured += await _measure(plan, measuring, proxies, load, requests)
        if is_first:
            measured += await _multi(plan, measuring, proxies[0])
    return measured


async def _measure(
    plan: Plan, measuring: Measuring, proxies: Sequence[Proxy], load: Load, requests: int, variant: str = ""
) -> list[Row]:
    """A row for each proxy, from all four ways of looking at it."""
    hot = await _closed(plan, measuring, proxies, load.first(), requests, variant)
    rotating = await _closed(plan, measuring, proxies, load, requests, variant)
    rate = min((row.rps for row in rotating if row.rps), default=0.0) / 2
    direct = await measuring.direct(load, rate, plan.seconds) if rate else None
    found = []
    for proxy, row, other in zip(proxies, hot, rotating, strict=True):
        row = replace(
            row.with_failures(other.requests, other.failures),
            rotating_rps=other.rps,
            rotating_cpu_us_per_request=other.cpu_us_per_request,
        )
        if direct and other.rps:
            via, sent, failed = await measuring.open(proxy, load, rate, plan.seconds)
            row = replace(row.with_failures(sent, failed), latency=Latency(rate, via, direct))
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
    cells = proxies[0].cells
    also = (", TLS" if tls else "") + (f", {variant}" if variant else "")
    report.step(f"{cells} cells, {payload:,} B{also}, {kind}")
    if 1 < len(load.asks) <= requests:
        for proxy in proxies:
            await measuring.warm(proxy, load)
    rounds = [
        [await measuring.closed(proxy, load, requests) for proxy in proxies] for _ in range(plan.rounds)
    ]
    return [
        Row.of(proxy.who, proxy.version, cells, payload, tls, seen, items=load.items, variant=variant)
        for proxy, seen in zip(proxies, zip(*rounds, strict=True), strict=True)
    ]
