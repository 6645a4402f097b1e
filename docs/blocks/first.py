"""The README's first two commands, with the minutes that they take where those were measured."""

from __future__ import annotations

from collections.abc import Mapping

from blocks import ROOT
from blocks.results import machine, result

COMMANDS = {
    "demo": "trains and serves models for 200 tenants, breaks things, checks every answer",
    "test": "everything that CI runs",
}


def commands() -> str:
    if not (ROOT / "bench/results/minutes.json").exists():
        return block({})
    found = result("minutes")
    return (
        block(found["seconds"])
        + f"\nMinutes once set up, {found['about']['date']}, {machine(found['about'])}.\n"
    )


def block(seconds: Mapping[str, float]) -> str:
    lines = "".join(
        f"make {target:<10}# {minutes(seconds[target]) + ': ' if target in seconds else ''}{does}\n"
        for target, does in COMMANDS.items()
    )
    return f"```sh\n{lines}```\n"


def minutes(seconds: float) -> str:
    """Rounded up: nobody minds to be done earlier."""
    whole = max(1, -int(-seconds // 60))
    return f"{whole} minute{'s' * (whole != 1)}"
