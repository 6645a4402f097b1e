"""Results as one HTML file, which needs nothing else: no network, no library, no script to be read.

What a run is done for stands first, what it was done with last. Whatever comes from outside is text, and the
page's own policy lets a browser run no script but ours, and ask nobody for anything, should that ever fail.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from croupier_bench import words
from croupier_bench.report import charts, style, tables
from croupier_bench.report.drawing import figure, text
from croupier_bench.report.verdict import BAD, DOUBT, GOOD, Said, verdict, wrong
from croupier_bench.result import Result

_SIGNS = {GOOD: "✓", BAD: "✗", DOUBT: "!"}
# Headers may let whoever has them in; a report is passed on.
_HIDDEN = "(not shown)"


def html(results: Result | Sequence[Result]) -> str:
    """The page of a result, or of several beside each other. Raises ValueError if there is none."""
    results = [results] if isinstance(results, Result) else results
    if not results:
        raise ValueError("a report needs a result")
    names = ", ".join(dict.fromkeys(result.name for result in results))
    body = _several(results) if len(results) > 1 else _one(results[0])
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{style.policy()}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{text(names)}: load test</title>",
            f"<style>{style.style()}</style></head><body><main>",
            *body,
            f"</main><script>{style.SCRIPT}</script></body></html>",
            "",
        ]
    )


def _one(result: Result) -> Iterator[str]:
    yield from _head(result)
    yield _verdict(result)
    yield from _sections(result)


def _several(results: Sequence[Result]) -> Iterator[str]:
    yield f"<h1>{len(results)} load tests</h1>"
    yield _beside(results)
    yield from (figure(chart) for chart in charts.charts(results))
    for number, result in enumerate(results, start=1):
        yield f'<h2 id="run-{number}">{number}: {text(result.name)}</h2>'
        yield f'<p class="faint">{_when(result)}</p>'
        yield _verdict(result)
        yield from _sections(result, f"r{number}-", "h3")


def _head(result: Result) -> Iterator[str]:
    yield f"<h1>{text(result.name)}</h1>"
    yield f'<p class="faint">{_when(result)}</p>'


def _when(result: Result) -> str:
    about, rate = result.about, result.rate.planned
    told = [about.get("date"), about.get("commit") and f"commit {about['commit']}", f"seed {result.seed}"]
    if rate:
        told.append(f"{words.figure(rate)} requests a second planned")
    return text(", ".join(str(one) for one in told if one))


def _verdict(result: Result) -> str:
    said = verdict(result)
    lines = "".join(f'<li class="{one.tone}">{_sign(one)}{text(one.words, 500)}</li>' for one in said.more)
    head = text(said.head.words)
    return f'<section class="verdict {said.head.tone}"><strong>{head}</strong><ul>{lines}</ul></section>'


def _sign(said: Said) -> str:
    return f'<span class="sign" aria-hidden="true">{_SIGNS[said.tone]}</span>'


def _sections(result: Result, prefix: str = "", level: str = "h2") -> Iterator[str]:
    """Each under its head, without those of which there is nothing."""
    drawn = list(charts.over_time(result))
    if not prefix:
        drawn[2:2] = charts.together([result])
    elif result.steps:
        # All else that is drawn of several together stands above.
        drawn.append(charts.throughput([result]))
    shown = [figure(chart, prefix) for chart in drawn if chart.key != "lateness"]
    late = [figure(chart, prefix) for chart in drawn if chart.key == "lateness"]
    parts = (
        ("Figures", [tables.tiles(result), *tables.figures(result)]),
        ("Charts", [*shown, tables.steps(result)] if result.steps else shown),
        ("By class", [tables.classes(result)] if result.by_class else []),
        ("By cell", [tables.cells(result)] if result.by_cell else []),
        ("Events", [_events(result)] if result.events else []),
        ("The load itself", [*late, tables.workers(result)] if result.load.workers else late),
        ("What was run, and where", list(_about(result))),
    )
    for title, content in parts:
        if content:
            yield f"<{level}>{title}</{level}>"
            yield from content


def _about(result: Result) -> Iterator[str]:
    yield tables.about("Machine and versions", result.about)
    yield tables.about("Scenario", _without_headers(result.scenario))
    if result.series:
        yield f"<details><summary>Every second</summary>{tables.seconds(result)}</details>"


def _events(result: Result) -> str:
    events = sorted(result.events, key=lambda event: event.at)
    rows = [
        (
            f"{event.at:.1f} s",
            event.label,
            "done" if event.ok else "failed",
            words.printable(event.detail, 120),
        )
        for event in events[:50]
    ]
    note = f"and {len(events) - 50:,} more" if len(events) > 50 else ""
    return tables.table("What happened meanwhile", ("at", "what", "done?", "in detail"), rows, note)


def _beside(results: Sequence[Result]) -> str:
    rows = [
        (
            tables.Html(f'<a href="#run-{number}">{number}: {text(result.name, 60)}</a>'),
            verdict(result).head.words,
            *(words.figure(getattr(result.rate, name)) for name in ("planned", "answered")),
            *(words.figure(result.latency_ms.get(name)) for name in ("p50", "p99", "p999")),
            words.share(result.failed, result.answered + result.failed),
            f"{wrong(result):,}",
        )
        for number, result in enumerate(results, start=1)
    ]
    head = ("run", "verdict", "planned/s", "answered/s", "p50 ms", "p99 ms", "p99.9 ms", "failed", "wrong")
    return tables.table("Beside each other", head, rows)


def _without_headers(scenario: Mapping[str, Any]) -> Mapping[str, Any]:
    target = scenario.get("target") or {}
    if not target.get("metadata"):
        return scenario
    hidden = dict.fromkeys(target["metadata"], _HIDDEN)
    return {**scenario, "target": {**target, "metadata": hidden}}
