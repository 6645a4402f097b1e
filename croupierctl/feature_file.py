"""Rows of a Parquet or CSV file as keys and blobs of features, many at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from croupier.errors import FailedPrecondition, InvalidRequest
from croupier.names import InvalidName, check_name
from croupier.stores.feature_blob import NUMBER, TEXT, BadFeatures, Schema
from croupier.stores.feature_columns import Numbers, Texts, blobs
from croupier.stores.features import MAX_ENTITY_BYTES, features_prefix

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 5000


class BadFile(InvalidRequest):
    """A file that is no table of features. Whose it is has to mend it."""

    reason = "BAD_FEATURE_FILE"


class _BadRow(Exception):
    """Of a batch, the row at `place`."""

    def __init__(self, place: int, why: str) -> None:
        super().__init__(why)
        self.place = place


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column is what. Without `tenant_column` all rows are of `tenant`; without `time`, of `now_ms`."""

    tenant: str
    tenant_column: str
    entity: str
    time: str
    now_ms: int
    features: tuple[str, ...]


class FeatureFile:
    """The table at `path`; `schema` has the features that `columns` names, or all other columns."""

    def __init__(self, path: Path, group: str, columns: Columns, *, compress: bool) -> None:
        """Raises BadFile, and FailedPrecondition: what reads it is not installed."""
        self._path = path
        self._group = group
        self._columns = columns
        self._compress = compress
        self._parquet = _parquet(path, columns) if path.suffix == ".parquet" else None
        arrow = self._parquet.schema_arrow if self._parquet else _csv(path, columns).schema
        self.schema = _schema(arrow, columns, path)
        # 0: not known before all of it was read.
        self.rows = self._parquet.metadata.num_rows if self._parquet else 0
        self._prefixes: dict[str, bytes] = {}

    def items(self, from_row: int) -> Iterator[list[tuple[bytes, bytes]]]:
        """Keys and blobs of the rows from `from_row` on, some thousand at a time. Raises BadFile."""
        row = from_row
        for batch in self._batches(from_row):
            try:
                yield self._items(batch)
            except _BadRow as error:
                raise BadFile(f"{self._path}, row {row + error.place + 1}: {error}") from error
            except (ValueError, InvalidRequest) as error:
                raise BadFile(
                    f"{self._path}, rows {row + 1} to {row + batch.num_rows}: {str(error)[:300]}"
                ) from error
            row += batch.num_rows

    def _batches(self, from_row: int) -> Iterator[pa.RecordBatch]:
        names = [name for name in (*self._named(), *self.schema.names) if name]
        skipped = from_row
        for batch in self._all(names, from_row):
            if skipped >= batch.num_rows:
                skipped -= batch.num_rows
                continue
            yield batch.slice(skipped)
            skipped = 0

    def _all(self, names: list[str], from_row: int) -> Iterator[pa.RecordBatch]:
        """Every batch; of Parquet, those before `from_row` are empty ones of as many rows, unread."""
        import pyarrow as pa

        try:
            if self._parquet is None:
                for batch in _csv(self._path, self._columns):
                    for start in range(0, batch.num_rows, _ROWS):
                        yield batch.slice(start, _ROWS)
                return
            groups = range(self._parquet.num_row_groups)
            sizes = [self._parquet.metadata.row_group(at).num_rows for at in groups]
            first = 0
            while first < len(sizes) and sum(sizes[: first + 1]) <= from_row:
                first += 1
            if passed := sum(sizes[:first]):
                yield pa.RecordBatch.from_arrays([pa.nulls(passed)], ["passed"])
            yield from self._parquet.iter_batches(_ROWS, row_groups=list(groups[first:]), columns=names)
        except (pa.ArrowInvalid, OSError) as error:
            raise BadFile(f"{self._path} cannot be read: {str(error)[:300]}") from error

    def _named(self) -> tuple[str, str, str]:
        return (self._columns.tenant_column, self._columns.entity, self._columns.time)

    def _items(self, batch: pa.RecordBatch) -> list[tuple[bytes, bytes]]:
        found = blobs(
            self.schema,
            {name: _values(batch.column(name), dtype) for name, dtype in self.schema.features},
            self._events(batch),
            compress=self._compress,
        )
        return list(zip(self._keys(batch), found, strict=True))

    def _keys(self, batch: pa.RecordBatch) -> list[bytes]:
        entities = _entities(batch.column(self._columns.entity))
        if not self._columns.tenant_column:
            prefix = self._prefix(self._columns.tenant)
            return [prefix + entity for entity in entities]
        column = batch.column(self._columns.tenant_column).cast("string")
        tenants: list[str] = column.fill_null("").to_pylist()
        known = {}
        for tenant in set(tenants):
            try:
                known[tenant] = self._prefix(tenant)
            except InvalidName as error:
                raise _BadRow(tenants.index(tenant), str(error)) from error
        return [known[tenant] + entity for tenant, entity in zip(tenants, entities, strict=True)]

    def _prefix(self, tenant: str) -> bytes:
        return features_prefix(tenant, self._group)

    def _events(self, batch: pa.RecordBatch) -> Any:
        import numpy as np
        import pyarrow as pa

        if not self._columns.time:
            return np.full(batch.num_rows, self._columns.now_ms, np.int64)
        column = batch.column(self._columns.time)
        _refuse(column.is_null(), f"column {self._columns.time!r} says no time")
        if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
            column = column.cast(pa.timestamp("ms"), safe=False)
        elif not pa.types.is_integer(column.type):
            raise BadFeatures(f"column {self._columns.time!r} of {column.type} is no time", field="event_ms")
        return column.cast("int64").to_numpy(zero_copy_only=False)


