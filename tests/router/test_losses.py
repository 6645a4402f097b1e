"""Calls whose cell died with them in flight, over a fleet that follows a script."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from prometheus_client import REGISTRY
from support.attempts import HANG, WORK, Fleet, artifact, down, lost, routed

from croupier.errors import DeadlineExceeded, FailedPrecondition, Unavailable
from router.losses import CellUnreachable, LostAgain, look_at, note_answers
from router.suspects import Suspected, Suspects
from router.units import Unit


def quarantined() -> FailedPrecondition:
    return FailedPrecondition("it crashed the cell", reason="QUARANTINED")


def test_what_was_lost_waits_for_its_cell_and_is_answered_there() -> None:
    fleet = Fleet(a=[lost(), down(), down(), b"ok"])
    asking = fleet.ask(routed("m"))
    fleet.wait(1.0)
    assert asking.answer() == b"ok a"
    assert fleet.asked == ["a", "a", "a", "a"]
    assert not fleet.attempts.suspects.held


def test_waiting_costs_no_retries() -> None:
    fleet = Fleet(a=[lost(), down(), down(), b"ok"], budget=0.0)
    asking = fleet.ask(routed("m"))
    fleet.wait(1.0)
    assert asking.answer() == b"ok a"


def test_a_cell_that_does_not_come_back_is_not_waited_for() -> None:
    fleet = Fleet(a=[lost(), down()])
    asking = fleet.ask(routed("m"))
    fleet.wait(0.45)
    assert set(fleet.asked) == {"a"}
    fleet.wait(0.3)
    assert asking.answer() == b"ok b"


def test_a_caller_in_a_hurry_waits_for_half_of_its_time() -> None:
    fleet = Fleet(a=[lost(), down()])
    asking = fleet.ask(routed("m"), seconds=0.4)
    fleet.wait(0.15)
    assert set(fleet.asked) == {"a"}
    fleet.wait(0.2)
    assert asking.answer() == b"ok b"


def test_a_request_that_waits_ends_with_its_deadline_or_its_caller() -> None:
    fleet = Fleet(a=[lost(), down()], b=[HANG], c=[HANG])
    late, gone = fleet.ask(routed("m"), seconds=0.2), fleet.ask(routed("m"))
    fleet.wait(0.05)
    gone.run.cancel()
    assert gone.ends == 1
    fleet.wait(0.3)
    assert isinstance(late.answer(), DeadlineExceeded)
    assert len(fleet.wheel) == 0


def test_the_verdict_of_the_cell_is_the_answer_here_and_for_a_while() -> None:
    error = quarantined()
    fleet = Fleet(a=[lost(), down(), error])
    asking = fleet.ask(routed("m"))
    fleet.wait(1.0)
    assert asking.answer() is error
    assert set(fleet.asked) == {"a"}
    assert fleet.attempts.suspects.refusal(artifact("m"), fleet.now) is error


def test_neighbours_that_were_lost_too_go_on_once_the_cell_is_back() -> None:
    fleet = Fleet(a=[lost(), lost(), quarantined(), b"ok"])
    culprit, neighbour = fleet.ask(routed("culprit")), fleet.ask(routed("neighbour"))
    fleet.wait(1.0)
    assert isinstance(culprit.answer(), FailedPrecondition)
    assert neighbour.answer() == b"ok a"
    assert fleet.attempts.suspects.refusal(artifact("neighbour"), fleet.now) is None


@pytest.mark.parametrize("back", ["a", "b"])
def test_neighbours_that_were_lost_with_two_cells_go_on_once_either_is_back(back: str) -> None:
    # Late, so that all that was lost comes to the next cell together.
    fleet = Fleet(a=[lost(), lost(), down()], b=[lost(), lost(), down()])
    culprit, neighbour = fleet.ask(routed("culprit")), fleet.ask(routed("neighbour"))
    fleet.wait(2.0)
    assert (culprit.ends, neighbour.ends) == (0, 0)
    [poisonous], [harmless] = culprit.units, neighbour.units
    fleet.play(**{"a": [down()], "b": [down()], back: [{poisonous.payload: quarantined()}]})
    fleet.wait(2.0)
    assert poisonous.outcome.reason == "QUARANTINED"
    assert harmless.outcome == harmless.payload + back.encode()
    assert set(fleet.asked) == {"a", "b"}
    assert fleet.attempts.suspects.refusal(artifact("neighbour"), fleet.now) is None
    assert not fleet.attempts.suspects.held


def test_nobody_is_blamed_and_no_third_cell_asked_where_none_of_two_is_back() -> None:
    fleet = Fleet(a=[lost(), down()], b=[lost(), down()])
    asking = fleet.ask(routed("m"), seconds=60.0)
    fleet.wait(9.0)
    assert not asking.ends
    fleet.wait(3.0)
    assert isinstance(asking.answer(), CellUnreachable)
    # Nor for another request.
    fleet.ask(routed("m"), seconds=1.0)
    fleet.wait(1.5)
    assert set(fleet.asked) == {"a", "b"}
    assert fleet.attempts.suspects.refusal(artifact("m"), fleet.now) is None


def test_what_was_lost_twice_goes_alone_so_that_no_neighbour_is_lost_a_third_time() -> None:
    # A cell that says nothing of whose fault it was, as when the system kills it for its memory.
    fleet = Fleet(a=[lost()] * 9 + [down()], b=[lost()] * 9 + [down()])
    asking = [fleet.ask(routed(str(number))) for number in range(9)]
    fleet.wait(1.5)
    assert [each.ends for each in asking] == [0] * 9
    fleet.play(a=[HANG], b=[down()])
    # For longer than an attempt: a cell that is just back is slow, and goes on to no third one.
    fleet.wait(2.0)
    [sent] = fleet.under_way
    assert "c" not in fleet.asked
    sent.line = lost()
    fleet.deliver()
    fleet.play(a=[b"ok"])
    fleet.wait(2.0)
    assert Counter(type(each.units[0].outcome) for each in asking) == {LostAgain: 1, bytes: 8}


def test_a_request_goes_to_no_third_cell_though_its_model_was_answered_meanwhile() -> None:
    fleet = Fleet(a=[lost(), down()], b=[lost(), down()])
    poisonous = fleet.ask(routed("m"))
    fleet.wait(1.0)
    fleet.attempts.suspects.answered(artifact("m"), "b")
    fleet.wait(2.0)
    assert not poisonous.ends
    assert set(fleet.asked) == {"a", "b"}


@pytest.mark.parametrize(
    "scripts",
    [
        {"a": [lost()]},
        {"a": [lost(), down(), lost()], "b": [lost()]},
        {"a": [lost(), lost(), down()], "b": [lost()]},
    ],
)
def test_a_request_lost_three_times_flies_no_more_and_its_artifact_is_refused(scripts: Any) -> None:
    fleet = Fleet(**scripts)
    asking = fleet.ask(routed("m"))
    fleet.wait(3.0)
    assert isinstance(asking.answer(), LostAgain)
    assert "c" not in fleet.asked
    assert isinstance(fleet.attempts.suspects.refusal(artifact("m"), fleet.now), Suspected)


def test_requests_lost_together_do_not_fly_together_again() -> None:
    fleet = Fleet(a=[lost()] * 8 + [b"ok"])
    asking = [fleet.ask(routed(str(number))) for number in range(8)]
    fleet.deliver()
    moments = set()
    while any(not each.ends for each in asking):
        before = len(fleet.calls)
        fleet.wait(0.005)
        if len(fleet.calls) > before:
            moments.add(fleet.now)
    assert len(moments) >= 4


def test_a_unit_that_was_not_routed_flies_on_at_once() -> None:
    fleet = Fleet(a=[lost()])
    assert fleet.ask(Unit(b"?", ("a", "b"))).answer() == b"ok b"


def lost_with_two(fleet: Fleet, *names: str) -> None:
    for name in names:
        for cell in ("a", "b"):
            fleet.attempts.suspects.lost(artifact(name), cell, fleet.now)


def test_what_two_cells_were_lost_with_is_not_asked_of_a_third_one_that_comes_first() -> None:
    fleet = Fleet()
    lost_with_two(fleet, "m")
    third, elsewhere = routed("m"), routed("m")
    third.cells, elsewhere.cells = ("c", "a", "b"), ("d", "e")
    assert isinstance(fleet.ask(third).answer(), Unavailable)
    assert fleet.asked == []
    # Who has none of the two in its hand would be asked nowhere.
    assert fleet.ask(elsewhere).answer() == b"ok d"


def test_of_two_artifacts_that_were_lost_twice_one_goes_to_a_cell() -> None:
    fleet = Fleet(a=[HANG])
    lost_with_two(fleet, "m", "n")
    fleet.ask(routed("m"))
    fleet.ask(routed("n"))
    fleet.ask(routed("other"))
    assert [sent.call.units[0].artifact for sent in fleet.under_way] == [artifact("m"), artifact("other")]


@pytest.mark.parametrize(("lost_with", "goes"), [((), True), (("a",), True), (("a", "a"), False)])
def test_a_request_that_was_lost_twice_goes_alone_whatever_its_artifact(
    lost_with: tuple[str, ...], goes: bool
) -> None:
    fleet = Fleet(a=[HANG])
    suspects = fleet.attempts.suspects
    lost_with_two(fleet, "other")
    assert suspects.enter(artifact("other"), "a", fleet.now, fleet.now + 60.0)
    unit = routed("m")
    unit.lost_with = lost_with
    fleet.ask(unit)
    assert bool(fleet.under_way) == goes


def test_of_two_artifacts_that_a_cell_ended_with_neither_is_the_culprit() -> None:
    fleet = Fleet(a=[WORK])
    before = REGISTRY.get_sample_value("croupier_router_lost_total") or 0.0
    fleet.ask(routed("m"), routed("n"))
    fleet.wait(1.5)
    [sent] = fleet.under_way
    assert fleet.attempts.suspects.is_working_long(artifact("m"), "a", fleet.now)
    sent.line = lost()
    fleet.deliver()
    assert not fleet.attempts.suspects.refused
    assert REGISTRY.get_sample_value("croupier_router_lost_total") == before + 2


def test_what_is_held_is_asked_of_those_first_that_may_be_back_and_what_is_refused_of_none() -> None:
    suspects, now = Suspects(), 100.0
    suspects.lost(artifact("held"), "b", now)
    suspects.lost(artifact("far"), "z", now)
    error = suspects.suspect(artifact("refused"), now)
    held, far, refused, fine, ended = map(routed, ("held", "far", "refused", "fine", "refused"))
    ended.outcome, unrouted = b"ok", Unit(b"?", ("a", "b"))
    look_at(suspects, [held, far, refused, fine, ended, unrouted], now)
    assert (held.cells, held.near, held.outcome) == (("b", "a", "c"), 0, None)
    for unit in (far, fine):
        assert (unit.cells, unit.near, unit.outcome) == (("a", "b", "c"), 3, None)
    assert (refused.outcome, ended.outcome) == (error, b"ok")
    assert (unrouted.cells, unrouted.outcome) == (("a", "b"), None)


def test_a_cell_refuses_for_all_only_what_it_says_that_it_has_in_quarantine() -> None:
    suspects, now, error = Suspects(), 100.0, quarantined()
    units = [routed("busy"), routed("poison"), routed("unknown"), Unit(b"?", ("a",))]
    for name in ("busy", "poison"):
        suspects.lost(artifact(name), "a", now)
    busy = FailedPrecondition("not now", reason="OTHER")
    note_answers(suspects, lambda outcome: None, "a", units, [busy, error, error, error], now)
    assert suspects.refusal(artifact("poison"), now) is error
    assert [*suspects.refused] == [artifact("poison")]
    assert not suspects.held
