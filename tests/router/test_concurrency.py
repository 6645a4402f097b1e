"""How many calls a cell may have in flight: simulated cells whose service time is known."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from random import Random

import pytest
from support.limited import limited

from croupier.priorities import OVERLOADED, Priority
from router.concurrency import CALM_SECONDS, LEAST, LEAST_OF_SLOW, NO_LIMIT, Limit, refusal
from router.loads import CellLoad

DEADLINE = 0.5
CAPACITY, SECONDS = 2, 0.01
_TOO_LATE = 0.1
PEAK = CAPACITY / SECONDS


@dataclass(slots=True)
class Cell:
    """Answers `CAPACITY` calls at a time, as they came; what is too late costs it a part of one.

    One that `is_fair` answers first who has had the least of its time.
    """

    load: CellLoad = field(default_factory=lambda: CellLoad("a", Limit()))
    now: float = 1000.0
    is_fair: bool = False
    seconds: Callable[[int], float] = lambda tenant: SECONDS
    good: Counter[int] = field(default_factory=Counter)
    refused: Counter[int] = field(default_factory=Counter)
    # A limit of a tenant, before a cell is looked at; and what each has under way.
    most_of_one: int = 10**6
    under_way: Counter[int] = field(default_factory=Counter)
    had: defaultdict[int, float] = field(default_factory=lambda: defaultdict(float))
    random: Random = field(default_factory=lambda: Random(1))
    _waiting: deque[tuple[float, int, list[bool]]] = field(default_factory=deque)
    _events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=count)
    _busy: int = 0

    def serve(self, seconds: float, rates: Mapping[int, float], priority: int = Priority.LIVE) -> None:
        """Ask at the rates of tenants, as a Poisson process."""
        self.good.clear()
        self.refused.clear()
        until = self.now + seconds
        for tenant, rate in rates.items():
            at = self.now + self.random.expovariate(rate)
            while at < until:
                self._at(at, lambda tenant=tenant: self._arrive(tenant, priority))
                at += self.random.expovariate(rate)
        self._at(until, lambda: None)
        while self._events and self._events[0][0] <= until:
            self.now, _, event = heapq.heappop(self._events)
            event()

    def _at(self, moment: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._order), event))

    def _arrive(self, tenant: int, priority: int) -> None:
        if self.under_way[tenant] >= self.most_of_one:
            return
        self.load.look(self.now)
        if not self.load.has_room(tenant, priority):
            self.load.refuse(tenant)
            self.refused[tenant] += 1
            return
        self.load.begin(tenant)
        self.under_way[tenant] += 1
        began, is_over = self.now, [False]

        def expire() -> None:
            if not is_over[0]:
                is_over[0] = True
                self.load.note_late(tenant, self.now - began, True)
                self._end(tenant)

        self._at(began + DEADLINE, expire)
        self._waiting.append((began, tenant, is_over))
        self._go_on()

    def _end(self, tenant: int) -> None:
        self.load.end(tenant)
        self.under_way[tenant] -= 1

    def _go_on(self) -> None:
        while self._waiting and self._busy < CAPACITY:
            if self.is_fair:
                self._waiting.appendleft(first := min(self._waiting, key=lambda one: self.had[one[1]]))
                del self._waiting[self._waiting.index(first, 1)]
            began, tenant, is_over = self._waiting.popleft()
            self._busy += 1
            seconds = self.seconds(tenant) * (_TOO_LATE if is_over[0] else 1)
            self.had[tenant] += seconds
            self._at(
                self.now + seconds,
                lambda began=began, tenant=tenant, is_over=is_over: self._finish(began, tenant, is_over),
            )

    def _finish(self, began: float, tenant: int, is_over: list[bool]) -> None:
        self._busy -= 1
        if not is_over[0]:
            is_over[0] = True
            self.load.note_answer(tenant, self.now - began)
            self.load.note_delay(tenant, self.now - began)
            self._end(tenant)
            self.good[tenant] += 1
        self._go_on()


def everybody(rate: float, tenants: int = 20) -> dict[int, float]:
    return dict.fromkeys(range(tenants), rate / tenants)


def goodput(cell: Cell, seconds: float) -> float:
    return cell.good.total() / seconds / PEAK


@pytest.mark.parametrize("factor", [2, 5, 20])
def test_an_overloaded_cell_answers_nearly_as_many_as_it_can(factor: int) -> None:
    cell = Cell()
    cell.serve(3, everybody(0.5 * PEAK))
    assert (cell.refused.total(), cell.load.limit) == (0, NO_LIMIT)
    cell.serve(1.5, everybody(factor * PEAK))
    cell.serve(5, everybody(factor * PEAK))
    assert goodput(cell, 5) > 0.95
    assert CAPACITY < cell.load.limit < DEADLINE * PEAK / 4
    cell.serve(2, everybody(0.5 * PEAK))
    cell.serve(2, everybody(0.5 * PEAK))
    assert (cell.refused.total(), cell.load.limit) == (0, NO_LIMIT)


@pytest.mark.parametrize("factor", [2, 5])
def test_a_cell_so_slow_that_sixteen_calls_are_late_has_fewer(factor: int) -> None:
    cell = Cell(seconds=lambda tenant: 8 * SECONDS)
    peak = PEAK / 8
    cell.serve(3, everybody(0.5 * peak))
    cell.serve(3, everybody(factor * peak))
    cell.serve(5, everybody(factor * peak))
    assert cell.good.total() / 5 / peak > 0.9
    cell.serve(4, everybody(0.5 * peak))
    cell.serve(2, everybody(0.5 * peak))
    assert (cell.refused.total(), cell.load.limit) == (0, NO_LIMIT)


def test_where_very_much_is_answered_an_overload_is_found_out_before_its_queue_is_long() -> None:
    seconds = SECONDS / 20
    peak = CAPACITY / seconds
    cell = Cell(seconds=lambda tenant: seconds)
    cell.serve(1, everybody(0.5 * peak))
    cell.serve(0.2, everybody(5 * peak))
    assert cell.load.limit > 0
    assert cell.load.in_flight < 0.6 * 4 * peak * 0.2


@pytest.mark.parametrize(("times", "seconds"), [(2, 0.3), (4, 0.3), (8, 0.55)])
def test_a_jump_is_found_out_at_a_cell_that_answers_few(times: int, seconds: float) -> None:
    cell = Cell(seconds=lambda tenant: times * SECONDS)
    peak = PEAK / times
    cell.serve(3, everybody(0.5 * peak))
    cell.serve(seconds, everybody(5 * peak))
    assert cell.load.limit > 0


def test_without_a_limit_an_overloaded_cell_answers_nobody_in_time() -> None:
    cell = Cell(CellLoad("a"))
    cell.serve(2, everybody(2 * PEAK))
    cell.serve(3, everybody(2 * PEAK))
    assert goodput(cell, 3) < 0.1


def test_models_of_very_different_length_are_no_queue() -> None:
    cell = Cell(seconds=lambda tenant: 0.002 if tenant % 2 else 0.06)
    cell.serve(10, everybody(40))
    assert cell.refused.total() == 0


def test_a_cell_that_became_slower_for_good_is_found_out_anew() -> None:
    cell = Cell()
    cell.serve(3, everybody(0.7 * PEAK))
    cell.seconds = lambda tenant: 10 * SECONDS
    cell.serve(10, everybody(0.07 * PEAK))
    cell.serve(5, everybody(0.07 * PEAK))
    assert goodput(cell, 5) > 0.06


def test_one_that_asks_for_everything_takes_half_and_nobody_else_is_refused() -> None:
    cell = Cell()
    greedy = 99
    cell.serve(3, everybody(0.3 * PEAK))
    cell.serve(3, {**everybody(0.3 * PEAK), greedy: 10 * PEAK})
    cell.serve(5, {**everybody(0.3 * PEAK), greedy: 10 * PEAK})
    refused = cell.refused.total() - cell.refused[greedy]
    assert refused < 0.05 * 0.3 * PEAK * 5
    assert cell.good[greedy] / 5 > 0.4 * PEAK


def test_who_is_alone_gets_all_of_a_cell() -> None:
    cell = Cell()
    cell.serve(2, {7: 0.5 * PEAK})
    cell.serve(2, {7: 5 * PEAK})
    cell.serve(5, {7: 5 * PEAK})
    assert goodput(cell, 5) > 0.95


def test_batch_is_shed_before_live() -> None:
    load = limited(10.0)
    for _ in range(5):
        load.begin(1)
    assert [load.has_room(2, priority) for priority in Priority] == [True, True, True, True, False]
    for _ in range(4):
        load.begin(3)
    assert [load.has_room(2, priority) for priority in Priority] == [True, False, False, False, False]
    load.begin(4)
    assert not load.has_room(3, Priority.LIVE)


def taken(load: CellLoad, slot: int) -> int:
    """How many calls of a tenant are let in until one is not."""
    count = 0
    while load.has_room(slot, Priority.LIVE):
        load.begin(slot)
        count += 1
    return count


def test_a_tenant_may_have_as_many_as_are_left_and_a_few_while_there_is_room() -> None:
    load = limited(64.0)
    assert [taken(load, slot) for slot in range(4)] == [32, 16, 8, 8]
    load = limited(16.0)
    assert [taken(load, slot) for slot in range(2)] == [8, 8]


def test_who_has_nothing_at_a_full_cell_finds_a_place_up_to_a_quarter_of_the_limit_beyond_it() -> None:
    load = limited(16.0)
    assert [taken(load, slot) for slot in range(8)] == [8, 8, 1, 1, 1, 1, 0, 0]
    load = limited(16.0)
    for slot in range(2):
        taken(load, slot)
    assert not load.has_room(2, Priority.TWIN)


def test_what_was_refused_by_the_cell_counts_for_the_tenants_that_were_refused() -> None:
    load = CellLoad("a", Limit())
    for slot in range(10):
        load.begin(slot)
    # One of three: the others are answered in no time.
    load.note_overload(1)
    for slot in (2, 3):
        load.note_delay(slot, 0.001)
    load.look(1.0)
    assert load.limit == NO_LIMIT
    for slot in (1, 2, 3):
        load.note_overload(slot)
    load.look(1.4)
    assert load.limit == LEAST


def test_callers_that_give_up_at_once_say_nothing() -> None:
    load = CellLoad("a", Limit())
    for slot in range(10):
        load.begin(slot)
        load.note_late(slot, 0.0001)
    for slot in range(10):
        load.note_delay(slot, 0.02)
    load.look(1.0)
    assert load.limit == NO_LIMIT


def test_the_limit_never_falls_below_its_floor_nor_rises_without_need() -> None:
    limit, now = Limit(), 0.0
    one = limit.after(NO_LIMIT, 0.4, 1.0, 1000, 0, now)
    for _ in range(20):
        now += 0.1
        one = limit.after(one, 0.1, 0.0, 1000, 5, now)
    assert one == LEAST
    # In time, and nobody is refused.
    assert limit.after(one, 9.0, 100.0, 4, 0, now) == one
    # Nothing was answered: nobody knows.
    assert limit.after(one, 0.0, 0.0, 4, 5, now) == one
    assert limit.after(one, 9.0, 100.0, 4, 5, now) == 1.5 * one
    assert limit.after(one, 9.0, 100.0, 4, 0, now + CALM_SECONDS) == NO_LIMIT


def test_what_callers_give_up_waiting_for_lowers_the_floor_until_all_is_over() -> None:
    limit = Limit()
    one = NO_LIMIT
    told = [one := limit.after(one, 0.1, 0.0, 16, 5, 0.1, True) for _ in range(3)]
    assert told == [LEAST_OF_SLOW] * 3
    assert limit.after(one, 0.1, 0.0, 16, 5, 0.2) == LEAST_OF_SLOW
    assert limit.after(one, 9.0, 100.0, 4, 0, 0.2 + CALM_SECONDS) == NO_LIMIT
    assert limit.after(NO_LIMIT, 0.1, 0.0, 16, 0, 2.0) == LEAST


def test_what_fits_is_the_limit_at_once_but_for_half_of_it_each_time() -> None:
    limit = Limit()
    # Once may be chance.
    assert limit.after(NO_LIMIT, 0.9, 80.0, 100, 0, 0.0) == NO_LIMIT
    assert limit.after(NO_LIMIT, 1.1, 80.0, 100, 0, 0.1) == NO_LIMIT
    assert limit.after(NO_LIMIT, 0.9, 80.0, 100, 0, 0.2) == NO_LIMIT
    assert limit.after(NO_LIMIT, 0.9, 80.0, 100, 0, 0.3) == 80.0
    assert limit.after(80.0, 0.9, 10.0, 80, 0, 0.1) == 40.0
    # Nor can that be chance which is far more than fits.
    assert Limit().after(NO_LIMIT, 0.9, 20.0, 100, 0, 0.0) == 50.0
    # More than was in use is no measure.
    assert limit.after(80.0, 0.9, 79.0, 10, 0, 0.1) == 20.0
    limit.forget(20.0)


def test_a_refusal_is_the_overload_that_retries_go_to_one_other_cell_with() -> None:
    error = refusal(Priority.BATCH)
    assert error.reason == OVERLOADED
    assert error.retry_after > 0


FLOOD = 62 + 64 * 9


def test_beside_one_who_floods_a_late_cell_nobody_else_is_refused() -> None:
    """It has no processor for a while again and again; some share a slot with the flood."""
    cell = Cell(is_fair=True, most_of_one=24)
    slots = [tenant * 7 % 64 + 64 * (tenant * 31 % 256) for tenant in range(50)]
    assert FLOOD % 64 in {slot % 64 for slot in slots}
    ordinary = dict.fromkeys(slots, 0.3 * PEAK / 50)
    cell.serve(2, ordinary)
    cell.seconds = lambda tenant: (3 if tenant == FLOOD else 1) * SECONDS + max(0, 0.15 - cell.now % 0.5)
    cell.serve(8, {**ordinary, FLOOD: 1_000})
    assert set(cell.refused) == {FLOOD}
    assert cell.refused[FLOOD] > 1_000
    assert cell.good[FLOOD] > 50


def test_who_has_few_calls_is_let_in_as_if_one_who_floods_had_none() -> None:
    load = limited(16.0)
    for _ in range(16):
        load.begin(FLOOD)
    # It shares a slot with the flood, by each of two hashes.
    mine, other = FLOOD + 64, FLOOD + 1
    assert [load.has_room(slot, Priority.LIVE) for slot in (mine, other, 3)] == [True] * 3
    for _ in range(4):
        load.begin(1)
    assert not load.has_room(mine, Priority.LIVE)
    for _ in range(4):
        load.refuse(FLOOD)
    assert (taken(load, mine), taken(load, 3)) == (8, 4)
    assert not load.has_room(FLOOD, Priority.LIVE)
    assert not load.has_room(other, Priority.LIVE)


def test_beside_a_flood_as_many_are_let_in_as_were_answered_lately() -> None:
    load = limited(8.0)
    for _ in range(8):
        load.begin(FLOOD)
        load.refuse(FLOOD)
    for slot in range(20):
        load.note_answer(slot, 0.01)
    assert sum(taken(load, slot) for slot in range(40)) == 20
    assert not load.has_room(41, Priority.BATCH)


def test_who_is_refused_as_often_as_others_floods_nothing() -> None:
    load = limited(16.0)
    for slot in range(20):
        load.begin(slot)
    for _ in range(50):
        for slot in range(20):
            load.refuse(slot)
    assert not load.has_room(30, Priority.LIVE)
