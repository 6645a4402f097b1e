"""What each cell is counted to do, against a plain twin."""

from __future__ import annotations

from statistics import median_high
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.attempts import HAND, HANG, TIMEOUT, WORK, Asking, Fleet, down, lost, routed

from croupier.errors import InternalError, InvalidRequest, Unavailable
from router.loads import CellLoad, Loads
from router.units import Unit

_SLOTS = 64
_MOST_OF_ONE = 8
_OVER = 16


class Twin:
    """The same, plainly."""

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.latency = 0.0
        self.period()

    def period(self) -> None:
        self.seconds: dict[int, float] = {}
        self.well: dict[int, bool] = {}

    def answer(self, slot: int, seconds: float) -> None:
        self.latency += (seconds - self.latency) / (_OVER if self.latency else 1)
        self.seconds[slot], self.well[slot] = seconds, True

    def weigh(self, slot: int) -> int:
        counts = {one: self.calls.count(one) for one in self.calls}
        shared = sum(min(count, _MOST_OF_ONE) for count in counts.values())
        return shared + max(0, counts.get(slot, 0) - _MOST_OF_ONE)

    def turn(self) -> tuple[int, int, int, float]:
        well, timed = sum(self.well.values()), [*self.seconds.values()]
        told = well, len(self.well) - well, len(timed), median_high(timed) if timed else 0.0
        self.period()
        return told


_SLOT = st.integers(0, _SLOTS - 1) | st.integers(0, 3)
# Seconds as a C float holds them.
_SECONDS = st.floats(2**-13, 30, width=32)


@given(
    st.lists(
        st.tuples(st.sampled_from(["begin", "end", "well", "failure", "turn"]), _SLOT)
        | st.tuples(st.just("answer"), _SLOT, _SECONDS),
        max_size=120,
    )
)
def test_it_counts_as_its_plain_twin_does(steps: list[tuple[Any, ...]]) -> None:
    load, twin = CellLoad("a"), Twin()
    for what, slot, *seconds in steps:
        if what == "begin":
            load.begin(slot)
            twin.calls.append(slot)
        elif what == "end" and slot in twin.calls:
            load.end(slot)
            twin.calls.remove(slot)
        elif what == "answer":
            load.note_answer(slot, *seconds)
            twin.answer(slot, *seconds)
        elif what == "well":
            load.note_well(slot)
            twin.well[slot] = True
        elif what == "failure":
            load.note_failure(slot)
            twin.well[slot] = False
        elif what == "turn":
            assert load.turn() == twin.turn()
        assert load.in_flight == len(twin.calls)
        assert load.weigh(slot) == twin.weigh(slot)
        assert load.latency == pytest.approx(twin.latency)
    assert load.turn() == twin.turn()
    assert load.turn() == (0, 0, 0, 0.0)


def test_what_one_tenant_has_in_flight_weighs_for_itself_and_hardly_for_others() -> None:
    load = CellLoad("a")
    for _ in range(1000):
        load.begin(7)
    load.begin(8)
    assert (load.weigh(7), load.weigh(8), load.in_flight) == (1001, _MOST_OF_ONE + 1, 1001)


def test_a_tenant_weighs_for_others_what_a_cell_has_in_the_mean() -> None:
    loads = Loads()
    for cell in ("a", "b", "c", "d"):
        for slot in range(60):
            loads.of(cell).begin(slot)
    for _ in range(1000):
        loads.of("a").begin(63)
    for _ in range(20):
        loads.weigh_anew()
    # Of 60, 60, 60 and of 60 and so much.
    assert 75 <= loads.most_of_one <= 80
    assert loads.of("a").weigh(0) == 60 + loads.most_of_one
    assert loads.of("a").weigh(63) == 1060
    assert loads.of("e").weigh(0) == 0
    for _ in range(1000):
        loads.of("a").end(63)
    assert [loads.of("a").weigh(slot) for slot in (0, 63)] == [60, 60]
    for slot in range(60):
        for cell in ("a", "b", "c", "d"):
            loads.of(cell).end(slot)
    for _ in range(20):
        loads.weigh_anew()
    assert loads.most_of_one == _MOST_OF_ONE


