import pytest
from hypothesis import given
from hypothesis import strategies as st

from croupier.errors import InternalError, InvalidRequest, Unavailable
from croupier.fields import join_first
from croupier.protocol import CURRENT, FETCHED, GENERATION, MARKS
from protos.prediction.v1 import prediction_pb2 as pb
from router import envelope
from router.units import (
    Unit,
    by_next_cell,
    carry,
    join_answers,
    join_payloads,
    lacks_any,
    mark,
    settle,
    unsettled,
    untried,
)

payloads = st.lists(st.one_of(st.binary(max_size=8), st.binary(min_size=120, max_size=300)), max_size=6)


def unit(outcome: object = None, payload: bytes = b"?", cells: tuple[str, ...] = ("a", "b")) -> Unit:
    return Unit(payload, cells, outcome=outcome)  # type: ignore[arg-type]


def test_a_unit_is_settled_by_an_answer_or_an_error_that_is_not_unavailable() -> None:
    busy, bad = Unavailable("busy"), InvalidRequest("bad")
    assert [unit(outcome).is_settled for outcome in (None, busy, bad, b"")] == [False, False, True, True]


def test_the_answer_of_a_unit() -> None:
    assert unit(b"yes").answer() == b"yes"
    with pytest.raises(InvalidRequest, match="bad"):
        unit(InvalidRequest("bad")).answer()
    with pytest.raises(InternalError):
        unit().answer()


def test_features_go_behind_a_request_to_cells_that_know_them() -> None:
    found = unit(payload=b"request")
    assert (found.request, found.payload, found.order, found.target, found.lacks) == (
        b"request",
        b"request",
        ("a", "b"),
        None,
        False,
    )
    found.shared, found.fetched = b" shared", b" fetched"
    mark([found], b" marks")
    assert found.request == b"request"
    assert found.payload == b"request shared fetched marks"
    assert found.payload_for(FETCHED - 1) == b"request marks"
    assert join_payloads([found]) == join_first([found.payload])


def test_units_that_are_made_anew_carry_what_those_before_had() -> None:
    before, after = unit(), unit()
    before.fetched, before.marks = b"fetched", b"marks"
    carry([before], [after])
    assert (after.fetched, after.marks) == (b"fetched", b"marks")


def test_whether_any_unit_lacks_features() -> None:
    one, two = unit(), unit()
    assert not lacks_any([one, two])
    two.lacks = True
    assert lacks_any([one, two])


def test_units_are_grouped_by_the_cell_that_each_tries_next() -> None:
    one, two, three = unit(cells=("a", "b")), unit(cells=("b",)), unit(cells=("a",))
    assert by_next_cell([one, two, three]) == {"a": [one, three], "b": [two]}
    assert by_next_cell([one, two, three]) == {"b": [one]}
    assert by_next_cell([one, two, three]) == {}


def test_a_final_outcome_stands() -> None:
    busy, bad, new = Unavailable("busy"), InvalidRequest("bad"), Unavailable("new")
    units = [unit(b"first"), unit(bad), unit(busy), unit(), unit()]
    assert settle(units, [b"second", b"second", b"second", new, bad]) == 2
    assert [found.outcome for found in units] == [b"first", bad, b"second", new, bad]
    assert unsettled(units) == [units[3]]
    assert untried(units) == []
    assert untried([unit(busy), unit()])[0].outcome is None


def test_every_unit_needs_an_outcome() -> None:
    with pytest.raises(ValueError, match="1 outcomes for 2 units"):
        settle([unit(), unit()], [b"yes"])


@given(payloads)
def test_payloads_and_answers_are_joined_as_the_envelope_does(parts: list[bytes]) -> None:
    assert join_payloads([unit(payload=part) for part in parts]) == join_first(parts)
    assert join_answers([unit(part) for part in parts]) == join_first(parts)


@given(payloads, st.integers(0, 4), st.booleans())
def test_marks_go_to_cells_that_know_them(parts: list[bytes], priority: int, resident_only: bool) -> None:
    units, marks = [unit(payload=part) for part in parts], envelope.marks(priority, resident_only)
    assert bool(marks) == bool(priority or resident_only)
    mark(units, marks)
    assert join_payloads(units, GENERATION) == join_first(parts)
    for speaks in (MARKS, CURRENT):
        assert join_payloads(units, speaks) == join_first([part + marks for part in parts])
    assert [one.payload for one in units] == [part + marks for part in parts]


def test_without_every_answer_there_is_nothing_to_join() -> None:
    value = pb.Result(version=1).SerializeToString()
    assert join_answers([unit(value), unit(InvalidRequest("bad"))]) is None
    assert join_answers([unit()]) is None


def test_what_two_cells_had_too_much_to_do_for_goes_no_further() -> None:
    busy, other = Unavailable("busy", reason="OVERLOADED"), Unavailable("no room", reason="NO_ROOM")
    for outcome, asked in ((busy, ["a", "b"]), (other, ["a", "b", "c"])):
        one, cells = unit(cells=("a", "b", "c")), []
        while groups := by_next_cell([one]):
            cells += groups
            one.outcome = outcome
        assert cells == asked
