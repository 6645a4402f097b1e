"""The one way of every change: what is planned, printed, refused, and said to the version manager."""

import json
import re

import pytest

from croupier.errors import Conflict


@pytest.fixture
def seated(fleet, run):
    run("cells", "add", "--all", "--hand-size", 3)
    return fleet


def test_a_change_is_planned_printed_and_made_with_its_words(seated, run, monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: "ann")
    said = run("cells", "drain", "cell-3", "--ramp", "1h30m")
    assert "cell-3 in zone-d, draining" in said.out
    assert re.search(r"tenants moved  \d+ of 200 \(", said.out)
    assert said.out.endswith("generation 2 deals\n")
    (asked,), (made,) = seated.plans, seated.changes[1:]
    assert (asked.expected_number, [*asked.named_cells]) == (1, ["cell-3"])
    assert made.expected_number == 1
    assert (made.author, made.reason, made.ramp_seconds) == ("ann", "cells drain cell-3", 5400.0)
    run("cells", "undrain", "cell-3", "--reason", "rack 7 is back")
    assert seated.changes[-1].reason == "rack 7 is back"


def test_programs_get_one_object(seated, ask):
    made = ask("cells", "drain", "cell-3")
    assert (made["generation"], made["made"], made["draining"]) == (2, True, ["cell-3"])
    assert made["plan"]["tenants_moved"] == made["plan"]["cells"][3]["slots_before"] > 0
    assert made["plan"]["cells"][3]["cell"] == "cell-3"
    assert made["refusals"] == made["warnings"] == []


def test_a_dry_run_prints_and_makes_nothing(seated, run, ask):
    said = run("cells", "drain", "cell-3", "--dry-run")
    assert "tenants moved" in said.out
    assert "nothing was set" in said.err
    planned = ask("cells", "drain", "cell-3", "--dry-run")
    assert (planned["generation"], planned["made"]) == (1, False)
    assert len(seated.generations) == 1


def test_what_changes_nothing_makes_no_generation(seated, run, ask):
    assert "nothing changes" in run("cells", "undrain", "cell-3").err
    assert ask("cells", "undrain", "cell-3")["made"] is False
    assert len(seated.generations) == len(seated.changes) == 1


def test_what_is_refused_is_printed_and_needs_a_reason(seated, run, tmp_path):
    file = tmp_path / "map.yaml"
    run("shards", "export", file)
    file.write_text(file.read_text().replace("hand_size: 3", "hand_size: 4"))
    said = run("shards", "apply", file, code=1)
    assert "tenants moved" in said.out
    assert "error: it moves 200 slots; the cells that it names have 0 of 600, and 12 may move" in said.err
    assert "hint: look at the plan" in said.err
    refused = run("shards", "apply", file, "--json", code=1)
    assert json.loads(refused.out)["refusals"][0].startswith("it moves 200 slots")
    assert json.loads(refused.err)["reason"] == "PLAN_REFUSED"
    assert "say why" in run("shards", "apply", file, "--force", " ", code=2).err
    assert len(seated.generations) == 1
    forced = run("shards", "apply", file, "--force", "we need four")
    assert "forced: it moves 200 slots" in forced.err
    assert seated.changes[-1].force == "we need four"


def test_warnings_are_told_to_people_and_to_programs(seated, run):
    seated.warnings = ["seat cell-3: no such cell is registered"]
    said = run("cells", "drain", "cell-3")
    assert said.err == "warning: seat cell-3: no such cell is registered\n"
    printed = run("cells", "undrain", "cell-3", "--json")
    assert json.loads(printed.out)["warnings"] == seated.warnings


def test_a_change_that_somebody_else_made_first_is_a_conflict(seated, run):
    run("cells", "drain", "cell-3")
    seated.failures += [None, None, Conflict("generation 2 is active, not 1")]
    assert "hint: somebody changed it" in run("cells", "undrain", "cell-3", code=1).err


def test_an_older_manager_cannot_plan_and_is_asked_nothing_that_it_passes_over(seated, run):
    seated.can_plan = False
    said = run("cells", "drain", "cell-3")
    assert "cannot say what it will do" in said.err
    assert "- seat" not in said.out
    assert len(seated.generations) == 2
    assert "is older, and knows of no ramp" in run("cells", "undrain", "cell-3", "--ramp", "10m", code=1).err
    assert "is older, and knows of no rollback" in run("shards", "rollback", code=1).err
    assert len(seated.generations) == 2


@pytest.mark.parametrize("time", ["soon", "10 minutes", "-5", "10x", "inf", "nan", ""])
def test_a_time_that_is_none(seated, run, time):
    assert (
        "is no time: say 90s, 10m or 1h30m" in run("cells", "drain", "cell-3", f"--ramp={time}", code=2).err
    )


def test_changes_stand_below_each_other(fleet, run):
    lines = [line for line in run("cells", "add", "--all").out.splitlines() if "+ seat" in line]
    assert len(lines) == 8
    assert len({line.index("+ seat") for line in lines}) == 1


def test_the_seed_stays_and_fits_a_json_number(seated, run):
    run("shards", "hand-size", 2)
    first, second = seated.generations
    assert first.seed == second.seed < 2**53
