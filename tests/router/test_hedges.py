"""When a call that is silent is sent to the next cell as well."""

from __future__ import annotations

from math import inf
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.attempts import HAND, HANG, TIMEOUT, WORK, Asking, Fleet, down, lost, route_of, routed
from support.fakes import metric

from croupier.errors import InternalError, Unavailable
from router.budget import RetryBudget
from router.hedges import BUSY, ENOUGH, FLOOR_SECONDS, WARM_SECONDS, Hedges, note_answer, patience
from router.loads import Loads, after


def warm(fleet: Fleet, times: int = ENOUGH) -> None:
    """Have the first cell answer for the model."""
    scripts, fleet.scripts = fleet.scripts, {}
    for _ in range(times):
        fleet.ask(routed("m", fleet.route)).answer()
    fleet.scripts = scripts
    fleet.calls.clear()
    fleet.attempts.hedges.tokens = 1.0


def world(**scripts: Any) -> Fleet:
    fleet = Fleet(**scripts)
    warm(fleet)
    return fleet


def ask(fleet: Fleet, **how: Any) -> Asking:
    return fleet.ask(routed("m", fleet.route), **how)


def test_a_call_that_is_silent_for_longer_than_most_is_sent_to_the_next_cell_too() -> None:
    fleet = world(a=[HANG])
    before = metric("croupier_router_hedges_total", end="won")
    asking = ask(fleet)
    fleet.wait(FLOOR_SECONDS / 2)
    assert fleet.asked == ["a"]
    fleet.wait(2 * FLOOR_SECONDS)
    assert asking.answer() == b"ok b"
    assert (fleet.asked, fleet.cancelled) == (["a", "b"], ["a"])
    assert metric("croupier_router_hedges_total", end="won") == before + 1
    assert not fleet.is_open("a")


def test_the_first_one_may_still_be_answered_first() -> None:
    fleet = world(a=[HANG], b=[HANG])
    asking = ask(fleet)
    fleet.wait(3 * FLOOR_SECONDS)
    assert fleet.asked == ["a", "b"]
    fleet.deliver(late=True)
    assert asking.answer() == b"late a"
    assert fleet.cancelled == ["b"]


def test_the_cell_that_was_overtaken_is_known_to_take_longer() -> None:
    fleet = world(a=[HANG])
    ask(fleet)
    fleet.wait(2 * FLOOR_SECONDS)
    assert fleet.attempts.loads.of("a").turn()[3] >= FLOOR_SECONDS


def test_what_two_cells_that_died_together_had_goes_to_the_third() -> None:
    fleet = world(a=[HANG], b=[HANG])
    asking = ask(fleet)
    fleet.wait(2 * FLOOR_SECONDS)
    first, hedge = fleet.under_way
    first.line = hedge.line = lost()
    assert asking.answer() == b"ok c"


@pytest.mark.parametrize("error", [down(), Unavailable("full"), lost()])
def test_where_one_of_the_two_fails_the_other_is_waited_for(error: Exception) -> None:
    fleet = world(a=[HANG], b=[error])
    asking = ask(fleet)
    fleet.wait(0.2)
    assert fleet.asked == ["a", "b"]
    fleet.deliver(late=True)
    assert asking.answer() == b"late a"

    fleet = world(a=[HANG], b=[HANG])
    asking = ask(fleet)
    fleet.wait(0.2)
    [first, _] = fleet.under_way
    first.line = error
    fleet.deliver()
    assert fleet.asked == ["a", "b"]
    fleet.deliver(late=True)
    assert asking.answer() == b"late b"


def test_where_both_fail_or_are_overdue_a_third_cell_is_asked() -> None:
    fleet = world(a=[HANG], b=[down()])
    asking = ask(fleet)
    fleet.wait(0.2)
    [first] = fleet.under_way
    first.line = down()
    assert asking.answer() == b"ok c"

    fleet = world(a=[HANG], b=[HANG])
    asking = ask(fleet)
    fleet.wait(TIMEOUT + 0.005)
    assert fleet.asked == ["a", "b"]
    fleet.wait(2 * FLOOR_SECONDS)
    assert fleet.asked == ["a", "b", "c"]
    assert asking.answer() == b"ok c"
    assert fleet.cancelled == ["a", "b"]


def test_an_error_of_the_hedge_that_no_cell_would_mend_is_the_answer() -> None:
    error = InternalError("bug")
    fleet = world(a=[HANG], b=[error])
    asking = ask(fleet)
    fleet.wait(0.2)
    assert asking.answer() is error


def test_what_its_cell_has_not_answered_lately_is_not_hedged() -> None:
    fleet = Fleet(a=[HANG])
    fleet.attempts.hedges.tokens = 10.0
    ask(fleet)
    fleet.wait(0.5)
    assert fleet.asked == ["a"]

    fleet = world(a=[HANG])
    fleet.now += 2 * WARM_SECONDS
    ask(fleet)
    fleet.wait(0.5)
    assert fleet.asked == ["a"]


