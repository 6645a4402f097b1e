"""`croupierctl cells`: the cells that are registered."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from croupier.client.manager import VersionManagerClient
from croupier.errors import NotFound
from croupier.names import InvalidName, check_digest
from croupier.settings import ClientTls
from croupier.transport.client import Channel
from croupier.transport.status import RpcError, to_error
from croupierctl import output
from croupierctl.session import ask_manager, current
from protos.cell.v1 import cell_pb2
from protos.versions.v1 import versions_pb2 as pb

_WARM = "/croupier.cell.v1.Cell/Warm"
# Seconds for the call itself beside those that the cell may take.
_CALL_SECONDS = 5.0

app = typer.Typer(help="The cells that are registered.", no_args_is_help=True)

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
    digest = _digest(artifact)
    cells = ask_manager(lambda manager: manager.lift_quarantine(digest, cell))
    output.table(("cell",), [(name,) for name in cells])


@app.command()
def warm(
    cell: Annotated[str, typer.Argument(help="The cell that is to load them.", show_default=False)],
    artifacts: Annotated[
        list[str], typer.Argument(metavar="ARTIFACT…", help="Each one's SHA-256, 64 digits.")
    ],
    pin: Annotated[bool, typer.Option(help="Keep them in memory until the cell ends.")] = False,
    seconds: Annotated[float, typer.Option(min=0, help="How long to wait for them.")] = 10.0,
) -> None:
    """Have a cell load artifacts before anybody asks for them."""
    digests = [_digest(artifact) for artifact in artifacts]
    cells = [found for found in ask_manager(VersionManagerClient.list_cells) if found.id == cell]
    if not cells:
        raise NotFound(f"no cell {cell} is registered")
    request = cell_pb2.WarmRequest(artifacts=digests, pin=pin, wait_seconds=seconds)
    response = asyncio.run(_ask_cell(cells[0].address, request, seconds + _CALL_SECONDS))
    rows = [
        (
            output.digest(warmed.artifact, short=False),
            cell_pb2.Warmed.State.Name(warmed.state).lower(),
            warmed.status.message,
        )
        for warmed in response.artifacts
    ]
    output.table(("artifact", "state", "why"), rows)
    if any(warmed.state == cell_pb2.Warmed.FAILED for warmed in response.artifacts):
        raise typer.Exit(1)


async def _ask_cell(address: str, request: cell_pb2.WarmRequest, timeout: float) -> cell_pb2.WarmResponse:
    session = current()
    tls = ClientTls(session.ca, session.certificate, session.key) if session.ca else None
    channel = Channel(address, tls=tls)
    try:
        data = await channel.unary(_WARM, request.SerializeToString(), timeout=timeout)
    except RpcError as error:
        raise to_error(error.code, error.message, error.details) from error
    finally:
        await channel.close()
    return cell_pb2.WarmResponse.FromString(data)


def _digest(artifact: str) -> bytes:
    try:
        return check_digest(bytes.fromhex(artifact))
    except (ValueError, InvalidName) as error:
        raise typer.BadParameter("an artifact is named by the 64 digits of its SHA-256") from error


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
        load.quarantined_total,
    )


def _hit_rate(load: pb.Load) -> output.Shown:
    if not load.requests:
        return output.Shown(None, "")
    rate = load.hits / load.requests
    return output.Shown(rate, f"{rate:.1%}")
