"""The one way in which every verb changes the shard map.

The map that deals is fetched, edited, and the edit planned by the version manager, which knows all tenants.
What it would do is printed before anything happens. It is refused, or made the next generation against the
one that was fetched, and then followed to its end, if that is asked for. `--dry-run` stops before it is made.

A version manager of the release before cannot plan: it is told so, and what it would pass over is refused.
"""

from __future__ import annotations

import getpass
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import typer

from croupier.errors import Conflict, FailedPrecondition, NotFound, Unimplemented
from croupier.grpcio.manager import VersionManagerClient
from croupierctl import output, planned
from croupierctl.follow import Following, follow, switched
from croupierctl.how import How
from croupierctl.servers import ask_manager, current
from protos.versions.v1 import versions_pb2 as pb
from sharding.changes import changes
from sharding.edits import Edit
from sharding.generation import Generation
from version_manager.model.wire import generation_from_pb, generation_to_pb

DEFAULT_HAND_SIZE = 4
# Changes that a conflict lists.
_MOST_CHANGES = 20


class Refused(FailedPrecondition):
    """A change that would do more than its words say. The operator's: mend it, or force it."""

    reason = "PLAN_REFUSED"


class StaleChange(Conflict):
    """The map that was to be changed is not active any more. The operator's: see what changed since."""

    reason = "STALE_GENERATION"


@dataclass(frozen=True, slots=True)
class _Change:
    """What deals before, what is wanted, and what that would do; None: nobody can say."""

    before: Generation
    edit: Edit
    rollback_to: int
    plan: pb.Plan | None = None

    @property
    def lines(self) -> list[str]:
        return changes(self.before, self.edit.after)

    @property
    def refusals(self) -> list[str]:
        return [*self.edit.refusals, *(self.plan.refusals if self.plan else ())]


Make: TypeAlias = Callable[[VersionManagerClient, Generation], Awaitable[Edit]]


def change(words: str, make: Make, how: How, *, rollback_to: int = 0) -> None:
    """Have the edit that `make` makes of the active map deal. `words` are the command's, as a reason.

    Raises:
        Refused: the plan says more than the words, and nothing forces it.
        Conflict: another generation became active meanwhile.
        CroupierError: whatever the edit or the version manager refuse.
    """
    if how.force and not how.force.strip():
        raise typer.BadParameter("say why it is forced", param_hint="--force")

    async def work(manager: VersionManagerClient) -> None:
        before = await standing(manager)
        edit = await make(manager, before)
        number = await _apply(manager, _Change(before, edit, rollback_to), words, how)
        if how.dry_run:
            return
        if not (how.watch or how.wait):
            if number > before.number and not (how.ramp or how.cold):
                # It was asked for without a ramp: when this returns, it deals.
                await switched(manager, Following(number, (), how.timeout))
            return
        dealt = {seat.cell for seat in edit.after.seats if not seat.draining}
        gone = tuple(cell for cell in edit.cells if how.wait and cell not in dealt)
        await follow(manager, Following(number, gone, how.timeout))

    with output.json_lines(how.watch or how.wait):
        ask_manager(work)


async def _apply(manager: VersionManagerClient, change: _Change, words: str, how: How) -> int:
    """Plan the change, print that, make it, and print that; returns which generation deals."""
    before, after = change.before, change.edit.after
    if not change.lines:
        _report(change, before.number)
        output.note("nothing changes: no generation was made")
        return before.number
    change = await _planned(manager, change, how)
    if change.plan:
        planned.show(change.plan, change.lines)
    if change.refusals and not how.force:
        _report(change, before.number)
        raise Refused("; ".join(change.refusals))
    for refusal in change.refusals:
        output.note(f"forced: {refusal}")
    if how.dry_run:
        _report(change, before.number)
        output.note("a dry run: nothing was set")
        return before.number
    made = await manager.change_shards(
        pb.SetGenerationRequest(
            generation=_wanted(change),
            rollback_to=change.rollback_to,
            expected_number=before.number,
            reason=how.reason or after.reason or words,
            author=after.author or user(),
            ramp_seconds=how.ramp,
            force=how.force,
            warm=not (how.ramp or how.cold),
            cold=how.cold,
        )
    )
    _report(change, made.number, made.warnings, is_made=True)
    return made.number


async def _planned(manager: VersionManagerClient, change: _Change, how: How) -> _Change:
    """`change` with its plan. The first map of a deployment has none: everybody gets a first hand."""
    if not change.before.number:
        return change
    request = pb.PlanGenerationRequest(
        generation=_wanted(change),
        rollback_to=change.rollback_to,
        expected_number=change.before.number,
        named_cells=change.edit.cells,
    )
    try:
        return replace(change, plan=await manager.plan_generation(request))
    except Unimplemented as error:
        # It would take no notice of these fields.
        for asked, is_asked in (("ramp", how.ramp), ("rollback", change.rollback_to)):
            if is_asked:
                raise Unimplemented(f"this version manager is older, and knows of no {asked}") from error
        output.note("warning: this version manager is older, and cannot say what it will do")
        return change


def _wanted(change: _Change) -> pb.Generation | None:
    """What is sent; of a rollback the version manager has it."""
    return None if change.rollback_to else generation_to_pb(replace(change.edit.after, number=0))


async def standing(manager: VersionManagerClient) -> Generation:
    """What deals, without who made it and why: that says nothing of the next. Number 0: nothing does yet."""
    try:
        found = generation_from_pb(await manager.get_generation())
    except NotFound:
        # The first of a deployment: from now on its seed stays. It fits a JSON number, since a tool
        # that rounded it while somebody edits the map would deal every tenant anew.
        return Generation(0, secrets.randbits(53), DEFAULT_HAND_SIZE, ())
    return replace(found, author="", reason="", at=0.0)


async def stale(manager: VersionManagerClient, active: Generation, base: int) -> StaleChange:
    """That `base` was to be changed and is not active, with what changed since."""
    message = f"generation {active.number} is active, and what is to be set changes {base}"
    try:
        lines = changes(generation_from_pb(await manager.get_generation(base)), active)
    except NotFound:
        return StaleChange(f"{message}, which is not kept any more", current=str(active.number))
    more = [f"and {len(lines) - _MOST_CHANGES} more"] if len(lines) > _MOST_CHANGES else []
    since = "".join(f"\n  {line}" for line in [*lines[:_MOST_CHANGES], *more]) or " nothing but its number"
    return StaleChange(f"{message}; what changed since:{since}", current=str(active.number))


def _report(change: _Change, number: int, doubts: Sequence[str] = (), *, is_made: bool = False) -> None:
    """Print what comes of it; people have seen the plan already, if there is one."""
    before, after = change.before, change.edit.after
    old, new = ({seat.cell for seat in one.seats} for one in (before, after))
    told = output.warnings(doubts)
    if is_made:
        output.say(f"generation {number} deals")
    if not current().as_json and (change.plan or not change.lines):
        return
    fields: dict[str, Any] = {
        "generation": number,
        "made": is_made,
        "seats": len(new),
        "seated": output.listing(sorted(new - old)),
        "unseated": output.listing(sorted(old - new)),
        "draining": output.listing(sorted(seat.cell for seat in after.seats if seat.draining)),
        "changes": output.Shown(change.lines, "\n".join(change.lines)),
        **told,
    }
    if current().as_json:
        plan = planned.told(change.plan) if change.plan else None
        fields |= {"plan": plan, "refusals": change.refusals}
    output.record(fields)


def user() -> str:
    """Who this is, as the system says: where certificates tell, these count."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""
