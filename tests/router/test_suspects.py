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
    assert (suspects.holder(A, 10.5), suspects.holder(B, 10.5), suspects.holder(b"c", 10.5)) == (
        "one",
        "two",
        "",
    )
    suspects.answered(b"c", "one")
    assert (suspects.holder(A, 10.5), suspects.holder(B, 10.5)) == ("", "two")
    suspects.answered(b"c", "two")
    assert not suspects.held


def test_a_cell_that_does_not_come_back_is_not_waited_for() -> None:
    suspects = Suspects(hold_seconds=1.0)
    suspects.lost(A, "one", 10.0)
    assert suspects.holder(A, 10.9) == "one"
    assert suspects.holder(A, 11.0) == ""
    assert not suspects.held


def test_many_losses_of_one_death_are_one() -> None:
    suspects = Suspects(hold_seconds=1.0)
    for _ in range(5):
        suspects.lost(A, "one", 10.0)
    assert suspects.refusal(A, 10.0) is None


def test_a_second_cell_lost_without_an_answer_is_the_artifacts_fault_for_a_while() -> None:
    suspects = Suspects(hold_seconds=1.0, refusal=30.0)
    suspects.lost(A, "one", 10.0)
    suspects.lost(B, "one", 10.0)
    suspects.answered(B, "three")
    suspects.lost(A, "two", 12.0)
    suspects.lost(B, "two", 12.0)
    assert isinstance(suspects.refusal(A, 41.9), Suspected)
    assert suspects.refusal(B, 12.0) is None
    assert suspects.refusal(A, 42.0) is None
    assert not suspects.refused


def test_a_loss_of_long_ago_is_forgotten() -> None:
    suspects = Suspects()
    suspects.lost(A, "one", 10.0)
    suspects.lost(A, "two", 70.0)
    assert suspects.refusal(A, 70.0) is None
    suspects.lost(A, "one", 80.0)
    refused = suspects.refusal(A, 80.0)
    assert isinstance(refused, Suspected)


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
def test_only_an_artifact_that_was_lost_at_two_cells_is_refused(
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
            assert suspects.refusal(one, now) is None or len(cells) > 1
            assert suspects.holder(one, now) in {"", *cells}


@pytest.mark.parametrize("cell", ["one", "two"])
def test_an_answer_clears_the_artifact_wherever_it_came_from(cell: str) -> None:
    suspects = Suspects()
    suspects.lost(A, "one", 0.0)
    suspects.answered(A, cell)
    suspects.lost(A, "two", 1.0)
    assert suspects.refusal(A, 1.0) is None
