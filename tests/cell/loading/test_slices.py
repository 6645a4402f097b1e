"""Pieces of work by slices: no more than so much in one turn of the loop, in order, and all of them."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.cells import Clock

from cell.loading.slices import MOST_SECONDS, Slices


class Loop:
    """Turns that come when told to, and how long each took."""

    def __init__(self, most: float = 0.001) -> None:
        self.clock = Clock()
        self.waiting: list[Callable[[], None]] = []
        self.turns: list[float] = []
        self.done: list[int] = []
        self.slices = Slices(self.clock, self.waiting.append, most=most)

    def work(self, number: int, seconds: float) -> Callable[[], None]:
        def piece() -> None:
            self.clock.advance(seconds)
            self.done.append(number)

        return piece

    def turn(self) -> None:
        waiting = [*self.waiting]
        self.waiting.clear()
        began = self.clock.now
        for go_on in waiting:
            go_on()
        self.turns.append(self.clock.now - began)


def test_nothing_happens_before_a_turn_and_one_turn_is_waited_for() -> None:
    loop = Loop()
    for number in range(3):
        loop.slices.add(loop.work(number, 0.0001))
    assert (len(loop.waiting), len(loop.slices), loop.done) == (1, 3, [])
    loop.turn()
    assert (loop.waiting, len(loop.slices), loop.done) == ([], 0, [0, 1, 2])


@given(
    st.lists(st.tuples(st.floats(0, 0.0005), st.floats(0, 0.0005)), min_size=1, max_size=300),
    st.floats(0.0001, 0.002),
)
def test_a_storm_takes_no_more_of_a_turn_than_a_slice_and_a_piece(
    pieces: list[tuple[float, float]], most: float
) -> None:
    loop = Loop(most)
    for number, (seconds, cost) in enumerate(pieces):
        loop.slices.add(loop.work(number, seconds), cost)
    while loop.waiting:
        assert len(loop.waiting) == 1
        loop.turn()
    assert loop.done == [*range(len(pieces))]
    assert max(loop.turns) <= most + 0.0005 + 1e-6
    spent = sum(seconds + cost for seconds, cost in pieces)
    assert len(loop.turns) >= spent / (most + 0.001) - 1


def test_a_slice_and_what_it_answers_stay_below_a_millisecond() -> None:
    assert MOST_SECONDS <= 0.0005


def test_what_is_added_in_a_slice_is_done_in_another() -> None:
    loop = Loop()

    def more() -> None:
        loop.done.append(0)
        loop.slices.add(loop.work(1, 0.0))

    loop.slices.add(more)
    loop.turn()
    assert (loop.done, len(loop.waiting)) == ([0], 1)
    loop.turn()
    assert loop.done == [0, 1]


def test_an_ending_comes_once_after_each_slice() -> None:
    loop = Loop(most=0.0002)
    loop.slices.then(lambda: loop.done.append(-1))
    for number in range(5):
        loop.slices.add(loop.work(number, 0.0001))
    while loop.waiting:
        loop.turn()
    assert loop.done == [0, 1, -1, 2, 3, -1, 4, -1]


def test_one_that_fails_keeps_nobody(caplog: pytest.LogCaptureFixture) -> None:
    loop = Loop()
    loop.slices.add(lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    loop.slices.add(loop.work(1, 0.0))
    loop.turn()
    assert loop.done == [1]
    assert "a piece of loading failed" in caplog.text


def test_who_was_served_least_is_next_and_the_others_pieces_keep_their_order() -> None:
    loop = Loop(most=0.0005)
    for number in range(100):
        loop.slices.add(loop.work(number, 0.0003), who=(0, 1))
    loop.turn()
    assert loop.done == [0, 1]
    loop.slices.add(loop.work(200, 0.0003), who=(0, 2))
    loop.slices.add(loop.work(300, 0.0003))
    loop.turn()
    loop.turn()
    assert set(loop.done[2:]) >= {200, 300}
    while loop.waiting:
        loop.turn()
    assert [number for number in loop.done if number < 200] == [*range(100)]
    assert len(loop.slices) == 0


def test_what_is_higher_goes_first() -> None:
    loop = Loop(most=0.0003)
    for number in range(3):
        loop.slices.add(loop.work(number, 0.0003), who=(4, 1))
    loop.slices.add(loop.work(9, 0.0003), who=(0, 1))
    while loop.waiting:
        loop.turn()
    assert loop.done == [9, 0, 1, 2]


def test_a_cost_is_charged_to_who_has_it() -> None:
    loop = Loop(most=0.01)
    for number in range(2):
        loop.slices.add(loop.work(number, 0.0001), 0.01, (0, 1))
        loop.slices.add(loop.work(10 + number, 0.0001), 0.001, (0, 2))
    while loop.waiting:
        loop.turn()
    assert loop.done == [0, 10, 11, 1]
