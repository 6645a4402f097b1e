"""Comparisons without a process for each: `cell.trial` runs in this one."""

import json
from collections.abc import Sequence
from typing import Any
from unittest import mock

from cell import trial
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
        # What a row takes is of no interest here, and each measurement of it 50 ms.
        mock.patch.object(trial, "_MEASURED_SECONDS", 0.0),
    ):
        return check.check_object(model, artifact, sample)
