"""Following a change: what is left of it is said, and it ends."""

import json
from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.version_manager_fake import cell

from croupier.errors import Unavailable
from croupierctl import follow
from croupierctl.follow import Following, Step, step_of
from protos.versions.v1 import versions_pb2 as pb

WHAT = Following(2, ("cell-3",), 60.0)


@pytest.fixture
def seated(fleet, run, monkeypatch):
    monkeypatch.setattr(follow, "POLL_SECONDS", 0.0)
    run("cells", "add", "--all", "--hand-size", 3)
    return fleet


def status(*generations, requests=0, registered=True, loading=0, ramp=None, generation=2):
    """What a manager says of routers that answer from `generations`, and of cell-3."""
    load = pb.Load(loading=loading, work=pb.Work(seconds=10, requests=requests))
    return pb.Status(
        generation=generation,
        ramp=ramp,
        routers=[
            pb.RouterStatus(report=pb.RouterReport(id=f"r{n}", address=f"10.0.0.{n}:1", generation=number))
            for n, number in enumerate(generations)
        ],
        cells=[pb.CellStatus(cell=pb.Cell(id="cell-3", load=load), registered=registered)],
    )


def test_what_is_left_is_said_in_words():
    assert step_of(WHAT, status(2, 2)).is_done
    behind = step_of(WHAT, status(1, 2, requests=7))
    assert behind.words() == (
        "1 of 2 routers do not answer from it yet: 10.0.0.0:1; cell-3 had 7 requests in the last 10 s"
    )
    assert behind.done == 5_000
    ramp = pb.Ramp(basis_points=2_550, paused="errors")
    ramped = step_of(WHAT, status(2, loading=3, ramp=ramp))
    assert ramped.words() == "generation 2 deals to 25.5 % of the tenants; cells load 3 models"
    assert (ramped.held, ramped.done, ramped.is_done) == ("errors", 2_550, False)


def test_a_cell_that_is_gone_has_nothing_left_to_do_and_one_that_does_not_tell_is_waited_for():
    assert step_of(WHAT, status(2, requests=7, registered=False)).is_done
    assert step_of(WHAT, pb.Status(generation=2)).is_done
    silent = pb.Status(generation=2, cells=[pb.CellStatus(cell=pb.Cell(id="cell-3"), registered=True)])
    assert step_of(WHAT, silent).left == ("cell-3 does not say what it is asked for",)


def test_a_router_that_leaves_is_not_waited_for():
    told = status(1)
    told.routers[0].report.leaving = True
    assert step_of(WHAT, told).is_done


@given(st.builds(Step, st.just(2), st.integers(0, 10_000), st.just(""), st.integers(0, 3)))
def test_a_bar_is_full_when_all_is_done_and_not_before(step):
    assert (step.done == 10_000) == step.is_done


def test_a_drain_is_waited_for_until_nothing_is_left(seated, run):
    seated.statuses = [status(1, 1), status(1, 2), status(2, 2, requests=9), status(2, 2), status(2, 2)]
    seated.cell_tenants = [pb.ListCellTenantsResponse(tenants_total=4)]
    said = run("cells", "drain", "cell-3", "--wait").err.splitlines()
    assert said == [
        "2 of 2 routers do not answer from it yet: 10.0.0.0:1, 10.0.0.1:1",
        "1 of 2 routers do not answer from it yet: 10.0.0.0:1",
        "cell-3 had 9 requests in the last 10 s",
        "cell-3 is in the hands of 4 tenants",
        "generation 2 deals to all, and everybody has followed it",
    ]


def test_a_drain_can_be_waited_for_again(seated, run):
    run("cells", "drain", "cell-3")
    seated.statuses = [status(2, requests=9), status(2)]
    said = run("cells", "drain", "cell-3", "--wait").err
    assert "nothing changes" in said
    assert "cell-3 had 9 requests" in said


def test_of_a_replacement_the_cell_that_goes_is_waited_for_and_not_the_one_that_comes(seated, run):
    seated.cells.append(cell(8, "zone-d"))
    seated.statuses = [status(2), status(2)]
    seated.cell_tenants = [pb.ListCellTenantsResponse(tenants_total=4)]
    said = run("cells", "replace", "cell-3", "cell-8", "--wait").err.splitlines()
    assert said == [
        "cell-3 is in the hands of 4 tenants",
        "generation 2 deals to all, and everybody has followed it",
    ]


def test_programs_get_a_line_for_each_step(seated, run):
    seated.statuses = [status(1), status(2)]
    lines = [
        json.loads(line) for line in run("cells", "drain", "cell-3", "--watch", "--json").out.splitlines()
    ]
    assert lines[0]["generation"] == 2
    assert [line["progress"]["done"] for line in lines[1:]] == [False, True]
    assert lines[1]["progress"]["behind"] == ["10.0.0.0:1"]


