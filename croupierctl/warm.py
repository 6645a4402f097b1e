"""`croupierctl cells warm`: artifacts are loaded before anybody asks for them."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from croupier.errors import NotFound
from croupier.grpcio.manager import VersionManagerClient
from croupier.settings import ClientTls
from croupier.transport.client import Channel
from croupier.transport.status import RpcError, to_error
from croupierctl import output
from croupierctl.arguments import digest_of, finite
from croupierctl.servers import ask_manager, current
from protos.cell.v1 import cell_pb2

_WARM = "/croupier.cell.v1.Cell/Warm"
# Seconds for the call itself beside those that the cell may take.
_CALL_SECONDS = 5.0


def warm(
    cell: Annotated[str, typer.Argument(help="The cell that is to load them.", show_default=False)],
    artifacts: Annotated[
        list[str], typer.Argument(metavar="ARTIFACT…", help="Each one's SHA-256, 64 digits.")
    ],
    pin: Annotated[bool, typer.Option(help="Keep them in memory until the cell ends.")] = False,
    seconds: Annotated[float, typer.Option(min=0, callback=finite, help="How long to wait for them.")] = 10.0,
) -> None:
    """Have a cell load artifacts before anybody asks for them."""
    digests = [digest_of(artifact) for artifact in artifacts]
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
    servers = current()
    tls = ClientTls(servers.ca, servers.certificate, servers.key) if servers.ca else None
    channel = Channel(address, tls=tls)
    try:
        data = await channel.unary(_WARM, request.SerializeToString(), timeout=timeout)
    except RpcError as error:
        raise to_error(error.code, error.message, error.details) from error
    finally:
        await channel.close()
    return cell_pb2.WarmResponse.FromString(data)
