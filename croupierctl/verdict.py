"""What `status` and `why` make of answers and faults: lines for people, rows for programs, exit codes."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from croupier.errors import CroupierError, Unavailable, Unimplemented
from croupierctl import output
from croupierctl.seen import Answer, Fault
from protos.versions.v1 import versions_pb2 as pb

WELL, WRONG, UNKNOWN = 0, 1, 2

_FAULTS = 20
_WIDEST = 100


def answer(target: str, told: pb.Status | CroupierError) -> Answer:
    """What the manager at `target` told."""
    return Answer(target, None, failure(told)) if isinstance(told, CroupierError) else Answer(target, told)


def failure(error: CroupierError) -> str:
    """Why a manager does not tell, in few words."""
    if isinstance(error, Unimplemented):
        return "it is of a release before this one"
    if isinstance(error, Unavailable) and error.reason == Unavailable.reason:
        # What gRPC says of it is long, and no more than this.
        return "it cannot be connected to"
    return error.message or error.reason


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is `wrong`, and what is worth knowing."""

    wrong: Sequence[Fault]
    notes: Sequence[Fault]

    @classmethod
    def of(cls, faults: Iterable[Fault]) -> Verdict:
        found = list(faults)
        return cls([one for one in found if one.is_wrong], [one for one in found if not one.is_wrong])

    @property
    def code(self) -> int:
        return WRONG if self.wrong else WELL

    def document(self) -> dict[str, Any]:
        """For programs."""
        return {
            "well": not self.wrong,
            "faults": [asdict(fault) for fault in self.wrong],
            "notes": [{"part": note.part, "name": note.name, "words": note.words} for note in self.notes],
        }

    def say(self, *, everything: bool = False, is_known: bool = True) -> None:
        """For people; the first faults, or all. Unless all `is_known`, to find nothing is not to be well."""
        wrong = self.wrong
        most = len(wrong) if everything else _FAULTS
        for fault in self.notes:
            wrapped("note: ", _sentence(fault.words))
        if self.notes:
            output.say("")
        if not wrong:
            output.say("All is well." if is_known else "Whether anything is wrong is not known.")
            return
        output.say("One thing is wrong:" if len(wrong) == 1 else f"{len(wrong):,} things are wrong:")
        for number, fault in enumerate(wrong[:most], 1):
            output.say("")
            wrapped(f"{number}. ", _sentence(fault.words))
            wrapped("   → ", _sentence(fault.advice))
        if len(wrong) > most:
            output.say(f"\nand {len(wrong) - most:,} more: --all")


def _sentence(words: str) -> str:
    return words if words.endswith("?") else f"{words}."


def wrapped(begin: str, words: str) -> None:
    """Print a paragraph that fits the terminal."""
    width = min(shutil.get_terminal_size((80, 24)).columns, _WIDEST)
    shown = textwrap.wrap(
        # What comes from others must not begin lines of its own.
        " ".join(output.printable(words).split()),
        width,
        initial_indent=begin,
        subsequent_indent=" " * len(begin),
        break_long_words=False,
        break_on_hyphens=False,
    )
    output.say("\n".join(shown))


def rows(columns: Sequence[str], found: list[tuple[Any, ...]], most: int) -> None:
    """Print a table of the first rows, and how many there are besides; nothing without any."""
    if not found:
        return
    output.table(columns, found[:most])
    if len(found) > most:
        output.say(f"and {len(found) - most} more: --all")
    output.say("")


def objects(names: Sequence[str], found: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
    """Rows for programs."""
    return [dict(zip(names, row, strict=True)) for row in found]


def ago(seconds: float) -> output.Shown:
    """How long something is past."""
    shown = f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return output.Shown(seconds, shown if seconds < 600 else f"{seconds / 60:.0f} min")
