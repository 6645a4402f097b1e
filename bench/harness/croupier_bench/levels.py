"""What is to hold, and what ends a run early: a scenario's tables [slo] and [stop]."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from croupier_bench.keys import ScenarioError, Table

# Seconds by one of these, and the share of "errors".
Level = Mapping[str, float]
_LATENCIES = ("p50", "p90", "p99", "p999", "mean")
_MAX_SECONDS = 3_600


@dataclass(frozen=True, slots=True)
class Stop:
    """Over the last `window` seconds: a share of errors, a p99 in seconds; None: whatever it is."""

    errors: float | None = None
    p99: float | None = None
    window: float = 5.0

    @classmethod
    def read(cls, table: Table) -> Self:
        """Raises ScenarioError."""
        errors = table.share("errors") if table.has("errors") else None
        p99 = table.seconds("p99", most=_MAX_SECONDS, above=True) if table.has("p99") else None
        window = table.seconds("window", 5.0, least=0.1, most=_MAX_SECONDS)
        table.end()
        return cls(errors, p99, window)

    def write(self) -> dict[str, Any]:
        """The table that is read as this."""
        told = {"errors": self.errors, "p99": self.p99, "window": self.window}
        return {name: value for name, value in told.items() if value is not None}


def read_level(table: Table) -> Level:
    """Raises ScenarioError."""
    found = {
        name: table.seconds(name, most=_MAX_SECONDS, above=True) for name in _LATENCIES if table.has(name)
    }
    if table.has("errors"):
        found["errors"] = table.share("errors")
    table.end()
    return found


def level_of(words: str) -> Level:
    """What a command line says: names and values, with commas between the pairs.

    Raises:
        ScenarioError: its key is `slo`, or what of it is wrong.
    """
    pairs = [part.partition("=") for part in words.split(",")]
    if not all(equals for _, equals, _ in pairs):
        raise ScenarioError("slo", f'{words!r} is not like "p99=10ms,errors=0.01%"')
    return read_level(Table({name.strip(): value.strip() for name, _, value in pairs}, "slo"))
