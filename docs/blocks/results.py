"""Reading bench/results, and how pages tell figures: rounded, beside when and on what they were measured."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from blocks import ROOT

Result = Mapping[str, Any]


def result(name: str) -> Result:
    """What `python -m bench NAME` wrote last."""
    found: Result = json.loads((ROOT / f"bench/results/{name}.json").read_text())
    return found


def has_result(name: str) -> bool:
    return (ROOT / f"bench/results/{name}.json").exists()


def measured(found: Result) -> str:
    """A paragraph: by which command, when, of which commit, on what, beside what."""
    about = found["about"]
    versions = "".join(f"; {name} {version(about, name)}" for name in about["versions"])
    return (
        f"`{about['command']}`, {about['date']}, commit {about['commit']}, on {machine(about)}{versions}.\n"
    )


def version(about: Result, name: str) -> str:
    """Of what programs say of their versions, the number."""
    said: str = about["versions"][name]
    found = re.search(r"\d+(\.\d+)+", said)
    return found.group() if found else said


def machine(about: Result) -> str:
    has = about["machine"]
    return f"{has['cpu']}, {has['cores']} cores, {has['memory']}, {has['system']}, Python {has['python']}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], texts: int = 1) -> str:
    """Of Markdown; all columns but the first `texts` have numbers."""
    rule = ["---" if place < texts else "--:" for place in range(len(head))]
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, rule, *rows))


def number(value: float | None, unit: str = "") -> str:
    """Three digits that count, or all before the point; empty for what was not measured."""
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}{unit}"
    return (f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}".rstrip(".")) + unit


def share(value: float) -> str:
    return f"{value:.1%}"
