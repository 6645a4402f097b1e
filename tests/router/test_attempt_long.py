"""Cells that run a model for long: a request that one of them does not end goes to no other."""

from __future__ import annotations

from support.flights import HANG, WORK, Fleet, lost, routed

from croupier.errors import DeadlineExceeded, Unavailable
from router.suspects import Suspected


def test_what_a_cell_is_at_work_on_goes_to_no_other() -> None:
    fleet = Fleet(a=[WORK])
    asking = fleet.ask(routed("endless"), seconds=5.0)
    fleet.wait(6.0)
    assert isinstance(asking.answer(), DeadlineExceeded)
    assert fleet.asked == ["a"]
    assert not fleet.is_cooling("a")


def test_nor_does_what_waits_for_the_same_model_there() -> None:
    fleet = Fleet(a=[WORK, HANG])
    first = fleet.ask(routed("endless"), seconds=5.0)
    fleet.wait(0.1)
    second = fleet.ask(routed("endless"), seconds=5.0)
    fleet.wait(6.0)
    assert all(isinstance(asking.answer(), DeadlineExceeded) for asking in (first, second))
    assert fleet.asked == ["a", "a"]


def test_other_models_are_asked_for_elsewhere() -> None:
    fleet = Fleet(a=[WORK, HANG])
    fleet.ask(routed("endless"), seconds=5.0)
    other = fleet.ask(routed("other"), seconds=5.0)
    fleet.wait(2.0)
    assert other.answer() == b"ok b"


def test_a_cell_at_work_that_gives_it_up_sends_it_on() -> None:
    fleet = Fleet(a=[WORK])
    asking = fleet.ask(routed("slow"), seconds=5.0)
    fleet.wait(2.0)
    [sent] = fleet.flying
    fleet.flying.remove(sent)
    sent.flight.fail(Unavailable("stopping"))
    fleet.land()
    assert asking.answer() == b"ok b"


def test_a_model_that_ends_is_asked_for_as_any_other_again() -> None:
    fleet = Fleet(a=[WORK, HANG])
    slow = fleet.ask(routed("slow"), seconds=5.0)
    fleet.wait(2.0)
    fleet.land(late=True)
    assert slow.answer() == b"late a"
    again = fleet.ask(routed("slow"), seconds=5.0)
    fleet.wait(2.0)
    assert again.answer() == b"ok b"


def test_a_model_that_its_cell_ended_with_is_asked_for_nowhere() -> None:
    fleet = Fleet(a=[WORK])
    asking = fleet.ask(routed("endless"), seconds=60.0)
    fleet.wait(2.0)
    [sent] = fleet.flying
    fleet.flying.remove(sent)
    sent.flight.fail(lost())
    assert isinstance(asking.answer(), Suspected)
    assert fleet.asked == ["a"]
    assert isinstance(fleet.attempts.suspects.refusal(routed("endless").artifact, fleet.now), Suspected)
