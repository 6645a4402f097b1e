"""Compares an artifact with the library of its model, and has it tried as a cell would serve it.

    tables of rows ──▶ trial, in a cell-like process ──▶ answers ─┐
                   └─▶ the library: an object's here, a file's in ├─▶ difference ──▶ a report, or a refusal
                       a throwaway process                answers ┘

The contract is docs/artifacts.md's: within 1e-6 of the library. XGBoost sums float32, so that its own answer
lies as far from the sum as float32 goes with so many trees. Graphs of ONNX compute in float32, unless they
were converted to float64 as a whole.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from croupier.artifacts.apart import Limits, Words, ask
from croupier.artifacts.comparison import Comparison
from croupier.artifacts.engines import FOREST, ONNX
from croupier.artifacts.format import Artifact, InvalidArtifact, view
from croupier.artifacts.packers.checks.compare import DiffersFromLibrary, described, difference
from croupier.artifacts.packers.checks.library import of_object
from croupier.artifacts.packers.checks.likely import likely_rows
from croupier.artifacts.packers.checks.made import made_tables, sample_tables
from croupier.artifacts.packers.files import FileKind
from croupier.artifacts.packers.transformation import Transformation
from croupier.artifacts.packers.trial import Trial, try_artifact
from croupier.artifacts.rowwise import is_rowwise
from croupier.artifacts.tables import Table, dump, load

CONTRACT = 1e-6
CONVERTED = 1e-4
# Of the rows made for a converted model.
_MOST_ALIKE = 0.9

_CHILD = "croupier.artifacts.packers.checks.child"
_ANSWERING = Words("answering rows by its own library", "this file", "library", "what the library answers")


@dataclass(frozen=True, slots=True)
class Report:
    """What was compared, and what a cell takes for the artifact, as measured in this run."""

    checked: Comparison
    resident_bytes: int
    row_microseconds: float

    def __str__(self) -> str:
        return (
            f"compared with {self.checked}; {self.resident_bytes:,} bytes resident, "
            f"{self.row_microseconds:.2f} µs a row"
        )


@dataclass(frozen=True, slots=True)
class _Answers:
    library: str
    version: str
    tables: Sequence[Table]


def check_object(model: Any, artifact: bytes, sample: Any = None, limits: Limits | None = None) -> Report:
    """Compare `artifact` with the trained object that it was packed from.

    `sample` is a matrix in the order of the features, or a data frame with them as columns.

    Raises:
        DiffersFromLibrary: it answers otherwise; the message is a table of some rows.
        InvalidArtifact: no cell can load it, or the library refuses what a cell would take.
    """
    found = view(artifact)

    def answered(tables: Sequence[Table]) -> _Answers:
        library = of_object(model, found)
        try:
            return _Answers(library.name, library.version, [library.answer(table) for table in tables])
        except InvalidArtifact:
            raise
        except Exception as error:
            said = f"{type(error).__name__}: {str(error)[:300]}"
            raise InvalidArtifact(f"{library.name} refuses rows that a cell would take: {said}") from error

    # Other engines' own thresholds and coefficients say it.
    is_graph = found.engine == ONNX and len(found.inputs) == 1 and len(found.inputs[0].shape) == 2
    likely = (
        likely_rows(model, max(1, found.inputs[0].shape[1]), np.random.default_rng(1)) if is_graph else None
    )
    return _check(artifact, found, sample, likely, answered, limits)


def check_file(
    data: bytes, kind: FileKind, artifact: bytes, sample: Any = None, limits: Limits | None = None
) -> Report:
    """Compare `artifact` with the library that a model's file is of, which reads it in a process of its own.

    Raises:
        DiffersFromLibrary, InvalidArtifact: as for `check_object`; or the library crashes.
        PackerIncomplete: the library is not installed.
    """

    def answered(tables: Sequence[Table]) -> _Answers:
        answer = ask(_CHILD, {"kind": kind}, [data, artifact, dump(tables)], limits or Limits(), _ANSWERING)
        line, _, rest = answer.partition(b"\n")
        try:
            name, version = json.loads(line)
        except (ValueError, TypeError) as error:
            raise InvalidArtifact(f"the model's library answered with nonsense: {error}") from error
        return _Answers(str(name), str(version), load(rest))

    return _check(artifact, view(artifact), sample, None, answered, limits)


def try_made(artifact: bytes, limits: Limits | None = None) -> Trial:
    """Have `artifact` tried on rows made for it, without a library to compare it with.

    Raises:
        InvalidArtifact: no cell can load it, or a row's answer depends on the rows that come with it.
    """
    found = view(artifact)
    trial = try_artifact(artifact, made_tables(found), limits)
    _check_independent(found, trial)
    if found.engine != ONNX:
        _check_answered(trial.failures)
    return trial


def _check(
    data: bytes,
    artifact: Artifact,
    sample: Any,
    likely: Any,
    answered: Callable[[Sequence[Table]], _Answers],
    limits: Limits | None,
) -> Report:
    given = [] if sample is None else sample_tables(artifact, sample)
    made = made_tables(artifact, _base(given, likely))
    tables = [*given, *made]
    trial = try_artifact(data, tables, limits)
    _check_independent(artifact, trial)
    if artifact.engine == ONNX and given and any(trial.failures[len(given) :]):
        # What a graph takes cannot be known from it: the sample has to do.
        tables, made = given, []
    _check_answered(trial.failures[: len(tables)])
    answers = answered(tables)
    if len(answers.tables) != len(tables) or len(trial.answers) < len(tables):
        raise InvalidArtifact("there are not as many answers as there were tables of rows")
    largest = 0.0
    for rows, expected, found in zip(tables, answers.tables, trial.answers, strict=False):
        allowed = tolerance(artifact, answers.library, expected)
        outcome = difference(expected, found, allowed)
        if len(outcome.wrong):
            told = described(rows, expected, found, outcome, artifact.features, answers.library)
            raise DiffersFromLibrary(
                f"the artifact does not answer as {answers.library} {answers.version} does: {told}"
            )
        largest = max(largest, outcome.largest)
    if artifact.engine == ONNX and answers.library != "onnxruntime" and not given:
        _check_telling(answers.tables)
    checked = Comparison(
        answers.library, answers.version, _count(given), _count(made), float(f"{largest:.0e}")
    )
    return Report(checked, trial.resident_bytes, trial.row_microseconds)


def tolerance(artifact: Artifact, library: str, expected: Table) -> float:
    """How far an answer may be from the library's, relative."""
    if artifact.engine == ONNX:
        # A file's own graph may take float64 and compute in float32.
        is_wide = library != "onnxruntime" and all(tensor.datatype == "FP64" for tensor in artifact.inputs)
        return CONTRACT if is_wide else CONVERTED
    if library != "xgboost":
        return CONTRACT
    section = artifact.section(FOREST)
    trees = int(np.frombuffer(section, "<u4", 1, 16)[0])
    allowed = CONTRACT + 4 * math.sqrt(trees) * 2**-24
    if section[2] == Transformation.EXPONENTIAL:
        # The sum's error is one of the answer's logarithm.
        sums = [np.abs(np.log(np.maximum(array, 1e-30))).max(initial=1.0) for array in expected.values()]
        return allowed * max(1.0, float(max(sums)))
    return allowed


