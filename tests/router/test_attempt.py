"""CellCalls over a fleet that follows a script."""

import gc
import weakref
from typing import Any

import pytest
from support.attempts import HAND, HANG, TIMEOUT, Asking, Fleet, down
from support.fakes import metric

from croupier.deadline import NEVER
from croupier.errors import (
    Cancelled,
    CroupierError,
    DeadlineExceeded,
    FailedPrecondition,
    InternalError,
    InvalidRequest,
    Unavailable,
)
from router.attempt import NoCell
from router.losses import CellUnreachable
from router.units import Unit


@pytest.fixture(params=[False, True], ids=["told later", "raised at once"])
def at_once(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_the_first_cell_answers_and_no_other_is_asked() -> None:
    fleet = Fleet()
    asking = fleet.ask()
    assert (asking.ends, len(fleet.wheel)) == (0, 1)
    assert asking.answer() == b"ok a"
    assert fleet.asked == ["a"]
    assert fleet.timeouts == [10.0]


def test_without_a_deadline_the_cell_is_told_of_none() -> None:
    fleet = Fleet(a=[HANG], b=[HANG], c=[HANG])
    asking = fleet.ask(seconds=NEVER.at)
    fleet.wait(10 * TIMEOUT)
    assert (fleet.asked, fleet.timeouts) == (["a", "b", "c"], [None] * 3)
    # All three are overdue: there is nothing to wait for but their answers.
    assert len(fleet.wheel) == 0
    fleet.deliver(late=True)
    assert asking.answer() == b"late a"


def test_who_asks_too_much_of_a_cell_goes_to_one_other_and_opens_no_breaker() -> None:
    """A breaker would keep out those as well whom the cell lets in."""
    full, busy = Unavailable("full", reason="OVERLOADED"), Unavailable("busy")
    fleet = Fleet(a=[full] * 10, b=[full] * 10)
    for _ in range(10):
        assert fleet.ask().answers() == [full]
    assert {*fleet.asked} == {"a", "b"}
    assert not fleet.is_open("a")
    fleet = Fleet(a=[busy] * 10)
    for _ in range(10):
        assert fleet.ask().answer() == b"ok b"
    assert fleet.is_open("a")


@pytest.mark.parametrize("error", [down(), Unavailable("busy")])
def test_unavailable_goes_on_to_the_next_cell(error: Exception, at_once: bool) -> None:
    fleet = Fleet(a=[error], b=[error], at_once=at_once)
    before = metric("croupier_router_retries_total")
    assert fleet.ask().answer() == b"ok c"
    assert fleet.asked == ["a", "b", "c"]
    assert metric("croupier_router_retries_total") == before + 2


@pytest.mark.parametrize(
    "error", [InvalidRequest("bad"), FailedPrecondition("no"), InternalError("bug"), DeadlineExceeded("late")]
)
def test_any_other_error_is_the_answer(error: CroupierError, at_once: bool) -> None:
    fleet = Fleet(a=[error], at_once=at_once)
    asking = fleet.ask()
    assert asking.answer() is error
    with pytest.raises(type(error)):
        asking.units[0].answer()
    assert fleet.asked == ["a"]


def test_a_whole_hand_that_is_down_is_told_at_once_and_nobody_outside_it_is_asked(at_once: bool) -> None:
    full = Unavailable("full", retry_after=2.0)
    fleet = Fleet(a=[down()], b=[down()], c=[full], at_once=at_once)
    assert fleet.ask().answer() is full
    assert fleet.asked == ["a", "b", "c"]


def test_without_a_cell_there_is_nobody_to_ask() -> None:
    outcome = Fleet().ask(Unit(b"?", ())).answer()
    assert isinstance(outcome, NoCell)
    assert outcome.retry_after > 0


def test_an_empty_budget_ends_the_retries(at_once: bool) -> None:
    fleet = Fleet(a=[down()], b=[down()], budget=1.0, at_once=at_once)
    before = metric("croupier_router_retries_denied_total")
    assert isinstance(fleet.ask().answer(), CellUnreachable)
    assert fleet.asked == ["a", "b"]
    fleet.calls.clear()
    assert isinstance(fleet.ask().answer(), CellUnreachable)
    assert fleet.asked == ["a"]
    assert metric("croupier_router_retries_denied_total") == before + 2
    fleet.play()
    assert fleet.ask().answer() == b"ok a"


def test_a_hung_cell_costs_an_attempts_time_and_opens_its_breaker() -> None:
    fleet = Fleet(a=[HANG])
    asking = fleet.ask()
    fleet.wait(0.9 * TIMEOUT)
    assert fleet.asked == ["a"]
    fleet.wait(0.2 * TIMEOUT)
    assert asking.answer() == b"ok b"
    assert fleet.asked == ["a", "b"]
    assert fleet.cancelled == ["a"]
    assert fleet.is_open("a")


def test_a_slow_answer_is_not_thrown_away_and_heals_the_cell() -> None:
    fleet = Fleet(a=[HANG], b=[HANG], c=[down()])
    asking = fleet.ask()
    fleet.wait(2.5 * TIMEOUT)
    assert fleet.asked == ["a", "b", "c"]
    assert fleet.is_open("a")
    fleet.deliver(late=True)
    assert asking.answer() == b"late a"
    assert not fleet.is_open("a")
    assert fleet.cancelled == ["b"]


def test_a_cell_that_answers_others_is_slow_and_not_hung() -> None:
    fleet = Fleet(a=[HANG, b"quick"])
    asking = fleet.ask()
    fleet.wait(0.5 * TIMEOUT)
    assert fleet.ask().answer() == b"quick a"
    fleet.wait(TIMEOUT)
    assert asking.answer() == b"ok b"
    assert not fleet.is_open("a")


def test_without_a_budget_a_silent_cell_is_waited_for() -> None:
    fleet = Fleet(a=[HANG], budget=0.0)
    asking = fleet.ask()
    fleet.wait(2 * TIMEOUT)
    assert fleet.is_open("a")
    fleet.deliver(late=True)
    assert asking.answer() == b"late a"
    assert fleet.asked == ["a"]


def test_a_caller_in_a_hurry_gets_a_second_chance() -> None:
    fleet = Fleet(a=[HANG], timeout=60.0)
    asking = fleet.ask(seconds=0.4)
    fleet.wait(0.25)
    assert asking.answer() == b"ok b"
    assert not fleet.is_open("a")


def test_short_silences_in_a_row_open_a_breaker() -> None:
    fleet = Fleet(a=[HANG], timeout=60.0, threshold=2)
    for _ in range(2):
        asking = fleet.ask(seconds=0.2)
        fleet.wait(0.15)
        assert asking.answer() == b"ok b"
    assert fleet.is_open("a")


def test_the_deadline_ends_everything() -> None:
    fleet = Fleet(a=[HANG], b=[HANG], c=[HANG])
    asking = fleet.ask(seconds=5.0)
    fleet.wait(4.9)
    assert asking.ends == 0
    fleet.wait(0.2)
    assert isinstance(asking.answer(), DeadlineExceeded)
    assert sorted(fleet.cancelled) == ["a", "b", "c"]


def test_a_deadline_that_comes_before_every_silence_ends_a_run_at_its_own_moment() -> None:
    fleet = Fleet(a=[HANG], b=[HANG], c=[HANG], timeout=60.0)
    asking = fleet.ask(seconds=1.0)
    fleet.wait(0.98)
    assert (asking.ends, fleet.asked) == (0, ["a", "b", "c"])
    fleet.wait(0.03)
    assert isinstance(asking.answer(), DeadlineExceeded)


def test_a_cell_that_gives_up_at_the_deadline_is_silent_and_not_unreachable() -> None:
    fleet = Fleet(a=[HANG], timeout=60.0)
    asking = fleet.ask(Unit(b"?", ("a",)), seconds=0.5)
    fleet.wait(0.4)
    fleet.now += 0.1
    [sent] = fleet.under_way
    sent.line = down()
    assert isinstance(asking.answer(), DeadlineExceeded)
    assert not fleet.is_open("a")


def test_a_cancelled_request_cancels_its_calls() -> None:
    fleet = Fleet(a=[HANG], b=[HANG])
    asking = fleet.ask()
    fleet.wait(1.5 * TIMEOUT)
    asking.run.cancel()
    assert isinstance(asking.answer(), Cancelled)
    assert fleet.cancelled == ["a", "b"]
    asking.run.cancel()
    assert asking.ends == 1


def test_a_cancel_after_the_end_changes_nothing() -> None:
    fleet = Fleet()
    asking = fleet.ask()
    assert asking.answer() == b"ok a"
    asking.run.cancel()
    assert asking.answer() == b"ok a"


@pytest.mark.parametrize("script", [[ZeroDivisionError()], [b"bug"]])
def test_a_bug_in_a_call_is_an_internal_error_in_the_log(
    script: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    fleet = Fleet(a=script)
    assert isinstance(fleet.ask().answer(), InternalError)
    assert fleet.asked == ["a"]
    assert "ZeroDivisionError" in caplog.text


def test_an_answer_with_too_few_outcomes_is_a_bug(caplog: pytest.LogCaptureFixture) -> None:
    fleet = Fleet(a=[b"few"])
    units = [Unit(b"1", HAND), Unit(b"2", HAND)]
    assert all(isinstance(outcome, InternalError) for outcome in fleet.ask(*units).answers())
    assert "1 outcomes for 2 units" in caplog.text


def test_an_answer_that_cannot_be_read_is_final() -> None:
    fleet = Fleet(a=[b"unreadable"])
    assert isinstance(fleet.ask().answer(), InternalError)
    assert fleet.asked == ["a"]


def test_units_for_one_cell_share_a_call_and_each_goes_its_own_way_after() -> None:
    fleet = Fleet(
        a=[{b"2": Unavailable("busy"), b"3": InvalidRequest("bad"), b"4": Unavailable("busy")}],
        b=[{}],
        c=[{}],
    )
    units = [Unit(b"1", ("a", "b")), Unit(b"2", ("a", "b")), Unit(b"3", ("a", "b")), Unit(b"4", ("a", "c"))]
    outcomes = fleet.ask(*units, Unit(b"5", ("b", "a"))).answers()
    assert [outcome for outcome in outcomes if isinstance(outcome, bytes)] == [b"1a", b"2b", b"4c", b"5b"]
    assert isinstance(outcomes[2], InvalidRequest)
    assert fleet.calls == [
        ("a", [b"1", b"2", b"3", b"4"]),
        ("b", [b"5"]),
        ("b", [b"2"]),
        ("c", [b"4"]),
    ]


def test_a_unit_with_an_outcome_is_not_tried() -> None:
    fleet = Fleet(a=[{}])
    settled = Unit(b"1", ("a",), outcome=InvalidRequest("bad name"))
    busy = Unit(b"2", ("a",), outcome=Unavailable("no shard map"))
    asking = fleet.ask(settled, busy, Unit(b"3", ("a",)))
    assert asking.answers() == [settled.outcome, busy.outcome, b"3a"]
    assert fleet.calls == [("a", [b"3"])]


def test_with_nothing_to_try_a_run_ends_as_it_begins() -> None:
    asking = Fleet().ask(Unit(b"1", ("a",), outcome=InvalidRequest("bad name")))
    assert asking.ends == 1


def test_units_of_a_hung_cell_go_on_while_the_others_are_done() -> None:
    fleet = Fleet(a=[HANG], b=[{}])
    asking = fleet.ask(Unit(b"1", ("a", "b")), Unit(b"2", ("b", "a")))
    fleet.wait(1.1 * TIMEOUT)
    assert asking.answers() == [b"1b", b"2b"]
    assert fleet.cancelled == ["a"]


def test_the_deadline_takes_only_what_has_no_answer() -> None:
    fleet = Fleet(a=[HANG], b=[{}])
    asking = fleet.ask(Unit(b"1", ("a",)), Unit(b"2", ("b",)), seconds=0.2)
    fleet.wait(0.3)
    first, second = asking.answers()
    assert isinstance(first, DeadlineExceeded)
    assert second == b"2b"


def test_a_request_leaves_nothing_for_the_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        fleet = Fleet(a=[HANG], b=[b"ok", HANG], c=[down()])
        ends: list[weakref.ref[Asking]] = []
        for seconds in (10.0, 0.5):
            asking = fleet.ask(seconds=seconds)
            fleet.wait(1.5)
            assert asking.ends == 1
            ends.append(weakref.ref(asking))
            del asking
        assert [end() for end in ends] == [None, None]
    finally:
        gc.enable()
