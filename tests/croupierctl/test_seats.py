import pytest
from support.version_manager_fake import cell


@pytest.fixture
def seated(fleet, run):
    run("cells", "add", "--all", "--hand-size", 3)
    return fleet


def seats(fleet):
    return {seat.cell: seat for seat in fleet.generations[-1].seats}


def test_registered_cells_are_seated(fleet, ask):
    fleet.cells[3].state = "draining"
    printed = ask("cells", "add", "--all", "--hand-size", 3)
    (generation,) = fleet.generations
    assert (printed["generation"], printed["draining"], printed["plan"]) == (1, ["cell-3"], None)
    assert generation.hand_size == 3
    assert [seat.cell for seat in generation.seats] == [f"cell-{n}" for n in range(8)]
    assert generation.seats[5].zone == "zone-b"


def test_the_first_map_has_hands_of_four(fleet, run):
    run("cells", "add", "cell-0", "cell-1")
    assert (fleet.generations[0].hand_size, [*seats(fleet)]) == (4, ["cell-0", "cell-1"])


def test_what_stands_is_kept_when_cells_are_added(seated, run, ask):
    """Down, draining or in another zone: a new cell changes none of that, but zones follow cells."""
    run("cells", "drain", "cell-1")
    seated.cells = [*seated.cells[1:], cell(8, "zone-a", state="draining")]
    seated.cells[1].zone = "zone-x"
    printed = ask("cells", "add", "--all", "--force", "a test")
    assert printed["changes"] == [
        "~ seat cell-2 in zone-c → cell-2 in zone-x",
        "+ seat cell-8 in zone-a, draining",
    ]
    assert (printed["unseated"], printed["draining"]) == ([], ["cell-1", "cell-8"])


def test_cells_are_drained_and_come_back(seated, run, ask):
    assert ask("cells", "drain", "cell-1", "cell-2")["draining"] == ["cell-1", "cell-2"]
    assert seated.changes[-1].reason == "cells drain cell-1 cell-2"
    assert ask("cells", "undrain", "cell-1")["draining"] == ["cell-2"]


def test_a_cell_takes_the_place_of_another(seated, run, ask):
    run("tenants", "hand", "acme", "--pin", "cell-3")
    seated.cells.append(cell(8, "zone-a"))
    printed = ask("cells", "replace", "cell-3", "cell-8")
    assert (printed["seated"], printed["unseated"]) == (["cell-8"], ["cell-3"])
    assert [*seated.generations[-1].overrides["acme"].pins] == ["cell-8"]
    assert [*seated.plans[-1].named_cells] == ["cell-3", "cell-8"]


def test_a_seat_is_taken_away_once_it_is_drained(seated, run, ask):
    assert "cell-0 is still dealt: drain first" in run("cells", "remove", "cell-0", code=1).err
    run("cells", "drain", "cell-0")
    assert ask("cells", "remove", "cell-0")["unseated"] == ["cell-0"]
    assert ask("cells", "remove", "cell-1", "--force", "it burns")["unseated"] == ["cell-1"]


def test_a_zone_is_drained_and_comes_back(seated, ask):
    assert ask("zones", "drain", "zone-b")["draining"] == ["cell-1", "cell-5"]
    assert seated.changes[-1].reason == "zones drain zone-b"
    assert ask("zones", "undrain", "zone-b")["draining"] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("cells drain cell-33", "cell-33 has no seat in generation 1: did you mean cell-3?"),
        ("cells undrain cll-3", "cll-3 has no seat in generation 1: did you mean cell-3"),
        ("cells remove cell", "cell has no seat in generation 1"),
        ("cells replace cell-99 cell-1", "cell-99 has no seat"),
        ("cells replace cell-1 cell-77", "no cell cell-77 is registered: did you mean cell-7?"),
        ("cells replace cell-1 cell-2", "cell-2 has a seat already"),
        ("cells add cell-99", "no cell cell-99 is registered"),
        ("cells add cell-1 --hand-size 5", "--hand-size is for the first map: croupierctl shards hand-size"),
        ("zones drain zone-bb", "no seat is in zone-bb: did you mean zone-"),
        ("zones undrain zone-z", "no seat is in zone-z"),
        (
            "cells drain cell-0 cell-1 cell-2 cell-3 cell-4 cell-5 cell-6 cell-7",
            "are all of the cells that are dealt: add another or undrain one before",
        ),
    ],
)
def test_what_is_mistyped_is_answered_by_name(seated, run, words, said):
    assert said in run(*words.split(), code=1).err
    assert len(seated.generations) == 1


def test_a_cell_that_drains_is_not_added_but_undrained(seated, run):
    run("cells", "drain", "cell-1")
    assert (
        "cell-1 has a seat, which drains: croupierctl cells undrain"
        in run("cells", "add", "cell-1", code=1).err
    )


def test_a_cell_that_is_not_there_is_not_dealt_again_by_mistake(seated, run):
    run("cells", "drain", "cell-1")
    seated.cells = [one for one in seated.cells if one.id != "cell-1"]
    assert "not registered: cell-1" in run("cells", "undrain", "cell-1", code=1).err
    assert "not registered: cell-1" in run("zones", "undrain", "zone-b", code=1).err
    run("cells", "undrain", "cell-1", "--force", "it comes up right now")


def test_no_cell_is_no_shard_map(manager, run):
    assert "no cell is registered" in run("cells", "add", "--all", code=1).err
    assert manager.generations == []


@pytest.mark.parametrize(
    "words", ["add", "add cell-1 --all", "add --all --hand-size many", "drain", "replace a"]
)
def test_a_wrong_command_line(run, words):
    run("cells", *words.split(), code=2)
