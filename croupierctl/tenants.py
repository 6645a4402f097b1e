"""`croupierctl tenants`: what is kept for a tenant, what it asks for, and what it may."""

from __future__ import annotations

from typing import Annotated

import typer

from croupier.errors import NotFound, Unimplemented
from croupier.grpcio.manager import VersionManagerClient
from croupierctl import output
from croupierctl.arguments import Tenant
from croupierctl.lazy import LazyGroup, Verb
from croupierctl.limit import limited
from croupierctl.servers import ask_manager
from croupierctl.top import show
from protos.versions.v1 import versions_pb2 as pb
from version_manager.model.limits import Limits
from version_manager.model.wire import limits_from_pb


class _Tenants(LazyGroup):
    verbs = (
        Verb("hand", "croupierctl.tenant_rules", "hand", "Say what hand a tenant is dealt."),
        Verb(
            "isolate", "croupierctl.tenant_rules", "isolate", "Give a tenant cells that nobody else is dealt."
        ),
        Verb("limit", "croupierctl.limit", "limit", "Say what a tenant may take of the whole deployment."),
    )


app = typer.Typer(cls=_Tenants, no_args_is_help=True)

_MIB = 2**20
_MOST_MODELS = 1000


@app.command()
def residency(
    tenant: Tenant,
    floor: Annotated[
        float | None,
        typer.Option(
            metavar="MIB", min=0, help="MiB of its models that each of its cells keeps; 0 for none."
        ),
    ] = None,
    pin: Annotated[
        list[str], typer.Option(metavar="MODEL", help="Keep what is released of a model; repeat it.")
    ] = [],  # noqa: B006 - typer copies defaults, and needs them here
    unpin: Annotated[list[str], typer.Option(metavar="MODEL", help="Let it go again; repeat it.")] = [],  # noqa: B006
) -> None:
    """Show what a tenant's cells keep in memory, or change it; what is not mentioned stays.

    Its cells are told within seconds, and again whenever one of them comes back.
    """
    wanted = None if floor is None else round(floor * _MIB)
    if both := set(pin) & set(unpin):
        raise typer.BadParameter(f"{min(both)} cannot be pinned and unpinned at once")

    async def ask(manager: VersionManagerClient) -> pb.Residency:
        found = await manager.get_residency(tenant)
        if wanted is None and not pin and not unpin:
            return found
        return await manager.set_residency(_request(found, wanted, pin, unpin))

    found = ask_manager(ask)
    output.record(
        {
            "tenant": tenant,
            # In the unit that --floor takes, so that what is read can be said.
            "floor": output.Shown(found.floor_bytes, f"{found.floor_bytes / _MIB:.12g} MiB"),
            "pinned": output.listing(found.pinned),
            "revision": found.revision,
            **output.warnings(found.warnings),
        }
    )


def _request(
    found: pb.Residency, floor_bytes: int | None, pin: list[str], unpin: list[str]
) -> pb.SetResidencyRequest:
    missing = sorted(set(unpin) - set(found.pinned))
    if missing:
        raise NotFound(f"{missing[0]} of {found.tenant} is not pinned")
    return pb.SetResidencyRequest(
        tenant=found.tenant,
        floor_bytes=found.floor_bytes if floor_bytes is None else floor_bytes,
        pinned=sorted((set(found.pinned) | set(pin)) - set(unpin)),
        expected_revision=found.revision,
    )


@app.command()
def usage(tenant: Tenant) -> None:
    """Show what a tenant asks for now, by model and version, and what it gets.

    As `croupierctl top --models`, of this tenant alone; its first row is the tenant as a whole, beside what
    it may ask for. Routers count those that ask for most, and tell nothing of others, whether there are such
    tenants or not.
    """

    async def ask(
        manager: VersionManagerClient,
    ) -> tuple[pb.GetRatesResponse, pb.GetRatesResponse, Limits | None]:
        whole = await manager.get_rates(pb.GetRatesRequest(tenant=tenant))
        models = await manager.get_rates(pb.GetRatesRequest(tenant=tenant, models=True, top=_MOST_MODELS))
        try:
            kept = await manager.get_limits(tenant)
        except Unimplemented:
            # It is of the release before, and nothing is limited.
            return whole, models, None
        return whole, models, limits_from_pb(kept.limits).over(limits_from_pb(kept.default_limits))

    whole, models, limits = ask_manager(ask)
    models.rows.extend(whole.rows)
    models.rows.sort(key=lambda row: bool(row.model))
    show(models, models=True, limits=limits, empty=_not_counted(tenant) if models.routers else "")
    if limits is not None:
        output.say(f"{tenant} may take: {limited(limits)}")


def _not_counted(tenant: str) -> str:
    """Whether there is such a tenant, routers do not know either: they count whoever asks."""
    return (
        f"no requests of {tenant} among those that routers count (--rates-top): it asks for nothing, or for"
        " less than all of these do"
    )
