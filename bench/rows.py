"""What the route bench reports: a row for each proxy, number of cells and payload, and how we compare. Pure.

What is compared is work per CPU-second of the proxy: requests a second depend on what else the
machine had to do, CPU time a request hardly does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

ROUTER = "croupier"
ONE_MODEL, SPREAD, STREAM = "one model", "spread", "stream"


@dataclass(frozen=True, slots=True)
class Closed:
    """One round of a closed loop."""

    requests: int
    failures: int
    rps: float
    cpu_seconds: float

    @property
    def cpu_us_per_request(self) -> float:
        answered = self.requests - self.failures
        return self.cpu_seconds / answered * 1e6 if answered else math.nan


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Of latencies, in milliseconds. They include how late the sender was, `late_p99_ms`."""

    p50_ms: float
    p99_ms: float
    p999_ms: float
    late_p99_ms: float


@dataclass(frozen=True, slots=True)
class Latency:
    """At `rate` requests a second, through the proxy and straight to the upstream."""

    rate: float
    via: Quantiles
    direct: Quantiles


@dataclass(frozen=True, slots=True)
class Row:
    """A proxy before `cells` upstreams under one load; `version` as it says it itself.

    `items` above 1: requests with so many predictions, `variant` says which.
    """

    who: str
    version: str
    cells: int
    payload: int
    tls: bool
    requests: int
    failures: int
    rps: float
    cpu_us_per_request: float
    latency: Latency | None = None
    rotating_rps: float | None = None
    rotating_cpu_us_per_request: float | None = None
    items: int = 1
    variant: str = ""

    @classmethod
    def of(
        cls,
        who: str,
        version: str,
        cells: int,
        payload: int,
        tls: bool,
        rounds: Sequence[Closed],
        *,
        items: int = 1,
        variant: str = "",
    ) -> Row:
        """The medians of `rounds`, and all their requests and failures."""
        return cls(
            who,
            version,
            cells,
            payload,
            tls,
            requests=sum(one.requests for one in rounds),
            failures=sum(one.failures for one in rounds),
            rps=median(one.rps for one in rounds),
            cpu_us_per_request=median(one.cpu_us_per_request for one in rounds),
            items=items,
            variant=variant,
        )

    @property
    def predictions_per_cpu_s(self) -> float:
        """Of a request with one prediction: requests per CPU-second."""
        return self.items * 1e6 / self.cpu_us_per_request if self.cpu_us_per_request else math.nan

    def with_failures(self, requests: int, failures: int) -> Row:
        return replace(self, requests=self.requests + requests, failures=self.failures + failures)

    def as_json(self) -> dict[str, Any]:
        """No key for what was not measured, except the added latencies: null."""
        found = asdict(self)
        latency = found.pop("latency")
        for name in ("p50_ms", "p99_ms", "p999_ms"):
            found[f"added_{name}"] = latency["via"][name] - latency["direct"][name] if latency else None
        if latency:
            found["latency"] = latency
        if self.items > 1:
            found["predictions_per_cpu_s"] = self.predictions_per_cpu_s
        else:
            del found["items"], found["variant"]
        for name in ("rotating_rps", "rotating_cpu_us_per_request"):
            if found[name] is None:
                del found[name]
        return found


@dataclass(frozen=True, slots=True)
class Bar:
    """A ratio that we hold ourselves to, of all versions of a peer; `aim`: that we only want to reach."""

    name: str
    least: float
    aim: bool = False


BARS = (
    Bar("envoy", 2.5),
    Bar("nginx", 1.2),
    Bar("haproxy", 1.0, aim=True),
    Bar("multi_item_to_haproxy", 8.0),
    Bar("stream_to_haproxy", 8.0, aim=True),
)


