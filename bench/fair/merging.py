"""Puts what one run saw of some parts beside what a file has of others, so that each may be run alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.fair import restart


def merged(path: Path | None, told: Mapping[str, Any]) -> dict[str, Any]:
    """`told`, and what the file at `path` has that is not of the same part: what is newer counts.

    All that is in one file is to be of one commit; its `about` is of the last run.
    """
    if path is None or not path.exists():
        return dict(told)
    before = {name: part for name, part in json.loads(path.read_text()).items() if name != "about"}
    return before | {name: _both(name, before.get(name), part) for name, part in told.items()}


def _both(name: str, before: Any, part: Any) -> Any:
    if not before or not part:
        return part or before or part
    if name == "restart":
        return restart.told(before["kinds"] | part["kinds"])
    return _rows(before, part) if isinstance(part, list) else before | part


def _rows(before: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return list({row["kind"]: row for row in (*before, *rows)}.values())
