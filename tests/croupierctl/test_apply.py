import json

import pytest


@pytest.fixture
def seated(fleet, run):
    run("cells", "add", "--all", "--hand-size", 3)
    return fleet


@pytest.fixture
def write(tmp_path):
    def to_file(value, name="map.json"):
        path = tmp_path / name
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return path

    return to_file


def test_a_file_is_planned_and_applied(seated, run, ask, write):
    text = run("shards", "export").out.replace(
        "cell-3\n  zone: zone-d", "cell-3\n  zone: zone-d\n  draining: true"
    )
    file = write(text, "map.yaml")
    said = run("shards", "plan", file)
    assert "~ seat cell-3 in zone-d → cell-3 in zone-d, draining" in said.out
    assert len(seated.generations) == 1
    assert ask("shards", "apply", file)["draining"] == ["cell-3"]
    assert seated.changes[-1].reason == "shards apply map.yaml"
    assert (
        "generation 2 is active, and what is to be set changes 1" in run("shards", "plan", file, code=1).err
    )


def test_standard_input_is_a_file_too(seated, run):
    text = run("shards", "export").out.replace("zone: zone-d", "zone: zone-d\n  draining: true", 1)
    run("shards", "apply", "-", input=text)
    assert seated.generations[-1].seats[3].draining


def test_who_wrote_a_file_and_why_may_stand_in_it(seated, run, ask, write):
    shown = ask("shards", "show")
    shown["seats"][3]["draining"] = True
    run("shards", "apply", write(shown | {"author": "ann", "reason": "rack 7 burns"}))
    assert (seated.changes[-1].author, seated.changes[-1].reason) == ("ann", "rack 7 burns")


def test_a_file_changes_the_generation_that_it_was_made_from(seated, run, ask, write):
    first, second = ask("shards", "show"), ask("shards", "show")
    first["seats"][3]["draining"] = second["seats"][4]["draining"] = True
    run("shards", "apply", write(first))
    for verb in ("apply", "plan"):
        said = run("shards", verb, write(second), code=1).err
        assert "generation 2 is active, and what is to be set changes 1; what changed since:" in said
        assert "\n  ~ seat cell-3 in zone-d → cell-3 in zone-d, draining\n" in said
    run("shards", "apply", write(second), "--base", 2)
    del second["number"]
    assert "does not say which generation" in run("shards", "apply", write(second), code=1).err
    second["number"] = 77
    assert "changes 77, which is not kept any more" in run("shards", "apply", write(second), code=1).err
    assert len(seated.generations) == 3


def test_what_a_file_leaves_out_stays_but_no_cell_that_is_dealt(seated, run, ask, write):
    run("tenants", "hand", "acme", "--size", 2)
    shown = ask("shards", "show")
    file = write({"number": 2, "seats": shown["seats"][1:]})
    assert "slots; the cells that it names have 0" in run("shards", "apply", file, code=1).err
    run("shards", "apply", file, "--force", "it is gone")
    assert seated.generations[-1].overrides["acme"].hand_size == 2
    assert seated.generations[-1].hand_size == 3
    printed = ask("shards", "apply", write({"number": 3, "seats": shown["seats"][1:], "overrides": {}}))
    assert printed["changes"] == ["- override acme: hand size 2"]


def test_a_deployment_may_begin_with_a_file(fleet, run, write):
    run("shards", "apply", write({"seats": [{"cell": "cell-0", "zone": "zone-a"}], "hand_size": 1}))
    assert fleet.generations[0].hand_size == 1


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("{", "not a shard map"),
        ("seats: [", "not a shard map"),
        ({"seat": []}, "not a shard map"),
        ({"seats": [{"cell": "a"}]}, "not a shard map"),
        ({"seats": []}, "no seat is left"),
        ({"seats": [{"cell": "a", "zone": "z", "weight": 0}]}, "seat a: the weight is 0"),
        ({"seats": [{"cell": "a", "zone": "z"}] * 2}, "a has 2 seats"),
        (
            {"seats": [{"cell": "a", "zone": "z"}], "overrides": {"t": {"pins": ["b"]}}},
            "has no seat: b",
        ),
    ],
)
def test_a_file_that_is_no_map(manager, run, write, value, problem):
    said = run("shards", "apply", write(value), code=1)
    assert problem in said.err
    assert manager.generations == []


def test_a_file_that_is_no_map_at_all_is_not_read_to_its_end(run, tmp_path):
    file = tmp_path / "disk.img"
    with file.open("wb") as made:
        made.truncate(2**40)
    assert "larger than any shard map" in run("shards", "apply", file, code=1).err


@pytest.mark.parametrize("words", [[], ["missing.json"], ["/"]])
def test_a_wrong_command_line(run, words):
    run("shards", "apply", *words, code=2)
