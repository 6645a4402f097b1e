"""`croupierctl cells drain`, `undrain`, `replace`, `add`, `remove`, and `croupierctl zones`: who is dealt."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Annotated, TypeAlias

import typer

from croupier.errors import FailedPrecondition, NotFound
from croupier.grpcio.manager import VersionManagerClient
from croupierctl.arguments import hand_size as hand_size_of
from croupierctl.change import Make, change
from croupierctl.how import How, changing
from protos.versions.v1 import versions_pb2 as pb
from sharding import edits
from sharding.edits import Edit
from sharding.generation import Generation, Seat
from version_manager.model.fleet import CellState

app = typer.Typer(no_args_is_help=True)

Cell: TypeAlias = Annotated[str, typer.Argument(metavar="ID", help="A cell.", show_default=False)]
Cells: TypeAlias = Annotated[list[str], typer.Argument(metavar="ID...", help="Cells.", show_default=False)]
Zone: TypeAlias = Annotated[str, typer.Argument(metavar="ZONE", help="A zone.", show_default=False)]


class UnknownCell(NotFound):
    """No cell of that name is registered. The operator's: start it first, or mend the name."""

    reason = "UNKNOWN_CELL"


class NoCells(FailedPrecondition):
    """No cell is registered at all. The operator's: start some."""

    reason = "NO_CELLS"


@changing(wait=True)
def drain(cells: Cells, how: How) -> None:
    """Deal cells to nobody, so that they can be stopped.

    Each hand that has one gets another cell instead. Their seats stay, and `cells undrain` gives every
    hand back as it was. Stop a cell when --wait returns.
    """
    change(_words("cells drain", cells), _edit(edits.drain, cells), how)


@changing()
def undrain(cells: Cells, how: How) -> None:
    """Deal drained cells again.

    Every hand is as it was before.
    """
    change(_words("cells undrain", cells), _undrain(lambda _: cells), how)


@changing(wait=True)
def replace_cell(
    old: Annotated[str, typer.Argument(metavar="OLD", help="The cell that goes.", show_default=False)],
    new: Annotated[
        str, typer.Argument(metavar="NEW", help="A registered cell without a seat.", show_default=False)
    ],
    how: How,
) -> None:
    """Seat a cell in the place of another one.

    Also where tenants' rules name it. Stop the old one when --wait returns; until then, models that are
    loaded there serve on.
    """

    async def make(manager: VersionManagerClient, active: Generation) -> Edit:
        edits.known(active, [old])
        (seat,) = _seats(await manager.list_cells(), [new])
        return edits.swap(active, old, seat)

    change(f"cells replace {old} {new}", make, how)


@changing()
def add(
    cells: Annotated[
        list[str], typer.Argument(metavar="[ID...]", help="Registered cells.", show_default=False)
    ] = [],  # noqa: B006 - typer copies defaults, and needs them here
    every: Annotated[bool, typer.Option("--all", help="All that are registered and have no seat.")] = False,
    hand_size: Annotated[
        str, typer.Option(metavar="N|N%", help="Cells in a hand, of the first map of a deployment.")
    ] = "",
    *,
    how: How,
) -> None:
    """Seat registered cells: they are dealt from now on.

    They draw tenants from all others. Cells that are down keep their seats, and weights, draining and
    overrides stay. A cell that is in another zone than its seat has its seat moved there. The first time,
    this makes the deployment's shard map.
    """
    if bool(cells) == every:
        raise typer.BadParameter("name cells, or give --all", param_hint="ID")
    size = hand_size_of(hand_size) if hand_size else 0

    async def make(manager: VersionManagerClient, active: Generation) -> Edit:
        registered = await manager.list_cells()
        edit = edits.add(active, _seats(registered, cells or [cell.id for cell in registered]))
        if drained := sorted({seat.cell for seat in active.seats if seat.draining} & {*cells}):
            raise edits.SeatTaken(f"{', '.join(drained)} has a seat, which drains: croupierctl cells undrain")
        if size and active.number and size != active.hand_size:
            raise FailedPrecondition("--hand-size is for the first map: croupierctl shards hand-size")
        return replace(edit, after=replace(edit.after, hand_size=size)) if size else edit

    change(_words("cells add", cells or ["--all"]), make, how)


@changing(ramp=False)
def remove(cells: Cells, how: How) -> None:
    """Take the seats of cells away that are gone for good.

    Drain them first: then nobody moves.
    """
    change(_words("cells remove", cells), _edit(edits.remove, cells), how)


@app.command("drain")
@changing(wait=True)
def drain_zone(zone: Zone, how: How) -> None:
    """Deal no cell of a zone any more: hands are dealt from the others."""

    async def make(manager: VersionManagerClient, active: Generation) -> Edit:
        return edits.drain(active, edits.in_zone(active, zone))

    change(f"zones drain {zone}", make, how)


@app.command("undrain")
@changing()
def undrain_zone(zone: Zone, how: How) -> None:
    """Deal all cells of a zone again: every hand is as it was before."""
    change(f"zones undrain {zone}", _undrain(lambda active: edits.in_zone(active, zone)), how)


def _edit(edit: Callable[[Generation, Sequence[str]], Edit], cells: Sequence[str]) -> Make:
    async def make(manager: VersionManagerClient, active: Generation) -> Edit:
        return edit(active, cells)

    return make


def _undrain(cells_of: Callable[[Generation], Sequence[str]]) -> Make:
    async def make(manager: VersionManagerClient, active: Generation) -> Edit:
        cells = cells_of(active)
        edit = edits.undrain(active, cells)
        there = {cell.id for cell in await manager.list_cells()}
        gone = [cell for cell in cells if cell not in there]
        # Tenants would be dealt what does not answer.
        refusals = (f"not registered: {', '.join(gone)}",) if gone else ()
        return replace(edit, refusals=refusals)

    return make


def _seats(registered: Sequence[pb.Cell], wanted: Iterable[str]) -> list[Seat]:
    """Seats for registered cells. Raises UnknownCell, NoCells."""
    if not registered:
        raise NoCells("no cell is registered: start cells with --manager first")
    cells = {cell.id: cell for cell in registered}
    for name in wanted:
        if name not in cells:
            raise UnknownCell(f"no cell {name} is registered{edits.guess(name, cells)}")
    return [
        Seat(cell.id, cell.zone, cell.weight, draining=not cell.warming and cell.state != CellState.ACTIVE)
        for cell in (cells[name] for name in dict.fromkeys(wanted))
    ]


def _words(verb: str, cells: Sequence[str]) -> str:
    return f"{verb} {' '.join(cells)}"
