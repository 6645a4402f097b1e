"""One proxy under one load: closed loops with CPU time, open loops with latencies, answers looked at."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import calling, catalog, checking, h2load, openloop, report, streams
from bench.calling import SessionCaller
from bench.catalog import Load
from bench.h2load import STREAMS
from bench.openloop import Sample
from bench.peers.launch import Proxy
from bench.rows import Closed, Quantiles
from bench.upstream import Upstream
from croupier.settings import ClientTls

_SEED = 64
# Requests before those that are measured, as a share of them.
_WARM_UP = 10
# Different problems that are worth a line.
_TOLD = 5


@dataclass(frozen=True, slots=True)
class Measuring:
    """`folder` is for the bodies that h2load sends; `streams` requests of other connections are under way."""

    upstream: Upstream
    folder: Path
    streams: int = STREAMS

    async def warm(self, proxy: Proxy, load: Load) -> None:
        """Send each request of `load` once: what is looked up for the first time is not what is measured."""
        await self._drive(proxy, load, len(load.asks))

    async def closed(self, proxy: Proxy, load: Load, requests: int) -> Closed:
        """As many requests as the proxy can take, after a warm-up; CPU time is the proxy's."""
        await self._drive(proxy, load, max(1, requests // _WARM_UP))
        cpu, answered = proxy.cpu_seconds, self.upstream.answered
        loaded = await self._drive(proxy, load, requests)
        cpu, answered = proxy.cpu_seconds - cpu, self.upstream.answered - answered
        # A retry or a hedge asks twice, so there may well be more answers than requests.
        missing = loaded.requests - answered // load.items
        return Closed(loaded.requests, max(loaded.failures, missing), loaded.rps, cpu)

    async def open(self, proxy: Proxy, load: Load, rate: float, seconds: float) -> tuple[Quantiles, int, int]:
        """The latencies at `rate`; how many requests there were through the proxy, and how many failed."""
        via = await self._open(proxy.who, proxy.address, _tls(proxy), load, rate, seconds)
        return _quantiles(via), via.requests, via.failures

    async def direct(self, load: Load, rate: float, seconds: float) -> Quantiles:
        """The latencies with no proxy between."""
        return _quantiles(
            await self._open("the upstream", self.upstream.addresses[0], None, load, rate, seconds)
        )

    async def look(self, proxy: Proxy, load: Load, requests: int) -> int:
        """How many of so many answers are wrong."""
        wrong = await asyncio.to_thread(checking.wrong_answers, proxy, load, requests)
        _tell(proxy.who, wrong)
        return wrong.total()

    async def _drive(self, proxy: Proxy, load: Load, requests: int) -> h2load.Loaded:
        if len(load.asks) == 1 and h2load.find():
            return await asyncio.to_thread(self._h2load, proxy, load, requests)
        if load.path == catalog.PREDICT_STREAM.encode():
            async with calling.channels(proxy.address, tls=_tls(proxy)) as channels:
                return await streams.closed_loop(channels, load, requests)
        async with calling.callers(proxy.address, tls=_tls(proxy)) as callers:
            loaded = await openloop.closed_loop(callers, load, requests, streams=self.streams)
            _tell(proxy.who, _problems(callers))
            return loaded

    def _h2load(self, proxy: Proxy, load: Load, requests: int) -> h2load.Loaded:
        body = self.folder / "body"
        body.write_bytes(h2load.framed(load.message(0)))
        scheme = "http" if proxy.certificate is None else "https"
        headers = {
            "content-type": "application/grpc",
            "te": "trailers",
            "croupier-tenant": load.tenant(0).decode(),
        }
        return h2load.run(f"{scheme}://{proxy.address}{load.path.decode()}", body, headers, requests)

    async def _open(
        self, who: str, address: str, tls: ClientTls | None, load: Load, rate: float, seconds: float
    ) -> Sample:
        async with calling.callers(address, tls=tls) as callers:
            sample = await openloop.open_loop(callers, load, rate=rate, seconds=seconds, seed=_SEED)
            _tell(who, _problems(callers))
            return sample


def _problems(callers: Sequence[SessionCaller]) -> Counter[str]:
    return sum((caller.problems for caller in callers), Counter())


def _tell(who: str, problems: Counter[str]) -> None:
    for problem, count in problems.most_common(_TOLD):
        report.step(f"{who}: {count:,} × {problem}")


def _quantiles(sample: Sample) -> Quantiles:
    p50, p99, p999 = (sample.quantile_ms(share) for share in (0.5, 0.99, 0.999))
    return Quantiles(p50, p99, p999, sample.late_ms(0.99))


def _tls(proxy: Proxy) -> ClientTls | None:
    return None if proxy.certificate is None else ClientTls(proxy.certificate.certificate)
