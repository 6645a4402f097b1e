"""How benches tell what they saw: a table for people, JSON for programs."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

console = Console(highlight=False)


def step(line: str) -> None:
    console.print(line)


def table(title: str, rows: Sequence[tuple[str, str]]) -> None:
    grid = Table(title=title, show_header=False, title_justify="left")
    for row in rows:
        grid.add_row(*row)
    console.print(grid)


def write_json(path: Path | None, result: Mapping[str, Any]) -> None:
    """Write `result` with the machine that it was measured on; does nothing without a path."""
    if path is None:
        return
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine, **result}, indent=2) + "\n")