def _check_independent(artifact: Artifact, trial: Trial) -> None:
    """Models that a cell scores together with others' rows must not notice it."""
    is_merged = artifact.engine != ONNX or is_rowwise(artifact)
    if is_merged and not trial.rows_are_independent:
        raise InvalidArtifact("a row's answer depends on the rows that come with it: this is a fault of ours")


def _check_answered(failures: Sequence[str | None]) -> None:
    for failure in failures:
        if failure is not None:
            raise InvalidArtifact(f"{failure}; rows that it takes may be given as a sample (--check)")


def _check_telling(tables: Sequence[Table]) -> None:
    """What a conversion loses does not show where nearly all rows have the same answer."""
    for table in tables:
        scores = next((each for each in table.values() if each.dtype.kind == "f"), *list(table.values())[:1])
        _, counts = np.unique(scores.reshape(len(scores), -1), axis=0, return_counts=True)
        if counts.max(initial=0) > _MOST_ALIKE * len(scores):
            raise InvalidArtifact(
                f"{counts.max()} of {len(scores)} rows that were made for this model have one answer, so "
                "that a wrong conversion would not show: give rows that it takes as a sample"
            )


def _base(given: Sequence[Table], likely: Any) -> Any:
    """Values near which rows are made: the sample's, else what the model keeps by feature."""
    if not given:
        return likely
    rows = list(given[-1].values())
    return rows[0].astype(np.float64) if len(rows) == 1 and rows[0].dtype.kind == "f" else None


def _count(tables: Sequence[Table]) -> int:
    return sum(len(next(iter(table.values()))) for table in tables)
