"""The lists of `models publish-many`: a row for each model, in Parquet, CSV or JSON lines.

    tenant,model,file,version
    acme,churn,churn/acme.txt,

Files lie below the list's own folder unless they are absolute; `version` may be left out, or be empty or 0.
What is wrong with a row is told of that row, and with the whole list as `BadManifest`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from croupier.errors import CroupierError, FailedPrecondition, InvalidRequest
from croupier.names import MAX_VERSION, check_name

_NEEDED = ("tenant", "model", "file")
_MOST_WORDS = 300
# More than any version has.
_DIGITS = 20


class BadManifest(InvalidRequest):
    """A list that cannot be read. Whose it is has to mend it."""

    reason = "BAD_MANIFEST"


@dataclass(frozen=True, slots=True)
class Row:
    """`number` counts from 1; `problem` is what is wrong with it, None if nothing is."""

    number: int
    tenant: str
    model: str
    file: Path
    version: int = 0
    problem: CroupierError | None = None


def read_manifest(path: Path) -> list[Row]:
    """The rows of the list at `path`.

    Raises:
        BadManifest: it is none.
        FailedPrecondition: what reads Parquet is not installed.
    """
    try:
        found = list(_READERS[path.suffix](path))
    except KeyError:
        raise BadManifest(f"{path} is neither .parquet nor .csv nor .jsonl") from None
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise BadManifest(f"{path} cannot be read: {str(error)[:_MOST_WORDS]}") from error
    return list(_rows(found, path.parent))


def _rows(found: Iterable[Mapping[str, Any]], folder: Path) -> Iterator[Row]:
    first: dict[tuple[str, str], int] = {}
    for number, fields in enumerate(found, 1):
        row = _row(number, fields, folder)
        before = first.setdefault((row.tenant, row.model), number)
        if before != number and row.problem is None:
            twice = InvalidRequest(f"row {before} is of the same model", field="model")
            row = Row(number, row.tenant, row.model, row.file, row.version, twice)
        yield row


def _row(number: int, fields: Mapping[str, Any], folder: Path) -> Row:
    tenant, model, file = (_text(fields.get(name)) for name in _NEEDED)
    path = folder / file
    try:
        check_name(tenant, "tenant")
        check_name(model, "model")
        if not file or "\0" in file:
            raise InvalidRequest("it names no file", field="file")
        return Row(number, tenant, model, path, _version(fields.get("version")))
    except InvalidRequest as error:
        return Row(number, tenant, model, path, problem=error.without_frames())


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _version(value: Any) -> int:
    """Raises InvalidRequest."""
    if value is None or value == "":
        return 0
    # Floats: what is not everywhere a number is one in some tables.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value)
    is_number = not isinstance(value, bool) and text.isascii() and text.isdecimal() and len(text) < _DIGITS
    if not is_number or int(text) > MAX_VERSION:
        raise InvalidRequest("the version is no number of one", field="version")
    return int(text)


def _csv(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        _check_columns(reader.fieldnames or (), path)
        yield from reader


def _json_lines(path: Path) -> Iterator[Mapping[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            found = json.loads(line)
            if not isinstance(found, dict):
                raise BadManifest(f"{path}, line {number}: it is no object")
            yield found


def _parquet(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise FailedPrecondition(
            f"what reads {path} is not installed: {error}", reason="PACKER_INCOMPLETE"
        ) from error
    try:
        table = pq.ParquetFile(path)
        names = table.schema_arrow.names
        _check_columns(names, path)
        wanted = [name for name in (*_NEEDED, "version") if name in names]
        for batch in table.iter_batches(columns=wanted):
            yield from batch.to_pylist()
    except pa.ArrowException as error:
        raise BadManifest(f"{path} cannot be read: {str(error)[:_MOST_WORDS]}") from error


def _check_columns(names: Iterable[str], path: Path) -> None:
    if missing := [name for name in _NEEDED if name not in set(names)]:
        raise BadManifest(f"{path} has no column {missing[0]}: a list has {', '.join(_NEEDED)}[, version]")


_READERS = {".csv": _csv, ".jsonl": _json_lines, ".parquet": _parquet}
