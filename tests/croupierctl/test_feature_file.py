"""Tables of features: which columns are what, and which rows no store takes."""

import datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from croupier.errors import CroupierError
from croupier.stores.feature_blob import BadFeatures, decode
from croupierctl.feature_file import BadFile, FeatureFile, columns_of

TABLE = {"tenant": ["a", "b"], "entity": ["1", "ü/2"], "n": [1, 2], "t": ["x", None]}


@pytest.fixture
def write(tmp_path):
    def make(table, kind="parquet", **options):
        path = tmp_path / f"table.{kind}"
        table = pa.table(table)
        if kind == "csv":
            csv.write_csv(table, path)
        else:
            parquet.write_table(table, path, **options)
        return path

    return make


def opened(path, tenant="", time="", features=(), **options):
    columns = columns_of(tenant, "tenant", "entity", time, list(features))
    return FeatureFile(path, "g", columns, compress=False, **options)


def rows(file, start=0):
    return [
        (key.decode().removeprefix("croupier/f/"), *decode(blob, file.schema))
        for items in file.items(start)
        for key, blob in items
    ]


def values(file, start=0):
    return [(key, found) for key, _, found in rows(file, start)]


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_other_columns_are_features(write, kind):
    file = opened(write(TABLE | {"t": ["x", "y"]}, kind))
    assert file.schema.features == (("n", "number"), ("t", "text"))
    assert values(file) == [("a/g/1", {"n": 1.0, "t": "x"}), ("b/g/ü/2", {"n": 2.0, "t": "y"})]
    assert file.rows == (2 if kind == "parquet" else 0)


def test_a_csv_names_entities_by_their_signs(write, tmp_path):
    (tmp_path / "table.csv").write_text("tenant,entity,n\n1,007,1.5\n1,08,\n")
    assert values(opened(tmp_path / "table.csv")) == [("1/g/007", {"n": 1.5}), ("1/g/08", {})]


def test_what_is_missing_is(write):
    table = TABLE | {"n": pa.array([None, 2.5]), "i": pa.array([None, 1]), "none": pa.nulls(2)}
    assert values(opened(write(table))) == [
        ("a/g/1", {"t": "x"}),
        ("b/g/ü/2", {"n": 2.5, "i": 1.0}),
    ]


def test_numbers_of_every_kind(write):
    table = {
        "tenant": ["a"],
        "entity": pa.array([17], "int32"),
        "bool": [True],
        "big": pa.array([2**63 - 1]),
        "decimal": [Decimal("1.25")],
        "float": pa.array([1.5], "float32"),
        "word": pa.array(["x"]).dictionary_encode(),
    }
    assert values(opened(write(table))) == [
        ("a/g/17", {"bool": 1.0, "big": float(2**63), "decimal": 1.25, "float": 1.5, "word": "x"}),
    ]


def test_one_tenant_and_some_features(write):
    file = opened(write(TABLE), tenant="c", features=["n"])
    assert values(file) == [("c/g/1", {"n": 1.0}), ("c/g/ü/2", {"n": 2.0})]


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (pa.array([5, 6]), [5, 6]),
        (pa.array([5, 6], pa.timestamp("s")), [5_000, 6_000]),
        (pa.array([5_999_999, 6_000_000], pa.timestamp("ns", "UTC")), [5, 6]),
        ([datetime.date(1970, 1, 2)] * 2, [86_400_000] * 2),
    ],
)
def test_times_are_those_of_a_column(write, times, expected):
    file = opened(write(TABLE | {"at": times}), time="at")
    assert [event for _, event, _ in rows(file)] == expected
    assert "at" not in file.schema.names


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_any_row_may_be_the_first(write, kind):
    count = 12_000
    table = {"tenant": ["a"] * count, "entity": [f"e{row}" for row in range(count)], "n": range(count)}
    path = write(
        {name: list(column) for name, column in table.items()},
        kind,
        **({"row_group_size": 1000} if kind == "parquet" else {}),
    )
    for start in (0, 1, 999, 1000, 1001, 5000, 7777, count - 1, count, count + 5):
        found = values(opened(path), start)
        assert [key for key, _ in found] == [f"a/g/e{row}" for row in range(start, count)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"entity": ["1", ""]}, "row 2: an entity of 1 to 512 bytes"),
        ({"entity": [None, ""]}, "row 1: an entity"),
        ({"entity": ["1", "x" * 513]}, "row 2: an entity of 1 to 512 bytes"),
        ({"entity": [1.5, 2.5]}, "rows 1 to 2: .*double names no entities"),
        ({"tenant": ["a", None]}, "row 2: tenant is empty"),
        ({"tenant": ["a", "b/c"]}, "row 2: tenant has a slash"),
    ],
)
def test_rows_that_no_store_takes_are_named(write, change, words):
    with pytest.raises(BadFile, match=words):
        rows(opened(write(TABLE | change)))


@pytest.mark.parametrize(
    ("times", "words"),
    [
        ([1, None], "row 2: column 'at' says no time"),
        ([1.5, 2.5], "is no time"),
        ([10**18] * 2, "milliseconds"),
    ],
)
def test_times_that_are_none(write, times, words):
    with pytest.raises(BadFile, match=words):
        rows(opened(write(TABLE | {"at": times}), time="at"))


def test_texts_that_are_not_utf8(write):
    broken = pa.Array.from_buffers(pa.string(), 2, [None, *pa.array([b"a", b"\xff"]).buffers()[1:]])
    with pytest.raises(BadFile):
        rows(opened(write(TABLE | {"entity": broken})))


@pytest.mark.parametrize("change", [{"l": [[1], [2]]}, {"at": pa.array([1, 2], pa.timestamp("s"))}])
def test_columns_that_are_no_features(write, change):
    with pytest.raises(BadFile, match="neither of numbers nor of texts"):
        opened(write(TABLE | change))


def test_tables_that_are_none(write, tmp_path):
    with pytest.raises(BadFile, match="no column 'entity': it has tenant, n"):
        opened(write({"tenant": ["a"], "n": [1]}))
    with pytest.raises(BadFile, match="no column 'x'"):
        opened(write(TABLE), features=["x"])
    with pytest.raises(BadFeatures, match="1 to 4096 features"):
        opened(write({"tenant": ["a"], "entity": ["1"]}))
    for name in ("no.parquet", "no.csv"):
        (tmp_path / name).write_bytes(b"\xff\x00,")
        with pytest.raises(CroupierError):
            rows(opened(tmp_path / name))
