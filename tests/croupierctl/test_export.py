import json

import pytest


@pytest.fixture
def seated(fleet, run):
    run("cells", "add", "--all", "--hand-size", 3)
    return fleet


def test_what_is_exported_can_be_applied_and_changes_nothing(seated, run, ask, tmp_path):
    run("tenants", "hand", "acme", "--size", "20%")
    for file in (tmp_path / "map.yaml", tmp_path / "map.json"):
        assert run("shards", "export", file).err == f"{file} has generation 2\n"
        assert "nothing changes" in run("shards", "apply", file).err
    assert json.loads((tmp_path / "map.json").read_text()) == ask("shards", "export")
    assert (tmp_path / "map.yaml").read_text() == run("shards", "export").out


def test_comments_survive_an_export_over_them(seated, run, tmp_path):
    file = tmp_path / "map.yaml"
    run("shards", "export", file)
    file.write_text(file.read_text().replace("- cell: cell-4", "# the slow one\n- cell: cell-4"))
    run("cells", "drain", "cell-4")
    run("shards", "export", file)
    assert "# the slow one\n- cell: cell-4\n  zone: zone-a\n  draining: true\n" in file.read_text()


def test_an_earlier_one_is_exported_too(seated, run, ask):
    run("shards", "hand-size", 2)
    assert (ask("shards", "export", "--number", 1)["hand_size"], ask("shards", "export")["hand_size"]) == (
        3,
        2,
    )


def test_what_is_something_else_is_not_written_over(seated, run, tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("do not forget the milk")
    assert "not written over" in run("shards", "export", file, code=1).err
    assert file.read_text() == "do not forget the milk"
    assert "cannot write" in run("shards", "export", tmp_path / "no" / "map.yaml", code=1).err


def test_the_schema_is_published(ask):
    schema = ask("shards", "schema")
    found = schema["$defs"]["ShardMap"]
    assert found["required"] == ["seats"]
    assert not found["additionalProperties"]
    assert {"number", "seats", "overrides", "hand_size", "seed", "author", "reason"} == {*found["properties"]}
