"""The demo's result as one page of plain text, made of its JSON alone: printed, and quoted by the README."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_LABEL, _COLUMN = 46, 10
_WHAT, _PREDICTED, _SEEN = 50, 21, 21
_SHARED = ("none", "one", "two", "three")

Json = Mapping[str, Any]


def page(result: Json) -> list[str]:
    """The lines; `result` is what the demo writes with --json."""
    return [*_stage(result["stage"]), "", *_one(result), "", *_two(result), "", *_verdict(result)]


def _stage(stage: Json) -> Iterator[str]:
    yield (
        f"{stage['tenants']:,} tenants with {stage['models']:,} models of their own, {stage['cells']} cells"
        f" in {stage['zones']} zones, hands of {stage['hand_size']}, all on {stage['cores']} cores"
    )


def _one(result: Json) -> Iterator[str]:
    act, stage = result["act_one"], result["stage"]
    yield f"Act one: as many requests as are answered in {act['seconds']:g} s, Zipf over all models"
    yield (
        f"  {act['requests']:,} requests, {act['requests'] / act['seconds']:,.0f}/s,"
        f" {act['resident']:.1%} found resident; p50 {act['p50_ms']:.1f} ms, p99 {act['p99_ms']:.1f} ms"
    )
    yield f"  CPU µs a request: {_parts(act['cpu_us'])}"
    yield (
        f"  {act['killed']}, in the hands of {act['holding']} of {stage['tenants']} tenants, killed half way:"
        f" {act['wrong']:,} wrong, {act['errors']:,} errors"
    )
    # None of a few tenants may have such a model.
    if act.get("stored", {}).get("answers"):
        yield from _stored(act["stored"])


def _stored(stored: Json) -> Iterator[str]:
    values = max(1, stored["values"])
    yield (
        f"  {stored['answers']:,} answers of {stored['families']} families whose callers send"
        f" {stored['sent']} of {stored['sent'] + stored['fetched']} features, the store the others:"
    )
    yield (
        f"    {stored['missing'] / values:.1%} of these missing, {stored['stale'] / values:.1%} stale;"
        f" {stored['defaulted']:,} answers used defaults, {stored['degraded']:,} for want of the store"
    )


def _two(result: Json) -> Iterator[str]:
    act = result["act_two"]
    columns = act["columns"]
    yield (
        f"Act two: {act['rate']:,.0f} requests/s in an open loop for {act['seconds']:.0f} s;"
        f" {act['poison']} hurts {', '.join(act['hand'])}"
    )
    yield f"  CPU µs a request at this rate, all quiet: {_parts(act['cpu_us'])}"
    yield ""
    yield _row(
        "  cells shared with the poisoned hand", [_head(column["shared"], columns) for column in columns]
    )
    yield _row("  expected by the formula", [f"{column['expected']:.1%}" for column in columns])
    yield _row("  tenants, by the dealer", [f"{column['tenants']}" for column in columns])
    yield _row("  p95 ms, quiet", _times(columns, "quiet"))
    held = f"  p95 ms, {act['held']:.0%} of its threads' time held"
    yield _row(held, _times(columns, "held"))
    yield _row("  felt it", [f"{column['felt']}" for column in columns])
    yield _row("  p95 ms, its cells crashed in turn", _times(columns, "crashed"))
    yield _row("  p95 ms, one of its cells killed", _times(columns, "killed"))
    before = ("quiet", "held", "pause", "crashed", "killed")
    yield _row("  errors so far", [f"{sum(column['errors'][name] for name in before)}" for column in columns])
    yield _row("  errors, the whole hand killed", [f"{column['errors']['dead']}" for column in columns])
    yield ""
    yield f"  condemned by journals: {_culprits(act)}"


def _verdict(result: Json) -> Iterator[str]:
    yield f"{'predicted':>{_WHAT + _PREDICTED}}{'seen':>{_SEEN}}"
    for bound in result["bounds"]:
        mark = "" if bound["holds"] else "  NOT SO"
        figures = f"{bound['predicted']:>{_PREDICTED}}{bound['seen']:>{_SEEN}}"
        yield f"  {bound['what']:<{_WHAT - 2}}{figures}{mark}"
    yield f"{'passed' if result['passed'] else 'FAILED'} in {result['seconds']:.0f} s"


def _row(label: str, cells: Sequence[str]) -> str:
    return f"{label:<{_LABEL}}" + "".join(f"{cell:>{_COLUMN}}" for cell in cells)


def _head(shared: int, columns: Sequence[Json]) -> str:
    return "all" if shared == len(columns) - 1 else _SHARED[shared] if shared < len(_SHARED) else str(shared)


def _times(columns: Sequence[Json], phase: str) -> list[str]:
    """Nothing where nobody was answered."""
    return [f"{column['p95_ms'][phase]:.1f}" if column["p95_ms"][phase] else "" for column in columns]


def _parts(cpu_us: Json) -> str:
    return ", ".join(f"{part} {value:.0f}" for part, value in cpu_us.items())


def _culprits(act: Json) -> str:
    found = act["culprits"]
    told = [f"{act['crashes'][cell]} by {cell}" for cell in act["hand"] if cell in found]
    why = ", ".join(sorted(set(found.values())))
    return f"{', '.join(told)} ({why})" if told else "nobody"
