"""How benches tell what they saw: a table for people, JSON for programs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.about import about

_WIDE = 160

console = Console(highlight=False)


def step(line: str) -> None:
    console.print(line)


def table(title: str, rows: Sequence[tuple[str, str]]) -> None:
    grid = Table(title=title, show_header=False, title_justify="left")
    for row in rows:
        grid.add_row(*row)
    console.print(grid)


def grid(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table with a column for each of `head`, in full even where it is wider than the terminal."""
    found = Table(title=title, title_justify="left")
    for number, name in enumerate(head):
        found.add_column(name, justify="left" if number < 2 else "right", no_wrap=True)
    for row in rows:
        found.add_row(*row)
    Console(highlight=False, width=max(console.width, _WIDE)).print(found)


def write_json(
    path: Path | None, result: Mapping[str, Any], versions: Mapping[str, str] | None = None
) -> None:
    """Write `result`, behind what it was measured with; does nothing without a path.

    `versions` are those of what was measured beside our own code.
    """
    if path is None:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    told = _finite({"about": about(versions or {}), **result})
    path.write_text(json.dumps(told, indent=2, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    """JSON has no word for what is not a number, or without end: null."""
    if isinstance(value, Mapping):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
