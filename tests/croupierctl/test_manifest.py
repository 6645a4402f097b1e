import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from croupierctl.manifest import BadManifest, read_manifest

ROWS = [
    {"tenant": "acme", "model": "churn", "file": "a/model.txt", "version": 3},
    {"tenant": "globex", "model": "churn", "file": "b.txt", "version": None},
]


def written(folder, kind, rows=ROWS):
    path = folder / f"list.{kind}"
    if kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif kind == "jsonl":
        path.write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    else:
        lines = [",".join(str("" if value is None else value) for value in row.values()) for row in rows]
        path.write_text("\ufefftenant,model,file,version\n" + "\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "csv"])
def test_a_list_of_any_kind(tmp_path, kind):
    found = read_manifest(written(tmp_path, kind))
    assert [(row.number, row.tenant, row.model, row.version) for row in found] == [
        (1, "acme", "churn", 3),
        (2, "globex", "churn", 0),
    ]
    assert [row.file for row in found] == [tmp_path / "a/model.txt", tmp_path / "b.txt"]
    assert not any(row.problem for row in found)


def test_a_version_may_be_left_out_and_a_file_may_lie_elsewhere(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("model,tenant,owner,file\nchurn,acme,x,/models/churn.txt\n")
    (row,) = read_manifest(path)
    assert (str(row.file), row.version) == ("/models/churn.txt", 0)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"tenant": ""}, "tenant"),
        ({"tenant": None}, "tenant"),
        ({"tenant": 5}, "tenant"),
        ({"model": "../../etc"}, "model"),
        ({"model": "a\0b"}, "model"),
        ({"model": "x" * 129}, "model"),
        ({"file": ""}, "file"),
        ({"file": "a\0b"}, "file"),
        ({"version": -1}, "version"),
        ({"version": True}, "version"),
        ({"version": 1.5}, "version"),
        ({"version": "one"}, "version"),
        ({"version": "9" * 30}, "version"),
        ({"version": "٣"}, "version"),
        ({"version": [1]}, "version"),
    ],
)
def test_what_is_wrong_with_a_row_is_told_of_that_row(tmp_path, fields, problem):
    found = read_manifest(written(tmp_path, "jsonl", [ROWS[0] | fields, ROWS[1]]))
    assert found[0].problem.field == problem
    assert found[1].problem is None


def test_a_model_stands_in_a_list_once(tmp_path):
    found = read_manifest(written(tmp_path, "jsonl", [ROWS[0], ROWS[1], ROWS[0] | {"file": "c"}]))
    assert [row.problem is None for row in found] == [True, True, False]
    assert "row 1" in found[2].problem.message


def test_a_version_that_a_table_made_a_float(tmp_path):
    assert read_manifest(written(tmp_path, "jsonl", [ROWS[0] | {"version": 3.0}]))[0].version == 3


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("list.txt", b"", "neither"),
        ("list.csv", b"tenant,model\nacme,churn\n", "no column file"),
        ("list.csv", b"", "no column tenant"),
        ("list.csv", b"tenant,model,file\n\xff\xfe,a,b\n", "cannot be read"),
        ("list.jsonl", b"{", "cannot be read"),
        ("list.jsonl", b"[1]", "no object"),
        ("list.jsonl", b"[" * 100_000, "cannot be read"),
        ("list.parquet", b"PAR1 but nothing else", "cannot be read"),
    ],
)
def test_what_is_no_list(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BadManifest, match=words):
        read_manifest(path)


def test_a_table_without_its_columns(tmp_path):
    path = written(tmp_path, "parquet", [{"tenant": "acme", "file": "x"}])
    with pytest.raises(BadManifest, match="no column model"):
        read_manifest(path)


def test_a_list_that_is_not_there(tmp_path):
    with pytest.raises(BadManifest, match="cannot be read"):
        read_manifest(tmp_path / "list.csv")