def test_each_cell_that_answered_a_model_within_a_minute_or_two_has_it() -> None:
    route, load = route_of("m"), Loads().of("a")
    for cell, now in (("a", 1000.0), ("b", 1050.0), ("c", 1070.0)):
        note_answer(route, HAND[HAND.index(cell)], 0.001, True, now)
    assert [patience(route, load, cell, 1071.0) for cell in HAND] == [FLOOR_SECONDS] * 3
    note_answer(route, HAND[1], 0.5, False, 1131.0)
    assert [patience(route, load, cell, 1132.0) for cell in HAND] == [inf, 1.0, 1.0]
    assert [patience(route, load, cell, 1252.0) for cell in HAND] == [inf] * 3
    # A name that a route does not have.
    note_answer(route, "elsewhere", 0.5, False, 1253.0)
    assert patience(route, load, "elsewhere", 1253.0) == inf
    note_answer(None, HAND[0], 0.5, False, 1253.0)
    assert patience(None, load, HAND[0], 1253.0) == inf


def test_what_its_cell_is_at_work_on_for_long_is_not_hedged() -> None:
    fleet = world(a=[WORK], b=[HANG])
    fleet.route.tail = 0.2
    ask(fleet)
    fleet.wait(0.5)
    assert fleet.asked == ["a"]
    # Nor what it is at work on for others.
    fleet.route.tail = 0.02
    ask(fleet)
    fleet.wait(0.5)
    assert fleet.asked == ["a", "a"]


def test_while_cells_are_waited_for_that_died_nothing_is_hedged() -> None:
    fleet = world(a=[lost(), HANG])
    ask(fleet)
    fleet.wait(0.4)
    assert {*fleet.asked} == {"a"}


def test_a_slow_model_is_waited_for_as_long_as_it_takes() -> None:
    fleet = world(a=[HANG])
    fleet.route.tail = 0.3
    ask(fleet)
    fleet.wait(0.28)
    assert fleet.asked == ["a"]
    fleet.wait(0.05)
    assert fleet.asked == ["a", "b"]


def test_a_busy_cell_gets_no_hedge() -> None:
    fleet = world(a=[HANG])
    for slot in range(BUSY + 1):
        fleet.attempts.loads.of("b").begin(slot)
    ask(fleet)
    fleet.wait(0.5)
    assert fleet.asked == ["a"]


def test_a_cell_outside_what_may_be_chosen_from_gets_none() -> None:
    fleet = world(a=[HANG])
    unit = routed("m", fleet.route)
    unit.near = 1
    fleet.ask(unit)
    fleet.wait(0.5)
    assert fleet.asked == ["a"]


def test_hedges_are_bounded_by_their_own_budget_and_by_that_of_retries() -> None:
    fleet = world(a=[HANG])
    fleet.attempts.hedges.tokens = 0.0
    before = metric("croupier_router_hedges_total", end="denied")
    ask(fleet)
    fleet.wait(0.5)
    assert fleet.asked == ["a"]
    assert metric("croupier_router_hedges_total", end="denied") == before + 1

    fleet = Fleet(a=[HANG], budget=0.0)
    warm(fleet)
    ask(fleet)
    fleet.wait(0.5)
    assert fleet.asked == ["a"]
    assert fleet.attempts.hedges.tokens > 1.0


def test_of_a_cell_that_stands_still_one_request_in_twenty_is_hedged() -> None:
    fleet = world(a=[HANG], budget=1e6)
    fleet.attempts.hedges.tokens = 0.0
    before = metric("croupier_router_hedges_total", end="sent")
    for _ in range(400):
        ask(fleet)
        fleet.wait(0.02)
    assert metric("croupier_router_hedges_total", end="sent") == before + 400 // 20


@given(st.lists(st.booleans(), max_size=300))
def test_a_budget_gives_no_more_than_its_share(steps: list[bool]) -> None:
    hedges, budget = Hedges(), RetryBudget(now=0.0, most=1e9)
    sent = 0
    for is_request in steps:
        if is_request:
            hedges.deposit()
        else:
            sent += hedges.take(budget, 0.0)
    assert sent <= steps.count(True) * hedges.share


@pytest.mark.parametrize("scale", [0.0002, 0.01, 3.0])
def test_the_estimate_comes_to_what_95_of_100_take_and_follows_it(scale: float) -> None:
    rng = Random(5)
    estimate = 0.0
    for middle in (scale, 10 * scale, scale):
        for _ in range(3000):
            estimate = after(estimate, rng.expovariate(1 / middle))
        longer = 0
        for _ in range(5000):
            seconds = rng.expovariate(1 / middle)
            longer += seconds > estimate
            estimate = after(estimate, seconds)
        assert 0.03 < longer / 5000 < 0.07