def test_a_ramp_that_is_held_is_not_waited_for(seated, run):
    run("cells", "drain", "cell-3")
    seated.status = status(2, ramp=pb.Ramp(active=2, previous=1, basis_points=100, paused="p99: 2 s"))
    said = run("cells", "drain", "cell-3", "--watch", code=1).err
    assert "the ramp of generation 2 is held: p99: 2 s" in said
    assert "hint: go on with `croupierctl shards ramp --resume`" in said


def test_it_is_given_up_after_a_time_with_what_is_left(seated, run):
    seated.status = status(1)
    said = run("cells", "drain", "cell-3", "--wait", "--timeout", "0s", code=1).err
    assert "it has not settled within 0 s: 1 of 1 routers do not answer from it yet: 10.0.0.0:1" in said


def test_managers_may_be_restarted_meanwhile(seated, run):
    run("cells", "drain", "cell-3")
    # Once the map is fetched, cells are listed, and the change is planned and made.
    seated.failures += [*[None] * 4, Unavailable("it restarts", reason="STARTING")]
    seated.statuses = [status(1, generation=3), status(3, generation=3)]
    assert run("cells", "undrain", "cell-3", "--watch").err.splitlines()[-1].startswith("generation 3")


def test_another_change_ends_it(seated, run):
    run("cells", "drain", "cell-3")
    seated.statuses = [status(1), status(1, generation=9)]
    said = run("cells", "drain", "cell-3", "--watch", code=1).err
    assert "generation 9 became active while 2 was followed" in said


def test_a_manager_that_has_not_heard_of_it_is_asked_again(seated, run):
    run("cells", "drain", "cell-3")
    seated.statuses = [status(1, generation=1), status(2)]
    said = run("cells", "drain", "cell-3", "--watch").err.splitlines()
    assert said[1] == "the version manager that answers has not heard of it yet"


def test_people_see_a_bar_with_what_is_left(seated, run, monkeypatch):
    steps = []

    class Bar(nullcontext):
        def add_task(self, words, total):
            return total

        def update(self, task, completed, description):
            steps.append((completed, description))

    monkeypatch.setattr("croupierctl.output.bar", Bar)
    seated.statuses = [status(2, ramp=pb.Ramp(active=2, previous=1, basis_points=4_000)), status(2)]
    run("cells", "drain", "cell-3", "--watch")
    assert steps == [
        (4_000, "generation 2 deals to 40 % of the tenants"),
        (10_000, "generation 2 deals to all, and everybody has followed it"),
    ]


WAITING = pb.Ramp(active=2, previous=1, basis_points=0, seconds=1.0, warmed=3412, to_warm=9000)


def test_what_cells_load_before_anybody_moves_is_said():
    waiting = step_of(WHAT, status(2, ramp=WAITING))
    assert waiting.words() == "generation 2 deals to 0 % of the tenants; warming 3,412 of 9,000"
    assert (waiting.told()["warmed"], waiting.told()["to_warm"]) == (3412, 9000)
    rising = pb.Ramp(basis_points=5, warmed=3412, to_warm=9000)
    assert "warming" not in step_of(WHAT, status(2, ramp=rising)).words()


def test_a_verb_returns_when_its_map_deals(seated, run):
    seated.statuses = [status(1, generation=1), status(1, ramp=WAITING), status(1)]
    said = run("cells", "drain", "cell-3").err
    assert "warming 3,412 of 9,000" in said
    assert seated.statuses == []
    assert (seated.changes[-1].warm, seated.changes[-1].cold) == (True, False)


def test_a_verb_that_is_cold_or_ramped_does_not_wait(seated, run):
    seated.status = status(1, ramp=WAITING)
    run("cells", "drain", "cell-3", "--cold")
    assert (seated.changes[-1].warm, seated.changes[-1].cold) == (False, True)
    run("cells", "undrain", "cell-3", "--ramp", "10m")
    assert (seated.changes[-1].warm, seated.changes[-1].cold) == (False, False)


def test_a_map_that_is_held_or_does_not_come_to_deal_is_told(seated, run):
    held = pb.Ramp(active=2, previous=1, paused="errors")
    seated.status = status(1, ramp=held)
    assert "generation 2 does not deal yet: errors" in run("cells", "drain", "cell-3", code=1).err
    seated.status = status(1, ramp=WAITING, generation=3)
    said = run("cells", "undrain", "cell-3", "--timeout", "0s", code=1).err
    assert "generation 3 does not deal to all within 0 s" in said
