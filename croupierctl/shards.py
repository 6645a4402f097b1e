"""`croupierctl shards`: the shard map from which every tenant's hand follows."""

from __future__ import annotations

from typing import Annotated

import typer

from croupier.grpcio.manager import VersionManagerClient
from croupierctl import generation_file, output
from croupierctl.arguments import hand_size as hand_size_of
from croupierctl.catalog import report_repair
from croupierctl.change import change
from croupierctl.how import How, changing
from croupierctl.lazy import LazyGroup, Verb
from croupierctl.servers import ask_manager, current
from protos.versions.v1 import versions_pb2 as pb
from sharding.edits import Edit, resize
from sharding.generation import Generation
from version_manager.model.wire import generation_from_pb


class _Shards(LazyGroup):
    verbs = (
        Verb("plan", "croupierctl.apply", "plan", "Say what a shard map from a file would do."),
        Verb("apply", "croupierctl.apply", "apply", "Make a shard map from a file the next generation."),
        Verb("export", "croupierctl.export", "export", "Write the shard map as a file to edit."),
        Verb("schema", "croupierctl.export", "schema", "Print the JSON schema of the file."),
        Verb("optimize", "croupierctl.optimize", "optimize", "Propose pins for the heaviest tenants."),
        Verb("history", "croupierctl.history", "history", "List the generations that are kept."),
        Verb("diff", "croupierctl.history", "diff", "Say what one generation changes in another."),
        Verb("rollback", "croupierctl.history", "rollback", "Have an earlier generation deal again."),
        Verb(
            "ramp",
            "croupierctl.ramp",
            "ramp",
            "Show how far a new map has taken over; hold it, go on, end it.",
        ),
    )


app = typer.Typer(cls=_Shards, no_args_is_help=True)


@app.command()
def show(
    number: Annotated[int, typer.Option(min=0, help="A generation; 0 is the active one.")] = 0,
) -> None:
    """Show a generation: its seats, and the tenants that have rules of their own."""
    found = ask_manager(lambda manager: manager.get_generation(number))
    generation = generation_from_pb(found)
    # Not in the JSON, which is a file for `shards apply`.
    output.warnings(found.warnings)
    if current().as_json:
        output.emit(generation_file.render(generation))
        return
    output.say(f"generation {generation.number}: hands of {generation.hand_size}, seed {generation.seed}")
    seats = sorted(generation.seats, key=lambda seat: (seat.zone, seat.cell))
    output.table(
        ("zone", "cell", "weight", "draining", "dedicated"),
        [(seat.zone, seat.cell, seat.weight, seat.draining, seat.dedicated) for seat in seats],
    )
    if generation.overrides:
        output.say("")
        output.table(
            ("tenant", "pins", "excludes", "hand size", "isolation group"),
            [
                (
                    tenant,
                    output.listing(rule.pins),
                    output.listing(rule.excludes),
                    str(rule.hand_size) if rule.hand_size else None,
                    rule.isolation_group,
                )
                for tenant, rule in sorted(generation.overrides.items())
            ],
        )


@app.command("hand-size")
@changing()
def hand_size(
    size: Annotated[
        str,
        typer.Argument(metavar="N|N%", help="How many cells, or a share of them as 20%.", show_default=False),
    ],
    least: Annotated[int, typer.Option("--min", min=0, help="With a share: so many cells at least.")] = 0,
    *,
    how: How,
) -> None:
    """Say how many cells the hand of a tenant without a size of its own has. This is about everybody."""
    wanted = hand_size_of(size, least)

    async def make(manager: VersionManagerClient, active: Generation) -> Edit:
        return resize(active, wanted)

    change(f"shards hand-size {size}{f' --min {least}' if least else ''}", make, how)


@app.command()
def reseed(
    force: Annotated[
        str,
        typer.Option(
            metavar="REASON", help="Why every tenant is to be dealt a new hand.", show_default=False
        ),
    ],
) -> None:
    """Deal every tenant a new hand: the same shard map under a new seed.

    Nobody keeps the cells where the models are loaded; the hands that stood before are looked back to.
    """

    async def change(manager: VersionManagerClient) -> tuple[Generation, Generation]:
        before = await manager.get_generation()
        made = await manager.reseed_shards(before.number, force)
        return generation_from_pb(before), generation_from_pb(made)

    before, after = ask_manager(change)
    output.record({"generation": after.number, "seed": after.seed, "seed before": before.seed})


@app.command()
def repair() -> None:
    """Write the shard map that is served back to etcd, where it is damaged there.

    If none is served, since the managers do not remember one, the newest that etcd has becomes active.
    """

    async def change(manager: VersionManagerClient) -> tuple[pb.RepairResponse, pb.Generation]:
        return await manager.repair(shards_only=True), await manager.get_generation()

    done, active = ask_manager(change)
    report_repair(done, generation=active.number, seats=len(active.seats))
