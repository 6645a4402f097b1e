import json

import pytest


@pytest.fixture
def seated(fleet, run):
    """The fleet with a shard map: generation 1, hands of three."""
    run("cells", "add", "--all", "--hand-size", 3)
    return fleet


def test_a_map_is_shown(seated, run, ask):
    run("tenants", "hand", "acme", "--pin", "cell-1", "--pin", "cell-2")
    run("tenants", "hand", "zeta", "--exclude", "cell-3", "--size", 5, "--group", "banks")
    shown = ask("shards", "show")
    assert shown["number"] == 3
    assert shown["overrides"]["acme"]["pins"] == ["cell-1", "cell-2"]
    assert shown["overrides"]["zeta"] == {
        "pins": [],
        "excludes": ["cell-3"],
        "hand_size": 5,
        "isolation_group": "banks",
    }
    told = run("shards", "show").out
    assert "generation 3: hands of 3" in told
    assert "banks" in told
    assert ask("shards", "show", "--number", 1)["overrides"] == {}


def test_hands_are_resized_for_everybody(seated, run, ask):
    assert "hand size: 3 → 4" in run("shards", "hand-size", 4).out
    made = ask("shards", "hand-size", "20%", "--min", 2)
    assert made["changes"] == ["hand size: 4 → 20 % of the cells, at least 2"]
    assert seated.changes[-1].reason == "shards hand-size 20% --min 2"
    # Everybody moves, and every cell is named.
    assert len(seated.plans[-1].named_cells) == 8


def test_a_hand_that_is_larger_than_the_fleet_is_refused(seated, run):
    said = run("shards", "hand-size", 30, code=1).err
    assert "a hand of 30 is larger than all that is dealt, 8 cells" in said
    assert "--force" in said
    run("shards", "hand-size", 30, "--force", "a drill")
    assert seated.changes[-1].force == "a drill"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["120%"], "120 % of the cells is no size of a hand: it goes from 1 to 100 %"),
        (["0%"], "from 1 to 100 %"),
        (["many"], "many is no size of a hand"),
        (["6", "--min", "4"], "--min goes with a share such as 20%"),
        ([], "Missing argument"),
    ],
)
def test_a_size_that_is_none(seated, run, words, said):
    assert said in run("shards", "hand-size", *words, code=2).err
    assert len(seated.generations) == 1


def test_a_reseed_needs_a_reason(seated, run, ask):
    run("shards", "reseed", code=2)
    printed = ask("shards", "reseed", "--force", "a drill")
    first, second = seated.generations
    assert printed == {"generation": 2, "seed": second.seed, "seed_before": first.seed}
    assert seated.reasons == ["a drill"]
    assert "seed_since" not in ask("shards", "show")


def test_there_is_no_map_yet(run):
    assert "no generation" in run("shards", "show", code=1).err


def test_warnings_of_a_map_are_no_part_of_it(seated, run):
    seated.generations[-1].warnings.append("hands of 9 are larger than the fleet")
    # The map itself is a file for `shards apply`.
    shown = run("shards", "show", "--json")
    assert "warnings" not in json.loads(shown.out)
    assert shown.err == "warning: hands of 9 are larger than the fleet\n"
