"""Questions about the log, which can read its rows and nothing else."""

import csv
import io
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from support.spooled import WIDE, item
from typer.testing import CliRunner

from croupierctl.app import app
from logger.decoding import rows_of
from logger.files import Parquet, pieces_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    now = time.time_ns() // 1000
    rows = []
    for at in range(10):
        made = item(
            {"a": float(at), "t": "x"},
            entity=f"e{at}",
            request_id=f"r{at}",
            time_us=now - at * 60_000_000,
            outputs=(at / 10,),
        )
        rows += rows_of(made, WIDE)
    for at, one in enumerate(rows):
        hour = datetime.fromtimestamp(one.time_us / 1e6, UTC)
        path = tmp_path / "family=churn" / f"date={hour:%Y-%m-%d}" / f"hour={hour:%H}" / f"{at}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(Parquet().encode(pieces_of([one])))
    return tmp_path


def ask(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(app, ["log", "query", "churn", "--log", f"file://{folder}", *words])


def told(folder: Path, *words: str) -> Any:
    result = ask(folder, "--json", *words)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_people_get_a_table(folder: Path) -> None:
    lines = ask(folder).stdout.splitlines()
    assert lines[0].split() == [
        "time",
        "request_id",
        "tenant",
        "version",
        "code",
        "entity",
        "outputs",
        "took_us",
        "defaults",
        "degraded",
    ]
    assert len(lines) == 11
    assert "r9" in lines[1]
    assert "y=0.9" in lines[1]


def test_programs_get_all_of_it(folder: Path) -> None:
    (row,) = told(folder, "--where", "features['a'].number = 3")
    assert row["request_id"] == "r3"
    assert row["features"] == {
        "a": {"number": 3.0, "source": "request"},
        "t": {"text": "x", "source": "request"},
    }
    assert row["outputs"] == {"y": {"numbers": [0.30000001192092896]}}
    assert row["family"] == "churn"


def test_so_do_spreadsheets(folder: Path) -> None:
    result = ask(folder, "--csv", "--where", "entity = 'e4'")
    (row,) = csv.DictReader(io.StringIO(result.stdout))
    assert row["request_id"] == "r4"
    assert json.loads(row["features"])["a"] == {"number": 4.0, "source": "request"}


def test_sql_of_ones_own(folder: Path) -> None:
    sql = "select count(*) as n, max(outputs['y'].numbers[1]) as most from log"
    assert told(folder, "--sql", sql) == [{"n": 10, "most": pytest.approx(0.9)}]


def test_how_far_it_looks_back(folder: Path) -> None:
    assert len(told(folder, "--since", "5m")) == 5
    assert len(told(folder, "--limit", "3")) == 3


def test_nothing_is_an_answer(tmp_path: Path) -> None:
    assert told(tmp_path) == []
    assert "nothing was logged of churn since 2" in ask(tmp_path).stderr
    assert f"in file://{tmp_path}\n" in ask(tmp_path).stderr
    assert ask(tmp_path).stdout == ""
    assert "nothing that fits" in ask(tmp_path, "--where", "version = 2").stderr


def test_what_has_no_outputs_has_none(folder: Path) -> None:
    sql = "select request_id, map_from_entries([]) as outputs from log where request_id = 'r1'"
    assert told(folder, "--sql", sql) == [{"request_id": "r1", "outputs": {}}]
    assert ask(folder, "--sql", sql).stdout.splitlines()[1].split() == ["r1"]


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_csv('/etc/passwd')",
        "select * from '/etc/passwd'",
        "select * from read_text('/etc/passwd')",
        "copy (select 1) to '/tmp/croupier-log-test'",
        "attach '/tmp/croupier-log-test'",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "select * from rows",
        "nonsense",
    ],
)
def test_it_reaches_nothing_else(sql: str, folder: Path) -> None:
    result = ask(folder, "--sql", sql)
    assert result.exit_code == 1
    assert result.stderr.startswith("error:")
    assert not Path("/tmp/croupier-log-test").exists()


def test_a_condition_is_no_way_out(folder: Path) -> None:
    result = ask(folder, "--where", "true); copy (select 1) to '/tmp/croupier-log-test'; --")
    assert result.exit_code == 1
    assert not Path("/tmp/croupier-log-test").exists()


def test_a_condition_and_a_whole_query_are_one_too_many(folder: Path) -> None:
    assert ask(folder, "--where", "true", "--sql", "select 1").exit_code == 2


def test_a_family_is_a_name(folder: Path) -> None:
    result = CliRunner().invoke(app, ["log", "query", "../..", "--log", f"file://{folder}"])
    assert result.exit_code == 1
