"""Columns keep the schema whatever rows have."""

import pytest
from support.spooled import WIDE, item

from logger.columns import SCHEMA, table_of
from logger.decoding import rows_of


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
