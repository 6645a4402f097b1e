"""`croupierctl hand`: a tenant's cells, and how much of them others share."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import typer

from croupier.grpcio.manager import VersionManagerClient
from croupier.names import check_name
from croupierctl import debug_tokens, output, plot
from croupierctl.arguments import Tenant
from croupierctl.blast import as_json, overlaps
from croupierctl.servers import ask_manager, current
from protos.versions.v1 import versions_pb2 as pb
from sharding import overlap
from sharding.dealer import Dealer, Explanation
from sharding.generation import Generation, size_of
from version_manager.model.wire import generation_from_pb


def hand(
    tenant: Tenant,
    with_overlaps: Annotated[
        bool, typer.Option("--overlaps", help="Count how many tenants share how much of it.")
    ] = False,
    picture: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw that: .png, .svg or .pdf.")
    ] = None,
    debug: Annotated[
        str,
        typer.Option(metavar="TOKEN[,…]", help="Say which cell a reply to `croupier-debug: 1` named."),
    ] = "",
) -> None:
    """Show the cells that a tenant was dealt, and the chance that another one shares them."""
    check_name(tenant, "tenant")
    if debug:
        debug_tokens.show(tenant, debug)
        return
    if picture is not None:
        plot.check(picture)

    async def ask(manager: VersionManagerClient) -> tuple[Generation, list[pb.Cell], bool, pb.Blast | None]:
        generation = generation_from_pb(await manager.get_generation())
        models = await manager.list_models(pb.ListModelsRequest(tenant=tenant, page_size=1))
        counted = None
        if with_overlaps or picture is not None:
            counted = await manager.get_blast(pb.GetBlastRequest(tenant=tenant))
        return generation, await manager.list_cells(), bool(models.models), counted

    generation, registered, is_known, counted = ask_manager(ask)
    if picture is not None and counted is not None:
        plot.draw(picture, counted, f"the hand of {tenant}")
    dealt = Dealer(generation).explain(tenant)
    cells = {cell.id: cell for cell in registered}
    shared = overlap_of(generation, dealt)
    rows = [
        (place, seat.cell, seat.zone, *_registered(cells.get(seat.cell)))
        for place, seat in enumerate(dealt.places, 1)
    ]
    columns = ("place", "cell", "zone", "address", "state")
    if current().as_json:
        output.emit(
            {
                "tenant": tenant,
                "has_models": is_known,
                "generation": generation.number,
                "size_rule": dealt.size_rule,
                "dealt_as": dealt.dealt_as,
                "cells": [dict(zip(columns, row, strict=True)) for row in rows],
                "overlap": [float(chance) for chance in shared],
                **({} if counted is None else {"blast": as_json(counted)}),
            }
        )
        return
    if not is_known:
        output.note(
            f"there is no tenant {tenant}: none has a model here. This is the hand that it would be dealt:"
        )
    verb = "deals" if is_known else "would deal"
    output.say(f"generation {generation.number} {verb} {tenant} {rule(dealt)}")
    output.table(columns, rows, empty="the hand is empty: every cell is draining or excluded")
    output.say(blast_radius(generation, dealt))
    if counted is not None:
        output.say("")
        overlaps(counted)
    if picture is not None:
        output.note(f"drawn: {picture}")


def _registered(cell: pb.Cell | None) -> tuple[str, str]:
    return (cell.address, cell.state) if cell is not None else ("", "not registered")


def rule(dealt: Explanation) -> str:
    """Which rules made a hand what it is, in words."""
    count = len(dealt.hand)
    words = f"{count} cell{'s' * (count != 1)} ({_SIZES[dealt.size_rule]})"
    if count < dealt.size:
        words += f", where {dealt.size} were asked for and no more are left"
    if dealt.dealt_as != dealt.tenant:
        words += f", as a member of isolation group {dealt.dealt_as}"
    if dealt.draining:
        words += f"; draining and passed over: {', '.join(dealt.draining)}"
    if dealt.excluded:
        words += f"; kept out: {', '.join(dealt.excluded)}"
    return words


_SIZES = {
    "pins": "they are pinned",
    "tenant": "the tenant's own hand size",
    "dedicated": "all that are dedicated to it",
    "default": "the generation's hand size",
}


def overlap_of(generation: Generation, dealt: Explanation) -> tuple[Fraction, ...]:
    """The chances that a tenant without rules of its own shares 0, 1, … cells with the hand `dealt`.

    Exact where all cells have one weight, for any zones and also for a hand that rules made.
    """
    seats = generation.active()
    zones = Counter(seat.zone for seat in seats)
    # What is dedicated is shared with nobody who has no rules.
    cells = {seat.cell for seat in seats}
    held = Counter(place.zone for place in dealt.places if place.cell in cells)
    size = min(size_of(generation.hand_size, zones.total()), zones.total())
    return overlap.shared_with([held[zone] for zone in zones], list(zones.values()), size)


def blast_radius(generation: Generation, dealt: Explanation) -> str:
    """What a broken hand means for the next tenant, in words."""
    shared = overlap_of(generation, dealt)
    cells = len(generation.active())
    size = min(size_of(generation.hand_size, cells), cells)
    if not dealt.hand:
        return ""
    every = "its only cell" if size == 1 else f"all {size} of its cells"
    # Who has more cells than this hand cannot lose them all with it.
    whole = shared[size] if size < len(shared) else Fraction(0)
    odds = f"with a chance of 1 in {_rounded(float(1 / whole))}" if whole else "never"
    words = (
        f"another tenant shares no cell of this hand with a chance of {float(shared[0]):.4%}, {every} {odds}"
    )
    weights = {seat.weight for seat in generation.active()}
    return words if len(weights) == 1 else f"{words} (as if all cells had one weight)"


def _rounded(odds: float) -> str:
    return f"{odds:,.0f}" if odds >= 1000 else f"{odds:.4g}"
