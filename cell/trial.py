"""Scores rows with one artifact, as a cell would, in a process that is thrown away: `python -m cell.trial`.

Before an artifact is published, `croupier.artifacts` starts this program and sends it the artifact with
tables of rows (`croupier.artifacts.apart` and `.tables`). It loads the artifact into an arena with a cell's
own engines and answers with all outputs, what the model keeps in memory, what a row takes, and whether a
row's answer is its own: rows are scored all together, then from the last to the first, then some of them
alone. What hangs, crashes or eats memory here would have done so in a cell.

Engines that score packed bytes must answer each row with the same bits whatever comes with it. ONNX Runtime
sums in another order for another number of rows, which moves the last bits and no more.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import NoReturn

import numpy as np

from cell.codec.signature import Array, Arrays
from cell.engines import Scorer
from cell.engines.every import engines
from cell.engines.native import Native
from croupier.artifacts.apart import Task, serve
from croupier.artifacts.engines import NATIVE
from croupier.artifacts.format import InvalidArtifact, digest_of, view
from croupier.artifacts.tables import dump, load
from croupier.errors import CroupierError

_ALONE = 64
_MEASURED_ROWS = 256
_MEASURED_SECONDS = 0.05
# Of the largest number that an output has.
_CLOSE = 1e-5


def main() -> NoReturn:
    """Serve one task, and end the process."""
    serve(_tried, refused="the artifact cannot be tried")


def _tried(task: Task, parts: list[bytes]) -> bytes:
    """One line of JSON, then the outputs: a table for each of the rows, empty where the model failed."""
    artifact = view(parts[0])
    tables = load(parts[1])
    try:
        scorer = engines().get(artifact.engine).load(artifact, digest_of(parts[0]))
    except CroupierError as error:
        raise InvalidArtifact(error.message) from error
    names = [tensor.name for tensor in artifact.outputs]
    exact = artifact.engine in NATIVE
    answers: list[Arrays] = []
    failures: list[str | None] = []
    independent = True
    for rows in tables:
        try:
            # The cell's general way refuses, too, what the steps of a pipeline do.
            taken = scorer.admitted(rows, "inputs") if isinstance(scorer, Native) else rows
            answers.append(scorer.score(taken, names))
            independent = independent and _rows_are_independent(scorer, rows, answers[-1], exact)
            failures.append(None)
        except CroupierError as error:
            answers[len(failures) :] = [{}]
            failures.append(error.message)
    worked = [rows for rows, failure in zip(tables, failures, strict=True) if failure is None]
    report = {
        "failures": failures,
        "resident_bytes": scorer.resident_bytes,
        "row_microseconds": _row_microseconds(scorer, worked, names),
        "rows_are_independent": independent,
    }
    return b"\n".join([json.dumps(report).encode(), dump(answers)])


def _whole(rows: Arrays, answers: Arrays) -> bool:
    """Whether there is an answer for each row."""
    return all(answer.shape[:1] == (_count(rows),) for answer in answers.values())


def _rows_are_independent(scorer: Scorer, rows: Arrays, answers: Arrays, exact: bool) -> bool:
    count = _count(rows)
    if not count or not _whole(rows, answers):
        return not count
    backwards = np.arange(count)[::-1]
    orders = [
        backwards,
        *(np.array([place]) for place in np.linspace(0, count - 1, min(count, _ALONE), dtype=int)),
    ]
    return all(
        _are_same(_taken(answers, order), _scored(scorer, rows, answers, order), exact) for order in orders
    )


def _scored(scorer: Scorer, rows: Arrays, answers: Arrays, order: Array) -> Arrays:
    return scorer.score(_taken(rows, order), list(answers))


def _taken(arrays: Arrays, order: Array) -> Arrays:
    return {name: np.ascontiguousarray(array[order]) for name, array in arrays.items()}


def _are_same(expected: Arrays, found: Arrays, exact: bool) -> bool:
    names = list(expected)
    if not exact:
        # A label that hangs on the last bits of its scores is theirs to judge.
        names = [name for name in names if expected[name].dtype.kind == "f"] or names
    return all(_is_same(expected[name], found[name], exact) for name in names)


def _is_same(expected: Array, found: Array, exact: bool) -> bool:
    if expected.shape != found.shape or expected.dtype != found.dtype:
        return False
    if expected.dtype.kind != "f":
        return bool(np.array_equal(expected, found))
    if exact:
        return expected.tobytes() == found.tobytes()
    largest = float(np.abs(expected[np.isfinite(expected)]).max(initial=0.0))
    return bool(np.allclose(found, expected, rtol=_CLOSE, atol=_CLOSE * largest, equal_nan=True))


def _row_microseconds(scorer: Scorer, rows: Sequence[Arrays], names: Sequence[str]) -> float:
    """The fastest of some calls of up to 256 rows."""
    table = next((table for table in rows if _count(table)), None)
    if table is None:
        return 0.0
    some = _taken(table, np.arange(min(_count(table), _MEASURED_ROWS)))
    best, until = float("inf"), time.perf_counter() + _MEASURED_SECONDS
    while (began := time.perf_counter()) < until or best == float("inf"):
        scorer.score(some, names)
        best = min(best, time.perf_counter() - began)
    return best * 1e6 / _count(some)


def _count(rows: Arrays) -> int:
    return min((len(array) for array in rows.values()), default=0)


if __name__ == "__main__":
    main()
