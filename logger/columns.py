"""The schema of the log, and rows as columns.

Features and outputs are maps by name, so that a model with another feature changes no file's schema, and a
reader says `features['age'].number` whatever else there is. New columns come at the end and may be null: who
reads old and new files together (`union_by_name`, `mergeSchema`) finds null in the old ones. No column
changes its type, and none goes.

`family`, `date` and `hour` (UTC) stand in the path, as Hive has it, and not in the file.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from logger.rows import REQUEST, Dense, Feature, Row

_FEATURE = pa.struct(
    [
        ("number", pa.float64()),
        ("integer", pa.int64()),
        ("text", pa.string()),
        ("source", pa.string()),
        ("age", pa.float64()),
    ]
)
_OUTPUT = pa.struct(
    [
        ("numbers", pa.list_(pa.float64())),
        ("integers", pa.list_(pa.int64())),
        ("texts", pa.list_(pa.string())),
    ]
)
SCHEMA = pa.schema(
    [
        ("time", pa.timestamp("us", tz="UTC")),
        ("request_id", pa.string()),
        ("item", pa.int32()),
        ("row", pa.int32()),
        ("api", pa.string()),
        ("tenant", pa.string()),
        ("model", pa.string()),
        ("config", pa.int64()),
        ("version", pa.int64()),
        ("artifact", pa.string()),
        ("entity", pa.string()),
        ("features", pa.map_(pa.string(), _FEATURE)),
        ("outputs", pa.map_(pa.string(), _OUTPUT)),
        ("code", pa.int32()),
        ("took_us", pa.int64()),
        ("degraded", pa.bool_()),
        ("defaults", pa.int32()),
        ("datatype", pa.string()),
        ("hidden", pa.list_(pa.string())),
        ("shadow_of", pa.string()),
        ("request", pa.binary()),
    ],
    metadata={"croupier.log": "1"},
)
_NAMED_OTHERWISE = {"time": "time_us"}
# Columns of Parquet whose values come again. A dictionary of measured numbers is larger than they are.
REPEATED = [
    *("item", "row", "api", "tenant", "model", "config", "version", "artifact", "entity", "code", "took_us"),
    *("defaults", "datatype", "hidden.list.element", "shadow_of"),
    *(f"features.key_value.{name}" for name in ("key", "value.text", "value.source")),
    *(f"outputs.key_value.{name}" for name in ("key", "value.texts.list.element")),
]


def table_of(rows: Sequence[Row]) -> pa.Table:
    """`rows` as a table of SCHEMA."""
    columns = []
    for field in SCHEMA:
        name = _NAMED_OTHERWISE.get(field.name, field.name)
        values = [getattr(row, name) for row in rows]
        if field.name == "features":
            columns.append(_Features(values).column())
        elif field.name == "outputs":
            columns.append(_outputs(values))
        else:
            columns.append(pa.array(values, field.type))
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _outputs(values: Sequence[Sequence[Any]]) -> pa.Array:
    flat = [one for row in values for one in row]
    names = pa.array([one[0] for one in flat], pa.string())
    # A column at a time: to turn all of them over at once takes several times as long.
    fields = [pa.array([one[at] for one in flat], field.type) for at, field in enumerate(_OUTPUT, 1)]
    return _map(map(len, values), names, fields, _OUTPUT)


def _map(sizes: Iterable[int], names: pa.Array, fields: Sequence[pa.Array], struct: Any) -> pa.Array:
    """By row, by name."""
    offsets = np.concatenate(([0], np.fromiter(sizes, np.int32).cumsum())).astype(np.int32)
    items = pa.StructArray.from_arrays(fields, fields=list(struct))
    return pa.MapArray.from_arrays(pa.array(offsets), names, items, pa.map_(pa.string(), struct))


class _Features:
    """The features of many rows, one after the other.

    Nearly all are numbers that came with the request, of rows that have the same names: these are joined as
    bytes. What others say besides stands beside that, by place.
    """

    def __init__(self, rows: Sequence[Sequence[Feature] | Dense]) -> None:
        self._sizes = [len(row) for row in rows]
        self._words: dict[str, int] = {}
        self._names: list[bytes] = []
        self._numbers: list[bytes] = []
        self._no_numbers: list[int] = []
        self._integers: dict[int, int] = {}
        self._texts: dict[int, str] = {}
        self._sources: dict[int, str] = {}
        self._ages: dict[int, float] = {}
        # By a tuple's own id: its hash is one of all of its names. The rows hold it.
        known: dict[int, bytes] = {}
        at = 0
        for row, size in zip(rows, self._sizes, strict=True):
            if isinstance(row, Dense):
                names = known.get(id(row.names))
                if names is None:
                    names = known[id(row.names)] = self._named(row.names)
                self._names.append(names)
                self._numbers.append(row.numbers)
            else:
                self._add(row, at)
            at += size
        self._size = at

    def column(self) -> pa.Array:
        names = np.frombuffer(b"".join(self._names), np.int32)
        fields = [
            self._number_column(),
            self._sparse(self._integers, pa.int64()),
            self._sparse(self._texts, pa.string()),
            self._source_column(),
            self._sparse(self._ages, pa.float64()),
        ]
        return _map(self._sizes, _spelled(names, list(self._words)), fields, _FEATURE)

    def _named(self, names: Iterable[str]) -> bytes:
        return array("i", [self._words.setdefault(name, len(self._words)) for name in names]).tobytes()

    def _add(self, row: Sequence[Feature], at: int) -> None:
        self._names.append(self._named(one.name for one in row))
        numbers = [0.0 if one.number is None else one.number for one in row]
        self._numbers.append(array("d", numbers).tobytes())
        for place, (_, number, integer, text, source, age) in enumerate(row, at):
            if number is None:
                self._no_numbers.append(place)
                if text is not None:
                    self._texts[place] = text
            if integer is not None:
                self._integers[place] = integer
            if source != REQUEST:
                self._sources[place] = source
                if age is not None:
                    self._ages[place] = age

    def _number_column(self) -> pa.Array:
        numbers = np.frombuffer(b"".join(self._numbers), np.float64)
        if not self._no_numbers:
            return pa.array(numbers)
        mask = np.zeros(self._size, np.bool_)
        mask[self._no_numbers] = True
        return pa.array(numbers, mask=mask)

    def _source_column(self) -> pa.Array:
        words = {REQUEST: 0}
        places = np.zeros(self._size, np.int32)
        if self._sources:
            found = [words.setdefault(source, len(words)) for source in self._sources.values()]
            places[list(self._sources)] = found
        return _spelled(places, list(words))

    def _sparse(self, found: dict[int, Any], kind: Any) -> pa.Array:
        """`found` by place, and null for all others."""
        if not found:
            return pa.nulls(self._size, kind)
        places = np.full(self._size, -1, np.int32)
        places[list(found)] = np.arange(len(found), dtype=np.int32)
        return pa.array(list(found.values()), kind).take(pa.array(places, mask=places < 0))


def _spelled(places: Any, words: Sequence[str]) -> pa.Array:
    """The word at each of `places`."""
    return pa.array(words, pa.string()).take(pa.array(places))
