"""What the charts of a report show, as data: a page draws them, and so do pictures.

Each says in words what it shows, for whoever sees no picture. Failed seconds, and those in which nobody was
answered, are gaps in a line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

from croupier_bench import words
from croupier_bench.quantiles import Buckets
from croupier_bench.report import axes
from croupier_bench.report.axes import Axis
from croupier_bench.result import Result, Second

# Tones of lines; a theme has a colour for each.
FIRST, SECOND, THIRD, BAD, QUIET, FOURTH = "first", "second", "third", "bad", "quiet", "fourth"
_TONES = (FIRST, SECOND, THIRD, FOURTH, BAD, QUIET)
# What became of a service level at a rate.
HOLDS, NOT, VOID = "holds", "does not hold", "does not count"
# More points than this cannot be told apart on a screen.
_MOST_POINTS = 400
_MOST_MARKS = 20
_MOST_CLASSES = 4
_CURVE_POINTS = 160


@dataclass(frozen=True, slots=True)
class Line:
    """Points from left to right; None in `ys` is a gap. `are_dots`: each stands for itself."""

    name: str
    tone: str
    xs: Sequence[float]
    ys: Sequence[float | None]
    dashed: bool = False
    are_dots: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """What happened at `x`."""

    x: float
    words: str
    is_ok: bool = True


@dataclass(frozen=True, slots=True)
class Chart:
    """`key` is one word; `about` tells what is to be seen; `bounds` are lines across, with their names."""

    key: str
    title: str
    about: str
    x: Axis
    y: Axis
    lines: tuple[Line, ...]
    marks: tuple[Mark, ...] = ()
    bounds: tuple[tuple[float, str], ...] = ()
    note: str = ""


def charts(results: Sequence[Result]) -> Iterator[Chart]:
    """All of them, of one result or of several that are shown together."""
    if len(results) == 1:
        yield from over_time(results[0])
    yield from together(results)


def over_time(result: Result) -> Iterator[Chart]:
    """Of one run: none if it was over before a second was."""
    if result.series:
        yield latency(result)
        yield rate(result)
        yield lateness(result)


def together(results: Sequence[Result]) -> Iterator[Chart]:
    """Of one run, or of several beside each other."""
    if any(result.answered for result in results):
        yield percentiles(results)
    if len(results) > 1 or results[0].steps:
        yield throughput(results)


def latency(result: Result) -> Chart:
    rows, each = _thinned(result.series)
    figures = (("p50", FIRST, False), ("p99", SECOND, False), ("max", QUIET, True))
    lines = [_by_second(rows, name, name, tone, dashed) for name, tone, dashed in figures]
    told = {name: words.ms(result.latency_ms.get(name)) for name in ("p50", "p99", "max")}
    about = (
        f"Over the whole run p50 was {told['p50']}, p99 {told['p99']} and the longest {told['max']}."
        f" {_worst(result.series)}"
    )
    bounds = _bounds(result)
    return Chart(
        key="latency",
        title="Latency, by when a request was due",
        about=about,
        x=axes.seconds(_ends(result)),
        y=_milliseconds(lines, bounds),
        lines=tuple(lines),
        marks=_marks(result),
        bounds=bounds,
        note=_each(each, "the longest of them"),
    )


def rate(result: Result) -> Chart:
    rows, each = _thinned(result.series)
    figures = [("due", QUIET, True), ("answered", FIRST, False), ("failed", BAD, False)]
    if any(row.wrong for row in rows):
        figures.append(("wrong", SECOND, False))
    lines = [_by_second(rows, name, name, tone, dashed, a_second=True) for name, tone, dashed in figures]
    told = {name: words.figure(getattr(result.rate, name)) for name in ("planned", "sent", "answered")}
    about = (
        f"{told['planned']} a second were planned, {told['sent']} sent and {told['answered']} answered;"
        f" {words.several(result.failed, 'request')} failed."
    )
    return Chart(
        key="rate",
        title="Rate, by when a request was due",
        about=about,
        x=axes.seconds(_ends(result)),
        y=axes.linear("requests a second", max(_values(lines), default=1.0)),
        lines=tuple(lines),
        marks=_marks(result),
        note=_each(each, "the mean of them"),
    )


def lateness(result: Result) -> Chart:
    rows, each = _thinned(result.series)
    lines = (
        _by_second(rows, "late_p99", "late, p99", BAD),
        _by_second(rows, "p99", "latency, p99", QUIET, dashed=True),
    )
    told = {name: words.ms(result.lateness_ms.get(name)) for name in ("p99", "max")}
    about = (
        f"Requests were sent after they were due by {told['p99']} at p99, {told['max']} at most. Where this"
        " comes near the latency, the load measures itself."
    )
    return Chart(
        key="lateness",
        title="The load's own lateness",
        about=about,
        x=axes.seconds(_ends(result)),
        y=_milliseconds(lines),
        lines=lines,
        note=_each(each, "the longest of them"),
    )


def percentiles(results: Sequence[Result]) -> Chart:
    named = list(_histograms(results))
    buckets = Buckets.of([histogram for _, histogram in named])
    counts = buckets.counts.sum(axis=-1)
    x = axes.nines(float(counts.max(initial=1.0)))
    lines = [
        _curve(name, _TONES[number % len(_TONES)], number >= len(_TONES), buckets, number, x.most)
        for number, (name, _) in enumerate(named)
        if counts[number]
    ]
    about = "; ".join(
        f"{words.printable(name, 60)}: {_told(buckets, number)}"
        for number, (name, _) in enumerate(named)
        if counts[number]
    )
    bounds = _bounds(results[0]) if len(results) == 1 else ()
    return Chart(
        key="percentiles",
        title="Latency that a share of the answers took at most",
        about=about,
        x=x,
        y=_milliseconds(lines, bounds),
        lines=tuple(lines),
        bounds=bounds,
    )


def throughput(results: Sequence[Result]) -> Chart:
    """Each step of a search, or each result: its latency over the rate at which it was asked."""
    points = list(map(_of_run, results)) if len(results) > 1 else list(map(_of_step, results[0].steps))
    points.sort(key=lambda point: point.rate)
    xs = [point.rate for point in points]
    p99s = [point.latency.get("p99") for point in points]
    # A line through them is the curve of one scenario.
    are_dots = any(result.scenario.get("class") != results[0].scenario.get("class") for result in results)
    lines = [
        Line("p50", QUIET, xs, [point.latency.get("p50") for point in points], not are_dots, are_dots),
        Line("p99", FIRST, xs, p99s, are_dots=are_dots),
    ]
    for what, tone in ((HOLDS, THIRD), (NOT, BAD), (VOID, FOURTH)):
        ys = [p99 if point.what == what else None for point, p99 in zip(points, p99s, strict=True)]
        if any(y is not None for y in ys):
            lines.append(Line(f"p99, {what}", tone, xs, ys, are_dots=True))
    holding = [point.rate for point in points if point.what == HOLDS]
    best = f"The highest that held was {words.figure(max(holding))} a second." if holding else "None held."
    bounds = _bounds(results[0])
    return Chart(
        key="throughput",
        title="Latency against throughput",
        about=f"{words.several(len(points), 'rate')} tried. {best if bounds else ''}".strip(),
        x=axes.linear("requests a second", max(xs, default=1.0)),
        y=_milliseconds(lines, bounds),
        lines=tuple(lines),
        bounds=bounds,
    )


@dataclass(frozen=True, slots=True)
class _Point:
    """`what` a service level was at a rate: one of those below, or "" if nobody asked."""

    rate: float
    latency: Mapping[str, float | None]
    what: str


def _of_step(step: Mapping[str, Any]) -> _Point:
    return _Point(step["rate"], step.get("latency_ms") or {}, what_of_step(step))


def what_of_step(step: Mapping[str, Any]) -> str:
    """Whether the service level holds at a step of a search."""
    if not step.get("valid", True):
        return VOID
    return HOLDS if step.get("holds") else NOT


def _of_run(result: Result) -> _Point:
    asked = HOLDS if result.slo.holds else NOT
    what = VOID if not result.valid else asked if result.slo.asked else ""
    return _Point(result.rate.answered, result.latency_ms, what)


def _histograms(results: Sequence[Result]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Several runs, or one and its classes, those with most answers first."""
    if len(results) > 1:
        for number, result in enumerate(results, start=1):
            yield f"{number}: {result.name}", result.histogram
        return
    yield "all", results[0].histogram
    classes = sorted(results[0].by_class.items(), key=lambda found: -found[1].answered)
    if len(classes) > 1:
        for name, one in classes[:_MOST_CLASSES]:
            yield name, one.histogram


