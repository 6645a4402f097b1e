"""Rows as files: Parquet, or a JSON object a line. The same rows in the same order are the same bytes.

A file is made piece by piece, each of some thousand rows or some megabytes, so that no more of them is in
memory at a time than that: a long text that was stored once is in every row of a request.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import pyarrow.parquet as pq

from logger.columns import REPEATED, SCHEMA, table_of
from logger.rows import Dense, Feature, Output, Row

_PIECE = 4096
# A column of Arrow takes no more text than an int32 counts.
_PIECE_BYTES = 64 * 2**20
# What a value takes, roughly, besides its text.
_VALUE = 32


class Kind(Protocol):
    """How rows are written; `suffix` ends the names of files."""

    suffix: str

    def encode(self, pieces: Iterable[Sequence[Row]]) -> bytes: ...


class Parquet:
    suffix = ".parquet"

    def encode(self, pieces: Iterable[Sequence[Row]]) -> bytes:
        out = io.BytesIO()
        with pq.ParquetWriter(out, SCHEMA, compression="zstd", use_dictionary=REPEATED) as writer:
            for rows in pieces:
                writer.write_table(table_of(rows))
        return out.getvalue()


class JsonLines:
    """Of the fields that a row has; a number that JSON has not is `"nan"`, `"inf"` or `"-inf"`."""

    suffix = ".jsonl"

    def encode(self, pieces: Iterable[Sequence[Row]]) -> bytes:
        lines = (json.dumps(_object(row), ensure_ascii=False) for rows in pieces for row in rows)
        return "".join(f"{line}\n" for line in lines).encode()


KINDS: dict[str, type[Kind]] = {"parquet": Parquet, "jsonl": JsonLines}


def pieces_of(rows: Iterable[Row], most: int = _PIECE, most_bytes: int = _PIECE_BYTES) -> Iterable[list[Row]]:
    """`rows` in lists of `most`, or fewer that have about `most_bytes`."""
    piece: list[Row] = []
    size = 0
    for row in rows:
        more = _size_of(row)
        if piece and (len(piece) == most or size + more > most_bytes):
            yield piece
            piece, size = [], 0
        piece.append(row)
        size += more
    if piece:
        yield piece


def _size_of(row: Row) -> int:
    """Of what callers can make large, roughly, in bytes."""
    size = _VALUE * len(row.features) + len(row.entity or "") + len(row.request or b"")
    if not isinstance(row.features, Dense):
        size += sum([len(one.name) + len(one.text or "") for one in row.features])
    for output in row.outputs:
        if output.texts:
            size += sum(map(len, output.texts))
        size += _VALUE * len(output.texts or output.numbers or output.integers or ())
    return size


def _object(row: Row) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in SCHEMA:
        value = getattr(row, "time_us" if field.name == "time" else field.name)
        if field.name == "time":
            value = datetime.fromtimestamp(value / 1e6, UTC).isoformat()
        elif isinstance(value, bytes):
            value = value.hex()
        elif field.name in ("features", "outputs"):
            value = {one.name: _fields(one) for one in value}
        found[field.name] = value
    return found


def _fields(one: Feature | Output) -> dict[str, Any]:
    """Without its name."""
    named = zip(one._fields[1:], one[1:], strict=True)
    return {name: _sayable(value) for name, value in named if value is not None}


def _sayable(value: Any) -> Any:
    if isinstance(value, list):
        return [_sayable(each) for each in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
