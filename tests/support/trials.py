"""Comparisons without a process for each: `cell.trial` runs in this one.

A test that compares a model's answers with its library's asks by `answers`, or for a frame's rows `asked`:
so there is none that leaves out the rows beside each threshold, coefficient and category.
"""

import json
from collections.abc import Sequence
from typing import Any
from unittest import mock

from support import pipelines
from support.forests import Array, scored

from cell import trial
from croupier.artifacts.format import digest_of
from croupier.artifacts.packers.checks import check, made
from croupier.artifacts.packers.trial import Trial
from croupier.artifacts.tables import Table, dump, load


def try_here(artifact: bytes, rows: Sequence[Table], limits: Any = None) -> Trial:
    """As `croupier.artifacts.packers.trial.try_artifact`."""
    line, _, rest = trial._tried({}, [artifact, dump(rows)]).partition(b"\n")
    return Trial(load(rest), **json.loads(line))


def compared(model: Any, artifact: bytes, sample: Any = None, *, nodes: int = 60) -> check.Report:
    """Compare `artifact` with the object that it was packed from, on rows for some of its nodes."""
    with (
        mock.patch.object(check, "try_artifact", try_here),
        mock.patch.object(made, "MOST_NODES", nodes),
        # What a row takes is of no interest here, and each measurement of it takes time.
        mock.patch.object(trial, "_MEASURED_SECONDS", 0.0),
    ):
        return check.check_object(model, artifact, sample)


_SEEN: set[tuple[int, bytes]] = set()


def answers(model: Any, artifact: bytes, rows: Array) -> dict[str, Array]:
    """What a cell answers to `rows`, once `artifact` has been compared with `model` on its own rows."""
    _once(model, artifact)
    return scored(artifact, rows)


def asked(model: Any, artifact: bytes, frame: Any) -> dict[str, Any]:
    """The same of a frame's rows, as a caller would send them.

    Raises:
        InvalidRequest: the model does not take one of them.
    """
    _once(model, artifact)
    return pipelines.asked(artifact, frame)


def _once(model: Any, artifact: bytes) -> None:
    """Tests ask one artifact for several sets of rows."""
    key = id(model), digest_of(artifact)
    if key not in _SEEN:
        compared(model, artifact, nodes=20)
        _SEEN.add(key)
