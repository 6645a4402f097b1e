"""`croupierctl shards ramp`: how far a new shard map has taken over, and to hold it, go on, or end it."""

from __future__ import annotations

from typing import Annotated

import typer

from croupier.grpcio.manager import VersionManagerClient
from croupierctl import output
from croupierctl.change import user
from croupierctl.how import Reason
from croupierctl.servers import ask_manager
from protos.versions.v1 import versions_pb2 as pb


def ramp(
    pause: Annotated[bool, typer.Option("--pause", help="Hold it where it is.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with one that is held.")] = False,
    finish: Annotated[bool, typer.Option("--finish", help="All tenants now.")] = False,
    reason: Reason = "",
) -> None:
    """Show how far a new map has taken over; hold it, go on, end it.

    To take it back: `croupierctl shards rollback`.
    """
    actions = [
        action
        for is_wanted, action in (
            (pause, pb.SetRampRequest.PAUSE),
            (resume, pb.SetRampRequest.RESUME),
            (finish, pb.SetRampRequest.FINISH),
        )
        if is_wanted
    ]
    if len(actions) > 1:
        raise typer.BadParameter("give one of --pause, --resume and --finish")

    async def work(manager: VersionManagerClient) -> tuple[int, pb.Ramp | None]:
        active = await manager.get_generation()
        if not actions:
            return active.number, active.ramp if active.HasField("ramp") else None
        verb = pb.SetRampRequest.Action.Name(actions[0]).lower()
        return active.number, await manager.set_ramp(
            pb.SetRampRequest(
                expected_number=active.number,
                action=actions[0],
                reason=reason or f"shards ramp --{verb}",
                author=user(),
            )
        )

    number, found = ask_manager(work)
    if found is None:
        found = pb.Ramp(active=number, basis_points=10_000)
    output.record(
        {
            "generation": number,
            "previous": found.previous or None,
            "tenants": output.share(found.basis_points),
            "seconds": found.seconds,
            "held": found.paused,
            "author": found.author,
            "reason": found.reason,
            "at": output.moment(found.at),
        }
    )
