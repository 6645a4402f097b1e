"""What was seen of each server: JSON for pages, a table for people; and ours beside each of the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from bench import report
from bench.serving.asking import WRONG
from bench.serving.peer import Peer

# A server that has used less of its core than this was not what kept the load from asking more.
_FULL = 0.9
# The cold latency that is told is that with so many models, or with as many as there were below that.
_COLD_MODELS = 1_000


@dataclass(frozen=True, slots=True)
class Most:
    """Right answers a second, CPU microseconds of all processes for each, and the load's part of its core."""

    per_s: float
    cpu_us: float
    load_share: float

    @property
    def is_least(self) -> bool:
        """Whether the server could have done more: it had time left."""
        return self.per_s * self.cpu_us / 1e6 < _FULL


@dataclass(frozen=True, slots=True)
class Latency:
    """Of right answers, from when they were due; `late_p99_ms` is how late the load itself was."""

    rate: float
    p50_ms: float
    p99_ms: float
    late_p99_ms: float


@dataclass(slots=True)
class Seen:
    """Of one server. `memory` and `cold` (the p99 of first answers, in ms) by number of models."""

    peer: Peer
    mosts: list[Most] = field(default_factory=list)
    half_load: Latency | None = None
    same_rate: Latency | None = None
    memory: dict[int, float] = field(default_factory=dict)
    cold: dict[int, float | None] = field(default_factory=dict)
    stopped: str = ""
    asked: int = 0
    answered: int = 0
    problems: Counter[str] = field(default_factory=Counter)

    def count(self, asked: int, answered: int) -> None:
        """Requests, and the right answers to them."""
        self.asked += asked
        self.answered += answered

    @property
    def most(self) -> Most | None:
        """The medians of all rounds."""
        if not self.mosts:
            return None
        names = ("per_s", "cpu_us", "load_share")
        return Most(*(float(median(getattr(each, name) for each in self.mosts)) for name in names))

    @property
    def wrong(self) -> int:
        return self.problems[WRONG]

    @property
    def failures(self) -> int:
        """What was not answered at all, or by an error."""
        return max(0, self.asked - self.answered - self.wrong)

    @property
    def cold_p99_ms(self) -> float | None:
        counts = [count for count in self.cold if count <= _COLD_MODELS] or list(self.cold)
        return self.cold[max(counts)] if counts else None

    @property
    def bytes_per_model(self) -> float | None:
        """What more models take, from the fewest to the most that were measured."""
        if len(self.memory) < 2:
            return None
        few, many = min(self.memory), max(self.memory)
        return max(0.0, self.memory[many] - self.memory[few]) * 2**20 / (many - few)


def result(all_seen: Sequence[Seen]) -> dict[str, Any]:
    """Rows, `ratios` of what each of the others takes to what ours takes, and of those in Python the best."""
    counts = sorted({count for seen in all_seen for count in seen.memory})
    ratios = {
        "predictions_per_cpu_s": _ratios(
            {seen.peer.name: seen.most.cpu_us if seen.most else None for seen in all_seen}, all_seen
        ),
        "bytes_per_model": _ratios({seen.peer.name: seen.bytes_per_model for seen in all_seen}, all_seen),
    }
    return {
        "rows": [_row(seen, counts) for seen in all_seen],
        "ratios": ratios,
        "best_in_python": {what: _best_in_python(found, all_seen) for what, found in ratios.items()},
    }


def _best_in_python(ratios: Mapping[str, float], all_seen: Sequence[Seen]) -> str | None:
    names = [seen.peer.name for seen in all_seen if seen.peer.kind == "python" and seen.peer.name in ratios]
    return min(names, key=ratios.__getitem__, default=None)


def _ratios(taken: Mapping[str, float | None], all_seen: Sequence[Seen]) -> dict[str, float]:
    """Empty without ours."""
    ours = next((taken[seen.peer.name] for seen in all_seen if seen.peer.kind == "ours"), None)
    others = [seen.peer.name for seen in all_seen if seen.peer.kind != "ours"]
    return {name: value / ours for name in others if ours and (value := taken[name]) is not None}


def _row(seen: Seen, counts: Sequence[int]) -> dict[str, Any]:
    most, peer = seen.most, seen.peer
    return {
        "peer": peer.name,
        "kind": peer.kind,
        "version": peer.version(),
        "settings": peer.settings,
        "predictions_per_s": most and most.per_s,
        "cpu_us": most and most.cpu_us,
        # Whether it had time left: it could do at least so many.
        "is_least": bool(most and most.is_least),
        "load_share": most and most.load_share,
        "half_load": seen.half_load and asdict(seen.half_load),
        "same_rate": seen.same_rate and asdict(seen.same_rate),
        "memory_mib": {str(count): seen.memory.get(count) for count in counts},
        "bytes_per_model": seen.bytes_per_model,
        "stopped": seen.stopped or None,
        "cold_p99_ms": seen.cold_p99_ms,
        "wrong": seen.wrong,
        "failures": seen.failures,
        "asked": seen.asked,
        "problems": dict(seen.problems.most_common(5)),
    }


def tell(all_seen: Sequence[Seen]) -> None:
    found = result(all_seen)
    counts = list(found["rows"][0]["memory_mib"]) if found["rows"] else []
    head = (
        *("server", "predictions/s", "CPU µs", "half: p50, p99 ms", "one rate: p50, p99 ms"),
        *(f"MiB with {int(count):,}" for count in counts),
        *("cold p99 ms", "wrong", "failures"),
    )
    report.grid("serving", head, [_line(row) for row in found["rows"]])
    for row in found["rows"]:
        report.step(f"{row['peer']}: {row['version']}")
        if row["stopped"]:
            report.step(f"{row['peer']} was stopped: {row['stopped']}")
    for what, ratios in found["ratios"].items():
        said = ", ".join(f"{name} {ratio:.1f}" for name, ratio in ratios.items())
        report.step(f"{what}, others' to ours: {said or 'not measured'}")
        if best := found["best_in_python"][what]:
            report.step(f"the best in Python is {best}: {ratios[best]:.1f}")


def _line(row: Mapping[str, Any]) -> list[str]:
    return [
        row["peer"],
        ("≥ " if row["is_least"] else "") + _said(row["predictions_per_s"], 0),
        _said(row["cpu_us"], 1),
        *(_quantiles(row[name]) for name in ("half_load", "same_rate")),
        *(_said(mib, 0) for mib in row["memory_mib"].values()),
        _said(row["cold_p99_ms"], 1),
        f"{row['wrong']:,}",
        f"{row['failures']:,}",
    ]


def _quantiles(latency: Mapping[str, float] | None) -> str:
    return f"{latency['p50_ms']:.2f}, {latency['p99_ms']:.2f}" if latency else ""


def _said(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"
