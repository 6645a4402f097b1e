"""All that a run saw, and its JSON: what reports are made of, and what two runs are compared by.

The names of fields are the names in JSON. A figure that is not known, as a quantile of nothing, is null.
Milliseconds everywhere, but in histograms, whose unit stands with them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from croupier_bench.histogram import Histogram

KIND, FORMAT = "load", 1

# By name: mean, p50, p90, p99, p999, max.
Figures = dict[str, float | None]
Pairs = list[list[int]]

_SHARES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}


class UnreadableResult(ValueError):
    """Not a result of ours, or of a format that we do not know. The caller's."""


@dataclass(frozen=True, slots=True)
class Happened:
    """An event of the scenario: whether it went well, and what there is to say about it."""

    at: float
    label: str
    ok: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Second:
    """What came of the requests that were due in one second; `t` is where it begins, the warm-up left out."""

    t: float
    due: int = 0
    sent: int = 0
    answered: int = 0
    failed: int = 0
    wrong: int = 0
    p50: float | None = None
    p99: float | None = None
    max: float | None = None
    late_p99: float | None = None
    seconds: float = 1.0
    # Of the answered ones; empty in very long runs.
    histogram: Pairs = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class OfClass:
    """What came of the requests of one class."""

    sent: int = 0
    answered: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    wrong: dict[str, int] = field(default_factory=dict)
    latency_ms: Figures = field(default_factory=dict)
    histogram: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OfWorker:
    """How a process of the load fared. `cpu_share` leaves out what it spent on waiting awake."""

    cpu_share: float
    late_p99_ms: float | None
    sent: int
    cpu_us_per_request: float | None = None


@dataclass(frozen=True, slots=True)
class Loads:
    workers: list[OfWorker] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Rates:
    """Requests a second."""

    planned: float
    sent: float
    answered: float


@dataclass(frozen=True, slots=True)
class Judged:
    """A service level: `asked` and `seen` by name, as p99_ms and errors, which is a share."""

    asked: dict[str, float] = field(default_factory=dict)
    holds: bool = True
    seen: dict[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """`latency_ms` counts from when a request was due, `since_sent_ms` from when it was sent, of answered
    requests; `failed_latency_ms` is that of the others; `lateness_ms` is the load's own fault.

    `answered` are all with status OK, the `wrong` ones among them; `unverified` were not looked at.
    """

    name: str
    seed: int
    about: dict[str, Any]
    scenario: dict[str, Any]
    valid: bool
    why_invalid: list[str]
    stopped: str | None
    planned: int
    sent: int
    answered: int
    errors: dict[str, int]
    wrong: dict[str, int]
    unverified: int
    rate: Rates
    latency_ms: Figures
    failed_latency_ms: Figures
    lateness_ms: Figures
    since_sent_ms: Figures
    histogram: dict[str, Any]
    by_class: dict[str, OfClass] = field(default_factory=dict)
    series: list[Second] = field(default_factory=list)
    by_cell: dict[str, dict[str, int]] = field(default_factory=dict)
    events: list[Happened] = field(default_factory=list)
    slo: Judged = field(default_factory=Judged)
    load: Loads = field(default_factory=Loads)
    steps: list[dict[str, Any]] = field(default_factory=list)

    @property
    def failed(self) -> int:
        return sum(self.errors.values())

    def to_json(self) -> dict[str, Any]:
        return {"kind": KIND, "format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Result:
        """Of what `to_json` made; keys that are not known are left out.

        Raises:
            UnreadableResult: it is none of ours.
        """
        if data.get("kind") != KIND or data.get("format") != FORMAT:
            raise UnreadableResult(f"no result of kind {KIND} and format {FORMAT}")
        try:
            return cls(**{name: _PARTS.get(name, _same)(value) for name, value in _known(cls, data).items()})
        except (TypeError, AttributeError, KeyError) as error:
            raise UnreadableResult(f"a result that is not whole: {error}") from error

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(self.to_json(), ensure_ascii=False, allow_nan=False) + "\n")

    @classmethod
    def read(cls, path: Path) -> Result:
        """Raises UnreadableResult, and OSError for a file that cannot be read."""
        try:
            data = json.loads(path.read_text())
        except ValueError as error:
            raise UnreadableResult(f"{path} is no JSON: {error}") from error
        if not isinstance(data, dict):
            raise UnreadableResult(f"{path} holds no result")
        return cls.from_json(data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How a run goes, for whoever watches it. `rows` are those of the last seconds, the oldest first."""

    seconds: float
    planned_seconds: float
    rows: Sequence[Second]
    due: int
    sent: int
    answered: int
    failed: int
    wrong: int
    latency_ms: Figures
    errors: dict[str, int]
    by_class: dict[str, OfClass]
    by_cell: dict[str, dict[str, int]]
    events: Sequence[Happened]
    late_p99_ms: float | None
    cpu_share: float | None


def ms(seconds: float) -> float | None:
    """Milliseconds as JSON has them: null for what is no number."""
    return round(seconds * 1e3, 6) if math.isfinite(seconds) else None


def figures(histogram: Histogram, names: Sequence[str] = ("mean", *_SHARES, "max")) -> Figures:
    """Those figures of a histogram that are asked for, in milliseconds."""
    found: Figures = {}
    for name in names:
        if name in _SHARES:
            found[name] = ms(histogram.quantile(_SHARES[name]))
        elif name == "mean":
            found[name] = ms(histogram.mean())
        else:
            found[name] = ms(histogram.max) if histogram.count else None
    return found


def _known(cls: type[Any], data: Mapping[str, Any]) -> dict[str, Any]:
    names = {one.name for one in fields(cls)}
    return {name: value for name, value in data.items() if name in names}


def _same(value: Any) -> Any:
    return value


def _all_of(cls: type[Any]) -> Any:
    return lambda values: [cls(**_known(cls, value)) for value in values]


def _one_of(cls: type[Any]) -> Any:
    return lambda value: cls(**_known(cls, value))


_PARTS: dict[str, Any] = {
    "rate": _one_of(Rates),
    "slo": _one_of(Judged),
    "series": _all_of(Second),
    "events": _all_of(Happened),
    "by_class": lambda found: {name: OfClass(**_known(OfClass, one)) for name, one in found.items()},
    "load": lambda value: Loads(_all_of(OfWorker)(value.get("workers", ()))),
}
