import json

import pytest
from support.version_manager_fake import cell

from croupier.errors import Conflict


@pytest.fixture
def write(tmp_path):
    def to_file(value):
        path = tmp_path / "map.json"
        path.write_text(value if isinstance(value, str) else json.dumps(value))
        return path

    return to_file


def test_registered_cells_are_seated(fleet, ask):
    fleet.cells[3].state = "draining"
    printed = ask("shards", "set", "--from-cells", "--hand-size", 3)
    (generation,) = fleet.generations
    assert printed["generation"] == 1
    assert printed["draining"] == ["cell-3"]
    assert generation.hand_size == 3
    assert [seat.cell for seat in generation.seats] == [f"cell-{n}" for n in range(8)]
    assert generation.seats[5].zone == "zone-b"


def test_the_seed_stays_and_fits_a_json_number(fleet, run):
    run("shards", "set", "--from-cells")
    run("shards", "set", "--from-cells", "--hand-size", 2)
    first, second = fleet.generations
    assert first.seed == second.seed < 2**53
    assert (first.hand_size, second.hand_size) == (4, 2)


def test_cells_that_come_and_go_are_told(fleet, run, ask):
    run("shards", "set", "--from-cells")
    fleet.cells = [*fleet.cells[1:], cell(8, "zone-a")]
    printed = ask("shards", "set", "--from-cells", "--unseat", "cell-0")
    assert (printed["seated"], printed["unseated"]) == (["cell-8"], ["cell-0"])
    assert printed["changes"] == ["- seat cell-0 in zone-a", "+ seat cell-8 in zone-a"]
    assert "cell-99 has no seat" in run("shards", "set", "--from-cells", "--unseat", "cell-99", code=1).err


def test_what_stands_is_kept_when_cells_are_seated(fleet, run, ask, write):
    """Down, draining or weighted by hand: a new cell changes none of that."""
    run("shards", "set", "--from-cells")
    shown = ask("shards", "show")
    shown["seats"][1] |= {"draining": True, "weight": 2.5}
    shown["overrides"] = {"acme": {"pins": ["cell-0"]}}
    run("shards", "set", write(shown | {"author": "ann", "reason": "rack 7 burns"}))
    assert ask("shards", "show")["author"] == "ann"
    fleet.cells = [*fleet.cells[1:], cell(8, "zone-a", state="draining")]
    fleet.cells[1].zone = "zone-x"
    printed = ask("shards", "set", "--from-cells")
    assert printed["changes"] == [
        "~ seat cell-2 in zone-c → cell-2 in zone-x",
        "+ seat cell-8 in zone-a, draining",
    ]
    assert (printed["unseated"], printed["draining"]) == ([], ["cell-1", "cell-8"])
    again = ask("shards", "show")
    assert (again["author"], again["reason"]) == ("", "")
    assert again["seats"][:2] == shown["seats"][:2]
    assert list(again["overrides"]) == ["acme"]


def test_what_changes_nothing_makes_no_generation(fleet, run, ask, write):
    run("shards", "set", "--from-cells")
    for words in (["--from-cells"], [write(ask("shards", "show"))]):
        said = run("shards", "set", *words)
        assert "nothing changes" in said.err
        assert ask("shards", "set", *words)["generation"] == 1
    assert len(fleet.generations) == 1


def test_a_dry_run_shows_and_sets_nothing(fleet, run):
    run("shards", "set", "--from-cells")
    said = run("shards", "set", "--from-cells", "--hand-size", 5, "--dry-run")
    assert "hand size: 4 → 5" in said.out
    assert "nothing was set" in said.err
    assert len(fleet.generations) == 1


def test_a_file_changes_the_generation_that_it_was_made_from(fleet, run, ask, write):
    run("shards", "set", "--from-cells")
    first, second = ask("shards", "show"), ask("shards", "show")
    first["hand_size"], second["hand_size"] = 2, 3
    run("shards", "set", write(first))
    for words in ([], ["--dry-run"]):
        said = run("shards", "set", write(second), *words, code=1).err
        assert "generation 2 is active, and what is to be set changes 1" in said
    assert fleet.generations[-1].hand_size == 2
    run("shards", "set", write(second), "--base", 2)
    del second["number"]
    assert "does not say which generation" in run("shards", "set", write(second), code=1).err
    assert [one.hand_size for one in fleet.generations] == [4, 2, 3]


