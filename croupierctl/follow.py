"""Follows a change of the shard map until all tenants have moved, or says why it comes to no end.

It has come to its end when the generation deals to all tenants and every router that reports answers from it;
models are loaded as they are asked for, which has no end. A cell that is waited for is done when moreover no
hand has it and it has had no request for some seconds: ten, which is what cells report of.

People see a bar, programs a line of JSON for each step, and logs a line of words.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from croupier.errors import Conflict, DeadlineExceeded, FailedPrecondition, Unavailable, Unimplemented
from croupier.grpcio.manager import VersionManagerClient
from croupierctl import output
from croupierctl.seen import some, span
from croupierctl.servers import current
from protos.versions.v1 import versions_pb2 as pb
from sharding.ramp import WHOLE

POLL_SECONDS = 1.0
# What waits for nothing but cells that load is there soon.
_SWITCH_SECONDS = 0.2


class RampHeld(FailedPrecondition):
    """The ramp does not go on by itself. The operator's: see why, then resume it or roll it back."""

    reason = "RAMP_HELD"


class Superseded(Conflict):
    """Another generation became active while this one was followed. The operator's."""

    reason = "STALE_GENERATION"


class NotSettled(DeadlineExceeded):
    """It was followed for as long as was said, and has not come to its end. The operator's."""

    reason = "NOT_SETTLED"


@dataclass(frozen=True, slots=True)
class Following:
    """Generation `number`, until `cells` have nothing left to do, for `timeout` seconds at most."""

    number: int
    cells: tuple[str, ...]
    timeout: float


@dataclass(frozen=True, slots=True)
class Step:
    """How far it is: `ramp` in basis points and why it is `held`, who is `behind`, and what is `left`.

    `loading` are models that cells load now. Of `to_warm` that they load before anybody moves, `warmed` are.
    """

    number: int
    ramp: int = WHOLE
    held: str = ""
    routers: int = 0
    behind: tuple[str, ...] = ()
    loading: int = 0
    left: tuple[str, ...] = ()
    warmed: int = 0
    to_warm: int = 0

    @property
    def is_done(self) -> bool:
        return self.ramp >= WHOLE and not (self.behind or self.left)

    @property
    def done(self) -> int:
        """Of 10,000."""
        if self.is_done:
            return WHOLE
        there = WHOLE if not self.routers else WHOLE * (self.routers - len(self.behind)) // self.routers
        return min(self.ramp if self.ramp < WHOLE else there, WHOLE - 1)

    @property
    def is_warming(self) -> bool:
        """Whether nobody moves before cells have loaded more."""
        return not self.ramp and self.warmed < self.to_warm

    def words(self) -> str:
        """What is left, for people."""
        if self.is_done:
            return f"generation {self.number} deals to all, and everybody has followed it"
        said = [
            f"generation {self.number} deals to {self.ramp / 100:g} % of the tenants"
            if self.ramp < WHOLE
            else "",
            f"warming {self.warmed:,} of {self.to_warm:,}" if self.is_warming else "",
            f"{len(self.behind)} of {self.routers} routers do not answer from it yet: {some(self.behind)}"
            if self.behind
            else "",
            f"cells load {self.loading} models" if self.loading else "",
            *self.left,
        ]
        return "; ".join(filter(None, said))

    def told(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "generation": self.number,
            "ramp": self.ramp,
            "held": self.held,
            "routers": self.routers,
            "behind": [*self.behind],
            "loading": self.loading,
            "warmed": self.warmed,
            "to_warm": self.to_warm,
            "left": [*self.left],
            "done": self.is_done,
        }


async def follow(manager: VersionManagerClient, what: Following) -> None:
    """Show how far generation `what.number` is until it has come to its end.

    Raises:
        RampHeld: it stands.
        Superseded: another generation is active.
        NotSettled: it took longer than it may.
    """
    give_up = time.monotonic() + what.timeout
    words = "its state is not known yet: no version manager answers"
    with _shown() as show:
        while True:
            try:
                step = await _look(manager, what)
            except Unavailable as error:
                # Managers may be restarted meanwhile, and what they had heard comes again.
                words = f"{words.removesuffix(f' ({error})')} ({error})"
            else:
                words = step.words()
                show(step)
                if step.held:
                    raise RampHeld(f"the ramp of generation {what.number} is held: {step.held}")
                if step.is_done:
                    return
            if time.monotonic() >= give_up:
                raise NotSettled(f"it has not settled within {span(what.timeout)}: {words}")
            await asyncio.sleep(POLL_SECONDS)


