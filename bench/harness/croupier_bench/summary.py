"""What a run saw, in a few lines for people; the report and the JSON have all of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from croupier_bench.result import Result
from croupier_bench.words import figure, ms, printable, quantile, several, share

# Reasons of errors, kinds of wrong answers and events that are listed; more are in the JSON.
_FEW = 8
_INDENT = "  "


def lines(result: Result) -> Iterator[str]:
    """The summary of one run, line by line."""
    seconds = sum(row.seconds for row in result.series)
    yield (
        f"{printable(result.name)}: {result.planned:,} requests planned in {figure(seconds)} s, "
        f"{result.answered:,} answered ({figure(result.rate.answered)}/s), {result.failed:,} failed"
    )
    if result.latency_ms.get("mean") is not None:
        yield f"{_INDENT}latency   {_figures(result.latency_ms)}"
    if result.lateness_ms.get("p99") is not None:
        yield f"{_INDENT}the load  sent {ms(result.lateness_ms['p99'])} late at p99{_busiest(result)}"
    yield from _counted("failed", result.errors, result.sent)
    yield from _counted("WRONG", result.wrong, result.answered)
    looked_at = result.answered - result.unverified
    if not result.wrong and looked_at > 0 and result.unverified < result.answered:
        yield f"{_INDENT}verified  {several(looked_at, 'answer')}, all right"
    for event in result.events[:_FEW]:
        state = "ok" if event.ok else "FAILED"
        said = f"{printable(event.label)}: {state}. {printable(event.detail)}"
        yield f"{_INDENT}{event.at:8.1f} s  {said}".rstrip()
    if len(result.events) > _FEW:
        yield f"{_INDENT}and {several(len(result.events) - _FEW, 'event')} more"
    yield from _level(result)
    if result.stopped:
        yield f"stopped early: {printable(result.stopped)}"
    for why in result.why_invalid:
        yield f"INVALID: {printable(why)}"


def step(found: Mapping[str, Any]) -> str:
    """One step of a search, as its JSON has it."""
    verdict = "holds" if found["holds"] else "does not hold"
    if not found["valid"]:
        verdict = "tells nothing: " + "; ".join(printable(why) for why in found["why_invalid"])
    elif not found["sure"]:
        verdict += ", by the bare figures"
    over = ", ".join(f"{limit(name)} {n:,} of {of:,} over" for name, (n, of) in found["over"].items())
    runs = several(found["runs"], "run")
    return f"{figure(found['rate'])}/s: {verdict} ({over or 'stopped early'}; {runs})"


def limit(name: str) -> str:
    """p999_ms as people write it."""
    return quantile(name.removesuffix("_ms"))


def amount(name: str, value: float | None) -> str:
    """A limit, or what was seen of it, with its unit."""
    if value is None:
        return "nothing"
    return share(value, 1) if name == "errors" else ms(value)


def _figures(found: Mapping[str, float | None]) -> str:
    return "   ".join(f"{quantile(name)} {ms(value)}" for name, value in found.items())


def _busiest(result: Result) -> str:
    busiest = max((one.cpu_share for one in result.load.workers), default=None)
    return "" if busiest is None else f", its busiest process at {busiest:.0%} of a core"


def _counted(word: str, found: Mapping[str, int], of: int) -> Iterator[str]:
    by_count = sorted(found.items(), key=lambda one: -one[1])
    for reason, count in by_count[:_FEW]:
        yield f"{_INDENT}{word:<9} {count:,} ({share(count, of)})  {printable(reason)}"
    if len(by_count) > _FEW:
        more = sum(count for _, count in by_count[_FEW:])
        yield f"{_INDENT}{word:<9} {several(more, 'request')} for other reasons"


def _level(result: Result) -> Iterator[str]:
    asked = result.slo.asked
    if not asked:
        return
    parts = [
        f"{limit(name)} {amount(name, most)} (seen {amount(name, result.slo.seen.get(name))})"
        for name, most in asked.items()
    ]
    yield f"service level {'holds' if result.slo.holds else 'DOES NOT HOLD'}: {', '.join(parts)}"


def found(result: Result) -> str:
    """What a search ended with."""
    if not result.slo.holds:
        return "the service level holds at no rate that was tried"
    words = f"the service level holds up to {figure(result.scenario['load']['rate'])}/s"
    return words if result.valid else f"{words} at least: beyond, the load itself was the bottleneck"
