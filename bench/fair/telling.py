"""The tables of what was seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench import report
from bench.fair.beside import Row

_HEAD = (
    *("tenant", "others' p99", "ratio", "quiet", "errors", "refused", "served", "served/s"),
    *("router CPU", "cells CPU"),
)


def line(row: Row) -> str:
    return (
        f"{row.kind}: others' p99 × {row.others_p99_ratio:.2f}, {row.others_errors} errors; "
        f"it was served {row.offender_served:,} times and refused {row.offender_refused:,} of "
        f"{row.offender_asked:,}: {row.offender_words or 'no words'}"
    )


def show(told: Mapping[str, Any]) -> None:
    for part in ("offenders", "controls", "evasions"):
        if told[part]:
            report.grid(part, _HEAD, [_cells(row) for row in told[part]])


def _cells(row: Mapping[str, Any]) -> list[str]:
    quiet = row["quiet_p99_ms"]
    return [
        row["kind"],
        f"{sum(quiet) / len(quiet):.1f} ms",
        f"{row['others_p99_ratio']:.2f}",
        "–".join(f"{one:.2f}" for one in row["quiet_spread"]),
        f"{row['others_errors']:,}",
        f"{row['offender_refused']:,}",
        f"{row['offender_served']:,}",
        f"{row['offender_served_per_s']:,.0f}",
        *(f"{row['cpu_quiet'][part]:.2f} → {row['cpu_during'][part]:.2f}" for part in ("router", "cells")),
    ]
