"""Many blobs at once, from columns: what loads a file of features.

Blobs of numbers alone are of one length, so they are made as one array and cut: a fraction of a microsecond
a blob. A number that is missing stands in them as NaN, which is read as missing (`feature_blob`). With a text
among them, or compressed, they are made one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from croupier.stores.feature_blob import (
    FORMAT,
    MAX_BODY_BYTES,
    MAX_EVENT_MS,
    TEXT,
    BadFeatures,
    Schema,
    Value,
    encode,
)

Numbers = npt.NDArray[np.float64]
Texts = Sequence[str | None]


def blobs(
    schema: Schema,
    columns: Mapping[str, Numbers | Texts],
    events: npt.NDArray[np.int64],
    *,
    compress: bool = False,
) -> list[bytes]:
    """A blob for each row of `columns`, of every feature of the schema; `events` are ms since 1970.

    Raises:
        BadFeatures: a time before 1970 or after 9999, or too much text.
    """
    if len(events) and not (events.min() > 0 and events.max() <= MAX_EVENT_MS):
        raise BadFeatures("event times are none in milliseconds since 1970", field="event_ms")
    if compress or any(dtype == TEXT for _, dtype in schema.features):
        return _one_by_one(schema, columns, events, compress=compress)
    return _at_once(schema, columns, events)


def _at_once(
    schema: Schema, columns: Mapping[str, Numbers | Texts], events: npt.NDArray[np.int64]
) -> list[bytes]:
    count = len(schema.features)
    layout = np.dtype(
        [
            ("format", "u1"),
            ("flags", "u1"),
            ("count", "<u2"),
            ("fingerprint", "<u8"),
            ("event", "<i8"),
            ("present", "u1", ((count + 7) // 8,)),
            ("values", "<f8", (count,)),
        ]
    )
    rows = np.zeros(len(events), layout)
    rows["format"] = FORMAT
    rows["count"] = count
    rows["fingerprint"] = schema.fingerprint
    rows["event"] = events
    rows["present"] = np.packbits(np.ones(count, np.uint8), bitorder="little")
    for at, name in enumerate(schema.names):
        rows["values"][:, at] = columns[name]
    data, size = rows.tobytes(), layout.itemsize
    assert size <= MAX_BODY_BYTES
    return [data[start : start + size] for start in range(0, len(data), size)]


def _one_by_one(
    schema: Schema,
    columns: Mapping[str, Numbers | Texts],
    events: npt.NDArray[np.int64],
    *,
    compress: bool,
) -> list[bytes]:
    # As Python's own, which are quicker to take one by one.
    lists: list[Sequence[Value | None]] = [
        found.tolist() if isinstance(found := columns[name], np.ndarray) else found for name in schema.names
    ]
    names = schema.names
    return [
        encode(
            schema,
            {name: value for name, value in zip(names, row, strict=True) if value is not None},
            event,
            compress=compress,
        )
        for event, *row in zip(events.tolist(), *lists, strict=True)
    ]
