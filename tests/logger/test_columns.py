"""Columns keep the schema whatever rows have."""

import io
import math
import struct
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.spooled import WIDE, item

from logger.columns import REPEATED, SCHEMA, table_of
from logger.decoding import rows_of
from logger.files import Parquet
from logger.rows import Dense, Feature, Row

NAMES = [("a", "b"), ("b",), ("b", "a", "c"), ()]
NUMBERS = st.floats(width=64)


def dense(names: tuple[str, ...]) -> st.SearchStrategy[Dense]:
    numbers = st.lists(NUMBERS, min_size=len(names), max_size=len(names))
    return numbers.map(lambda found: Dense(names, struct.pack(f"<{len(found)}d", *found)))


def feature(name: str) -> st.SearchStrategy[Feature]:
    sources = st.sampled_from([("request", None), ("missing", None), ("store", None), ("store", 1.5)])
    numbers = NUMBERS.map(lambda number: (number, None, None))
    integers = st.integers(2**53, 2**63 - 1).map(lambda integer: (float(integer), integer, None))
    texts = st.sampled_from([(None, None, "ä"), (None, None, ""), (None, None, None)])
    return st.tuples(numbers | integers | texts, sources).map(
        lambda found: Feature(name, *found[0], source=found[1][0], age=found[1][1])
    )


def others(names: tuple[str, ...]) -> st.SearchStrategy[list[Feature]]:
    return st.tuples(*map(feature, names)).map(list)


def row_of(features: Dense | list[Feature]) -> Row:
    (row,) = rows_of(item({}), WIDE)
    return replace(row, features=features)


def plainly(features: Dense | list[Feature]) -> list[tuple[str, dict[str, object]]]:
    return [(one.name, dict(zip(Feature._fields[1:], one[1:], strict=True))) for one in features]


@given(st.lists(st.sampled_from(NAMES).flatmap(lambda names: dense(names) | others(names))))
def test_features_are_told_the_same_however_they_lie(features: list[Dense | list[Feature]]) -> None:
    table = table_of([row_of(one) for one in features])
    table.validate(full=True)
    found = table.column("features").to_pylist()
    # NaN is like no other, but for how it is written.
    assert repr(found) == repr([plainly(one) for one in features])


def test_a_dense_rows_numbers_keep_their_bits() -> None:
    numbers = struct.pack("<3d", -0.0, math.nan, 5e-324)
    column = table_of([row_of(Dense(("a", "b", "c"), numbers))]).column("features").combine_chunks()
    assert b"".join(struct.pack("<d", one.as_py()) for one in column.items.field("number")) == numbers


def test_measured_numbers_alone_have_no_dictionary() -> None:
    data = Parquet().encode([[row_of([Feature("a", 1.0), Feature("b", text="x")])]])
    group = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0)
    columns = [group.column(at) for at in range(group.num_columns)]
    plain = {one.path_in_schema for one in columns} - set(REPEATED)
    assert {one.path_in_schema for one in columns if not one.has_dictionary_page} <= plain
    assert plain == {
        *("time", "request_id", "degraded", "request", "outputs.key_value.value.numbers.list.element"),
        "outputs.key_value.value.integers.list.element",
        *(f"features.key_value.value.{name}" for name in ("number", "integer", "age")),
    }


@pytest.mark.parametrize("features", [[], [{}], [{"a": 1.0}, {}, {"b": 2.0, "t": "x"}]])
def test_rows_without_features_are_rows(features: list[dict[str, float | str]]) -> None:
    rows = [row for one in features for row in rows_of(item(one), WIDE)]
    table = table_of(rows)
    table.validate(full=True)
    assert table.schema.equals(SCHEMA)
    assert [[name for name, _ in row] for row in table.column("features").to_pylist()] == [
        list(one) for one in features
    ]


def test_no_column_changes_and_none_goes() -> None:
    """Files of years ago are read with those of today: add at the end, and nothing else."""
    assert SCHEMA.names == [
        *("time", "request_id", "item", "row", "api", "tenant", "model", "config", "version", "artifact"),
        *("entity", "features", "outputs", "code", "took_us", "degraded", "defaults", "datatype", "hidden"),
        *("shadow_of", "request"),
    ]
