"""`croupierctl shards history`, `diff` and `rollback`: what the shard map was, and to make it so again."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from croupier.errors import InvalidRequest
from croupier.grpcio.manager import VersionManagerClient
from croupierctl import output
from croupierctl.change import change
from croupierctl.how import How, changing
from croupierctl.servers import ask_manager, current
from protos.versions.v1 import versions_pb2 as pb
from sharding.changes import changes
from sharding.edits import Edit
from sharding.generation import Generation
from version_manager.model.wire import generation_from_pb


class NothingBefore(InvalidRequest):
    """It is not known which generation dealt before. The operator's: say which."""

    reason = "NOTHING_BEFORE"


def history() -> None:
    """List the generations that are kept."""
    found = ask_manager(VersionManagerClient.get_shard_history)
    if current().as_json:
        output.table(
            ("generation", *_COLUMNS), [(one.number, *_row(one), [*one.changes]) for one in found.generations]
        )
        return
    output.table(
        ("generation", *_COLUMNS), [(one.number, *_row(one), _changes(one)) for one in found.generations]
    )


_COLUMNS = ("at", "author", "reason", "seats", "overrides", "changes total", "changes")


def _row(one: pb.PastGeneration) -> tuple[object, ...]:
    return (
        output.moment(one.at),
        one.author,
        one.reason,
        one.seats,
        one.overrides,
        one.changes_total,
    )


def _changes(one: pb.PastGeneration) -> str:
    """The first, and that there are more."""
    first = next(iter(one.changes), "")
    return f"{first}, …" if one.changes_total > 1 else first


def diff(
    before: Annotated[int, typer.Argument(min=1, metavar="G1", help="A generation.", show_default=False)],
    after: Annotated[
        int, typer.Argument(min=0, metavar="[G2]", help="Another one; 0 is the active one.")
    ] = 0,
) -> None:
    """Say what one generation changes in another."""

    async def ask(manager: VersionManagerClient) -> tuple[Generation, Generation]:
        old, new = await manager.get_generation(before), await manager.get_generation(after)
        return generation_from_pb(old), generation_from_pb(new)

    old, new = ask_manager(ask)
    lines = changes(old, new)
    if current().as_json:
        output.emit({"before": old.number, "after": new.number, "changes": lines})
        return
    for line in lines:
        output.say(line)
    if not lines:
        output.note(f"generation {new.number} deals as {old.number} does")


@changing()
def rollback(
    to: Annotated[
        int, typer.Option("--to", min=0, help="The generation whose content is to deal; 0: the one before.")
    ] = 0,
    *,
    how: How,
) -> None:
    """Have an earlier generation deal again.

    Its content becomes the next one, so this can be undone too. It may also be done while a ramp runs,
    which ends with it.
    """

    async def find(manager: VersionManagerClient) -> int:
        active = await manager.get_generation()
        if not (to or active.previous):
            raise NothingBefore(
                f"generation {active.number} does not say which one was before: "
                "give --to, and see `croupierctl shards history`",
                field="to",
            )
        return to or int(active.previous)

    number = ask_manager(find)

    async def make(manager: VersionManagerClient, active: Generation) -> Edit:
        found = generation_from_pb(await manager.get_generation(number))
        # Who made it then, and why, says nothing of this.
        after = replace(found, author="", reason="")
        # It was right once: it may move whatever it moved then. Nobody is left without a cell all the same.
        return Edit(after, tuple(dict.fromkeys(s.cell for one in (active, after) for s in one.seats)))

    change(f"shards rollback --to {number}", make, how, rollback_to=number)
