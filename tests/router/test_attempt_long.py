"""Cells that run a model for long: a request that one of them does not end goes to no other."""

from __future__ import annotations

from support.attempts import HANG, WORK, Fleet, lost, routed

from croupier.errors import DeadlineExceeded, Unavailable
from router.suspects import Suspected


def test_what_a_cell_is_at_work_on_goes_to_no_other() -> None:
    fleet = Fleet(a=[WORK])
    asking = fleet.ask(routed("endless"), seconds=5.0)
    fleet.wait(6.0)
    assert isinstance(asking.answer(), DeadlineExceeded)
    assert fleet.asked == ["a"]
    assert not fleet.is_open("a")


def test_nor_does_what_waits_for_the_same_model_there() -> None:
    fleet = Fleet(a=[WORK, HANG])
    first = fleet.ask(routed("endless"), seconds=5.0)
    fleet.wait(0.1)
    second = fleet.ask(routed("endless"), seconds=5.0)
    fleet.wait(6.0)
    assert all(isinstance(asking.answer(), DeadlineExceeded) for asking in (first, second))
    assert fleet.asked == ["a", "a"]


def test_nor_what_came_there_with_it_whichever_is_looked_at_first() -> None:
    """Of many that are overdue at one moment, the cell is at work on one."""
    for place in range(12):
        fleet = Fleet(a=[*[HANG] * place, WORK, HANG])
        for _ in range(12):
            fleet.ask(routed("endless"), seconds=5.0)
        fleet.wait(4.0)
        assert fleet.asked == ["a"] * 12


def test_nor_what_has_less_time_than_what_the_cell_is_at_work_on() -> None:
    fleet = Fleet(a=[WORK, HANG])
    fleet.ask(routed("endless"), seconds=60.0)
    fleet.wait(0.1)
    hurried = fleet.ask(routed("endless"), seconds=0.4)
    fleet.wait(0.5)
    assert isinstance(hurried.answer(), DeadlineExceeded)
    assert fleet.asked == ["a", "a"]


def test_nor_what_waits_when_others_of_the_model_were_answered() -> None:
    """It may end with some rows and not with others."""
    fleet = Fleet(a=[WORK, b"ok", HANG])
    fleet.ask(routed("endless"), seconds=60.0)
    fleet.wait(0.1)
    assert fleet.ask(routed("endless"), seconds=5.0).answer() == b"ok a"
    fleet.ask(routed("endless"), seconds=5.0)
    fleet.wait(4.0)
    assert fleet.asked == ["a", "a", "a"]


def test_nor_what_comes_between_two_runs() -> None:
    """The first one is given up, and the cell has not said yet that it is at work on the next."""
    fleet = Fleet(a=[WORK, HANG])
    fleet.ask(routed("endless"), seconds=0.5)
    fleet.ask(routed("endless"), seconds=1.1)
    fleet.wait(1.0)
    assert fleet.asked == ["a", "a"]


def test_what_waits_goes_elsewhere_once_all_that_the_cell_was_at_work_on_has_ended() -> None:
    fleet = Fleet(a=[WORK, WORK, HANG])
    for _ in range(2):
        fleet.ask(routed("slow"), seconds=60.0)
    fleet.wait(0.1)
    for asked_next in ([], ["b"]):
        ended = fleet.under_way.pop(0)
        ended.call.answer(b"late")
        before = len(fleet.asked)
        fleet.ask(routed("slow"), seconds=4.0)
        fleet.wait(3.0)
        assert fleet.asked[before:] == ["a", *asked_next]


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
    [sent] = fleet.under_way
    fleet.under_way.remove(sent)
    sent.call.fail(Unavailable("stopping"))
    fleet.deliver()
    assert asking.answer() == b"ok b"


def test_a_model_that_ends_is_asked_for_as_any_other_again() -> None:
    fleet = Fleet(a=[WORK, HANG])
    slow = fleet.ask(routed("slow"), seconds=5.0)
    fleet.wait(2.0)
    fleet.deliver(late=True)
    assert slow.answer() == b"late a"
    again = fleet.ask(routed("slow"), seconds=5.0)
    fleet.wait(2.0)
    assert again.answer() == b"ok b"


def test_a_model_that_its_cell_ended_with_is_asked_for_nowhere() -> None:
    fleet = Fleet(a=[WORK])
    asking = fleet.ask(routed("endless"), seconds=60.0)
    fleet.wait(2.0)
    [sent] = fleet.under_way
    fleet.under_way.remove(sent)
    sent.call.fail(lost())
    assert isinstance(asking.answer(), Suspected)
    assert fleet.asked == ["a"]
    assert isinstance(fleet.attempts.suspects.refusal(routed("endless").artifact, fleet.now), Suspected)


def test_one_that_was_at_work_for_a_moment_is_not_why_its_cell_ended() -> None:
    """A cell begins answers that it is not done with; it may end for any reason."""
    fleet = Fleet(a=[WORK])
    asking = fleet.ask(routed("wide"), seconds=60.0)
    fleet.wait(0.1)
    [sent] = fleet.under_way
    fleet.under_way.remove(sent)
    fleet.play()
    sent.call.fail(lost())
    fleet.wait(2.0)
    assert asking.answer() == b"ok a"