def _curve(name: str, tone: str, dashed: bool, buckets: Buckets, row: int, most: float) -> Line:
    places = np.linspace(0.0, most, _CURVE_POINTS)
    counts = buckets.counts[row]
    # Nobody was slower than the slowest of so many.
    known = places <= np.log10(max(counts.sum(), 1.0)) + 1e-9
    found = buckets.quantiles(counts, 1 - 10.0**-places)
    ys = [float(ms) if is_known else None for ms, is_known in zip(found, known, strict=True)]
    return Line(name, tone, places.tolist(), ys, dashed)


def _told(buckets: Buckets, row: int) -> str:
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
    found = buckets.quantiles(buckets.counts[row], list(shares.values()))
    return ", ".join(f"{words.quantile(name)} {words.ms(ms)}" for name, ms in zip(shares, found, strict=True))


def _thinned(rows: Sequence[Second]) -> tuple[list[Second], int]:
    """Rows of so many that each can be seen: several seconds together, and how many."""
    each = ceil(len(rows) / _MOST_POINTS)
    if each <= 1:
        return list(rows), 1
    return [_one_of(rows[at : at + each]) for at in range(0, len(rows), each)], each


def _one_of(rows: Sequence[Second]) -> Second:
    return Second(
        t=rows[0].t,
        seconds=sum(row.seconds for row in rows),
        due=sum(row.due for row in rows),
        answered=sum(row.answered for row in rows),
        failed=sum(row.failed for row in rows),
        wrong=sum(row.wrong for row in rows),
        p50=_longest(row.p50 for row in rows),
        p99=_longest(row.p99 for row in rows),
        max=_longest(row.max for row in rows),
        late_p99=_longest(row.late_p99 for row in rows),
    )