def test_what_a_file_leaves_out_stays(fleet, run, ask, write):
    run("shards", "set", "--from-cells", "--hand-size", 3)
    shown = ask("shards", "show")
    run("shards", "set", write(shown | {"overrides": {"acme": {"hand_size": 2}}}))
    run("shards", "set", write({"number": 2, "seats": shown["seats"][1:]}))
    assert fleet.generations[-1].overrides["acme"].hand_size == 2
    assert fleet.generations[-1].hand_size == 3
    printed = ask("shards", "set", write({"number": 3, "seats": shown["seats"][1:], "overrides": {}}))
    assert printed["changes"] == ["- override acme: hand size 2"]


def test_no_cell_is_no_shard_map(manager, run):
    assert "no cell is registered" in run("shards", "set", "--from-cells", code=1).err
    assert manager.generations == []


def test_a_map_can_be_shown_edited_and_set(fleet, run, ask, write):
    run("shards", "set", "--from-cells", "--hand-size", 3)
    shown = ask("shards", "show")
    shown["overrides"] = {
        "acme": {"pins": ["cell-1", "cell-2"]},
        "zeta": {"excludes": ["cell-3"], "hand_size": 5, "isolation_group": "banks"},
    }
    run("shards", "set", write(shown))
    again = ask("shards", "show")
    assert again["number"] == 2
    assert again["seed"] == shown["seed"]
    assert again["seats"] == shown["seats"]
    assert again["overrides"]["acme"]["pins"] == ["cell-1", "cell-2"]
    assert again["overrides"]["zeta"] == {
        "pins": [],
        "excludes": ["cell-3"],
        "hand_size": 5,
        "isolation_group": "banks",
    }
    told = run("shards", "show").out
    assert "generation 2: hands of 3" in told
    assert "banks" in told
    assert ask("shards", "show", "--number", 1)["overrides"] == {}


def test_overrides_survive_new_cells(fleet, run, ask, write):
    run("shards", "set", "--from-cells")
    shown = ask("shards", "show")
    shown["overrides"] = {"acme": {"hand_size": 6}}
    run("shards", "set", write(shown))
    fleet.cells.append(cell(8, "zone-a"))
    run("shards", "set", "--from-cells")
    assert fleet.generations[-1].overrides["acme"].hand_size == 6


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("{", "not a shard map"),
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
    said = run("shards", "set", write(value), code=1)
    assert problem in said.err
    assert manager.generations == []


def test_a_stale_change_is_a_conflict(fleet, run):
    run("shards", "set", "--from-cells")
    fleet.failures.append(Conflict("the active generation is 2"))
    assert "hint: somebody changed it" in run("shards", "set", "--from-cells", code=1).err


def test_a_reseed_needs_a_reason(fleet, run, ask):
    run("shards", "set", "--from-cells")
    run("shards", "reseed", code=2)
    printed = ask("shards", "reseed", "--force", "a drill")
    first, second = fleet.generations
    assert printed == {"generation": 2, "seed": second.seed, "seed_before": first.seed}
    assert fleet.reasons == ["a drill"]
    assert "seed_since" not in ask("shards", "show")


def test_there_is_no_map_yet(run):
    assert "no generation" in run("shards", "show", code=1).err


@pytest.mark.parametrize("words", [[], ["--hand-size", "3"], ["missing.json"], ["--unseat", "cell-1"]])
def test_a_wrong_command_line(run, words):
    run("shards", "set", *words, code=2)


def test_a_file_and_from_cells_exclude_each_other(run, write):
    run("shards", "set", write({"seats": []}), "--from-cells", code=2)


def test_warnings_are_told_to_people_and_to_programs(fleet, run, ask):
    fleet.warnings = ["hands of 9 are larger than the fleet"]
    said = run("shards", "set", "--from-cells", "--hand-size", 9)
    assert said.err == "warning: hands of 9 are larger than the fleet\n"
    printed = run("shards", "set", "--from-cells", "--hand-size", 8, "--json")
    assert json.loads(printed.out)["warnings"] == fleet.warnings
    assert printed.err == said.err
    fleet.generations[-1].warnings.extend(fleet.warnings)
    # The map itself is a file for `shards set`.
    shown = run("shards", "show", "--json")
    assert "warnings" not in json.loads(shown.out)
    assert shown.err == said.err


def test_changes_stand_below_each_other(fleet, run):
    lines = [line for line in run("shards", "set", "--from-cells").out.splitlines() if "+ seat" in line]
    assert len(lines) == 8
    assert len({line.index("+ seat") for line in lines}) == 1
