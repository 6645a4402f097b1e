"""Makes a file ready to be published: packed, compared with its library, and tried as a cell would."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer

from croupier.artifacts.apart import Limits
from croupier.artifacts.checked import checked_of, with_checked
from croupier.artifacts.comparison import UNCHECKED, Comparison
from croupier.artifacts.format import InvalidArtifact, view
from croupier.artifacts.packers.checks.check import check_file, try_made
from croupier.artifacts.packers.files import FileKind, told_by
from croupier.artifacts.packers.process import pack_file_apart
from croupier.errors import FailedPrecondition

_WHY = {
    FileKind.ARTIFACT: "a packed artifact stays as it is",
    FileKind.LIGHTGBM: "LightGBM's trees are scored natively",
    FileKind.ONNX: "ONNX Runtime runs an ONNX file",
    FileKind.XGBOOST: "XGBoost's trees are scored natively",
}


class NotCompared(FailedPrecondition):
    """An artifact of which nobody says that it was compared with its library. The publisher's."""

    reason = "NOT_COMPARED"


@dataclass(frozen=True, slots=True)
class How:
    """What a publisher said of all files. `sample` is a data frame."""

    kind: FileKind | None = None
    features: list[str] = field(default_factory=list)
    accepts_missing: bool = False
    sample: Any = None
    unchecked: bool = False
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Prepared:
    """An artifact to publish; `why` it is of its engine, and what a cell-like process measured."""

    path: Path
    artifact: bytes
    why: str
    checked: Comparison
    resident_bytes: int
    row_microseconds: float


def prepare(path: Path, how: How) -> Prepared:
    """Pack, compare and try one file. It blocks, for some seconds.

    Raises:
        InvalidArtifact: it is none of its kind, differs from its library, or no cell can load it.
        NotCompared: it is packed, and nothing says that it was compared.
        PackerIncomplete: its library is not installed.
    """
    with path.open("rb") as file:
        # One byte more than is allowed tells that there is more.
        data = file.read(how.limits.file_bytes + 1)
    try:
        kind = how.kind or told_by(data)
        if kind is FileKind.ARTIFACT:
            return _tried(path, kind, _marked(path, data, how), how)
        artifact = pack_file_apart(
            data,
            kind,
            features=how.features,
            accepts_missing=how.accepts_missing,
            complete=False if how.accepts_missing else None,
            limits=how.limits,
        )
        if how.unchecked:
            return _tried(path, kind, with_checked(artifact, UNCHECKED), how)
        report = check_file(data, kind, artifact, how.sample, how.limits)
    except InvalidArtifact as error:
        raise type(error)(f"{path}: {error.message}") from error
    return Prepared(
        path,
        with_checked(artifact, report.checked),
        _WHY[kind],
        report.checked,
        report.resident_bytes,
        report.row_microseconds,
    )


def read_sample(path: Path) -> Any:
    """The rows of a Parquet or CSV file, as a data frame."""
    try:
        import pandas

        return pandas.read_csv(path) if path.suffix == ".csv" else pandas.read_parquet(path)
    except ImportError as error:
        raise FailedPrecondition(
            f"what reads {path} is not installed: {error}", reason="PACKER_INCOMPLETE"
        ) from error
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"cannot read {path}: {str(error)[:200]}") from error


def _marked(path: Path, data: bytes, how: How) -> bytes:
    """A packed artifact as it is, if it was compared; else saying that it was not, if that is allowed."""
    if how.features or how.accepts_missing:
        raise typer.BadParameter(f"{path} is packed: its features are in it already")
    if how.sample is not None:
        raise typer.BadParameter(
            f"{path} is packed: --check compares a model with its library, and it has none"
        )
    found = checked_of(view(data))
    if found is not None and found.was_made:
        return data
    if not how.unchecked:
        raise NotCompared(f"{path} was packed without being compared with its library")
    return data if found is not None else with_checked(data, UNCHECKED)


def _tried(path: Path, kind: FileKind, artifact: bytes, how: How) -> Prepared:
    trial = try_made(artifact, how.limits)
    checked = checked_of(view(artifact)) or UNCHECKED
    return Prepared(path, artifact, _WHY[kind], checked, trial.resident_bytes, trial.row_microseconds)
