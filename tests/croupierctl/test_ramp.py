import pytest

from protos.versions.v1 import versions_pb2 as pb


@pytest.fixture
def seated(fleet, run):
    run("cells", "add", "--all", "--hand-size", 3)
    return fleet


def test_a_ramp_is_shown_held_resumed_and_ended(seated, run, ask, monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: "ann")
    assert ask("shards", "ramp")["tenants"] == 10_000
    ramp = pb.Ramp(active=1, previous=7, basis_points=2_550, seconds=600, paused="errors: 2 %")
    seated.generations[-1].ramp.CopyFrom(ramp)
    shown = ask("shards", "ramp")
    assert (shown["tenants"], shown["held"], shown["previous"]) == (2_550, "errors: 2 %", 7)
    assert "25.5 %" in run("shards", "ramp").out
    assert seated.ramps == []
    for action in ("pause", "resume", "finish"):
        run("shards", "ramp", f"--{action}")
    assert [pb.SetRampRequest.Action.Name(one.action) for one in seated.ramps] == [
        "PAUSE",
        "RESUME",
        "FINISH",
    ]
    assert {(one.expected_number, one.author) for one in seated.ramps} == {(1, "ann")}
    assert seated.ramps[0].reason == "shards ramp --pause"
    run("shards", "ramp", "--resume", "--reason", "it was the network")
    assert seated.ramps[-1].reason == "it was the network"


def test_one_thing_at_a_time(run):
    run("shards", "ramp", "--pause", "--finish", code=2)