async def switched(manager: VersionManagerClient, what: Following) -> None:
    """Wait until generation `what.number` deals to all, or another one does; say what that waits for.

    Raises:
        RampHeld: it stands.
        NotSettled: it took longer than it may.
    """
    give_up, said = time.monotonic() + what.timeout, ""
    while True:
        try:
            status = await manager.get_status()
        except Unimplemented:
            # One of a release before, which waits for nothing.
            return
        except Unavailable:
            status = pb.Status()
        step = step_of(what, status)
        if status.generation > what.number or (status.generation == what.number and step.ramp >= WHOLE):
            return
        if step.held:
            raise RampHeld(f"generation {what.number} does not deal yet: {step.held}")
        if step.is_warming and (words := f"warming {step.warmed:,} of {step.to_warm:,}") != said:
            output.note(said := words)
        if time.monotonic() >= give_up:
            raise NotSettled(f"generation {what.number} does not deal to all within {span(what.timeout)}")
        await asyncio.sleep(min(POLL_SECONDS, _SWITCH_SECONDS))


async def _look(manager: VersionManagerClient, what: Following) -> Step:
    status = await manager.get_status()
    if status.generation > what.number:
        raise Superseded(
            f"generation {status.generation} became active while {what.number} was followed",
            current=str(status.generation),
        )
    found = step_of(what, status)
    if not found.is_done:
        return found
    held = [(cell, await _tenants(manager, cell)) for cell in what.cells]
    left = tuple(f"{cell} is in the hands of {count} tenants" for cell, count in held if count)
    return Step(found.number, routers=found.routers, left=left) if left else found


async def _tenants(manager: VersionManagerClient, cell: str) -> int:
    try:
        return (await manager.list_cell_tenants(pb.ListCellTenantsRequest(cell=cell, top=1))).tenants_total
    except Unimplemented:
        # A manager that is older; it deals what drains to nobody all the same.
        return 0


def step_of(what: Following, status: pb.Status) -> Step:
    """How far it is, by what a version manager says. Pure."""
    if status.generation != what.number:
        return Step(what.number, left=("the version manager that answers has not heard of it yet",))
    ramp = status.ramp if status.HasField("ramp") else None
    routers = [one.report for one in status.routers if not one.report.leaving]
    behind = sorted(one.address or one.id for one in routers if one.generation != what.number)
    waited = {one.cell.id: one for one in status.cells if one.cell.id in what.cells}
    return Step(
        number=what.number,
        ramp=ramp.basis_points if ramp else WHOLE,
        held=ramp.paused if ramp else "",
        routers=len(routers),
        behind=tuple(behind),
        loading=sum(one.cell.load.loading for one in status.cells if one.registered),
        warmed=ramp.warmed if ramp else 0,
        to_warm=ramp.to_warm if ramp else 0,
        left=tuple(filter(None, (_left(waited.get(cell), cell) for cell in what.cells))),
    )


def _left(cell: pb.CellStatus | None, name: str) -> str:
    """What a cell that is waited for has left to do, in words."""
    if cell is None or not cell.registered:
        return ""
    work = cell.cell.load.work
    if not cell.cell.load.HasField("work"):
        return f"{name} does not say what it is asked for"
    return f"{name} had {work.requests} requests in the last {span(work.seconds)}" if work.requests else ""


_Show: TypeAlias = Callable[[Step], None]


@contextmanager
def _shown() -> Iterator[_Show]:
    """What prints a step: as a line of JSON, a bar, or a line of words if it is other than the last one."""
    bar = None if current().as_json else output.bar()
    if bar is not None:
        with bar:
            task = bar.add_task("", total=WHOLE)
            yield lambda step: bar.update(
                task, completed=step.done, description=output.printable(step.words())
            )
        return
    last = ""

    def show(step: Step) -> None:
        nonlocal last
        if current().as_json:
            output.emit({"progress": step.told()})
        elif (words := step.words()) != last:
            output.note(words)
            last = words

    yield show
