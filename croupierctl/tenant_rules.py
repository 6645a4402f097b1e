"""`croupierctl tenants hand` and `tenants isolate`: what of the shard map holds for one tenant alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from croupier.grpcio.manager import VersionManagerClient
from croupier.names import check_name
from croupierctl import output
from croupierctl.arguments import Tenant
from croupierctl.arguments import hand_size as hand_size_of
from croupierctl.change import change
from croupierctl.how import How, changing
from protos.versions.v1 import versions_pb2 as pb
from sharding import edits
from sharding.edits import Edit
from sharding.generation import Generation


@changing()
def hand(
    tenant: Tenant,
    size: Annotated[
        str, typer.Option(metavar="N|N%", help="How many cells: 6, or 20% of them; 0 for none of its own.")
    ] = "",
    least: Annotated[int, typer.Option("--min", min=0, help="With a share: so many cells at least.")] = 0,
    pin: Annotated[
        list[str], typer.Option(metavar="CELL", help="Its hand is this cell, in this place; repeat it.")
    ] = [],  # noqa: B006 - typer copies defaults, and needs them here
    exclude: Annotated[
        list[str], typer.Option(metavar="CELL", help="A cell that it is not dealt; repeat it.")
    ] = [],  # noqa: B006
    group: Annotated[
        str | None, typer.Option(metavar="NAME", help="Dealt by this name, with others; '' for none.")
    ] = None,
    clear: Annotated[
        bool, typer.Option("--clear", help="Forget what was said of the tenant before.")
    ] = False,
    *,
    how: How,
) -> None:
    """Say what hand a tenant is dealt.

    How large, with which cells, without which, and with whom. What is not mentioned stays. `croupierctl
    hand TENANT` shows what comes of it.
    """
    check_name(tenant, "tenant")
    if least and not size:
        raise typer.BadParameter("--min goes with a --size such as 20%")
    if not (size or pin or exclude or group is not None or clear):
        raise typer.BadParameter("say what: --size, --pin, --exclude, --group or --clear")
    wanted = hand_size_of(size, least) if size else None

    async def make(manager: VersionManagerClient, active: Generation) -> Edit:
        edit = edits.rule(active, tenant, size=wanted, pins=pin, excludes=exclude, group=group, clear=clear)
        if tenant in edit.after.overrides and not await _is_known(manager, tenant):
            output.note(f"warning: {_UNKNOWN.format(tenant)}")
        return edit

    said = (
        *((f"--size {size}",) if size else ()),
        *((f"--min {least}",) if least else ()),
        *(f"--pin {cell}" for cell in pin),
        *(f"--exclude {cell}" for cell in exclude),
        *((f"--group {group or repr('')}",) if group is not None else ()),
        *(("--clear",) if clear else ()),
    )
    change(f"tenants hand {tenant} {' '.join(said)}", make, how)


@changing()
def isolate(
    tenant: Tenant,
    cells: Annotated[
        int,
        typer.Option("--cells", min=0, help="How many; 0 gives them back to all.", show_default=False),
    ],
    how: How,
) -> None:
    """Give a tenant cells that nobody else is dealt.

    Those that it has now come first. The plan says what it costs the others: their load before and after,
    and who moves.
    """
    check_name(tenant, "tenant")

    async def make(manager: VersionManagerClient, active: Generation) -> Edit:
        edit = edits.isolate(active, tenant, cells)
        if cells and not await _is_known(manager, tenant):
            return replace(edit, refusals=(*edit.refusals, _UNKNOWN.format(tenant)))
        return edit

    change(f"tenants isolate {tenant} --cells {cells}", make, how)


_UNKNOWN = "there is no tenant {}: none has a model here"


async def _is_known(manager: VersionManagerClient, tenant: str) -> bool:
    found = await manager.list_models(pb.ListModelsRequest(tenant=tenant, page_size=1))
    return bool(found.models)
