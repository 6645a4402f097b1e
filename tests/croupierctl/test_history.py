import pytest

from protos.versions.v1 import versions_pb2 as pb


@pytest.fixture
def seated(fleet, run):
    run("cells", "add", "--all", "--hand-size", 3)
    run("cells", "drain", "cell-3")
    return fleet


def test_generations_are_listed_with_who_made_them_and_why(seated, run, ask):
    rows = ask("shards", "history")
    assert [(row["generation"], row["reason"], row["seats"]) for row in rows] == [
        (2, "cells drain cell-3", 8),
        (1, "cells add --all", 8),
    ]
    assert "cells drain cell-3" in run("shards", "history").out


def test_two_generations_are_compared(seated, run, ask):
    line = "~ seat cell-3 in zone-d → cell-3 in zone-d, draining"
    assert run("shards", "diff", 1, 2).out == f"{line}\n"
    assert ask("shards", "diff", 1) == {"before": 1, "after": 2, "changes": [line]}
    assert "generation 2 deals as 2 does" in run("shards", "diff", 2).err
    assert "no generation 9" in run("shards", "diff", 1, 9, code=1).err


def test_an_earlier_content_becomes_the_next_generation(seated, run, ask):
    made = ask("shards", "rollback")
    assert (made["generation"], made["changes"]) == (
        3,
        ["~ seat cell-3 in zone-d, draining → cell-3 in zone-d"],
    )
    asked = seated.changes[-1]
    assert (asked.rollback_to, asked.expected_number, asked.reason) == (1, 2, "shards rollback --to 1")
    assert not asked.HasField("generation")
    # That is undone in the same way.
    assert ask("shards", "rollback")["draining"] == ["cell-3"]
    assert ask("shards", "rollback", "--to", 1, "--dry-run")["made"] is False
    assert "nothing changes" in run("shards", "rollback", "--to", 4).err


def test_a_rollback_may_move_whatever_was_moved(seated, run):
    run("shards", "hand-size", 5)
    run("shards", "rollback")
    assert len(seated.plans[-1].named_cells) == 8


def test_it_is_said_if_nothing_is_known_of_before(seated, run):
    seated.previous = 0
    assert "give --to, and see `croupierctl shards history`" in run("shards", "rollback", code=1).err
    assert "no generation 9" in run("shards", "rollback", "--to", 9, code=1).err
    assert pb.SetGenerationRequest() not in seated.changes
