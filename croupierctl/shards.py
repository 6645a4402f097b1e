"""`croupierctl shards`: the shard map from which every tenant's hand follows."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from croupier.errors import Conflict, FailedPrecondition, NotFound
from croupier.grpcio.manager import VersionManagerClient
from croupierctl import generation_file, output
from croupierctl.catalog import report_repair
from croupierctl.servers import ask_manager, current
from protos.versions.v1 import versions_pb2 as pb
from sharding.changes import changes
from sharding.generation import Generation, Seat, check_generation
from version_manager.model.fleet import CellState
from version_manager.model.wire import generation_from_pb, generation_to_pb

app = typer.Typer(no_args_is_help=True)

_DEFAULT_HAND_SIZE = 4


@app.command()
def show(
    number: Annotated[int, typer.Option(min=0, help="A generation; 0 is the active one.")] = 0,
) -> None:
    """Show a generation: its seats, and the tenants that have rules of their own."""
    found = ask_manager(lambda manager: manager.get_generation(number))
    generation = generation_from_pb(found)
    # Not in the JSON, which is a file for `shards set`.
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


@app.command("set")
def set_generation(
    file: Annotated[
        Path | None,
        typer.Argument(
            exists=True,
            dir_okay=False,
            help="A JSON file as `shards --json show` prints it.",
            show_default=False,
        ),
    ] = None,
    from_cells: Annotated[
        bool, typer.Option("--from-cells", help="Seat the cells that are registered and have no seat.")
    ] = False,
    unseat: Annotated[
        list[str], typer.Option(metavar="CELL", help="With --from-cells: take a seat away; repeat it.")
    ] = [],  # noqa: B006 - typer copies defaults, and needs them here
    hand_size: Annotated[int, typer.Option(min=0, help="Cells in a hand; 0 keeps what stands.")] = 0,
    base: Annotated[
        int, typer.Option(min=0, help="The generation that is changed, if not the one that the file says.")
    ] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would change, and stop.")] = False,
) -> None:
    """Make the next generation and activate it, and show what it changes. Tenants' hands follow at once.

    A file is a whole map: seats, overrides (pins, excludes, hand_size, isolation_group by tenant), hand size;
    what it leaves out stays. It changes the generation whose number it has: if another one is active by now,
    that is a conflict. --from-cells adds seats and takes none away: cells that are down keep theirs, and
    weights, draining and overrides stay. What changes nothing makes no generation.
    """
    if (file is None) == (not from_cells) or (unseat and not from_cells):
        raise typer.BadParameter("give either a file or --from-cells; --unseat goes with the latter")
    data = file.read_bytes() if file else None

    async def change(manager: VersionManagerClient) -> tuple[Generation, Generation, list[str]]:
        active = await _active(manager)
        if data is None:
            # Who made the active one, and why, says nothing of the next.
            new = replace(seat_cells(active, await manager.list_cells(), unseat), author="", reason="")
        else:
            new = generation_file.parse(data, active)
        expected = _base(active, base or new.number)
        new = check_generation(_sized(replace(new, number=0), hand_size))
        if dry_run or not changes(active, new):
            return active, replace(new, number=active.number), []
        made = await manager.set_generation(generation_to_pb(new), expected_number=expected)
        return active, generation_from_pb(made), list(made.warnings)

    before, after, doubts = ask_manager(change)
    _report(before, after, doubts, is_dry=dry_run)


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


def seat_cells(active: Generation, cells: list[pb.Cell], unseat: Sequence[str] = ()) -> Generation:
    """`active` with seats for the registered cells that have none, and without those of `unseat`.

    A seat that stands stays as it is, whether its cell is registered or not; its zone follows the cell.

    Raises:
        FailedPrecondition: no cell is registered.
        NotFound: a cell of `unseat` has no seat.
    """
    if not cells:
        raise FailedPrecondition("no cell is registered: start cells with --manager first")
    seated = {seat.cell: seat for seat in active.seats}
    if unknown := sorted({*unseat} - seated.keys()):
        raise NotFound(f"{', '.join(unknown)} has no seat in generation {active.number}")
    for cell in cells:
        fresh = Seat(cell.id, cell.zone, cell.weight, draining=cell.state != CellState.ACTIVE)
        seated[cell.id] = replace(seated.get(cell.id, fresh), zone=cell.zone)
    seats = tuple(seat for name, seat in sorted(seated.items()) if name not in unseat)
    return replace(active, seats=seats)


def _base(active: Generation, base: int) -> int:
    """The number to compare with; the first generation changes none. Raises Conflict, InvalidFile."""
    if active.number and not base:
        raise generation_file.InvalidFile(
            "the file does not say which generation it changes: give it a number, as "
            f"`croupierctl shards show --json` prints it, or give --base; {active.number} is active",
            field="number",
        )
    if active.number and base != active.number:
        raise Conflict(
            f"generation {active.number} is active, and what is to be set changes {base}",
            reason="STALE_GENERATION",
        )
    return base


async def _active(manager: VersionManagerClient) -> Generation:
    try:
        return generation_from_pb(await manager.get_generation())
    except NotFound:
        # The first of a deployment: from now on its seed stays. It fits a JSON number, since a tool
        # that rounded it while somebody edits the map would deal every tenant anew.
        return Generation(0, secrets.randbits(53), _DEFAULT_HAND_SIZE, ())


def _sized(generation: Generation, hand_size: int) -> Generation:
    return replace(generation, hand_size=hand_size) if hand_size else generation


def _report(before: Generation, after: Generation, doubts: list[str], *, is_dry: bool) -> None:
    old = {seat.cell for seat in before.seats}
    new = {seat.cell for seat in after.seats}
    found = changes(before, after)
    output.record(
        {
            "generation": after.number,
            "hand size": output.Shown(generation_file.render(after)["hand_size"], str(after.hand_size)),
            "seats": len(after.seats),
            "seated": output.listing(sorted(new - old)),
            "unseated": output.listing(sorted(old - new)),
            "draining": output.listing(sorted(seat.cell for seat in after.seats if seat.draining)),
            "changes": output.Shown(found, "\n".join(found)),
            **output.warnings(doubts),
        }
    )
    if not found:
        output.note("nothing changes: no generation was made")
    elif is_dry:
        output.note("a dry run: nothing was set")