def _parquet(path: Path, columns: Columns) -> Any:
    try:
        import pyarrow as pa
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise _missing(path, error) from error
    try:
        return ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise BadFile(f"{path} cannot be read: {str(error)[:300]}") from error


def _csv(path: Path, columns: Columns) -> Any:
    try:
        import pyarrow as pa
        from pyarrow import csv
    except ImportError as error:
        raise _missing(path, error) from error
    # What looks like a number is a name all the same: 007 is not 7.
    names = [name for name in (columns.tenant_column, columns.entity) if name]
    try:
        return csv.open_csv(
            path, convert_options=csv.ConvertOptions(column_types=dict.fromkeys(names, "string"))
        )
    except (pa.ArrowInvalid, OSError) as error:
        raise BadFile(f"{path} cannot be read: {str(error)[:300]}") from error


def _missing(path: Path, error: ImportError) -> FailedPrecondition:
    return FailedPrecondition(f"what reads {path} is not installed: {error}", reason="PACKER_INCOMPLETE")


def _schema(arrow: pa.Schema, columns: Columns, path: Path) -> Schema:
    """Sorted by name, so that the same features have one schema in whatever order a file has them."""
    named = [columns.tenant_column, columns.entity, columns.time]
    wanted = columns.features or tuple(name for name in arrow.names if name not in named)
    if missing := [name for name in (*filter(None, named), *wanted) if name not in arrow.names]:
        raise BadFile(f"{path} has no column {missing[0]!r}: it has {', '.join(arrow.names)[:300]}")
    return Schema((name, _dtype(arrow.field(name))) for name in sorted(wanted))


def _dtype(field: pa.Field) -> str:
    import pyarrow as pa

    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if any(is_one(kind) for is_one in (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)):
        return NUMBER
    if pa.types.is_decimal(kind) or pa.types.is_null(kind):
        return NUMBER
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return TEXT
    raise BadFile(f"column {field.name!r} of {field.type} is neither of numbers nor of texts")


def _values(column: pa.Array, dtype: str) -> Numbers | Texts:
    import pyarrow as pa

    if dtype == TEXT:
        texts: Texts = column.cast("string").to_pylist()
        return texts
    if pa.types.is_boolean(column.type):
        column = column.cast("uint8")
    numbers: Numbers = column.cast("float64", safe=False).to_numpy(zero_copy_only=False)
    return numbers


def _refuse(are_bad: pa.Array, why: str) -> None:
    """Raises _BadRow for the first row of which `are_bad` is true."""
    import pyarrow.compute as pc

    place = pc.index(are_bad, value=True).as_py()
    if place >= 0:
        raise _BadRow(place, why)


def _entities(column: pa.Array) -> list[bytes]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_integer(column.type) or pa.types.is_dictionary(column.type):
        column = column.cast("string")
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise BadFeatures(f"a column of {column.type} names no entities", field="entity")
    # Files need not have UTF-8 where they say so.
    column.validate(full=True)
    column = column.cast("binary")
    lengths = pc.fill_null(pc.binary_length(column), 0)
    is_bad = pc.or_(pc.equal(lengths, 0), pc.greater(lengths, MAX_ENTITY_BYTES))
    _refuse(is_bad, f"an entity of 1 to {MAX_ENTITY_BYTES} bytes is needed")
    entities: list[bytes] = column.to_pylist()
    return entities


def columns_of(
    tenant: str, tenant_column: str, entity: str, time_column: str, features: list[str]
) -> Columns:
    """Raises InvalidName."""
    if tenant:
        check_name(tenant, "tenant")
        tenant_column = ""
    return Columns(tenant, tenant_column, entity, time_column, int(time.time() * 1000), tuple(features))
