import json

import pytest

from croupier.errors import NotFound
from croupierctl.journal import Journal, NoJournal, stamp
from croupierctl.manifest import Row

HOW = {"release": True, "features": ["a"]}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text("tenant,model,file\n")
    return path


@pytest.fixture
def rows(tmp_path):
    found = [Row(number, "acme", f"model-{number}", tmp_path / f"{number}.txt") for number in range(1, 4)]
    for row in found:
        row.file.write_text("a model")
    return found


def begun(path, manager="here:1", **how):
    return Journal(path, manager, HOW | how)


def test_what_is_done_is_known_to_the_next_run(path, rows):
    with begun(path) as journal:
        assert not any(map(journal.version_of, rows))
        journal.done(rows[0], stamp(rows[0].file), 7, 2)
        journal.failed(rows[1], NotFound("no such file"))
    with begun(path) as journal:
        assert list(map(journal.version_of, rows)) == [7, 0, 0]
        journal.done(rows[2], stamp(rows[2].file), 1, 2)
    with begun(path) as journal:
        assert list(map(journal.version_of, rows)) == [7, 0, 1]
    said = [json.loads(line) for line in journal.path.read_text().splitlines() if line]
    assert said[2] == {"row": 2, "error": "no such file", "reason": "NOT_FOUND"}
    journal.remove()
    with begun(path) as journal:
        assert not any(map(journal.version_of, rows))


def test_a_file_that_changed_is_not_done(path, rows):
    with begun(path) as journal:
        for row in rows:
            journal.done(row, stamp(row.file), 1, 0)
        journal.flush()
    rows[0].file.write_text("another model")
    rows[1].file.unlink()
    with begun(path) as journal:
        assert list(map(journal.version_of, rows)) == [0, 0, 1]


def test_one_that_changed_while_it_was_read_is_not_done(path, rows):
    seen = stamp(rows[0].file)
    rows[0].file.write_text("another model")
    with begun(path) as journal:
        journal.done(rows[0], seen, 1, 0)
    with begun(path) as journal:
        assert journal.version_of(rows[0]) == 0


@pytest.mark.parametrize("change", ["list", "manager", "how"])
def test_a_journal_of_something_else_is_begun_anew(path, rows, change):
    with begun(path) as journal:
        journal.done(rows[0], stamp(rows[0].file), 1, 0)
    if change == "list":
        path.write_text("tenant,model,file\nacme,churn,x\n")
    other = begun(
        path, *(["there:1"] if change == "manager" else []), **({"release": False} if change == "how" else {})
    )
    with other as journal:
        assert journal.version_of(rows[0]) == 0
    assert len([line for line in journal.path.read_text().splitlines() if line]) == 1


@pytest.mark.parametrize(
    "spoilt",
    ["", "{", "null\n", "[]\n", '{"row": 1}\n', "\0\xff\n"],
    ids=["empty", "cut", "null", "list", "row", "bytes"],
)
def test_a_journal_that_is_damaged_costs_work_alone(path, rows, spoilt):
    with begun(path) as journal:
        journal.done(rows[0], stamp(rows[0].file), 1, 0)
    whole = journal.path.read_text()
    journal.path.write_text(spoilt)
    with begun(path) as journal:
        assert journal.version_of(rows[0]) == 0
    journal.path.write_text(whole + '{"row": 2, "version": "x"}\n[1]\nnull\n{"row": 2, "file": [1, 2], "vers')
    with begun(path) as journal:
        assert list(map(journal.version_of, rows)) == [1, 0, 0]
        journal.done(rows[2], stamp(rows[2].file), 4, 0)
    with begun(path) as journal:
        assert list(map(journal.version_of, rows)) == [1, 0, 4]


def test_what_stands_in_its_place_and_is_no_file_is_not_written(path, tmp_path):
    begun(path).path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NoJournal, match="not a regular file"), begun(path):
        pass
    assert not (tmp_path / "elsewhere").exists()
