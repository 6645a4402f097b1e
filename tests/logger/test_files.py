"""Files have the rows that went in, and the same ones are the same bytes."""

import io
import json
import math
from dataclasses import replace
from typing import Any

import pyarrow.parquet as pq
import pytest
from support.spooled import WIDE, item

from logger.columns import SCHEMA
from logger.decoding import rows_of
from logger.files import KINDS, JsonLines, Kind, Parquet, pieces_of
from logger.rows import Dense, Feature, Output, Row


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


@pytest.mark.parametrize(
    "changes",
    [
        {"features": [Feature("t", text="x" * 1000)]},
        {"features": [Feature("t" * 1000, 1.0)]},
        {"features": Dense(("a",) * 200, bytes(1600))},
        {"outputs": [Output("y", texts=["x" * 500] * 2)]},
        {"outputs": [Output("y", numbers=[1.0] * 200)]},
        {"entity": "x" * 1000},
        {"request": bytes(1000)},
    ],
)
def test_pieces_hold_no_more_bytes_than_they_may(changes: dict[str, Any]) -> None:
    small = rows(6)
    large = [replace(row, **changes) for row in small]
    assert list(pieces_of(small, 9, 2000)) == [small]
    assert list(pieces_of(large, 9, 900)) == [[row] for row in large]
    assert list(pieces_of(small[:2] + large[2:3] + small[3:], 9, 900)) == [small[:2], large[2:3], small[3:]]


def test_a_text_that_every_row_has_makes_many_pieces() -> None:
    text = "x" * 2**20
    pieces = pieces_of(replace(row, features=[Feature("t", text=text)]) for row in rows(200))
    assert max(map(len, pieces)) < 64
