"""`croupierctl cells`: the cells that are registered."""

from __future__ import annotations

from typing import Annotated

import typer

from croupier.errors import NotFound
from croupier.grpcio.manager import VersionManagerClient
from croupierctl import output
from croupierctl.arguments import digest_of
from croupierctl.lazy import LazyGroup, Verb
from croupierctl.seen import state
from croupierctl.servers import ask_manager
from protos.versions.v1 import versions_pb2 as pb


class _Cells(LazyGroup):
    verbs = (
        Verb("drain", "croupierctl.seats", "drain", "Deal cells to nobody, so that they can be stopped."),
        Verb("undrain", "croupierctl.seats", "undrain", "Deal drained cells again."),
        Verb("replace", "croupierctl.seats", "replace_cell", "Seat a cell in the place of another one."),
        Verb("add", "croupierctl.seats", "add", "Seat registered cells: they are dealt from now on."),
        Verb("remove", "croupierctl.seats", "remove", "Take the seats of cells away that are gone for good."),
        Verb("warm", "croupierctl.warm", "warm", "Have a cell load artifacts before anybody asks for them."),
    )


app = typer.Typer(cls=_Cells, no_args_is_help=True)

_COLUMNS = (
    *("cell", "zone", "address", "state", "weight"),
    *("models", "loading", "used", "capacity", "requests", "hit rate", "quarantined"),
)


@app.command()
def ls() -> None:
    """List the cells with what they last reported."""
    cells = ask_manager(VersionManagerClient.list_cells)
    rows = [_row(cell) for cell in sorted(cells, key=lambda cell: (cell.zone, cell.id))]
    output.table(_COLUMNS, rows, empty="no cell is registered")


@app.command()
def quarantine(
    cell: Annotated[str, typer.Argument(help="One cell's only.", show_default=False)] = "",
) -> None:
    """List the artifacts that cells refuse since they crashed or hung them, the latest first."""
    cells = [found for found in ask_manager(VersionManagerClient.list_cells) if cell in ("", found.id)]
    if cell and not cells:
        raise NotFound(f"no cell {cell} is registered")
    rows = [
        (
            output.digest(one.artifact, short=False),
            found.id,
            one.why,
            one.phase,
            output.moment(one.since),
        )
        for found in cells
        for one in found.load.quarantined
    ]
    rows.sort(key=lambda row: -row[4].value)
    output.table(
        ("artifact", "cell", "why", "at", "since"), rows, empty="nothing is quarantined, as far as is known"
    )
    for found in cells:
        if found.load.quarantined_total > len(found.load.quarantined):
            output.note(f"{found.id} refuses {found.load.quarantined_total} in all")


@app.command()
def lift(
    artifact: Annotated[str, typer.Argument(help="The artifact's SHA-256, 64 digits.", show_default=False)],
    cell: Annotated[str, typer.Option(help="One cell only; every one that reports it if unset.")] = "",
) -> None:
    """Have cells serve a quarantined artifact again."""
    digest = digest_of(artifact)
    cells = ask_manager(lambda manager: manager.lift_quarantine(digest, cell))
    output.table(("cell",), [(name,) for name in cells])


@app.command()
def tenants(
    cell: Annotated[str, typer.Argument(metavar="ID", help="The cell.", show_default=False)],
    rows: Annotated[int, typer.Option("--rows", "-n", min=1, max=1000, help="How many to show.")] = 20,
) -> None:
    """List the tenants that have a cell in their hand, the heaviest first."""
    request = pb.ListCellTenantsRequest(cell=cell, top=rows)
    found = ask_manager(lambda manager: manager.list_cell_tenants(request))
    listed = [
        (
            one.tenant,
            output.Shown(one.place, f"{one.place} of {one.size}"),
            one.models,
            output.Shown(one.rate, f"{one.rate:,.4g}") if one.HasField("rate") else output.Shown(None, ""),
        )
        for one in found.tenants
    ]
    output.table(("tenant", "place", "models", "requests/s"), listed, empty=f"nobody has {cell} in its hand")
    more = found.tenants_total - len(listed)
    if more > 0:
        output.note(f"{more:,} more in generation {found.generation}; --rows shows some of them")


def _row(cell: pb.Cell) -> tuple[object, ...]:
    load = cell.load
    return (
        cell.id,
        cell.zone,
        cell.address,
        state(cell),
        cell.weight,
        load.resident,
        load.loading,
        output.size(load.used_bytes),
        output.size(load.capacity_bytes),
        load.requests,
        _hit_rate(load),
        load.quarantined_total,
    )


def _hit_rate(load: pb.Load) -> output.Shown:
    if not load.requests:
        return output.Shown(None, "")
    rate = load.hits / load.requests
    return output.Shown(rate, f"{rate:.1%}")
