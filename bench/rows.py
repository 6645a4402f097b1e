"""What the route bench reports: a row for each proxy and payload, and how we compare. Pure.

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
    """Of latencies, in milliseconds."""

    p50_ms: float
    p99_ms: float
    p999_ms: float


@dataclass(frozen=True, slots=True)
class Latency:
    """At `rate` requests a second, through the proxy and straight to the upstream.

    `late_p99_ms` is how late the sender was, which both include.
    """

    rate: float
    via: Quantiles
    direct: Quantiles
    late_p99_ms: float


@dataclass(frozen=True, slots=True)
class Row:
    """A proxy under one load. `items` above 1: requests with so many predictions, `variant` says which."""

    who: str
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
        plain: dict[str, Any] = _plain(found)
        return plain


@dataclass(frozen=True, slots=True)
class Bar:
    """A ratio that we hold ourselves to; `aim` is one that we only want to reach."""

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


def ratios(rows: Sequence[Row], payload: int, tls: bool) -> dict[str, float]:
    """Our requests per CPU-second to each peer's, at one payload; above 1 is better than the peer.

    At the smallest payload alone, `multi_item_to_haproxy` compares the predictions of requests with many,
    in the worst variant, to HAProxy's requests, and `stream_to_haproxy` those of PredictStream.
    """
    here = {row.who: row for row in rows if row.items == 1 and (row.payload, row.tls) == (payload, tls)}
    ours = here.pop(ROUTER, None)
    if ours is None:
        return {}
    found = {who: row.cpu_us_per_request / ours.cpu_us_per_request for who, row in here.items()}
    is_smallest = payload == min(row.payload for row in rows if row.items == 1)
    if is_smallest and "haproxy" in here:
        many = [row for row in rows if row.items > 1 and row.tls == tls]
        for name, streams in (("multi_item_to_haproxy", False), ("stream_to_haproxy", True)):
            rates = [row.predictions_per_cpu_s for row in many if (row.variant == STREAM) == streams]
            if rates:
                found[name] = min(rates) / here["haproxy"].predictions_per_cpu_s
    return {who: ratio for who, ratio in found.items() if not math.isnan(ratio)}


def verdicts(found: dict[str, float]) -> list[str]:
    """A line for each bar that could be looked at."""
    lines = []
    for bar in BARS:
        if bar.name in found:
            kind, holds = ("aim", "reached") if bar.aim else ("bar", "holds")
            word = holds if found[bar.name] >= bar.least else f"not {'reached' if bar.aim else 'met'}"
            lines.append(f"{bar.name}: {found[bar.name]:.2f}, {kind} {bar.least:g}: {word}")
    return lines


def cells(row: Row) -> list[str]:
    """The row for people; the order is that of HEAD."""
    added = row.as_json()
    what = f"{row.payload:,} B" + (", TLS" if row.tls else "")
    if row.items > 1:
        what += f", {row.items} items, {row.variant}"
    rotating = row.rotating_cpu_us_per_request
    return [
        row.who,
        what,
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


def _plain(value: Any) -> Any:
    """JSON has no word for what is not a number."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value