def _longest(found: Iterable[float | None]) -> float | None:
    return max((ms for ms in found if ms is not None), default=None)


def _by_second(
    rows: Sequence[Second], figure: str, name: str, tone: str, dashed: bool = False, *, a_second: bool = False
) -> Line:
    """A figure of each row, in the middle of its seconds."""
    xs = [row.t + row.seconds / 2 for row in rows]
    ys: list[float | None] = [getattr(row, figure) for row in rows]
    if a_second:
        ys = [None if y is None else y / (row.seconds or 1.0) for row, y in zip(rows, ys, strict=True)]
    return Line(name, tone, xs, ys, dashed)


def _each(seconds: int, which: str) -> str:
    return f"Each point is {seconds} seconds: {which}." if seconds > 1 else ""


def _ends(result: Result) -> float:
    last = result.series[-1]
    return last.t + last.seconds


def _milliseconds(lines: Sequence[Line], bounds: Sequence[tuple[float, str]] = ()) -> Axis:
    return axes.logarithmic("milliseconds", [*_values(lines), *(bound for bound, _ in bounds)])


def _values(lines: Sequence[Line]) -> list[float]:
    return [y for line in lines for y in line.ys if y is not None]


def _worst(rows: Sequence[Second]) -> str:
    known = [(row.p99, row.t) for row in rows if row.p99 is not None]
    if not known:
        return "Nobody was answered."
    p99, at = max(known)
    return f"The worst second was {at:g}, with a p99 of {words.ms(p99)}."


def _marks(result: Result) -> tuple[Mark, ...]:
    events = sorted(result.events, key=lambda event: event.at)[:_MOST_MARKS]
    return tuple(Mark(event.at, event.label or "event", event.ok) for event in events)


def _bounds(result: Result) -> tuple[tuple[float, str], ...]:
    return tuple(
        (asked, f"{words.quantile(name.removesuffix('_ms'))} asked: {words.ms(asked)}")
        for name, asked in result.slo.asked.items()
        if name.endswith("_ms")
    )
