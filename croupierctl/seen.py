"""What version managers tell of a deployment, each thing once, and what a fault is: pure.

What several managers tell of one thing is one: who heard it last is believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from protos.versions.v1 import versions_pb2 as pb

# Cells and routers report once a second.
CELL_SILENCE = 3.5
ROUTER_SILENCE = 4.0


@dataclass(frozen=True, slots=True)
class Fault:
    """A sentence that names the thing, and one that says what to do about it; a note has no `advice`.

    `part`: etcd, manager, record, router, cell, map, store, tenant, model, certificate or release.
    """

    part: str
    name: str
    words: str
    advice: str = ""

    @property
    def is_wrong(self) -> bool:
        return bool(self.advice)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the manager at `target` told, or why it did not."""

    target: str
    status: pb.Status | None
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """All that was told, each thing once: by the manager that heard it last."""

    answers: Sequence[Answer]

    @property
    def told(self) -> list[tuple[str, pb.Status]]:
        return [(answer.target, answer.status) for answer in self.answers if answer.status is not None]

    @property
    def cells(self) -> dict[str, pb.CellStatus]:
        found: dict[str, pb.CellStatus] = {}
        for _, status in self.told:
            for cell in status.cells:
                known = found.get(cell.cell.id)
                if known is None or _freshness(cell) < _freshness(known):
                    found[cell.cell.id] = cell
        return found

    @property
    def routers(self) -> dict[str, pb.RouterStatus]:
        found: dict[str, pb.RouterStatus] = {}
        for _, status in self.told:
            for router in status.routers:
                known = found.get(router.report.id)
                behind = router.behind or (known is not None and known.behind)
                if known is None or router.heard < known.heard:
                    known = found[router.report.id] = router
                known.behind = behind
        return found


@dataclass(frozen=True, slots=True)
class Word:
    """What `router` says of a cell."""

    router: str
    trouble: pb.CellTrouble


def words(seen: Seen) -> dict[str, list[Word]]:
    """By cell, of routers that report: what they had to say a moment ago, they would say now."""
    found: dict[str, list[Word]] = {}
    for name, router in sorted(seen.routers.items()):
        if router.heard > ROUTER_SILENCE:
            continue
        for trouble in router.report.troubles.cells:
            told = pb.CellTrouble()
            told.CopyFrom(trouble)
            if told.opened:
                told.seconds += router.heard
                told.failed_ago += router.heard
            found.setdefault(trouble.cell, []).append(Word(router.report.address or name, told))
    return found


def _freshness(cell: pb.CellStatus) -> tuple[bool, bool, float]:
    """What sorts the word of the manager that knows most first."""
    return not cell.registered, not cell.HasField("heard"), cell.heard


def span(seconds: float) -> str:
    """A duration in words that fit a sentence."""
    seconds = max(0.0, seconds)
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def state(cell: pb.Cell) -> str:
    """Its state in a word: one that is warming drains for who knows no such state."""
    return "warming" if cell.warming else cell.state


def some(names: Sequence[str], most: int = 3) -> str:
    """The first of `names`, and how many more there are."""
    named = ", ".join(names[:most])
    return f"{named} and {len(names) - most} more" if len(names) > most else named