@dataclass(frozen=True, slots=True)
class Ratios:
    """Our requests per CPU-second to each peer's under one load; above 1 is better than the peer.

    `hot`: the same request every time; `rotating`: another model and tenant each time. At the smallest
    payload alone, `multi_item_to_haproxy` in `hot` compares the predictions of requests with many, in the
    worst variant, to the requests of the better HAProxy, and `stream_to_haproxy` those of PredictStream.
    """

    cells: int
    payload: int
    tls: bool
    hot: dict[str, float]
    rotating: dict[str, float]


def ratios(rows: Sequence[Row]) -> list[Ratios]:
    """One for each load that our router had, in the order of `rows`."""
    single = [row for row in rows if row.items == 1]
    found = []
    for ours in single:
        if ours.who == ROUTER:
            load = (ours.cells, ours.payload, ours.tls)
            peers = [row for row in single if row.who != ROUTER and (row.cells, row.payload, row.tls) == load]
            hot = {row.who: row.cpu_us_per_request / ours.cpu_us_per_request for row in peers}
            if ours.payload == min(row.payload for row in single):
                hot |= _to_haproxy([row for row in rows if (row.cells, row.tls) == (ours.cells, ours.tls)])
            rotating = {
                row.who: row.rotating_cpu_us_per_request / ours.rotating_cpu_us_per_request
                for row in peers
                if row.rotating_cpu_us_per_request and ours.rotating_cpu_us_per_request
            }
            found.append(Ratios(*load, _numbers(hot), _numbers(rotating)))
    return found


def _to_haproxy(rows: Sequence[Row]) -> dict[str, float]:
    """Of rows with one number of cells, with TLS or without."""
    single = [row for row in rows if row.items == 1 and program(row.who) == "haproxy"]
    if not single:
        return {}
    smallest = min(row.payload for row in single)
    best = max(row.predictions_per_cpu_s for row in single if row.payload == smallest)
    found = {}
    for name, streams in (("multi_item_to_haproxy", False), ("stream_to_haproxy", True)):
        many = [row for row in rows if row.items > 1 and (row.variant == STREAM) == streams]
        if many:
            worst = min(row.predictions_per_cpu_s for row in many)
            found[name] = worst / best
    return found


def _numbers(found: dict[str, float]) -> dict[str, float]:
    return {who: ratio for who, ratio in found.items() if not math.isnan(ratio)}


def verdicts(found: dict[str, float]) -> list[str]:
    """A line for each bar that could be looked at."""
    lines = []
    for bar in BARS:
        of_versions = [ratio for who, ratio in found.items() if program(who) == bar.name]
        if of_versions:
            ratio = min(of_versions)
            kind, holds = ("aim", "reached") if bar.aim else ("bar", "holds")
            word = holds if ratio >= bar.least else f"not {'reached' if bar.aim else 'met'}"
            lines.append(f"{bar.name}: {ratio:.2f}, {kind} {bar.least:g}: {word}")
    return lines


def program(who: str) -> str:
    """What is there in two versions has one name, and another of its own behind it."""
    return who.partition("-")[0]


def told(row: Row) -> list[str]:
    """The row for people; the order is that of HEAD."""
    added = row.as_json()
    what = f"{row.payload:,} B" + (", TLS" if row.tls else "")
    if row.items > 1:
        what += f", {row.items} items, {row.variant}"
    rotating = row.rotating_cpu_us_per_request
    return [
        row.who,
        what,
        f"{row.cells}",
        f"{row.failures:,} of {row.requests:,}",
        f"{row.rps:,.0f}",
        f"{row.cpu_us_per_request:.2f}",
        "" if rotating is None else f"{rotating:.2f}",
        f"{row.predictions_per_cpu_s:,.0f}",
        *(_ms(added[name]) for name in ("added_p50_ms", "added_p99_ms", "added_p999_ms")),
    ]


HEAD = (
    "proxy",
    "load",
    "cells",
    "failures",
    "requests/s",
    "CPU µs",
    "rotating",
    "predictions/CPU-s",
    "p50 ms",
    "p99",
    "p99.9",
)


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:+.3f}"
