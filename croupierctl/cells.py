"""`croupierctl cells`: the cells that are registered."""

from __future__ import annotations

import typer

from croupier.client.manager import VersionManagerClient
from croupierctl import output
from croupierctl.session import ask_manager
from protos.versions.v1 import versions_pb2 as pb

app = typer.Typer(help="The cells that are registered.", no_args_is_help=True)

_COLUMNS = (
    *("cell", "zone", "address", "state", "weight"),
    *("models", "loading", "used", "capacity", "requests", "hit rate"),
)


@app.command()
def ls() -> None:
    """List the cells with what they last reported."""
    cells = ask_manager(VersionManagerClient.list_cells)
    rows = [_row(cell) for cell in sorted(cells, key=lambda cell: (cell.zone, cell.id))]
    output.table(_COLUMNS, rows, empty="no cell is registered")


def _row(cell: pb.Cell) -> tuple[object, ...]:
    load = cell.load
    return (
        cell.id,
        cell.zone,
        cell.address,
        cell.state,
        cell.weight,
        load.resident,
        load.loading,
        output.size(load.used_bytes),
        output.size(load.capacity_bytes),
        load.requests,
        _hit_rate(load),
    )


def _hit_rate(load: pb.Load) -> output.Shown:
    if not load.requests:
        return output.Shown(None, "")
    rate = load.hits / load.requests
    return output.Shown(rate, f"{rate:.1%}")