def test_one_slow_model_is_one_voice_however_often_it_answers() -> None:
    load = CellLoad("a")
    for slot in range(5):
        load.note_answer(slot, 0.001)
    for _ in range(1000):
        load.note_answer(9, 30.0)
    assert load.turn() == (6, 0, 6, pytest.approx(0.001))


def test_a_cell_that_was_never_called_has_nothing_in_flight() -> None:
    loads = Loads()
    assert (loads.in_flight("a"), loads.latency("a"), len(loads)) == (0, 0.0, 0)
    loads.of("a").begin(1)
    assert [(one.cell, one.in_flight) for one in loads] == [("a", 1)]
    assert loads.in_flight("a") == 1


def test_a_cell_at_another_place_begins_anew_and_calls_end_where_they_began() -> None:
    loads = Loads()
    old = loads.of("a")
    old.begin(1)
    old.note_answer(1, 0.5)
    loads.forget(["a", "unknown"])
    assert (loads.in_flight("a"), loads.latency("a")) == (0, 0.0)
    old.end(1)
    assert (old.in_flight, loads.in_flight("a")) == (0, 0)


_LINES = st.sampled_from(
    [
        b"ok",
        b"bug",
        b"few",
        HANG,
        WORK,
        down(),
        lost(),
        Unavailable("full"),
        InvalidRequest("bad"),
        InternalError("bug"),
        ZeroDivisionError("a bug"),
    ]
)
_STEPS = st.sampled_from(["ask", "model", "cancel", "wait", "attempt", "deliver", "late", "move"])


@given(st.lists(_LINES, min_size=1, max_size=8), st.booleans(), st.lists(_STEPS, max_size=20))
def test_however_calls_end_the_counts_come_back_to_zero(
    lines: list[Any], at_once: bool, steps: list[str]
) -> None:
    fleet = Fleet(at_once=at_once, budget=5.0, a=lines, b=lines[::-1], c=lines)
    loads, asked = fleet.attempts.loads, list[Asking]()
    for step in steps:
        if step == "ask":
            asked.append(fleet.ask(*[Unit(b"?", HAND[turn:] + HAND[:turn]) for turn in range(3)]))
        elif step == "model":
            asked.append(fleet.ask(routed("m"), seconds=2 * TIMEOUT))
        elif step == "cancel" and asked:
            asked[-1].run.cancel()
        elif step == "wait":
            fleet.wait(0.1)
        elif step == "attempt":
            fleet.wait(TIMEOUT)
        elif step == "move":
            loads.forget(["b"])
        else:
            fleet.deliver(late=step == "late")
        under_way = [sent.call.cell for sent in fleet.under_way]
        # A cell that moved has more under way than are counted at its new place.
        assert all(loads.in_flight(cell) <= under_way.count(cell) for cell in HAND)
    fleet.wait(11.0)
    for one in asked:
        one.run.cancel()
    assert [one.ends for one in asked] == [1] * len(asked)
    assert [loads.in_flight(cell) for cell in HAND] == [0, 0, 0]


def test_only_answers_that_loaded_nothing_are_timed() -> None:
    fleet = Fleet(a=[HANG])
    loads = fleet.attempts.loads

    def answer_after(seconds: float, *, is_cold: bool = False) -> None:
        fleet.ask()
        fleet.now += seconds
        [sent] = fleet.under_way
        if is_cold:
            sent.call.note_cold()
        fleet.deliver(late=True)

    answer_after(0.5, is_cold=True)
    assert loads.latency("a") == 0.0
    answer_after(0.25)
    assert loads.latency("a") == pytest.approx(0.25)
    answer_after(0.5, is_cold=True)
    assert loads.latency("a") == pytest.approx(0.25)
    assert loads.of("a").turn() == (1, 0, 1, pytest.approx(0.25))


@pytest.mark.parametrize(
    ("line", "failing"),
    [
        (b"ok", 0),
        (InvalidRequest("bad"), 0),
        (Unavailable("full"), 1),
        (InternalError("bug"), 1),
        (down(), 1),
    ],
)
def test_what_counts_as_the_cells_failure(line: Any, failing: int) -> None:
    fleet = Fleet(a=[line])
    fleet.ask().answer()
    well, failed, _, _ = fleet.attempts.loads.of("a").turn()
    assert (well, failed) == (1 - failing, failing)
