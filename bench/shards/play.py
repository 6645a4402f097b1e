"""Runs all three parts, and writes what they saw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench import report
from bench.demo import stage
from bench.shards import costs, moves, poison


@dataclass(frozen=True, slots=True)
class Plan:
    """Of the costs `cells` and `tenants`; of what is played on a fleet the rest. None: it is not played."""

    cells: int
    tenants: int
    moves: moves.Plan | None
    poison: poison.Plan | None


def run(plan: Plan, json: Path | None) -> bool:
    """Measure, print and write; true if no request failed or was answered wrongly that should not."""
    told: dict[str, Any] = asdict(costs.run(plan.cells, plan.tenants))
    report.table("sharding", [(name, f"{value:.4g}") for name, value in told.items()])
    passed = True
    if plan.moves is not None:
        found = moves.run(plan.moves, stage.train(plan.moves.tenants))
        told["moves"] = {name: asdict(one) for name, one in found.items()}
        passed &= not any(one.errors for one in found.values())
        _show_moves(found)
    if plan.poison is not None:
        models = stage.train(plan.poison.tenants)
        results = {shape.name: poison.run(plan.poison, models, shape) for shape in plan.poison.shapes}
        told["poison"] = _poison(list(results.values())) | {
            name: asdict(one) for name, one in results.items()
        }
        passed &= not any(one.disjoint_errors or one.wrong for one in results.values())
        report.table("poison", [(name, _words(value)) for name, value in told["poison"].items()])
    report.write_json(json, told)
    return passed


def _poison(results: Sequence[poison.Result]) -> dict[str, Any]:
    """Of all shapes: the worst ratio, every error, and how many tenants share no cell with the poison."""
    return {
        "disjoint_p99_ratio": max(one.disjoint_p99_ratio for one in results),
        "disjoint_errors": sum(one.disjoint_errors for one in results),
        "partial_errors": sum(one.partial_errors for one in results),
        "predicted_share": [one.predicted_share[0] for one in results],
        "seen_share": [one.seen_share[0] for one in results],
    }


def _show_moves(found: Mapping[str, moves.Move]) -> None:
    head = ("verb", "errors", "requests", "p99 before", "during", "hits before", "during")
    rows = [
        (
            name,
            str(one.errors),
            str(one.requests),
            f"{one.p99_ms_before:.2f} ms",
            f"{one.p99_ms_during:.2f} ms",
            f"{one.hit_rate_before:.2%}",
            f"{one.hit_rate_during:.2%}",
        )
        for name, one in found.items()
    ]
    report.grid("moves", head, rows)


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_words(inner)}" for name, inner in value.items())
    if isinstance(value, list | tuple):
        return " ".join(map(_words, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
