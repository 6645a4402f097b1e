"""A plan as it is printed: what a new shard map will do, before it does it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from croupierctl import output
from croupierctl.seen import span
from croupierctl.servers import current
from protos.versions.v1 import versions_pb2 as pb

# Of long lists, people see so many; programs see all that the version manager tells.
_MOST_CHANGES = 20
_MOST_MOVES = 10
_MOST_CELLS = 20
_MOST_NAMED = 5


def told(message: Any) -> dict[str, Any]:
    """A plan for programs: every field that it may have, by its name."""
    return {field.name: _value(getattr(message, field.name)) for field in message.DESCRIPTOR.fields}


def _value(value: Any) -> Any:
    if isinstance(value, (bool, int, float, str)):
        return value
    return told(value) if hasattr(value, "DESCRIPTOR") else [_value(one) for one in value]


def show(plan: pb.Plan, changes: Sequence[str]) -> None:
    """Print `plan` for people; programs get it with what comes of it."""
    if current().as_json:
        return
    output.record(
        {"plan for": f"generation {plan.active}, {_count(plan.tenants, 'tenant')}", **_fields(plan, changes)}
    )
    if plan.cells:
        output.say("")
        output.table(
            ("cell", "slots", "planned", "gains", "loses", "load", "load planned", "cold loads"),
            [
                (
                    *(cell.cell, cell.slots_before, cell.slots_after, cell.gained, cell.lost),
                    *(_amount(cell.load_before), _amount(cell.load_after), _amount(cell.cold_loads)),
                )
                for cell in plan.cells[:_MOST_CELLS]
            ],
        )
        _more(len(plan.cells), _MOST_CELLS, "cells")
    if plan.moves:
        output.say("")
        output.table(
            ("tenant", "loses", "gains"),
            [
                (move.tenant, output.listing(move.lost), output.listing(move.gained))
                for move in plan.moves[:_MOST_MOVES]
            ],
        )
        _more(plan.tenants_moved, _MOST_MOVES, "tenants")
    output.say("")


def _fields(plan: pb.Plan, changes: Sequence[str]) -> dict[str, Any]:
    by = "by requests a second" if plan.by_rates else "as if all tenants were alike"
    fields: dict[str, Any] = {
        "changes": _lines(changes, len(changes), _MOST_CHANGES),
        "tenants moved": _part(plan.tenants_moved, plan.tenants),
        "slots moved": _part(plan.slots_moved, plan.slots),
        "cold loads": _cold(plan),
        "load max/mean": f"{plan.balance_before:.3f} → {plan.balance_after:.3f}, {by}",
        "overlap": f"{_overlap(plan.overlap_before)}  →  {_overlap(plan.overlap_after)}",
        "zone shortfalls": _named(
            (f"{one.tenant} {one.zones} of {one.possible}" for one in plan.shortfalls), plan.shortfalls_total
        ),
        "without a cell": _named(plan.stranded, plan.stranded_total),
        "pins": _lines(plan.conflicts, plan.conflicts_total, _MOST_NAMED),
        "refused": "\n".join(plan.refusals),
    }
    return {name: value for name, value in fields.items() if value}


def _part(part: int, whole: int) -> str:
    return f"{part:,} of {whole:,} ({part / whole:.2%})" if whole else f"{part:,}"


def _cold(plan: pb.Plan) -> str:
    size = f", {output.size(round(plan.cold_bytes)).text}" if plan.cold_bytes else ""
    takes = f"; the cell with most takes {span(plan.warming_seconds)}" if plan.warming_seconds else ""
    return f"{_amount(plan.cold_loads).text} to expect{size}{takes}"


def _overlap(pairs: Sequence[int]) -> str:
    """How many of a hundred pairs of tenants share 0, 1, … cells."""
    whole = sum(pairs)
    return "  ".join(f"{shared}: {count / whole:.2%}" for shared, count in enumerate(pairs)) if whole else "-"


def _lines(lines: Sequence[str], total: int, most: int) -> str:
    shown = [*lines[:most]]
    return "\n".join([*shown, *([f"and {total - len(shown):,} more"] if total > len(shown) else [])])


def _named(names: Iterable[str], total: int) -> str:
    if not total:
        return ""
    some = [name for name, _ in zip(names, range(_MOST_NAMED), strict=False)]
    more = ", …" if total > len(some) else ""
    return f"{_count(total, 'tenant')}: {', '.join(some)}{more}"


def _more(total: int, shown: int, what: str) -> None:
    if total > shown:
        output.say(f"and {total - shown:,} more {what}")


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'s' * (number != 1)}"


def _amount(number: float) -> output.Shown:
    return output.Shown(
        number, f"{number:,.0f}" if number >= 100 or number == round(number) else f"{number:.3g}"
    )
