"""Has an artifact tried as a cell would serve it: by the program `cell.trial`, in a throwaway process."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from croupier.artifacts.apart import Limits, Words, ask
from croupier.artifacts.format import InvalidArtifact
from croupier.artifacts.tables import Table, dump, load

_PROGRAM = "cell.trial"
_TRYING = Words("trying this artifact", "this artifact", "cell", "what the artifact answers")


@dataclass(frozen=True, slots=True)
class Trial:
    """What a cell makes of an artifact: `answers` has a table of all outputs for each table of rows.

    `failures` says why the model had no answer for a table, if it had none. `rows_are_independent`: a row's
    answer is the same whatever rows came with it, and in what order.
    """

    answers: Sequence[Table]
    failures: Sequence[str | None]
    resident_bytes: int
    row_microseconds: float
    rows_are_independent: bool


def try_artifact(artifact: bytes, rows: Sequence[Table], limits: Limits | None = None) -> Trial:
    """Score tables of `rows`, arrays by input, with `artifact`. It blocks, for `limits.wall_seconds` at most.

    Raises:
        InvalidArtifact: no cell can load it, or it crashes or goes beyond a limit on these rows.
    """
    answer = ask(_PROGRAM, {}, [artifact, dump(rows)], limits or Limits(), _TRYING)
    line, _, rest = answer.partition(b"\n")
    try:
        found = Trial(load(rest), **json.loads(line))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidArtifact(f"the trial answered with nonsense: {error}") from error
    if not _is_report(found):
        raise InvalidArtifact("the trial answered with nonsense: a value of another kind")
    return found


def _is_report(found: Trial) -> bool:
    """Whether it has what is declared: the artifact's own code may have answered."""
    return (
        isinstance(found.failures, list)
        and all(isinstance(each, str | None) for each in found.failures)
        and type(found.resident_bytes) is int
        and type(found.row_microseconds) in (int, float)
        and type(found.rows_are_independent) is bool
    )
