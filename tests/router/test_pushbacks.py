"""What a cell said of when to try a model again."""

from __future__ import annotations

from math import inf

import pytest
from support.attempts import HAND, Fleet, artifact, route_of, routed

from croupier.errors import Unavailable
from router.losses import CellUnreachable
from router.pushbacks import LONGEST_SECONDS, Pushbacks, seconds_of
from router.stale import StaleMap
from router.units import Unit

MODEL = artifact("m")


def test_a_cell_that_said_so_stands_behind_the_others_until_then() -> None:
    pushbacks = Pushbacks()
    pushbacks.note(MODEL, "a", 2.0, 10.0)
    pushbacks.note(MODEL, "b", 1.0, 10.0)
    assert pushbacks.behind(MODEL, HAND, 10.5) == ("c", "b", "a")
    assert pushbacks.behind(MODEL, HAND, 11.0) == ("b", "c", "a")
    assert pushbacks.behind(MODEL, HAND, 12.0) == HAND
    assert not pushbacks.until


def test_other_models_ask_the_cell_as_before() -> None:
    pushbacks = Pushbacks()
    pushbacks.note(MODEL, "a", 2.0, 10.0)
    assert pushbacks.behind(artifact("other"), HAND, 10.5) == HAND


def test_no_cell_stands_behind_for_longer_than_is_reasonable() -> None:
    pushbacks = Pushbacks()
    pushbacks.note(MODEL, "a", inf, 10.0)
    pushbacks.note(MODEL, "b", 0.0, 10.0)
    assert pushbacks.behind(MODEL, HAND, 10.0 + LONGEST_SECONDS - 0.1) == ("b", "c", "a")
    assert pushbacks.behind(MODEL, HAND, 10.0 + LONGEST_SECONDS) == HAND


def test_what_is_over_is_forgotten_though_nobody_asks_again() -> None:
    pushbacks = Pushbacks()
    pushbacks.note(MODEL, "a", 1.0, 10.0)
    pushbacks.note(MODEL, "b", 5.0, 10.0)
    pushbacks.look(11.0)
    assert [*pushbacks.until] == [(MODEL, "b")]


def test_a_bounded_number_is_remembered() -> None:
    pushbacks = Pushbacks(most=10)
    for number in range(100):
        pushbacks.note(artifact(str(number)), "a", 1.0, 10.0)
    assert len(pushbacks.until) == 10


@pytest.mark.parametrize(
    ("told", "seconds"),
    [(b"0", 0.0), (b"1500", 1.5), (b"999999999", LONGEST_SECONDS), (b"-1", inf), (b"soon", inf), (b"", inf)],
)
def test_pushback_of_grpc(told: bytes, seconds: float) -> None:
    assert seconds_of(told) == seconds


def test_a_refusal_is_noted_with_its_time_for_its_model() -> None:
    fleet = Fleet(a=[Unavailable("its load is queued", retry_after=2.0)])
    assert fleet.ask(routed("m", route_of("m"))).answer() == b"ok b"
    assert fleet.attempts.pushbacks.behind(MODEL, HAND, fleet.now) == ("b", "c", "a")
    fleet.wait(2.0)
    assert fleet.attempts.pushbacks.behind(MODEL, HAND, fleet.now) == HAND


@pytest.mark.parametrize(
    "error", [CellUnreachable("gone", retry_after=2.0), StaleMap("old", retry_after=2.0), Unavailable("full")]
)
def test_what_a_cell_did_not_say_of_a_model_is_not_noted(error: Unavailable) -> None:
    fleet = Fleet(a=[error])
    fleet.ask(routed("m", route_of("m")))
    fleet.deliver()
    assert not fleet.attempts.pushbacks.until


def test_units_ask_the_others_first_and_those_that_ended_are_left_alone() -> None:
    pushbacks = Pushbacks()
    pushbacks.note(MODEL, "a", 2.0, 10.0)
    asked, other, ended = routed("m", route_of("m")), routed("other"), routed("m")
    ended.outcome = b"done"
    plain = Unit(b"?", HAND)
    pushbacks.heed([asked, other, ended, plain], 11.0)
    assert [unit.cells for unit in (asked, other, ended, plain)] == [("b", "c", "a"), HAND, HAND, HAND]
    # By how busy they are, no other is chosen.
    assert (asked.near, other.near) == (0, len(HAND))
