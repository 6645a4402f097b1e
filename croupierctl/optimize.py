"""`croupierctl shards optimize`: pins that would spread the load of the heaviest tenants."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Annotated

import typer

from croupier.grpcio.manager import VersionManagerClient
from croupierctl import output
from croupierctl.change import change
from croupierctl.how import How, changing
from croupierctl.servers import ask_manager, current
from protos.versions.v1 import versions_pb2 as pb
from sharding.edits import Edit, between
from sharding.generation import Generation, check_generation
from version_manager.model.wire import generation_from_pb


@changing()
def optimize(
    most: Annotated[
        int, typer.Option("--most", min=1, max=256, help="Tenants that are pinned at most.")
    ] = 256,
    apply: Annotated[bool, typer.Option("--apply", help="Pin them: the next generation.")] = False,
    *,
    how: How,
) -> None:
    """Propose pins for the heaviest tenants.

    They follow from the rates that routers report. Without --apply nothing is changed: with --json these are
    overrides as they stand in a shard map. Pins do not follow the fleet, so take as few as help.
    """
    if apply:

        async def make(manager: VersionManagerClient, active: Generation) -> Edit:
            rules = generation_from_pb(
                pb.Generation(overrides=(await manager.optimize_shards(most)).overrides)
            )
            overrides = {**active.overrides, **rules.overrides}
            return between(active, check_generation(replace(active, overrides=overrides)))

        change(f"shards optimize --most {most} --apply", make, how)
        return
    found = ask_manager(lambda manager: manager.optimize_shards(most))
    pins = {tenant: list(rule.pins) for tenant, rule in sorted(found.overrides.items())}
    if current().as_json:
        rules = generation_from_pb(pb.Generation(overrides=found.overrides)).overrides
        output.emit(
            {
                "active": found.active,
                "balance_before": found.balance_before,
                "balance_after": found.balance_after,
                "overrides": {tenant: asdict(rule) for tenant, rule in sorted(rules.items())},
            }
        )
        return
    rows = [(tenant, output.listing(cells)) for tenant, cells in pins.items()]
    output.table(("tenant", "pins"), rows, empty="no pins would spread the load better than it is dealt")
    if rows:
        output.say("")
        before, after = f"{found.balance_before:.3f}", f"{found.balance_after:.3f}"
        output.say(
            f"the heaviest cell of generation {found.active} carries {before} times the mean, "
            f"with these {after} times"
        )
