"""The schema of the log, and rows as columns.

Features and outputs are maps by name, so that a model with another feature changes no file's schema, and a
reader says `features['age'].number` whatever else there is. New columns come at the end and may be null: who
reads old and new files together (`union_by_name`, `mergeSchema`) finds null in the old ones. No column
changes its type, and none goes.

`family`, `date` and `hour` (UTC) stand in the path, as Hive has it, and not in the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from logger.rows import Row

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
_MAPS = {"features": _FEATURE, "outputs": _OUTPUT}
_NAMED_OTHERWISE = {"time": "time_us"}


def table_of(rows: Sequence[Row]) -> pa.Table:
    """`rows` as a table of SCHEMA."""
    columns = []
    for field in SCHEMA:
        name = _NAMED_OTHERWISE.get(field.name, field.name)
        values = [getattr(row, name) for row in rows]
        if field.name in _MAPS:
            columns.append(_maps(values, _MAPS[field.name]))
        else:
            columns.append(pa.array(values, field.type))
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _maps(values: Sequence[Sequence[Any]], struct: Any) -> pa.Array:
    """By row, by name; built from flat columns, for which a row of 20 features takes a few microseconds."""
    offsets = [0]
    for row in values:
        offsets.append(offsets[-1] + len(row))
    flat = [one for row in values for one in row]
    names = pa.array([one[0] for one in flat], pa.string())
    # A column at a time: to turn all of them over at once takes several times as long.
    fields = [pa.array([one[at] for one in flat], field.type) for at, field in enumerate(struct, 1)]
    items = pa.StructArray.from_arrays(fields, fields=list(struct))
    return pa.MapArray.from_arrays(pa.array(offsets, pa.int32()), names, items, pa.map_(pa.string(), struct))
