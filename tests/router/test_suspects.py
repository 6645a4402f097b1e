from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.errors import FailedPrecondition
from router.suspects import Suspected, Suspects

A, B = b"a" * 32, b"b" * 32


def quarantined() -> FailedPrecondition:
    return FailedPrecondition("it crashed", reason="QUARANTINED")


def test_what_was_lost_waits_for_the_cell_until_that_answers_anybody() -> None:
    suspects = Suspects(hold_seconds=1.0)
    suspects.lost(A, "one", 10.0)
    suspects.lost(B, "two", 10.0)
    assert [suspects.holders(each, 10.5) for each in (A, B, b"c")] == [("one",), ("two",), ()]
    suspects.answered(b"c", "one")
    assert [suspects.holders(each, 10.5) for each in (A, B)] == [(), ("two",)]
    suspects.answered(b"c", "two")
    assert not suspects.held


def test_a_cell_that_does_not_come_back_is_not_waited_for() -> None:
    suspects = Suspects(hold_seconds=1.0)
    suspects.lost(A, "one", 10.0)
    assert suspects.holders(A, 10.9) == ("one",)
    assert suspects.holders(A, 11.0) == ()
    assert not suspects.held


def test_many_losses_of_one_death_are_one() -> None:
    suspects = Suspects(hold_seconds=1.0)
    for _ in range(5):
        suspects.lost(A, "one", 10.0)
    assert suspects.holders(A, 10.0) == ("one",)


def test_what_two_cells_were_lost_with_is_asked_of_these_alone_for_a_while_and_is_not_refused() -> None:
    suspects = Suspects(hold_seconds=1.0, refusal=30.0)
    suspects.lost(A, "one", 10.0)
    suspects.lost(B, "one", 10.0)
    suspects.answered(B, "three")
    for _ in range(5):
        suspects.lost(A, "two", 12.0)
    suspects.lost(B, "two", 12.0)
    assert suspects.holders(A, 41.9) == ("one", "two")
    assert suspects.holders(B, 12.0) == ("two",)
    assert not suspects.refused
    assert suspects.holders(A, 42.0) == ()


@pytest.mark.parametrize("back", ["one", "two"])
def test_it_is_free_once_either_of_them_answers_for_it(back: str) -> None:
    suspects = Suspects()
    suspects.lost(A, "one", 10.0)
    suspects.lost(A, "two", 11.0)
    suspects.answered(B, back)
    assert suspects.holders(A, 11.0) == ("one", "two")
    assert suspects.goes_alone(A)
    suspects.answered(A, back)
    assert suspects.holders(A, 11.0) == ()
    assert not suspects.goes_alone(A)


def test_what_was_lost_once_goes_with_others_and_alone_once_it_is_lost_again() -> None:
    suspects = Suspects()
    suspects.lost(A, "one", 10.0)
    suspects.lost(A, "one", 10.0)
    assert not suspects.goes_alone(A)
    suspects.lost(A, "one", 11.0, is_again=True)
    suspects.lost(A, "one", 11.0)
    assert suspects.goes_alone(A)


def test_one_at_a_time_goes_alone_to_a_cell_until_it_is_over_or_takes_too_long() -> None:
    suspects = Suspects()
    assert suspects.enter(A, "one", 10.0, 11.0)
    assert suspects.enter(A, "one", 10.0, 11.0)
    assert not suspects.enter(B, "one", 10.9, 11.9)
    assert suspects.enter(B, "two", 10.0, 11.0)
    assert suspects.enter(B, "one", 11.0, 12.0)
    suspects.leave(A, "one")
    assert not suspects.enter(A, "one", 11.0, 12.0)
    suspects.leave(B, "one")
    suspects.leave(B, "two")
    assert not suspects.alone


def test_of_many_cells_the_last_two_are_waited_for() -> None:
    suspects = Suspects()
    for cell in ("one", "two", "three"):
        suspects.lost(A, cell, 10.0)
    assert suspects.holders(A, 10.0) == ("two", "three")


def test_who_is_suspected_is_refused_for_a_while() -> None:
    suspects = Suspects(refusal=30.0)
    suspects.lost(A, "one", 10.0)
    error = suspects.suspect(A, 12.0)
    assert isinstance(error, Suspected)
    assert suspects.refusal(A, 41.9) is error
    assert (suspects.refusal(B, 12.0), suspects.refusal(A, 42.0)) == (None, None)
    assert (len(suspects.refused), len(suspects.held), len(suspects.missed)) == (0, 0, 0)


def test_a_loss_of_long_ago_is_forgotten() -> None:
    suspects = Suspects()
    suspects.lost(A, "one", 10.0)
    suspects.lost(A, "two", 70.0)
    assert suspects.holders(A, 70.0) == ("two",)
    suspects.lost(A, "one", 80.0)
    assert suspects.holders(A, 80.0) == ("two", "one")


def test_what_a_cell_quarantined_is_refused_with_its_words() -> None:
    suspects = Suspects(refusal=30.0)
    error = quarantined()
    suspects.quarantined(A, error, 10.0)
    assert suspects.refusal(A, 39.0) is error
    assert suspects.refusal(B, 39.0) is None
    assert suspects.refusal(A, 40.0) is None


def test_the_tables_are_bounded() -> None:
    suspects = Suspects()
    for number in range(11_000):
        suspects.lost(number.to_bytes(32, "big"), "one", 0.0)
        suspects.quarantined(number.to_bytes(32, "big"), quarantined(), 0.0)
    assert (len(suspects.held), len(suspects.missed), len(suspects.refused)) == (10_000,) * 3


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["lost", "answered"]),
        st.sampled_from([A, B]),
        st.sampled_from(["one", "two", "three"]),
        st.floats(0, 2),
    )
)


@given(STEPS)
def test_cells_are_waited_for_that_were_lost_and_nothing_is_refused_for_it(
    steps: list[tuple[str, bytes, str, float]],
) -> None:
    suspects, now = Suspects(), 0.0
    deaths: dict[bytes, set[str]] = {A: set(), B: set()}
    for what, artifact, cell, pause in steps:
        now += pause
        if what == "lost":
            deaths[artifact].add(cell)
            suspects.lost(artifact, cell, now)
        else:
            suspects.answered(artifact, cell)
        for one, cells in deaths.items():
            assert suspects.refusal(one, now) is None
            assert cells.issuperset(suspects.holders(one, now))


@pytest.mark.parametrize("cell", ["one", "two"])
def test_an_answer_clears_the_artifact_wherever_it_came_from(cell: str) -> None:
    suspects = Suspects()
    suspects.lost(A, "one", 0.0)
    suspects.answered(A, cell)
    suspects.lost(A, "two", 1.0)
    assert suspects.holders(A, 1.0) == ("two",)


def test_what_nobody_asks_for_again_is_forgotten_once_it_is_over() -> None:
    suspects = Suspects(hold_seconds=1.0, refusal=30.0)
    for number in range(100):
        suspects.quarantined(b"%032d" % number, quarantined(), 10.0)
        suspects.lost(b"%032d" % (1000 + number), "one", 10.0)
    suspects.let_go(10.9)
    assert (len(suspects.held), len(suspects.refused)) == (100, 100)
    suspects.let_go(11.0)
    # Not all at once.
    assert 0 < len(suspects.held) < 100
    suspects.let_go(11.0)
    assert (len(suspects.held), len(suspects.refused)) == (0, 100)
    for _ in range(2):
        suspects.let_go(40.0)
    assert not suspects.refused
