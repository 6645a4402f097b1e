"""The tables of a report: as wide as its page, or moved within it. Long ones say what they leave out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from croupier_bench import words
from croupier_bench.report.charts import what_of_step
from croupier_bench.report.drawing import text
from croupier_bench.report.verdict import wrong
from croupier_bench.result import Result

_MOST_KINDS = 20
_MOST_NAMES = 50
_MOST_SECONDS = 600
_LATENCIES = ("mean", "p50", "p90", "p99", "p999", "max")


class Html(str):
    """What is HTML already."""

    __slots__ = ()


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[object]], note: str = "") -> str:
    """Rows below their head; the first of each names it. Columns of words begin at their left."""
    rows = list(rows)
    kinds = [_kind([row[at] for row in rows]) for at in range(len(head))]
    columns = "".join(
        f'<th scope="col"{kind}>{text(name)}</th>' for name, kind in zip(head, kinds, strict=True)
    )
    lines = "".join(f"<tr>{_row(row, kinds)}</tr>" for row in rows)
    below = f'<p class="note">{text(note)}</p>' if note else ""
    inner = f"<caption>{text(caption)}</caption><thead><tr>{columns}</tr></thead><tbody>{lines}</tbody>"
    return _region(caption, inner) + below


def _row(row: Sequence[object], kinds: Sequence[str]) -> str:
    first, *others = map(_cell, row)
    cells = (f"<td{kind}>{cell}</td>" for cell, kind in zip(others, kinds[1:], strict=True))
    return f'<th scope="row">{first}</th>' + "".join(cells)


def _kind(column: Sequence[object]) -> str:
    """Words may be broken, figures not."""
    told = [str(value) for value in column if value != words.NOTHING]
    return ' class="words"' if any(value and not value[0].isdigit() for value in told) else ""


def _cell(value: object) -> str:
    return value if isinstance(value, Html) else text(value)


def _region(caption: str, inner: str) -> str:
    """A table in a box, in which it can be moved by keys too."""
    region = f'role="region" tabindex="0" aria-label="{text(caption)}"'
    return f'<div class="scroll" {region}><table>{inner}</table></div>'


def tiles(result: Result) -> str:
    """The figures that a run is done for."""
    rate, latency = result.rate, result.latency_ms
    failures, wrongs, checked = result.failed, wrong(result), result.answered - result.unverified
    found = [
        ("answered", f"{words.figure(rate.answered)}/s", False),
        ("p50", words.ms(latency.get("p50")), False),
        ("p99", words.ms(latency.get("p99")), False),
        ("p99.9", words.ms(latency.get("p999")), False),
        ("longest", words.ms(latency.get("max")), False),
        ("failed", words.share(failures, result.answered + failures), failures > 0),
        ("wrong answers", f"{wrongs:,}" if wrongs or checked else "not looked at", wrongs > 0),
        ("late, p99", words.ms(result.lateness_ms.get("p99")), not result.valid),
    ]
    return '<dl class="tiles">' + "".join(map(_tile, found)) + "</dl>"


def _tile(found: tuple[str, str, bool]) -> str:
    name, value, is_bad = found
    kind = ' class="bad"' if is_bad else ""
    return f"<div><dt>{name}</dt><dd{kind}>{text(value)}</dd></div>"


def figures(result: Result) -> Iterator[str]:
    """All figures of a run."""
    rate = result.rate
    counts = (
        ("planned", result.planned, rate.planned),
        ("sent", result.sent, rate.sent),
        ("answered", result.answered, rate.answered),
    )
    yield table(
        "Requests",
        ("", "requests", "a second"),
        [(name, f"{count:,}", words.figure(each)) for name, count, each in counts],
    )
    yield table("Latencies in milliseconds", ("", *map(words.quantile, _LATENCIES)), list(_latencies(result)))
    if result.errors:
        yield kinds("Failed requests", result.errors, result.answered + result.failed)
    if wrong(result):
        yield kinds("Wrong answers", result.wrong, result.answered - result.unverified)


def _latencies(result: Result) -> Iterator[Sequence[object]]:
    named = (
        ("from when due", result.latency_ms),
        ("from when sent", result.since_sent_ms),
        ("of failed ones, from when due", result.failed_latency_ms),
        ("sent after due", result.lateness_ms),
    )
    for name, found in named:
        if any(found.get(figure) is not None for figure in _LATENCIES):
            yield name, *(words.figure(found.get(figure)) for figure in _LATENCIES)


def kinds(caption: str, counts: Mapping[str, int], of: int) -> str:
    """How often what was, the commonest first."""
    found = sorted(counts.items(), key=lambda one: -one[1])
    rows = [(kind, f"{count:,}", words.share(count, of)) for kind, count in found[:_MOST_KINDS] if count]
    left = found[_MOST_KINDS:]
    note = f"{len(left):,} more kinds, {sum(count for _, count in left):,} in all" if left else ""
    return table(caption, ("what", "requests", "share"), rows, note)


def classes(result: Result) -> str:
    """Per class of requests."""
    found = sorted(result.by_class.items(), key=lambda one: -one[1].sent)
    rows = [
        (
            name,
            f"{one.sent:,}",
            f"{one.answered:,}",
            words.share(sum(one.errors.values()), one.sent),
            f"{sum(one.wrong.values()):,}",
            *(words.figure(one.latency_ms.get(figure)) for figure in ("p50", "p99", "p999", "max")),
        )
        for name, one in found[:_MOST_NAMES]
    ]
    head = ("class", "sent", "answered", "failed", "wrong", "p50 ms", "p99 ms", "p99.9 ms", "max ms")
    return table("Classes of requests", head, rows, _left(len(found), "class", "classes"))


def cells(result: Result) -> str:
    """Per cell, of the requests that asked, those that answered most first; a bar for how much of that."""
    found = sorted(result.by_cell.items(), key=lambda one: -one[1]["answered"])
    answered = [one["answered"] for _, one in found]
    total, most = sum(answered), max(answered)
    rows = [
        (
            Html(f"{text(name)}{_bar(one['answered'], most)}"),
            f"{one['answered']:,}",
            words.share(one["answered"], total),
            words.share(one.get("resident_hits", 0), one["answered"]),
        )
        for name, one in found[:_MOST_NAMES]
    ]
    head = ("cell", "answered", "of all", "resident")
    return table("Cells", head, rows, _left(len(found), "cell", "cells"))


def workers(result: Result) -> str:
    """The processes of the load, and how busy each was."""
    rows = [
        (number, f"{one.sent:,}", words.share(one.cpu_share, 1.0), words.ms(one.late_p99_ms))
        for number, one in enumerate(result.load.workers[:_MOST_NAMES], start=1)
    ]
    return table("Processes of the load", ("process", "sent", "of a processor", "late, p99"), rows)


def seconds(result: Result) -> str:
    """The series itself, for whoever sees no charts."""
    rows = result.series
    told = [
        (
            f"{row.t:g}",
            *(f"{getattr(row, name):,}" for name in ("due", "sent", "answered", "failed", "wrong")),
            *(words.figure(getattr(row, name)) for name in ("p50", "p99", "max", "late_p99")),
        )
        for row in rows[:_MOST_SECONDS]
    ]
    head = (
        "second",
        "due",
        "sent",
        "answered",
        "failed",
        "wrong",
        "p50 ms",
        "p99 ms",
        "max ms",
        "late p99 ms",
    )
    note = f"and {len(rows) - _MOST_SECONDS:,} more, in the JSON" if len(rows) > _MOST_SECONDS else ""
    return table("Second by second", head, told, note)


def steps(result: Result) -> str:
    """What a search tried."""
    rows = [
        (
            words.figure(step["rate"]),
            what_of_step(step),
            *(words.figure((step.get("latency_ms") or {}).get(figure)) for figure in ("p50", "p99", "p999")),
            f"{step.get('runs', 1)}{'' if step.get('sure', True) else ', not sure'}",
        )
        for step in result.steps[:_MOST_NAMES]
    ]
    head = ("a second", "service level", "p50 ms", "p99 ms", "p99.9 ms", "runs")
    return table("Rates that were tried", head, rows, _left(len(result.steps), "rate", "rates"))


def facts(value: object, name: str = "") -> Iterator[tuple[str, str]]:
    """What is nested, as names with dots and values."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from facts(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple) and any(isinstance(one, Mapping) for one in value):
        for number, inner in enumerate(value, start=1):
            yield from facts(inner, f"{name} {number}")
    elif value not in (None, {}, [], ()):
        yield name, ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def about(caption: str, value: object) -> str:
    """What a run was and where, a fact a line."""
    rows = "".join(
        f'<tr><th scope="row">{text(name)}</th><td class="words">{text(told, 400)}</td></tr>'
        for name, told in facts(value)
    )
    return _region(caption, f"<caption>{text(caption)}</caption><tbody>{rows}</tbody>")


def _bar(part: float, most: float) -> str:
    return f'<span class="bar" style="width:{100 * part / max(most, 1):.1f}%"></span>'


def _left(count: int, one: str, several: str) -> str:
    left = count - _MOST_NAMES
    return f"and {left:,} more {one if left == 1 else several}" if left > 0 else ""
