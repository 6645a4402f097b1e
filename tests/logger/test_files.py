"""Files have the rows that went in, and the same ones are the same bytes."""

import io
import json
import math

import pyarrow.parquet as pq
import pytest
from support.spooled import WIDE, item

from logger.columns import SCHEMA
from logger.decoding import rows_of
from logger.files import KINDS, JsonLines, Kind, Parquet, pieces_of
from logger.rows import Row


def rows(count: int) -> list[Row]:
    return [
        row
        for at in range(count)
        for row in rows_of(item({"a": at / 3, "t": "ä"}, outputs=(0.5, math.inf), request_id=f"r{at}"), WIDE)
    ]


def test_a_parquet_file_has_all_of_it() -> None:
    data = Parquet().encode(pieces_of(rows(10), 3))
    table = pq.read_table(io.BytesIO(data))
    assert table.schema.equals(SCHEMA)
    assert table.column("request_id").to_pylist() == [f"r{at}" for at in range(10)]
    found = dict(table.column("features").to_pylist()[7])
    assert found["a"] == {"number": 7 / 3, "integer": None, "text": None, "source": "request", "age": None}
    assert found["t"]["text"] == "ä"
    assert dict(table.column("outputs").to_pylist()[0])["y"]["numbers"] == [0.5, math.inf]
    assert pq.ParquetFile(io.BytesIO(data)).num_row_groups == 4


def test_lines_of_json_have_all_of_it() -> None:
    lines = JsonLines().encode(pieces_of(rows(3))).decode().splitlines()
    found = [json.loads(line) for line in lines]
    assert [one["request_id"] for one in found] == ["r0", "r1", "r2"]
    assert found[1]["features"]["a"] == {"number": 1 / 3, "source": "request"}
    assert found[0]["outputs"]["y"]["numbers"] == [0.5, "inf"]
    assert found[0]["time"] == "2026-11-27T12:30:00+00:00"
    assert list(found[0]) == SCHEMA.names


@pytest.mark.parametrize("kind", [one() for one in KINDS.values()])
def test_the_same_rows_are_the_same_bytes(kind: Kind) -> None:
    assert kind.encode(pieces_of(rows(20))) == kind.encode(pieces_of(rows(20)))


@pytest.mark.parametrize("kind", [one() for one in KINDS.values()])
def test_no_rows_are_a_file_too(kind: Kind) -> None:
    data = kind.encode(pieces_of([]))
    assert data == b"" or pq.read_table(io.BytesIO(data)).num_rows == 0


def test_pieces_hold_all_in_order() -> None:
    made = rows(5)
    assert list(pieces_of(made, 2)) == [made[:2], made[2:4], made[4:]]
