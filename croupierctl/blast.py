"""`croupierctl blast`: who is hurt when cells break, counted on the map that deals, beside the chances."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from croupierctl import output, plot
from croupierctl.servers import ask_manager, current
from protos.versions.v1 import versions_pb2 as pb

# Tenants that are named to people; programs get all that are told.
_FEW = 10


def blast(
    cells: Annotated[str, typer.Option("--cells", metavar="ID,...", help="These cells.")] = "",
    tenant: Annotated[
        str, typer.Option("--tenant", metavar="T", help="The hand of a tenant, which is not counted itself.")
    ] = "",
    zone: Annotated[str, typer.Option("--zone", metavar="Z", help="A zone.")] = "",
    poison: Annotated[
        int,
        typer.Option("--poison", metavar="N", min=0, help="The hands of so many tenants, drawn 100 times."),
    ] = 0,
    picture: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw it as well: .png, .svg or .pdf.")
    ] = None,
) -> None:
    """Say who is hurt when cells break, and how many were to be expected.

    A tenant loses every cell, and is down, or some of them, and is served by the others.
    """
    named = [name.strip() for name in cells.split(",") if name.strip()]
    if [bool(named), bool(tenant), bool(zone), bool(poison)].count(True) != 1:
        raise typer.BadParameter("say one of --cells, --tenant, --zone and --poison")
    if picture is not None:
        if poison:
            raise typer.BadParameter("--plot draws what --cells, --tenant or --zone says")
        plot.check(picture)
    request = pb.GetBlastRequest(cells=named, tenant=tenant, zone=zone, poison=poison)
    found = ask_manager(lambda manager: manager.get_blast(request))
    if picture is not None:
        plot.draw(
            picture, found, f"the hand of {tenant}" if tenant else f"zone {zone}" if zone else "these cells"
        )
    if current().as_json:
        output.emit(as_json(found))
        return
    _say(found, poison)
    if picture is not None:
        output.note(f"drawn: {picture}")


def as_json(found: pb.Blast) -> dict[str, Any]:
    """All that is told, for programs."""
    return {
        "generation": found.generation,
        "tenants": found.tenants,
        "cells": list(found.cells),
        "whole": found.whole,
        "partial": found.partial,
        "expected_whole": found.expected_whole,
        "expected_partial": found.expected_partial,
        "worst_whole": found.worst_whole,
        "worst_partial": found.worst_partial,
        "whole_tenants": list(found.whole_tenants),
        "partial_tenants": [{"tenant": one.tenant, "left": one.left} for one in found.partial_tenants],
        "overlap": list(found.overlap),
        "expected_overlap": list(found.expected_overlap),
        "loads": [{"cell": one.cell, "slots": one.slots, "load": one.load} for one in found.loads],
        "by_rates": found.by_rates,
    }


def overlaps(found: pb.Blast) -> None:
    """Print how many tenants share 0, 1, … of the cells, beside what is expected."""
    most = max(len(found.overlap), len(found.expected_overlap))
    rows = [
        (
            shared,
            number(found.overlap[shared] if shared < len(found.overlap) else 0),
            number(found.expected_overlap[shared] if shared < len(found.expected_overlap) else 0.0),
        )
        for shared in range(most)
    ]
    output.table(("shared cells", "tenants", "expected"), rows)


def number(count: float) -> output.Shown:
    """A count, or what is to be expected of one."""
    return output.Shown(count, f"{count:,.0f}" if count == int(count) or count >= 1e4 else f"{count:,.4g}")


def _say(found: pb.Blast, poison: int) -> None:
    if poison:
        output.say(
            f"generation {found.generation}: {poison} of {found.tenants:,} tenants break all cells of their "
            "hands; on average of 100 draws"
        )
        rows = [
            ("lose every cell", number(found.whole), number(found.expected_whole), number(found.worst_whole)),
            ("lose some", number(found.partial), number(found.expected_partial), number(found.worst_partial)),
        ]
        output.table(("others", "tenants", "expected", "most"), rows)
        return
    count = len(found.cells)
    output.say(
        f"generation {found.generation}, {found.tenants:,} tenants: {count} cell{'s' * (count != 1)} break"
    )
    output.table(
        ("tenants that", "counted", "expected"),
        [
            ("lose every cell", number(found.whole), number(found.expected_whole)),
            ("lose some", number(found.partial), number(found.expected_partial)),
        ],
    )
    if found.whole:
        output.say("")
        output.say(f"lose every cell: {_few(list(found.whole_tenants), found.whole)}")
    if found.partial:
        kept = [f"{one.tenant} (keeps {one.left:.0%})" for one in found.partial_tenants]
        output.say("")
        output.say(f"lose some: {_few(kept, found.partial)}")


def _few(names: list[str], total: float) -> str:
    """The heaviest stand first."""
    more = int(total) - len(names[:_FEW])
    return ", ".join(names[:_FEW]) + (f", and {more:,} more" if more > 0 else "")
