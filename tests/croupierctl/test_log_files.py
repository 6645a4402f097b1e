"""The files of a log are those of a family and of the hours that are asked about."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.spooled import NOW, WIDE, item

from croupier.errors import InvalidRequest
from croupier.settings import InvalidSettings
from croupierctl import log_files
from croupierctl.log_files import LogPartsMissing, log_url, moment_ago, open_log
from logger.decoding import rows_of
from logger.files import Parquet, pieces_of


def put(folder: Path, family: str, hour: str, *ids: str) -> Path:
    rows = [row for one in ids for row in rows_of(item({"a": 1.0}, request_id=one), WIDE)]
    path = folder / f"family={family}" / "date=2026-11-27" / f"hour={hour}" / "x.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(Parquet().encode(pieces_of(rows)))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    put(tmp_path, "churn", "09", "r1", "r2")
    put(tmp_path, "churn", "12", "r3")
    put(tmp_path, "fr%C3%A4ud", "12", "r4")
    (tmp_path / "family=churn" / "date=2026-11-27" / "hour=12" / ".x.parquet.part").write_bytes(b"half")
    (tmp_path / "family=churn" / "notes.parquet").write_bytes(b"nothing of ours")
    return tmp_path


def ids(folder: Path, family: str = "", since: datetime | None = None) -> list[str]:
    table = open_log(f"file://{folder}").dataset(family, since).to_table()
    return sorted(table.column("request_id").to_pylist())


def test_all_of_it(folder: Path) -> None:
    assert ids(folder) == ["r1", "r2", "r3", "r4"]


def test_a_family_by_its_name(folder: Path) -> None:
    assert ids(folder, "churn") == ["r1", "r2", "r3"]
    assert ids(folder, "fräud") == ["r4"]
    assert ids(folder, "other") == []


def test_from_an_hour_on(folder: Path) -> None:
    assert ids(folder, "churn", datetime(2026, 11, 27, 10, 5, tzinfo=UTC)) == ["r3"]
    assert ids(folder, "churn", datetime(2026, 11, 27, 9, 59, tzinfo=UTC)) == ["r1", "r2", "r3"]


def test_folders_are_columns(folder: Path) -> None:
    table = open_log(f"file://{folder}").dataset("fräud", None).to_table()
    assert [table.column(name).to_pylist() for name in ("family", "date", "hour")] == [
        ["fräud"],
        ["2026-11-27"],
        ["12"],
    ]


@pytest.mark.parametrize("family", ["..", "a/b", "../../etc", ".", "a\\b"])
def test_a_family_leads_nowhere_else(family: str, folder: Path) -> None:
    with pytest.raises(InvalidRequest):
        ids(folder, family)


def test_older_and_newer_files_are_read_together(folder: Path) -> None:
    path = put(folder, "churn", "13", "r5")
    table = pq.ParquetFile(path).read().drop_columns(["defaults"])
    pq.write_table(table.append_column("later", pa.array([1])), path)
    found = open_log(f"file://{folder}").dataset("churn", None).to_table()
    assert sorted(zip(found["request_id"].to_pylist(), found["defaults"].to_pylist(), strict=True)) == [
        ("r1", 0),
        ("r2", 0),
        ("r3", 0),
        ("r5", None),
    ]


def test_a_log_that_nobody_wrote_has_nothing(tmp_path: Path) -> None:
    assert ids(tmp_path / "none") == []


def test_it_lies_in_a_folder_or_a_bucket() -> None:
    assert log_url("s3://b") == "s3://b"
    assert log_url("").startswith("file:///")
    found = open_log("s3://bucket/a/b?endpoint=http://127.0.0.1:9&region=eu-west-1")
    assert found.base == "bucket/a/b"
    with pytest.raises(InvalidSettings):
        open_log("https://example.com")


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(LogPartsMissing, match="pyarrow is not installed"):
        open_log("file:///x")


def test_a_moment_ago() -> None:
    assert moment_ago(60.0, NOW / 1e6) == datetime(2026, 11, 27, 12, 29, tzinfo=UTC)
    assert log_files.LogPartsMissing.reason == "LOG_PARTS_MISSING"
