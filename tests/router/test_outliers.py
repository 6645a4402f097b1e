"""Which cells are worse than the others, for many tenants."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.breakers import Breakers
from router.loads import Loads
from router.outliers import FAILING, PERIOD_SECONDS, SLOW, Outliers, Seen, failing, slow
from router.pick import nearest, pick
from router.view import KnownCell
from version_manager.model.fleet import Cell

CELLS = tuple("abcdefgh")
KNOWN = {name: KnownCell(Cell(name, "zone-0", "")) for name in CELLS}
FIRST, LONGEST, PROBE = 10.0, 80.0, 1.0


class World:
    """A fleet that many tenants ask, period by period."""

    def __init__(self, tenants: int = 40) -> None:
        self.now, self.rng, self.tenants = 1000.0, Random(7), tenants
        self.loads = Loads()
        self.outliers = Outliers(self.loads, first=FIRST, longest=LONGEST, probe=PROBE)
        self.breakers = Breakers(outliers=self.outliers)

    def period(self, **seconds: float) -> World:
        """All tenants are answered by all cells, by some of them in more `seconds` than a thousandth."""
        for cell in CELLS:
            for slot in range(self.tenants):
                took = seconds.get(cell, 0.001) * self.rng.uniform(0.5, 1.5)
                self.loads.of(cell).note_answer(slot, took)
        return self.end()

    def end(self) -> World:
        self.now += PERIOD_SECONDS
        self.breakers.look(self.now)
        return self

    @property
    def ejected(self) -> dict[str, str]:
        return {cell: one.why for cell, one in self.outliers.ejected.items()}

    def order(self) -> tuple[str, ...]:
        return pick(CELLS[:4], KNOWN, self.breakers, self.now)


def test_a_fleet_that_is_as_always_ejects_nobody() -> None:
    world = World()
    for _ in range(50):
        world.period()
    assert (world.ejected, world.breakers.troubled) == ({}, set())


def test_a_cell_three_times_slower_than_the_others_is_ejected() -> None:
    world = World().period(b=0.02)
    assert world.ejected == {"b": SLOW}
    assert world.order() == ("a", "c", "d", "b")
    assert nearest(world.order(), CELLS[:4], KNOWN, world.breakers, world.now) == 3
    assert world.breakers.ejections == 1
    assert world.breakers.state("b", world.now) == "ejected"
    assert world.breakers.troubled == {"b"}
    troubles, count = world.breakers.troubles(world.now, 10)
    assert (troubles, count) == ({}, 0) or (troubles["b"].why, troubles["b"].opened) == (SLOW, 1)


def test_slow_is_nothing_below_what_anybody_would_notice() -> None:
    assert not World().period(b=0.004).ejected


def test_where_all_are_slow_none_is_ejected() -> None:
    assert not World().period(**dict.fromkeys(CELLS, 0.5)).ejected


def test_one_tenants_own_slow_model_ejects_no_cell_however_often_it_is_asked() -> None:
    world = World()
    for _ in range(10):
        for cell in CELLS[:4]:
            for _ in range(1000):
                world.loads.of(cell).note_answer(3, 30.0)
        world.period()
        for cell in CELLS[:4]:
            for _ in range(1000):
                world.loads.of(cell).note_answer(3, 30.0)
    assert not world.ejected


def test_one_tenants_own_broken_model_ejects_no_cell() -> None:
    world = World()
    for _ in range(10):
        for cell in CELLS[:2]:
            for _ in range(1000):
                world.loads.of(cell).note_failure(63)
        world.period()
    assert not world.ejected


def test_a_cell_of_few_tenants_is_not_judged() -> None:
    assert not World(tenants=15).period(b=10.0).ejected


def test_a_cell_that_fails_many_tenants_is_ejected() -> None:
    world = World()
    for cell in CELLS:
        for slot in range(40):
            world.loads.of(cell).note_well(slot)
    for slot in range(10):
        world.loads.of("c").note_failure(slot)
    assert world.end().ejected == {"c": FAILING}


def test_a_cell_that_fails_few_is_not_though_the_others_fail_none() -> None:
    world = World()
    for cell in CELLS:
        for slot in range(40):
            world.loads.of(cell).note_well(slot)
    for slot in range(5):
        world.loads.of("c").note_failure(slot)
    assert not world.end().ejected


def test_at_most_half_of_a_hand_is_ejected_or_the_order_stays_as_it_was() -> None:
    assert World().period(a=0.1, b=0.1).order() == ("c", "d", "a", "b")
    assert World().period(a=0.1, b=0.1, c=0.1).order() == ("a", "b", "c", "d")
    # What is open already counts as well.
    world = World().period(a=0.1, b=0.1)
    world.breakers.unreachable("c", world.now)
    assert world.order() == ("a", "b", "d", "c")


def test_a_cell_is_probed_when_its_time_is_over_and_back_once_it_answers() -> None:
    world = World().period(b=0.1)
    # What was under way brings it back no sooner.
    world.breakers.answered("b", world.now)
    world.now += FIRST - 0.1
    assert world.order()[-1] == "b"
    world.now += 0.1
    assert world.order() == ("a", "b", "c", "d")
    world.breakers.started("b", world.now)
    # Others pass it by meanwhile.
    assert world.order()[-1] == "b"
    world.breakers.answered("b", world.now)
    assert world.order() == ("a", "b", "c", "d")
    assert (world.ejected, world.breakers.troubled) == ({}, set())


def test_a_probe_without_an_answer_is_followed_by_another() -> None:
    world = World().period(b=0.1)
    world.now += FIRST
    world.breakers.started("b", world.now)
    world.now += PROBE
    assert world.order() == ("a", "b", "c", "d")
    world.breakers.started("b", world.now)
    assert world.order()[-1] == "b"


def test_each_time_in_a_row_it_is_out_for_longer_and_well_behaved_it_is_forgiven() -> None:
    world, took = World(), []
    for _ in range(5):
        world.period(b=0.1)
        took.append(world.outliers.ejected["b"].until - world.now)
        world.now += took[-1]
        world.breakers.started("b", world.now)
        world.breakers.answered("b", world.now)
    assert took == [10.0, 20.0, 40.0, 80.0, 80.0]
    for _ in range(5):
        assert not world.period().ejected
    world.period(b=0.1)
    assert world.outliers.ejected["b"].times == 1


def test_a_cell_at_another_place_is_not_ejected_there() -> None:
    world = World().period(b=0.1)
    world.breakers.forget(["b"])
    assert (world.ejected, world.breakers.troubled) == ({}, set())
    assert world.order() == ("a", "b", "c", "d")


def test_without_outliers_nobody_is_judged() -> None:
    breakers = Breakers()
    breakers.look(1.0)
    assert not breakers.ejected(CELLS, 1.0)


_SEEN = st.builds(
    Seen,
    cell=st.uuids().map(str),
    well=st.integers(0, 64),
    failing=st.integers(0, 64),
    timed=st.integers(0, 64),
    seconds=st.floats(0, 100),
)


@given(st.lists(_SEEN, max_size=40))
def test_never_more_than_half_of_the_fleet_is_slow_or_a_quarter_failing(seen: list[Seen]) -> None:
    assert 2 * len(slow(seen)) <= max(len(seen), 1)
    # Cantelli's inequality, of 1.9 standard deviations.
    assert len(failing(seen)) <= len(seen) / (1 + 1.9**2) + 1e-9


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_cells_are_not_compared(count: int) -> None:
    seen = [Seen(str(number), 40, 40 * number, 40, 10.0**number) for number in range(count)]
    assert not slow(seen)
    assert not failing(seen)


def alike(count: int = 8, *, well: int = 16, failing: int = 0, seconds: float = 0.01) -> list[Seen]:
    return [Seen(cell, well, failing, well + failing, seconds) for cell in CELLS[:count]]


def test_sixteen_tenants_and_three_cells_are_enough_to_be_judged_by() -> None:
    slowest = Seen("a", 16, 0, 16, 0.03)
    assert slow([*alike(3)[1:], slowest]) == ["a"]
    assert failing([*alike()[1:], Seen("a", 8, 8, 16, 0.01)]) == ["a"]
    few = Seen("a", 7, 8, 15, 9.0)
    assert not slow([*alike()[1:], few])
    assert not failing([*alike()[1:], few])


def test_who_is_out_is_not_judged_again_and_who_was_is_forgiven_by_enough_tenants_once_at_a_time() -> None:
    outliers, now, bad = Outliers(Loads(), first=FIRST), 100.0, [*alike()[1:], Seen("a", 16, 0, 16, 9.0)]

    def times() -> int:
        """Which time in a row it is out now; it is back then."""
        nonlocal now
        outliers.judge(bad, now)
        found = outliers.ejected["a"]
        outliers.judge(bad, now + 1.0)
        assert outliers.ejected["a"].until == found.until == now + FIRST * 2 ** (found.times - 1)
        now = found.until
        outliers.started("a", now)
        outliers.answered("a")
        assert not outliers.is_out("a", now)
        return found.times

    assert [times(), times()] == [1, 2]
    outliers.judge([*alike()[1:], Seen("a", 15, 0, 15, 0.01)], now)
    assert times() == 3
    outliers.judge(alike(well=12, failing=4), now)
    assert times() == 3
    for _ in range(3):
        outliers.judge(alike(), now)
    assert times() == 1


def test_who_was_never_out_has_no_probe() -> None:
    outliers = Outliers(Loads())
    outliers.started("a", 1.0)
    outliers.answered("a")
    assert not outliers.is_out("a", 1.0)
